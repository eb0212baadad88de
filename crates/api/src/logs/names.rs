//! Names of groups and streams, as clients write them and as `telemetry` keys them.

use super::error;
use longshore_aws_model::AwsError;
use longshore_store::Snapshot;
use longshore_types::Scope;
use longshore_types::arn::{self, Arn};
use longshore_types::logs::{LogGroup, LogStream};
use std::sync::Arc;

/// The key of a group's events: groups of one name in two regions are two.
pub fn key(scope: &Scope, group: &str) -> String {
    format!("{scope}:{group}")
}

/// 1 to 512 of `[.\-_/#A-Za-z0-9]`, not beginning with `aws/`; `/aws/` is everybody's.
pub fn check_group(name: &str) -> Result<(), AwsError> {
    if name.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws/")) {
        return Err(error::invalid("Log groups starting with AWS/ are reserved for AWS."));
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b".-_/#".contains(&b);
    match (1..=512).contains(&name.len()) && name.bytes().all(allowed) {
        true => Ok(()),
        false => Err(error::invalid(format!("Invalid log group name: {name}"))),
    }
}

/// 1 to 512 characters without `:` and `*`.
pub fn check_stream(name: &str) -> Result<(), AwsError> {
    match (1..=512).contains(&name.chars().count()) && !name.contains([':', '*']) {
        true => Ok(()),
        false => Err(error::invalid(format!("Invalid log stream name: {name}"))),
    }
}

/// The group that a request names by name, or by identifier.
pub fn chosen(scope: &Scope, name: Option<String>, identifier: Option<String>) -> Result<String, AwsError> {
    match (name, identifier) {
        (Some(name), None) => Ok(name),
        (None, Some(identifier)) => Ok(identified(scope, &identifier)?.to_owned()),
        _ => Err(error::invalid("Exactly one of logGroupName and logGroupIdentifier must be given.")),
    }
}

/// The name in an identifier: a name, or an ARN with or without `:*`. Another account's or region's group is not here.
pub fn identified<'a>(scope: &Scope, identifier: &'a str) -> Result<&'a str, AwsError> {
    if !identifier.contains(':') {
        return Ok(identifier);
    }
    of_arn(scope, identifier)?.ok_or_else(|| error::invalid(format!("Invalid logGroupIdentifier: {identifier}")))
}

/// The group's name in its ARN, with or without `:*`; `None` for what is no ARN of a group.
pub fn of_arn<'a>(scope: &Scope, text: &'a str) -> Result<Option<&'a str>, AwsError> {
    let Some(arn) = Arn::parse(text).filter(|arn| arn.service == "logs") else { return Ok(None) };
    let Some(name) = arn.resource.strip_prefix("log-group:") else { return Ok(None) };
    let name = name.strip_suffix(":*").unwrap_or(name);
    if name.contains(':') {
        return Ok(None);
    }
    if arn.account != scope.account.as_str() || arn.region != scope.region.as_str() {
        return Err(error::no_group());
    }
    Ok(Some(name))
}

/// Whether a search covers the caller's own account. No account is linked to it, so a search of others finds nothing.
pub fn is_searched(scope: &Scope, linked: Option<bool>, accounts: Option<&[String]>) -> Result<bool, AwsError> {
    match accounts.filter(|accounts| !accounts.is_empty()) {
        None => Ok(true),
        Some(_) if linked != Some(true) => {
            Err(error::invalid("accountIdentifiers can be given only when includeLinkedAccounts is true."))
        }
        Some(accounts) => Ok(accounts.iter().any(|account| account == scope.account.as_str())),
    }
}

pub fn stream_arn(scope: &Scope, group: &str, stream: &str) -> String {
    format!("{}:log-stream:{stream}", arn::log_group(scope, group))
}

pub fn group(state: &Snapshot, scope: &Scope, name: &str) -> Result<Arc<LogGroup>, AwsError> {
    state.log_groups().get(&(scope.clone(), name.to_owned())).ok_or_else(error::no_group)
}

pub fn stream(state: &Snapshot, scope: &Scope, group_name: &str, name: &str) -> Result<Arc<LogStream>, AwsError> {
    group(state, scope, group_name)?;
    state.log_streams().get(&(scope.clone(), group_name.to_owned(), name.to_owned())).ok_or_else(error::no_stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_names_or_arns_of_here() {
        let scope = Scope::new("123456789012", "us-east-1");
        let arn = |region: &str, rest: &str| format!("arn:aws:logs:{region}:123456789012:log-group:{rest}");
        assert_eq!(identified(&scope, "/ecs/web"), Ok("/ecs/web"));
        assert_eq!(identified(&scope, &arn("us-east-1", "/ecs/web")), Ok("/ecs/web"));
        assert_eq!(identified(&scope, &arn("us-east-1", "/ecs/web:*")), Ok("/ecs/web"));
        assert_eq!(identified(&scope, &arn("eu-west-1", "/ecs/web")), Err(error::no_group()));
        assert!(identified(&scope, &arn("us-east-1", "/ecs/web:log-stream:a")).is_err());
        assert!(identified(&scope, "a:b").is_err());
    }
}

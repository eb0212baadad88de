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

/// 1 to 512 of `[.\-_/#A-Za-z0-9]`.
pub fn check_group(name: &str) -> Result<(), AwsError> {
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

/// The group that a request names by name, or by identifier: a name or an ARN.
pub fn chosen(name: Option<String>, identifier: Option<String>) -> Result<String, AwsError> {
    match (name, identifier) {
        (Some(name), None) => Ok(name),
        (None, Some(identifier)) => Ok(of_arn(&identifier).unwrap_or(&identifier).to_owned()),
        _ => Err(error::invalid("Exactly one of logGroupName and logGroupIdentifier must be given.")),
    }
}

/// The group's name in its ARN, with or without `:*`.
pub fn of_arn(text: &str) -> Option<&str> {
    let name = Arn::parse(text).filter(|arn| arn.service == "logs")?.resource.strip_prefix("log-group:")?;
    Some(name.strip_suffix(":*").unwrap_or(name))
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

//! How requests name a secret: its name, its ARN, or its ARN without the six random characters.

use super::error;
use longshore_aws_model::AwsError;
use longshore_store::Snapshot;
use longshore_types::arn::Arn;
use longshore_types::secretsmanager::Secret;
use longshore_types::{Scope, Timestamp};
use std::sync::Arc;

pub const DEFAULT_KEY: &str = "alias/aws/secretsmanager";
/// A hyphen and six characters.
const SUFFIX_LENGTH: usize = 7;

pub fn arn(scope: &Scope, secret: &Secret) -> String {
    arn_of(scope, &secret.name, &secret.suffix)
}

pub fn arn_of(scope: &Scope, name: &str, suffix: &str) -> String {
    format!("arn:aws:secretsmanager:{}:{}:secret:{name}-{suffix}", scope.region, scope.account)
}

/// The secret that `id` names, also one that is marked for deletion.
pub fn find(state: &Snapshot, scope: &Scope, id: &str, now: Timestamp) -> Option<Arc<Secret>> {
    let by_name = |name: &str| state.secrets().get(&(scope.clone(), name.to_owned())).filter(|s| !is_gone(s, now));
    let Some(arn) = Arn::parse(id) else { return by_name(id) };
    if arn.service != "secretsmanager" || arn.region != scope.region.as_str() || arn.account != scope.account.as_str() {
        return None;
    }
    by_whole_arn(state, scope, &arn)
        .filter(|s| !is_gone(s, now))
        .or_else(|| by_name(arn.resource.strip_prefix("secret:")?))
}

/// The secret whose ARN this is, with its hyphen and six characters: a secret of which only a longer name is asked for is
/// another one.
pub fn by_whole_arn(state: &Snapshot, scope: &Scope, arn: &Arn<'_>) -> Option<Arc<Secret>> {
    let rest = arn.resource.strip_prefix("secret:")?;
    let (name, suffix) = rest.split_at_checked(rest.len().checked_sub(SUFFIX_LENGTH)?)?;
    let secret = state.secrets().get(&(scope.clone(), name.to_owned()))?;
    (suffix.strip_prefix('-') == Some(&secret.suffix)).then_some(secret)
}

/// The secret that `id` names, if it may be used.
pub fn usable(state: &Snapshot, scope: &Scope, id: &str, now: Timestamp) -> Result<Arc<Secret>, AwsError> {
    let secret = find(state, scope, id, now).ok_or_else(error::no_secret)?;
    if secret.deleted_from.is_some() { Err(error::marked_for_deletion()) } else { Ok(secret) }
}

/// Its recovery window is over; the row goes soon.
pub fn is_gone(secret: &Secret, now: Timestamp) -> bool {
    secret.deleted_from.is_some_and(|deletion| deletion.gone_at <= now)
}

/// Whether a secret may have this name.
pub fn check(name: &str) -> Result<(), AwsError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"/_+=.@-".contains(&b);
    if name.bytes().all(allowed) {
        return Ok(());
    }
    Err(error::validation(
        "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!",
    ))
}

/// Whether a request may ask for this key.
pub fn check_key(scope: &Scope, key: Option<&str>) -> Result<(), AwsError> {
    let is_here = |arn: Arn<'_>| {
        arn.service == "kms"
            && arn.region == scope.region.as_str()
            && arn.account == scope.account.as_str()
            && arn.resource == DEFAULT_KEY
    };
    match key {
        Some(key) if !key.is_empty() && key != DEFAULT_KEY && !Arn::parse(key).is_some_and(is_here) => {
            Err(error::invalid_key(key))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_letters_digits_and_seven_symbols() {
        assert!(check("prod/db_1+a=b.c@d-e").is_ok());
        for bad in ["a b", "a:b", "ä", "a?"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_the_default_key_is_there() {
        let scope = Scope::new("123456789012", "us-east-1");
        for good in [None, Some(DEFAULT_KEY), Some("arn:aws:kms:us-east-1:123456789012:alias/aws/secretsmanager")] {
            assert_eq!(check_key(&scope, good), Ok(()));
        }
        for bad in ["alias/mine", "arn:aws:kms:eu-west-1:123456789012:alias/aws/secretsmanager"] {
            assert!(check_key(&scope, Some(bad)).is_err());
        }
    }
}

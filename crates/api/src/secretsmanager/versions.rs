//! A new version of a secret's value with its labels: what CreateSecret, PutSecretValue and UpdateSecret share.

use super::secrets::{self, CURRENT, Value};
use super::stages;
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_store::Tx;
use longshore_types::secretsmanager::Secret;
use std::time::Duration;

/// Beyond this many, deprecated versions go, the oldest first, once they are a day old.
/// <https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html>
const VERSIONS_MAX: usize = 100;
const DEPRECATED_STAY: Duration = Duration::from_secs(86_400);

/// Adds a version. The first labelled one of a secret is AWSCURRENT, whatever else it is.
pub fn put(
    tx: &mut Tx,
    cx: &Cx,
    secret: &Secret,
    id: &str,
    value: &Value,
    mut labels: Vec<String>,
) -> Result<(), AwsError> {
    let key = (cx.scope.clone(), secret.name.clone(), id.to_owned());
    // The same call again: its labels may have moved on since.
    let again = tx.secret_versions().get(&key).is_some();
    secrets::add_version(tx, cx, secret, id, value)?;
    if again {
        return Ok(());
    }
    let has_current = secrets::versions(tx, cx, &secret.name).any(|version| version.stages.contains(CURRENT));
    if !has_current && !labels.iter().any(|label| label == CURRENT) {
        labels.push(CURRENT.to_owned());
    }
    stages::attach(tx, cx, &secret.name, id, &labels);
    tx.secrets().update(&(cx.scope.clone(), secret.name.clone()), |row| row.changed_at = cx.now);
    drop_deprecated(tx, cx, &secret.name);
    Ok(())
}

fn drop_deprecated(tx: &mut Tx, cx: &Cx, name: &str) {
    let all: Vec<_> = secrets::versions(tx, cx, name).collect();
    let Some(excess) = all.len().checked_sub(VERSIONS_MAX) else { return };
    let mut old: Vec<_> = all
        .iter()
        .filter(|version| version.stages.is_empty() && cx.now.since(version.created_at) >= DEPRECATED_STAY)
        .collect();
    old.sort_by_key(|version| version.created_at);
    for version in old.into_iter().take(excess) {
        tx.secret_versions().remove(&(cx.scope.clone(), name.to_owned(), version.id.clone()));
    }
}

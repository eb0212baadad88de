//! Rows of secrets as operations read them, and values as the node's tasks need them.

use super::{error, names};
use crate::Cx;
use longshore_aws_model::{AwsError, Timestamp as WireTime};
use longshore_store::{Snapshot, Tx};
use longshore_types::Timestamp;
use longshore_types::secretsmanager::{Secret, SecretVersion};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub const CURRENT: &str = "AWSCURRENT";
pub const PREVIOUS: &str = "AWSPREVIOUS";
pub const PENDING: &str = "AWSPENDING";

/// A secret's value.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    Text(String),
    Bytes(Vec<u8>),
}

/// The value stays out of logs and test failures.
impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Value")
    }
}

impl Value {
    /// From the two members that a request may have, of which one may be given.
    pub fn given(text: Option<String>, bytes: Option<Vec<u8>>) -> Result<Option<Self>, AwsError> {
        match (text, bytes) {
            (Some(_), Some(_)) => Err(error::invalid_parameter(
                "You can't specify both a binary secret value and a string secret value in the same secret.",
            )),
            (Some(text), None) => Ok(Some(Self::Text(text))),
            (None, Some(bytes)) => Ok(Some(Self::Bytes(bytes))),
            (None, None) => Ok(None),
        }
    }

    /// The two members of an answer.
    pub fn sent(self) -> (Option<String>, Option<Vec<u8>>) {
        match self {
            Self::Text(text) => (Some(text), None),
            Self::Bytes(bytes) => (None, Some(bytes)),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

/// All versions of a secret, in the order of their ids.
pub fn versions<'a>(state: &'a Snapshot, cx: &Cx, name: &str) -> impl Iterator<Item = Arc<SecretVersion>> + 'a {
    state.secret_versions().prefix(&(cx.scope.clone(), name.to_owned()))
}

/// Version ids to their staging labels; versions without one are left out.
pub fn stages(state: &Snapshot, cx: &Cx, name: &str) -> BTreeMap<String, Vec<String>> {
    let staged = versions(state, cx, name).filter(|version| !version.stages.is_empty());
    staged.map(|version| (version.id.clone(), version.stages.iter().cloned().collect())).collect()
}

/// The version that an id or a label, or else AWSCURRENT, names.
pub fn version(
    state: &Snapshot,
    cx: &Cx,
    secret: &Secret,
    id: Option<&str>,
    stage: Option<&str>,
) -> Result<Arc<SecretVersion>, AwsError> {
    let Some(id) = id else {
        let stage = stage.unwrap_or(CURRENT);
        return versions(state, cx, &secret.name).find(|v| v.stages.contains(stage)).ok_or_else(|| {
            error::not_found(format!(
                "Secrets Manager can't find the specified secret value for staging label: {stage}"
            ))
        });
    };
    let key = (cx.scope.clone(), secret.name.clone(), id.to_owned());
    let version = state.secret_versions().get(&key).ok_or_else(|| {
        error::not_found(format!("Secrets Manager can't find the specified secret value for VersionId: {id}"))
    })?;
    if stage.is_some_and(|stage| !version.stages.contains(stage)) {
        return Err(error::invalid_request(
            "You provided a VersionStage that is not associated to the provided VersionId.",
        ));
    }
    Ok(version)
}

/// What a sealed value is bound to.
fn place(cx: &Cx, secret: &Secret, version: &str) -> String {
    format!("{}:{version}", names::arn(&cx.scope, secret))
}

pub fn open(cx: &Cx, secret: &Secret, version: &SecretVersion) -> Result<Value, AwsError> {
    let place = place(cx, secret, &version.id);
    let bytes = cx.settings.vault.open(&place, &version.value).map_err(|_| error::cannot_decrypt())?;
    if version.binary {
        return Ok(Value::Bytes(bytes));
    }
    String::from_utf8(bytes).map(Value::Text).map_err(|_| error::cannot_decrypt())
}

/// Writes a version without labels. A version of this id is left as it is if it has the same value; another is an error.
pub fn add_version(tx: &mut Tx, cx: &Cx, secret: &Secret, id: &str, value: &Value) -> Result<(), AwsError> {
    let key = (cx.scope.clone(), secret.name.clone(), id.to_owned());
    if let Some(old) = tx.secret_versions().get(&key) {
        if open(cx, secret, &old)? == *value {
            return Ok(());
        }
        return Err(error::token_in_use(id, &names::arn(&cx.scope, secret)));
    }
    let version = SecretVersion {
        id: id.to_owned(),
        value: cx.settings.vault.seal(&place(cx, secret, id), value.bytes()),
        binary: matches!(value, Value::Bytes(_)),
        stages: BTreeSet::new(),
        created_at: cx.now,
        accessed_at: None,
    };
    tx.secret_versions().put(key, version);
    Ok(())
}

/// The id of a new version: the client's token, or a new UUID.
pub fn version_id(cx: &Cx, token: Option<String>) -> String {
    token.unwrap_or_else(|| cx.ids().uuid())
}

/// Midnight: dates of access are days.
pub fn day(at: Timestamp) -> Timestamp {
    Timestamp(at.0 - at.0.rem_euclid(86_400_000))
}

pub fn time(at: Timestamp) -> WireTime {
    WireTime(at.0)
}

//! DescribeSecret: everything but the values; also of one that is marked for deletion.

use super::secrets::{stages, time};
use super::{error, names, tags};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::secretsmanager::{DescribeSecretInput, DescribeSecretOutput, SecretListEntry};
use longshore_store::Snapshot;
use longshore_types::secretsmanager::Secret;

pub fn describe_secret(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeSecretInput,
) -> Result<DescribeSecretOutput, AwsError> {
    let secret = names::find(state, &cx.scope, &input.secret_id, cx.now).ok_or_else(error::no_secret)?;
    let entry = entry(state, cx, &secret);
    Ok(DescribeSecretOutput {
        arn: entry.arn,
        name: entry.name,
        description: entry.description,
        kms_key_id: entry.kms_key_id,
        last_changed_date: entry.last_changed_date,
        last_accessed_date: entry.last_accessed_date,
        deleted_date: entry.deleted_date,
        tags: entry.tags,
        version_ids_to_stages: entry.secret_versions_to_stages,
        created_date: entry.created_date,
        ..Default::default()
    })
}

/// A secret in a list.
pub fn entry(state: &Snapshot, cx: &Cx, secret: &Secret) -> SecretListEntry {
    let stages = stages(state, cx, &secret.name);
    SecretListEntry {
        arn: Some(names::arn(&cx.scope, secret)),
        name: Some(secret.name.clone()),
        description: secret.description.clone(),
        kms_key_id: secret.kms_key_id.clone(),
        last_changed_date: Some(time(secret.changed_at)),
        last_accessed_date: secret.accessed_at.map(time),
        deleted_date: secret.deleted_from.map(|deletion| time(deletion.marked_at)),
        tags: (!secret.tags.is_empty()).then(|| tags::sent(&secret.tags)),
        secret_versions_to_stages: (!stages.is_empty()).then_some(stages),
        created_date: Some(time(secret.created_at)),
        ..Default::default()
    }
}

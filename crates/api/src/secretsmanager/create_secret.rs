//! CreateSecret: with or without a first value.

use super::secrets::{self, CURRENT, Value};
use super::{error, names, tags, versions};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::secretsmanager::{CreateSecretInput, CreateSecretOutput};
use longshore_store::Tx;
use longshore_types::secretsmanager::Secret;

const SUFFIX: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

pub fn create_secret(tx: &mut Tx, cx: &Cx, input: CreateSecretInput) -> Result<CreateSecretOutput, AwsError> {
    if input.add_replica_regions.is_some_and(|list| !list.is_empty()) {
        return Err(error::unsupported("AddReplicaRegions"));
    }
    if input.force_overwrite_replica_secret == Some(true) {
        return Err(error::unsupported("ForceOverwriteReplicaSecret"));
    }
    if input.r#type.is_some() {
        return Err(error::unsupported("Type"));
    }
    if input.cross_account_primary_arn.is_some() {
        return Err(error::unsupported("CrossAccountPrimaryArn"));
    }
    let name = input.name;
    names::check(&name)?;
    names::check_key(&cx.scope, input.kms_key_id.as_deref())?;
    let value = Value::given(input.secret_string, input.secret_binary)?;
    let tags = tags::parse(input.tags.unwrap_or_default())?;
    let key = (cx.scope.clone(), name.clone());
    let token = input.client_request_token;
    if let Some(old) = tx.secrets().get(&key).filter(|old| !names::is_gone(old, cx.now)) {
        if old.deleted_from.is_some() {
            return Err(error::invalid_request(
                "You can't create this secret because a secret with this name is already scheduled for deletion.",
            ));
        }
        return again(tx, cx, &old, token.as_deref(), value.as_ref());
    }
    super::purge(tx, &key);
    let secret = Secret {
        name: name.clone(),
        suffix: suffix(cx),
        description: input.description,
        kms_key_id: input.kms_key_id.filter(|key| !key.is_empty()),
        resource_policy: None,
        tags,
        created_at: cx.now,
        changed_at: cx.now,
        accessed_at: None,
        deleted_from: None,
    };
    tx.secrets().put(key, secret.clone());
    let version_id = match &value {
        Some(value) => {
            let id = secrets::version_id(cx, token);
            versions::put(tx, cx, &secret, &id, value, vec![CURRENT.to_owned()])?;
            Some(id)
        }
        None => None,
    };
    let arn = names::arn(&cx.scope, &secret);
    Ok(CreateSecretOutput { arn: Some(arn), name: Some(name), version_id, replication_status: None })
}

/// The secret is there: fine if it was this very request that made it.
fn again(
    tx: &Tx,
    cx: &Cx,
    old: &Secret,
    token: Option<&str>,
    value: Option<&Value>,
) -> Result<CreateSecretOutput, AwsError> {
    let made = token.and_then(|id| secrets::version(tx, cx, old, Some(id), None).ok());
    match (made, value) {
        (Some(version), Some(value)) if secrets::open(cx, old, &version)? == *value => Ok(CreateSecretOutput {
            arn: Some(names::arn(&cx.scope, old)),
            name: Some(old.name.clone()),
            version_id: Some(version.id.clone()),
            replication_status: None,
        }),
        _ => Err(error::exists(format!("The operation failed because the secret {} already exists.", old.name))),
    }
}

/// Six letters or digits, so that a new secret of an old name has another ARN.
fn suffix(cx: &Cx) -> String {
    let mut ids = cx.ids();
    (0..6).map(|_| char::from(SUFFIX[(ids.next_u64() % SUFFIX.len() as u64) as usize])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secretsmanager::testing::{create, get, refusal, text};
    use crate::testing::Fixture;

    #[test]
    fn a_secret_is_found_by_name_arn_and_partial_arn() {
        let fixture = Fixture::new();
        let made = fixture.try_write(|tx, cx| create_secret(tx, cx, create("prod/db", "pw"))).expect("made");
        let arn = made.arn.expect("it has one");
        let prefix = "arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/db-";
        assert!(arn.starts_with(prefix) && arn.len() == prefix.len() + 6, "{arn}");
        for id in ["prod/db", &arn, prefix.trim_end_matches('-')] {
            assert_eq!(text(&fixture, id), "pw");
        }
        let wrong = format!("{prefix}AAAAAA");
        assert_eq!(
            refusal(get(&fixture, &wrong)),
            "ResourceNotFoundException: Secrets Manager can't find the specified secret."
        );
        // Of a name that itself ends in a hyphen and six characters, the whole is meant first.
        fixture.try_write(|tx, cx| create_secret(tx, cx, create("a", "short"))).expect("made");
        fixture.try_write(|tx, cx| create_secret(tx, cx, create("a-bcdefg", "long"))).expect("made");
        assert_eq!(text(&fixture, "arn:aws:secretsmanager:us-east-1:123456789012:secret:a-bcdefg"), "long");
    }

    #[test]
    fn the_same_request_again_is_answered_alike_and_another_is_refused() {
        let fixture = Fixture::new();
        let with_token =
            |value: &str| CreateSecretInput { client_request_token: Some("t".repeat(32)), ..create("db", value) };
        let input = with_token("pw");
        let first = fixture.try_write(|tx, cx| create_secret(tx, cx, input)).expect("made");
        assert_eq!(first.version_id, Some("t".repeat(32)));
        let input = with_token("pw");
        assert_eq!(fixture.try_write(|tx, cx| create_secret(tx, cx, input)), Ok(first));
        for input in [with_token("other"), create("db", "pw")] {
            assert_eq!(
                refusal(fixture.try_write(|tx, cx| create_secret(tx, cx, input))),
                "ResourceExistsException: The operation failed because the secret db already exists."
            );
        }
    }

    #[test]
    fn values_are_sealed_in_the_store() {
        let fixture = Fixture::new();
        fixture.try_write(|tx, cx| create_secret(tx, cx, create("db", "hunter2"))).expect("made");
        fixture.read(|state, _| {
            let rows: Vec<_> = state.secret_versions().all().collect();
            assert!(!format!("{rows:?}").contains("hunter2"));
            assert!(!rows[0].value.0.contains("hunter2"));
        });
    }

    #[test]
    fn refusals_are_named_and_leave_nothing() {
        let fixture = Fixture::new();
        let some = |s: &str| Some(s.to_owned());
        for (input, expected) in [
            (
                create("a b", "v"),
                "ValidationException: Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!",
            ),
            (
                CreateSecretInput { secret_binary: Some(vec![1]), ..create("a", "v") },
                "InvalidParameterException: You can't specify both a binary secret value and a string secret value in the same secret.",
            ),
            (
                CreateSecretInput { kms_key_id: some("alias/mine"), ..create("a", "v") },
                "InvalidParameterException: KmsKeyId alias/mine: Longshore has no KMS, and alias/aws/secretsmanager is the only key.",
            ),
            (
                CreateSecretInput { add_replica_regions: Some(vec![Default::default()]), ..create("a", "v") },
                "InvalidParameterException: AddReplicaRegions is not supported by Longshore yet.",
            ),
            (
                CreateSecretInput { r#type: some("x"), ..create("a", "v") },
                "InvalidParameterException: Type is not supported by Longshore yet.",
            ),
        ] {
            assert_eq!(refusal(fixture.try_write(|tx, cx| create_secret(tx, cx, input))), expected);
        }
        assert!(fixture.read(|state, _| state.secrets().is_empty() && state.secret_versions().is_empty()));
    }
}

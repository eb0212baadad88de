//! UpdateSecret: description, and perhaps a new current value.

use super::secrets::{self, CURRENT, Value};
use super::{error, names, versions};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::secretsmanager::{UpdateSecretInput, UpdateSecretOutput};
use longshore_store::Tx;

pub fn update_secret(tx: &mut Tx, cx: &Cx, input: UpdateSecretInput) -> Result<UpdateSecretOutput, AwsError> {
    if input.r#type.is_some() {
        return Err(error::unsupported("Type"));
    }
    let value = Value::given(input.secret_string, input.secret_binary)?;
    names::check_key(&cx.scope, input.kms_key_id.as_deref())?;
    let secret = names::usable(tx, &cx.scope, &input.secret_id, cx.now)?;
    tx.secrets().update(&(cx.scope.clone(), secret.name.clone()), |row| {
        row.description = input.description.or(row.description.take());
        row.kms_key_id = input.kms_key_id.or(row.kms_key_id.take()).filter(|key| !key.is_empty());
        row.changed_at = cx.now;
    });
    let version_id = match value {
        Some(value) => {
            let id = secrets::version_id(cx, input.client_request_token);
            // The same call again finds its version current. One that is no longer so would not become so, and silently.
            let used = tx.secret_versions().get(&(cx.scope.clone(), secret.name.clone(), id.clone()));
            if used.is_some_and(|version| !version.stages.contains(CURRENT)) {
                return Err(error::token_in_use(&id, &names::arn(&cx.scope, &secret)));
            }
            versions::put(tx, cx, &secret, &id, &value, vec![CURRENT.to_owned()])?;
            Some(id)
        }
        None => None,
    };
    Ok(UpdateSecretOutput { arn: Some(names::arn(&cx.scope, &secret)), name: Some(secret.name.clone()), version_id })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secretsmanager::create_secret::create_secret;
    use crate::secretsmanager::testing::{create, refusal, text};
    use crate::testing::Fixture;

    #[test]
    fn a_token_may_be_repeated_while_its_version_is_current() {
        let fixture = Fixture::new();
        fixture.try_write(|tx, cx| create_secret(tx, cx, create("db", "one"))).expect("made");
        let update = |value: &str, token: char| {
            let input = UpdateSecretInput {
                secret_id: "db".to_owned(),
                secret_string: Some(value.to_owned()),
                client_request_token: Some(token.to_string().repeat(32)),
                ..Default::default()
            };
            fixture.try_write(|tx, cx| update_secret(tx, cx, input))
        };
        let first = update("two", 'b').expect("updated");
        assert_eq!(update("two", 'b'), Ok(first));
        update("three", 'c').expect("updated");
        for value in ["two", "four"] {
            assert!(refusal(update(value, 'b')).starts_with(&format!(
                "ResourceExistsException: You can't use ClientRequestToken {} because that value is already in use",
                "b".repeat(32)
            )));
        }
        assert_eq!(text(&fixture, "db"), "three");
    }

    #[test]
    fn the_description_changes_alone_or_with_the_value() {
        let fixture = Fixture::new();
        fixture.try_write(|tx, cx| create_secret(tx, cx, create("db", "one"))).expect("made");
        let input = |description: &str, value: Option<&str>| UpdateSecretInput {
            secret_id: "db".to_owned(),
            description: Some(description.to_owned()),
            secret_string: value.map(str::to_owned),
            ..Default::default()
        };
        let alone = input("d", None);
        let output = fixture.try_write(|tx, cx| update_secret(tx, cx, alone)).expect("updated");
        assert_eq!((output.version_id, text(&fixture, "db").as_str()), (None, "one"));
        let both = input("e", Some("two"));
        let output = fixture.try_write(|tx, cx| update_secret(tx, cx, both)).expect("updated");
        assert!(output.version_id.is_some());
        assert_eq!(text(&fixture, "db"), "two");
        let described =
            fixture.read(|state, cx| names::find(state, &cx.scope, "db", cx.now).expect("there").description.clone());
        assert_eq!(described.as_deref(), Some("e"));
        let key = UpdateSecretInput { kms_key_id: Some("mine".to_owned()), ..input("f", None) };
        assert!(refusal(fixture.try_write(|tx, cx| update_secret(tx, cx, key))).contains("KmsKeyId mine"));
    }
}

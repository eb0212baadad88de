//! PutSecretValue: a new version, AWSCURRENT unless other labels are asked for.

use super::secrets::{self, CURRENT, Value};
use super::{error, names, versions};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::secretsmanager::{PutSecretValueInput, PutSecretValueOutput};
use longshore_store::Tx;

pub fn put_secret_value(tx: &mut Tx, cx: &Cx, input: PutSecretValueInput) -> Result<PutSecretValueOutput, AwsError> {
    if input.rotation_token.is_some() {
        return Err(error::unsupported("RotationToken"));
    }
    let value = Value::given(input.secret_string, input.secret_binary)?
        .ok_or_else(|| error::invalid_request("You must provide either SecretString or SecretBinary."))?;
    let secret = names::usable(tx, &cx.scope, &input.secret_id, cx.now)?;
    let id = secrets::version_id(cx, input.client_request_token);
    let labels = input.version_stages.unwrap_or_else(|| vec![CURRENT.to_owned()]);
    versions::put(tx, cx, &secret, &id, &value, labels)?;
    let version = secrets::version(tx, cx, &secret, Some(&id), None)?;
    Ok(PutSecretValueOutput {
        arn: Some(names::arn(&cx.scope, &secret)),
        name: Some(secret.name.clone()),
        version_id: Some(id),
        version_stages: Some(version.stages.iter().cloned().collect()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secretsmanager::create_secret::create_secret;
    use crate::secretsmanager::testing::{at, create, put, refusal, text};
    use crate::testing::Fixture;

    fn fixture() -> Fixture {
        let fixture = Fixture::new();
        fixture.try_write(|tx, cx| create_secret(tx, cx, create("db", "one"))).expect("made");
        fixture
    }

    fn staged(fixture: &Fixture, stage: &str) -> Option<String> {
        at(fixture, "db", Some(stage)).ok().and_then(|output| output.secret_string)
    }

    #[test]
    fn a_new_value_is_current_and_the_old_one_previous() {
        let fixture = fixture();
        fixture.try_write(|tx, cx| put_secret_value(tx, cx, put("db", "two", 'b'))).expect("stored");
        assert_eq!((text(&fixture, "db").as_str(), staged(&fixture, "AWSPREVIOUS").as_deref()), ("two", Some("one")));
        fixture.try_write(|tx, cx| put_secret_value(tx, cx, put("db", "three", 'c'))).expect("stored");
        assert_eq!((text(&fixture, "db").as_str(), staged(&fixture, "AWSPREVIOUS").as_deref()), ("three", Some("two")));
        let stages = fixture.read(|state, cx| secrets::stages(state, cx, "db"));
        assert_eq!(stages.len(), 2);
    }

    #[test]
    fn a_pending_value_does_not_become_current() {
        let fixture = fixture();
        let input =
            PutSecretValueInput { version_stages: Some(vec!["AWSPENDING".to_owned()]), ..put("db", "next", 'b') };
        fixture.try_write(|tx, cx| put_secret_value(tx, cx, input)).expect("stored");
        assert_eq!(
            (text(&fixture, "db").as_str(), staged(&fixture, secrets::PENDING).as_deref()),
            ("one", Some("next"))
        );
    }

    #[test]
    fn a_token_is_one_value() {
        let fixture = fixture();
        let first = fixture.try_write(|tx, cx| put_secret_value(tx, cx, put("db", "two", 'b'))).expect("stored");
        let again = fixture.try_write(|tx, cx| put_secret_value(tx, cx, put("db", "two", 'b')));
        assert_eq!(again.as_ref().map(|o| &o.version_id), Ok(&first.version_id));
        let refused = refusal(fixture.try_write(|tx, cx| put_secret_value(tx, cx, put("db", "three", 'b'))));
        let token = "b".repeat(32);
        assert!(refused.starts_with(&format!(
            "ResourceExistsException: You can't use ClientRequestToken {token} because that value is already in use for a version of secret arn:aws:"
        )));
        assert_eq!(text(&fixture, "db"), "two");
    }

    #[test]
    fn a_value_is_needed_and_the_first_is_current_whatever_its_labels() {
        let fixture = fixture();
        let none = PutSecretValueInput { secret_string: None, ..put("db", "", 'b') };
        assert_eq!(
            refusal(fixture.try_write(|tx, cx| put_secret_value(tx, cx, none))),
            "InvalidRequestException: You must provide either SecretString or SecretBinary."
        );
        let empty = longshore_aws_model::secretsmanager::CreateSecretInput { secret_string: None, ..create("new", "") };
        fixture.try_write(|tx, cx| create_secret(tx, cx, empty)).expect("made");
        let input = PutSecretValueInput { version_stages: Some(vec!["mine".to_owned()]), ..put("new", "v", 'b') };
        let output = fixture.try_write(|tx, cx| put_secret_value(tx, cx, input)).expect("stored");
        assert_eq!(output.version_stages, Some(vec!["AWSCURRENT".to_owned(), "mine".to_owned()]));
    }

    #[test]
    fn old_deprecated_versions_go_beyond_a_hundred() {
        let mut fixture = fixture();
        for n in 0..110 {
            let input = PutSecretValueInput { client_request_token: Some(format!("{n:032}")), ..put("db", "v", 'x') };
            fixture.try_write(|tx, cx| put_secret_value(tx, cx, input)).expect("stored");
        }
        let count = |fixture: &Fixture| fixture.read(|state, _| state.secret_versions().len());
        assert_eq!(count(&fixture), 111);
        fixture.now = fixture.now + std::time::Duration::from_secs(2 * 86_400);
        fixture.try_write(|tx, cx| put_secret_value(tx, cx, put("db", "last", 'y'))).expect("stored");
        assert_eq!((count(&fixture), text(&fixture, "db").as_str()), (100, "last"));
        assert_eq!(staged(&fixture, "AWSPREVIOUS").as_deref(), Some("v"));
    }
}

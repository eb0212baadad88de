//! UpdateSecretVersionStage: moves a label from one version to another, or takes it off.

use super::secrets::{self, CURRENT};
use super::{error, names, stages};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::secretsmanager::{UpdateSecretVersionStageInput, UpdateSecretVersionStageOutput};
use longshore_store::Tx;

pub fn update_secret_version_stage(
    tx: &mut Tx,
    cx: &Cx,
    input: UpdateSecretVersionStageInput,
) -> Result<UpdateSecretVersionStageOutput, AwsError> {
    let secret = names::usable(tx, &cx.scope, &input.secret_id, cx.now)?;
    let label = input.version_stage;
    let (from, to) = (input.remove_from_version_id, input.move_to_version_id);
    for id in from.iter().chain(&to) {
        secrets::version(tx, cx, &secret, Some(id), None)?;
    }
    let holder = secrets::versions(tx, cx, &secret.name).find(|v| v.stages.contains(&label)).map(|v| v.id.clone());
    match (&holder, &from) {
        (Some(holder), None) if to.as_ref() != Some(holder) => {
            return Err(error::invalid_parameter(format!(
                "The parameter RemoveFromVersionId can't be empty. Staging label {label} is currently attached to version {holder}, so you must explicitly reference that version in RemoveFromVersionId."
            )));
        }
        (holder, Some(from)) if holder.as_ref() != Some(from) => {
            return Err(error::invalid_parameter(format!(
                "The staging label {label} is currently not attached to version {from}."
            )));
        }
        _ => {}
    }
    match (to, from) {
        (Some(to), _) => stages::attach(tx, cx, &secret.name, &to, &[label]),
        (None, Some(_)) if label == CURRENT => {
            return Err(error::invalid_parameter(
                "You can only move staging label AWSCURRENT to a different secret version. It can't be completely removed.",
            ));
        }
        (None, Some(from)) => stages::detach(tx, cx, &secret.name, &from, &label),
        (None, None) => {
            return Err(error::invalid_parameter("You must provide MoveToVersionId, RemoveFromVersionId, or both."));
        }
    }
    tx.secrets().update(&(cx.scope.clone(), secret.name.clone()), |row| row.changed_at = cx.now);
    Ok(UpdateSecretVersionStageOutput { arn: Some(names::arn(&cx.scope, &secret)), name: Some(secret.name.clone()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secretsmanager::create_secret::create_secret;
    use crate::secretsmanager::put_secret_value::put_secret_value;
    use crate::secretsmanager::testing::{at, create, put, refusal, text};
    use crate::testing::Fixture;
    use longshore_aws_model::secretsmanager::CreateSecretInput;

    /// `a` is AWSPREVIOUS, `b` AWSCURRENT.
    fn fixture() -> Fixture {
        let fixture = Fixture::new();
        let first = CreateSecretInput { client_request_token: Some("a".repeat(32)), ..create("db", "one") };
        fixture.try_write(|tx, cx| create_secret(tx, cx, first)).expect("made");
        fixture.try_write(|tx, cx| put_secret_value(tx, cx, put("db", "two", 'b'))).expect("stored");
        fixture
    }

    fn moved(label: &str, from: Option<char>, to: Option<char>) -> UpdateSecretVersionStageInput {
        UpdateSecretVersionStageInput {
            secret_id: "db".to_owned(),
            version_stage: label.to_owned(),
            remove_from_version_id: from.map(|c| c.to_string().repeat(32)),
            move_to_version_id: to.map(|c| c.to_string().repeat(32)),
        }
    }

    #[test]
    fn current_moves_back_and_previous_with_it() {
        let fixture = fixture();
        let input = moved(CURRENT, Some('b'), Some('a'));
        fixture.try_write(|tx, cx| update_secret_version_stage(tx, cx, input)).expect("moved");
        assert_eq!(text(&fixture, "db"), "one");
        let previous = at(&fixture, "db", Some(secrets::PREVIOUS)).expect("there");
        assert_eq!(previous.secret_string.as_deref(), Some("two"));
    }

    #[test]
    fn own_labels_come_and_go() {
        let fixture = fixture();
        let input = moved("mine", None, Some('a'));
        fixture.try_write(|tx, cx| update_secret_version_stage(tx, cx, input)).expect("attached");
        assert!(at(&fixture, "db", Some("mine")).is_ok());
        let input = moved("mine", Some('a'), None);
        fixture.try_write(|tx, cx| update_secret_version_stage(tx, cx, input)).expect("removed");
        assert!(at(&fixture, "db", Some("mine")).is_err());
    }

    #[test]
    fn a_label_moves_only_from_where_it_is_and_current_never_goes() {
        let fixture = fixture();
        let refused = |input| refusal(fixture.try_write(|tx, cx| update_secret_version_stage(tx, cx, input)));
        assert!(refused(moved(CURRENT, None, Some('a'))).contains("RemoveFromVersionId can't be empty."));
        assert!(refused(moved(CURRENT, Some('a'), Some('b'))).contains("currently not attached to version aaaa"));
        assert!(refused(moved(CURRENT, Some('b'), None)).contains("It can't be completely removed."));
        assert!(refused(moved(CURRENT, Some('b'), Some('c'))).starts_with("ResourceNotFoundException: "));
        assert!(refused(moved("mine", None, None)).starts_with("InvalidParameterException: You must provide"));
    }
}

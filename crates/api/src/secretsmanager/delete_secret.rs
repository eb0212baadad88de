//! DeleteSecret and RestoreSecret: a recovery window of 7 to 30 days, or at once.

use super::{error, names, secrets};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::secretsmanager::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::arn::Arn;
use longshore_types::secretsmanager::Deletion;
use longshore_types::{Scope, Timestamp};
use std::time::Duration;

const WINDOW_DAYS: i64 = 30;

pub fn delete_secret(tx: &mut Tx, cx: &Cx, input: DeleteSecretInput) -> Result<DeleteSecretOutput, AwsError> {
    let force = input.force_delete_without_recovery == Some(true);
    if force && input.recovery_window_in_days.is_some() {
        return Err(error::invalid_parameter(
            "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.",
        ));
    }
    let days = input.recovery_window_in_days.unwrap_or(WINDOW_DAYS);
    if !(7..=30).contains(&days) {
        return Err(error::invalid_parameter(
            "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).",
        ));
    }
    let Some(secret) = names::find(tx, &cx.scope, &input.secret_id, cx.now) else {
        return if force { Ok(nothing(cx, &input.secret_id)) } else { Err(error::no_secret()) };
    };
    if secret.deleted_from.is_some() && !force {
        return Err(error::invalid_request(
            "You can't perform this operation on the secret because it was already scheduled for deletion.",
        ));
    }
    let key = (cx.scope.clone(), secret.name.clone());
    let gone_at = match force {
        true => {
            purge(tx, &key);
            cx.now
        }
        false => {
            let gone_at = cx.now + Duration::from_secs(days.unsigned_abs() * 86_400);
            tx.secrets().update(&key, |row| row.deleted_from = Some(Deletion { marked_at: cx.now, gone_at }));
            gone_at
        }
    };
    Ok(DeleteSecretOutput {
        arn: Some(names::arn(&cx.scope, &secret)),
        name: Some(secret.name.clone()),
        deletion_date: Some(secrets::time(gone_at)),
    })
}

/// Forcing what is not there away is no error, so that a clean-up can be run twice.
fn nothing(cx: &Cx, id: &str) -> DeleteSecretOutput {
    let name = Arn::parse(id).and_then(|arn| arn.resource.strip_prefix("secret:")).unwrap_or(id);
    let arn = match Arn::parse(id) {
        Some(_) => id.to_owned(),
        None => names::arn_of(&cx.scope, name, "000000"),
    };
    DeleteSecretOutput { arn: Some(arn), name: Some(name.to_owned()), deletion_date: Some(secrets::time(cx.now)) }
}

pub fn restore_secret(tx: &mut Tx, cx: &Cx, input: RestoreSecretInput) -> Result<RestoreSecretOutput, AwsError> {
    let secret = names::find(tx, &cx.scope, &input.secret_id, cx.now).ok_or_else(error::no_secret)?;
    tx.secrets().update(&(cx.scope.clone(), secret.name.clone()), |row| row.deleted_from = None);
    Ok(RestoreSecretOutput { arn: Some(names::arn(&cx.scope, &secret)), name: Some(secret.name.clone()) })
}

/// Secrets whose recovery window is over.
pub fn expired(state: &Snapshot, now: Timestamp) -> Vec<(Scope, String)> {
    state.secrets().all().entries().filter(|(_, row)| names::is_gone(row, now)).map(|(key, _)| key).collect()
}

/// Removes a secret with all its versions.
pub fn purge(tx: &mut Tx, key: &(Scope, String)) {
    let versions: Vec<_> = {
        let state: &Snapshot = tx;
        state.secret_versions().prefix(key).keys().collect()
    };
    for version in versions {
        tx.secret_versions().remove(&version);
    }
    tx.secrets().remove(key);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secretsmanager::create_secret::create_secret;
    use crate::secretsmanager::testing::{create, get, refusal, text};
    use crate::testing::Fixture;

    fn fixture() -> Fixture {
        let fixture = Fixture::new();
        fixture.try_write(|tx, cx| create_secret(tx, cx, create("db", "pw"))).expect("made");
        fixture
    }

    fn delete(days: Option<i64>, force: bool) -> DeleteSecretInput {
        DeleteSecretInput {
            secret_id: "db".to_owned(),
            recovery_window_in_days: days,
            force_delete_without_recovery: force.then_some(true),
        }
    }

    #[test]
    fn a_marked_secret_keeps_its_name_and_can_be_restored() {
        let mut fixture = fixture();
        let input = delete(Some(7), false);
        fixture.try_write(|tx, cx| delete_secret(tx, cx, input)).expect("marked");
        assert_eq!(
            refusal(get(&fixture, "db")),
            "InvalidRequestException: You can't perform this operation on the secret because it was marked for deletion."
        );
        assert_eq!(
            refusal(fixture.try_write(|tx, cx| create_secret(tx, cx, create("db", "x")))),
            "InvalidRequestException: You can't create this secret because a secret with this name is already scheduled for deletion."
        );
        let restore = || RestoreSecretInput { secret_id: "db".to_owned() };
        fixture.try_write(move |tx, cx| restore_secret(tx, cx, restore())).expect("restored");
        assert_eq!(text(&fixture, "db"), "pw");

        let input = delete(Some(7), false);
        fixture.try_write(|tx, cx| delete_secret(tx, cx, input)).expect("marked");
        fixture.now = fixture.now + Duration::from_secs(7 * 86_400);
        assert!(refusal(get(&fixture, "db")).starts_with("ResourceNotFoundException: "));
        assert_eq!(fixture.read(|state, cx| expired(state, cx.now)).len(), 1);
        fixture.try_write(|tx, cx| create_secret(tx, cx, create("db", "new"))).expect("made anew");
        assert_eq!(text(&fixture, "db"), "new");
        assert_eq!(fixture.read(|state, _| state.secret_versions().len()), 1);
    }

    #[test]
    fn force_removes_at_once_and_twice() {
        let fixture = fixture();
        for _ in 0..2 {
            let input = delete(None, true);
            let output = fixture.try_write(|tx, cx| delete_secret(tx, cx, input)).expect("deleted");
            assert_eq!(output.name.as_deref(), Some("db"));
        }
        assert!(fixture.read(|state, _| state.secrets().is_empty() && state.secret_versions().is_empty()));
    }

    #[test]
    fn windows_have_bounds_and_only_one_way_is_chosen() {
        let fixture = fixture();
        let refused = |input| refusal(fixture.try_write(|tx, cx| delete_secret(tx, cx, input)));
        for days in [6, 31] {
            assert!(refused(delete(Some(days), false)).contains("between 7 and 30 days"));
        }
        assert!(refused(delete(Some(7), true)).contains("in conjunction with RecoveryWindowInDays"));
        let input = delete(None, false);
        fixture.try_write(|tx, cx| delete_secret(tx, cx, input)).expect("marked");
        assert!(refused(delete(None, false)).contains("already scheduled for deletion"));
    }
}

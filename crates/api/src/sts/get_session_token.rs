//! GetSessionToken: temporary credentials of a user, or of the account itself.

use super::assume_role::validation;
use super::session;
use crate::{Cx, Principal};
use longshore_aws_model::AwsError;
use longshore_aws_model::sts::{GetSessionTokenInput, GetSessionTokenOutput};
use longshore_store::Tx;
use longshore_types::iam::{RoleSession, SessionOf};
use std::time::Duration;

/// What the account's own credentials last at most.
pub const ROOT_SECONDS_MAX: i32 = 3600;
const SECONDS: i32 = 12 * 3600;

pub fn get_session_token(tx: &mut Tx, cx: &Cx, input: GetSessionTokenInput) -> Result<GetSessionTokenOutput, AwsError> {
    let given = [
        ("SerialNumber", input.serial_number.is_some()),
        ("TokenCode", input.token_code.is_some()),
        ("MinimumSessionTokenSize", input.minimum_session_token_size.is_some()),
    ];
    if let Some((name, _)) = given.into_iter().find(|(_, is_given)| *is_given) {
        return Err(validation(&format!("The parameter {name} is not supported by Longshore.")));
    }
    let user = long_lived(cx, "GetSessionToken")?;
    let session = RoleSession {
        of: SessionOf::User(user.clone()),
        ..session::new(cx, duration(input.duration_seconds, user.is_some()))
    };
    let credentials = Some(session::credentials(&session));
    session::forget_ended(tx, cx.now);
    tx.role_sessions().put(session.access_key_id.clone(), session);
    Ok(GetSessionTokenOutput { credentials, ..Default::default() })
}

/// The user that calls, or `None` for the account; sessions may not.
pub fn long_lived(cx: &Cx, operation: &str) -> Result<Option<String>, AwsError> {
    match (&cx.caller.principal, &cx.caller.session) {
        (Principal::User(name), None) => Ok(Some(name.clone())),
        (Principal::Root, None) => Ok(None),
        _ => {
            let message = format!("Cannot call {operation} with session credentials");
            Err(AwsError::new("AccessDenied", message).with_status(403))
        }
    }
}

/// As long as is asked for; the account's own credentials are cut to an hour, as AWS does it.
pub fn duration(asked: Option<i32>, is_user: bool) -> Duration {
    let seconds = asked.unwrap_or(SECONDS).min(if is_user { i32::MAX } else { ROOT_SECONDS_MAX });
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{refusal, write};
    use crate::testing::Fixture;

    #[test]
    fn the_accounts_own_credentials_last_an_hour() {
        let fixture = Fixture::new();
        let output = write(&fixture, get_session_token, GetSessionTokenInput::default()).expect("a session");
        let expiration = output.credentials.expect("credentials").expiration.expect("a time");
        assert_eq!(expiration.0, fixture.now.0 + 3_600_000);
        fixture.read(|state, _| {
            let session = state.role_sessions().all().next().expect("a session");
            assert_eq!(session::caller(state, session).arn, "arn:aws:iam::123456789012:root");
        });
        let factor = GetSessionTokenInput { token_code: Some("123456".to_owned()), ..Default::default() };
        assert_eq!(
            refusal(write(&fixture, get_session_token, factor)),
            "ValidationError: The parameter TokenCode is not supported by Longshore."
        );
    }
}

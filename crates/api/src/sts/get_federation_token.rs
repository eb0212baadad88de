//! GetFederationToken: temporary credentials for somebody whom a user, or the account, vouches for.

use super::assume_role::{packed_size, parse_tags, session_policies, validation};
use super::get_session_token::{duration, long_lived};
use super::session;
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::sts::{FederatedUser, GetFederationTokenInput, GetFederationTokenOutput};
use longshore_store::Tx;
use longshore_types::iam::{RoleSession, SessionOf};

pub fn get_federation_token(
    tx: &mut Tx,
    cx: &Cx,
    input: GetFederationTokenInput,
) -> Result<GetFederationTokenOutput, AwsError> {
    if input.minimum_session_token_size.is_some() {
        return Err(validation("The parameter MinimumSessionTokenSize is not supported by Longshore."));
    }
    let user = long_lived(cx, "GetFederationToken")?;
    let tags = parse_tags(input.tags.as_deref())?;
    let packed_policy_size = packed_size(input.policy.as_deref(), input.policy_arns.as_deref(), &tags)?;
    let lasts = duration(input.duration_seconds, user.is_some());
    let session = RoleSession {
        session_name: input.name,
        policies: session_policies(tx, cx, input.policy.as_deref(), input.policy_arns.as_deref())?,
        tags,
        of: SessionOf::Federation(user),
        ..session::new(cx, lasts)
    };
    let account = &session.account;
    let output = GetFederationTokenOutput {
        credentials: Some(session::credentials(&session)),
        federated_user: Some(FederatedUser {
            federated_user_id: Some(format!("{account}:{}", session.session_name)),
            arn: Some(format!("arn:aws:sts::{account}:federated-user/{}", session.session_name)),
        }),
        packed_policy_size,
        ..Default::default()
    };
    session::forget_ended(tx, cx.now);
    tx.role_sessions().put(session.access_key_id.clone(), session);
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::write;
    use crate::testing::Fixture;

    #[test]
    fn a_federated_user_is_named_in_its_arn() {
        let fixture = Fixture::new();
        let input = GetFederationTokenInput { name: "guest".to_owned(), ..Default::default() };
        let output = write(&fixture, get_federation_token, input).expect("a session");
        let arn = "arn:aws:sts::123456789012:federated-user/guest";
        assert_eq!(output.federated_user.expect("a user").arn.as_deref(), Some(arn));
        fixture.read(|state, _| {
            let session = state.role_sessions().all().next().expect("a session");
            assert_eq!(session::caller(state, session).arn, arn);
        });
    }
}

//! AssumeRole: credentials of a role for whoever its trust policy names.

use super::{secret, session};
use crate::Cx;
use crate::iam::trust::{Principal, may_assume};
use longshore_aws_model::sts::{AssumeRoleInput, AssumeRoleOutput, AssumedRoleUser, Credentials};
use longshore_aws_model::{AwsError, Timestamp};
use longshore_store::Tx;
use longshore_types::arn::{self, Arn};
use longshore_types::iam::{Role, RoleSession};
use std::sync::Arc;
use std::time::Duration;

/// Sessions that are begun with a session's credentials last no longer, whatever the role allows.
const CHAINED_SECONDS_MAX: i32 = 3600;

pub fn assume_role(tx: &mut Tx, cx: &Cx, input: AssumeRoleInput) -> Result<AssumeRoleOutput, AwsError> {
    refuse_unsupported(&input)?;
    let role = role(tx, cx, &input.role_arn)?.ok_or_else(|| denied(cx, &input.role_arn))?;
    let caller = session::find(tx, &cx.caller.access_key_id, cx.now);
    let mut arns = vec![cx.caller.arn.clone()];
    arns.extend(caller.as_ref().map(|session| session.role_arn.clone()));
    let account = cx.scope.account.as_str();
    let principal = Principal::Aws { arns: &arns, account, external_id: input.external_id.as_deref() };
    if !may_assume(&role.trust_policy, principal) {
        return Err(denied(cx, &input.role_arn));
    }
    let seconds = input.duration_seconds.unwrap_or(3600);
    if caller.is_some() && seconds > CHAINED_SECONDS_MAX {
        let message =
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.";
        return Err(validation(message));
    }
    if seconds > role.max_session_seconds {
        return Err(validation("The requested DurationSeconds exceeds the MaxSessionDuration set for this role."));
    }

    let session = RoleSession {
        access_key_id: format!("ASIA{}", cx.ids().alphanumeric(16)),
        secret_access_key: secret::new_secret(30),
        session_token: secret::new_secret(120),
        account: cx.scope.account.clone(),
        role_arn: arn::role(&cx.scope.account, &role.path, &role.name),
        role_id: role.id.clone(),
        session_name: input.role_session_name,
        expires_at: cx.now + Duration::from_secs(u64::try_from(seconds).unwrap_or(0)),
        task: None,
    };
    let output = AssumeRoleOutput {
        credentials: Some(Credentials {
            access_key_id: Some(session.access_key_id.clone()),
            secret_access_key: Some(session.secret_access_key.clone()),
            session_token: Some(session.session_token.clone()),
            expiration: Some(Timestamp(session.expires_at.0)),
        }),
        assumed_role_user: Some(AssumedRoleUser {
            assumed_role_id: Some(session::caller(&session).user_id),
            arn: Some(session::assumed_role_arn(&session)),
        }),
        ..Default::default()
    };
    session::forget_ended(tx, cx.now);
    tx.role_sessions().put(session.access_key_id.clone(), session);
    Ok(output)
}

/// What would narrow or mark the session: nothing here looks at it.
fn refuse_unsupported(input: &AssumeRoleInput) -> Result<(), AwsError> {
    let given = [
        ("PolicyArns", input.policy_arns.is_some()),
        ("Policy", input.policy.is_some()),
        ("Tags", input.tags.is_some()),
        ("TransitiveTagKeys", input.transitive_tag_keys.is_some()),
        ("SerialNumber", input.serial_number.is_some()),
        ("TokenCode", input.token_code.is_some()),
        ("SourceIdentity", input.source_identity.is_some()),
        ("ProvidedContexts", input.provided_contexts.is_some()),
        ("MinimumSessionTokenSize", input.minimum_session_token_size.is_some()),
    ];
    match given.into_iter().find(|(_, is_given)| *is_given) {
        Some((name, _)) => Err(validation(&format!("The parameter {name} is not supported by Longshore."))),
        None => Ok(()),
    }
}

/// The role of an ARN of this account; the path must be the role's.
fn role(tx: &mut Tx, cx: &Cx, role_arn: &str) -> Result<Option<Arc<Role>>, AwsError> {
    let parsed = Arn::parse(role_arn).filter(|arn| arn.service == "iam");
    let path = parsed.as_ref().and_then(|arn| arn.resource.strip_prefix("role/"));
    let (Some(parsed), Some(path)) = (&parsed, path) else {
        return Err(validation(&format!("{role_arn} is invalid")));
    };
    let name = path.rsplit('/').next().unwrap_or(path);
    let role = tx.roles().get(&(cx.scope.account.clone(), name.to_owned()));
    let is_same = |role: &Arc<Role>| {
        parsed.account == cx.scope.account.as_str() && arn::role(&cx.scope.account, &role.path, &role.name) == role_arn
    };
    Ok(role.filter(is_same))
}

/// The same for a role that does not exist: an answer must not tell which roles there are.
fn denied(cx: &Cx, role_arn: &str) -> AwsError {
    let message =
        format!("User: {} is not authorized to perform: sts:AssumeRole on resource: {role_arn}", cx.caller.arn);
    AwsError::new("AccessDenied", message).with_status(403)
}

fn validation(message: &str) -> AwsError {
    AwsError::new("ValidationError", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{refusal, write};
    use crate::testing::Fixture;

    const OWN_ACCOUNT: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Action":"sts:AssumeRole"}]}"#;
    const NOBODY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

    fn with_role(trust_policy: &'static str) -> Fixture {
        let fixture = Fixture::new();
        fixture.write(move |tx, cx| {
            let role = Role {
                name: "web".to_owned(),
                path: "/app/".to_owned(),
                id: "AROAX".to_owned(),
                trust_policy: trust_policy.to_owned(),
                description: None,
                max_session_seconds: 3600,
                created_at: cx.now,
                tags: Default::default(),
                attached_policies: Default::default(),
                inline_policies: Default::default(),
            };
            tx.roles().put((cx.scope.account.clone(), role.name.clone()), role);
        });
        fixture
    }

    fn input(role_arn: &str) -> AssumeRoleInput {
        AssumeRoleInput { role_arn: role_arn.to_owned(), role_session_name: "me".to_owned(), ..Default::default() }
    }

    #[test]
    fn a_trusted_caller_gets_credentials() {
        let fixture = with_role(OWN_ACCOUNT);
        let output = write(&fixture, assume_role, input("arn:aws:iam::123456789012:role/app/web")).expect("a session");
        let user = output.assumed_role_user.expect("a user");
        assert_eq!(user.arn.as_deref(), Some("arn:aws:sts::123456789012:assumed-role/web/me"));
        assert_eq!(user.assumed_role_id.as_deref(), Some("AROAX:me"));
        let credentials = output.credentials.expect("credentials");
        assert_eq!(credentials.expiration, Some(Timestamp(fixture.now.0 + 3_600_000)));
        let key = credentials.access_key_id.expect("a key");
        assert!(key.starts_with("ASIA") && key.len() == 20, "{key}");
        fixture.read(|state, cx| {
            let session = session::find(state, &key, cx.now).expect("it lasts");
            assert_eq!(Some(&session.secret_access_key), credentials.secret_access_key.as_ref());
            assert_eq!(session::find(state, &key, session.expires_at), None);
        });
    }

    #[test]
    fn sessions_that_have_ended_are_forgotten() {
        let mut fixture = with_role(OWN_ACCOUNT);
        let arn = "arn:aws:iam::123456789012:role/app/web";
        write(&fixture, assume_role, input(arn)).expect("a session");
        fixture.now = fixture.now + Duration::from_secs(3600);
        write(&fixture, assume_role, input(arn)).expect("a session");
        fixture.read(|state, _| assert_eq!(state.role_sessions().len(), 1));
    }

    #[test]
    fn everyone_else_is_refused() {
        let denied = |arn: &str| {
            format!(
                "AccessDenied: User: arn:aws:iam::123456789012:root is not authorized to perform: sts:AssumeRole on \
                 resource: {arn}"
            )
        };
        let fixture = with_role(NOBODY);
        for arn in [
            "arn:aws:iam::123456789012:role/app/web",
            "arn:aws:iam::123456789012:role/web",
            "arn:aws:iam::210987654321:role/app/web",
            "arn:aws:iam::123456789012:role/none",
        ] {
            let result = write(&fixture, assume_role, input(arn));
            assert_eq!(result.as_ref().expect_err("refused").http_status, Some(403));
            assert_eq!(refusal(result), denied(arn));
        }
        assert_eq!(
            refusal(write(&fixture, assume_role, input("arn:aws:s3:::bucket"))),
            "ValidationError: arn:aws:s3:::bucket is invalid"
        );
    }

    #[test]
    fn sessions_are_no_longer_than_the_role_allows_and_nothing_is_ignored() {
        let fixture = with_role(OWN_ACCOUNT);
        let arn = "arn:aws:iam::123456789012:role/app/web";
        let long = AssumeRoleInput { duration_seconds: Some(7200), ..input(arn) };
        assert_eq!(
            refusal(write(&fixture, assume_role, long)),
            "ValidationError: The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        );
        let narrowed = AssumeRoleInput { policy: Some("{}".to_owned()), ..input(arn) };
        assert_eq!(
            refusal(write(&fixture, assume_role, narrowed)),
            "ValidationError: The parameter Policy is not supported by Longshore."
        );
    }
}

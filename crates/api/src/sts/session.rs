//! Sessions of roles: who their holder is.

use super::secret;
use crate::{Caller, Cx, Principal};
use longshore_aws_model::sts::Credentials;
use longshore_store::{Snapshot, Tx};
use longshore_types::iam::{RoleSession, SessionOf};
use longshore_types::{Timestamp, arn};
use std::sync::Arc;
use std::time::Duration;

/// New credentials that last this long; whose they are is the caller's to fill in.
pub fn new(cx: &Cx, lasts: Duration) -> RoleSession {
    RoleSession {
        access_key_id: format!("ASIA{}", cx.ids().alphanumeric(16)),
        secret_access_key: secret::new_secret(30),
        session_token: secret::new_secret(120),
        account: cx.scope.account.clone(),
        role_arn: String::new(),
        role_id: String::new(),
        session_name: String::new(),
        expires_at: cx.now + lasts,
        task: None,
        of: SessionOf::Role,
        issued_at: cx.now,
        policies: None,
        tags: Default::default(),
        transitive_tags: Default::default(),
        source_identity: None,
    }
}

/// A session's credentials as they are sent, once.
pub fn credentials(session: &RoleSession) -> Credentials {
    Credentials {
        access_key_id: Some(session.access_key_id.clone()),
        secret_access_key: Some(session.secret_access_key.clone()),
        session_token: Some(session.session_token.clone()),
        expiration: Some(longshore_aws_model::Timestamp(session.expires_at.0)),
    }
}

/// The caller that a session's key stands for.
pub fn caller(state: &Snapshot, session: Arc<RoleSession>) -> Caller {
    let account = &session.account;
    let root = || (format!("arn:aws:iam::{account}:root"), account.to_string(), Principal::Root);
    let (arn, user_id, principal) = match &session.of {
        SessionOf::Role => (
            assumed_role_arn(&session),
            format!("{}:{}", session.role_id, session.session_name),
            Principal::Role(role_name(&session).to_owned()),
        ),
        SessionOf::User(None) => root(),
        SessionOf::User(Some(name)) => match state.users().get(&(account.clone(), name.clone())) {
            Some(user) => {
                (arn::iam(account, "user", &user.path, &user.name), user.id.clone(), Principal::User(user.name.clone()))
            }
            // A user that is gone has no policies.
            None => (arn::iam(account, "user", "/", name), String::new(), Principal::User(name.clone())),
        },
        SessionOf::Federation(user) => (
            format!("arn:aws:sts::{account}:federated-user/{}", session.session_name),
            format!("{account}:{}", session.session_name),
            Principal::Federated(user.clone()),
        ),
    };
    let access_key_id = session.access_key_id.clone();
    Caller { arn, user_id, access_key_id, principal, session: Some(session) }
}

/// The role's name: the last part of its ARN.
pub fn role_name(session: &RoleSession) -> &str {
    session.role_arn.rsplit('/').next().unwrap_or(&session.role_arn)
}

/// `arn:aws:sts::123456789012:assumed-role/Name/session`; the role's path is no part of it.
pub fn assumed_role_arn(session: &RoleSession) -> String {
    let role = role_name(session);
    format!("arn:aws:sts::{}:assumed-role/{role}/{}", session.account, session.session_name)
}

/// The session of an access key, while it lasts.
pub fn find(state: &Snapshot, access_key_id: &str, now: Timestamp) -> Option<Arc<RoleSession>> {
    state.role_sessions().get(&access_key_id.to_owned()).filter(|session| session.expires_at > now)
}

/// How long an ended session is known, so that its holder is told that it has ended and not that it never was.
const KNOWN_FOR: Duration = Duration::from_secs(3600);

/// Forgets sessions that have ended, so that there are never many more than are in use. A task's goes with the task.
pub fn forget_ended(tx: &mut Tx, now: Timestamp) {
    let has_ended = |session: &Arc<RoleSession>| session.task.is_none() && session.expires_at + KNOWN_FOR <= now;
    let ended: Vec<_> = tx.role_sessions().all().filter(has_ended).map(|s| s.access_key_id.clone()).collect();
    for access_key_id in ended {
        tx.role_sessions().remove(&access_key_id);
    }
}

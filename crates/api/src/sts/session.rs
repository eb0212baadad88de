//! Sessions of roles: who their holder is.

use crate::Caller;
use longshore_store::{Snapshot, Tx};
use longshore_types::Timestamp;
use longshore_types::iam::RoleSession;
use std::sync::Arc;

/// The caller that a session's key stands for.
pub fn caller(session: &RoleSession) -> Caller {
    Caller {
        arn: assumed_role_arn(session),
        user_id: format!("{}:{}", session.role_id, session.session_name),
        access_key_id: session.access_key_id.clone(),
    }
}

/// `arn:aws:sts::123456789012:assumed-role/Name/session`; the role's path is no part of it.
pub fn assumed_role_arn(session: &RoleSession) -> String {
    let role = session.role_arn.rsplit('/').next().unwrap_or(&session.role_arn);
    format!("arn:aws:sts::{}:assumed-role/{role}/{}", session.account, session.session_name)
}

/// The session of an access key, while it lasts.
pub fn find(state: &Snapshot, access_key_id: &str, now: Timestamp) -> Option<Arc<RoleSession>> {
    state.role_sessions().get(&access_key_id.to_owned()).filter(|session| session.expires_at > now)
}

/// Forgets sessions that have ended, so that there are never many more than are in use. A task's goes with the task.
pub fn forget_ended(tx: &mut Tx, now: Timestamp) {
    let has_ended = |session: &Arc<RoleSession>| session.task.is_none() && session.expires_at <= now;
    let ended: Vec<_> = tx.role_sessions().all().filter(has_ended).map(|s| s.access_key_id.clone()).collect();
    for access_key_id in ended {
        tx.role_sessions().remove(&access_key_id);
    }
}

//! Roles and sessions.

use crate::table;
use longshore_types::iam::{Role, RoleSession};
use longshore_types::id::{AccountId, TaskId};

table! {
    pub Roles: "iam-roles", (AccountId, String) => Role {}
}

table! {
    /// By access key id.
    pub RoleSessions: "sts-role-sessions", String => RoleSession {
        BY_TASK: "task", TaskId = |_, session| session.task.iter().cloned().collect(),
    }
}

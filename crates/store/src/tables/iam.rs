//! Users, groups, roles and their policies; access keys and sessions.

use crate::table;
use longshore_types::iam::{AccessKey, Group, InstanceProfile, ManagedPolicy, Role, RoleSession, User};
use longshore_types::id::{AccountId, TaskId};

table! {
    pub Roles: "iam-roles", (AccountId, String) => Role {}
}

table! {
    pub Users: "iam-users", (AccountId, String) => User {}
}

table! {
    pub Groups: "iam-groups", (AccountId, String) => Group {}
}

table! {
    pub Policies: "iam-policies", (AccountId, String) => ManagedPolicy {}
}

table! {
    pub InstanceProfiles: "iam-instance-profiles", (AccountId, String) => InstanceProfile {}
}

table! {
    pub AccountAliases: "iam-account-aliases", AccountId => String {}
}

table! {
    /// By access key id.
    pub AccessKeys: "iam-access-keys", String => AccessKey {
        BY_USER: "user", (AccountId, String) = |_, key| vec![(key.account.clone(), key.user.clone())],
    }
}

table! {
    /// By access key id.
    pub RoleSessions: "sts-role-sessions", String => RoleSession {
        BY_TASK: "task", TaskId = |_, session| session.task.iter().cloned().collect(),
    }
}

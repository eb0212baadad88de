//! Roles and their policies, and the temporary credentials of a role's session.

use crate::{Tags, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Key: account (global scope) and name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Role {
    pub name: String,
    /// Begins and ends with `/`.
    pub path: String,
    /// `AROA` and 17 letters or digits.
    pub id: String,
    /// The trust policy's JSON text, as given.
    pub trust_policy: String,
    pub description: Option<String>,
    pub max_session_seconds: i32,
    pub created_at: Timestamp,
    pub tags: Tags,
    /// ARNs of attached managed policies.
    pub attached_policies: BTreeSet<String>,
    /// Inline policies: name to JSON text.
    pub inline_policies: BTreeMap<String, String>,
    /// ARN of the managed policy that says what the others can give at most.
    #[serde(default)]
    pub permissions_boundary: Option<String>,
    /// `ecs.amazonaws.com`: the service that a service-linked role is of.
    #[serde(default)]
    pub linked_service: Option<String>,
    /// When and in which region its credentials signed last; to the quarter of an hour.
    #[serde(default)]
    pub last_used: Option<LastUsed>,
}

/// Key: account and name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct User {
    pub name: String,
    /// Begins and ends with `/`.
    pub path: String,
    /// `AIDA` and 17 letters or digits.
    pub id: String,
    pub created_at: Timestamp,
    pub tags: Tags,
    /// Names of its groups.
    pub groups: BTreeSet<String>,
    pub attached_policies: BTreeSet<String>,
    pub inline_policies: BTreeMap<String, String>,
    pub permissions_boundary: Option<String>,
}

/// Users that share policies. Key: account and name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    pub name: String,
    pub path: String,
    /// `AGPA` and 17 letters or digits.
    pub id: String,
    pub created_at: Timestamp,
    pub attached_policies: BTreeSet<String>,
    pub inline_policies: BTreeMap<String, String>,
}

/// A user's long-lived credentials. Key: access key id.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct AccessKey {
    /// `AKIA` and 16 letters or digits.
    pub id: String,
    pub secret_access_key: String,
    pub account: crate::AccountId,
    pub user: String,
    /// An inactive key signs nothing.
    pub is_active: bool,
    pub created_at: Timestamp,
    pub last_used: Option<LastUsed>,
}

/// The secret stays out of logs.
impl std::fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessKey").field("id", &self.id).field("user", &self.user).finish_non_exhaustive()
    }
}

/// The last signature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastUsed {
    pub at: Timestamp,
    /// Signing name: `ecs`.
    pub service: String,
    pub region: String,
}

/// A customer's managed policy. Key: account and name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ManagedPolicy {
    pub name: String,
    pub path: String,
    /// `ANPA` and 17 letters or digits.
    pub id: String,
    pub description: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub tags: Tags,
    /// By number: `v1` is 1. Never empty.
    pub versions: BTreeMap<u32, PolicyVersion>,
    /// The version in force.
    pub default_version: u32,
    /// Numbers are not given twice.
    pub last_version: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicyVersion {
    /// JSON text, as given.
    pub document: String,
    pub created_at: Timestamp,
}

/// What gives an EC2 instance its role. Key: account and name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InstanceProfile {
    pub name: String,
    pub path: String,
    /// `AIPA` and 17 letters or digits.
    pub id: String,
    pub created_at: Timestamp,
    /// At most one.
    pub role: Option<String>,
    pub tags: Tags,
}

/// Whose temporary credentials they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionOf {
    /// AssumeRole's, and a task's.
    #[default]
    Role,
    /// GetSessionToken's: a user's, or the account's own for `None`.
    User(Option<String>),
    /// GetFederationToken's, by this user, or by the account itself.
    Federation(Option<String>),
}

/// Temporary credentials, mostly of a role. Key: access key id.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct RoleSession {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: String,
    pub account: crate::AccountId,
    /// Empty unless it is a role's.
    pub role_arn: String,
    pub role_id: String,
    /// A federated user's name, for [`SessionOf::Federation`].
    pub session_name: String,
    pub expires_at: Timestamp,
    /// The task the credentials were made for, if any.
    pub task: Option<crate::id::TaskId>,
    #[serde(default)]
    pub of: SessionOf,
    #[serde(default)]
    pub issued_at: Timestamp,
    /// Session policies, JSON texts: the session may at most what one of them allows. `None` narrows nothing.
    #[serde(default)]
    pub policies: Option<Vec<String>>,
    #[serde(default)]
    pub tags: Tags,
    /// Keys of `tags` that sessions begun with this one have, too.
    #[serde(default)]
    pub transitive_tags: BTreeSet<String>,
    #[serde(default)]
    pub source_identity: Option<String>,
}

/// The secret and the token stay out of logs.
impl std::fmt::Debug for RoleSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RoleSession")
            .field("access_key_id", &self.access_key_id)
            .field("role_arn", &self.role_arn)
            .field("session_name", &self.session_name)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

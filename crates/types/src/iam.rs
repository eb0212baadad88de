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
}

/// Temporary credentials of a role. Key: access key id.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct RoleSession {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: String,
    pub account: crate::AccountId,
    pub role_arn: String,
    pub role_id: String,
    pub session_name: String,
    pub expires_at: Timestamp,
    /// The task the credentials were made for, if any.
    pub task: Option<crate::id::TaskId>,
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

//! Secrets of Secrets Manager.

use crate::sealed::Sealed;
use crate::{Tags, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Key: scope and name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Secret {
    pub name: String,
    /// The six random characters at the end of its ARN.
    pub suffix: String,
    pub description: Option<String>,
    /// As given: the default key's alias, or its ARN.
    pub kms_key_id: Option<String>,
    /// A policy document's JSON text.
    pub resource_policy: Option<String>,
    pub tags: Tags,
    pub created_at: Timestamp,
    pub changed_at: Timestamp,
    /// The day only.
    pub accessed_at: Option<Timestamp>,
    /// Marked for deletion, which happens then.
    pub deleted_from: Option<Deletion>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    pub marked_at: Timestamp,
    pub gone_at: Timestamp,
}

/// Key: scope, name of the secret, and id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecretVersion {
    pub id: String,
    /// UTF-8, or any bytes if `binary`.
    pub value: Sealed,
    pub binary: bool,
    /// Staging labels; a version without one is deprecated and may go.
    pub stages: BTreeSet<String>,
    pub created_at: Timestamp,
    /// The day only.
    pub accessed_at: Option<Timestamp>,
}

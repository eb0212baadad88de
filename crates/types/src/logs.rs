//! Log groups and streams. Events live in `telemetry`.

use crate::{Tags, Timestamp};
use serde::{Deserialize, Serialize};

/// Key: scope and name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogGroup {
    pub name: String,
    pub created_at: Timestamp,
    pub retention_days: Option<i32>,
    /// Neither the group nor its streams can be deleted.
    #[serde(default)]
    pub deletion_protection: bool,
    pub tags: Tags,
}

/// Key: scope, group and name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogStream {
    pub group: String,
    pub name: String,
    pub created_at: Timestamp,
}

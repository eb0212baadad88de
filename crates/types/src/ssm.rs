//! Parameters of the Parameter Store.

use crate::sealed::Sealed;
use crate::{Tags, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Key: scope and name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    pub name: String,
    /// Number of the newest version.
    pub latest: u64,
    pub tags: Tags,
}

/// Key: scope, name and version. At most 100 of a parameter stay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ParameterVersion {
    pub version: u64,
    pub kind: ParameterKind,
    pub tier: ParameterTier,
    pub value: ParameterValue,
    /// As given: the default key's alias, or its ARN. Of a SecureString only.
    pub key_id: Option<String>,
    pub description: Option<String>,
    pub allowed_pattern: Option<String>,
    pub data_type: String,
    pub modified_at: Timestamp,
    /// ARN of who did.
    pub modified_by: String,
    pub labels: BTreeSet<String>,
}

/// A SecureString's value is sealed, the others' are as given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ParameterValue {
    Plain(String),
    Sealed(Sealed),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ParameterKind {
    String,
    StringList,
    SecureString,
}

impl ParameterKind {
    /// The word that the AWS API uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::String => "String",
            Self::StringList => "StringList",
            Self::SecureString => "SecureString",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::String, Self::StringList, Self::SecureString].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What a parameter may hold: 4 KiB, or 8 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ParameterTier {
    Standard,
    Advanced,
}

impl ParameterTier {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "Standard",
            Self::Advanced => "Advanced",
        }
    }

    pub fn bytes_max(self) -> usize {
        match self {
            Self::Standard => 4096,
            Self::Advanced => 8192,
        }
    }
}

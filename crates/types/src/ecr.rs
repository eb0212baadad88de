//! Repositories and the images in them. Bytes live in `registry`.

use crate::{Tags, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Key: scope and name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Repository {
    pub name: String,
    pub created_at: Timestamp,
    pub immutable_tags: bool,
    pub tags: Tags,
}

/// Key: scope, repository and digest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Image {
    pub repository: String,
    /// `sha256:` and 64 hexadecimal digits, of the manifest.
    pub digest: String,
    pub manifest_media_type: String,
    pub artifact_media_type: Option<String>,
    /// Layers and configuration together.
    pub size_bytes: u64,
    pub pushed_at: Timestamp,
    pub image_tags: BTreeSet<String>,
    /// Digests of the images that this index lists.
    pub children: Vec<String>,
    /// The manifest that this one refers to.
    pub subject: Option<String>,
}

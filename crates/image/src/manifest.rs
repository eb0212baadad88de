//! Manifests and indexes, in Docker's (v2 schema 2) and OCI's dialect: they differ in media types only.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::digest::Digest;

pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const OCI_LAYER_TAR: &str = "application/vnd.oci.image.layer.v1.tar";
pub const OCI_LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub const OCI_LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub const DOCKER_LAYER_GZIP: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
pub const DOCKER_LAYER_TAR: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// What is asked of a registry, in order of preference.
pub const ACCEPTED: &[&str] = &[OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST];

/// Names one blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    #[serde(default)]
    pub media_type: String,
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self { media_type: media_type.to_owned(), digest, size, platform: None, annotations: BTreeMap::new() }
    }
}

/// The machine an image of an index is for, in Go's words (`linux`, `amd64`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    pub architecture: String,
    pub os: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Platform {
    /// This machine.
    pub fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            "powerpc64" => "ppc64le",
            other => other,
        };
        Self { architecture: architecture.to_owned(), os: "linux".to_owned(), variant: None }
    }

    fn matches(&self, wanted: &Platform) -> bool {
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && (wanted.variant.is_none() || self.variant == wanted.variant)
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

/// One image: its configuration and its layers, bottom first.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub schema_version: u32,
    #[serde(default)]
    pub media_type: String,
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
}

/// Several images of one name, by platform.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    pub schema_version: u32,
    #[serde(default)]
    pub media_type: String,
    pub manifests: Vec<Descriptor>,
}

/// What a registry answers to "give me the manifest of …".
#[derive(Debug, Clone)]
pub enum Document {
    Manifest(Manifest),
    Index(Index),
}

#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("manifest is not valid JSON")]
    Json(#[from] serde_json::Error),
    #[error("unsupported manifest schema version {0}: only version 2 is supported")]
    Schema(u64),
    #[error("unsupported manifest media type `{0}`")]
    MediaType(String),
    // The words of ECS, which the agent passes on.
    #[error("image Manifest does not contain descriptor matching platform '{0}'")]
    Platform(Platform),
}

impl Document {
    /// Reads a manifest or an index; the shape decides where the media type is missing.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Probe {
            schema_version: Option<u64>,
            media_type: Option<String>,
            manifests: Option<serde::de::IgnoredAny>,
        }
        let probe: Probe = serde_json::from_slice(bytes)?;
        if probe.schema_version != Some(2) {
            return Err(ManifestError::Schema(probe.schema_version.unwrap_or(0)));
        }
        let is_index = match probe.media_type.as_deref() {
            Some(OCI_INDEX | DOCKER_LIST) => true,
            Some(OCI_MANIFEST | DOCKER_MANIFEST) => false,
            None | Some("") => probe.manifests.is_some(),
            Some(other) => return Err(ManifestError::MediaType(other.chars().take(100).collect())),
        };
        Ok(if is_index {
            Self::Index(serde_json::from_slice(bytes)?)
        } else {
            Self::Manifest(serde_json::from_slice(bytes)?)
        })
    }
}

impl Index {
    /// The entry for `wanted`. An entry without a platform is taken only when it is alone: nothing else could be meant.
    pub fn pick(&self, wanted: &Platform) -> Result<&Descriptor, ManifestError> {
        let exact = self.manifests.iter().find(|d| d.platform.as_ref().is_some_and(|p| p.matches(wanted)));
        let alone = || match self.manifests.as_slice() {
            [only] if only.platform.is_none() => Some(only),
            _ => None,
        };
        exact.or_else(alone).ok_or_else(|| ManifestError::Platform(wanted.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linux(architecture: &str) -> Platform {
        Platform { architecture: architecture.into(), os: "linux".into(), variant: None }
    }

    #[test]
    fn an_index_yields_the_image_of_this_machine_or_says_which_is_missing() {
        let mut arm = Descriptor::new(OCI_MANIFEST, Digest::of(b"arm"), 1);
        arm.platform = Some(linux("arm64"));
        let mut amd = Descriptor::new(OCI_MANIFEST, Digest::of(b"amd"), 1);
        amd.platform = Some(linux("amd64"));
        let index = Index { schema_version: 2, media_type: OCI_INDEX.into(), manifests: vec![arm, amd] };
        assert_eq!(index.pick(&linux("amd64")).expect("there").digest, Digest::of(b"amd"));
        let error = index.pick(&linux("riscv64")).expect_err("not there").to_string();
        assert_eq!(error, "image Manifest does not contain descriptor matching platform 'linux/riscv64'");
    }

    #[test]
    fn foreign_documents_are_refused_by_name() {
        assert!(matches!(Document::parse(b"{"), Err(ManifestError::Json(_))));
        assert!(matches!(Document::parse(br#"{"schemaVersion":1}"#), Err(ManifestError::Schema(1))));
        let artifact = br#"{"schemaVersion":2,"mediaType":"application/x"}"#;
        assert!(matches!(Document::parse(artifact), Err(ManifestError::MediaType(_))));
        let bad_digest = br#"{"schemaVersion":2,"config":{"digest":"sha256:../..","size":1},"layers":[]}"#;
        assert!(matches!(Document::parse(bad_digest), Err(ManifestError::Json(_))));
    }
}

//! Manifests, read from their bytes: which blobs and images one refers to. Pure.
//!
//! Only what the registry obeys is read; everything else in the document is skipped without being kept, so that a
//! manifest costs little more memory than its bytes.

use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::digest::Digest;

/// The four kinds of manifest the registry stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ManifestType {
    DockerManifest,
    DockerList,
    OciManifest,
    OciIndex,
}

impl ManifestType {
    pub const ALL: [ManifestType; 4] =
        [ManifestType::DockerManifest, ManifestType::DockerList, ManifestType::OciManifest, ManifestType::OciIndex];

    /// The media type, as in `Content-Type`.
    pub fn as_str(self) -> &'static str {
        match self {
            ManifestType::DockerManifest => "application/vnd.docker.distribution.manifest.v2+json",
            ManifestType::DockerList => "application/vnd.docker.distribution.manifest.list.v2+json",
            ManifestType::OciManifest => "application/vnd.oci.image.manifest.v1+json",
            ManifestType::OciIndex => "application/vnd.oci.image.index.v1+json",
        }
    }

    /// From a media type without parameters.
    pub fn parse(media_type: &str) -> Option<ManifestType> {
        ManifestType::ALL.into_iter().find(|kind| kind.as_str() == media_type)
    }

    /// Whether it lists other manifests, rather than a configuration and layers.
    pub fn is_index(self) -> bool {
        matches!(self, ManifestType::DockerList | ManifestType::OciIndex)
    }
}

impl fmt::Display for ManifestType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why bytes are not a manifest we store.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("manifest is not valid JSON of a manifest")]
    Json(#[source] serde_json::Error),
    #[error("manifest media type '{0}' is not supported")]
    MediaType(String),
    #[error("manifest names no media type, and neither does the request")]
    NoMediaType,
    #[error("manifest says media type '{document}', the request says '{declared}'")]
    MediaTypeMismatch { document: String, declared: String },
    #[error("manifest schema version is {0}, only 2 is supported")]
    SchemaVersion(u64),
    #[error("manifest holds both a list of manifests and a configuration or layers")]
    Ambiguous,
    #[error("image manifest has no configuration")]
    NoConfig,
    #[error("manifest refers to {count} objects, more than {max}")]
    TooManyReferences { count: usize, max: usize },
}

/// A reference from a manifest to a blob or another manifest.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    #[serde(default, rename = "urls", deserialize_with = "is_filled")]
    has_urls: bool,
}

impl Descriptor {
    /// Layers that licences forbid to redistribute are fetched from elsewhere and need not be here.
    fn is_foreign(&self) -> bool {
        let marked = self.media_type.contains(".foreign.") || self.media_type.contains(".nondistributable.");
        marked && self.has_urls
    }
}

/// A manifest's content, as far as the registry acts on it.
#[derive(Debug, Clone)]
pub struct Manifest {
    pub kind: ManifestType,
    /// Of image manifests only.
    pub config: Option<Descriptor>,
    pub layers: Vec<Descriptor>,
    /// Of indexes only.
    pub manifests: Vec<Descriptor>,
    pub subject: Option<Descriptor>,
    pub artifact_type: Option<String>,
    /// A JSON object of texts, as written.
    pub annotations: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u64,
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    annotations: Option<Box<RawValue>>,
}

impl Manifest {
    /// Reads a manifest. `declared` is the request's media type, parameters permitted; it and the document's own must
    /// agree when both are there, and a document that could be read as two kinds is refused (CVE-2021-41190).
    pub fn parse(bytes: &[u8], declared: Option<&str>) -> Result<Manifest, ManifestError> {
        let document: Document = serde_json::from_slice(bytes).map_err(ManifestError::Json)?;
        if document.schema_version != 2 {
            return Err(ManifestError::SchemaVersion(document.schema_version));
        }
        if let Some(annotations) = &document.annotations {
            serde_json::from_str::<Texts>(annotations.get()).map_err(ManifestError::Json)?;
        }
        let declared = declared.map(|text| text.split(';').next().unwrap_or_default().trim());
        let media_type = match (document.media_type.as_deref(), declared) {
            (Some(document), Some(declared)) if document != declared => {
                return Err(ManifestError::MediaTypeMismatch { document: clip(document), declared: clip(declared) });
            }
            (Some(media_type), _) | (None, Some(media_type)) => media_type,
            (None, None) => return Err(ManifestError::NoMediaType),
        };
        let kind = ManifestType::parse(media_type).ok_or_else(|| ManifestError::MediaType(clip(media_type)))?;
        let is_image = document.config.is_some() || document.layers.is_some();
        let is_list = document.manifests.is_some();
        let fits = if kind.is_index() { !is_image } else { !is_list };
        if !fits {
            return Err(ManifestError::Ambiguous);
        }
        if !kind.is_index() && document.config.is_none() {
            return Err(ManifestError::NoConfig);
        }
        Ok(Manifest {
            kind,
            config: document.config,
            layers: document.layers.unwrap_or_default(),
            manifests: document.manifests.unwrap_or_default(),
            subject: document.subject,
            artifact_type: document.artifact_type.filter(|text| !text.is_empty()),
            annotations: document.annotations,
        })
    }

    /// Refuses a manifest that refers to more than `max` objects.
    pub(crate) fn check_references(self, max: usize) -> Result<Manifest, ManifestError> {
        let count = self.layers.len() + self.manifests.len();
        if count > max { Err(ManifestError::TooManyReferences { count, max }) } else { Ok(self) }
    }

    /// The blobs that must be in the repository before the manifest is.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.config.iter().chain(self.layers.iter().filter(|layer| !layer.is_foreign()))
    }

    /// Bytes of the configuration and all layers, as compressed. Zero for an index.
    pub fn size_bytes(&self) -> u64 {
        self.config.iter().chain(&self.layers).fold(0, |sum: u64, descriptor| sum.saturating_add(descriptor.size))
    }

    /// What kind of artifact it is, by the rule of the referrers API: its own word, else its configuration's type.
    pub fn artifact_type(&self) -> Option<&str> {
        self.artifact_type.as_deref().or(self.config.as_ref().map(|config| config.media_type.as_str()))
    }
}

/// An object of texts, seen to be one and not kept: as a map it would take ten times the memory of its JSON.
struct Texts;

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Texts, D::Error> {
        deserializer.deserialize_map(Texts)
    }
}

impl<'de> Visitor<'de> for Texts {
    type Value = Texts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts, A::Error> {
        while map.next_entry::<String, String>()?.is_some() {}
        Ok(Texts)
    }
}

/// Whether a list (or nothing) has an element.
fn is_filled<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    struct IsFilled;
    impl<'de> Visitor<'de> for IsFilled {
        type Value = bool;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list or null")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
            let mut filled = false;
            while list.next_element::<IgnoredAny>()?.is_some() {
                filled = true;
            }
            Ok(filled)
        }

        fn visit_unit<E>(self) -> Result<bool, E> {
            Ok(false)
        }
    }
    deserializer.deserialize_any(IsFilled)
}

/// All blobs and images that a stored manifest refers to, whatever its kind; not its subject. `None` if it is none.
pub(crate) fn references(bytes: &[u8]) -> Option<Vec<Digest>> {
    let document: Document = serde_json::from_slice(bytes).ok()?;
    let lists = document.layers.into_iter().chain(document.manifests).flatten();
    Some(document.config.into_iter().chain(lists).map(|descriptor| descriptor.digest).collect())
}

/// Foreign text for an error message: bounded, on a character boundary.
fn clip(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";

    fn descriptor(content: &str, size: i64) -> String {
        format!(r#"{{"mediaType":"application/x","digest":"{}","size":{size}}}"#, Digest::of(content.as_bytes()))
    }

    #[test]
    fn an_image_manifest_names_its_blobs() {
        let text = format!(
            r#"{{"schemaVersion":2,"mediaType":"{OCI}","config":{},"layers":[{},{}],"unknown":[[1]]}}"#,
            descriptor("c", 1),
            descriptor("l", 10),
            descriptor("m", 100),
        );
        let manifest = Manifest::parse(text.as_bytes(), Some(&format!("{OCI}; charset=utf-8"))).unwrap();
        assert_eq!(manifest.kind, ManifestType::OciManifest);
        assert_eq!(manifest.blobs().count(), 3);
        assert_eq!(manifest.size_bytes(), 111);
        assert_eq!(manifest.artifact_type(), Some("application/x"));
    }

    #[test]
    fn foreign_layers_need_not_be_here() {
        let foreign = format!(
            r#"{{"mediaType":"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip","digest":"{}","size":1,"urls":["https://x"]}}"#,
            Digest::of(b"f"),
        );
        let text = format!(r#"{{"schemaVersion":2,"config":{},"layers":[{foreign}]}}"#, descriptor("c", 1));
        assert_eq!(Manifest::parse(text.as_bytes(), Some(OCI)).unwrap().blobs().count(), 1);
    }

    #[test]
    fn an_index_may_be_empty() {
        for list in ["[]", "null"] {
            let text = format!(r#"{{"schemaVersion":2,"manifests":{list}}}"#);
            assert!(Manifest::parse(text.as_bytes(), Some(INDEX)).unwrap().manifests.is_empty());
        }
    }

    #[test]
    fn bad_manifests_are_refused() {
        let config = descriptor("c", 1);
        let negative = descriptor("c", -1);
        for (text, declared) in [
            (String::new(), Some(OCI)),
            ("[]".into(), Some(OCI)),
            ("null".into(), Some(OCI)),
            ("[".repeat(100_000), Some(OCI)),
            (format!(r#"{{"schemaVersion":1,"config":{config}}}"#), Some(OCI)),
            (format!(r#"{{"schemaVersion":2,"config":{config}}}"#), None),
            (format!(r#"{{"schemaVersion":2,"config":{config}}}"#), Some("text/plain")),
            (format!(r#"{{"schemaVersion":2,"config":{negative}}}"#), Some(OCI)),
            (format!(r#"{{"schemaVersion":2,"config":{config},"config":{config}}}"#), Some(OCI)),
            (format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","config":{config}}}"#), Some(OCI)),
            (format!(r#"{{"schemaVersion":2,"config":{config},"manifests":[]}}"#), Some(OCI)),
            (r#"{"schemaVersion":2,"layers":[],"manifests":[]}"#.into(), Some(INDEX)),
            (r#"{"schemaVersion":2,"layers":[]}"#.into(), Some(OCI)),
            (format!(r#"{{"schemaVersion":2,"config":{config},"annotations":{{"a":1}}}}"#), Some(OCI)),
            (format!(r#"{{"schemaVersion":2,"config":{config},"annotations":["a"]}}"#), Some(OCI)),
            (format!(r#"{{"schemaVersion":2,"config":{config}}}"#), Some("application/vnd.OCI.image.manifest.v1+json")),
            (r#"{"schemaVersion":2,"config":{"mediaType":"x","digest":"sha256:../..","size":1}}"#.into(), Some(OCI)),
        ] {
            assert!(Manifest::parse(text.as_bytes(), declared).is_err(), "{}", clip(&text));
        }
    }
}

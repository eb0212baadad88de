//! What the fuzz targets reach of this crate and nobody else needs.

use crate::config::ConfigFile;
use crate::manifest::{Document, Platform};

pub use crate::build::fuzzing::{dockerfile, expand, ignores, path_matches, words};

/// What a manifest that came from a registry names: its layers, or the images of an index.
pub fn document(bytes: &[u8]) -> Option<Vec<crate::Digest>> {
    Some(match Document::parse(bytes).ok()? {
        Document::Manifest(manifest) => manifest.layers.iter().map(|layer| layer.digest).collect(),
        Document::Index(index) => {
            let _ = index.pick(&Platform::host());
            index.manifests.iter().map(|image| image.digest).collect()
        }
    })
}

/// An image's configuration, read and written again.
pub fn config(bytes: &[u8]) -> Option<Vec<u8>> {
    let config: ConfigFile = serde_json::from_slice(bytes).ok()?;
    serde_json::to_vec(&config).ok()
}

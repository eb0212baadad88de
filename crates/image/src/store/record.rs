//! What is stored about an image and about a reference.

use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::layout::Layout;
use super::{blobs, layers};
use crate::config::ConfigFile;
use crate::digest::{ChainId, Digest, ImageId};
use crate::image::Image;
use crate::manifest::Descriptor;

/// `images/<hex>.json`: written after all that it names.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub id: ImageId,
    /// Media type of the manifest.
    pub media_type: String,
    pub config: Descriptor,
    /// Bottom first.
    pub layers: Vec<LayerRecord>,
}

/// One layer of an image, in both of its forms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LayerRecord {
    pub chain: ChainId,
    pub diff_id: Digest,
    /// The compressed blob.
    pub blob: Descriptor,
    /// Bytes of the uncompressed archive.
    pub archive_bytes: u64,
}

/// `refs/<hex>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RefRecord {
    /// The canonical reference.
    pub reference: String,
    /// What the registry said the reference is: the digest of an index, or of the image's own manifest.
    pub digest: Digest,
    pub image: ImageId,
}

/// The image of `record`; `None` where a part of it is gone.
pub(crate) fn load(layout: &Layout, record: &Record, config_max: u64) -> Result<Option<Image>, StoreError> {
    let Some(bytes) = blobs::read(layout, record.config.digest, config_max)? else { return Ok(None) };
    for layer in &record.layers {
        if layers::find(layout, layer.chain)?.is_none() || !layout.short(layer.chain).join(".").exists() {
            return Ok(None);
        }
    }
    let what = || format!("image configuration {}", record.config.digest);
    let file: ConfigFile =
        serde_json::from_slice(&bytes).map_err(|source| StoreError::Json { what: what(), source })?;
    Ok(Some(assemble(layout, record, file)))
}

/// Puts an image together whose parts are known to be there.
pub(crate) fn assemble(layout: &Layout, record: &Record, file: ConfigFile) -> Image {
    let mut lower: Vec<_> = record.layers.iter().rev().map(|layer| layout.short(layer.chain)).collect();
    if lower.is_empty() {
        lower.push(layout.empty_layer());
    }
    Image {
        id: record.id,
        config_digest: record.config.digest,
        config: file.config,
        created: file.created,
        layers: lower,
        chain: record.layers.iter().map(|layer| layer.chain).collect(),
        compressed_bytes: record.layers.iter().map(|layer| layer.blob.size).sum(),
        unpacked_bytes: record.layers.iter().map(|layer| layer.archive_bytes).sum(),
    }
}

//! Results of build steps, by all that they depend on.
//!
//! A key is the digest of the layers below, the instruction with its variables put in, and the content of what it copies.
//! Times of files are no part of it: a checkout of the same files is no reason to copy them again.

use serde::{Deserialize, Serialize};

use crate::digest::{ChainId, Digest};
use crate::store::record::LayerRecord;
use crate::store::{Inner, StoreError, blobs, layers, read_json, write_json};

/// Bumped when the same step gives another result than before.
const VERSION: u32 = 3;

/// What a step gave: a layer, or nothing when it changed nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CachedStep {
    pub layer: Option<LayerRecord>,
}

/// The key of a step on top of `below`. `details` serializes to all that its result depends on.
pub(super) fn key(below: Option<ChainId>, epoch: Option<i64>, details: &impl Serialize) -> Result<Digest, StoreError> {
    let bytes = serde_json::to_vec(&(VERSION, below, epoch, details))
        .map_err(|source| StoreError::Json { what: "build step".to_owned(), source })?;
    Ok(Digest::of(&bytes))
}

/// The step's result, if it is known and its layer is still here.
pub(super) fn find(inner: &Inner, key: Digest) -> Result<Option<CachedStep>, StoreError> {
    let Some(step) = read_json::<CachedStep>(&inner.layout.cache(key))? else { return Ok(None) };
    if let Some(layer) = &step.layer
        && (layers::find_linked(&inner.layout, layer.chain)?.is_none()
            || blobs::size(&inner.layout, layer.blob.digest) != Some(layer.blob.size))
    {
        return Ok(None);
    }
    // Says when it was used last; what fails here only makes it go earlier.
    let path = inner.layout.cache(key);
    let _ = std::fs::File::open(&path).and_then(|file| file.set_modified(std::time::SystemTime::now()));
    Ok(Some(step))
}

/// Remembers the step's result.
pub(super) fn put(inner: &Inner, key: Digest, layer: Option<&LayerRecord>) -> Result<(), StoreError> {
    write_json(&inner.session, &inner.layout.cache(key), &CachedStep { layer: layer.cloned() })
}

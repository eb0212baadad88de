//! Blobs: content named by its digest.
//!
//! Whoever uses one again hashes it while reading (here, in [`crate::ingest`], a registry on push), so what a power cut
//! damaged is found and fetched anew.

use std::fs::{self, File};
use std::io::{self, Read};

use super::error::StoreError;
use super::files::write_atomically;
use super::layout::Layout;
use super::session::{Session, TempPath};
use crate::digest::Digest;

/// Stores `bytes`, which are few, under their digest. A damaged blob of that name is replaced.
pub(crate) fn put(layout: &Layout, session: &Session, bytes: &[u8]) -> Result<Digest, StoreError> {
    let digest = Digest::of(bytes);
    if read(layout, digest, bytes.len() as u64)?.is_none() {
        write_atomically(session, &layout.blob(digest), bytes)?;
    }
    Ok(digest)
}

/// Moves a finished file into place. Its digest was computed while it was written.
pub(crate) fn adopt(layout: &Layout, file: TempPath, digest: Digest) -> Result<(), StoreError> {
    let path = layout.blob(digest);
    file.rename(&path).map_err(StoreError::io("rename into", &path))
}

/// The blob's size in bytes, if it is here.
pub(crate) fn size(layout: &Layout, digest: Digest) -> Option<u64> {
    fs::metadata(layout.blob(digest)).ok().map(|meta| meta.len())
}

/// Opens the blob, if it is here. The content is not verified: hash it while reading.
pub(crate) fn open(layout: &Layout, digest: Digest) -> Result<Option<File>, StoreError> {
    let path = layout.blob(digest);
    match File::open(&path) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(StoreError::io("open", &path)(e)),
    }
}

/// Reads a small blob and verifies it; a damaged one is removed and is as if absent.
pub(crate) fn read(layout: &Layout, digest: Digest, max: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let Some(file) = open(layout, digest)? else { return Ok(None) };
    let path = layout.blob(digest);
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes).map_err(StoreError::io("read", &path))?;
    if bytes.len() as u64 <= max && Digest::of(&bytes) == digest {
        return Ok(Some(bytes));
    }
    tracing::warn!(%digest, "removing a damaged blob");
    remove(layout, digest)?;
    Ok(None)
}

/// Removes the blob, if it is here.
pub(crate) fn remove(layout: &Layout, digest: Digest) -> Result<(), StoreError> {
    let path = layout.blob(digest);
    match fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove", &path)(e)),
        _ => Ok(()),
    }
}

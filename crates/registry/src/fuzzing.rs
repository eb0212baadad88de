//! What the fuzz targets reach of this crate and nobody else needs.

use crate::range::{ChunkRange, Wanted, wanted};

/// The bytes of a blob of this length that a `Range` header asks for: first and last; `None` for all or nothing of it.
pub fn download_range(header: &str, length: u64) -> Option<(u64, u64)> {
    match wanted(Some(header), length) {
        Wanted::Part { first, last } => Some((first, last)),
        _ => None,
    }
}

/// Length of the chunk that a `Content-Range` of an upload announces.
pub fn chunk_length(header: &str) -> Option<u64> {
    ChunkRange::parse(header).map(|range| range.length())
}

/// What a stored manifest refers to, as the garbage collector sees it.
pub fn references(manifest: &[u8]) -> Option<Vec<crate::Digest>> {
    crate::manifest::references(manifest)
}

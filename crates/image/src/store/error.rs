//! What can go wrong with the store's own files.

use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Digest;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot {doing} {}: {source}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("content of {what} has digest {actual}, expected {expected}")]
    Digest { what: String, expected: Digest, actual: Digest },
    #[error("malformed {what}")]
    Json { what: String, source: serde_json::Error },
    #[error("image {0} is not in the store")]
    NoImage(String),
    #[error("the image store is busy: another process is pulling, building or importing")]
    Busy,
    #[error("invalid name `{0}` for a writable layer")]
    Name(String),
}

impl StoreError {
    /// Wraps an I/O error of doing something (`"read"`) to `path`.
    pub(crate) fn io(doing: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { doing, path, source }
    }
}

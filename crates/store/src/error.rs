//! What can go wrong in the store itself. A transaction's own error is the caller's type, not this one.

use crate::engine::file;
use std::path::PathBuf;
use std::sync::Arc;

/// A failure of the store. Clones share their source: one failed commit answers every caller of its batch.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The disk refused. The transaction is undone; reads go on, and a later write may succeed again.
    #[error("cannot {action} the store at {path}")]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// Another process has the file open.
    #[error("the store at {path} is in use by another process")]
    InUse { path: PathBuf },
    /// The file is not a store, or is damaged.
    #[error("the store at {path} is damaged: {reason}; restore a copy, or move the file away to start empty")]
    Corrupt { path: PathBuf, reason: String },
    /// A row in the file does not read as its table's type.
    #[error("table {table}, key {key}: the stored row cannot be read: {reason}")]
    Row { table: String, key: String, reason: String },
    /// The file was written by a newer release.
    #[error("table {table} is stored in version {stored}, newer than version {known} that this release knows")]
    Newer { table: String, stored: u32, known: u32 },
    /// A row that a transaction wrote has no JSON form. The transaction is undone.
    #[error("table {table}: a written row cannot be encoded: {reason}")]
    Encode { table: &'static str, reason: String },
    /// The transaction's closure panicked. It is undone.
    #[error("a transaction panicked: {0}")]
    Panicked(String),
    /// The store is shut down.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// The disk, or a quota on it, is full.
    pub fn is_full(&self) -> bool {
        let Self::Io { source, .. } = self else { return false };
        source.downcast_ref().is_some_and(file::is_full)
    }
}

/// A row with this key exists already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a row with this key exists in table {table}")]
pub struct Exists {
    pub table: &'static str,
}

//! What can go wrong with stored logs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A failure of the log store. Clones share their source: one failed write answers every caller of its batch.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// The disk refused. Nothing of the batch is stored; a later append may succeed again.
    #[error("cannot {action} {path}")]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: Arc<std::io::Error>,
    },
    /// Another process has the directory open.
    #[error("the logs at {path} are in use by another process")]
    InUse { path: PathBuf },
    /// A file does not hold what was written.
    #[error("{path} is damaged: {reason}")]
    Corrupt { path: PathBuf, reason: String },
    /// The store is shut down.
    #[error("the log store is closed")]
    Closed,
}

impl LogError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source: Arc::new(source) }
    }

    pub(crate) fn corrupt(path: &Path, reason: impl Into<String>) -> Self {
        Self::Corrupt { path: path.to_owned(), reason: reason.into() }
    }
}

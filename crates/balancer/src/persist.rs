//! The latest configuration on disk, so that a restarted balancer serves before anybody tells it what.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::Config;

/// Why the file cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PersistError {
    #[error("cannot write {path}: {source}")]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot understand {path}: {source}")]
    Parse { path: PathBuf, source: serde_json::Error },
}

/// Replaces the file; readers see the old or the new one.
pub(crate) fn save(path: &Path, config: &Config) -> Result<(), PersistError> {
    let write_error = |source| PersistError::Write { path: path.to_owned(), source };
    let bytes = serde_json::to_vec(config).map_err(|error| write_error(error.into()))?;
    let fresh = path.with_extension("json.new");
    // Not synced: the file is for a restarted process, not for a restarted machine, whose namespaces are gone.
    std::fs::write(&fresh, bytes).and_then(|()| std::fs::rename(&fresh, path)).map_err(write_error)
}

/// The configuration saved last; `None` when there is none yet.
pub(crate) fn load(path: &Path) -> Result<Option<Config>, PersistError> {
    match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(PersistError::Read { path: path.to_owned(), source }),
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| PersistError::Parse { path: path.to_owned(), source }),
    }
}

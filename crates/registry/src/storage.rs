//! Small things every file operation of the registry needs: errors with path and verb, work off the reactor, fsync.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::room::Shortage;

/// A file operation that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct StorageError {
    pub action: &'static str,
    pub path: PathBuf,
    #[source]
    pub source: io::Error,
}

impl StorageError {
    /// The disk, or a quota on it, is full: the one failure a client can be told the reason of.
    pub fn is_full(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    }

    /// What is missing, where it is we who keep it free.
    pub fn shortage(&self) -> Option<&Shortage> {
        self.source.get_ref()?.downcast_ref()
    }
}

/// Puts verb and path to an `io::Error`.
pub(crate) trait At<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, StorageError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T, StorageError> {
        self.map_err(|source| StorageError { action, path: path.to_owned(), source })
    }
}

/// Like [`At`], with `None` for a missing file.
pub(crate) fn if_there<T>(result: io::Result<T>, action: &'static str, path: &Path) -> Result<Option<T>, StorageError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).at(action, path),
    }
}

/// Runs file operations on a thread that may block. It runs to its end even if the caller stops waiting.
pub(crate) async fn off_reactor<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down before the work began: no request will be answered any more.
            Err(_cancelled) => std::future::pending().await,
        },
    }
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> Result<(), StorageError> {
    File::open(path).and_then(|directory| directory.sync_all()).at("sync directory", path)
}

/// Creates a directory and its parents below `root`, durably; quick when it exists.
pub(crate) fn create_directory(root: &Path, path: &Path) -> Result<(), StorageError> {
    if path.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(path).at("create directory", path)?;
    for ancestor in path.ancestors().skip(1).take_while(|ancestor| ancestor.starts_with(root)) {
        sync_directory(ancestor)?;
    }
    Ok(())
}

/// Names in a directory that are UTF-8; others are not ours. Empty if there is no directory.
pub(crate) fn names_in(path: &Path) -> Result<Vec<String>, StorageError> {
    let Some(entries) = if_there(fs::read_dir(path), "list", path)? else { return Ok(Vec::new()) };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.at("list", path)?.file_name().into_string());
    }
    Ok(names)
}

//! Small files, written whole or not at all.
//!
//! They are not flushed one by one: with hundreds of megabytes of layers on their way to the disk, each `fsync` would wait for
//! all of them. A file that a power cut left empty or torn is recognized (its JSON does not parse, its digest differs) and
//! treated as lost; [`super::ImageStore::flush`] makes everything durable at once.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::StoreError;
use super::session::Session;

/// Writes `bytes` to `path` by way of a temporary file.
pub(crate) fn write_atomically(session: &Session, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let temp = session.path("file");
    let written = File::create_new(temp.as_path()).and_then(|mut file| file.write_all(bytes));
    written.map_err(StoreError::io("write", path))?;
    temp.rename(path).map_err(StoreError::io("rename into", path))
}

/// Writes `value` as JSON.
pub(crate) fn write_json(session: &Session, path: &Path, value: &impl Serialize) -> Result<(), StoreError> {
    let bytes =
        serde_json::to_vec(value).map_err(|source| StoreError::Json { what: path.display().to_string(), source })?;
    write_atomically(session, path, &bytes)
}

/// Reads JSON; `None` where there is no file, or none that can be understood: such a file is treated as lost.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => match serde_json::from_slice(&bytes) {
            Ok(value) => Ok(Some(value)),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "ignoring a damaged file");
                Ok(None)
            }
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(StoreError::io("read", path)(e)),
    }
}

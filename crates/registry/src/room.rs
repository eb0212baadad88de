//! What the registry leaves free on its disk, for what shares it: tasks, logs, the control plane's store.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::StatVfs;

use crate::storage::{At as _, StorageError};

/// A client tries a push that found no room many times; that it did is logged this often at most.
const WARNING_PERIOD: Duration = Duration::from_secs(60);

/// How much is kept free: whichever is less.
#[derive(Debug, Clone, Copy)]
pub struct KeptFree {
    pub bytes: u64,
    /// Of the file system's size.
    pub percent: u64,
}

impl KeptFree {
    pub const NOTHING: KeptFree = KeptFree { bytes: 0, percent: 0 };

    fn of(self, disk: &StatVfs) -> u64 {
        self.bytes.min((disk.f_blocks.saturating_mul(disk.f_frsize) / 100).saturating_mul(self.percent))
    }
}

impl Default for KeptFree {
    fn default() -> KeptFree {
        KeptFree { bytes: 512 << 20, percent: 5 }
    }
}

/// A disk with less free than is kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} MiB are free in {} and {} MiB are kept free: free some or use another --data-dir",
    free_bytes >> 20, directory.display(), kept_bytes >> 20
)]
pub struct Shortage {
    pub directory: PathBuf,
    pub free_bytes: u64,
    pub kept_bytes: u64,
}

impl Shortage {
    /// Whether the disk of a directory has less free than a registry in it keeps.
    pub fn of(directory: &Path) -> io::Result<Option<Shortage>> {
        let disk = rustix::fs::statvfs(directory)?;
        Ok(Shortage::after(&disk, directory, 0, KeptFree::default()))
    }

    /// The same once `bytes` more are written.
    fn after(disk: &StatVfs, directory: &Path, bytes: u64, kept: KeptFree) -> Option<Shortage> {
        let (free_bytes, kept_bytes) = (disk.f_bavail.saturating_mul(disk.f_frsize), kept.of(disk));
        let is_short = free_bytes.saturating_sub(bytes) < kept_bytes;
        is_short.then(|| Shortage { directory: directory.to_owned(), free_bytes, kept_bytes })
    }
}

/// The room in one registry's directory.
#[derive(Debug)]
pub(crate) struct Room {
    directory: PathBuf,
    kept: KeptFree,
    warned_at: Mutex<Option<Instant>>,
}

impl Room {
    pub(crate) fn new(directory: &Path, kept: KeptFree) -> Room {
        Room { directory: directory.to_owned(), kept, warned_at: Mutex::default() }
    }

    /// Refuses to write `bytes` more to a file when there is no room for them.
    pub(crate) fn check(&self, file: &File, path: &Path, bytes: u64) -> Result<(), StorageError> {
        let disk = rustix::fs::fstatvfs(file).map_err(io::Error::from).at("examine", path)?;
        let Some(shortage) = Shortage::after(&disk, &self.directory, bytes, self.kept) else { return Ok(()) };
        self.warn(&shortage);
        Err(io::Error::new(io::ErrorKind::StorageFull, shortage)).at("write", path)
    }

    fn warn(&self, shortage: &Shortage) {
        let mut warned_at = self.warned_at.lock().unwrap_or_else(PoisonError::into_inner);
        if warned_at.is_none_or(|at| at.elapsed() >= WARNING_PERIOD) {
            *warned_at = Some(Instant::now());
            tracing::warn!("a push is refused: {shortage}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twentieth_of_a_small_disk_and_half_a_gibibyte_of_a_large_one_is_kept_free() {
        let mut disk = rustix::fs::statvfs("/").unwrap();
        disk.f_frsize = 1 << 20;
        for (size_mib, kept_mib) in [(0, 0), (900, 45), (20_480, 512), (1 << 20, 512)] {
            disk.f_blocks = size_mib;
            assert_eq!(KeptFree::default().of(&disk) >> 20, kept_mib, "{size_mib} MiB");
        }
        (disk.f_blocks, disk.f_bavail) = (900, 46);
        let short = |bytes| Shortage::after(&disk, Path::new("/data"), bytes, KeptFree::default());
        assert_eq!(short(1 << 20), None);
        let text = "46 MiB are free in /data and 45 MiB are kept free: free some or use another --data-dir";
        assert_eq!(short(2 << 20).unwrap().to_string(), text);
    }
}

//! The file under redb: locked by one process, and remembered when it cannot be trusted any more.
//!
//! **After a failed flush.** Linux marks pages clean that it could not write, and says so once. They go on to be read as
//! if they were stored, the next flush succeeds without them, and a power failure loses them. So from then on nothing that
//! is read tells what the file holds, and no flush of it means anything: everything must be written again, elsewhere.
//!
//! **A full disk** does no such harm: it refuses a write before it takes it.

use redb::StorageBackend;
use rustix::fs::{Advice, FallocateFlags};
use std::fmt::Debug;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Makes what was written to a file durable.
pub trait Flush: Debug + Send + Sync {
    fn flush(&self, file: &File) -> io::Result<()>;
}

/// As the kernel does it.
#[derive(Debug)]
pub struct FlushToDisk;

impl Flush for FlushToDisk {
    fn flush(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }
}

/// An open file. Clones are one file; the last that is dropped unlocks it.
#[derive(Clone, Debug)]
pub struct StoreFile {
    file: Arc<File>,
    flush: Arc<dyn Flush>,
    doubtful: Arc<AtomicBool>,
}

impl StoreFile {
    /// Opens the file, or creates it readable by its owner only, and locks it; `WouldBlock` when another process has it.
    pub fn open(path: &Path, flush: Arc<dyn Flush>) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => ErrorKind::WouldBlock.into(),
            TryLockError::Error(error) => error,
        })?;
        // A process before us may have left after a failed flush: what it wrote is to be read from the disk, or not at all.
        flush.flush(&file)?;
        let _ = rustix::fs::fadvise(&file, 0, None, Advice::DontNeed);
        // What cannot be read may not be needed.
        let _ = read_ahead(&file);
        Ok(Self { file: Arc::new(file), flush, doubtful: Arc::default() })
    }

    /// A file in place of whatever is at `path`.
    pub fn create(&self, path: &Path) -> io::Result<Self> {
        remove_if_there(path)?;
        Self::open(path, Arc::clone(&self.flush))
    }

    /// Whether nobody can say any more what it holds.
    pub fn is_doubtful(&self) -> bool {
        self.doubtful.load(Ordering::Relaxed)
    }

    /// Takes room for its holes and for `bytes` beyond its end, so that it can be written and grow without any.
    pub fn allocate(&self, bytes: u64) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        // One after the other, for some file systems take nothing if there is not room for all.
        for (start, length) in [(0, length), (length, bytes)] {
            rustix::fs::fallocate(&self.file, FallocateFlags::KEEP_SIZE, start, length)?;
        }
        Ok(())
    }

    pub fn doubt(&self) {
        self.doubtful.store(true, Ordering::Relaxed);
    }

    fn noted<T>(&self, done: io::Result<T>) -> io::Result<T> {
        if done.is_err() {
            self.doubt();
        }
        done
    }

    /// For what a full disk refuses as well.
    fn noted_unless_full(&self, done: io::Result<()>) -> io::Result<()> {
        match done {
            Err(error) if is_full(&error) => Err(error),
            other => self.noted(other),
        }
    }
}

impl StorageBackend for StoreFile {
    fn len(&self) -> io::Result<u64> {
        self.noted(self.file.metadata()).map(|metadata| metadata.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.noted(self.file.read_exact_at(out, offset))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.noted_unless_full(self.file.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.noted(self.flush.flush(&self.file))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.noted_unless_full(self.file.write_all_at(data, offset))
    }
}

/// Reads a file in its order, for all of it is about to be read by single pages in another.
fn read_ahead(mut file: &File) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    while file.read(&mut buffer)? > 0 {}
    Ok(())
}

/// The disk, or a quota on it, is full.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// Makes the names in the directory of `path` durable.
pub fn sync_directory_of(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

pub fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

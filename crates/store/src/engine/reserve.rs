//! Room that is kept for the day the disk is full, so that what ends and removes things can be stored even then.
//!
//! ```text
//!              room                            a commit finds no room
//! no file ──────────────▶ held: a file of `bytes` ──────────────▶ released: an empty file
//!                              ▲                   room                     │
//!                              └────────────────────────────────────────────┘
//! ```
//! The file tells which it is, after a restart as well. On a disk that never had room for it there is none, and a full disk
//! refuses everything.

use super::FullDisk;
use super::file::{StoreFile, remove_if_there};
use rustix::fs::{FallocateFlags, fallocate, statvfs};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Time between two looks at the disk.
const LOOK_PERIOD: Duration = Duration::from_secs(2);

/// See the module.
pub struct Reserve {
    path: PathBuf,
    bytes: u64,
    state: State,
    looked_at: Option<Instant>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    None,
    Held,
    Released,
}

impl Reserve {
    /// The reserve in the file at `path`, made now if there is room for it.
    pub fn open(path: PathBuf, bytes: u64) -> Self {
        let state = match path.metadata() {
            // Blocks, for a copy of the file may have none.
            Ok(metadata) if metadata.blocks() * 512 >= bytes => State::Held,
            Ok(_) => State::Released,
            Err(_) => State::None,
        };
        let mut reserve = Self { path, bytes, state, looked_at: None };
        reserve.look();
        reserve
    }

    /// Gives the room to the store's file, or to whoever comes if there is to be another; false when there is none to give.
    pub fn release(&mut self, store: Option<&StoreFile>) -> bool {
        if self.state != State::Held {
            return false;
        }
        if let Err(error) = OpenOptions::new().write(true).truncate(true).open(&self.path) {
            tracing::error!(path = %self.path.display(), %error, "the reserve cannot be released");
            return false;
        }
        // At once, before whatever fills the disk takes it. The rest is for what the file system itself needs.
        if let Some(Err(error)) = store.map(|store| store.allocate(self.bytes / 2)) {
            tracing::debug!(%error, "the store's file could not be given the reserve's room");
        }
        self.state = State::Released;
        self.looked_at = Some(Instant::now());
        let full = self.full_disk();
        tracing::error!(directory = %full.directory.display(), wanted_bytes = full.wanted_bytes, "the disk is full");
        true
    }

    /// The disk, if the reserve was released and there is no room to hold it again.
    pub fn look(&mut self) -> Option<FullDisk> {
        let is_due = self.looked_at.is_none_or(|at| at.elapsed() >= LOOK_PERIOD);
        if self.state != State::Held && is_due {
            self.looked_at = Some(Instant::now());
            self.hold_if_there_is_room();
        }
        (self.state == State::Released).then(|| self.full_disk())
    }

    fn full_disk(&self) -> FullDisk {
        FullDisk { directory: self.directory().to_owned(), wanted_bytes: self.wanted_bytes() }
    }

    fn directory(&self) -> &Path {
        self.path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// What must be free before it is made: it must not be the one that fills the disk.
    fn wanted_bytes(&self) -> u64 {
        self.bytes * 3
    }

    fn hold_if_there_is_room(&mut self) {
        let free_bytes = statvfs(self.directory()).map_or(0, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        if free_bytes < self.wanted_bytes() {
            return;
        }
        match self.allocate() {
            Ok(()) => {
                if self.state == State::Released {
                    tracing::info!(directory = %self.directory().display(), "the disk has room again");
                }
                self.state = State::Held;
            }
            Err(error) => tracing::debug!(path = %self.path.display(), %error, "the reserve cannot be made"),
        }
    }

    fn allocate(&self) -> io::Result<()> {
        let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&self.path)?;
        let allocated = fallocate(&file, FallocateFlags::empty(), 0, self.bytes);
        if allocated.is_err() {
            self.undo(&file);
        }
        Ok(allocated?)
    }

    /// Leaves the file as the state says.
    fn undo(&self, file: &File) {
        let _ = match self.state {
            State::None => remove_if_there(&self.path),
            State::Held | State::Released => file.set_len(0),
        };
    }
}

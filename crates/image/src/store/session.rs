//! The directory in which one process makes things before they are renamed into place.
//!
//! It holds a locked file for as long as the process lives. The kernel lets go of the lock when the process ends,
//! however it ends, so the next session can tell the remains of a crash from another process's work.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{CWD, FlockOperation, RenameFlags};

use super::error::StoreError;
use crate::tree::remove_tree;

pub(crate) struct Session {
    dir: PathBuf,
    next: AtomicU64,
    _lock: File,
}

impl Session {
    /// Makes a session below `tmp` and removes what dead ones left.
    pub fn start(tmp: &Path) -> Result<Self, StoreError> {
        sweep(tmp)?;
        let dir = tempfile::Builder::new()
            .prefix(&format!("{}-", std::process::id()))
            .tempdir_in(tmp)
            .map_err(StoreError::io("make a directory in", tmp))?
            .keep();
        let path = dir.join("lock");
        let lock = File::create(&path).map_err(StoreError::io("make", &path))?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|e| StoreError::io("lock", &path)(e.into()))?;
        Ok(Self { dir, next: AtomicU64::new(0), _lock: lock })
    }

    /// A new path of this session. Nothing is there yet.
    pub fn path(&self, kind: &str) -> TempPath {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        TempPath(Some(self.dir.join(format!("{kind}-{n}"))))
    }

    /// A new, empty directory of this session.
    pub fn dir(&self, kind: &str) -> Result<TempPath, StoreError> {
        let path = self.path(kind);
        fs::create_dir(path.as_path()).map_err(StoreError::io("make", path.as_path()))?;
        Ok(path)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = remove_tree(&self.dir);
    }
}

/// Removes the directories of sessions whose process is gone.
fn sweep(tmp: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(tmp).map_err(StoreError::io("list", tmp))? {
        let dir = entry.map_err(StoreError::io("list", tmp))?.path();
        let alive = match File::open(dir.join("lock")) {
            Ok(lock) => rustix::fs::flock(&lock, FlockOperation::NonBlockingLockShared).is_err(),
            // Without a lock file a session is either being made right now or was cut off while starting.
            Err(_) => fs::metadata(&dir)
                .and_then(|m| m.modified())
                .is_ok_and(|at| at.elapsed().is_ok_and(|age| age.as_secs() < 60)),
        };
        if !alive && let Err(error) = remove_tree(&dir) {
            tracing::warn!(path = %dir.display(), %error, "cannot remove an abandoned directory");
        }
    }
    Ok(())
}

/// A path that is removed, tree and all, unless it was kept or renamed away.
pub(crate) struct TempPath(Option<PathBuf>);

impl TempPath {
    pub fn as_path(&self) -> &Path {
        self.0.as_deref().expect("the path is taken only by `keep`, which consumes self")
    }

    /// Renames it to its final place.
    pub fn rename(mut self, to: &Path) -> std::io::Result<()> {
        fs::rename(self.as_path(), to)?;
        self.0 = None;
        Ok(())
    }

    /// As [`TempPath::rename`], but `AlreadyExists` where something is there.
    pub fn rename_new(mut self, to: &Path) -> std::io::Result<()> {
        rustix::fs::renameat_with(CWD, self.as_path(), CWD, to, RenameFlags::NOREPLACE)?;
        self.0 = None;
        Ok(())
    }
}

impl Drop for TempPath {
    fn drop(&mut self) {
        if let Some(path) = self.0.take()
            && let Err(error) = remove_tree(&path)
        {
            tracing::warn!(path = %path.display(), %error, "cannot remove a temporary path");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_sessions_remains_are_removed_and_a_living_ones_kept() {
        let tmp = tempfile::tempdir().expect("tmp");
        let living = Session::start(tmp.path()).expect("session");
        let kept = living.dir("layer").expect("dir");
        let dead = tmp.path().join("1-dead");
        fs::create_dir(&dead).expect("dir");
        File::create(dead.join("lock")).expect("file");
        let other = Session::start(tmp.path()).expect("session");
        assert!(kept.as_path().exists() && !dead.exists());
        drop(kept);
        drop((living, other));
        assert_eq!(fs::read_dir(tmp.path()).expect("dir").count(), 0);
    }
}

//! Whose a data directory is: one run directory's. Two would each remove what they take for files of lost tasks.
//!
//! `<data>/lock` is locked while an `up` or a `down` works on the directory. It holds the path of the run directory that
//! was the last to, and whose tasks may have files there.

use crate::survivors;
use anyhow::{Context, bail};
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A child of whoever had the lock shares it until it executes something.
const PATIENCE: Duration = Duration::from_millis(300);

/// While it lives, no other `up` or `down` works on the data directory.
#[derive(Debug)]
#[must_use]
pub struct Claim {
    _file: File,
}

impl Claim {
    /// For `up`: makes the data directory that of `run_dir`. Refused while another `up` works on it, and while tasks of
    /// another run directory go on.
    pub fn take(data_dir: &Path, run_dir: &Path) -> anyhow::Result<Self> {
        let (data, path) = (data_dir.display(), lock_file(data_dir));
        let cannot = || format!("cannot lock {}", path.display());
        let options = File::options().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let file = options.with_context(cannot)?;
        let locked = lock(&file);
        let owner = read(&path).with_context(cannot)?;
        let other = owner.as_deref().unwrap_or(Path::new("another run directory")).display();
        match locked {
            Err(Errno::WOULDBLOCK) => bail!(
                "the data directory {data} is in use by the Longshore in {other}; give another --data-dir, or end that one with `longshore down --run-dir {other}`"
            ),
            locked => locked.with_context(cannot)?,
        }
        // A full disk keeps nobody from starting where it ran before.
        if owner.as_deref() == Some(run_dir) {
            return Ok(Self { _file: file });
        }
        if owner.as_deref().is_some_and(survivors::any) {
            bail!(
                "the data directory {data} belongs to the Longshore in {other}, whose tasks go on; start it there again with --run-dir {other}, or end them with `longshore down --run-dir {other}`"
            );
        }
        let written = file.set_len(0).and_then(|()| file.write_all_at(run_dir.as_os_str().as_bytes(), 0));
        written.with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self { _file: file })
    }

    /// For `down`: `None` unless the data directory is that of `run_dir` and nobody works on it.
    pub fn of_owner(data_dir: &Path, run_dir: &Path) -> Option<Self> {
        let path = lock_file(data_dir);
        let file = File::open(&path).ok()?;
        lock(&file).ok()?;
        (read(&path).ok()?.as_deref() == Some(run_dir)).then_some(Self { _file: file })
    }
}

fn lock_file(data_dir: &Path) -> PathBuf {
    data_dir.join("lock")
}

fn lock(file: &File) -> Result<(), Errno> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
            result => return result,
        }
    }
}

/// The run directory that the file names.
fn read(path: &Path) -> io::Result<Option<PathBuf>> {
    let bytes = std::fs::read(path)?;
    Ok((!bytes.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(&bytes))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_is_one_run_directorys_at_a_time() {
        let data = tempfile::tempdir().unwrap();
        let (first, second) = (Path::new("/nowhere/first"), Path::new("/nowhere/second"));
        let owns = |run_dir| Claim::of_owner(data.path(), run_dir).is_some();
        assert!(!owns(first));
        let claim = Claim::take(data.path(), first).unwrap();
        let refusal = Claim::take(data.path(), second).unwrap_err().to_string();
        assert!(refusal.contains("in use by the Longshore in /nowhere/first"), "{refusal}");
        assert!(!owns(first) && !owns(second));
        drop(claim);
        assert!(owns(first) && !owns(second));
        // Nothing of the first runs.
        drop(Claim::take(data.path(), second).unwrap());
        assert!(owns(second) && !owns(first));
    }
}

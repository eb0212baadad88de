//! What a task keeps on disk beside its images: volumes, and for a task whose `ephemeralStorage` has a size, a file system
//! of that size that holds its containers' writable layers and its volumes.
//!
//! `<data>/tasks/<task id>/` holds `volumes/`, or `disk.ext4` and its mount point. The mount is the supervisor's own
//! (see `longshore_runtime::rootfs::disk`), so that it ends with the task. Empty file systems are made once a size, as
//! `<data>/tasks/.empty-<size>.ext4`, and copied: only their few blocks with content are.
//!
//! A task that asks for no size is told of Fargate's 20 GiB and may use more: the copy takes less than a millisecond, but
//! attaching and mounting a loop device takes tens of them, and removing it as many again. Project quotas would cost nothing
//! and need a file system that was made and mounted for them, and a kernel with their format.

use longshore_runtime::spec::Disk;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// How deep files are counted, and so how many descriptors a count holds.
const LEVELS_MAX: usize = 64;

#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error("prepare {path}")]
    File { path: PathBuf, source: io::Error },
    #[error("ephemeralStorage of a size needs mkfs.ext4 on the node")]
    NoTool(#[source] io::Error),
    #[error("mkfs.ext4 failed: {0}")]
    Format(String),
}

/// Where a task's files are to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub volumes: PathBuf,
    /// Where writable layers go instead of the image store, on a file system of the task's own.
    pub layers: Option<PathBuf>,
    pub disk: Option<Disk>,
}

/// The directories of all tasks of a node. Clones are one.
#[derive(Clone)]
pub struct Storage {
    root: PathBuf,
    /// Held by whoever makes an empty file system.
    formatting: Arc<Mutex<()>>,
}

impl Storage {
    pub fn new(data_dir: &Path) -> Self {
        Self { root: data_dir.join("tasks"), formatting: Arc::default() }
    }

    /// Makes a task's directory; with a file system of `gib` GiB if a size is asked for. Blocking.
    pub fn make(&self, task: &str, gib: Option<u32>) -> Result<Place, StorageError> {
        let directory = self.root.join(task);
        let Some(gib) = gib else {
            let volumes = directory.join("volumes");
            make_directory(&volumes)?;
            return Ok(Place { volumes, layers: None, disk: None });
        };
        let mount_at = directory.join("disk");
        make_directory(&mount_at)?;
        let image = directory.join("disk.ext4");
        let empty = self.empty(gib)?;
        copy_sparse(&empty, &image).map_err(|source| StorageError::File { path: image.clone(), source })?;
        Ok(Place {
            volumes: mount_at.join("volumes"),
            layers: Some(mount_at.join("layers")),
            disk: Some(Disk { image, mount_at }),
        })
    }

    /// Removes a task's directory. The task must not run any more. Blocking.
    pub fn remove(&self, task: &str) {
        remove(&self.root.join(task), task);
    }

    /// The volumes of a task whose disk has no size.
    pub fn volumes(&self, task: &str) -> PathBuf {
        self.root.join(task).join("volumes")
    }

    /// Tasks that have a directory.
    pub fn list(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.root).into_iter().flatten().flatten();
        entries.filter_map(|e| e.file_name().into_string().ok()).filter(|name| !name.starts_with('.')).collect()
    }

    /// An empty file system of this size.
    fn empty(&self, gib: u32) -> Result<PathBuf, StorageError> {
        let path = self.root.join(format!(".empty-{gib}.ext4"));
        let _turn = self.formatting.lock().unwrap_or_else(PoisonError::into_inner);
        if path.exists() {
            return Ok(path);
        }
        let failed = |source| StorageError::File { path: path.clone(), source };
        let new = self.root.join(format!(".new-{gib}.ext4"));
        let file = File::create(&new).map_err(failed)?;
        file.set_len(u64::from(gib) << 30).map_err(failed)?;
        drop(file);
        // No journal: after a crash nobody reads it again. No blocks for root, no checking at mount.
        let output = std::process::Command::new("mkfs.ext4")
            .args(["-q", "-F", "-m", "0", "-i", "65536", "-O", "^has_journal,^resize_inode"])
            .args(["-E", "lazy_itable_init=1,nodiscard,root_owner=0:0"])
            .arg(&new)
            .output()
            .map_err(StorageError::NoTool)?;
        if !output.status.success() {
            let _ = std::fs::remove_file(&new);
            return Err(StorageError::Format(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        std::fs::rename(&new, &path).map_err(failed)?;
        Ok(path)
    }
}

/// Bytes in use on a task's own file system, which is mounted where only its supervisor sees it.
pub fn used_of_disk(supervisor: i32, disk: &Disk) -> Option<u64> {
    let at = disk.mount_at.strip_prefix("/").ok()?;
    let stat = rustix::fs::statvfs(Path::new(&format!("/proc/{supervisor}/root")).join(at)).ok()?;
    Some((stat.f_blocks - stat.f_bfree) * stat.f_frsize)
}

/// Bytes that files in these directories occupy, [`LEVELS_MAX`] levels deep. What cannot be read counts as nothing. Blocking.
pub fn used_below<'a>(directories: impl Iterator<Item = &'a PathBuf>) -> u64 {
    directories.filter_map(|path| open_directory(rustix::fs::CWD, path)).map(used_in).sum()
}

fn used_in(directory: Dir) -> u64 {
    let mut used = 0;
    let mut open = vec![directory];
    loop {
        let deeper = open.len() < LEVELS_MAX;
        let Some(entries) = open.last_mut() else { return used };
        let Some(Ok(entry)) = entries.read() else {
            open.pop();
            continue;
        };
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let Ok(directory) = entries.fd() else { continue };
        let Ok(stat) = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        used += stat.st_blocks as u64 * 512;
        if FileType::from_raw_mode(stat.st_mode).is_dir() && deeper {
            let child = open_directory(directory, name);
            open.extend(child);
        }
    }
}

/// No link, whatever a container has put in the place of what was a directory a moment ago.
fn open_directory(parent: impl AsFd, name: impl rustix::path::Arg) -> Option<Dir> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Dir::new(rustix::fs::openat(parent, name, flags, Mode::empty()).ok()?).ok()
}

fn make_directory(path: &Path) -> Result<(), StorageError> {
    std::fs::create_dir_all(path).map_err(|source| StorageError::File { path: path.to_owned(), source })
}

/// Removes files of a task, however many and deep. Blocking.
pub fn remove(path: &Path, task: &str) {
    if let Err(error) = longshore_image::remove_tree(path) {
        tracing::warn!(%error, task, path = %path.display(), "a task's files could not be removed");
    }
}

/// Copies what is not a hole.
fn copy_sparse(from: &Path, to: &Path) -> io::Result<()> {
    let (from, to) = (File::open(from)?, File::create(to)?);
    let length = from.metadata()?.len();
    to.set_len(length)?;
    let mut buffer = vec![0; 64 << 10];
    let mut at = 0;
    while at < length {
        let start = match rustix::fs::seek(&from, rustix::fs::SeekFrom::Data(at)) {
            Ok(start) => start,
            // Nothing but a hole is left.
            Err(rustix::io::Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        let end = rustix::fs::seek(&from, rustix::fs::SeekFrom::Hole(start))?;
        at = start;
        while at < end {
            let piece = buffer.len().min((end - at) as usize);
            from.read_exact_at(&mut buffer[..piece], at)?;
            to.write_all_at(&buffer[..piece], at)?;
            at += piece as u64;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_stay_holes() {
        let scratch = tempfile::tempdir().unwrap();
        let (from, to) = (scratch.path().join("a"), scratch.path().join("b"));
        let file = File::create(&from).unwrap();
        file.set_len(1 << 30).unwrap();
        file.write_all_at(b"middle", 500 << 20).unwrap();
        copy_sparse(&from, &to).unwrap();
        let copy = File::open(&to).unwrap();
        let mut text = [0; 6];
        copy.read_exact_at(&mut text, 500 << 20).unwrap();
        let metadata = copy.metadata().unwrap();
        let blocks = std::os::unix::fs::MetadataExt::blocks(&metadata);
        assert!(&text == b"middle" && metadata.len() == 1 << 30 && blocks < 100, "{blocks}");
    }

    #[test]
    fn directories_of_tasks_come_and_go() {
        let scratch = tempfile::tempdir().unwrap();
        let storage = Storage::new(scratch.path());
        let place = storage.make("one", None).unwrap();
        assert!(place.volumes.is_dir() && place.disk.is_none());
        assert_eq!(storage.list(), ["one"]);
        storage.remove("one");
        storage.remove("one");
        assert!(storage.list().is_empty());
    }

    #[test]
    fn files_are_counted_as_deep_as_is_bearable_and_never_through_links() {
        let scratch = tempfile::tempdir().unwrap();
        let (top, outside) = (scratch.path().join("top"), scratch.path().join("outside"));
        let deep = (0..LEVELS_MAX + 10).fold(top.clone(), |path, _| path.join("d"));
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::create_dir(&outside).unwrap();
        let fill = |path: &Path| std::fs::write(path, vec![1; 1 << 20]).unwrap();
        let counted = |used: u64| used >> 20;
        fill(&outside.join("big"));
        std::os::unix::fs::symlink(&outside, top.join("link")).unwrap();
        assert_eq!(counted(used_below([top.clone(), top.join("link")].iter())), 0);
        fill(&top.join("d/d/file"));
        fill(&deep.join("file"));
        assert_eq!(counted(used_below([top.clone()].iter())), 1);
    }
}

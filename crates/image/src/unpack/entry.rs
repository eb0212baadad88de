//! Applies one archive entry to the layer's root.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::root::{CleanPath, Root, is_whiteout, open_child_dir, set_opaque};
use super::tar_reader::{Kind, TarEntry, show};
use super::{Parents, UnpackError};

/// Seconds since 1970 that file systems can hold without surprises (year 2446, ext4's last).
const SECONDS_MAX: i64 = 15_032_385_535;

/// What was done, for the report.
pub(super) struct Applied {
    pub entries: u64,
    pub devices_skipped: u64,
    pub implicit_dirs: Vec<PathBuf>,
}

/// Applies entries in the archive's order.
pub(super) struct Applier<'a> {
    root: Root<'a>,
    /// Directories' times, set at the end: each entry made in a directory changes them.
    dir_times: Vec<(CleanPath, Timestamps)>,
    devices_skipped: u64,
    buffer: Vec<u8>,
}

impl<'a> Applier<'a> {
    pub fn new(dest: &Path, parents: Option<&'a mut dyn Parents>) -> Result<Self, UnpackError> {
        let root = Root::open(dest, parents).map_err(|source| UnpackError::Write {
            doing: "open",
            path: dest.display().to_string(),
            source,
        })?;
        Ok(Self { root, dir_times: Vec::new(), devices_skipped: 0, buffer: vec![0; 128 << 10] })
    }

    /// Applies `entry`, reading its content from `content`.
    pub fn apply(&mut self, entry: &TarEntry, content: &mut impl Read) -> Result<(), UnpackError> {
        let path = CleanPath::new(&entry.path).map_err(|why| refused(entry, why))?;
        if path.is_root() {
            return match entry.kind {
                Kind::Directory if self.root.is_part() => Ok(()),
                Kind::Directory => self.directory_metadata(entry, &path, None),
                _ => Err(refused(entry, "the layer's root can only be a directory")),
            };
        }
        let (dir, name) = path.split();
        let parent = self.root.make_dir_path(dir).map_err(|e| write_error("make the parent of", entry, e))?;
        if let Some(hidden) = name.as_bytes().strip_prefix(b".wh.") {
            return self.whiteout(entry, &parent, hidden);
        }
        match entry.kind {
            Kind::File => self.file(entry, &parent, name, content),
            Kind::Directory => self.directory(entry, &path, parent, name),
            Kind::Symlink => self.symlink(entry, &parent, name),
            Kind::HardLink => self.hard_link(entry, &parent, name),
            Kind::Fifo => self.fifo(entry, &parent, name),
            // The runtime gives every container its own /dev. A device node elsewhere could only serve to reach the
            // host's devices from outside the container's device rules.
            Kind::CharDevice | Kind::BlockDevice => {
                self.devices_skipped += 1;
                Ok(())
            }
        }
    }

    /// Sets the directories' times and reports.
    pub fn finish(mut self, entries: u64) -> Result<Applied, UnpackError> {
        for (path, times) in self.dir_times.iter().rev() {
            // The directory may have been replaced by a later entry, perhaps by a link.
            let (parent, name) = path.split();
            let parent = self.root.reach(parent);
            let dir = match name.is_empty() {
                true => parent,
                false => parent.and_then(|parent| open_child_dir(parent, name)).map(Rc::new),
            };
            if let Ok(dir) = dir {
                rustix::fs::futimens(&dir, times).map_err(|e| UnpackError::Write {
                    doing: "set times of",
                    path: path.as_path().display().to_string(),
                    source: e.into(),
                })?;
            }
        }
        Ok(Applied {
            entries,
            devices_skipped: self.devices_skipped,
            implicit_dirs: self.root.implicit.into_iter().collect(),
        })
    }

    fn file(
        &mut self,
        e: &TarEntry,
        parent: &OwnedFd,
        name: &OsStr,
        content: &mut impl Read,
    ) -> Result<(), UnpackError> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let create = || rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o600));
        let fd = self.making_room(e, parent, name, create)?;
        let mut file = std::fs::File::from(fd);
        let mut left = e.size;
        while left > 0 {
            let n = match content.read(&mut self.buffer) {
                Ok(0) => return Err(UnpackError::Malformed("the archive ends within an entry".to_owned())),
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(UnpackError::Read(error)),
            };
            file.write_all(&self.buffer[..n]).map_err(|error| write_error("write", e, error))?;
            left = left.saturating_sub(n as u64);
        }
        set_metadata(&file, e)?;
        rustix::fs::futimens(&file, &times(e)).map_err(|error| write_error("set times of", e, error.into()))
    }

    fn directory(
        &mut self,
        e: &TarEntry,
        path: &CleanPath,
        parent: Rc<OwnedFd>,
        name: &OsStr,
    ) -> Result<(), UnpackError> {
        let make = || rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o700));
        let mut opaque = false;
        match make() {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let stat = rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(|error| write_error("look at", e, error.into()))?;
                // A directory named twice takes the later metadata and keeps its entries.
                if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                    opaque = is_whiteout(&stat);
                    self.root.remove(&parent, name).map_err(|error| write_error("replace", e, error))?;
                    make().map_err(|error| write_error("make", e, error.into()))?;
                }
            }
            Err(error) => return Err(write_error("make", e, error.into())),
        }
        let dir = open_child_dir(&parent, name).map_err(|error| write_error("open", e, error))?;
        if opaque {
            set_opaque(&dir).map_err(|error| write_error("mark", e, error))?;
        }
        self.root.describe(path);
        self.directory_metadata(e, path, Some(dir))
    }

    fn directory_metadata(&mut self, e: &TarEntry, path: &CleanPath, dir: Option<OwnedFd>) -> Result<(), UnpackError> {
        let dir = match dir {
            Some(dir) => dir,
            None => self.root.open_dir(b"").map_err(|error| write_error("open", e, error))?,
        };
        set_metadata(&dir, e)?;
        self.dir_times.push((path.clone(), times(e)));
        Ok(())
    }

    fn symlink(&mut self, e: &TarEntry, parent: &OwnedFd, name: &OsStr) -> Result<(), UnpackError> {
        if e.link.is_empty() || e.link.contains(&0) {
            return Err(refused(e, "the link's target is empty or contains a NUL byte"));
        }
        let create = || rustix::fs::symlinkat(OsStr::from_bytes(&e.link), parent, name);
        self.making_room(e, parent, name, create)?;
        self.metadata_by_name(e, parent, name, false)
    }

    fn fifo(&mut self, e: &TarEntry, parent: &OwnedFd, name: &OsStr) -> Result<(), UnpackError> {
        let create = || rustix::fs::mknodat(parent, name, FileType::Fifo, Mode::from_raw_mode(0o600), 0);
        self.making_room(e, parent, name, create)?;
        self.metadata_by_name(e, parent, name, true)
    }

    fn hard_link(&mut self, e: &TarEntry, parent: &OwnedFd, name: &OsStr) -> Result<(), UnpackError> {
        let target =
            CleanPath::new(&e.link).map_err(|why| refused(e, &format!("hard link to `{}`: {why}", show(&e.link))))?;
        if target.is_root() {
            return Err(refused(e, "hard link to a directory"));
        }
        let (target_dir, target_name) = target.split();
        let no_target = |error: io::Error| refused(e, &format!("hard link to `{}`: {error}", show(&e.link)));
        let target_dir = self.root.reach(target_dir).map_err(no_target)?;
        let link = || rustix::fs::linkat(&target_dir, target_name, parent, name, AtFlags::empty());
        match link() {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => {
                let at = AtFlags::SYMLINK_NOFOLLOW;
                let same =
                    match (rustix::fs::statat(&target_dir, target_name, at), rustix::fs::statat(parent, name, at)) {
                        (Ok(a), Ok(b)) => (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino),
                        (Err(error), _) | (_, Err(error)) => return Err(no_target(error.into())),
                    };
                if same {
                    return Ok(());
                }
                self.root.remove(parent, name).map_err(|error| write_error("replace", e, error))?;
                link().map_err(|error| no_target(error.into()))
            }
            Err(error) => Err(no_target(error.into())),
        }
    }

    /// `.wh.<name>` hides `<name>` of the layers below; `.wh..wh..opq` hides all of the directory below.
    fn whiteout(&mut self, e: &TarEntry, parent: &OwnedFd, hidden: &[u8]) -> Result<(), UnpackError> {
        match hidden {
            b".wh..opq" => set_opaque(parent).map_err(|error| write_error("mark", e, error)),
            // aufs' own bookkeeping (.wh..wh.plnk, .wh..wh.aufs) means nothing to others.
            _ if hidden.starts_with(b".wh.") => Ok(()),
            b"" | b"." | b".." => Err(refused(e, "a whiteout of no name")),
            _ => {
                let name = OsStr::from_bytes(hidden);
                let mode = Mode::from_raw_mode(0);
                match rustix::fs::mknodat(parent, name, FileType::CharacterDevice, mode, 0) {
                    Ok(()) => Ok(()),
                    // This layer itself has the name, and a whiteout speaks of the layers below only. A directory must
                    // hide theirs, anything else does already.
                    Err(Errno::EXIST) => match open_child_dir(parent, name) {
                        Ok(dir) => set_opaque(&dir).map_err(|error| write_error("mark", e, error)),
                        Err(_) => Ok(()),
                    },
                    Err(error) => Err(write_error("make the whiteout", e, error.into())),
                }
            }
        }
    }

    /// Runs `create`; when the name is taken, by an earlier entry, frees it and tries once more.
    fn making_room<T>(
        &mut self,
        e: &TarEntry,
        parent: &OwnedFd,
        name: &OsStr,
        create: impl Fn() -> rustix::io::Result<T>,
    ) -> Result<T, UnpackError> {
        match create() {
            Err(Errno::EXIST) => {
                self.root.remove(parent, name).map_err(|error| write_error("replace", e, error))?;
                create().map_err(|error| write_error("make", e, error.into()))
            }
            other => other.map_err(|error| write_error("make", e, error.into())),
        }
    }

    /// Owner, mode and times of what cannot be opened.
    fn metadata_by_name(
        &mut self,
        e: &TarEntry,
        parent: &OwnedFd,
        name: &OsStr,
        mode: bool,
    ) -> Result<(), UnpackError> {
        let nofollow = AtFlags::SYMLINK_NOFOLLOW;
        let (uid, gid) = owner(e)?;
        rustix::fs::chownat(parent, name, uid, gid, nofollow)
            .map_err(|error| write_error("set the owner of", e, error.into()))?;
        if mode {
            // Just made, in a directory nobody else writes to: it is no link.
            rustix::fs::chmodat(parent, name, Mode::from_raw_mode(e.mode), AtFlags::empty())
                .map_err(|error| write_error("set the mode of", e, error.into()))?;
        }
        rustix::fs::utimensat(parent, name, &times(e), nofollow)
            .map_err(|error| write_error("set times of", e, error.into()))
    }
}

/// Owner, then mode (a change of owner clears set-uid bits), then attributes (it clears capabilities too).
fn set_metadata(fd: impl AsFd, e: &TarEntry) -> Result<(), UnpackError> {
    let fd = fd.as_fd();
    let (uid, gid) = owner(e)?;
    rustix::fs::fchown(fd, uid, gid).map_err(|error| write_error("set the owner of", e, error.into()))?;
    rustix::fs::fchmod(fd, Mode::from_raw_mode(e.mode))
        .map_err(|error| write_error("set the mode of", e, error.into()))?;
    for (name, value) in &e.xattrs {
        if !xattr_is_kept(name) {
            continue;
        }
        match rustix::fs::fsetxattr(fd, OsStr::from_bytes(name), value, XattrFlags::empty()) {
            Ok(()) => {}
            // The file system has no such attributes: as with any other runtime, the file is there without them.
            Err(Errno::NOTSUP) => {
                tracing::debug!(path = show(&e.path), attribute = show(name), "attribute not supported")
            }
            Err(error) => return Err(write_error("set attributes of", e, error.into())),
        }
    }
    Ok(())
}

/// File capabilities and user attributes are content. `trusted.overlay.*` would steer overlayfs itself (redirects), and
/// security labels belong to the machine the image was made on.
pub(crate) fn xattr_is_kept(name: &[u8]) -> bool {
    name == b"security.capability" || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
}

/// `u32::MAX` means "unchanged" to the kernel and is nobody's id.
fn owner(e: &TarEntry) -> Result<(Option<Uid>, Option<Gid>), UnpackError> {
    if e.uid == u32::MAX || e.gid == u32::MAX {
        return Err(refused(e, "the owner's id is out of range"));
    }
    Ok((Some(Uid::from_raw(e.uid)), Some(Gid::from_raw(e.gid))))
}

fn times(e: &TarEntry) -> Timestamps {
    let time = Timespec { tv_sec: e.mtime.0.clamp(0, SECONDS_MAX), tv_nsec: i64::from(e.mtime.1) };
    Timestamps { last_access: time, last_modification: time }
}

fn refused(e: &TarEntry, why: &str) -> UnpackError {
    UnpackError::Refused { path: show(&e.path), why: why.to_owned() }
}

fn write_error(doing: &'static str, e: &TarEntry, source: io::Error) -> UnpackError {
    UnpackError::Write { doing, path: show(&e.path), source }
}

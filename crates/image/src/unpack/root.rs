//! A directory that no name can leave.
//!
//! Every path is resolved by the kernel with `openat2(RESOLVE_IN_ROOT)`: symlinks, absolute ones too, and `..` stay
//! within the root, even while the archive swaps a directory for a link between two of its entries. The last component
//! is never followed: it is created or replaced by `*at` calls in the parent's descriptor. Names are cleaned first, so
//! that what reaches the kernel is a plain relative path.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, XattrFlags};
use rustix::io::Errno;

use super::Parents;
use crate::tree::remove_tree_at;

/// Marks a directory whose entries hide, rather than join, those of the layers below.
pub(crate) const XATTR_OPAQUE: &str = "trusted.overlay.opaque";

/// Symlinks followed while making the directories that a dangling link points to.
const LINK_DEPTH_MAX: u32 = 16;
/// The kernel's limit on a path, with its final NUL.
const PATH_MAX: usize = 4096;

/// True for overlayfs' mark of a deleted name: a character device 0/0.
pub(crate) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// A cleaned path: relative, without empty, `.` and `..` components; empty for the root itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CleanPath(Vec<u8>);

impl CleanPath {
    /// Cleans an archive's name. Absolute names are taken as relative to the root; climbing ones are refused.
    pub fn new(raw: &[u8]) -> Result<Self, &'static str> {
        let mut clean = Vec::with_capacity(raw.len());
        for part in raw.split(|b| *b == b'/') {
            match part {
                b"" | b"." => {}
                b".." => return Err("the name climbs with `..`"),
                part if part.contains(&0) => return Err("the name contains a NUL byte"),
                part if part.len() > 255 => return Err("a component of the name exceeds 255 bytes"),
                part => push(&mut clean, part),
            }
        }
        if clean.len() >= PATH_MAX {
            return Err("the name exceeds 4095 bytes");
        }
        Ok(Self(clean))
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The directory's path and the last component.
    pub fn split(&self) -> (&[u8], &OsStr) {
        split(&self.0)
    }

    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }
}

fn push(path: &mut Vec<u8>, part: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(part);
}

fn split(path: &[u8]) -> (&[u8], &OsStr) {
    match path.iter().rposition(|b| *b == b'/') {
        Some(slash) => (&path[..slash], OsStr::from_bytes(&path[slash + 1..])),
        None => (&[], OsStr::from_bytes(path)),
    }
}

/// The layer's root directory, or that of an archive which is extracted into a tree.
pub(super) struct Root<'a> {
    fd: OwnedFd,
    /// Makes directories in that tree.
    parents: Option<&'a mut dyn Parents>,
    /// The last parent that was opened: an archive names the entries of a directory one after the other.
    last: Option<(Vec<u8>, Rc<OwnedFd>)>,
    /// Directories made because an entry lies in them.
    pub implicit: BTreeSet<PathBuf>,
}

impl<'a> Root<'a> {
    pub fn open(path: &Path, parents: Option<&'a mut dyn Parents>) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Self { fd, parents, last: None, implicit: BTreeSet::new() })
    }

    /// True if this is the root of an archive in a tree, and not that of the tree.
    pub fn is_part(&self) -> bool {
        self.parents.is_some()
    }

    /// The directory `dir`, made with its parents where missing.
    pub fn make_dir_path(&mut self, dir: &[u8]) -> io::Result<Rc<OwnedFd>> {
        if let Some((path, fd)) = &self.last
            && path == dir
        {
            return Ok(fd.clone());
        }
        let fd = Rc::new(match &mut self.parents {
            Some(parents) => {
                let real = parents.make(Path::new(OsStr::from_bytes(dir)))?;
                open_child_dir(rustix::fs::CWD, real.as_os_str())?
            }
            None => self.open_or_make(dir, 0)?,
        });
        self.last = Some((dir.to_vec(), fd.clone()));
        Ok(fd)
    }

    /// Forgets what was opened. Needed whenever a name was replaced, because the path may lead elsewhere now.
    pub fn forget(&mut self) {
        self.last = None;
    }

    /// The directory `dir`, which exists; of a tree it may be one that is not here yet.
    pub fn reach(&mut self, dir: &[u8]) -> io::Result<Rc<OwnedFd>> {
        match self.parents {
            Some(_) => self.make_dir_path(dir),
            None => self.open_dir(dir).map(Rc::new),
        }
    }

    /// Notes that an entry describes the directory `path`.
    pub fn describe(&mut self, path: &CleanPath) {
        self.implicit.remove(path.as_path());
        if let Some(parents) = &mut self.parents {
            let (dir, name) = path.split();
            parents.described(Path::new(OsStr::from_bytes(dir)), name);
        }
    }

    /// The directory `dir`, which must exist.
    pub fn open_dir(&self, dir: &[u8]) -> io::Result<OwnedFd> {
        let path = if dir.is_empty() { OsStr::new(".") } else { OsStr::from_bytes(dir) };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        // EAGAIN: a rename anywhere on the machine raced with a `..` that a link contains. The kernel asks to try again.
        let mut tries = 0;
        loop {
            match rustix::fs::openat2(&self.fd, path, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN) if tries < 128 => tries += 1,
                other => return Ok(other?),
            }
        }
    }

    fn open_or_make(&mut self, dir: &[u8], links: u32) -> io::Result<OwnedFd> {
        // Longest existing prefix first, then one component after the other: no recursion on foreign depth.
        let mut missing = Vec::new();
        let mut path = dir;
        let mut fd = loop {
            match self.open_dir(path) {
                Ok(fd) => break fd,
                Err(e) if path.is_empty() || !is_missing(&e) => return Err(e),
                Err(_) => {
                    let (parent, name) = split(path);
                    missing.push((path, name));
                    path = parent;
                }
            }
        };
        while let Some((path, name)) = missing.pop() {
            fd = self.make_component(&fd, path, name, links)?;
        }
        Ok(fd)
    }

    /// Makes `name` in `parent` a directory; `path` is its whole path.
    fn make_component(&mut self, parent: &OwnedFd, path: &[u8], name: &OsStr, links: u32) -> io::Result<OwnedFd> {
        match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => {
                self.implicit.insert(PathBuf::from(OsStr::from_bytes(path)));
                let fd = open_child_dir(parent, name)?;
                // Not left to the process' umask.
                rustix::fs::fchmod(&fd, Mode::from_raw_mode(0o755))?;
                return Ok(fd);
            }
            Err(Errno::EXIST) => {}
            Err(e) => return Err(e.into()),
        }
        let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => open_child_dir(parent, name),
            // The name was deleted first and used again: a fresh directory that shows nothing of the layers below.
            _ if is_whiteout(&stat) => {
                rustix::fs::unlinkat(parent, name, AtFlags::empty())?;
                rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755))?;
                let fd = open_child_dir(parent, name)?;
                rustix::fs::fchmod(&fd, Mode::from_raw_mode(0o755))?;
                set_opaque(&fd)?;
                Ok(fd)
            }
            // A link to a directory that only a lower layer has (`/var/run -> /run`): made here, within the root.
            FileType::Symlink if links < LINK_DEPTH_MAX => {
                let target = rustix::fs::readlinkat(parent, name, Vec::new())?;
                let target = resolve_link(split(path).0, target.as_bytes());
                self.open_or_make(&target, links + 1)
            }
            FileType::Symlink => Err(Errno::LOOP.into()),
            _ => Err(Errno::NOTDIR.into()),
        }
    }

    /// Removes whatever `name` is in `parent`, a tree included.
    pub fn remove(&mut self, parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
        self.forget();
        remove_tree_at(parent, name)
    }
}

/// Marks the directory as opaque.
pub(super) fn set_opaque(dir: impl AsFd) -> io::Result<()> {
    Ok(rustix::fs::fsetxattr(dir, XATTR_OPAQUE, b"y", XattrFlags::empty())?)
}

/// Opens the directory `name` of `parent`, which must be one itself and no link to one.
pub(super) fn open_child_dir(parent: impl AsFd, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(parent, name, flags, Mode::empty())?)
}

fn is_missing(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOENT | Errno::NOTDIR))
}

/// Where a link in the directory `from` points, clamped to the root.
fn resolve_link(from: &[u8], target: &[u8]) -> Vec<u8> {
    let mut path = if target.starts_with(b"/") { Vec::new() } else { from.to_vec() };
    for part in target.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => path.truncate(path.iter().rposition(|b| *b == b'/').unwrap_or(0)),
            part => push(&mut path, part),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_plain_relative_paths_or_are_refused() {
        let clean = |raw: &str| CleanPath::new(raw.as_bytes()).map(|p| String::from_utf8(p.0).expect("ascii"));
        assert_eq!(clean("./a//b/."), Ok("a/b".into()));
        assert_eq!(clean("/etc/passwd"), Ok("etc/passwd".into()));
        assert_eq!(clean("./"), Ok("".into()));
        for wrong in ["..", "a/../b", "../../etc/passwd", "/..", "a\0b", &"x".repeat(256), &"x/".repeat(2049)] {
            assert!(clean(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn links_resolve_within_the_root() {
        let resolve =
            |from: &str, to: &str| String::from_utf8(resolve_link(from.as_bytes(), to.as_bytes())).expect("ascii");
        assert_eq!(resolve("var", "/run"), "run");
        assert_eq!(resolve("a/b", "../c"), "a/c");
        assert_eq!(resolve("a", "../../../etc"), "etc");
    }
}

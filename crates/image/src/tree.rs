//! Removes trees that containers and archives made, which may be deeper than any path and any table of descriptors.
//!
//! The standard library holds a descriptor for each level on its way down, so a tree of a few thousand levels, which costs
//! its maker a second, can never be removed by it. Here a walk goes down [`LEVELS_MAX`] levels; a directory below is moved up
//! to the top and walked after that. Going back by `..` would need no move, but a directory would have to be listed
//! anew for each deep one in it, and `..` leads elsewhere when somebody moves what is being removed.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;

/// How deep a walk goes, and so how many descriptors it holds.
const LEVELS_MAX: u32 = 32;

/// Removes what is at `path`: a file, a link (not what it leads to) or a tree of any depth. Nothing there is fine.
///
/// Links are never followed below `path`'s parent, and nothing of another mount is touched: a mount in the tree is an error,
/// as is anything else that stays. Blocking; the number of open descriptors is bounded.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    let Some(name) = path.file_name() else { return Err(Errno::INVAL.into()) };
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    match rustix::fs::open(parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(parent) => remove_tree_at(parent, name),
        Err(Errno::NOENT) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// As [`remove_tree`], of `name` in the directory `parent`.
pub(crate) fn remove_tree_at(parent: impl AsFd, name: &OsStr) -> io::Result<()> {
    let name = CString::new(name.as_bytes())?;
    if unlink(&parent, &name)? == Unlinked::Gone {
        return Ok(());
    }
    let Some(top) = open_child(&parent, &name)? else { return Ok(()) };
    let mut removal = Removal { top, moved: Vec::new(), next: 0 };
    let directory = removal.top.try_clone()?;
    removal.empty(directory, 1)?;
    while let Some(name) = removal.moved.pop() {
        // The listing of the top may have come upon it already.
        if let Some(directory) = open_child(&removal.top, &name)? {
            removal.empty(directory, 2)?;
            remove_empty(&removal.top, &name)?;
        }
    }
    remove_empty(&parent, &name)
}

/// A tree on its way out.
struct Removal {
    top: OwnedFd,
    /// Names in `top` of directories that were too deep to be walked where they were.
    moved: Vec<CString>,
    /// Where to look for the next free name.
    next: u64,
}

impl Removal {
    /// Removes everything in `directory`, which is on this level below `top`'s parent. Recursion ends at [`LEVELS_MAX`].
    fn empty(&mut self, directory: OwnedFd, level: u32) -> io::Result<()> {
        let mut entries = Dir::new(directory)?;
        while let Some(entry) = entries.read() {
            let entry = entry?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            let parent = entries.fd()?;
            if unlink(parent, name)? == Unlinked::Gone {
                continue;
            }
            if level == LEVELS_MAX {
                self.move_up(parent, name)?;
            } else if let Some(child) = open_child(parent, name)? {
                self.empty(child, level + 1)?;
                remove_empty(parent, name)?;
            }
        }
        Ok(())
    }

    /// Moves a directory to the top.
    fn move_up(&mut self, parent: impl AsFd, name: &CStr) -> io::Result<()> {
        loop {
            let free = CString::new(format!("removed-{}", self.next)).expect("digits hold no NUL");
            self.next += 1;
            match rustix::fs::renameat_with(&parent, name, &self.top, &free, RenameFlags::NOREPLACE) {
                Ok(()) => break self.moved.push(free),
                Err(Errno::NOENT) => break,
                // A name that the tree's maker chose too.
                Err(Errno::EXIST) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }
}

#[derive(PartialEq, Eq)]
enum Unlinked {
    Gone,
    IsDirectory,
}

/// Removes whatever is no directory.
fn unlink(parent: impl AsFd, name: &CStr) -> io::Result<Unlinked> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(Unlinked::Gone),
        Err(Errno::ISDIR) => Ok(Unlinked::IsDirectory),
        Err(e) => Err(e.into()),
    }
}

/// Opens the directory `name`, no link and no mount; `None` if it has gone.
fn open_child(parent: impl AsFd, name: &CStr) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat2(parent, name, flags, Mode::empty(), ResolveFlags::NO_XDEV) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

fn remove_empty(parent: impl AsFd, name: &CStr) -> io::Result<()> {
    match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

//! User namespaces: root of a container is nobody on the host.
//!
//! A task has one, made together with its network namespace, which so belongs to it: only then may the containers mount
//! sysfs. Image layers are shared among tasks and belong to the host's root on disk; each task gets id-mapped mounts of
//! them. What is written belongs to the mapped ids on disk, too, so that the writable layer needs no mapping.

use crate::spec::UserNamespace;
use crate::sys::{self, check};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A task's users.
#[derive(Debug)]
pub struct Users {
    pub namespace: OwnedFd,
    pub map: UserNamespace,
}

impl Users {
    /// Makes the namespace with a network namespace of its own, and enters the latter. To be called without threads.
    pub fn make(map: UserNamespace) -> io::Result<Users> {
        let holder = Holder::start(libc::CLONE_NEWUSER | libc::CLONE_NEWNET)?;
        let namespace = holder.users(map)?;
        let network = holder.open("ns/net")?;
        // SAFETY: takes a descriptor and a flag.
        check(unsafe { libc::setns(network.as_raw_fd(), libc::CLONE_NEWNET) })?;
        Ok(Users { namespace, map })
    }

    /// Shows the tree at `from` at the directory `to`, with its owners mapped.
    pub fn show(&self, from: &Path, to: &Path) -> io::Result<()> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let tree = open_tree(CWD, from, flags)?;
        map_ids(tree.as_fd(), self.namespace.as_fd())?;
        Ok(move_mount(&tree, "", CWD, to, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
    }

    /// Becomes root of the namespace.
    pub fn enter(&self) -> io::Result<()> {
        // SAFETY: plain calls with numbers, in a process without threads.
        unsafe {
            check(libc::setns(self.namespace.as_raw_fd(), libc::CLONE_NEWUSER))?;
            check(libc::setgroups(0, std::ptr::null()))?;
            check(libc::setresgid(0, 0, 0))?;
            check(libc::setresuid(0, 0, 0)).map(drop)
        }
    }

    /// Gives a file of ours to the containers' root.
    pub fn give(&self, path: &Path) -> io::Result<()> {
        std::os::unix::fs::lchown(path, Some(self.map.host_id), Some(self.map.host_id))
    }

    /// The host's number of one of the containers' users.
    pub fn on_host(&self, id: u32) -> u32 {
        self.map.host_id.saturating_add(id.min(self.map.size - 1))
    }
}

/// A child that does nothing but have namespaces, until this is dropped.
struct Holder {
    pid: sys::Pid,
    release: Option<OwnedFd>,
}

impl Holder {
    fn start(namespaces: libc::c_int) -> io::Result<Self> {
        let (wait, release) = sys::pipe()?;
        // SAFETY: all zero is valid for this plain struct.
        let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
        args.flags = namespaces as u64;
        args.exit_signal = libc::SIGCHLD as u64;
        // SAFETY: without a stack this is a fork; the arguments are valid for the call. The child only makes system calls,
        // as it must where the caller has threads.
        let pid = check(unsafe { libc::syscall(libc::SYS_clone3, &args, size_of::<libc::clone_args>()) })? as sys::Pid;
        if pid == 0 {
            let mut byte = 0u8;
            // SAFETY: our descriptors and a buffer of one byte; ends the process without running destructors.
            unsafe {
                libc::close(release.as_raw_fd());
                libc::read(wait.as_raw_fd(), (&raw mut byte).cast(), 1);
                libc::_exit(0)
            }
        }
        Ok(Holder { pid, release: Some(release) })
    }

    fn open(&self, name: &str) -> io::Result<OwnedFd> {
        Ok(rustix::fs::open(format!("/proc/{}/{name}", self.pid), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// Its user namespace, with these ids.
    fn users(&self, map: UserNamespace) -> io::Result<OwnedFd> {
        let line = format!("0 {} {}", map.host_id, map.size);
        for file in ["uid_map", "gid_map"] {
            sys::write_value(Path::new(&format!("/proc/{}/{file}", self.pid)), &line)?;
        }
        self.open("ns/user")
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.release = None;
        let mut status = 0;
        // SAFETY: the status is written to our variable.
        unsafe { libc::waitpid(self.pid, &mut status, 0) };
    }
}

fn map_ids(tree: BorrowedFd<'_>, namespace: BorrowedFd<'_>) -> io::Result<()> {
    let attribute = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_IDMAP,
        attr_clr: 0,
        propagation: libc::MS_PRIVATE,
        userns_fd: namespace.as_raw_fd() as u64,
    };
    // SAFETY: the path (empty: the mount itself) and the attribute are valid for the call, and the size is the attribute's.
    let result = unsafe {
        let (path, size) = (c"".as_ptr(), size_of::<libc::mount_attr>());
        libc::syscall(libc::SYS_mount_setattr, tree.as_raw_fd(), path, libc::AT_EMPTY_PATH, &attribute, size)
    };
    check(result).map(drop)
}

/// The first directory on the way to `path` that mapped users cannot enter.
pub fn closed_directory(path: &Path) -> Option<&Path> {
    path.ancestors().find(|path| std::fs::metadata(path).is_ok_and(|found| found.mode() & 0o001 == 0))
}

/// Whether tasks with images below `directory` can have user namespaces. Blocking; to be asked once.
pub fn supported(directory: &Path) -> io::Result<()> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = open_tree(CWD, directory, flags)?;
    let map = UserNamespace { host_id: 1 << 30, size: 1 << 16 };
    let namespace = Holder::start(libc::CLONE_NEWUSER)?.users(map)?;
    map_ids(tree.as_fd(), namespace.as_fd())
}

//! What a container sees at `/sys/fs/cgroup`: its own groups, read-only.
//!
//! libcontainer's own `cgroup` mount is writable on version 1, which lets root in the container raise its limits, and
//! shows the host's root of systemd's hierarchy. So the mounts are made here as detached trees before the container's
//! mount namespace exists, and put in place by the payload, inside.

use crate::cgroup::Hierarchies;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, mount, move_mount, open_tree,
};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

const PLACE: &str = "/sys/fs/cgroup";

/// Mounts that wait for their place.
pub enum View {
    /// A small tmpfs, and a tree for each directory in it.
    V1 { top: OwnedFd, trees: Vec<(OwnedFd, PathBuf)> },
    /// One file system, mounted from inside the container's cgroup namespace.
    V2,
}

impl View {
    /// Prepares the view of the group at `path`.
    pub fn prepare(cgroups: &Hierarchies, path: &str) -> io::Result<Self> {
        let Hierarchies::V1 { hierarchies, .. } = cgroups else { return Ok(View::V2) };
        let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(&context, "mode", "755")?;
        fsconfig_set_string(&context, "size", "64k")?;
        fsconfig_create(&context)?;
        let attributes =
            MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let top = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
        let mut trees = Vec::with_capacity(hierarchies.len());
        for hierarchy in hierarchies {
            let name = hierarchy.name.as_str();
            rustix::fs::mkdirat(&top, name, Mode::from_raw_mode(0o755))?;
            for alias in hierarchy.aliases() {
                rustix::fs::symlinkat(name, &top, alias)?;
            }
            let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
            let tree = open_tree(CWD, hierarchy.path.join(path), flags)?;
            make_readonly(&tree)?;
            trees.push((tree, Path::new(PLACE).join(name)));
        }
        Ok(View::V1 { top, trees })
    }

    /// Puts it in place. To be called inside the container, as long as it has `CAP_SYS_ADMIN`.
    pub fn attach(&self) -> io::Result<()> {
        let View::V1 { top, trees } = self else {
            let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
            return Ok(mount("cgroup", PLACE, "cgroup2", flags, None)?);
        };
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        move_mount(top, "", CWD, PLACE, flags)?;
        for (tree, place) in trees {
            move_mount(tree, "", CWD, place, flags)?;
        }
        make_readonly(top)
    }
}

/// Moves the cgroup file systems of this mount namespace to places where libcontainer does not look for them, so that it
/// finds nothing to move processes in: we have done that already, and cheaper. Returns where they are now, which is in
/// the new directory `home`.
///
/// Moving is done once by the supervisor. Unmounting, which a builder could do for itself, waits for other processors.
pub fn relocate(cgroups: &Hierarchies, home: &Path) -> io::Result<Hierarchies> {
    let mut moved = cgroups.clone();
    let mut paths: Vec<(&mut PathBuf, String)> = match &mut moved {
        Hierarchies::V1 { hierarchies, .. } => hierarchies.iter_mut().map(|h| (&mut h.path, h.name.clone())).collect(),
        Hierarchies::V2(root) => vec![(root, "unified".to_owned())],
    };
    let open = |path: &Path| rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let mounts = paths.iter().map(|(path, _)| open(path)).collect::<Result<Vec<OwnedFd>, _>>()?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    std::fs::create_dir_all(home)?;
    mount("tmpfs", home, "tmpfs", flags, None)?;
    for ((path, name), mount) in paths.iter_mut().zip(&mounts) {
        // By the last part of the path libcontainer would recognise it.
        **path = home.join(format!("hierarchy-{name}"));
        std::fs::create_dir(&**path)?;
        move_mount(mount, "", CWD, &**path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?;
    }
    if matches!(moved, Hierarchies::V2(_)) {
        // As on a machine with version 1 whose hierarchies are not mounted.
        mount("tmpfs", PLACE, "tmpfs", flags, None)?;
    }
    Ok(moved)
}

fn make_readonly(mount: &OwnedFd) -> io::Result<()> {
    let attribute = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC,
        attr_clr: 0,
        propagation: libc::MS_PRIVATE,
        userns_fd: 0,
    };
    // SAFETY: the path (empty: the mount itself) and the attribute are valid for the call, and the size is the attribute's.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &attribute,
            size_of::<libc::mount_attr>(),
        )
    };
    crate::sys::check(result).map(drop)
}

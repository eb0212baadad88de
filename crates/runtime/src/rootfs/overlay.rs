//! Mounts the layers of an image and a writable one on top, in the supervisor's own mount namespace: nobody else sees the
//! mount, and it vanishes with the last process of the task.

use crate::users::Users;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags};
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    #[error("overlay: make {path}")]
    Directory {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("overlay: path {0:?} is not UTF-8")]
    Encoding(PathBuf),
    #[error("overlay: {what} with {layers} layers at {target}")]
    Mount {
        what: &'static str,
        layers: usize,
        target: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Mounts `lower` (topmost first), `upper` and `work` at `target`, making the directories that are missing.
pub fn mount(lower: &[PathBuf], upper: &Path, work: &Path, target: &Path) -> Result<(), OverlayError> {
    if !upper.exists()
        && let Some(root) = lower.first()
    {
        make_like(upper, root).map_err(|source| OverlayError::Directory { path: upper.to_owned(), source })?;
    }
    for path in [upper, work, target] {
        std::fs::create_dir_all(path).map_err(|source| OverlayError::Directory { path: path.to_owned(), source })?;
    }
    let layers = lower.iter().map(|layer| text(layer)).collect::<Result<Vec<&str>, _>>()?;
    let (upper, work) = (text(upper)?, text(work)?);
    let mut mounted = attach(&layers, upper, work, target);
    // Linux before 6.5 does not take layers one by one.
    if matches!(&mounted, Err((_, rustix::io::Errno::INVAL))) {
        let options = format!("lowerdir={},upperdir={upper},workdir={work}", joined(&layers));
        let options = std::ffi::CString::new(options).unwrap_or_default();
        let flags = rustix::mount::MountFlags::empty();
        mounted = rustix::mount::mount("overlay", target, "overlay", flags, Some(options.as_c_str()))
            .map_err(|errno| ("mount", errno));
    }
    mounted.map_err(|(what, errno)| OverlayError::Mount {
        what,
        layers: lower.len(),
        target: target.to_owned(),
        source: errno.into(),
    })
}

/// As [`mount`], for containers with users of their own; the layers are mapped already.
pub fn mount_for(
    users: &Users,
    lower: &[PathBuf],
    upper: &Path,
    work: &Path,
    target: &Path,
) -> Result<(), OverlayError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| OverlayError::Directory { path, source }
    };
    // Before the mount: overlayfs remembers the owner of its upper directory.
    std::fs::create_dir_all(work).and_then(|()| users.give(work)).map_err(failed(work))?;
    if let Some(root) = lower.first() {
        make_like(upper, root).map_err(failed(upper))?;
    }
    mount(lower, upper, work, target)
}

/// Owner and mode of the upper directory become those of `/`.
fn make_like(upper: &Path, root: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    std::fs::create_dir_all(upper)?;
    let metadata = std::fs::metadata(root)?;
    std::os::unix::fs::chown(upper, Some(metadata.uid()), Some(metadata.gid()))?;
    std::fs::set_permissions(upper, std::fs::Permissions::from_mode(metadata.mode() & 0o7777))
}

fn attach(lower: &[&str], upper: &str, work: &str, target: &Path) -> Result<(), (&'static str, rustix::io::Errno)> {
    let failed = |what| move |errno| (what, errno);
    let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).map_err(failed("open"))?;
    let set = |key: &str, value: &str| rustix::mount::fsconfig_set_string(&context, key, value);
    let joined = joined(lower);
    if joined.len() < OPTION_MAX {
        set("lowerdir", &joined).map_err(failed("set the layers"))?;
    } else {
        lower.iter().try_for_each(|layer| set("lowerdir+", layer)).map_err(failed("add a layer"))?;
    }
    set("upperdir", upper).map_err(failed("set the upper layer"))?;
    set("workdir", work).map_err(failed("set the work directory"))?;
    rustix::mount::fsconfig_create(&context).map_err(failed("create"))?;
    let mount = rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
        .map_err(failed("mount"))?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    rustix::mount::move_mount(&mount, "", rustix::fs::CWD, target, flags).map_err(failed("attach"))
}

/// The kernel's limit for one option's value.
const OPTION_MAX: usize = 256;

/// The layers as one option. Overlayfs separates them with colons.
fn joined(lower: &[&str]) -> String {
    let mut option = String::new();
    for layer in lower {
        if !option.is_empty() {
            option.push(':');
        }
        for c in layer.chars() {
            if matches!(c, ':' | '\\') {
                option.push('\\');
            }
            option.push(c);
        }
    }
    option
}

fn text(path: &Path) -> Result<&str, OverlayError> {
    path.to_str().ok_or_else(|| OverlayError::Encoding(path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colons_in_paths_are_escaped() {
        assert_eq!(joined(&["/a:b", "/c"]), "/a\\:b:/c");
    }

    /// In a mount namespace of its own, as the supervisor does it: three layers, and sixty, which do not fit one option.
    #[test]
    fn upper_layers_hide_lower_ones_however_many() {
        let scratch = tempfile::tempdir().unwrap();
        let layers: Vec<PathBuf> = (0..60).map(|n| scratch.path().join(format!("layer-{n:02}"))).collect();
        for (n, layer) in layers.iter().enumerate() {
            std::fs::create_dir(layer).unwrap();
            std::fs::write(layer.join("who"), n.to_string()).unwrap();
            std::fs::write(layer.join(format!("only-{n}")), "").unwrap();
        }
        // SAFETY: the child works on values of its own and ends.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let works = |count: usize| {
                let at = |name: &str| scratch.path().join(format!("{name}-{count}"));
                mount(&layers[..count], &at("upper"), &at("work"), &at("root")).is_ok()
                    && std::fs::read(at("root").join("who")).is_ok_and(|who| who == b"0")
                    && at("root").join(format!("only-{}", count - 1)).exists()
            };
            unsafe {
                let root = c"/".as_ptr();
                let private = libc::unshare(libc::CLONE_NEWNS) == 0
                    && libc::mount(root, root, root, libc::MS_REC | libc::MS_PRIVATE, std::ptr::null()) == 0;
                libc::_exit(i32::from(!(private && works(3) && works(60))));
            }
        }
        let mut status = 0;
        unsafe { libc::waitpid(pid, &mut status, 0) };
        assert_eq!(status, 0);
    }
}

//! Opens paths inside an image. The kernel resolves them with the image as the root (`openat2`, `RESOLVE_IN_ROOT`), so
//! that neither `..` nor a symbolic link leads out, even while the container changes them.

use rustix::fs::{Mode, OFlags, ResolveFlags};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// An image's root directory, held open.
#[derive(Debug)]
pub struct Root {
    directory: OwnedFd,
    path: PathBuf,
}

#[derive(Debug, thiserror::Error)]
#[error("{action} {path} in the image at {root}")]
pub struct ResolveError {
    action: &'static str,
    path: String,
    root: PathBuf,
    #[source]
    source: io::Error,
}

impl Root {
    pub fn open(path: &Path) -> Result<Self, ResolveError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty()).map_err(|source| ResolveError {
            action: "open",
            path: "/".to_owned(),
            root: path.to_owned(),
            source: source.into(),
        })?;
        Ok(Root { directory, path: path.to_owned() })
    }

    fn at(&self, path: &str, flags: OFlags) -> Result<OwnedFd, ResolveError> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(&self.directory, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
            .map_err(|source| self.failed("open", path, source.into()))
    }

    fn failed(&self, action: &'static str, path: &str, source: io::Error) -> ResolveError {
        ResolveError { action, path: path.to_owned(), root: self.path.clone(), source }
    }

    /// A regular file's text, at most `limit` bytes, or `None` if there is no such file.
    pub fn read(&self, path: &str, limit: u64) -> Result<Option<String>, ResolveError> {
        // To open a FIFO would hold us up, and to open a device may do whatever its driver does: first a look, then the same
        // file again, which no name can change any more.
        let found = match self.at(path, OFlags::PATH) {
            Ok(fd) => File::from(fd),
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        let read = found.metadata().and_then(|metadata| {
            if metadata.is_file() {
                let file = File::open(format!("/proc/self/fd/{}", found.as_raw_fd()))?;
                file.take(limit).read_to_end(&mut bytes)?;
            }
            Ok(())
        });
        read.map_err(|source| self.failed("read", path, source))?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// A directory to read from, or `None` if there is none at `path`.
    pub fn directory(&self, path: &str) -> io::Result<Option<OwnedFd>> {
        match self.at(path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(found) => Ok(Some(found)),
            Err(error) if matches!(error.source.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => Ok(None),
            Err(error) => Err(error.source),
        }
    }

    /// Where `path` leads inside the image once its links are followed, those that lead to nothing too: what is not there
    /// yet may be once the kernel's file systems are mounted.
    pub fn real(&self, path: impl AsRef<Path>) -> io::Result<PathBuf> {
        let mut left: Vec<OsString> = components(path.as_ref()).collect();
        let mut real = PathBuf::from("/");
        let mut links = 0;
        while let Some(part) = left.pop() {
            if part == ".." {
                real.pop();
                continue;
            }
            real.push(&part);
            let Some(text) = real.to_str() else { continue };
            let target = match self.at(text, OFlags::PATH | OFlags::NOFOLLOW) {
                // Anything but a link has no target.
                Ok(found) => rustix::fs::readlinkat(&found, "", Vec::new()).ok(),
                Err(_) => None,
            };
            if let Some(target) = target {
                links += 1;
                if links > LINKS_MAX {
                    return Err(io::Error::from_raw_os_error(libc::ELOOP));
                }
                let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
                real.pop();
                if target.is_absolute() {
                    real = PathBuf::from("/");
                }
                left.extend(components(&target));
            }
        }
        Ok(real)
    }

    /// Makes the directory and its parents where they are missing, owned by the user and group `owner`.
    pub fn make_directories(&self, path: &str, owner: u32) -> Result<(), ResolveError> {
        let directory = OFlags::PATH | OFlags::DIRECTORY;
        if self.at(path, directory).is_ok() {
            return Ok(());
        }
        let mut reached = String::new();
        let mut parent = self.at("/", directory)?;
        for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
            reached.push('/');
            reached.push_str(part);
            parent = match self.at(&reached, directory) {
                Ok(found) => found,
                Err(error) if error.source.kind() == io::ErrorKind::NotFound => {
                    let (uid, gid) = (rustix::fs::Uid::from_raw(owner), rustix::fs::Gid::from_raw(owner));
                    rustix::fs::mkdirat(&parent, part, Mode::from_raw_mode(0o755))
                        .and_then(|()| {
                            let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
                            rustix::fs::chownat(&parent, part, Some(uid), Some(gid), flags)
                        })
                        .map_err(|source| self.failed("make directory", &reached, source.into()))?;
                    self.at(&reached, directory)?
                }
                Err(error) => return Err(error),
            };
        }
        Ok(())
    }
}

/// As many as the kernel follows.
const LINKS_MAX: usize = 40;

/// A path's names and `..`, the last one first.
fn components(path: &Path) -> impl Iterator<Item = OsString> {
    let part = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        _ => None,
    };
    path.components().rev().filter_map(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_and_dots_stay_in_the_image() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("secret"), "s").unwrap();
        let image = tempfile::tempdir().unwrap();
        std::fs::create_dir(image.path().join("etc")).unwrap();
        std::fs::write(image.path().join("etc/passwd"), "inside").unwrap();
        symlink(outside.path().join("secret"), image.path().join("etc/absolute")).unwrap();
        symlink("../../../../../../etc/passwd", image.path().join("etc/up")).unwrap();
        symlink(outside.path(), image.path().join("away")).unwrap();
        let root = Root::open(image.path()).unwrap();
        assert_eq!(root.read("etc/absolute", 99).unwrap(), None);
        assert_eq!(root.read("/etc/up", 99).unwrap().unwrap(), "inside");
        assert_eq!(root.read("/../../etc/passwd", 3).unwrap().unwrap(), "ins");
        assert!(root.make_directories("/away/made", 0).is_err(), "the link leads nowhere inside");
        assert!(!outside.path().join("made").exists());
    }

    #[test]
    fn a_path_is_known_by_where_its_links_lead() {
        let image = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(image.path().join("proc/sys")).unwrap();
        symlink("/proc", image.path().join("innocent")).unwrap();
        symlink("../../innocent/sys", image.path().join("deeper")).unwrap();
        symlink("innocent/self", image.path().join("dangling")).unwrap();
        symlink("circle", image.path().join("circle")).unwrap();
        let root = Root::open(image.path()).unwrap();
        for (path, real) in
            [("/innocent/new/one", "/proc/new/one"), ("/deeper", "/proc/sys"), ("/data/x", "/data/x"), ("/", "/")]
        {
            assert_eq!(root.real(path).unwrap(), Path::new(real), "{path}");
        }
        assert!(root.real("/circle").is_err());
    }

    #[test]
    fn directories_are_made_once() {
        let image = tempfile::tempdir().unwrap();
        let root = Root::open(image.path()).unwrap();
        root.make_directories("/a/./b//c", 0).unwrap();
        root.make_directories("/a/b/c/", 0).unwrap();
        assert!(image.path().join("a/b/c").is_dir());
    }

    #[test]
    fn a_fifo_does_not_hold_us_up() {
        let image = tempfile::tempdir().unwrap();
        let path = std::ffi::CString::new(image.path().join("f").to_str().unwrap()).unwrap();
        assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
        assert_eq!(Root::open(image.path()).unwrap().read("f", 9).unwrap().unwrap(), "");
    }

    #[test]
    fn what_is_no_file_is_not_opened() {
        let image = tempfile::tempdir().unwrap();
        // To open a socket is an error.
        let _socket = std::os::unix::net::UnixListener::bind(image.path().join("s")).unwrap();
        assert_eq!(Root::open(image.path()).unwrap().read("s", 9).unwrap().unwrap(), "");
    }
}

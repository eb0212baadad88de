//! Copies what an image has at a path into an empty volume, as Docker does for the volumes that an image declares.

use super::resolve::Root;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Deeper trees are refused rather than trusted with our stack.
const DEPTH_MAX: usize = 200;

/// Fills the directory `volume` with the content of the image's directory `path`, with owners and modes. Nothing happens
/// when the volume has content or the image has no such directory.
pub fn fill(root: &Root, path: &str, volume: &Path) -> io::Result<()> {
    let Some(from) = root.directory(path)? else { return Ok(()) };
    if std::fs::read_dir(volume)?.next().is_some() {
        return Ok(());
    }
    let to = open(rustix::fs::CWD, volume, OFlags::DIRECTORY)?;
    copy_directory(from.as_fd(), to.as_fd(), 0)
}

fn open(at: BorrowedFd<'_>, path: impl rustix::path::Arg, flags: OFlags) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(at, path, flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?)
}

fn copy_directory(from: BorrowedFd<'_>, to: BorrowedFd<'_>, depth: usize) -> io::Result<()> {
    if depth > DEPTH_MAX {
        return Err(io::Error::other("the directories are nested too deep"));
    }
    for entry in Dir::read_from(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if [c".", c".."].contains(&name) {
            continue;
        }
        let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                rustix::fs::mkdirat(to, name, Mode::RWXU)?;
                let (from, to) = (open(from, name, OFlags::DIRECTORY)?, open(to, name, OFlags::DIRECTORY)?);
                copy_directory(from.as_fd(), to.as_fd(), depth + 1)?;
            }
            FileType::RegularFile => {
                let mut source = File::from(open(from, name, OFlags::empty())?);
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                let mut target = File::from(rustix::fs::openat(to, name, flags, Mode::RUSR | Mode::WUSR)?);
                io::copy(&mut source, &mut target)?;
                adopt(target.as_fd(), &stat)?;
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(from, name, Vec::new())?;
                rustix::fs::symlinkat(target, to, name)?;
                let (uid, gid) = owner(&stat);
                rustix::fs::chownat(to, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
            }
            // Sockets and devices of an image are no data.
            _ => {}
        }
    }
    adopt(to, &rustix::fs::fstat(from)?)
}

fn owner(stat: &rustix::fs::Stat) -> (Option<rustix::fs::Uid>, Option<rustix::fs::Gid>) {
    (Some(rustix::fs::Uid::from_raw(stat.st_uid)), Some(rustix::fs::Gid::from_raw(stat.st_gid)))
}

fn adopt(to: BorrowedFd<'_>, stat: &rustix::fs::Stat) -> io::Result<()> {
    let (uid, gid) = owner(stat);
    rustix::fs::fchown(to, uid, gid)?;
    // After the owner, whose change clears some bits.
    Ok(rustix::fs::fchmod(to, Mode::from_raw_mode(stat.st_mode))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    #[test]
    fn an_empty_volume_takes_over_the_images_directory_once() {
        let (image, volume) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let data = image.path().join("var/data");
        std::fs::create_dir_all(data.join("deep")).unwrap();
        std::fs::write(data.join("deep/file"), "content").unwrap();
        symlink("deep/file", data.join("link")).unwrap();
        std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o1777)).unwrap();
        std::os::unix::fs::chown(data.join("deep"), Some(1000), Some(1001)).unwrap();
        let root = Root::open(image.path()).unwrap();

        fill(&root, "/var/data", volume.path()).unwrap();
        assert_eq!(std::fs::read_to_string(volume.path().join("link")).unwrap(), "content");
        assert_eq!(std::fs::metadata(volume.path()).unwrap().mode() & 0o7777, 0o1777);
        let deep = std::fs::metadata(volume.path().join("deep")).unwrap();
        assert_eq!((deep.uid(), deep.gid()), (1000, 1001));

        std::fs::write(data.join("later"), "").unwrap();
        fill(&root, "/var/data", volume.path()).unwrap();
        assert!(!volume.path().join("later").exists(), "it is not empty any more");
        fill(&root, "/nowhere", volume.path()).unwrap();
    }
}

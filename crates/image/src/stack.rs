//! Reads a stack of unpacked layers as the one tree that overlayfs would show, without mounting it.
//!
//! A build needs to know what a path is in the image so far (`COPY x /dir` depends on it) and to copy from other stages.
//! Mounting would take a mount namespace and leave mounts behind when killed; looking is a few system calls a path.
//! Names come from images: only single components are ever joined to directories that were just seen to be
//! directories, so no link is followed by the kernel, and a link's target is walked within the tree.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use crate::unpack::XATTR_OPAQUE;

/// As many as the kernel follows.
const LINKS_MAX: usize = 40;

/// The merged tree.
#[derive(Debug, Clone)]
pub(crate) struct LayerStack {
    root: DirNode,
}

/// A directory of the merged tree: the directories that make it up, top first. Never empty.
#[derive(Debug, Clone)]
pub(crate) struct DirNode {
    parts: Vec<PathBuf>,
}

/// What a name is.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    Dir(DirNode),
    File(PathBuf),
    Symlink {
        path: PathBuf,
        target: PathBuf,
    },
    /// A fifo, socket or device.
    Other(PathBuf),
}

impl Node {
    /// The real path whose metadata count.
    pub fn path(&self) -> &Path {
        match self {
            Self::Dir(dir) => &dir.parts[0],
            Self::File(path) | Self::Symlink { path, .. } | Self::Other(path) => path,
        }
    }

    pub fn metadata(&self) -> io::Result<Metadata> {
        match self {
            // The root's own path may be a link to the layer.
            Self::Dir(dir) => dir.metadata(),
            _ => fs::symlink_metadata(self.path()),
        }
    }
}

/// Where a path led.
#[derive(Debug)]
pub(crate) struct Walk {
    /// The existing part of the path with all links resolved, relative to the root.
    pub resolved: PathBuf,
    /// What is there.
    pub node: Node,
    /// What does not exist of the path, from `resolved` (then a directory) on. Empty when all of it does.
    pub missing: PathBuf,
}

impl LayerStack {
    /// The tree of `layers`, top first.
    pub fn new(layers: Vec<PathBuf>) -> Self {
        Self { root: DirNode { parts: layers } }
    }

    /// Walks `path` from the root. Links on the way are followed, the last component's only with `follow`.
    pub fn walk(&self, path: &Path, follow: bool) -> io::Result<Walk> {
        let mut pending: VecDeque<OsString> = components(path).collect();
        let mut trail: Vec<(OsString, DirNode)> = Vec::new();
        let mut links = 0;
        let resolved = |trail: &[(OsString, DirNode)]| trail.iter().map(|(name, _)| name).collect::<PathBuf>();
        while let Some(name) = pending.pop_front() {
            if name == ".." {
                trail.pop();
                continue;
            }
            let dir = trail.last().map_or(&self.root, |(_, dir)| dir);
            match dir.child(&name)? {
                None => {
                    let node = Node::Dir(dir.clone());
                    let missing: PathBuf = std::iter::once(name).chain(pending).collect();
                    if missing.components().any(|c| c == Component::ParentDir) {
                        return Err(io::Error::new(io::ErrorKind::NotFound, "`..` after a missing directory"));
                    }
                    return Ok(Walk { resolved: resolved(&trail), node, missing });
                }
                Some(Node::Dir(child)) => trail.push((name, child)),
                Some(Node::Symlink { target, .. }) if follow || !pending.is_empty() => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(io::Error::new(io::ErrorKind::InvalidInput, "too many symbolic links"));
                    }
                    if target.is_absolute() {
                        trail.clear();
                    }
                    for part in components(&target).collect::<Vec<_>>().into_iter().rev() {
                        pending.push_front(part);
                    }
                }
                Some(node) if pending.is_empty() => {
                    return Ok(Walk { resolved: resolved(&trail).join(name), node, missing: PathBuf::new() });
                }
                Some(_) => return Err(io::Error::new(io::ErrorKind::NotADirectory, "not a directory")),
            }
        }
        let dir = trail.last().map_or(&self.root, |(_, dir)| dir);
        Ok(Walk { resolved: resolved(&trail), node: Node::Dir(dir.clone()), missing: PathBuf::new() })
    }

    /// What `path` is; `None` where there is nothing.
    pub fn get(&self, path: &Path, follow: bool) -> io::Result<Option<Node>> {
        match self.walk(path, follow) {
            Ok(walk) => Ok(walk.missing.as_os_str().is_empty().then_some(walk.node)),
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => Ok(None),
            Err(e) => Err(e),
        }
    }
}

impl DirNode {
    /// What `name`, a single component, is in this directory.
    pub fn child(&self, name: &OsStr) -> io::Result<Option<Node>> {
        let mut parts = Vec::new();
        for dir in &self.parts {
            let path = dir.join(name);
            let meta = match fs::symlink_metadata(&path) {
                Ok(meta) => meta,
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            };
            let kind = meta.file_type();
            if kind.is_dir() {
                let opaque = is_opaque(&path)?;
                parts.push(path);
                if opaque {
                    break;
                }
            } else if !parts.is_empty() || (kind.is_char_device() && meta.rdev() == 0) {
                // A directory above hides what this is; a whiteout hides what is below.
                break;
            } else if kind.is_file() {
                return Ok(Some(Node::File(path)));
            } else if kind.is_symlink() {
                let target = fs::read_link(&path)?;
                return Ok(Some(Node::Symlink { path, target }));
            } else {
                return Ok(Some(Node::Other(path)));
            }
        }
        Ok((!parts.is_empty()).then_some(Node::Dir(DirNode { parts })))
    }

    /// The metadata that count: those of the uppermost directory.
    pub fn metadata(&self) -> io::Result<Metadata> {
        fs::metadata(&self.parts[0])
    }

    /// The directory's entries, sorted by name.
    pub fn entries(&self) -> io::Result<BTreeMap<OsString, Node>> {
        let mut names = BTreeSet::new();
        for dir in &self.parts {
            for entry in fs::read_dir(dir)? {
                names.insert(entry?.file_name());
            }
        }
        let mut entries = BTreeMap::new();
        for name in names {
            if let Some(node) = self.child(&name)? {
                entries.insert(name, node);
            }
        }
        Ok(entries)
    }
}

fn components(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        _ => None,
    })
}

fn is_opaque(path: &Path) -> io::Result<bool> {
    let mut value = [0; 8];
    match rustix::fs::lgetxattr(path, XATTR_OPAQUE, &mut value) {
        Ok(len) => Ok(value[..len] == *b"y"),
        Err(rustix::io::Errno::NODATA | rustix::io::Errno::NOTSUP) => Ok(false),
        // Longer than any value overlayfs gives the attribute.
        Err(rustix::io::Errno::RANGE) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// Two layers, top first.
    fn layers() -> (tempfile::TempDir, LayerStack) {
        let tmp = tempfile::tempdir().expect("tmp");
        let (top, low) = (tmp.path().join("top"), tmp.path().join("low"));
        for dir in
            [top.join("etc"), top.join("opq"), low.join("etc"), low.join("usr/lib"), low.join("opq"), low.join("gone")]
        {
            fs::create_dir_all(dir).expect("dir");
        }
        for file in [
            top.join("etc/a"),
            low.join("etc/a"),
            low.join("etc/b"),
            low.join("usr/lib/x"),
            low.join("opq/old"),
            top.join("opq/new"),
        ] {
            fs::write(&file, file.as_os_str().as_encoded_bytes()).expect("file");
        }
        symlink("/usr/lib", low.join("lib")).expect("link");
        symlink("../../../../usr", low.join("etc/climb")).expect("link");
        symlink("loop", low.join("loop")).expect("link");
        let mode = rustix::fs::Mode::empty();
        rustix::fs::mknodat(rustix::fs::CWD, top.join("gone"), rustix::fs::FileType::CharacterDevice, mode, 0)
            .expect("root");
        rustix::fs::setxattr(top.join("opq"), XATTR_OPAQUE, b"y", rustix::fs::XattrFlags::empty()).expect("root");
        (tmp, LayerStack::new(vec![top, low]))
    }

    #[test]
    fn upper_names_win_and_directories_join() {
        let (tmp, stack) = layers();
        let Some(Node::File(path)) = stack.get(Path::new("/etc/a"), true).expect("ok") else { panic!("a file") };
        assert_eq!(path, tmp.path().join("top/etc/a"));
        let Some(Node::Dir(etc)) = stack.get(Path::new("etc"), true).expect("ok") else { panic!("a directory") };
        assert_eq!(etc.entries().expect("ok").into_keys().collect::<Vec<_>>(), ["a", "b", "climb"]);
    }

    #[test]
    fn whiteouts_and_opaque_directories_hide() {
        let (_tmp, stack) = layers();
        assert!(stack.get(Path::new("gone"), true).expect("ok").is_none());
        assert!(stack.get(Path::new("opq/old"), true).expect("ok").is_none());
        assert!(stack.get(Path::new("opq/new"), true).expect("ok").is_some());
    }

    #[test]
    fn links_stay_within_the_tree() {
        let (_tmp, stack) = layers();
        assert_eq!(stack.walk(Path::new("lib/x"), true).expect("ok").resolved, Path::new("usr/lib/x"));
        assert_eq!(stack.walk(Path::new("etc/climb/lib"), true).expect("ok").resolved, Path::new("usr/lib"));
        assert_eq!(stack.walk(Path::new("../../lib"), true).expect("ok").resolved, Path::new("usr/lib"));
        assert!(stack.walk(Path::new("loop"), true).is_err());
        let walk = stack.walk(Path::new("lib/new/file"), true).expect("ok");
        assert_eq!((walk.resolved.as_path(), walk.missing.as_path()), (Path::new("usr/lib"), Path::new("new/file")));
    }
}

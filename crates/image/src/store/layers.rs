//! Unpacked layers: how one comes to be believed, and when it stops being.
//!
//! A layer is made in the session's directory and renamed to `layers/<chain>` as a whole, so it is there complete or not
//! at all, whenever the process dies. A power cut is another matter: the rename may reach the disk before the files
//! do. Flushing hundreds of megabytes before every task start would be a high price for that, so the marker says in
//! which boot the layer was made, and a thread flushes the file system later and then marks it durable. After another
//! boot, a layer that was not marked is not believed: it is removed and pulled again.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::StoreError;
use super::files::{read_json, write_json};
use super::layout::Layout;
use super::session::{Session, TempPath};
use crate::digest::{ChainId, Digest};
use crate::stack::{LayerStack, Node};

/// `layer.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Marker {
    pub chain: ChainId,
    pub diff_id: Digest,
    /// Bytes of the uncompressed archive.
    pub archive_bytes: u64,
    /// The boot in which the layer was made.
    pub boot: String,
    /// The layer's files reached the disk.
    pub durable: bool,
}

/// The kernel's name of the current boot.
pub(crate) fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}

/// Moves `staged`, a directory with the layer in `fs`, into place. Another process may have been first: then its layer,
/// which is the same, stays.
pub(crate) fn commit(layout: &Layout, session: &Session, staged: TempPath, marker: &Marker) -> Result<(), StoreError> {
    write_json(session, &staged.as_path().join("layer.json"), marker)?;
    let to = layout.layer(marker.chain);
    match staged.rename(&to) {
        Ok(()) => {}
        Err(e) if matches!(e.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty) => {}
        Err(e) => return Err(StoreError::io("rename into", &to)(e)),
    }
    link(layout, marker.chain)
}

/// Makes the layer's short link, or checks it.
fn link(layout: &Layout, chain: ChainId) -> Result<(), StoreError> {
    let (path, target) = (layout.short(chain), layout.short_target(chain));
    match symlink(&target, &path) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            let found = fs::read_link(&path).map_err(StoreError::io("read", &path))?;
            if found == target {
                return Ok(());
            }
            let taken = io::Error::other(format!("it leads to {}", found.display()));
            Err(StoreError::io("link a layer at", &path)(taken))
        }
        Err(e) => Err(StoreError::io("link", &path)(e)),
    }
}

/// The marker of `chain`'s layer, if there is one to be believed.
pub(crate) fn find(layout: &Layout, chain: ChainId) -> Result<Option<Marker>, StoreError> {
    let marker: Option<Marker> = read_json(&layout.layer_marker(chain))?;
    Ok(marker.filter(|m| m.chain == chain))
}

/// As [`find`], and sees to it that the layer can be reached by its short link.
pub(crate) fn find_linked(layout: &Layout, chain: ChainId) -> Result<Option<Marker>, StoreError> {
    let found = find(layout, chain)?;
    // A crash may have come between the layer and its link.
    found.map(|marker| link(layout, chain).map(|()| marker)).transpose()
}

/// Removes the layers that a power cut may have damaged. Returns those that are here but not yet durable.
pub(crate) fn recover(layout: &Layout, session: &Session) -> Result<HashSet<ChainId>, StoreError> {
    let dir = layout.root.join("layers");
    let boot = boot_id();
    let mut pending = HashSet::new();
    for entry in fs::read_dir(&dir).map_err(StoreError::io("list", &dir))? {
        let path = entry.map_err(StoreError::io("list", &dir))?.path();
        match read_json::<Marker>(&path.join("layer.json"))? {
            Some(marker) if marker.durable => {}
            Some(marker) if marker.boot == boot => {
                pending.insert(marker.chain);
            }
            _ => {
                tracing::warn!(path = %path.display(), "removing a layer that may not have reached the disk");
                discard(session, &path)?;
            }
        }
    }
    Ok(pending)
}

/// Takes `path` out of the store at once; its tree is removed after that.
pub(crate) fn discard(session: &Session, path: &std::path::Path) -> Result<(), StoreError> {
    let grave = session.path("discarded");
    match fs::rename(path, grave.as_path()) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove", path)(e)),
        _ => Ok(()),
    }
}

/// Flushes the file system and marks `chains` as durable. Takes as long as the disk needs.
pub(crate) fn make_durable(layout: &Layout, session: &Session, chains: &HashSet<ChainId>) -> Result<(), StoreError> {
    let root = fs::File::open(&layout.root).map_err(StoreError::io("open", &layout.root))?;
    rustix::fs::syncfs(&root).map_err(|e| StoreError::io("flush", &layout.root)(e.into()))?;
    for chain in chains {
        if let Some(mut marker) = find(layout, *chain)? {
            marker.durable = true;
            match write_json(session, &layout.layer_marker(*chain), &marker) {
                // Collected meanwhile.
                Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
    }
    Ok(())
}

/// Gives directories that a layer uses without describing them (`implicit`, relative to `fs`) the owner, mode and time
/// that they have in the layers below, top first. In an overlay the upper directory's metadata count, so a layer that only
/// adds `tmp/x` would otherwise take away everybody's right to write to `/tmp`.
pub(crate) fn adopt_metadata(
    fs_dir: &std::path::Path,
    implicit: &[PathBuf],
    below: Vec<PathBuf>,
) -> Result<(), StoreError> {
    if implicit.is_empty() || below.is_empty() {
        return Ok(());
    }
    let stack = LayerStack::new(below);
    for dir in implicit {
        let adopt = || -> io::Result<()> {
            let Some(Node::Dir(lower)) = stack.get(dir, false)? else { return Ok(()) };
            // Parents are named by the archive and may be links; what is not plainly a directory here is left alone.
            let own = fs_dir.join(dir);
            if fs::canonicalize(&own)? != fs::canonicalize(fs_dir)?.join(dir) {
                return Ok(());
            }
            let meta = Node::Dir(lower).metadata()?;
            chown(&own, Some(meta.uid()), Some(meta.gid()))?;
            fs::set_permissions(&own, fs::Permissions::from_mode(meta.mode() & 0o7777))?;
            fs::File::open(&own)?.set_modified(meta.modified()?)
        };
        adopt().map_err(StoreError::io("adjust", fs_dir.join(dir)))?;
    }
    Ok(())
}

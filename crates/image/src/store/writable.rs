//! The writable layer of a container: overlayfs' upper and work directories.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use super::error::StoreError;
use super::{ImageStore, layers};
use crate::image::Image;

/// In a writable layer's directory: the id of its image.
pub(crate) const IMAGE_FILE: &str = "image";

/// Two empty directories on the store's file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writable {
    /// What the container writes.
    pub upper: PathBuf,
    /// overlayfs' own scratch space; must stay beside `upper`.
    pub work: PathBuf,
}

impl ImageStore {
    /// Makes the writable layer `name` (letters, digits, `_`, `-`, `.`) for a container of `image`, or finds it.
    ///
    /// The upper directory has the owner and mode of the image's root, since they become those of `/`.
    pub fn create_writable(&self, name: &str, image: &Image) -> Result<Writable, StoreError> {
        // Before anything is looked at: from here on no cleanup takes the image away.
        self.hold_image(name, image)?;
        let dir = self.writable_dir(name)?;
        make(dir.join("upper"), dir.join("work"), image.layers.first().map(PathBuf::as_path))
    }

    /// Keeps `image` from cleanups until [`ImageStore::remove_writable`], for a container called `name` whose writable layer is
    /// elsewhere.
    pub fn hold_image(&self, name: &str, image: &Image) -> Result<(), StoreError> {
        let dir = self.writable_dir(name)?;
        fs::create_dir_all(&dir).map_err(StoreError::io("make", &dir))?;
        let of = dir.join(IMAGE_FILE);
        if !of.exists() {
            super::files::write_atomically(&self.inner.session, &of, image.id.to_string().as_bytes())?;
        }
        if !self.inner.mark_used(image.id) {
            self.remove_writable(name)?;
            return Err(StoreError::NoImage(image.id.to_string()));
        }
        Ok(())
    }

    /// Removes the writable layer `name`; nothing happens when it is not there. It must not be mounted. Blocking.
    pub fn remove_writable(&self, name: &str) -> Result<(), StoreError> {
        // Renamed first, so that a removal that is cut off is finished when the session's remains are swept.
        layers::discard(&self.inner.session, &self.writable_dir(name)?)
    }

    /// The names of all writable layers, for an agent that looks for those without a container.
    pub fn list_writable(&self) -> Result<Vec<String>, StoreError> {
        let dir = self.inner.layout.root.join("writable");
        let mut names = Vec::new();
        for entry in fs::read_dir(&dir).map_err(StoreError::io("list", &dir))? {
            names.extend(entry.map_err(StoreError::io("list", &dir))?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }

    fn writable_dir(&self, name: &str) -> Result<PathBuf, StoreError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if name.is_empty() || name.len() > 200 || name.starts_with('.') || !name.chars().all(plain) {
            return Err(StoreError::Name(name.chars().take(250).collect()));
        }
        Ok(self.inner.layout.writable(name))
    }
}

/// Makes both directories; the upper one looks like `root`, the uppermost layer.
pub(crate) fn make(upper: PathBuf, work: PathBuf, root: Option<&Path>) -> Result<Writable, StoreError> {
    let writable = Writable { upper, work };
    for path in [&writable.work, &writable.upper] {
        fs::create_dir_all(path).map_err(StoreError::io("make", path))?;
    }
    if let Some(root) = root {
        let adopt = || -> io::Result<()> {
            let meta = fs::metadata(root)?;
            chown(&writable.upper, Some(meta.uid()), Some(meta.gid()))?;
            fs::set_permissions(&writable.upper, fs::Permissions::from_mode(meta.mode() & 0o7777))
        };
        adopt().map_err(StoreError::io("set up", &writable.upper))?;
    }
    Ok(writable)
}

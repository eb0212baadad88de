//! Where things lie below `<data>/images/`.
//!
//! ```text
//! blobs/sha256/<hex>         manifests, configurations, compressed layers; complete by construction (renamed into place)
//! images/<hex>.json          one image each: its manifest, configuration and layers (`record`)
//! refs/<hex>.json            one reference each; the name is the hash of the reference
//! layers/<chain hex>/fs      an unpacked layer, and layer.json beside it; renamed into place as a whole
//! l/<16 hex>                 links to the unpacked layers, so that mount options stay short
//! writable/<name>/           upper and work directories of a container, and `image`, the id of the image it runs; only the
//!                            latter where the layer is elsewhere
//! cache/<hex>.json           results of build steps
//! mounts/<hex>/              a cache of `RUN --mount=type=cache`; `<hex>.lock` beside it says when it was last used
//! tmp/<session>/             what is being made; a dead session's directory is removed by the next one
//! lock                       shared while adding, exclusive while collecting garbage
//! ```

use std::path::{Path, PathBuf};

use crate::digest::{ChainId, Digest, ImageId};

/// The directories of one store.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub root: PathBuf,
}

/// Stands for the single, empty lower directory of an image without layers.
const EMPTY: &str = "empty";

impl Layout {
    pub fn dirs(&self) -> [PathBuf; 8] {
        ["blobs/sha256", "images", "refs", "layers", "l", "writable", "cache", "tmp"].map(|dir| self.root.join(dir))
    }

    pub fn blob(&self, digest: Digest) -> PathBuf {
        self.root.join("blobs/sha256").join(digest.hex())
    }

    pub fn image(&self, id: ImageId) -> PathBuf {
        self.root.join("images").join(format!("{}.json", id.0.hex()))
    }

    pub fn reference(&self, canonical: &str) -> PathBuf {
        self.root.join("refs").join(format!("{}.json", Digest::of(canonical.as_bytes()).hex()))
    }

    pub fn layer(&self, chain: ChainId) -> PathBuf {
        self.root.join("layers").join(chain.0.hex())
    }

    pub fn layer_fs(&self, chain: ChainId) -> PathBuf {
        self.layer(chain).join("fs")
    }

    pub fn layer_marker(&self, chain: ChainId) -> PathBuf {
        self.layer(chain).join("layer.json")
    }

    /// The short link to a layer. 64 bits of its id: two of a machine's layers never share them by accident, and
    /// [`super::layers`] refuses to use a link that leads elsewhere.
    pub fn short(&self, chain: ChainId) -> PathBuf {
        self.root.join("l").join(&chain.0.hex()[..16])
    }

    /// What the short link holds.
    pub fn short_target(&self, chain: ChainId) -> PathBuf {
        Path::new("../layers").join(chain.0.hex()).join("fs")
    }

    pub fn empty_layer(&self) -> PathBuf {
        self.root.join("l").join(EMPTY)
    }

    pub fn writable(&self, name: &str) -> PathBuf {
        self.root.join("writable").join(name)
    }

    pub fn cache(&self, key: Digest) -> PathBuf {
        self.root.join("cache").join(format!("{}.json", key.hex()))
    }

    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }
}

//! An image that is on this machine, unpacked: what the agent hands to a task supervisor.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::config::ImageConfig;
use crate::digest::{ChainId, Digest, ImageId};

/// An image whose layers are all unpacked. Cheap to share (`Arc`), never changes.
#[derive(Debug, Clone)]
pub struct Image {
    /// Digest of the manifest for this platform.
    pub id: ImageId,
    /// Digest of the configuration blob (what Docker calls the image id).
    pub config_digest: Digest,
    /// What a container runs unless told otherwise.
    pub config: ImageConfig,
    /// When it was made, as the configuration says (RFC 3339).
    pub created: Option<String>,
    /// The unpacked layers for overlayfs' `lowerdir`, top first. Never empty: an image without layers has one empty
    /// directory. Absolute and short: `<data>/images/l/<16 hex digits>`, each a link to the layer's directory.
    pub layers: Vec<PathBuf>,
    /// The chain ids of the image's own layers, bottom first.
    pub chain: Vec<ChainId>,
    /// Compressed bytes of all layers, as a registry counts them.
    pub compressed_bytes: u64,
    /// Bytes of all layers' archives, uncompressed.
    pub unpacked_bytes: u64,
}

impl Image {
    /// The layers as one `lowerdir` value, relative to a directory to be in while mounting.
    pub fn lower_dirs(&self) -> LowerDirs {
        LowerDirs::new(&self.layers)
    }
}

/// Lower directories, named relative to [`LowerDirs::base`].
///
/// `mount(2)` takes one page of options. 128 absolute paths do not fit; 200 of the form `l/<16 hex digits>` do. So whoever
/// mounts changes its working directory to `base` first (as Docker does), or passes the absolute paths one by one to
/// `fsconfig(2)` as `lowerdir+` (Linux 6.8 and later).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LowerDirs {
    /// The directory to be in while mounting.
    pub base: PathBuf,
    /// Paths relative to `base`, top first.
    pub relative: Vec<PathBuf>,
}

/// The longest option string that `mount(2)` takes, with its final NUL: one page.
pub const MOUNT_OPTIONS_MAX: usize = 4096;

impl LowerDirs {
    pub(crate) fn new(layers: &[PathBuf]) -> Self {
        // Every layer is `<root>/l/<id>`: the base is two levels up, and what is left of the path is relative to it.
        let base = layers.first().and_then(|path| path.parent()?.parent()).unwrap_or(Path::new("/")).to_owned();
        let relative = layers.iter().map(|path| path.strip_prefix(&base).unwrap_or(path).to_owned()).collect();
        Self { base, relative }
    }

    /// The absolute paths, top first.
    pub fn absolute(&self) -> Vec<PathBuf> {
        self.relative.iter().map(|path| self.base.join(path)).collect()
    }

    /// The option string for `mount -t overlay`, valid while the working directory is `base`.
    ///
    /// `redirect_dir` and `metacopy` are off, so that the upper directory holds plain files that can become a layer.
    /// `None` when the string would not fit in a page.
    pub fn overlay_options(&self, upper: &Path, work: &Path) -> Option<OsString> {
        let mut options = OsString::from("lowerdir=");
        for (i, path) in self.relative.iter().enumerate() {
            if i > 0 {
                options.push(":");
            }
            options.push(path);
        }
        options.push(",upperdir=");
        options.push(upper);
        options.push(",workdir=");
        options.push(work);
        options.push(",redirect_dir=off,metacopy=off,index=off");
        (options.len() < MOUNT_OPTIONS_MAX).then_some(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_and_fifty_layers_fit_in_a_page() {
        let layers: Vec<PathBuf> = (0..150).map(|i| format!("/var/lib/longshore/images/l/{i:016x}").into()).collect();
        let lower = LowerDirs::new(&layers);
        assert_eq!(lower.base, Path::new("/var/lib/longshore/images"));
        assert_eq!(lower.absolute(), layers);
        let writable = Path::new("/var/lib/longshore/images/writable/0123456789abcdef0123456789abcdef-web");
        let options = lower.overlay_options(&writable.join("upper"), &writable.join("work")).expect("it fits");
        let text = options.into_string().expect("ascii");
        assert!(text.starts_with("lowerdir=l/0000000000000000:l/0000000000000001:"), "{text}");
        assert!(text.len() < MOUNT_OPTIONS_MAX);
        let many: Vec<PathBuf> = (0..300).map(|i| format!("/x/l/{i:016x}").into()).collect();
        assert_eq!(LowerDirs::new(&many).overlay_options(&writable.join("upper"), &writable.join("work")), None);
    }
}

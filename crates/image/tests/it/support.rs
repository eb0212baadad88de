//! What several tests build on: layers, images, stores.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use longshore_image::{Digest, ImageStore, LowerDirs, RetryPolicy, StoreOptions};
use serde_json::{Value, json};

/// Builds an archive entry by entry, with names exactly as given: `tar::Builder` would refuse or clean the evil ones.
#[derive(Default)]
pub struct Layer(Vec<u8>);

impl Layer {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn entry(self, kind: tar::EntryType, name: &str, link: &str, mode: u32, content: &[u8]) -> Self {
        self.owned(kind, name, link, mode, (0, 0), content)
    }

    pub fn owned(
        mut self,
        kind: tar::EntryType,
        name: &str,
        link: &str,
        mode: u32,
        owner: (u64, u64),
        content: &[u8],
    ) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(owner.0);
        header.set_gid(owner.1);
        header.set_mtime(1_000_000_000);
        header.set_size(content.len() as u64);
        for (text, long) in [(name, tar::EntryType::GNULongName), (link, tar::EntryType::GNULongLink)] {
            if text.len() > 99 {
                let mut extension = tar::Header::new_gnu();
                extension.set_entry_type(long);
                extension.set_size(text.len() as u64 + 1);
                extension.set_cksum();
                self.push(extension.as_bytes(), &[text.as_bytes(), b"\0"].concat());
            }
        }
        let old = header.as_old_mut();
        let fill = |field: &mut [u8], text: &str| {
            let text = &text.as_bytes()[..text.len().min(field.len() - 1)];
            field[..text.len()].copy_from_slice(text);
        };
        fill(&mut old.name, name);
        fill(&mut old.linkname, link);
        header.set_cksum();
        self.push(header.as_bytes(), content);
        self
    }

    fn push(&mut self, header: &[u8], content: &[u8]) {
        self.0.extend_from_slice(header);
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
    }

    pub fn file(self, name: &str, content: &str) -> Self {
        self.entry(tar::EntryType::Regular, name, "", 0o644, content.as_bytes())
    }

    pub fn dir(self, name: &str) -> Self {
        self.entry(tar::EntryType::Directory, name, "", 0o755, b"")
    }

    pub fn symlink(self, name: &str, to: &str) -> Self {
        self.entry(tar::EntryType::Symlink, name, to, 0o777, b"")
    }

    pub fn hard_link(self, name: &str, to: &str) -> Self {
        self.entry(tar::EntryType::Link, name, to, 0o644, b"")
    }

    pub fn archive(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// An image as a registry has it.
#[derive(Clone)]
pub struct TestImage {
    pub manifest: Vec<u8>,
    pub media_type: String,
    pub blobs: Vec<Vec<u8>>,
}

impl TestImage {
    /// An image of these archives, bottom first, each compressed by `compress`.
    pub fn new(archives: &[Vec<u8>], compress: impl Fn(&[u8]) -> Vec<u8>) -> Self {
        Self::with(archives, compress, "application/vnd.docker.distribution.manifest.v2+json", |_| {})
    }

    pub fn with(
        archives: &[Vec<u8>],
        compress: impl Fn(&[u8]) -> Vec<u8>,
        media_type: &str,
        change: impl FnOnce(&mut Value),
    ) -> Self {
        let mut config = json!({
            "architecture": "amd64", "os": "linux", "created": "2024-01-01T00:00:00Z",
            "config": { "Env": ["PATH=/bin"], "Cmd": ["/bin/sh"], "ExposedPorts": { "80/tcp": {} } },
            "rootfs": { "type": "layers",
                        "diff_ids": archives.iter().map(|a| Digest::of(a).to_string()).collect::<Vec<_>>() },
        });
        change(&mut config);
        let config = config.to_string().into_bytes();
        let blobs: Vec<Vec<u8>> = archives.iter().map(|a| compress(a)).collect();
        let describe =
            |bytes: &[u8], kind: &str| json!({ "mediaType": kind, "digest": Digest::of(bytes), "size": bytes.len() });
        let (config_type, layer_type) = match media_type.contains("oci") {
            true => ("application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar+gzip"),
            false => {
                ("application/vnd.docker.container.image.v1+json", "application/vnd.docker.image.rootfs.diff.tar.gzip")
            }
        };
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": describe(&config, config_type),
            "layers": blobs.iter()
                .map(|blob| describe(blob, layer_type))
                .collect::<Vec<_>>(),
        });
        let manifest = manifest.to_string().into_bytes();
        Self { manifest, media_type: media_type.to_owned(), blobs: blobs.into_iter().chain([config]).collect() }
    }

    pub fn digest(&self) -> Digest {
        Digest::of(&self.manifest)
    }
}

/// A store in a directory of its own, with quick retries.
pub fn store(root: &Path) -> ImageStore {
    let retry = RetryPolicy { attempts: 3, backoff: Duration::from_millis(5) };
    let mut options = StoreOptions { retry, ..StoreOptions::default() };
    options.platform.architecture = "amd64".to_owned();
    ImageStore::open(root, options).expect("a store")
}

/// What a directory of the store holds.
pub fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("ascii"))
        .collect();
    names.sort();
    names
}

/// Runs `inside` on an overlay of these directories.
pub fn with_overlay<T: Send>(
    lower: &LowerDirs,
    upper: &Path,
    work: &Path,
    inside: impl FnOnce(&Path) -> T + Send,
) -> T {
    use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
    let target = tempfile::tempdir().expect("tmp");
    let options = lower.overlay_options(upper, work).expect("fits in a page");
    let options = std::ffi::CString::new(options.into_encoded_bytes()).expect("no NUL");
    with_mounts(|| {
        std::env::set_current_dir(&lower.base).expect("base");
        mount("overlay", target.path(), "overlay", MountFlags::empty(), Some(options.as_c_str())).expect("mounted");
        let result = inside(target.path());
        unmount(target.path(), UnmountFlags::empty()).expect("unmounted");
        result
    })
}

/// Runs `inside` in a mount namespace and a working directory of a thread's own: nothing is left of its mounts, whatever
/// happens.
pub fn with_mounts<T: Send>(inside: impl FnOnce() -> T + Send) -> T {
    use rustix::mount::{MountPropagationFlags, mount_change};
    let run = || {
        let flags = rustix::thread::UnshareFlags::NEWNS | rustix::thread::UnshareFlags::FS;
        // SAFETY: the thread shares no state with others that depends on its mount namespace or working directory.
        unsafe { rustix::thread::unshare_unsafe(flags) }.expect("root");
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).expect("private");
        inside()
    };
    std::thread::scope(|scope| scope.spawn(run).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

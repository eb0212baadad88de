//! Imports archives of images: `docker save`, and OCI layouts (`skopeo copy … oci-archive:`, `buildctl --output type=oci`).
//!
//! The archive is read once, from front to back, since it may be a pipe: its files go to the session's directory and are
//! known by name and by digest. Which of them are blobs is clear only at the end.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use crate::config::ConfigFile;
use crate::digest::{ChainId, Digest, Hasher, ImageId};
use crate::image::Image;
use crate::ingest::{self, IngestError};
use crate::manifest::{
    Descriptor, Document, Index, Manifest, ManifestError, OCI_CONFIG, OCI_LAYER_GZIP, OCI_LAYER_TAR, OCI_LAYER_ZSTD,
    OCI_MANIFEST,
};
use crate::reference::ImageRef;
use crate::registry::blocking;
use crate::store::record::{LayerRecord, Record};
use crate::store::session::TempPath;
use crate::store::{ImageStore, Inner, StoreError, blobs, layers};
use crate::unpack::{Compression, Kind, TarReader, UnpackError, decoder};

#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("cannot read the image archive: {0}")]
    Archive(#[source] UnpackError),
    #[error("the archive holds no image: neither index.json (OCI layout) nor manifest.json (docker save) is in it")]
    NoImage,
    #[error("the archive lacks `{0}`, which it refers to")]
    Missing(String),
    #[error("malformed `{what}` in the archive: {why}")]
    Malformed { what: String, why: String },
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("layer {digest}: {source}")]
    Layer { digest: Digest, source: UnpackError },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An image of an archive.
#[derive(Debug, Clone)]
pub struct Imported {
    pub image: Arc<Image>,
    /// The references the archive gave it.
    pub references: Vec<ImageRef>,
}

const ENTRIES_MAX: usize = 100_000;
const DOCUMENT_MAX: u64 = 16 << 20;

impl ImageStore {
    /// Imports every image of the archive `source` (plain, gzip or zstd) that is for this platform, and names it as the archive
    /// says. Use [`ImageStore::tag`] for one that has no name in it, and [`ImageStore::flush`] before the process ends.
    pub async fn import(&self, source: impl Read + Send + 'static) -> Result<Vec<Imported>, ImportError> {
        let _activity = self.inner.enter().await?;
        let inner = self.inner.clone();
        blocking(move || import(&inner, source)).await
    }
}

fn import(inner: &Arc<Inner>, source: impl Read) -> Result<Vec<Imported>, ImportError> {
    let files = Files::extract(inner, source)?;
    let saved: Vec<SavedImage> = files.json("manifest.json")?.unwrap_or_default();
    let found = match files.json::<Index>("index.json")? {
        Some(index) => oci_images(inner, &files, &index, &saved)?,
        None if saved.is_empty() => return Err(ImportError::NoImage),
        None => saved.iter().map(|image| saved_image(&files, image)).collect::<Result<_, _>>()?,
    };
    let mut files = files;
    let stored: Vec<Imported> =
        found.into_iter().map(|found| store(inner, &mut files, found)).collect::<Result<_, _>>()?;
    // Names come last, when nothing can be refused any more: an archive is imported whole or not at all.
    for imported in &stored {
        for reference in &imported.references {
            inner.put_ref(reference, imported.image.id.0, imported.image.id)?;
        }
    }
    Ok(stored)
}

/// An image as the archive describes it.
struct Found {
    manifest_bytes: Vec<u8>,
    manifest: Manifest,
    references: Vec<String>,
}

/// One element of `manifest.json` of `docker save`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SavedImage {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

fn oci_images(inner: &Inner, files: &Files, index: &Index, saved: &[SavedImage]) -> Result<Vec<Found>, ImportError> {
    let mut found: Vec<Found> = Vec::new();
    for entry in &index.manifests {
        if entry.platform.is_some() && index.manifests.len() > 1 {
            // An index of one image for several platforms: only ours counts.
            match index.pick(&inner.options.platform) {
                Ok(ours) if ours.digest == entry.digest => {}
                _ if entry.annotations.is_empty() => continue,
                _ => {}
            }
        }
        let mut bytes = files.document(entry.digest)?;
        let manifest = match Document::parse(&bytes)? {
            Document::Manifest(manifest) => manifest,
            Document::Index(nested) => {
                bytes = files.document(nested.pick(&inner.options.platform)?.digest)?;
                match Document::parse(&bytes)? {
                    Document::Manifest(manifest) => manifest,
                    Document::Index(_) => {
                        return Err(malformed("index.json", "an index that leads to an index".to_owned()));
                    }
                }
            }
        };
        let mut references: Vec<String> = ["io.containerd.image.name", "org.opencontainers.image.ref.name"]
            .iter()
            .find_map(|key| entry.annotations.get(*key))
            // A bare tag ("latest") names nothing.
            .filter(|name| name.contains([':', '/']))
            .into_iter()
            .cloned()
            .collect();
        let config = manifest.config.digest.hex();
        for image in saved.iter().filter(|image| image.config.contains(&config)) {
            references.extend(image.repo_tags.iter().flatten().cloned());
        }
        references.dedup();
        found.push(Found { manifest_bytes: bytes, manifest, references });
    }
    if found.is_empty() { Err(ImportError::NoImage) } else { Ok(found) }
}

/// `docker save` has no manifest in the registry's sense: one is made, the same for the same archive.
fn saved_image(files: &Files, saved: &SavedImage) -> Result<Found, ImportError> {
    let describe = |name: &str, media_type: &str| -> Result<Descriptor, ImportError> {
        let file = files.named(name)?;
        Ok(Descriptor::new(media_type, file.digest, file.size))
    };
    let mut layers = Vec::new();
    for name in &saved.layers {
        let file = File::open(files.named(name)?.path.as_path()).map_err(StoreError::io("open", name))?;
        let media_type = match decoder(BufReader::new(file)).map_err(ImportError::Archive)?.0 {
            Compression::None => OCI_LAYER_TAR,
            Compression::Gzip => OCI_LAYER_GZIP,
            Compression::Zstd => OCI_LAYER_ZSTD,
        };
        layers.push(describe(name, media_type)?);
    }
    let manifest = Manifest {
        schema_version: 2,
        media_type: OCI_MANIFEST.to_owned(),
        config: describe(&saved.config, OCI_CONFIG)?,
        layers,
    };
    let manifest_bytes = serde_json::to_vec(&manifest).map_err(|e| malformed("manifest.json", e.to_string()))?;
    Ok(Found { manifest_bytes, manifest, references: saved.repo_tags.clone().unwrap_or_default() })
}

fn store(inner: &Arc<Inner>, files: &mut Files, found: Found) -> Result<Imported, ImportError> {
    let parse =
        |text: &String| text.parse().map_err(|e: crate::ParseReferenceError| malformed("image name", e.to_string()));
    let references = found.references.iter().map(parse).collect::<Result<Vec<ImageRef>, _>>()?;
    let config_bytes = files.document(found.manifest.config.digest)?;
    let config: ConfigFile =
        serde_json::from_slice(&config_bytes).map_err(|e| malformed("image configuration", e.to_string()))?;
    let diff_ids = config.rootfs.diff_ids.clone();
    if diff_ids.len() != found.manifest.layers.len() || diff_ids.len() > inner.options.limits.layers_max {
        return Err(malformed("image configuration", format!("{} layers do not fit the manifest", diff_ids.len())));
    }
    let chain = ChainId::stack(&diff_ids);
    let mut records = Vec::new();
    for (i, blob) in found.manifest.layers.iter().enumerate() {
        let file = files.by_digest(blob.digest)?;
        let blob = Descriptor { size: file.size, ..blob.clone() };
        files.adopt(inner, blob.digest)?;
        let archive_bytes = match layers::find_linked(&inner.layout, chain[i])? {
            Some(marker) => marker.archive_bytes,
            None => {
                let staged = ingest::ingest_blob(inner, &blob, diff_ids[i]).map_err(|e| match e {
                    IngestError::Store(e) => ImportError::Store(e),
                    IngestError::Unpack(source) => ImportError::Layer { digest: blob.digest, source },
                    IngestError::Blob { .. } => ImportError::Missing(blob.digest.to_string()),
                });
                let staged = staged?.ok_or_else(|| ImportError::Missing(blob.digest.to_string()))?;
                let below: Vec<ChainId> = chain[..i].iter().rev().copied().collect();
                ingest::commit(inner, staged, chain[i], &below)?
            }
        };
        records.push(LayerRecord { chain: chain[i], diff_id: diff_ids[i], blob, archive_bytes });
    }
    let id = ImageId(blobs::put(&inner.layout, &inner.session, &found.manifest_bytes)?);
    blobs::put(&inner.layout, &inner.session, &config_bytes)?;
    let media_type =
        Some(found.manifest.media_type).filter(|t| !t.is_empty()).unwrap_or_else(|| OCI_MANIFEST.to_owned());
    let record = Record { id, media_type, config: found.manifest.config, layers: records };
    let image = inner.put_image(&record, config)?;
    inner.flush_later(chain);
    Ok(Imported { image, references })
}

/// The archive's files.
struct Files {
    by_name: HashMap<String, Digest>,
    by_digest: HashMap<Digest, Extracted>,
}

struct Extracted {
    path: TempPath,
    digest: Digest,
    size: u64,
}

impl Files {
    fn extract(inner: &Inner, source: impl Read) -> Result<Self, ImportError> {
        let (_, decoded) = decoder(BufReader::with_capacity(128 << 10, source)).map_err(ImportError::Archive)?;
        let mut tar = TarReader::new(decoded);
        let mut files = Self { by_name: HashMap::new(), by_digest: HashMap::new() };
        let mut links = Vec::new();
        while let Some(entry) = tar.next().map_err(ImportError::Archive)? {
            if files.by_name.len() + links.len() > ENTRIES_MAX {
                let error = UnpackError::TooLarge { max: ENTRIES_MAX as u64, unit: "entries" };
                return Err(ImportError::Archive(error));
            }
            // Names are only ever compared, never used as paths.
            let name = normal(&String::from_utf8_lossy(&entry.path));
            match entry.kind {
                Kind::File => {
                    let path = inner.session.path("import");
                    let file = extract_file(&mut tar, &path, inner.options.limits.layer_bytes_max)?;
                    files.by_name.insert(name, file.0);
                    let extracted = Extracted { path, digest: file.0, size: file.1 };
                    files.by_digest.entry(file.0).or_insert(extracted);
                }
                Kind::Symlink => {
                    let link = String::from_utf8_lossy(&entry.link).into_owned();
                    let dir = name.rsplit_once('/').map_or("", |(dir, _)| dir).to_owned();
                    links.push((name, normal(&format!("{dir}/{link}"))));
                }
                Kind::HardLink => links.push((name, normal(&String::from_utf8_lossy(&entry.link)))),
                _ => {}
            }
        }
        // `docker save` of old wrote a layer that two images share once, and links to it.
        for (name, target) in links {
            if let Some(digest) = files.by_name.get(&target) {
                files.by_name.insert(name, *digest);
            }
        }
        Ok(files)
    }

    fn named(&self, name: &str) -> Result<&Extracted, ImportError> {
        let digest = self.by_name.get(&normal(name));
        digest.and_then(|d| self.by_digest.get(d)).ok_or_else(|| ImportError::Missing(name.to_owned()))
    }

    fn by_digest(&self, digest: Digest) -> Result<&Extracted, ImportError> {
        self.by_digest.get(&digest).ok_or_else(|| ImportError::Missing(digest.to_string()))
    }

    /// A small file's bytes.
    fn document(&self, digest: Digest) -> Result<Vec<u8>, ImportError> {
        let file = self.by_digest(digest)?;
        if file.size > DOCUMENT_MAX {
            return Err(malformed(&digest.to_string(), format!("{} bytes are too many for a document", file.size)));
        }
        // It may have become a blob already: documents and layers are told apart by use only.
        Ok(fs::read(file.path.as_path()).map_err(StoreError::io("read", file.path.as_path()))?)
    }

    fn json<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<Option<T>, ImportError> {
        let Some(digest) = self.by_name.get(name) else { return Ok(None) };
        let bytes = self.document(*digest)?;
        serde_json::from_slice(&bytes).map(Some).map_err(|e| malformed(name, e.to_string()))
    }

    /// Makes the file a blob of the store. A link: several images of one archive may share it.
    fn adopt(&mut self, inner: &Inner, digest: Digest) -> Result<(), ImportError> {
        let to = inner.layout.blob(digest);
        if to.exists() {
            return Ok(());
        }
        let file = self.by_digest(digest)?;
        match fs::hard_link(file.path.as_path(), &to) {
            Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(StoreError::io("link", &to)(e).into()),
            _ => Ok(()),
        }
    }
}

/// Nothing in an archive has a reason to be larger than a layer may be: `max` bytes.
fn extract_file(content: &mut impl Read, path: &TempPath, max: u64) -> Result<(Digest, u64), ImportError> {
    let mut file = File::create_new(path.as_path()).map_err(StoreError::io("make", path.as_path()))?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; 128 << 10];
    loop {
        match content.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => {
                hasher.update(&buffer[..n]);
                if hasher.bytes() > max {
                    return Err(ImportError::Archive(UnpackError::TooLarge { max, unit: "bytes" }));
                }
                file.write_all(&buffer[..n]).map_err(StoreError::io("write", path.as_path()))?;
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(ImportError::Archive(UnpackError::Read(e))),
        }
    }
    let size = hasher.bytes();
    Ok((hasher.finish(), size))
}

/// A name without `.` and `..`.
fn normal(name: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn malformed(what: &str, why: String) -> ImportError {
    ImportError::Malformed { what: what.to_owned(), why }
}

/// Opens an archive file for [`ImageStore::import`].
pub fn open_archive(path: &Path) -> Result<File, StoreError> {
    File::open(path).map_err(StoreError::io("open", path))
}

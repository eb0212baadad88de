//! Taking a manifest in: read it, see that all it refers to is here, store it, enter it in the catalogue.

use bytes::Bytes;

use crate::blobs::{Blobs, Hold};
use crate::catalogue::{Image, PutImageError, PutImageOutcome};
use crate::digest::Digest;
use crate::manifest::{Descriptor, Manifest, ManifestError, ManifestType};
use crate::name::{Reference, RepositoryId, Tag};
use crate::registry::Registry;
use crate::storage::{StorageError, off_reactor};

/// A manifest to take in.
#[derive(Debug, Clone)]
pub struct PutManifest {
    pub bytes: Bytes,
    /// As the client said; when it did not, the manifest must say so itself.
    pub media_type: Option<String>,
    pub tags: Vec<Tag>,
    /// What the client believes its digest to be, if it said so.
    pub digest: Option<Digest>,
}

/// A manifest taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestPut {
    pub digest: Digest,
    pub manifest_type: ManifestType,
    pub subject: Option<Digest>,
    pub outcome: PutImageOutcome,
}

/// Why a manifest is not taken in.
#[derive(Debug, thiserror::Error)]
pub enum PutManifestError {
    #[error("the repository does not exist")]
    RepositoryNotFound,
    #[error("the manifest is larger than {max} bytes")]
    TooLarge { max: usize },
    #[error("the manifest has digest {actual}, not {expected}")]
    DigestMismatch { expected: Digest, actual: Digest },
    #[error(transparent)]
    Invalid(#[from] ManifestError),
    /// Layers or configurations that the repository has not.
    #[error("{} blobs are missing", digests.len())]
    LayersNotFound { digests: Vec<Digest> },
    /// Images of an index that the repository has not.
    #[error("{} images are missing", digests.len())]
    ImagesNotFound { digests: Vec<Digest> },
    #[error("blob {digest} has {stored} bytes, the manifest says {stated}")]
    SizeMismatch { digest: Digest, stored: u64, stated: u64 },
    #[error(transparent)]
    Catalogue(PutImageError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

impl From<PutImageError> for PutManifestError {
    fn from(error: PutImageError) -> PutManifestError {
        match error {
            PutImageError::RepositoryNotFound => PutManifestError::RepositoryNotFound,
            error => PutManifestError::Catalogue(error),
        }
    }
}

impl Registry {
    /// Takes a manifest in. When it returns `Ok`, the image can be pulled, whatever happens to the process.
    pub async fn put_manifest(
        &self,
        repository: &RepositoryId,
        put: PutManifest,
    ) -> Result<ManifestPut, PutManifestError> {
        if !self.inner.catalogue.repository_exists(repository) {
            return Err(PutManifestError::RepositoryNotFound);
        }
        let (bytes_max, references_max) = (self.inner.limits.manifest_bytes_max, self.inner.limits.references_max);
        if put.bytes.len() > bytes_max {
            return Err(PutManifestError::TooLarge { max: bytes_max });
        }
        let PutManifest { bytes, media_type, tags, digest: expected } = put;
        let (bytes, digest, manifest) = off_reactor(move || {
            let digest = Digest::of(&bytes);
            let manifest = Manifest::parse(&bytes, media_type.as_deref());
            (bytes, digest, manifest.and_then(|manifest| manifest.check_references(references_max)))
        })
        .await;
        if let Some(expected) = expected.filter(|expected| *expected != digest) {
            return Err(PutManifestError::DigestMismatch { expected, actual: digest });
        }
        let manifest = manifest?;
        let subject = manifest.subject.as_ref().map(|subject| subject.digest);
        let Children { images, size_bytes_max, others } = self.children(repository, &manifest);

        let hold = self.inner.blobs.hold().await;
        let image = Image {
            digest,
            manifest_type: manifest.kind,
            manifest_bytes: bytes.len() as u64,
            size_bytes: manifest.size_bytes().max(size_bytes_max),
            tags,
            config_media_type: manifest.config.as_ref().map(|config| config.media_type.clone()),
            artifact_type: manifest.artifact_type().map(str::to_owned),
            subject,
            children: images,
        };
        let (blobs, of) = (self.inner.blobs.clone(), repository.clone());
        let (hold, stored) = off_reactor(move || {
            let stored = store(&blobs, &hold, &of, &manifest, &others, digest, &bytes);
            (hold, stored)
        })
        .await;
        stored?;
        let manifest_type = image.manifest_type;
        let outcome = self.inner.catalogue.put_image(repository, image).await?;
        drop(hold); // What the collector reads from here on has the image.
        Ok(ManifestPut { digest, manifest_type, subject, outcome })
    }

    /// Splits what an index lists into images that are here and the rest, which may be plain blobs.
    fn children(&self, repository: &RepositoryId, manifest: &Manifest) -> Children {
        let mut children = Children { images: Vec::new(), size_bytes_max: 0, others: Vec::new() };
        for descriptor in &manifest.manifests {
            match self.inner.catalogue.image(repository, &Reference::Digest(descriptor.digest)) {
                Some(image) => {
                    children.images.push(image.digest);
                    children.size_bytes_max = children.size_bytes_max.max(image.size_bytes);
                }
                None => children.others.push(descriptor.clone()),
            }
        }
        children
    }
}

struct Children {
    images: Vec<Digest>,
    size_bytes_max: u64,
    others: Vec<Descriptor>,
}

/// Checks that the repository has all that the manifest refers to, and stores its bytes.
fn store(
    blobs: &Blobs,
    hold: &Hold,
    repository: &RepositoryId,
    manifest: &Manifest,
    others: &[Descriptor],
    digest: Digest,
    bytes: &[u8],
) -> Result<(), PutManifestError> {
    let mut missing = Vec::new();
    for blob in manifest.blobs() {
        match blobs.size_renewed(hold, repository, &blob.digest)? {
            Some(stored) if stored == blob.size => {}
            Some(stored) => {
                return Err(PutManifestError::SizeMismatch { digest: blob.digest, stored, stated: blob.size });
            }
            None => missing.push(blob.digest),
        }
    }
    if !missing.is_empty() {
        return Err(PutManifestError::LayersNotFound { digests: missing });
    }
    for other in others {
        let is_image = ManifestType::parse(&other.media_type).is_some();
        if is_image || blobs.size_renewed(hold, repository, &other.digest)?.is_none() {
            missing.push(other.digest);
        }
    }
    if !missing.is_empty() {
        return Err(PutManifestError::ImagesNotFound { digests: missing });
    }
    Ok(blobs.store_manifest(hold, &digest, bytes)?)
}

//! The registry's operations on one repository, as the HTTP side and the ECR API's handlers use them.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustix::fs::FlockOperation;
use tokio::sync::Semaphore;

use crate::blobs::Blobs;
use crate::catalogue::{Catalogue, DeleteImageError};
use crate::digest::Digest;
use crate::manifest::ManifestType;
use crate::name::{Reference, RepositoryId};
use crate::room::{KeptFree, Room};
use crate::storage::{At as _, StorageError, create_directory, off_reactor};
use crate::uploads::{UploadError, UploadId, Uploads, Writer};

/// Bounds on what clients may make the registry keep or do. The defaults are ECR's quotas where it has one.
#[derive(Debug, Clone)]
pub struct Limits {
    pub manifest_bytes_max: usize,
    /// Manifests of unusual size (over 64 KiB) being taken in at a time; more wait.
    pub large_manifests_max: usize,
    /// Layers of an image, or images of an index.
    pub references_max: usize,
    pub blob_bytes_max: u64,
    /// Of one account and region.
    pub uploads_open_max: usize,
    /// An upload is given up when nothing was written to it for this long.
    pub upload_idle_max: Duration,
    /// A request is given up when its body brings nothing for this long; a manifest must be whole by then.
    pub body_idle_max: Duration,
    /// Uploads are refused when the disk has less left: what shares it must go on.
    pub kept_free: KeptFree,
    /// How long a blob that no image refers to stays after it was pushed or asked for. Must be longer than any push.
    pub unreferenced_grace: Duration,
    /// Time between two collections of [`Registry::run`].
    pub gc_period: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            manifest_bytes_max: 4 << 20,
            large_manifests_max: 16,
            references_max: 4200,
            blob_bytes_max: 52_000 << 20,
            uploads_open_max: 1000,
            upload_idle_max: Duration::from_secs(24 * 3600),
            body_idle_max: Duration::from_secs(60),
            kept_free: KeptFree::default(),
            unreferenced_grace: Duration::from_secs(24 * 3600),
            gc_period: Duration::from_secs(3600),
        }
    }
}

/// Why a registry does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("another process has the registry open: {} is locked", path.display())]
    InUse { path: PathBuf },
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// A registry over a directory. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Registry {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub blobs: Arc<Blobs>,
    pub uploads: Arc<Uploads>,
    pub catalogue: Arc<dyn Catalogue>,
    pub limits: Limits,
    pub large_manifests: Semaphore,
    pub collecting: Arc<tokio::sync::Mutex<()>>,
    /// Released by the kernel, however the process ends.
    _lock: File,
}

/// A manifest as a client gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredManifest {
    pub digest: Digest,
    pub manifest_type: ManifestType,
    pub bytes: Bytes,
}

impl Registry {
    /// Opens the registry in `directory`, creating it if need be; blocks. One process at a time.
    pub fn open(directory: &Path, catalogue: Arc<dyn Catalogue>, limits: Limits) -> Result<Registry, OpenError> {
        create_directory(directory, directory)?;
        // Images may hold what other users of the machine are not to see.
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).at("protect", directory)?;
        let path = directory.join("lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&path).at("open", &path)?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(OpenError::InUse { path }),
            Err(error) => Err(error.into()).at("lock", &path)?,
        }
        let room = Arc::new(Room::new(directory, limits.kept_free));
        let inner = Inner {
            blobs: Arc::new(Blobs::open(directory, room.clone())?),
            uploads: Arc::new(Uploads::open(directory, limits.uploads_open_max, room)?),
            catalogue,
            large_manifests: Semaphore::new(limits.large_manifests_max),
            collecting: Arc::default(),
            limits,
            _lock: lock,
        };
        Ok(Registry { inner: Arc::new(inner) })
    }

    /// Bytes of a blob, if the repository has it. Asking keeps it from being collected for the grace time.
    pub async fn blob_size(&self, repository: &RepositoryId, digest: &Digest) -> Result<Option<u64>, StorageError> {
        if !self.inner.catalogue.repository_exists(repository) {
            return Ok(None);
        }
        let (blobs, repository, digest) = (self.inner.blobs.clone(), repository.clone(), *digest);
        let hold = blobs.hold().await;
        off_reactor(move || blobs.size_renewed(&hold, &repository, &digest)).await
    }

    /// Gives `to` a blob that `from` has, both in one registry; false if `from` has it not. The caller has authorized
    /// both ends.
    pub async fn mount_blob(
        &self,
        from: &RepositoryId,
        to: &RepositoryId,
        digest: &Digest,
    ) -> Result<bool, StorageError> {
        let both = [from, to].into_iter().all(|repository| self.inner.catalogue.repository_exists(repository));
        if !both || from.scope != to.scope {
            return Ok(false);
        }
        let (blobs, from, to, digest) = (self.inner.blobs.clone(), from.clone(), to.clone(), *digest);
        let hold = blobs.hold().await;
        off_reactor(move || {
            blobs.renew(&hold, &digest);
            let there = blobs.size(&from, &digest)?.is_some();
            if there {
                blobs.link(&hold, &to, &digest)?;
            }
            Ok(there)
        })
        .await
    }

    /// Begins an upload into an existing repository.
    pub async fn begin_upload(&self, repository: &RepositoryId) -> Result<UploadId, UploadError> {
        if !self.inner.catalogue.repository_exists(repository) {
            return Err(UploadError::RepositoryNotFound);
        }
        let (uploads, repository) = (self.inner.uploads.clone(), repository.clone());
        off_reactor(move || uploads.begin(&repository)).await
    }

    /// Bytes received so far.
    pub async fn upload_offset(&self, repository: &RepositoryId, id: UploadId) -> Result<u64, UploadError> {
        Ok(self.inner.uploads.lock(repository, id).await?.offset())
    }

    /// Appends bytes that must begin at `first_byte`; returns the new offset. All or nothing.
    pub async fn append_upload(
        &self,
        repository: &RepositoryId,
        id: UploadId,
        first_byte: u64,
        bytes: Bytes,
    ) -> Result<u64, UploadError> {
        let locked = self.inner.uploads.lock(repository, id).await?;
        let (offset, max) = (locked.offset(), self.inner.limits.blob_bytes_max);
        if offset != first_byte {
            return Err(UploadError::OutOfOrder { offset });
        }
        if bytes.len() as u64 > max.saturating_sub(offset) {
            return Err(UploadError::TooLarge { max });
        }
        off_reactor(move || {
            let mut writer = locked.writer()?;
            writer.append(&bytes)?;
            Ok(writer.offset())
        })
        .await
    }

    /// Ends an upload: its bytes become a blob of the repository, durably. Returns its size. With a wrong digest the
    /// upload is gone.
    pub async fn finish_upload(
        &self,
        repository: &RepositoryId,
        id: UploadId,
        digest: &Digest,
    ) -> Result<u64, UploadError> {
        let locked = self.inner.uploads.lock(repository, id).await?;
        let writer = off_reactor(move || locked.writer()).await?;
        self.finish(repository, writer, *digest).await
    }

    pub(crate) async fn finish(
        &self,
        repository: &RepositoryId,
        writer: Writer,
        digest: Digest,
    ) -> Result<u64, UploadError> {
        if !self.inner.catalogue.repository_exists(repository) {
            return Err(UploadError::RepositoryNotFound);
        }
        // Syncing may take seconds; it is done before the hold, for which a collection waits.
        let sealed = off_reactor(move || writer.seal(digest)).await?;
        let (blobs, repository) = (self.inner.blobs.clone(), repository.clone());
        let hold = blobs.hold().await;
        let kept = off_reactor(move || {
            sealed.keep(|digest, path| {
                blobs.adopt(&hold, digest, path)?;
                blobs.link(&hold, &repository, digest)
            })
        });
        Ok(kept.await?)
    }

    /// Gives an upload up.
    pub async fn cancel_upload(&self, repository: &RepositoryId, id: UploadId) -> Result<(), UploadError> {
        let locked = self.inner.uploads.lock(repository, id).await?;
        off_reactor(move || locked.cancel()).await;
        Ok(())
    }

    /// A manifest that the catalogue names. `None` too if its bytes are missing or damaged, which is logged.
    pub async fn manifest(
        &self,
        repository: &RepositoryId,
        reference: &Reference,
    ) -> Result<Option<StoredManifest>, StorageError> {
        let Some(image) = self.inner.catalogue.image(repository, reference) else { return Ok(None) };
        let blobs = self.inner.blobs.clone();
        let bytes = off_reactor(move || blobs.read_manifest(&image.digest)).await?;
        Ok(bytes.map(|bytes| StoredManifest {
            digest: image.digest,
            manifest_type: image.manifest_type,
            bytes: bytes.into(),
        }))
    }

    /// Removes a tag, or an image with its tags. Bytes go with the next collection.
    pub async fn delete_manifest(
        &self,
        repository: &RepositoryId,
        reference: &Reference,
    ) -> Result<(), DeleteImageError> {
        self.inner.catalogue.delete_image(repository, reference).await
    }

    /// Drops everything of a repository that was deleted from the catalogue, so that a later one of the same name
    /// begins empty.
    pub async fn forget_repository(&self, repository: &RepositoryId) -> Result<(), StorageError> {
        let (inner, repository) = (self.inner.clone(), repository.clone());
        off_reactor(move || {
            inner.uploads.forget_repository(&repository);
            inner.blobs.unlink_all(&repository)
        })
        .await
    }
}

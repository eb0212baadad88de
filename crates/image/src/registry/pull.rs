//! Pulls an image: manifest, configuration, layers, and only then the name.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::try_join_all;
use oci_client::RegistryOperation;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;

use super::client::{Auth, Endpoint, Remote};
use super::feed::{CHUNKS_IN_FLIGHT, feed, pause};
use super::{Cause, PullError};
use crate::config::ConfigFile;
use crate::digest::{ChainId, Digest, ImageId};
use crate::image::Image;
use crate::ingest::{self, Chunk, IngestError, Staged};
use crate::manifest::{DOCKER_MANIFEST, Descriptor, Document, Manifest, OCI_MANIFEST};
use crate::reference::ImageRef;
use crate::store::record::{LayerRecord, Record};
use crate::store::{ImageStore, Inner, RetryPolicy, blobs, layers};

/// How to pull.
#[derive(Clone, Default)]
pub struct PullOptions {
    pub auth: Auth,
    /// Where the reference's registry is reached, if not by HTTPS at its host.
    pub endpoint: Option<Endpoint>,
    /// Told what happens. Called often; should return at once.
    pub progress: Option<ProgressFn>,
}

/// Receives [`Progress`].
pub type ProgressFn = Arc<dyn Fn(Progress) + Send + Sync>;

/// A step of a pull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The reference is the image `image`, of so many layers.
    Resolved { image: ImageId, layers: usize },
    /// Of the layer's blob, so many of its bytes were received.
    Receiving { layer: Digest, received: u64, size: u64 },
    /// The layer is unpacked, or was before.
    Ready { layer: Digest },
}

impl ImageStore {
    /// Makes `reference` available: downloads what is missing, verifies and unpacks it.
    ///
    /// Always asks the registry what the reference is now; [`ImageStore::resolve`] does not. Dropping the future cancels the
    /// pull; what was complete stays. Concurrent pulls share layers.
    pub async fn pull(&self, reference: &str, options: PullOptions) -> Result<Arc<Image>, PullError> {
        let reference: ImageRef = reference.parse()?;
        let _activity = self.inner.enter().await?;
        let pull = Pull { inner: self.inner.clone(), reference, options };
        let pulled = pull.run().await;
        if let Err(PullError::Resolve { cause: Cause::Denied(_), .. }) = &pulled {
            self.inner.clients.forget(pull.reference.host());
        }
        pulled
    }

    /// Downloads those of an image's layers that are here unpacked only: a push needs them as they are in the image's
    /// manifest, and the unpacked layer may have come from another blob with the same content.
    pub(crate) async fn fetch_blobs(
        &self,
        layers: &[LayerRecord],
        reference: &ImageRef,
        options: PullOptions,
    ) -> Result<(), PullError> {
        let pull = Pull { inner: self.inner.clone(), reference: reference.clone(), options };
        for layer in layers.iter().filter(|layer| !pull.has_blob(&layer.blob)) {
            pull.fetch_blob(&pull.remote()?, &layer.blob).await?;
        }
        Ok(())
    }
}

struct Pull {
    inner: Arc<Inner>,
    reference: ImageRef,
    options: PullOptions,
}

impl Pull {
    async fn run(&self) -> Result<Arc<Image>, PullError> {
        let remote = self.remote()?;
        let (resolved, bytes) = self.manifest_bytes(&remote, self.reference.digest(), true).await?;
        let (id, bytes, manifest) = match self.parse(&bytes)? {
            Document::Manifest(manifest) => (ImageId(resolved), bytes, manifest),
            Document::Index(index) => {
                let entry = index.pick(&self.inner.options.platform).map_err(|e| self.bad_manifest(e))?;
                let (digest, bytes) = self.manifest_bytes(&remote, Some(entry.digest), false).await?;
                match self.parse(&bytes)? {
                    Document::Manifest(manifest) => (ImageId(digest), bytes, manifest),
                    Document::Index(_) => return Err(self.invalid("an index that leads to an index")),
                }
            }
        };
        self.tell(Progress::Resolved { image: id, layers: manifest.layers.len() });
        let image = match self.inner.image(id)? {
            Some(image) => {
                self.inner.mark_used(id);
                // The image runs without its manifest, which a power cut may have damaged; a push needs it.
                let inner = self.inner.clone();
                blocking(move || blobs::put(&inner.layout, &inner.session, &bytes)).await?;
                image
            }
            None => self.fetch(&remote, id, bytes, manifest).await?,
        };
        let (inner, reference) = (self.inner.clone(), self.reference.clone());
        blocking(move || inner.put_ref(&reference, resolved, id)).await?;
        Ok(image)
    }

    fn remote(&self) -> Result<Remote, PullError> {
        let clients = &self.inner.clients;
        let remote = clients.remote(&self.reference, &self.options.auth, self.options.endpoint.as_ref());
        remote.map_err(|cause| self.unresolved(1, cause))
    }

    /// Downloads, verifies and unpacks what the manifest names.
    async fn fetch(
        &self,
        remote: &Remote,
        id: ImageId,
        bytes: Vec<u8>,
        manifest: Manifest,
    ) -> Result<Arc<Image>, PullError> {
        let limits = &self.inner.options.limits;
        if manifest.layers.len() > limits.layers_max {
            return Err(self.invalid(&format!("{} layers; the limit is {}", manifest.layers.len(), limits.layers_max)));
        }
        let config_bytes = self.config_bytes(remote, &manifest.config).await?;
        let config: ConfigFile = serde_json::from_slice(&config_bytes)
            .map_err(|e| self.invalid(&format!("malformed configuration: {e}")))?;
        let diff_ids = &config.rootfs.diff_ids;
        if diff_ids.len() != manifest.layers.len() {
            let why = format!("{} layers, but {} in its configuration", manifest.layers.len(), diff_ids.len());
            return Err(self.invalid(&why));
        }
        let chain = ChainId::stack(diff_ids);
        let layers = self.layers(remote, &manifest.layers, diff_ids, &chain).await?;

        let media_type = match manifest.media_type.as_str() {
            DOCKER_MANIFEST => DOCKER_MANIFEST,
            _ => OCI_MANIFEST,
        };
        let record = Record { id, media_type: media_type.to_owned(), config: manifest.config, layers };
        let inner = self.inner.clone();
        let image = blocking(move || {
            blobs::put(&inner.layout, &inner.session, &bytes)?;
            blobs::put(&inner.layout, &inner.session, &config_bytes)?;
            inner.put_image(&record, config)
        });
        let image = image.await?;
        self.inner.flush_later(chain);
        Ok(image)
    }

    /// All layers at once; each is committed after the one below it.
    async fn layers(
        &self,
        remote: &Remote,
        blobs: &[Descriptor],
        diff_ids: &[Digest],
        chain: &[ChainId],
    ) -> Result<Vec<LayerRecord>, PullError> {
        let committed: Vec<watch::Sender<bool>> = chain.iter().map(|_| watch::Sender::new(false)).collect();
        let one = |i: usize| {
            let below = i.checked_sub(1).map(|below| committed[below].subscribe());
            let committed = &committed[i];
            async move {
                let archive_bytes = self.layer(remote, &blobs[i], diff_ids[i], &chain[..=i], below).await?;
                committed.send_replace(true);
                self.tell(Progress::Ready { layer: blobs[i].digest });
                Ok::<_, PullError>(LayerRecord {
                    chain: chain[i],
                    diff_id: diff_ids[i],
                    blob: blobs[i].clone(),
                    archive_bytes,
                })
            }
        };
        try_join_all((0..chain.len()).map(one)).await
    }

    /// Makes one layer available, the last of `chain`. Returns the bytes of its archive.
    async fn layer(
        &self,
        remote: &Remote,
        blob: &Descriptor,
        diff_id: Digest,
        chain: &[ChainId],
        below: Option<watch::Receiver<bool>>,
    ) -> Result<u64, PullError> {
        let (id, parents) = chain.split_last().expect("the chain ends in the layer itself");
        let _ours = self.inner.chain_locks.lock(*id).await;
        if let Some(marker) = layers::find_linked(&self.inner.layout, *id)? {
            return Ok(marker.archive_bytes);
        }
        let staged = {
            // Two images, or two places in one, may have the blob in common but not what is below it.
            let _blob = self.inner.blob_locks.lock(blob.digest).await;
            let _slot = self.inner.transfers.acquire().await.expect("the semaphore is never closed");
            self.stage(remote, blob, diff_id).await?
        };
        if let Some(mut below) = below {
            // An error means that the layer below failed, which ends this pull: this future is about to be dropped.
            if below.wait_for(|committed| *committed).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
        let parents: Vec<ChainId> = parents.iter().rev().copied().collect();
        let (inner, id) = (self.inner.clone(), *id);
        Ok(blocking(move || ingest::commit(&inner, staged, id, &parents)).await?)
    }

    /// Unpacks the layer, from its blob if that is here and intact, or else from the registry.
    async fn stage(&self, remote: &Remote, blob: &Descriptor, diff_id: Digest) -> Result<Staged, PullError> {
        let (inner, descriptor) = (self.inner.clone(), blob.clone());
        let local = blocking(move || ingest::ingest_blob(&inner, &descriptor, diff_id)).await;
        if let Some(staged) = local.map_err(|e| not_ingested(blob, e))? {
            return Ok(staged);
        }
        self.download(remote, blob, self.inner.options.retry, move |inner, blob, chunks| {
            ingest::ingest_download(inner, blob, diff_id, chunks)
        })
        .await
    }

    fn has_blob(&self, blob: &Descriptor) -> bool {
        blobs::size(&self.inner.layout, blob.digest) == Some(blob.size)
    }

    /// Downloads a blob without unpacking it.
    async fn fetch_blob(&self, remote: &Remote, blob: &Descriptor) -> Result<(), PullError> {
        let _blob = self.inner.blob_locks.lock(blob.digest).await;
        let _slot = self.inner.transfers.acquire().await.expect("the semaphore is never closed");
        if self.has_blob(blob) {
            return Ok(());
        }
        // Nobody has to have it: a registry that is out of reach should not hold up what needs nothing of it.
        let once = RetryPolicy { attempts: 1, ..self.inner.options.retry };
        self.download(remote, blob, once, ingest::store_download).await
    }

    /// Downloads a blob into `take`, which runs on a thread of its own.
    async fn download<T: Send + 'static>(
        &self,
        remote: &Remote,
        blob: &Descriptor,
        retry: RetryPolicy,
        take: impl FnOnce(&Inner, &Descriptor, mpsc::Receiver<Chunk>) -> Result<T, IngestError> + Send + 'static,
    ) -> Result<T, PullError> {
        let (to, chunks) = mpsc::channel(CHUNKS_IN_FLIGHT);
        let (inner, descriptor) = (self.inner.clone(), blob.clone());
        let worker = spawn_blocking(move || take(&inner, &descriptor, chunks));
        let told = |received| self.tell(Progress::Receiving { layer: blob.digest, received, size: blob.size });
        let fed = feed(remote, blob, to, retry, told).await;
        let taken = joined(worker.await);
        fed?;
        taken.map_err(|e| not_ingested(blob, e))
    }

    /// The verified bytes of a manifest and their digest.
    async fn manifest_bytes(
        &self,
        remote: &Remote,
        digest: Option<Digest>,
        first: bool,
    ) -> Result<(Digest, Vec<u8>), PullError> {
        let limit = self.inner.options.limits.manifest_bytes_max;
        // A manifest that is named by its digest never changes, so the store's copy is as good.
        if let Some(digest) = digest
            && let Some(bytes) = blobs::read(&self.inner.layout, digest, limit)?
        {
            return Ok((digest, bytes));
        }
        let fetch = async || {
            if first {
                remote.authorize(RegistryOperation::Pull).await?;
            }
            remote.manifest(digest, limit).await
        };
        let bytes = {
            let mut attempts = 1;
            loop {
                match fetch().await {
                    Ok(bytes) => break bytes,
                    Err(cause) if cause.is_transient() && attempts < self.inner.options.retry.attempts => {
                        tracing::debug!(reference = %self.reference, %cause, attempts, "asking for a manifest again");
                        tokio::time::sleep(pause(self.inner.options.retry, attempts)).await;
                        attempts += 1;
                    }
                    Err(cause) => return Err(self.unresolved(attempts, cause)),
                }
            }
        };
        let actual = Digest::of(&bytes);
        match digest {
            Some(expected) if expected != actual => {
                Err(self.unresolved(1, Cause::Mismatch(format!("manifest {expected} has digest {actual}"))))
            }
            _ => Ok((actual, bytes.into())),
        }
    }

    /// The verified bytes of the configuration.
    async fn config_bytes(&self, remote: &Remote, config: &Descriptor) -> Result<Vec<u8>, PullError> {
        let limit = self.inner.options.limits.config_bytes_max;
        if config.size > limit {
            return Err(self.invalid(&format!("a configuration of {} bytes; the limit is {limit}", config.size)));
        }
        if let Some(bytes) = blobs::read(&self.inner.layout, config.digest, limit)? {
            return Ok(bytes);
        }
        let retry = self.inner.options.retry;
        let mut attempts = 1;
        loop {
            let cause = match small_blob(remote, config).await {
                Ok(bytes) => return Ok(bytes),
                Err(cause) => cause,
            };
            if !cause.is_transient() || attempts >= retry.attempts {
                return Err(PullError::Blob { attempts, digest: config.digest, cause });
            }
            tokio::time::sleep(pause(retry, attempts)).await;
            attempts += 1;
        }
    }

    fn parse(&self, bytes: &[u8]) -> Result<Document, PullError> {
        Document::parse(bytes).map_err(|e| self.bad_manifest(e))
    }

    fn tell(&self, progress: Progress) {
        if let Some(tell) = &self.options.progress {
            tell(progress);
        }
    }

    fn unresolved(&self, attempts: u32, cause: Cause) -> PullError {
        PullError::Resolve { attempts, reference: Box::new(self.reference.clone()), cause }
    }

    fn bad_manifest(&self, source: crate::manifest::ManifestError) -> PullError {
        PullError::Manifest { reference: Box::new(self.reference.clone()), source }
    }

    fn invalid(&self, why: &str) -> PullError {
        PullError::Invalid { reference: Box::new(self.reference.clone()), why: why.to_owned() }
    }
}

fn not_ingested(blob: &Descriptor, error: IngestError) -> PullError {
    match error {
        IngestError::Store(e) => PullError::Store(e),
        IngestError::Unpack(source) => PullError::Unpack { digest: blob.digest, source },
        IngestError::Blob { .. } => {
            PullError::Blob { attempts: 1, digest: blob.digest, cause: Cause::Mismatch(error.to_string()) }
        }
    }
}

/// A whole blob in memory; its size was checked by the caller.
async fn small_blob(remote: &Remote, blob: &Descriptor) -> Result<Vec<u8>, Cause> {
    let mut stream = remote.blob(blob, 0).await?;
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(chunk) if (bytes.len() + chunk.len()) as u64 <= blob.size => bytes.extend_from_slice(&chunk),
            Ok(_) => {
                return Err(Cause::Mismatch(format!("blob {} is longer than its {} bytes", blob.digest, blob.size)));
            }
            // All bytes are there: what the client objects to is their digest, and so does the check below.
            Err(_) if bytes.len() as u64 == blob.size => break,
            Err(e) => return Err(Cause::of_chain(&e, &format!("blob {}", blob.digest))),
        }
    }
    match Digest::of(&bytes) {
        actual if actual == blob.digest => Ok(bytes),
        _ if (bytes.len() as u64) < blob.size => Err(Cause::Broken(format!("blob {} ended early", blob.digest))),
        actual => Err(Cause::Mismatch(format!("blob {} has digest {actual}", blob.digest))),
    }
}

/// Runs `work`, which blocks, on a thread of its own.
pub(crate) async fn blocking<T: Send + 'static, E: Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    joined(spawn_blocking(work).await)
}

fn joined<T>(result: Result<T, tokio::task::JoinError>) -> T {
    match result {
        Ok(value) => value,
        Err(e) => match e.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(e) => panic!("blocking work is never cancelled: {e}"),
        },
    }
}

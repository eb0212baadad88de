//! Pushes an image: the blobs that the repository lacks, then the manifest under the reference's tag.

use std::fs::File;
use std::io::Read;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use oci_client::RegistryOperation;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::client::{Auth, Endpoint, Remote};
use super::feed::pause;
use super::{Cause, PushError};
use crate::digest::{Digest, ImageId};
use crate::manifest::Descriptor;
use crate::reference::ImageRef;
use crate::store::record::Record;
use crate::store::{ImageStore, StoreError, blobs};

/// How to push.
#[derive(Debug, Clone, Default)]
pub struct PushOptions {
    pub auth: Auth,
    /// Where the reference's registry is reached, if not by HTTPS at its host.
    pub endpoint: Option<Endpoint>,
}

const UPLOADS_AT_ONCE: usize = 3;
const PIECE: usize = 256 << 10;

impl ImageStore {
    /// Uploads the image `id` as `reference`; returns the digest under which the registry has it.
    pub async fn push(&self, id: ImageId, reference: &str, options: PushOptions) -> Result<Digest, PushError> {
        let reference: ImageRef = reference.parse()?;
        let _activity = self.inner.enter().await?;
        let record = self.inner.record(id)?.ok_or_else(|| StoreError::NoImage(id.to_string()))?;
        let limit = self.inner.options.limits.manifest_bytes_max;
        let manifest =
            blobs::read(&self.inner.layout, id.0, limit)?.ok_or_else(|| StoreError::NoImage(id.to_string()))?;
        let failed = |cause| PushError::Registry { reference: Box::new(reference.clone()), cause };
        let remote = self.inner.clients.remote(&reference, &options.auth, options.endpoint.as_ref()).map_err(failed)?;
        self.retrying(async || remote.authorize(RegistryOperation::Push).await).await.map_err(|cause| {
            self.inner.clients.forget(reference.host());
            failed(cause)
        })?;
        // One after the other where blobs repeat: the second upload then finds the first.
        let uploads = distinct(&record).into_iter().map(|blob| self.upload(&remote, &reference, blob));
        let mut uploads = stream::iter(uploads).buffer_unordered(UPLOADS_AT_ONCE);
        while let Some(done) = uploads.next().await {
            done?;
        }
        self.retrying(async || remote.put_manifest(manifest.clone(), &record.media_type).await)
            .await
            .map_err(failed)?;
        Ok(id.0)
    }

    async fn upload(&self, remote: &Remote, reference: &ImageRef, blob: Descriptor) -> Result<(), PushError> {
        let failed = |cause| PushError::Registry { reference: Box::new(reference.clone()), cause };
        if self.retrying(async || remote.has_blob(&blob).await).await.map_err(failed)? {
            return Ok(());
        }
        let mut attempts = 1;
        loop {
            let Some(file) = blobs::open(&self.inner.layout, blob.digest)? else {
                return Err(PushError::NoBlob { reference: Box::new(reference.clone()), digest: blob.digest });
            };
            match remote.put_blob(&blob, pieces(file)).await {
                Ok(()) => return Ok(()),
                Err(cause) if cause.is_transient() && attempts < self.inner.options.retry.attempts => {
                    tracing::debug!(digest = %blob.digest, %cause, attempts, "uploading a blob again");
                    tokio::time::sleep(pause(self.inner.options.retry, attempts)).await;
                    attempts += 1;
                }
                Err(cause) => return Err(failed(cause)),
            }
        }
    }

    async fn retrying<T>(&self, request: impl AsyncFn() -> Result<T, Cause>) -> Result<T, Cause> {
        let mut attempts = 1;
        loop {
            match request().await {
                Err(cause) if cause.is_transient() && attempts < self.inner.options.retry.attempts => {
                    tokio::time::sleep(pause(self.inner.options.retry, attempts)).await;
                    attempts += 1;
                }
                other => return other,
            }
        }
    }
}

/// The image's blobs, each once.
fn distinct(record: &Record) -> Vec<Descriptor> {
    let mut blobs: Vec<Descriptor> = Vec::new();
    for blob in record.layers.iter().map(|layer| &layer.blob).chain([&record.config]) {
        if !blobs.iter().any(|known| known.digest == blob.digest) {
            blobs.push(blob.clone());
        }
    }
    blobs
}

/// The file's content, read on a thread as fast as it is sent.
fn pieces(mut file: File) -> BoxStream<'static, std::io::Result<Bytes>> {
    let (to, from) = mpsc::channel(4);
    spawn_blocking(move || {
        loop {
            let mut piece = vec![0; PIECE];
            let read = file.read(&mut piece).map(|n| {
                piece.truncate(n);
                Bytes::from(piece)
            });
            let last = !matches!(&read, Ok(piece) if !piece.is_empty());
            if matches!(&read, Ok(piece) if piece.is_empty()) || to.blocking_send(read).is_err() || last {
                return;
            }
        }
    });
    stream::unfold(from, |mut from| async move { from.recv().await.map(|piece| (piece, from)) }).boxed()
}

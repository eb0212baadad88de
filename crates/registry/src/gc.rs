//! Garbage collection: what no image refers to goes. See `blobs` for why it cannot take what a request builds on.
//!
//! Mark: every image of the catalogue, and what its manifest refers to. Sweep: first links, repository by repository,
//! then blobs that neither a manifest nor a link is left of.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::Arc;

use crate::blobs::Blobs;
use crate::digest::Digest;
use crate::manifest;
use crate::name::RepositoryId;
use crate::registry::{Inner, Registry};
use crate::storage::{StorageError, off_reactor};

/// What a collection removed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct GcReport {
    pub uploads: usize,
    /// Blobs taken from one repository.
    pub links: usize,
    pub blobs: usize,
    pub bytes: u64,
}

impl Registry {
    /// Collects garbage once; safe while the registry serves. A second call waits for the first.
    pub async fn gc(&self) -> Result<GcReport, StorageError> {
        let turn = self.inner.collecting.clone().lock_owned().await;
        let recording = {
            let _no_holds = self.inner.blobs.all_holds_released().await;
            Recording::start(self.inner.blobs.clone())
        };
        let inner = self.inner.clone();
        off_reactor(move || {
            let _turn = turn;
            let report = collect(&inner);
            drop(recording);
            report
        })
        .await
    }

    /// Collects garbage each period until `shutdown`. A failed collection is logged and tried again.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => return,
                () = tokio::time::sleep(self.inner.limits.gc_period) => {}
            }
            match self.gc().await {
                Ok(report) if report == GcReport::default() => {}
                Ok(GcReport { uploads, links, blobs, bytes }) => {
                    tracing::info!(uploads, links, blobs, bytes, "registry garbage collected");
                }
                Err(error) => {
                    tracing::warn!(error = %error, cause = %error.source, "registry garbage collection failed");
                }
            }
        }
    }
}

/// Renewals are recorded while this lives.
struct Recording(Arc<Blobs>);

impl Recording {
    fn start(blobs: Arc<Blobs>) -> Recording {
        blobs.record_renewals(true);
        Recording(blobs)
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.0.record_renewals(false);
    }
}

fn collect(inner: &Inner) -> Result<GcReport, StorageError> {
    let grace = inner.limits.unreferenced_grace;
    let mut report =
        GcReport { uploads: inner.uploads.expire(inner.limits.upload_idle_max, None), ..GcReport::default() };
    let Marked { in_repository, mut live } = mark(inner)?;
    for repository in inner.blobs.linked_repositories()? {
        let used = in_repository.get(&repository);
        for digest in inner.blobs.links(&repository)? {
            let is_used = used.is_some_and(|used| used.contains(&digest));
            if !is_used && inner.blobs.collect_link(&repository, &digest, grace)? {
                report.links += 1;
            } else {
                live.insert(digest);
            }
        }
    }
    for first in 0..=255 {
        for digest in inner.blobs.shard(first)?.iter().filter(|digest| !live.contains(*digest)) {
            if let Some(bytes) = inner.blobs.collect_blob(digest, grace)? {
                report.blobs += 1;
                report.bytes += bytes;
            }
        }
    }
    Ok(report)
}

struct Marked {
    in_repository: HashMap<RepositoryId, HashSet<Digest>>,
    live: HashSet<Digest>,
}

fn mark(inner: &Inner) -> Result<Marked, StorageError> {
    let mut marked = Marked { in_repository: HashMap::new(), live: HashSet::new() };
    // One manifest is often in many repositories.
    let mut read: HashMap<Digest, Vec<Digest>> = HashMap::new();
    for (repository, digest) in inner.catalogue.images() {
        let references = match read.get(&digest) {
            Some(references) => references,
            None => {
                let references = references(inner, &repository, &digest)?;
                read.entry(digest).or_insert(references)
            }
        };
        marked.live.insert(digest);
        marked.live.extend(references);
        marked.in_repository.entry(repository).or_default().extend(references);
    }
    Ok(marked)
}

/// What a manifest refers to. One that is lost or damaged cannot be pulled, and keeps nothing; any other trouble in
/// reading it ends the collection.
fn references(inner: &Inner, repository: &RepositoryId, digest: &Digest) -> Result<Vec<Digest>, StorageError> {
    let bytes = inner.blobs.read_manifest(digest)?;
    let references = bytes.and_then(|bytes| manifest::references(&bytes));
    if references.is_none() {
        tracing::warn!(%repository, %digest, "an image's manifest is missing or damaged");
    }
    Ok(references.unwrap_or_default())
}

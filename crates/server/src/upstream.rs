//! The pull-through cache: what a rule covers and is not here, or not lately looked at, is copied from its upstream
//! registry when somebody pulls it. An index is copied with all its images, as ECR does.
//!
//! The copy is made before the manifest is answered, so that all a client asks for next is here. Clients that ask for the
//! same image at the same time wait for one copy.

use crate::serve::now;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use longshore_api::ecr::creation_templates::{self, Purpose};
use longshore_api::ecr::pull_through;
use longshore_image::{Auth, Cause, Digest as ImageDigest, ImageRef, Source, Sources};
use longshore_registry::{
    Descriptor, Digest, Direction, Manifest, ManifestType, PutManifest, Reference, Registry, RepositoryId, Tag,
};
use longshore_store::Store;
use longshore_store::tables::Images;
use longshore_types::ecr::PullThroughRule;
use longshore_types::{Scope, Timestamp};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// <https://docs.aws.amazon.com/AmazonECR/latest/userguide/pull-through-cache.html>: at most once in 24 hours.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(24 * 3600);
/// As above where the upstream could not be looked at. A client that finds an image here need not wait for that each time.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(300);
const BLOBS_AT_ONCE: usize = 3;
/// An index of indexes of images.
const DEPTH_MAX: usize = 3;
/// Written to the disk at once while a blob is copied.
const PIECE_BYTES: usize = 1 << 20;

/// A cheap handle.
#[derive(Clone)]
pub struct Upstream {
    store: Store,
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    sources: Sources,
    /// Who copies now, by what a client asked for.
    turns: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// Until when a tag need not be compared with its upstream. Forgotten at the end of the process, which costs one more look.
    fresh_until: Mutex<HashMap<String, Timestamp>>,
}

impl Upstream {
    pub fn new(store: Store) -> Self {
        Self { store, inner: Arc::default() }
    }

    /// Whether a rule's registry answers, and takes its credentials.
    pub async fn check(&self, _scope: &Scope, rule: &PullThroughRule) -> Result<(), String> {
        // A name that every registry understands; nothing is asked for but whether we may ask.
        let image = image_ref(rule, "longshore/validation", "latest")?;
        match self.inner.sources.open(&image, &Auth::Anonymous).await {
            // It answered, and does not show this repository to us: most do not have it.
            Ok(_) | Err(Cause::NotFound) => Ok(()),
            Err(cause) => Err(cause.to_string()),
        }
    }

    /// Makes a repository that a rule of the cache or a template for pushes covers; true if it is there now.
    pub async fn provide_repository(
        &self,
        repository: &RepositoryId,
        direction: Direction,
        wanted: Option<&Reference>,
    ) -> bool {
        let (scope, name) = crate::catalogue::key(repository);
        let purpose = match (direction, wanted) {
            (Direction::Push, _) => Purpose::Push,
            (Direction::Pull, None) => return false,
            (Direction::Pull, Some(reference)) => {
                let Some(rule) = self.store.read(|state| pull_through::rule_for(state, &scope, &name)) else {
                    return false;
                };
                // A mistyped name should leave no repository behind.
                match self.open(&rule, &name, reference).await {
                    Ok(source) if source.manifest(None).await.is_ok() => Purpose::PullThrough,
                    _ => return false,
                }
            }
        };
        let write = move |tx: &mut longshore_store::Tx| {
            Ok::<_, std::convert::Infallible>(creation_templates::provide_repository(tx, &scope, &name, purpose, now()))
        };
        match self.store.write(write).await {
            Ok(Ok(there)) => there,
            Ok(Err(never)) => match never {},
            Err(error) => {
                tracing::error!(%error, "a repository could not be stored");
                false
            }
        }
    }

    /// Copies an image that a rule covers, if it is missing or has not been compared with its upstream for a day.
    pub async fn provide_image(
        &self,
        registry: &Registry,
        repository: &RepositoryId,
        reference: &Reference,
    ) -> Result<(), String> {
        let (scope, name) = crate::catalogue::key(repository);
        let Some(rule) = self.store.read(|state| pull_through::rule_for(state, &scope, &name)) else { return Ok(()) };
        let asked = format!("{scope:?}/{name}/{reference}");
        let turn = {
            let mut turns = self.inner.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(asked.clone()).or_default())
        };
        let _turn = turn.lock().await;
        let here = self.digest_here(&scope, &name, reference);
        let is_fresh = match reference {
            Reference::Digest(_) => true,
            Reference::Tag(_) => {
                let fresh_until = self.inner.fresh_until.lock().unwrap_or_else(PoisonError::into_inner);
                fresh_until.get(&asked).is_some_and(|until| now() < *until)
            }
        };
        if here.is_some() && is_fresh {
            return Ok(());
        }
        let copied = async {
            let source = self.open(&rule, &name, reference).await?;
            let bytes = source.manifest(None).await.map_err(|cause| cause.to_string())?;
            if here.as_deref() != Some(Digest::of(&bytes).to_string().as_str()) {
                let tag = match reference {
                    Reference::Tag(tag) => Some(tag.clone()),
                    Reference::Digest(_) => None,
                };
                copy_manifest(&source, registry, repository, bytes, tag, 0).await?;
            }
            Ok::<_, String>(())
        };
        let copied = copied.await.inspect_err(|error| {
            tracing::warn!(error, repository = name, %reference, upstream = rule.upstream_url, "an image could not be pulled through the cache");
        });
        let look_again_after = match copied {
            Ok(()) => LOOK_AGAIN_AFTER,
            Err(_) if here.is_some() => TRY_AGAIN_AFTER,
            // What is not here may be there a moment later.
            Err(_) => return copied,
        };
        let mut fresh_until = self.inner.fresh_until.lock().unwrap_or_else(PoisonError::into_inner);
        fresh_until.insert(asked, now() + look_again_after);
        copied
    }

    fn digest_here(&self, scope: &Scope, name: &str, reference: &Reference) -> Option<String> {
        self.store.read(|state| match reference {
            Reference::Digest(digest) => {
                state.images().get(&(scope.clone(), name.to_owned(), digest.to_string())).map(|row| row.digest.clone())
            }
            Reference::Tag(tag) => {
                let key = (scope.clone(), name.to_owned(), tag.as_str().to_owned());
                state.images().find(&Images::BY_TAG, &key).map(|row| row.digest.clone())
            }
        })
    }

    async fn open(&self, rule: &PullThroughRule, name: &str, reference: &Reference) -> Result<Source, String> {
        let image = image_ref(rule, &pull_through::upstream_name(rule, name), &reference.to_string())?;
        self.inner.sources.open(&image, &Auth::Anonymous).await.map_err(|cause| cause.to_string())
    }
}

fn image_ref(rule: &PullThroughRule, repository: &str, reference: &str) -> Result<ImageRef, String> {
    let separator = if reference.contains(':') { '@' } else { ':' };
    let text = format!("{}/{repository}{separator}{reference}", rule.upstream_url);
    text.parse().map_err(|error: longshore_image::ParseReferenceError| error.to_string())
}

/// Copies what a manifest refers to, then the manifest itself.
async fn copy_manifest(
    source: &Source,
    registry: &Registry,
    repository: &RepositoryId,
    bytes: Bytes,
    tag: Option<Tag>,
    depth: usize,
) -> Result<(), String> {
    if depth > DEPTH_MAX {
        return Err("the upstream's indexes are nested too deeply".to_owned());
    }
    let media_type = guess(&bytes);
    let manifest = Manifest::parse(&bytes, media_type.map(ManifestType::as_str)).map_err(|error| error.to_string())?;
    for child in &manifest.manifests {
        let bytes = source.manifest(Some(digest(child))).await.map_err(|cause| cause.to_string())?;
        if Digest::of(&bytes) != child.digest {
            return Err(format!("upstream sent something else as {}", child.digest));
        }
        Box::pin(copy_manifest(source, registry, repository, bytes, None, depth + 1)).await?;
    }
    let mut copies = Vec::new();
    for blob in manifest.config.iter().chain(&manifest.layers) {
        copies.push(copy_blob(source, registry, repository, blob));
    }
    futures_util::stream::iter(copies).buffer_unordered(BLOBS_AT_ONCE).try_collect::<()>().await?;
    let put = PutManifest {
        bytes,
        media_type: media_type.map(|kind| kind.as_str().to_owned()),
        tags: tag.into_iter().collect(),
        digest: None,
    };
    registry.put_manifest(repository, put).await.map(drop).map_err(|error| error.to_string())
}

/// The type of a manifest that does not name its own, as OCI allows.
fn guess(bytes: &[u8]) -> Option<ManifestType> {
    let document: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    match document["mediaType"].as_str() {
        Some(named) => ManifestType::parse(named),
        None if document["manifests"].is_array() => Some(ManifestType::OciIndex),
        None => Some(ManifestType::OciManifest),
    }
}

fn digest(descriptor: &Descriptor) -> ImageDigest {
    descriptor.digest.to_string().parse().expect("both crates write sha256 digests alike")
}

async fn copy_blob(
    source: &Source,
    registry: &Registry,
    repository: &RepositoryId,
    blob: &Descriptor,
) -> Result<(), String> {
    if registry.blob_size(repository, &blob.digest).await.map_err(|error| error.to_string())?.is_some() {
        return Ok(());
    }
    let mut chunks = source.blob(digest(blob), blob.size).await.map_err(|cause| cause.to_string())?;
    let upload = registry.begin_upload(repository).await.map_err(|error| error.to_string())?;
    let copied = async {
        let (mut offset, mut piece) = (0, Vec::with_capacity(PIECE_BYTES));
        loop {
            let chunk = chunks.next().await.transpose().map_err(|error| error.to_string())?;
            piece.extend_from_slice(chunk.as_deref().unwrap_or_default());
            if piece.len() >= PIECE_BYTES || (chunk.is_none() && !piece.is_empty()) {
                let full = std::mem::replace(&mut piece, Vec::with_capacity(PIECE_BYTES));
                let appended = registry.append_upload(repository, upload, offset, full.into()).await;
                offset = appended.map_err(|error| error.to_string())?;
            }
            if chunk.is_none() {
                break;
            }
        }
        registry.finish_upload(repository, upload, &blob.digest).await.map_err(|error| error.to_string())
    };
    if let Err(error) = copied.await {
        // It may be gone already: a wrong digest ends it.
        drop(registry.cancel_upload(repository, upload).await);
        return Err(error);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_registry::memory::MemoryCatalogue;
    use longshore_registry::{Limits, RepositoryName, Scope as RegistryScope};
    use std::sync::atomic::{AtomicUsize, Ordering};

    const ACCOUNT: &str = "123456789012";
    const REGION: &str = "eu-west-1";

    /// A registry that ends every connection, its address, and how many there were.
    fn broken_upstream() -> (String, Arc<AtomicUsize>) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let count = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&count);
        // Ends with the test's process.
        std::thread::spawn(move || {
            listener.incoming().for_each(|_| {
                counter.fetch_add(1, Ordering::SeqCst);
            });
        });
        (address, count)
    }

    #[tokio::test]
    async fn an_upstream_out_of_reach_is_not_asked_by_every_client_that_finds_an_image() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(dir.path().join("store.redb")).expect("a store");
        let catalogue = Arc::new(MemoryCatalogue::new());
        let registry = Registry::open(&dir.path().join("registry"), catalogue, Limits::default()).expect("a registry");
        let (upstream_url, asked) = broken_upstream();
        let scope = Scope::new(ACCOUNT, REGION);
        let digest = Digest::of(b"an image");
        let row = longshore_types::ecr::Image {
            repository: "cache/app".to_owned(),
            digest: digest.to_string(),
            manifest_media_type: ManifestType::OciManifest.as_str().to_owned(),
            artifact_media_type: None,
            size_bytes: 1,
            pushed_at: now(),
            image_tags: ["here".to_owned()].into(),
            children: vec![],
            subject: None,
            pulled_at: None,
        };
        let rule = PullThroughRule {
            prefix: "cache".to_owned(),
            upstream_url,
            upstream_prefix: None,
            upstream_registry: None,
            credential_arn: None,
            created_at: now(),
            updated_at: now(),
        };
        let write = move |tx: &mut longshore_store::Tx| {
            tx.pull_through_rules().put((scope.clone(), "cache".to_owned()), rule.clone());
            tx.images().put((scope.clone(), "cache/app".to_owned(), digest.to_string()), row.clone());
            Ok::<_, std::convert::Infallible>(())
        };
        store.write(write).await.expect("stored").expect("never refused");

        let upstream = Upstream::new(store);
        let name = RepositoryName::parse("cache/app").expect("valid");
        let repository = RepositoryId { scope: RegistryScope::new(ACCOUNT, REGION).expect("valid"), name };
        let pull = async |tag: &str| {
            let reference = Reference::Tag(Tag::parse(tag).expect("valid"));
            upstream.provide_image(&registry, &repository, &reference).await
        };
        pull("here").await.expect_err("out of reach");
        let first = asked.load(Ordering::SeqCst);
        assert!(first > 0);
        pull("here").await.expect("served as it is");
        assert_eq!(asked.load(Ordering::SeqCst), first);
        // What is not here may be there a moment later.
        pull("absent").await.expect_err("out of reach");
        pull("absent").await.expect_err("out of reach");
        assert!(asked.load(Ordering::SeqCst) >= first * 3);
    }
}

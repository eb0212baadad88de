//! The registry over the account's state: who may, which images, which tags; and its bytes for the ECR operations.

use crate::upstream::Upstream;
use longshore_api::ecr;
use longshore_api::ecr::creation_templates::{Purpose, template_for};
use longshore_api::identity::{self, Authority, Enforced, Source};
use longshore_api::routes::{self as api, Later, NewImage, PutImage};
use longshore_api::{Cx, Manifests, Principal, Settings};
use longshore_registry::{
    AccessRequest, Answer, Catalogue, DeleteImageError, Denied, Digest, Direction, Grant, Image, ImageRecord,
    ManifestType, PutImageError, PutImageOutcome, Reference, Registry, RepositoryId, RepositoryName,
    Scope as RegistryScope, Tag,
};
use longshore_store::Store;
use longshore_types::Scope;
use std::io;
use std::sync::Arc;
use std::time::Duration;

const PULLS_RECORDED_EVERY: Duration = Duration::from_secs(3600);

pub struct StoreCatalogue {
    store: Store,
    settings: Arc<Settings>,
    upstream: Upstream,
}

impl StoreCatalogue {
    pub fn new(store: Store, settings: Arc<Settings>, upstream: Upstream) -> Self {
        Self { store, settings, upstream }
    }

    /// Whether identity and repository policies let the password's holder do this, now.
    fn check(
        &self,
        authority: &Arc<Authority>,
        granted: &ecr::token::Granted,
        scope: &Scope,
        request: &AccessRequest<'_>,
    ) -> Result<(), Denied> {
        if granted.access_key == ecr::token::NODE {
            return Ok(());
        }
        let state = self.store.snapshot();
        let now = crate::serve::now();
        let caller = identity::caller_of_key(authority, &state, scope, &granted.access_key, now)
            .ok_or_else(|| Denied::Forbidden { message: "Not Authorized".to_owned() })?;
        // No policy narrows the account itself, as with every other operation.
        if caller.principal == Principal::Root {
            return Ok(());
        }
        let Some(action) = request.action.iam_action() else { return Ok(()) };
        let mut cx = Cx::new(scope.clone(), now, caller, Arc::clone(&self.settings), 0);
        let agent = request.parts.headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok());
        cx.enforced = request.parts.extensions.get::<Source>().map(|source| {
            Arc::new(Enforced { user_agent: agent.map(str::to_owned), ..Enforced::new(authority, *source) })
        });
        // What is of no repository is of all.
        let name = request.repository.map_or("*", RepositoryName::as_str);
        let resource = longshore_types::arn::ecr_repository(scope, name);
        identity::allows(&state, cx, action, &resource)
            .map_err(|refused| Denied::Forbidden { message: refused.message })
    }
}

fn scope(scope: &RegistryScope) -> Scope {
    Scope::new(scope.account(), scope.region())
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> PutImageError {
    PutImageError::Unavailable(Box::new(error))
}

fn record(row: &longshore_types::ecr::Image) -> Option<ImageRecord> {
    Some(ImageRecord {
        digest: Digest::parse(&row.digest).ok()?,
        manifest_type: ManifestType::parse(&row.manifest_media_type)?,
        size_bytes: row.size_bytes,
    })
}

/// The store's key of a repository.
pub fn key(repository: &RepositoryId) -> (Scope, String) {
    (scope(&repository.scope), repository.name.as_str().to_owned())
}

impl Catalogue for StoreCatalogue {
    fn authorize(&self, request: AccessRequest<'_>) -> Result<Grant, Denied> {
        let (user, password) =
            longshore_registry::basic_credentials(request.authorization).ok_or(Denied::Unauthenticated)?;
        let expired = || Denied::Forbidden {
            message: "Your authorization token has expired. Reauthenticate and try again.".to_owned(),
        };
        let granted =
            ecr::token::verify(&self.settings.registry_secret, &password, crate::serve::now()).ok_or_else(expired)?;
        if user != "AWS" {
            return Err(Denied::Unauthenticated);
        }
        let own = RegistryScope::new(granted.scope.account.as_str(), granted.scope.region.as_str())
            .map_err(|_| Denied::Unauthenticated)?;
        let scope = match request.host.and_then(RegistryScope::of_host) {
            None => own,
            // A token of one region is good for every region of its account, as on AWS's.
            Some(named) if named.account() == own.account() => named,
            Some(_) => return Err(Denied::Forbidden { message: "Not Authorized".to_owned() }),
        };
        if let Some(authority) = &self.settings.authority {
            self.check(authority, &granted, &crate::catalogue::scope(&scope), &request)?;
        }
        Ok(Grant { scope, caller: user })
    }

    fn repository_exists(&self, repository: &RepositoryId) -> bool {
        self.store.read(|state| state.repositories().get(&key(repository)).is_some())
    }

    fn repositories(&self, scope: &RegistryScope, after: &str, count_max: usize) -> Vec<String> {
        let scope = crate::catalogue::scope(scope);
        self.store.read(|state| {
            let names = state.repositories().prefix(&scope).map(|row| row.name.clone());
            names.filter(|name| name.as_str() > after).take(count_max).collect()
        })
    }

    fn image(&self, repository: &RepositoryId, reference: &Reference) -> Option<ImageRecord> {
        let (scope, name) = key(repository);
        self.store.read(|state| {
            let row = match reference {
                Reference::Digest(digest) => state.images().get(&(scope, name, digest.to_string())),
                Reference::Tag(tag) => state
                    .images()
                    .find(&longshore_store::tables::Images::BY_TAG, &(scope, name, tag.as_str().to_owned())),
            };
            row.and_then(|row| record(&row))
        })
    }

    fn tags(&self, repository: &RepositoryId, after: &str, count_max: usize) -> Vec<Tag> {
        let mut tags: Vec<String> = self.store.read(|state| {
            state
                .images()
                .prefix(&key(repository))
                .flat_map(|row| row.image_tags.iter().cloned().collect::<Vec<_>>())
                .collect()
        });
        tags.sort();
        tags.into_iter()
            .filter(|tag| tag.as_str() > after)
            .take(count_max)
            .filter_map(|tag| Tag::parse(&tag).ok())
            .collect()
    }

    fn referrers(&self, repository: &RepositoryId, subject: &Digest) -> Vec<ImageRecord> {
        let subject = subject.to_string();
        self.store.read(|state| {
            let rows = state.images().prefix(&key(repository)).filter(|row| row.subject.as_ref() == Some(&subject));
            rows.filter_map(|row| record(&row)).collect()
        })
    }

    fn images(&self) -> Vec<(RepositoryId, Digest)> {
        self.store.read(|state| {
            let parse = |(scope, name, digest): (Scope, String, String)| {
                let scope = RegistryScope::new(scope.account.as_str(), scope.region.as_str()).ok()?;
                let name = RepositoryName::parse(&name).ok()?;
                Some((RepositoryId { scope, name }, Digest::parse(&digest).ok()?))
            };
            state.images().all().keys().filter_map(parse).collect()
        })
    }

    fn put_image<'a>(
        &'a self,
        repository: &'a RepositoryId,
        image: Image,
    ) -> Answer<'a, Result<PutImageOutcome, PutImageError>> {
        let (scope, name) = key(repository);
        Box::pin(async move {
            let written = self.store.write(move |tx| put(tx, &scope, &name, &image)).await;
            written.map_err(unavailable)?
        })
    }

    fn delete_image<'a>(
        &'a self,
        repository: &'a RepositoryId,
        reference: &'a Reference,
    ) -> Answer<'a, Result<(), DeleteImageError>> {
        let (scope, name) = key(repository);
        let reference = reference.clone();
        Box::pin(async move {
            let written = self.store.write(move |tx| delete(tx, &scope, &name, &reference)).await;
            written.map_err(|error| DeleteImageError::Unavailable(Box::new(error)))?
        })
    }

    fn provides(&self, repository: &RepositoryId, direction: Direction) -> bool {
        let (scope, name) = key(repository);
        self.store.read(|state| match direction {
            Direction::Pull => ecr::pull_through::rule_for(state, &scope, &name).is_some(),
            Direction::Push => template_for(state, &scope, &name, Purpose::Push).is_some(),
        })
    }

    fn provide_repository<'a>(
        &'a self,
        repository: &'a RepositoryId,
        direction: Direction,
        wanted: Option<&'a Reference>,
    ) -> Answer<'a, bool> {
        Box::pin(self.upstream.provide_repository(repository, direction, wanted))
    }

    fn provide_image<'a>(
        &'a self,
        registry: &'a Registry,
        repository: &'a RepositoryId,
        reference: &'a Reference,
    ) -> Answer<'a, Result<(), String>> {
        Box::pin(self.upstream.provide_image(registry, repository, reference))
    }

    fn pulled(&self, repository: &RepositoryId, digest: &Digest) {
        let (scope, name) = key(repository);
        let key = (scope, name, digest.to_string());
        let now = crate::serve::now();
        let recorded = self.store.read(|state| state.images().get(&key).map(|row| row.pulled_at));
        // Written down at most once an hour, so that reading stays reading.
        if recorded.is_none_or(|at| at.is_some_and(|at| now.since(at) < PULLS_RECORDED_EVERY)) {
            return;
        }
        let store = self.store.clone();
        tokio::spawn(async move {
            let record = move |tx: &mut longshore_store::Tx| {
                tx.images().update(&key, |row| row.pulled_at = Some(now));
                Ok::<_, std::convert::Infallible>(())
            };
            if let Err(error) = store.write(record).await {
                tracing::warn!(%error, "the time of a pull could not be stored");
            }
        });
    }
}

fn put(
    tx: &mut longshore_store::Tx,
    scope: &Scope,
    name: &str,
    image: &Image,
) -> Result<PutImageOutcome, PutImageError> {
    let repository =
        tx.repositories().get(&(scope.clone(), name.to_owned())).ok_or(PutImageError::RepositoryNotFound)?;
    let digest = image.digest.to_string();
    let key = (scope.clone(), name.to_owned(), digest.clone());
    for tag in &image.tags {
        let tagged = (scope.clone(), name.to_owned(), tag.as_str().to_owned());
        let holder = tx.images().find(&longshore_store::tables::Images::BY_TAG, &tagged);
        if let Some(holder) = holder.filter(|holder| holder.digest != digest) {
            if repository.is_immutable(tag.as_str()) {
                return Err(PutImageError::TagImmutable { tag: tag.clone() });
            }
            tx.images().update(&(scope.clone(), name.to_owned(), holder.digest.clone()), |row| {
                row.image_tags.remove(tag.as_str());
            });
        }
    }
    let before = tx.images().get(&key);
    let mut row = before.as_deref().cloned().unwrap_or_else(|| longshore_types::ecr::Image {
        repository: name.to_owned(),
        digest,
        manifest_media_type: image.manifest_type.as_str().to_owned(),
        artifact_media_type: image.artifact_type.clone(),
        size_bytes: image.size_bytes,
        pushed_at: crate::serve::now(),
        image_tags: Default::default(),
        children: image.children.iter().map(ToString::to_string).collect(),
        subject: image.subject.as_ref().map(ToString::to_string),
        pulled_at: None,
    });
    row.image_tags.extend(image.tags.iter().map(|tag| tag.as_str().to_owned()));
    let unchanged = before.is_some_and(|before| *before == row);
    tx.images().put(key, row);
    Ok(if unchanged { PutImageOutcome::Unchanged } else { PutImageOutcome::Changed })
}

fn delete(
    tx: &mut longshore_store::Tx,
    scope: &Scope,
    name: &str,
    reference: &Reference,
) -> Result<(), DeleteImageError> {
    if tx.repositories().get(&(scope.clone(), name.to_owned())).is_none() {
        return Err(DeleteImageError::RepositoryNotFound);
    }
    match reference {
        Reference::Tag(tag) => {
            let tagged = (scope.clone(), name.to_owned(), tag.as_str().to_owned());
            let holder = tx
                .images()
                .find(&longshore_store::tables::Images::BY_TAG, &tagged)
                .ok_or(DeleteImageError::ImageNotFound)?;
            tx.images().update(&(scope.clone(), name.to_owned(), holder.digest.clone()), |row| {
                row.image_tags.remove(tag.as_str());
            });
        }
        Reference::Digest(digest) => {
            let text = digest.to_string();
            let by = tx.images().prefix(&(scope.clone(), name.to_owned())).find(|row| row.children.contains(&text));
            if let Some(by) = by.and_then(|row| Digest::parse(&row.digest).ok()) {
                return Err(DeleteImageError::Referenced { by });
            }
            tx.images().remove(&(scope.clone(), name.to_owned(), text)).ok_or(DeleteImageError::ImageNotFound)?;
        }
    }
    Ok(())
}

/// The registry's bytes for the ECR operations.
pub struct RegistryManifests {
    registry: Registry,
    upstream: Upstream,
}

impl RegistryManifests {
    pub fn new(registry: Registry, upstream: Upstream) -> Self {
        Self { registry, upstream }
    }
}

/// The registry's name for a repository.
pub fn repository_id(scope: &Scope, name: &str) -> Option<RepositoryId> {
    let scope = RegistryScope::new(scope.account.as_str(), scope.region.as_str()).ok()?;
    Some(RepositoryId { scope, name: RepositoryName::parse(name).ok()? })
}

fn upload_id(text: &str) -> Result<longshore_registry::UploadId, api::LayerUploadError> {
    longshore_registry::UploadId::parse(&text.replace('-', "").to_ascii_lowercase())
        .ok_or(api::LayerUploadError::Unknown)
}

fn upload_error(error: longshore_registry::UploadError) -> api::LayerUploadError {
    use api::LayerUploadError as To;
    use longshore_registry::UploadError as From;
    match error {
        From::RepositoryNotFound => To::RepositoryNotFound,
        From::Unknown => To::Unknown,
        From::TooMany => To::TooMany,
        From::OutOfOrder { offset } => To::OutOfOrder { offset },
        From::TooLarge { .. } => To::TooLarge,
        From::DigestMismatch { .. } => To::DigestMismatch,
        other => To::Failed(other.to_string()),
    }
}

impl Manifests for RegistryManifests {
    fn read<'a>(
        &'a self,
        scope: &'a Scope,
        repository: &'a str,
        digest: &'a str,
    ) -> Later<'a, io::Result<Option<Vec<u8>>>> {
        Box::pin(async move {
            let (Some(id), Ok(digest)) = (repository_id(scope, repository), Digest::parse(digest)) else {
                return Ok(None);
            };
            let manifest = self.registry.manifest(&id, &Reference::Digest(digest)).await.map_err(io::Error::other)?;
            Ok(manifest.map(|manifest| manifest.bytes.to_vec()))
        })
    }

    fn put<'a>(
        &'a self,
        scope: &'a Scope,
        repository: &'a str,
        image: NewImage,
    ) -> Later<'a, Result<PutImage, api::PutImageError>> {
        use longshore_registry::PutManifestError as From;
        Box::pin(async move {
            let invalid = |what: &str| api::PutImageError::Invalid(format!("Invalid parameter: {what}"));
            let id = repository_id(scope, repository).ok_or(api::PutImageError::RepositoryNotFound)?;
            let tags = image.tag.map(|tag| Tag::parse(&tag)).transpose().map_err(|_| invalid("imageTag"))?;
            let digest =
                image.digest.map(|digest| Digest::parse(&digest)).transpose().map_err(|_| invalid("imageDigest"))?;
            let put = longshore_registry::PutManifest {
                bytes: image.manifest.into(),
                media_type: image.media_type,
                tags: tags.into_iter().collect(),
                digest,
            };
            let texts = |digests: Vec<Digest>| digests.iter().map(ToString::to_string).collect();
            match self.registry.put_manifest(&id, put).await {
                Ok(put) => Ok(PutImage {
                    digest: put.digest.to_string(),
                    media_type: put.manifest_type.as_str().to_owned(),
                    changed: put.outcome == PutImageOutcome::Changed,
                }),
                Err(From::RepositoryNotFound) => Err(api::PutImageError::RepositoryNotFound),
                Err(From::LayersNotFound { digests }) => Err(api::PutImageError::LayersNotFound(texts(digests))),
                Err(From::ImagesNotFound { digests }) => Err(api::PutImageError::ImagesNotFound(texts(digests))),
                Err(From::DigestMismatch { .. }) => Err(api::PutImageError::DigestMismatch),
                Err(From::Catalogue(PutImageError::TagImmutable { tag })) => {
                    Err(api::PutImageError::TagImmutable(tag.to_string()))
                }
                Err(From::Catalogue(PutImageError::RepositoryNotFound)) => Err(api::PutImageError::RepositoryNotFound),
                Err(From::Catalogue(error)) => Err(api::PutImageError::Failed(error.to_string())),
                Err(error) => Err(api::PutImageError::Invalid(error.to_string())),
            }
        })
    }

    fn blob_size<'a>(
        &'a self,
        scope: &'a Scope,
        repository: &'a str,
        digest: &'a str,
    ) -> Later<'a, io::Result<Option<u64>>> {
        Box::pin(async move {
            let (Some(id), Ok(digest)) = (repository_id(scope, repository), Digest::parse(digest)) else {
                return Ok(None);
            };
            self.registry.blob_size(&id, &digest).await.map_err(io::Error::other)
        })
    }

    fn begin_upload<'a>(
        &'a self,
        scope: &'a Scope,
        repository: &'a str,
    ) -> Later<'a, Result<String, api::LayerUploadError>> {
        Box::pin(async move {
            let id = repository_id(scope, repository).ok_or(api::LayerUploadError::RepositoryNotFound)?;
            let upload = self.registry.begin_upload(&id).await.map_err(upload_error)?.to_string();
            // 32 hexadecimal digits as a UUID.
            let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| &upload[range]);
            Ok(parts.join("-"))
        })
    }

    fn append_upload<'a>(
        &'a self,
        scope: &'a Scope,
        repository: &'a str,
        upload: &'a str,
        first_byte: u64,
        bytes: Vec<u8>,
    ) -> Later<'a, Result<(), api::LayerUploadError>> {
        Box::pin(async move {
            let id = repository_id(scope, repository).ok_or(api::LayerUploadError::RepositoryNotFound)?;
            let upload = upload_id(upload)?;
            self.registry.append_upload(&id, upload, first_byte, bytes.into()).await.map(drop).map_err(upload_error)
        })
    }

    fn finish_upload<'a>(
        &'a self,
        scope: &'a Scope,
        repository: &'a str,
        upload: &'a str,
        digest: &'a str,
    ) -> Later<'a, Result<(), api::LayerUploadError>> {
        Box::pin(async move {
            let id = repository_id(scope, repository).ok_or(api::LayerUploadError::RepositoryNotFound)?;
            let upload = upload_id(upload)?;
            if self.registry.upload_offset(&id, upload).await.map_err(upload_error)? == 0 {
                return Err(api::LayerUploadError::Empty);
            }
            let digest = Digest::parse(digest).map_err(|_| api::LayerUploadError::DigestMismatch)?;
            self.registry.finish_upload(&id, upload, &digest).await.map(drop).map_err(upload_error)
        })
    }

    fn check_upstream<'a>(
        &'a self,
        scope: &'a Scope,
        rule: &'a longshore_types::ecr::PullThroughRule,
    ) -> Later<'a, Result<(), String>> {
        Box::pin(self.upstream.check(scope, rule))
    }

    fn forget_repository<'a>(&'a self, scope: &'a Scope, repository: &'a str) -> Later<'a, io::Result<()>> {
        Box::pin(async move {
            match repository_id(scope, repository) {
                Some(id) => self.registry.forget_repository(&id).await.map_err(io::Error::other),
                None => Ok(()),
            }
        })
    }
}

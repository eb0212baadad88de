//! A catalogue in memory: for tests, and the shortest description of what a catalogue has to do.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::catalogue::{
    AccessRequest, Action, Answer, Catalogue, DeleteImageError, Denied, Direction, Grant, Image, ImageRecord,
    PutImageError, PutImageOutcome,
};
use crate::digest::Digest;
use crate::name::{Reference, RepositoryId, Scope, Tag};
use crate::registry::Registry;
use crate::serve::basic_credentials;

/// Repositories, images and passwords; all gone when dropped.
#[derive(Default)]
pub struct MemoryCatalogue {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By password; the user name is always `AWS`.
    tokens: HashMap<String, Token>,
    repositories: BTreeMap<RepositoryId, Repository>,
    /// Repositories that come about when an image of them is asked for, with how many images were.
    upstream: HashMap<RepositoryId, usize>,
}

struct Token {
    scope: Scope,
    /// And import, which brings images about as well.
    may_push: bool,
}

#[derive(Default)]
struct Repository {
    tags_immutable: bool,
    images: BTreeMap<Digest, Image>,
    tags: BTreeMap<Tag, Digest>,
}

impl MemoryCatalogue {
    pub fn new() -> MemoryCatalogue {
        MemoryCatalogue::default()
    }

    /// A password good for one registry.
    pub fn add_token(&self, password: &str, scope: &Scope, may_push: bool) {
        self.state().tokens.insert(password.to_owned(), Token { scope: scope.clone(), may_push });
    }

    pub fn add_repository(&self, repository: RepositoryId, tags_immutable: bool) {
        self.state().repositories.insert(repository, Repository { tags_immutable, ..Repository::default() });
    }

    pub fn remove_repository(&self, repository: &RepositoryId) {
        self.state().repositories.remove(repository);
    }

    /// Lets a repository stand for one of another registry, which has no image.
    pub fn add_upstream(&self, repository: RepositoryId) {
        self.state().upstream.insert(repository, 0);
    }

    /// How often an image of such a repository was to be imported.
    pub fn imports(&self, repository: &RepositoryId) -> usize {
        self.state().upstream.get(repository).copied().unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn put(&mut self, repository: &RepositoryId, image: Image) -> Result<PutImageOutcome, PutImageError> {
        let repository = self.repositories.get_mut(repository).ok_or(PutImageError::RepositoryNotFound)?;
        let moved: Vec<&Tag> =
            image.tags.iter().filter(|tag| repository.tags.get(*tag) != Some(&image.digest)).collect();
        let taken = moved.iter().find(|tag| repository.tags_immutable && repository.tags.contains_key(**tag));
        if let Some(tag) = taken {
            return Err(PutImageError::TagImmutable { tag: (*tag).clone() });
        }
        let unchanged = moved.is_empty() && repository.images.contains_key(&image.digest);
        repository.tags.extend(image.tags.iter().map(|tag| (tag.clone(), image.digest)));
        repository.images.insert(image.digest, image);
        Ok(if unchanged { PutImageOutcome::Unchanged } else { PutImageOutcome::Changed })
    }

    fn delete(&mut self, repository: &RepositoryId, reference: &Reference) -> Result<(), DeleteImageError> {
        let repository = self.repositories.get_mut(repository).ok_or(DeleteImageError::RepositoryNotFound)?;
        let digest = match reference {
            Reference::Tag(tag) => {
                return repository.tags.remove(tag).map(drop).ok_or(DeleteImageError::ImageNotFound);
            }
            Reference::Digest(digest) => digest,
        };
        if let Some(index) = repository.images.values().find(|image| image.children.contains(digest)) {
            return Err(DeleteImageError::Referenced { by: index.digest });
        }
        repository.images.remove(digest).ok_or(DeleteImageError::ImageNotFound)?;
        repository.tags.retain(|_, tagged| tagged != digest);
        Ok(())
    }
}

impl Catalogue for MemoryCatalogue {
    fn authorize(&self, request: AccessRequest<'_>) -> Result<Grant, Denied> {
        let (user, password) = basic_credentials(request.authorization).ok_or(Denied::Unauthenticated)?;
        let state = self.state();
        let token = state.tokens.get(&password).filter(|_| user == "AWS").ok_or(Denied::Unauthenticated)?;
        let addressed = request.host.and_then(Scope::of_host);
        let foreign = addressed.is_some_and(|scope| scope != token.scope);
        let adds = request.action == Action::ImportImage || request.action.direction() == Direction::Push;
        if foreign || adds && !token.may_push {
            return Err(Denied::Forbidden { message: "not authorized".into() });
        }
        Ok(Grant { scope: token.scope.clone(), caller: user })
    }

    fn repository_exists(&self, repository: &RepositoryId) -> bool {
        self.state().repositories.contains_key(repository)
    }

    fn image(&self, repository: &RepositoryId, reference: &Reference) -> Option<ImageRecord> {
        let state = self.state();
        let repository = state.repositories.get(repository)?;
        let digest = match reference {
            Reference::Tag(tag) => repository.tags.get(tag)?,
            Reference::Digest(digest) => digest,
        };
        repository.images.get(digest).map(record)
    }

    fn repositories(&self, scope: &Scope, after: &str, count_max: usize) -> Vec<String> {
        let state = self.state();
        let here = state.repositories.keys().filter(|repository| repository.scope == *scope);
        let mut names: Vec<String> = here.map(|repository| repository.name.to_string()).collect();
        names.sort();
        names.into_iter().filter(|name| name.as_str() > after).take(count_max).collect()
    }

    fn tags(&self, repository: &RepositoryId, after: &str, count_max: usize) -> Vec<Tag> {
        let state = self.state();
        let Some(repository) = state.repositories.get(repository) else { return Vec::new() };
        let following = repository.tags.range::<str, _>((Bound::Excluded(after), Bound::Unbounded));
        following.take(count_max).map(|(tag, _)| tag.clone()).collect()
    }

    fn referrers(&self, repository: &RepositoryId, subject: &Digest) -> Vec<ImageRecord> {
        let state = self.state();
        let images = state.repositories.get(repository).map(|repository| repository.images.values());
        images.into_iter().flatten().filter(|image| image.subject == Some(*subject)).map(record).collect()
    }

    fn images(&self) -> Vec<(RepositoryId, Digest)> {
        let state = self.state();
        let of_one =
            |(id, r): (&RepositoryId, &Repository)| r.images.keys().map(|d| (id.clone(), *d)).collect::<Vec<_>>();
        state.repositories.iter().flat_map(of_one).collect()
    }

    fn put_image<'a>(
        &'a self,
        repository: &'a RepositoryId,
        image: Image,
    ) -> Answer<'a, Result<PutImageOutcome, PutImageError>> {
        Box::pin(async move { self.state().put(repository, image) })
    }

    fn delete_image<'a>(
        &'a self,
        repository: &'a RepositoryId,
        reference: &'a Reference,
    ) -> Answer<'a, Result<(), DeleteImageError>> {
        Box::pin(async move { self.state().delete(repository, reference) })
    }

    fn provides(&self, repository: &RepositoryId, direction: Direction) -> bool {
        direction == Direction::Pull && self.state().upstream.contains_key(repository)
    }

    fn provide_repository<'a>(
        &'a self,
        repository: &'a RepositoryId,
        _direction: Direction,
        _wanted: Option<&'a Reference>,
    ) -> Answer<'a, bool> {
        self.add_repository(repository.clone(), false);
        Box::pin(async { true })
    }

    fn provide_image<'a>(
        &'a self,
        _registry: &'a Registry,
        repository: &'a RepositoryId,
        _reference: &'a Reference,
    ) -> Answer<'a, Result<(), String>> {
        *self.state().upstream.entry(repository.clone()).or_default() += 1;
        Box::pin(async { Ok(()) })
    }
}

fn record(image: &Image) -> ImageRecord {
    ImageRecord { digest: image.digest, manifest_type: image.manifest_type, size_bytes: image.size_bytes }
}

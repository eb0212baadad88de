//! Registries: the built-in one, whose rows are real and whose bytes are not, and all others, whose tags move.

use crate::bug::Bug;
use crate::control::scope;
use crate::world::{World, lock};
use longshore_api::routes::{Later, Manifests, NewImage, PutImage, PutImageError};
use longshore_store::tables::Images;
use longshore_store::{Store, Tx};
use longshore_types::ecr::Image;
use longshore_types::node::ContainerIntent;
use longshore_types::{Scope, Timestamp};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Host of the built-in registry.
pub const HOST: &str = "123456789012.dkr.ecr.us-east-1.amazonaws.com";

/// What its name says an image does: the last part of it, without tag and digest.
pub fn kind(image: &str) -> &str {
    let name = image.rsplit('/').next().unwrap_or(image);
    name.split(['@', ':']).next().unwrap_or(name)
}

/// The digest that a node gets for a container's image; `None` if there is no such image.
pub fn resolve(world: &World, container: &ContainerIntent) -> Option<String> {
    let image = &container.definition.image;
    let pinned = container.image_digest.clone().filter(|_| !world.has(Bug::MovingTag));
    let Some(path) = image.strip_prefix(HOST).and_then(|path| path.strip_prefix('/')) else {
        let version = lock(&world.tags).get(kind(image)).copied().unwrap_or(0);
        return Some(pinned.unwrap_or_else(|| format!("sha256:{}-{version}", kind(image))));
    };
    let (repository, tag) = path.split_once(':')?;
    let state = lock(&world.checks).published.clone()?;
    let found = match pinned {
        Some(digest) => state.images().get(&(scope(), repository.to_owned(), digest)),
        None => state.images().find(&Images::BY_TAG, &(scope(), repository.to_owned(), tag.to_owned())),
    };
    found.map(|image| image.digest.clone())
}

/// The built-in registry as the ECR operations see it. No image has layers.
pub struct Registry {
    pub world: Arc<World>,
    pub store: Store,
}

impl Manifests for Registry {
    fn put<'a>(
        &'a self,
        scope: &'a Scope,
        repository: &'a str,
        image: NewImage,
    ) -> Later<'a, Result<PutImage, PutImageError>> {
        let (scope, name, now) = (scope.clone(), repository.to_owned(), self.world.now());
        Box::pin(async move {
            let written = self.store.write(move |tx| put(tx, &scope, &name, &image, now)).await;
            written.unwrap_or_else(|error| Err(PutImageError::Failed(error.to_string())))
        })
    }
}

/// What the server's catalogue does: the image's row, and its tag taken from the image that had it.
fn put(tx: &mut Tx, scope: &Scope, name: &str, image: &NewImage, now: Timestamp) -> Result<PutImage, PutImageError> {
    let key = (scope.clone(), name.to_owned());
    tx.repositories().get(&key).ok_or(PutImageError::RepositoryNotFound)?;
    let mut hasher = DefaultHasher::new();
    image.manifest.hash(&mut hasher);
    let digest = format!("sha256:{:064x}", hasher.finish());
    let key = |digest: &str| (scope.clone(), name.to_owned(), digest.to_owned());
    if let Some(tag) = &image.tag {
        let holder = tx.images().find(&Images::BY_TAG, &(scope.clone(), name.to_owned(), tag.clone()));
        if let Some(holder) = holder.filter(|holder| holder.digest != digest) {
            tx.images().update(&key(&holder.digest), |row| row.image_tags.remove(tag));
        }
    }
    let before = tx.images().get(&key(&digest));
    let mut row = before.as_deref().cloned().unwrap_or_else(|| Image {
        repository: name.to_owned(),
        digest: digest.clone(),
        manifest_media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        artifact_media_type: None,
        size_bytes: 1,
        pushed_at: now,
        image_tags: Default::default(),
        children: vec![],
        subject: None,
        pulled_at: None,
    });
    row.image_tags.extend(image.tag.clone());
    let changed = before.is_none_or(|before| *before != row);
    let media_type = row.manifest_media_type.clone();
    tx.images().put(key(&digest), row);
    Ok(PutImage { digest, media_type, changed })
}

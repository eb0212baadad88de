//! Names of repositories and images.

use super::error;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecr::{ImageFailure, ImageIdentifier};
use longshore_store::Snapshot;
use longshore_store::tables::Images;
use longshore_types::Scope;
use longshore_types::ecr::{Image, Repository};
use std::sync::Arc;

/// The repository, in the caller's own registry: there is no other.
pub fn repository(
    state: &Snapshot,
    scope: &Scope,
    registry: Option<&str>,
    name: &str,
) -> Result<Arc<Repository>, AwsError> {
    check_registry(scope, registry)?;
    state.repositories().get(&(scope.clone(), name.to_owned())).ok_or_else(|| error::no_repository(scope, name))
}

pub fn check_registry(scope: &Scope, registry: Option<&str>) -> Result<(), AwsError> {
    match registry {
        Some(other) if other != scope.account.as_str() => Err(error::invalid(format!(
            "Invalid parameter at 'registryId': the registry with id '{other}' does not exist."
        ))),
        _ => Ok(()),
    }
}

/// The image that an identifier names, by digest, tag or both.
pub fn image(
    state: &Snapshot,
    scope: &Scope,
    repository: &str,
    id: &ImageIdentifier,
) -> Result<Arc<Image>, ImageFailure> {
    let failure = |code: &str, reason: &str| ImageFailure {
        image_id: Some(id.clone()),
        failure_code: Some(code.to_owned()),
        failure_reason: Some(reason.to_owned()),
    };
    let by_digest = |digest: &String| state.images().get(&(scope.clone(), repository.to_owned(), digest.clone()));
    let by_tag =
        |tag: &String| state.images().find(&Images::BY_TAG, &(scope.clone(), repository.to_owned(), tag.clone()));
    let not_found = || failure("ImageNotFound", "Requested image not found");
    match (&id.image_digest, &id.image_tag) {
        (Some(digest), None) => by_digest(digest).ok_or_else(not_found),
        (None, Some(tag)) => by_tag(tag).ok_or_else(not_found),
        (Some(digest), Some(tag)) => match by_tag(tag) {
            Some(image) if image.digest == *digest => Ok(image),
            Some(_) => Err(failure("ImageTagDoesNotMatchDigest", "The requested tag and digest do not match")),
            None => Err(not_found()),
        },
        (None, None) => {
            Err(failure("MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null"))
        }
    }
}

/// Whether an identifier, by digest, tag or both, names this image.
pub fn is_named(image: &Image, id: &ImageIdentifier) -> bool {
    let by_digest = id.image_digest.as_ref().is_none_or(|digest| *digest == image.digest);
    by_digest && id.image_tag.as_ref().is_none_or(|tag| image.image_tags.contains(tag))
}

/// A prefix of repository names as it is stored: without the slash that may end it.
pub fn prefix(given: &str) -> String {
    given.trim_end_matches('/').to_owned()
}

/// Whether a text that did not pass the API's own check can be a repository's name.
pub fn is_repository_name(name: &str) -> bool {
    let part = |part: &str| {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        edge(part.chars().next())
            && edge(part.chars().last())
            && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c))
    };
    (2..=256).contains(&name.len()) && name.split('/').all(part)
}

/// One identifier a tag, or one without a tag.
pub fn identifiers(image: &Image) -> Vec<ImageIdentifier> {
    let of =
        |tag: Option<&String>| ImageIdentifier { image_digest: Some(image.digest.clone()), image_tag: tag.cloned() };
    match image.image_tags.is_empty() {
        true => vec![of(None)],
        false => image.image_tags.iter().map(|tag| of(Some(tag))).collect(),
    }
}

/// Whether an image passes `tagStatus` (TAGGED, UNTAGGED or ANY) and `imageStatus`: nothing is ever archived here.
pub fn passes(image: &Image, tag_status: Option<&str>, image_status: Option<&str>) -> bool {
    if image_status.is_some_and(|status| !matches!(status, "ACTIVE" | "ANY")) {
        return false;
    }
    match tag_status {
        Some("TAGGED") => !image.image_tags.is_empty(),
        Some("UNTAGGED") => image.image_tags.is_empty(),
        _ => true,
    }
}

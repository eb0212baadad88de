//! What the registry asks of its caller: who may do what, and which images a repository has.
//!
//! The catalogue owns the truth about repositories, images and tags; the registry owns bytes. A manifest is visible
//! exactly when the catalogue names it, so that deleting an image through the ECR API needs no word to the registry.
//! Reads are synchronous, because they come from memory; writes are futures that end when the change is durable.

use std::future::Future;
use std::pin::Pin;

use crate::digest::Digest;
use crate::manifest::ManifestType;
use crate::name::{Reference, RepositoryId, RepositoryName, Scope, Tag};
use crate::registry::Registry;

/// A future that can be kept behind `dyn`.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The account's view that the registry works over.
pub trait Catalogue: Send + Sync + 'static {
    /// Decides whether a request may act, and on which registry. Called for every request, and before anything of a
    /// repository is looked at. Must refuse a request whose credentials do not reach the registry its host names.
    fn authorize(&self, request: AccessRequest<'_>) -> Result<Grant, Denied>;

    /// Whether the repository exists.
    fn repository_exists(&self, repository: &RepositoryId) -> bool;

    /// The first `count_max` repositories whose names come after `after` in the order of their bytes.
    fn repositories(&self, scope: &Scope, after: &str, count_max: usize) -> Vec<String>;

    /// The image a tag or digest names.
    fn image(&self, repository: &RepositoryId, reference: &Reference) -> Option<ImageRecord>;

    /// The first `count_max` tags that come after `after` (which need not be one) in the order of their bytes.
    fn tags(&self, repository: &RepositoryId, after: &str, count_max: usize) -> Vec<Tag>;

    /// The images whose `subject` is this digest.
    fn referrers(&self, repository: &RepositoryId, subject: &Digest) -> Vec<ImageRecord>;

    /// Every image of every repository. What is not in it the garbage collector deletes: it must be complete, and
    /// have all that `put_image` returned `Ok` for.
    fn images(&self) -> Vec<(RepositoryId, Digest)>;

    /// Adds an image, or moves tags to it, in one transaction. Durable when it returns `Ok`.
    fn put_image<'a>(
        &'a self,
        repository: &'a RepositoryId,
        image: Image,
    ) -> Answer<'a, Result<PutImageOutcome, PutImageError>>;

    /// Removes a tag, or an image with all its tags. Durable when it returns `Ok`.
    fn delete_image<'a>(
        &'a self,
        repository: &'a RepositoryId,
        reference: &'a Reference,
    ) -> Answer<'a, Result<(), DeleteImageError>>;

    /// Whether a request may bring about what it finds missing: a pull an image of another registry, with its repository; a
    /// push the repository. Then the caller is also asked for the right to [`Action::ImportImage`] or
    /// [`Action::CreateRepository`], and one of the two below is called.
    fn provides(&self, _repository: &RepositoryId, _direction: Direction) -> bool {
        false
    }

    /// The repository of a request does not exist: brings it about if it may be. True if it is there now.
    /// `wanted` is the image that a pull asks for.
    fn provide_repository<'a>(
        &'a self,
        _repository: &'a RepositoryId,
        _direction: Direction,
        _wanted: Option<&'a Reference>,
    ) -> Answer<'a, bool> {
        Box::pin(async { false })
    }

    /// A client asks for an image: fetches it from where the repository comes from, if it comes from somewhere and what is
    /// here is missing or old. With an error the request goes on only if there is an image already.
    fn provide_image<'a>(
        &'a self,
        _registry: &'a Registry,
        _repository: &'a RepositoryId,
        _reference: &'a Reference,
    ) -> Answer<'a, Result<(), String>> {
        Box::pin(async { Ok(()) })
    }

    /// A client fetched an image's manifest: for `lastRecordedPullTime`.
    fn pulled(&self, _repository: &RepositoryId, _digest: &Digest) {}
}

/// A request as authorization sees it.
#[derive(Clone, Copy)]
pub struct AccessRequest<'a> {
    /// The host the client addressed, with its port if it sent one; checked for syntax only.
    pub host: Option<&'a str>,
    /// The `Authorization` header; see [`crate::basic_credentials`]. Requests without one never get here.
    pub authorization: &'a str,
    pub action: Action,
    /// What it acts on; `None` for [`Action::Ping`].
    pub repository: Option<&'a RepositoryName>,
    /// The rest of it: other headers, and what the server knows of the connection (`extensions`).
    pub parts: &'a http::request::Parts,
}

/// What a request does, as finely as IAM tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// `GET /v2/`: only that the credentials are good.
    Ping,
    /// Of the whole registry.
    ListRepositories,
    CheckLayer,
    GetLayer,
    GetImage,
    ListImages,
    ListReferrers,
    BeginUpload,
    /// Adds to an upload, asks how far it is, or gives it up.
    UploadPart,
    FinishUpload,
    PutImage,
    DeleteImage,
    /// Copies an image from the registry that the repository stands for.
    ImportImage,
    /// Of a repository that comes about by being asked for.
    CreateRepository,
}

/// The coarse view of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Pull,
    Push,
}

impl Action {
    /// The IAM action to check; `None` when good credentials are enough.
    pub fn iam_action(self) -> Option<&'static str> {
        match self {
            Action::Ping => None,
            Action::ListRepositories => Some("ecr:DescribeRepositories"),
            Action::CheckLayer => Some("ecr:BatchCheckLayerAvailability"),
            Action::GetLayer => Some("ecr:GetDownloadUrlForLayer"),
            Action::GetImage => Some("ecr:BatchGetImage"),
            Action::ListImages => Some("ecr:ListImages"),
            Action::ListReferrers => Some("ecr:ListImageReferrers"),
            Action::BeginUpload => Some("ecr:InitiateLayerUpload"),
            Action::UploadPart => Some("ecr:UploadLayerPart"),
            Action::FinishUpload => Some("ecr:CompleteLayerUpload"),
            Action::PutImage => Some("ecr:PutImage"),
            Action::DeleteImage => Some("ecr:BatchDeleteImage"),
            Action::ImportImage => Some("ecr:BatchImportUpstreamImage"),
            Action::CreateRepository => Some("ecr:CreateRepository"),
        }
    }

    pub fn direction(self) -> Direction {
        match self {
            Action::BeginUpload
            | Action::UploadPart
            | Action::FinishUpload
            | Action::PutImage
            | Action::DeleteImage
            | Action::CreateRepository => Direction::Push,
            _ => Direction::Pull,
        }
    }
}

/// A request that may proceed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The registry it addresses.
    pub scope: Scope,
    /// Who called, for the log.
    pub caller: String,
}

/// A request that may not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Credentials are missing or not understood: the client is asked for them.
    #[error("no valid credentials")]
    Unauthenticated,
    /// Credentials are known but not enough, or expired; the message is sent to the client.
    #[error("{message}")]
    Forbidden { message: String },
}

/// An image as it is added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    pub digest: Digest,
    pub manifest_type: ManifestType,
    /// Bytes of the manifest itself.
    pub manifest_bytes: u64,
    /// Compressed bytes of configuration and layers; of an index, the largest of its images.
    pub size_bytes: u64,
    /// Tags to move to it; none when pushed by digest.
    pub tags: Vec<Tag>,
    pub config_media_type: Option<String>,
    /// The manifest's own artifact type, else `config_media_type`.
    pub artifact_type: Option<String>,
    pub subject: Option<Digest>,
    /// Images that an index lists; they were in the repository a moment ago. `put_image` may look again, and refuse.
    pub children: Vec<Digest>,
}

/// What the registry needs back about an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRecord {
    pub digest: Digest,
    pub manifest_type: ManifestType,
    /// As in [`Image::size_bytes`].
    pub size_bytes: u64,
}

/// What putting an image changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutImageOutcome {
    Changed,
    /// The image was there with exactly these tags. A push succeeds; the ECR API says `ImageAlreadyExistsException`.
    Unchanged,
}

/// Why the catalogue did not take an image.
#[derive(Debug, thiserror::Error)]
pub enum PutImageError {
    #[error("the repository does not exist")]
    RepositoryNotFound,
    /// The tag names another image and may not be moved.
    #[error("tag {tag} is immutable")]
    TagImmutable { tag: Tag },
    /// Another reason, to be shown to the client.
    #[error("{message}")]
    Refused { message: String },
    #[error("the catalogue could not store the image")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why the catalogue did not delete.
#[derive(Debug, thiserror::Error)]
pub enum DeleteImageError {
    #[error("the repository does not exist")]
    RepositoryNotFound,
    #[error("the image does not exist")]
    ImageNotFound,
    /// An index in the repository lists it.
    #[error("the image is referenced by manifest list {by}")]
    Referenced { by: Digest },
    #[error("{message}")]
    Refused { message: String },
    #[error("the catalogue could not delete the image")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

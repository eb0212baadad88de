//! What goes wrong, as clients are told: the specification's codes, ECR's texts.

use http::{HeaderName, StatusCode, header};

use super::reply::Reply;
use crate::body::End;
use crate::catalogue::{DeleteImageError, PutImageError};
use crate::digest::Digest;
use crate::name::RepositoryId;
use crate::put_manifest::PutManifestError;
use crate::storage::StorageError;
use crate::uploads::UploadError;

/// Error codes of the specification, and the few that clients know besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    SizeInvalid,
    TagInvalid,
    Unauthorized,
    Denied,
    Unsupported,
    TooManyRequests,
    NotFound,
    Unknown,
}

impl Code {
    fn as_str(self) -> &'static str {
        match self {
            Code::BlobUnknown => "BLOB_UNKNOWN",
            Code::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Code::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Code::DigestInvalid => "DIGEST_INVALID",
            Code::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Code::ManifestInvalid => "MANIFEST_INVALID",
            Code::ManifestUnknown => "MANIFEST_UNKNOWN",
            Code::NameInvalid => "NAME_INVALID",
            Code::NameUnknown => "NAME_UNKNOWN",
            Code::SizeInvalid => "SIZE_INVALID",
            Code::TagInvalid => "TAG_INVALID",
            Code::Unauthorized => "UNAUTHORIZED",
            Code::Denied => "DENIED",
            Code::Unsupported => "UNSUPPORTED",
            Code::TooManyRequests => "TOOMANYREQUESTS",
            Code::NotFound => "NOT_FOUND",
            Code::Unknown => "UNKNOWN",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Code::BlobUnknown
            | Code::BlobUploadUnknown
            | Code::ManifestUnknown
            | Code::ManifestBlobUnknown
            | Code::NameUnknown
            | Code::NotFound => StatusCode::NOT_FOUND,
            Code::BlobUploadInvalid
            | Code::DigestInvalid
            | Code::ManifestInvalid
            | Code::NameInvalid
            | Code::SizeInvalid
            | Code::TagInvalid => StatusCode::BAD_REQUEST,
            Code::Unauthorized => StatusCode::UNAUTHORIZED,
            Code::Denied => StatusCode::FORBIDDEN,
            Code::Unsupported => StatusCode::METHOD_NOT_ALLOWED,
            Code::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Code::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// A refusal.
#[derive(Debug)]
pub(super) struct Failure {
    code: Code,
    status: StatusCode,
    /// For the client.
    message: String,
    headers: Vec<(HeaderName, String)>,
    /// For the log; empty when there is nothing to log.
    cause: String,
}

#[derive(serde::Serialize)]
struct Errors<'a> {
    errors: [ErrorEntry<'a>; 1],
}

#[derive(serde::Serialize)]
struct ErrorEntry<'a> {
    code: &'a str,
    message: &'a str,
}

impl Failure {
    pub(super) fn new(code: Code, message: impl Into<String>) -> Failure {
        Failure { code, status: code.status(), message: message.into(), headers: Vec::new(), cause: String::new() }
    }

    pub(super) fn with_status(mut self, status: StatusCode) -> Failure {
        self.status = status;
        self
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: impl ToString) -> Failure {
        self.headers.push((name, value.to_string()));
        self
    }

    /// Something on our side; the client learns no more than that.
    fn internal(cause: &dyn std::error::Error) -> Failure {
        let mut text = cause.to_string();
        let mut source = cause.source();
        while let Some(error) = source {
            text.push_str(": ");
            text.push_str(&error.to_string());
            source = error.source();
        }
        Failure { cause: text, ..Failure::new(Code::Unknown, "the registry failed to process the request") }
    }

    #[cfg(test)]
    pub(super) fn code(&self) -> Code {
        self.code
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn cause(&self) -> &str {
        &self.cause
    }

    pub(super) fn reply(self) -> Reply {
        let entry = ErrorEntry { code: self.code.as_str(), message: &self.message };
        let body = serde_json::to_vec(&Errors { errors: [entry] }).expect("two texts are serializable");
        let reply = Reply::new(self.status).json(body);
        self.headers.into_iter().fold(reply, |reply, (name, value)| reply.header(name, value))
    }

    pub(super) fn no_such_path() -> Failure {
        Failure::new(Code::NotFound, "no such endpoint")
    }

    pub(super) fn method_not_allowed(allowed: &str) -> Failure {
        Failure::new(Code::Unsupported, "the operation is unsupported").with_header(header::ALLOW, allowed)
    }

    pub(super) fn upload_unknown() -> Failure {
        Failure::new(Code::BlobUploadUnknown, "blob upload unknown to registry")
    }

    pub(super) fn blob_unknown() -> Failure {
        Failure::new(Code::BlobUnknown, "blob unknown to registry")
    }

    pub(super) fn manifest_unknown() -> Failure {
        Failure::new(Code::ManifestUnknown, "Requested image not found")
    }

    pub(super) fn repository_unknown(repository: &RepositoryId) -> Failure {
        let (name, account) = (&repository.name, repository.scope.account());
        let message = format!("The repository with name '{name}' does not exist in the registry with id '{account}'");
        Failure::new(Code::NameUnknown, message)
    }

    fn missing(repository: &RepositoryId, what: &str, digests: &[Digest]) -> Failure {
        // Enough to act on; a hostile manifest names thousands.
        let listed: Vec<String> = digests.iter().take(20).map(Digest::to_string).collect();
        let message = format!(
            "{what} with digests '[{}]' required for pushing image into repository with name '{}' in the registry with \
             id '{}' do not exist",
            listed.join(", "),
            repository.name,
            repository.scope.account(),
        );
        Failure::new(Code::ManifestBlobUnknown, message)
    }

    pub(super) fn of_upload(error: UploadError, repository: &RepositoryId) -> Failure {
        match error {
            UploadError::RepositoryNotFound => Failure::repository_unknown(repository),
            UploadError::Unknown => Failure::upload_unknown(),
            UploadError::Busy => {
                Failure::new(Code::BlobUploadInvalid, error.to_string()).with_status(StatusCode::CONFLICT)
            }
            UploadError::TooMany => Failure::new(Code::TooManyRequests, error.to_string()),
            UploadError::OutOfOrder { offset } => Failure::new(Code::BlobUploadInvalid, error.to_string())
                .with_status(StatusCode::RANGE_NOT_SATISFIABLE)
                .with_header(header::RANGE, received_range(offset)),
            UploadError::LengthMismatch => Failure::new(Code::SizeInvalid, error.to_string()),
            UploadError::TooLarge { .. } => {
                Failure::new(Code::SizeInvalid, error.to_string()).with_status(StatusCode::PAYLOAD_TOO_LARGE)
            }
            UploadError::DigestMismatch { .. } => Failure::new(Code::DigestInvalid, error.to_string()),
            UploadError::Body(_) => Failure::new(Code::BlobUploadInvalid, error.to_string()),
            UploadError::BodyStalled => {
                Failure::new(Code::BlobUploadInvalid, error.to_string()).with_status(StatusCode::REQUEST_TIMEOUT)
            }
            UploadError::Storage(error) => error.into(),
        }
    }

    pub(super) fn of_put_manifest(error: PutManifestError, repository: &RepositoryId) -> Failure {
        match &error {
            PutManifestError::RepositoryNotFound => Failure::repository_unknown(repository),
            PutManifestError::TooLarge { .. } => {
                Failure::new(Code::SizeInvalid, error.to_string()).with_status(StatusCode::PAYLOAD_TOO_LARGE)
            }
            PutManifestError::DigestMismatch { .. } => Failure::new(Code::DigestInvalid, error.to_string()),
            PutManifestError::Invalid(_) | PutManifestError::SizeMismatch { .. } => {
                Failure::new(Code::ManifestInvalid, error.to_string())
            }
            PutManifestError::LayersNotFound { digests } => Failure::missing(repository, "Layers", digests),
            PutManifestError::ImagesNotFound { digests } => Failure::missing(repository, "Images", digests),
            PutManifestError::Catalogue(PutImageError::TagImmutable { tag }) => Failure::new(
                Code::TagInvalid,
                format!(
                    "The image tag '{tag}' already exists in the '{}' repository and cannot be overwritten because the \
                     repository is immutable.",
                    repository.name,
                ),
            ),
            PutManifestError::Catalogue(PutImageError::Refused { message }) => {
                Failure::new(Code::ManifestInvalid, message.clone())
            }
            PutManifestError::Catalogue(error) => Failure::internal(error),
            PutManifestError::Storage(_) => match error {
                PutManifestError::Storage(error) => error.into(),
                _ => unreachable!("matched just above"),
            },
        }
    }

    pub(super) fn of_delete(error: DeleteImageError, repository: &RepositoryId) -> Failure {
        match error {
            DeleteImageError::RepositoryNotFound => Failure::repository_unknown(repository),
            DeleteImageError::ImageNotFound => Failure::manifest_unknown(),
            DeleteImageError::Referenced { .. } => Failure::new(Code::Denied, error.to_string()),
            DeleteImageError::Refused { message } => Failure::new(Code::Denied, message),
            DeleteImageError::Unavailable(_) => Failure::internal(&error),
        }
    }

    /// A manifest's body that did not arrive; `End::Whole` is not one.
    pub(super) fn of_manifest_body(end: End, bytes_max: usize) -> Failure {
        match end {
            End::TooLong => Failure::new(Code::SizeInvalid, format!("the manifest is larger than {bytes_max} bytes"))
                .with_status(StatusCode::PAYLOAD_TOO_LARGE),
            End::Stalled => {
                Failure::new(Code::ManifestInvalid, "the request body stalled").with_status(StatusCode::REQUEST_TIMEOUT)
            }
            End::Whole | End::Broken(_) => Failure::new(Code::ManifestInvalid, "the request body ended early"),
        }
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Failure {
        if error.is_full() {
            let failure = match error.shortage() {
                // It was logged where it was found.
                Some(shortage) => Failure::new(Code::Unknown, format!("the registry's disk is full: {shortage}")),
                None => Failure { message: "the registry's disk is full".to_owned(), ..Failure::internal(&error) },
            };
            return failure.with_status(StatusCode::INSUFFICIENT_STORAGE);
        }
        Failure::internal(&error)
    }
}

/// The `Range` of an upload with `offset` bytes. There is no way to write an empty one; `0-0` is what clients expect.
pub(super) fn received_range(offset: u64) -> String {
    format!("0-{}", offset.saturating_sub(1))
}

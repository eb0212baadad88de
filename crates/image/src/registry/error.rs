//! Why a pull or push failed, in the words that ECS puts after `CannotPullContainerError: `.

use crate::digest::Digest;
use crate::manifest::ManifestError;
use crate::reference::{ImageRef, ParseReferenceError};
use crate::registry::Cause;
use crate::store::StoreError;
use crate::unpack::UnpackError;

/// A failed pull. `Display` is the whole message; the agent only puts its error code before it.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    #[error(transparent)]
    Reference(#[from] ParseReferenceError),
    #[error(
        "pull image manifest has been retried {attempts} time(s): failed to resolve ref {reference}: {}",
        about(reference, cause)
    )]
    Resolve { attempts: u32, reference: Box<ImageRef>, cause: Cause },
    #[error("pull image manifest has been retried 1 time(s): {source}")]
    Manifest { reference: Box<ImageRef>, source: ManifestError },
    #[error("pull image manifest has been retried 1 time(s): invalid image {reference}: {why}")]
    Invalid { reference: Box<ImageRef>, why: String },
    #[error(
        "ref pull has been retried {attempts} time(s): failed to copy: httpReadSeeker: failed open: {}{cause}",
        blob_prefix(digest, cause)
    )]
    Blob { attempts: u32, digest: Digest, cause: Cause },
    #[error("ref pull has been retried 1 time(s): failed to extract layer {digest}: {source}")]
    Unpack { digest: Digest, source: UnpackError },
    #[error("ref pull has been retried 1 time(s): {0}")]
    Store(#[from] StoreError),
}

/// What kind of failure it was, for the error code of the task and for decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullErrorKind {
    /// Image, tag or blob does not exist.
    NotFound,
    /// Credentials are missing or do not suffice.
    Auth,
    /// The registry cannot be reached: refused, no such host, TLS, broken connection, 5xx.
    Unreachable,
    Timeout,
    RateLimited,
    /// The reference or the image itself is not acceptable; another try cannot help.
    Invalid,
    DiskFull,
    /// This machine failed.
    Internal,
}

impl PullError {
    /// What kind of failure it was.
    pub fn kind(&self) -> PullErrorKind {
        use PullErrorKind as K;
        match self {
            Self::Reference(_) | Self::Manifest { .. } | Self::Invalid { .. } => K::Invalid,
            Self::Resolve { cause, .. } | Self::Blob { cause, .. } => match cause {
                Cause::NotFound => K::NotFound,
                Cause::Denied(_) => K::Auth,
                Cause::RateLimited(_) => K::RateLimited,
                Cause::Timeout(_) => K::Timeout,
                Cause::Refused(_) | Cause::NoHost(_) | Cause::Tls(_) | Cause::Broken(_) | Cause::Unavailable { .. } => {
                    K::Unreachable
                }
                Cause::Rejected(_) | Cause::Mismatch(_) => K::Invalid,
            },
            Self::Unpack { source, .. } if source.is_disk_full() => K::DiskFull,
            Self::Unpack { source: UnpackError::Write { .. }, .. } => K::Internal,
            Self::Unpack { .. } => K::Invalid,
            Self::Store(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::StorageFull => {
                K::DiskFull
            }
            Self::Store(_) => K::Internal,
        }
    }
}

/// containerd repeats the reference before "not found".
fn about(reference: &ImageRef, cause: &Cause) -> String {
    match cause {
        Cause::NotFound => format!("{reference}: {cause}"),
        _ => cause.to_string(),
    }
}

fn blob_prefix(digest: &Digest, cause: &Cause) -> String {
    match cause {
        Cause::NotFound => format!("content at {digest} "),
        _ => String::new(),
    }
}

/// A failed push.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    #[error(transparent)]
    Reference(#[from] ParseReferenceError),
    #[error("cannot push {reference}: {cause}")]
    Registry { reference: Box<ImageRef>, cause: Cause },
    #[error("cannot push {reference}: layer {digest} is no longer in the store")]
    NoBlob { reference: Box<ImageRef>, digest: Digest },
    #[error(transparent)]
    Store(#[from] StoreError),
}

//! OCI distribution registry (specification 1.1) with ECR's manners.
//!
//! The crate serves `/v2/` and keeps bytes; what repositories, images and tags there are, and who may touch them, is
//! the [`Catalogue`]'s to say, which the caller implements over its store. A request passes through
//! `serve` (HTTP), [`Registry`] (one method an operation, used by the ECR API's handlers, too), and then `uploads`
//! and `blobs` (files). `gc` takes away what no image refers to.
//!
//! It knows no AWS shapes, no store and no signatures, and starts no task of its own but threads for file operations.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod blobs;
mod body;
mod catalogue;
mod digest;
#[doc(hidden)]
pub mod fuzzing;
mod gc;
mod manifest;
pub mod memory;
mod name;
mod put_manifest;
mod range;
mod registry;
mod room;
mod serve;
mod storage;
mod uploads;

pub use body::Body;
pub use catalogue::{
    AccessRequest, Action, Answer, Catalogue, DeleteImageError, Denied, Direction, Grant, Image, ImageRecord,
    PutImageError, PutImageOutcome,
};
pub use digest::{Digest, DigestError};
pub use gc::GcReport;
pub use manifest::{Descriptor, Manifest, ManifestError, ManifestType};
pub use name::{NameError, Reference, RepositoryId, RepositoryName, Scope, Tag};
pub use put_manifest::{ManifestPut, PutManifest, PutManifestError};
pub use registry::{Limits, OpenError, Registry, StoredManifest};
pub use room::{KeptFree, Shortage};
pub use serve::basic_credentials;
pub use storage::StorageError;
pub use uploads::{UploadError, UploadId};

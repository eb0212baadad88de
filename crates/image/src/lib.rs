//! The node's images: content store, pull, push, import, unpack, snapshots, Dockerfile builds.
//!
//! ```text
//!          registry ──pull──►┌────────────┐──► Image { config, layers } ──► the supervisor's overlay mount
//!  docker save archive ─import►│ ImageStore │──► create_writable(name) ─────► upper, work
//!   Dockerfile + context ─build►└────────────┘──push──► registry
//! ```
//! [`ImageStore`] is the one handle. It is opened once a process; several processes may use the same directory.
//! [`ImageStore::resolve`] is the warm path of a task start and takes microseconds; [`ImageStore::pull`] is the cold one.
//!
//! What is foreign (archives, manifests, Dockerfiles) is parsed here and bounded by [`Limits`]; what leaves this crate is
//! verified. It knows nothing of tasks, and it never mounts: whoever runs something mounts the overlay itself, from
//! [`Image::lower_dirs`] and [`Writable`].

pub mod build;
mod config;
mod digest;
#[doc(hidden)]
pub mod fuzzing;
mod image;
mod import;
mod ingest;
mod limits;
mod manifest;
mod pack;
mod reference;
mod registry;
mod stack;
mod store;
mod tree;
mod unpack;

pub use config::{Healthcheck, History, ImageConfig};
pub use digest::{ChainId, Digest, ImageId, ParseDigestError};
pub use image::{Image, LowerDirs, MOUNT_OPTIONS_MAX};
pub use import::{ImportError, Imported, open_archive};
pub use limits::Limits;
pub use manifest::{ManifestError, Platform};
pub use reference::{ImageRef, ParseReferenceError};
pub use registry::{
    Auth, Cause, Endpoint, EndpointError, Progress, ProgressFn, PullError, PullErrorKind, PullOptions, PushError,
    PushOptions, Source, Sources,
};
pub use store::{
    CleanupPolicy, Disk, GcReport, ImageStore, ImageSummary, RetryPolicy, StoreError, StoreOptions, Writable,
};
pub use tree::remove_tree;
pub use unpack::{UnpackError, Unpacked, unpack};

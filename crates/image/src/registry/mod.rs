//! Talking to registries: pull and push.
//!
//! ```text
//! pull ── manifest ── configuration ─┬─ layer 0: download ──chunks──► thread: hash, store, decompress, unpack ─► commit
//!                                    ├─ layer 1: …                                                      (bottom first)
//!                                    └─ …
//! ```
//! `oci-client` speaks the protocol and streams blobs; retries, resumption, verification and storage are ours.

mod cause;
mod client;
mod error;
mod feed;
mod pull;
mod push;
mod source;

pub use cause::Cause;
pub(crate) use client::Clients;
pub(crate) use client::provide_cryptography;
pub use client::{Auth, Endpoint, EndpointError};
pub use error::{PullError, PullErrorKind, PushError};
pub(crate) use pull::blocking;
pub use pull::{Progress, ProgressFn, PullOptions};
pub use push::PushOptions;
pub use source::{Source, Sources};

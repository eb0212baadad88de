//! What tests and developer commands drive Longshore with: an instance of its own, the AWS CLI, bare HTTP, the sample
//! application, and a look at what is left behind. Everything goes through the front door; nothing links the server.

pub mod api;
pub mod aws;
pub mod calls;
pub mod http;
pub mod instance;
pub mod leftovers;
pub mod random;
pub mod sample;
pub mod service;
pub mod wait;
pub mod websocket;

use std::path::{Path, PathBuf};

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies in the repository").to_owned()
}

/// Where cargo puts what it builds.
pub fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

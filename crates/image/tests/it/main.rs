//! Tests of the whole crate against real files, real mounts and a registry in this process. They need root, and no network.

mod build;
mod cleanup;
mod escape;
mod import;
mod overlay;
mod pull;
mod push;
mod registry;
mod support;
mod tree;

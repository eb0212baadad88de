//! The balancer over loopback and in network namespaces, with in-process targets.

#![allow(clippy::unwrap_used, reason = "a test's panic is its report")]

mod backend;
mod bodies;
mod client;
mod framing;
mod health;
mod link;
mod namespace;
mod rig;
mod routing;
mod swap;
mod timeouts;
mod upgrade;

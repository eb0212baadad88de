//! The balancer over loopback and in network namespaces, with in-process targets.

#![allow(clippy::unwrap_used, reason = "a test's panic is its report")]

mod abuse;
mod backend;
mod bodies;
mod client;
mod desync;
mod framing;
mod health;
mod http2;
mod idp;
mod jwt;
mod link;
mod logs;
mod namespace;
mod oidc;
mod rig;
mod routing;
mod secure;
mod swap;
mod timeouts;
mod tls;
mod upgrade;

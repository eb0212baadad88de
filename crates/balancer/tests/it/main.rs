//! The balancer over loopback and in network namespaces, with in-process targets.

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

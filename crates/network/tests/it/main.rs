//! Real namespaces, links and rules. Needs root, `nft` and `ip`. Each test has a network namespace as its host, so that
//! nothing of the machine's own network is touched and tests run side by side.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod acls;
mod egress;
mod groups;
mod lab;
mod lifecycle;
mod routes;
mod services;
mod speed;

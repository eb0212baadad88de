//! Real containers: needs root, cgroups and overlayfs. Each test makes its own task and leaves nothing behind, which the
//! harness checks.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says where it failed")]

mod dependencies;
mod escapes;
mod exec;
mod harness;
mod health;
mod lifecycle;
mod logs;
mod measure;
mod resources;
mod runtimes;
mod security;
mod sharing;
mod supervisor;
mod users;

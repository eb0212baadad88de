//! Runs the containers of one task: `longshore task`.
//!
//! One supervisor process per task ([`supervisor`]) is the parent of all of the task's containers and outlives the
//! agent that started it. It owns the task's mount and network namespaces, its cgroups, its log pipes and its health
//! checks, and tells whoever connects to `<dir>/control.sock` what happens ([`protocol`]). What to run is a file,
//! `<dir>/spec.json` ([`spec`]). The containers are made by an embedded OCI runtime or by an external one ([`engine`]).
//!
//! ```text
//!   agent ──spec.json, control.sock──▶ supervisor ──fork──▶ builder ──clone(parent)──▶ container init
//!                                       │  poll loop         (libcontainer, short-lived)  child of the supervisor
//!                                       └─ cgroup · rootfs · seccomp · capability
//! ```
//!
//! The crate lacks on purpose: threads and tokio (a clone without exec is only sound in a single-threaded process),
//! network set-up, images, and any AWS shape.

pub mod capability;
pub mod cgroup;
pub mod cleanup;
pub mod engine;
#[doc(hidden)]
pub mod fuzzing;
pub mod protocol;
pub mod rootfs;
pub mod seccomp;
pub mod spec;
pub mod supervisor;
mod sys;
pub mod users;

pub use cleanup::{Lease, cleanup};

/// The error with its causes, in one line: these texts go to a person. Some layers repeat the text of the one below.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}

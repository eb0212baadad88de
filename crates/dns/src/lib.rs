//! VPC resolver: answers from a given set of names, forwards the rest.
//!
//! - [`DnsConfig`] is the whole set of names of a VPC, with a generation; [`Names`] is it, ready to be asked.
//! - [`decide`] is the resolver as a pure function: a question in, an answer or "forward" out.
//! - [`run`] is the rest: sockets, upstream servers, limits. One call serves one VPC.
//!
//! It opens no socket in a VPC and knows nothing of namespaces: the caller hands over sockets it opened there.
//! The sockets to the upstream servers are opened here, and so in the namespace of the runtime's threads.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod answer;
mod config;
mod forward;
mod server;
mod shares;
mod wire;
mod zone;

pub use answer::{Decision, decide};

/// What the fuzz targets reach and nobody else needs.
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::forward::{question, read_reply, relay};
    pub use crate::wire::{read_query, udp_limit, write};
}
pub use config::{Block, DnsConfig, Host};
pub use server::{Sockets, run};
pub use zone::{BadName, Found, Names};

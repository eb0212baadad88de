//! Revisioned, transactional, watched, durable tables.
//!
//! All rows live in memory in ordered maps with indexes, so reads never touch the disk; every change is on disk before
//! anyone learns of it. The pieces, from the bottom:
//!
//! - [`Key`]: order-preserving bytes. `map`: the map whose versions share structure.
//! - [`Table`], [`Index`]: what a table is; [`tables`] lists Longshore's.
//! - [`Snapshot`]: all tables at one revision. [`Tx`]: a snapshot being changed.
//! - `writer`: one thread that runs transactions and commits them in batches to an [`engine`].
//! - [`Watcher`], [`Changes`]: who wants to know.
//!
//! Left out on purpose: clocks and ids (callers hand them in), AWS shapes, and any lock a caller could hold.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "in a test a panic is the report"))]

mod change_log;
pub mod engine;
mod error;
mod key;
mod map;
mod snapshot;
mod store;
mod table;
pub mod tables;
#[cfg(test)]
mod testing;
mod tx;
mod watch;
mod writer;

pub use change_log::Changes;
pub use error::{Exists, StoreError};
pub use key::{Key, KeyError, PrefixOf, encode_str};
pub use snapshot::{Schema, Snapshot};
pub use store::{Answer, Stepper, Store};
pub use table::{Index, IndexDef, Rows, Table, TableView};
pub use tx::{TableMut, Tx};
pub use watch::{Wake, Watcher};

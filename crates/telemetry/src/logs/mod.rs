//! Log events: append, read, filter, tail, prune.
//!
//! ```text
//! append ─▶ writer ─▶ wal-00000007.log     arrival order, one fsync for all callers of a batch
//!                         │ when large
//!                       keeper ─▶ seg-00000007-0.log   the same events sorted by stream and time, with a footer
//!                         └────── rewrites a segment that is mostly deleted, removes one that is
//! get, filter ─▶ index (which blocks, in memory) ─▶ merge (events of blocks, by time) ─▶ pattern
//! ```
//! A block is a run of events of one stream. In a log file under way it is one `append`; sorted, it is up to 64 KiB, and
//! the index keeps 48 bytes for it: a million events of 100 bytes take some 80 KB of memory once sorted.
//!
//! Every event has a sequence number, given in order of arrival. Time and sequence together order events, name them
//! ([`EventId`]) and mark places between them ([`Position`]), so all three survive restarts and sorting.

mod codec;
mod error;
mod event;
mod file;
mod floor;
mod index;
mod keeper;
mod merge;
pub mod pattern;
mod query;
mod recover;
mod state;
mod store;
mod watch;
mod writer;

pub use error::LogError;
pub use event::{Event, EventId, Position, StoredEvent};
pub use query::{FilterPage, FilterRequest, GetRequest, Page, Start, Streams};
pub use store::{LogStore, Options};
pub use watch::LogWatcher;

pub use index::StreamStats;

//! Where the tables are durable.
//!
//! An engine is a dumb, safe shelf: it gives back everything once, at start, and then takes batches of changed rows.
//! Types, indexes, transactions and watches live above it.

pub(crate) mod file;
mod memory;
mod redb;
mod reserve;

pub use self::memory::{Failure, MemoryEngine};
pub use self::redb::RedbEngine;

use crate::StoreError;
use std::fmt;
use std::path::PathBuf;

/// Durable storage of rows as bytes. Used by one thread.
pub trait Engine: Send + 'static {
    /// What is known besides the rows. Asked first, once.
    fn meta(&mut self) -> Result<Meta, StoreError>;

    /// Calls `row` with table, key and value of each row stored, keys ascending within a table. Asked once.
    fn load(&mut self, row: &mut RowVisitor<'_>) -> Result<(), StoreError>;

    /// Makes a batch durable, all of it or nothing. After an error either may be the case; the store writes the rows in
    /// doubt again with the next batch.
    fn commit(&mut self, batch: &Batch<'_>) -> Result<(), StoreError>;

    /// Whether nobody can say any more what is stored: the next batch must be whole.
    fn is_doubtful(&self) -> bool {
        false
    }

    /// The disk, while it is full and the engine lives on a reserve. Asked now and then: it is what ends that state.
    fn full_disk(&mut self) -> Option<FullDisk> {
        None
    }
}

/// A disk on which nothing but a reserve is left. What needs room is to wait; what gives room back goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FullDisk {
    pub directory: PathBuf,
    /// What must be free there for this to end.
    pub wanted_bytes: u64,
}

impl fmt::Display for FullDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (directory, wanted) = (self.directory.display(), self.wanted_bytes >> 20);
        write!(f, "the disk is full: nothing new is stored until {wanted} MiB are free in {directory}")
    }
}

/// Receives table, key and value.
pub type RowVisitor<'a> = dyn FnMut(&str, &[u8], &[u8]) -> Result<(), StoreError> + 'a;

/// What an engine knows besides the rows.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Meta {
    /// The last committed revision; 0 for a new store.
    pub revision: u64,
    /// Version of the rows of each table that was ever written.
    pub versions: Vec<(String, u32)>,
}

/// Changes that become durable together.
#[derive(Debug, Default)]
pub struct Batch<'a> {
    /// The store's revision once this batch is in.
    pub revision: u64,
    /// Those of one table follow each other, sorted by key.
    pub changes: Vec<RowChange<'a>>,
    /// Tables whose rows are from now on in this version.
    pub versions: Vec<(&'a str, u32)>,
    /// It has every row and every version there is; whatever else is stored goes.
    pub whole: bool,
}

/// One row of a batch.
#[derive(Debug)]
pub struct RowChange<'a> {
    pub table: &'a str,
    pub key: std::sync::Arc<[u8]>,
    /// The new stored form; `None` removes the row.
    pub value: Option<Vec<u8>>,
}

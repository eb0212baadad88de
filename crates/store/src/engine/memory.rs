//! An engine for tests and simulations: a map that can be made to fail.

use super::{Batch, Engine, FullDisk, Meta, RowVisitor};
use crate::StoreError;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Keeps rows in memory. Clones share them, so a second store opened from a clone sees what the first made durable.
#[derive(Clone, Default)]
pub struct MemoryEngine(Arc<Mutex<Memory>>);

#[derive(Default)]
struct Memory {
    rows: BTreeMap<(String, Vec<u8>), Vec<u8>>,
    meta: Meta,
    failure: Failure,
    commits: u64,
    full: bool,
}

/// How the next commits end.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    #[default]
    None,
    /// Nothing is kept.
    Lost,
    /// The batch is kept, and an error is returned: a disk that fails after the write.
    KeptButReported,
}

impl MemoryEngine {
    pub fn new() -> Self {
        Self::default()
    }

    /// Decides how commits end from now on.
    pub fn fail(&self, failure: Failure) {
        self.lock().failure = failure;
    }

    /// Says from now on that it lives on a reserve, or does not. Stores learn of it with the next batch.
    pub fn fill(&self, full: bool) {
        self.lock().full = full;
    }

    /// Number of batches committed so far.
    pub fn commits(&self) -> u64 {
        self.lock().commits
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine for MemoryEngine {
    fn full_disk(&mut self) -> Option<FullDisk> {
        self.lock().full.then(|| FullDisk { directory: PathBuf::from("(memory)"), wanted_bytes: 1 << 20 })
    }

    fn meta(&mut self) -> Result<Meta, StoreError> {
        Ok(self.lock().meta.clone())
    }

    fn load(&mut self, row: &mut RowVisitor<'_>) -> Result<(), StoreError> {
        for ((table, key), value) in &self.lock().rows {
            row(table, key, value)?;
        }
        Ok(())
    }

    fn commit(&mut self, batch: &Batch<'_>) -> Result<(), StoreError> {
        let mut memory = self.lock();
        if memory.failure != Failure::Lost {
            memory.commits += 1;
            if batch.whole {
                memory.rows.clear();
                memory.meta.versions.clear();
            }
            memory.meta.revision = batch.revision;
            for (table, version) in &batch.versions {
                memory.meta.versions.retain(|(name, _)| name != table);
                memory.meta.versions.push(((*table).to_owned(), *version));
            }
            for change in &batch.changes {
                let id = (change.table.to_owned(), change.key.to_vec());
                match &change.value {
                    Some(value) => memory.rows.insert(id, value.clone()),
                    None => memory.rows.remove(&id),
                };
            }
        }
        match memory.failure {
            Failure::None => Ok(()),
            Failure::Lost | Failure::KeptButReported => Err(StoreError::Io {
                action: "write",
                path: PathBuf::from("(memory)"),
                source: Arc::new(std::io::Error::from(std::io::ErrorKind::StorageFull)),
            }),
        }
    }
}

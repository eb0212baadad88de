//! A transaction: reads that see its own writes, and the writes.

use crate::error::{Exists, StoreError};
use crate::key::Key;
use crate::map::Bytes;
use crate::snapshot::Snapshot;
use crate::table::{Table, TableView};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::Arc;

/// The state a transaction reads and changes. It dereferences to [`Snapshot`], so a function over `&Snapshot` reads a
/// transaction's own writes when it is called with `&tx`.
///
/// Undoing is not code that could be wrong: the snapshot from before the transaction is kept, and put back.
pub struct Tx {
    snapshot: Snapshot,
    /// Table position and key of what this transaction wrote.
    written: BTreeSet<RowId>,
}

/// Table position and encoded key.
pub(crate) type RowId = (usize, Bytes);
/// Stored form of changed rows; `None` for a removed row.
pub(crate) type Changes = BTreeMap<RowId, Option<Vec<u8>>>;

impl Deref for Tx {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.snapshot
    }
}

impl Tx {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        Self { snapshot, written: BTreeSet::new() }
    }

    /// The revision this transaction's changes will have. It grows with every transaction that changes something.
    pub fn next_revision(&self) -> u64 {
        self.snapshot.revision() + 1
    }

    /// A version of what the transaction sees now, that later writes do not change: to iterate over while writing.
    pub fn snapshot(&self) -> Snapshot {
        self.snapshot.clone()
    }

    /// One table, to read and write.
    pub fn table_mut<T: Table>(&mut self) -> TableMut<'_, T> {
        let position = self.snapshot.position::<T>();
        TableMut { view: self.snapshot.table_mut(), position, written: &mut self.written }
    }

    /// Ends the transaction: the changed rows in their stored form, and the new state.
    pub(crate) fn finish(mut self) -> Result<(Snapshot, Changes), StoreError> {
        let mut changes = Changes::new();
        if self.written.is_empty() {
            return Ok((self.snapshot, changes));
        }
        let revision = self.next_revision();
        for row_id in self.written {
            self.snapshot.any_mut(row_id.0).set_changed_at(revision);
            let value = self.snapshot.tables()[row_id.0].encode(&row_id.1)?;
            changes.insert(row_id, value);
        }
        self.snapshot.set_revision(revision);
        Ok((self.snapshot, changes))
    }
}

/// One table inside a transaction. Reads come from [`TableView`].
pub struct TableMut<'a, T: Table> {
    view: &'a mut TableView<T>,
    position: usize,
    written: &'a mut BTreeSet<RowId>,
}

impl<T: Table> Deref for TableMut<'_, T> {
    type Target = TableView<T>;

    fn deref(&self) -> &TableView<T> {
        self.view
    }
}

impl<T: Table> TableMut<'_, T> {
    /// Adds a row; an error when the key is taken.
    pub fn insert(&mut self, key: T::Key, row: T::Row) -> Result<(), Exists> {
        if self.view.contains(&key) {
            return Err(Exists { table: T::NAME });
        }
        self.write(&key, Some(Arc::new(row)));
        Ok(())
    }

    /// Sets a row and returns the one that was there.
    pub fn put(&mut self, key: T::Key, row: T::Row) -> Option<Arc<T::Row>> {
        match self.view.get(&key) {
            Some(old) if *old == row => Some(old),
            _ => self.write(&key, Some(Arc::new(row))),
        }
    }

    /// Changes the row at `key` in place and returns what `change` returns; `None` when there is no such row.
    pub fn update<R>(&mut self, key: &T::Key, change: impl FnOnce(&mut T::Row) -> R) -> Option<R> {
        let old = self.view.get(key)?;
        let mut row = T::Row::clone(&old);
        let result = change(&mut row);
        if *old != row {
            self.write(key, Some(Arc::new(row)));
        }
        Some(result)
    }

    /// Removes a row and returns it.
    pub fn remove(&mut self, key: &T::Key) -> Option<Arc<T::Row>> {
        if !self.view.contains(key) {
            return None;
        }
        self.write(key, None)
    }

    fn write(&mut self, key: &T::Key, row: Option<Arc<T::Row>>) -> Option<Arc<T::Row>> {
        let key_bytes = Bytes::from(key.to_bytes());
        let old = self.view.replace(key, &key_bytes, row);
        self.written.insert((self.position, key_bytes));
        old
    }
}

//! A table: typed rows in key order, and its indexes.

use crate::error::StoreError;
use crate::key::{Key, PrefixOf};
use crate::map::{Bytes, Iter, Map, prefix_end};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::Any;
use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

/// What a table holds. Declared with [`tables!`](crate::tables) or by hand; the type itself has no values.
pub trait Table: Sized + Send + Sync + 'static {
    /// The name on disk. It never changes.
    const NAME: &'static str;
    /// Version of the row's stored form; a change that old rows cannot be read with raises it and extends `upgrade`.
    const VERSION: u32 = 1;
    type Key: Key;
    /// Writing a row equal to the stored one is no change: it is not committed and wakes nobody.
    type Row: Serialize + DeserializeOwned + Clone + PartialEq + Send + Sync + 'static;

    /// The table's indexes, each listed once: `vec![Self::BY_CLUSTER.def()]`.
    fn indexes() -> Vec<IndexDef<Self>> {
        Vec::new()
    }

    /// Turns a row stored in version `from` into the current form.
    fn upgrade(_from: u32, row: serde_json::Value) -> serde_json::Value {
        row
    }
}

/// A way to find the rows of `T` by keys of type `K` computed from each row: none, one or several.
pub struct Index<T: Table, K: Key> {
    name: &'static str,
    keys: fn(&T::Key, &T::Row) -> Vec<K>,
}

impl<T: Table, K: Key> Index<T, K> {
    /// `name` is unique in its table. `keys` depends on nothing but its arguments.
    pub const fn new(name: &'static str, keys: fn(&T::Key, &T::Row) -> Vec<K>) -> Self {
        Self { name, keys }
    }

    /// The form for [`Table::indexes`].
    pub fn def(&self) -> IndexDef<T> {
        let keys = self.keys;
        IndexDef { name: self.name, keys: Arc::new(move |key, row| keys(key, row).iter().map(Key::to_bytes).collect()) }
    }
}

type IndexFn<T> = dyn Fn(&<T as Table>::Key, &<T as Table>::Row) -> Vec<Vec<u8>> + Send + Sync;

/// An [`Index`] whose key type is forgotten.
pub struct IndexDef<T: Table> {
    name: &'static str,
    keys: Arc<IndexFn<T>>,
}

impl<T: Table> Clone for IndexDef<T> {
    fn clone(&self) -> Self {
        Self { name: self.name, keys: Arc::clone(&self.keys) }
    }
}

/// A row whose type is forgotten, so that one map implementation serves all tables.
pub(crate) type AnyRow = Arc<dyn Any + Send + Sync>;

/// One version of a table: what a snapshot shows, or what a transaction sees with its own writes.
pub struct TableView<T: Table> {
    rows: Map<AnyRow>,
    /// Each maps index key followed by row key to the row.
    indexes: Vec<(IndexDef<T>, Map<AnyRow>)>,
    changed_at: u64,
}

impl<T: Table> Clone for TableView<T> {
    fn clone(&self) -> Self {
        Self { rows: self.rows.clone(), indexes: self.indexes.clone(), changed_at: self.changed_at }
    }
}

impl<T: Table> TableView<T> {
    pub(crate) fn new() -> Self {
        let indexes = T::indexes().into_iter().map(|def| (def, Map::default())).collect();
        Self { rows: Map::default(), indexes, changed_at: 0 }
    }

    /// Revision of the last change to this table; 0 for none since the store was opened.
    pub fn changed_at(&self) -> u64 {
        self.changed_at
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get(&self, key: &T::Key) -> Option<Arc<T::Row>> {
        self.rows.get(&key.to_bytes()).map(typed::<T>)
    }

    pub fn contains(&self, key: &T::Key) -> bool {
        self.rows.get(&key.to_bytes()).is_some()
    }

    /// All rows in key order.
    pub fn all(&self) -> Rows<'_, T> {
        Rows::new(self.rows.range(&[], None), 0)
    }

    /// Rows whose key lies in `bounds`, in key order: `range((Excluded(last), Unbounded))` is the next page.
    pub fn range(&self, bounds: impl RangeBounds<T::Key>) -> Rows<'_, T> {
        let from = match bounds.start_bound() {
            Bound::Unbounded => Vec::new(),
            Bound::Included(key) => key.to_bytes(),
            Bound::Excluded(key) => after(key.to_bytes()),
        };
        let end = match bounds.end_bound() {
            Bound::Unbounded => None,
            Bound::Included(key) => Some(after(key.to_bytes())),
            Bound::Excluded(key) => Some(key.to_bytes()),
        };
        Rows::new(self.rows.range(&from, end), 0)
    }

    /// Rows whose key starts with `prefix`, in key order.
    pub fn prefix(&self, prefix: &impl PrefixOf<T::Key>) -> Rows<'_, T> {
        let prefix = prefix.to_bytes();
        Rows::new(self.rows.range(&prefix, prefix_end(&prefix)), 0)
    }

    /// Like [`prefix`](Self::prefix), but from the first key greater than `after`: the next page of a list.
    pub fn prefix_after(&self, prefix: &impl PrefixOf<T::Key>, after_key: &T::Key) -> Rows<'_, T> {
        let prefix = prefix.to_bytes();
        let from = after(after_key.to_bytes()).max(prefix.clone());
        Rows::new(self.rows.range(&from, prefix_end(&prefix)), 0)
    }

    /// The row with the greatest key that starts with `prefix`, e.g. the latest revision of a family.
    pub fn last(&self, prefix: &impl PrefixOf<T::Key>) -> Option<(T::Key, Arc<T::Row>)> {
        let prefix = prefix.to_bytes();
        let (key, row) = self.rows.last_below(prefix_end(&prefix).as_deref())?;
        key.starts_with(&prefix).then(|| (decode_own::<T>(key), typed::<T>(row)))
    }

    /// Rows that have `key` in `index`, in order of their own key.
    pub fn by_index<K: Key>(&self, index: &Index<T, K>, key: &K) -> Rows<'_, T> {
        let prefix = key.to_bytes();
        Rows::new(self.index(index.name).range(&prefix, prefix_end(&prefix)), prefix.len())
    }

    /// The first row that has `key` in `index`: for indexes that are unique by the writers' rules.
    pub fn find<K: Key>(&self, index: &Index<T, K>, key: &K) -> Option<Arc<T::Row>> {
        self.by_index(index, key).next()
    }

    fn index(&self, name: &'static str) -> &Map<AnyRow> {
        let found = self.indexes.iter().find(|(def, _)| def.name == name);
        &found.expect("an index that is used is listed in `Table::indexes`").1
    }

    /// Sets or removes a row and keeps the indexes in step. Returns the row that was there.
    pub(crate) fn replace(&mut self, key: &T::Key, key_bytes: &Bytes, row: Option<Arc<T::Row>>) -> Option<Arc<T::Row>> {
        let old = match &row {
            Some(row) => self.rows.insert(Arc::clone(key_bytes), Arc::clone(row) as AnyRow),
            None => self.rows.remove(key_bytes),
        };
        let old = old.as_ref().map(typed::<T>);
        for (def, map) in &mut self.indexes {
            let entry = |index_key: Vec<u8>| [&index_key[..], key_bytes].concat();
            if let Some(old) = &old {
                for index_key in (def.keys)(key, old) {
                    map.remove(&entry(index_key));
                }
            }
            if let Some(row) = &row {
                for index_key in (def.keys)(key, row) {
                    map.insert(Bytes::from(entry(index_key)), Arc::clone(row) as AnyRow);
                }
            }
        }
        old
    }
}

/// The smallest byte string greater than `key`.
fn after(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

fn typed<T: Table>(row: &AnyRow) -> Arc<T::Row> {
    Arc::clone(row).downcast().expect("a table's map holds rows of its own type")
}

fn decode_own<T: Table>(key: &[u8]) -> T::Key {
    T::Key::from_bytes(key).expect("keys in memory were encoded, or checked when loaded")
}

/// Rows of a [`TableView`] in order; [`entries`](Self::entries) gives the keys too.
pub struct Rows<'a, T: Table> {
    iter: Iter<'a, AnyRow>,
    /// Bytes before the row's own key: the length of the index key.
    key_offset: usize,
    table: PhantomData<T>,
}

impl<'a, T: Table> Rows<'a, T> {
    fn new(iter: Iter<'a, AnyRow>, key_offset: usize) -> Self {
        Self { iter, key_offset, table: PhantomData }
    }

    pub fn entries(self) -> impl Iterator<Item = (T::Key, Arc<T::Row>)> + 'a {
        let offset = self.key_offset;
        self.iter.map(move |(key, row)| (decode_own::<T>(&key[offset..]), typed::<T>(row)))
    }

    pub fn keys(self) -> impl Iterator<Item = T::Key> + 'a {
        let offset = self.key_offset;
        self.iter.map(move |(key, _)| decode_own::<T>(&key[offset..]))
    }
}

impl<T: Table> Iterator for Rows<'_, T> {
    type Item = Arc<T::Row>;

    fn next(&mut self) -> Option<Self::Item> {
        self.iter.next().map(|(_, row)| typed::<T>(row))
    }
}

/// A table whose types are forgotten, for the writer.
pub(crate) trait AnyTable: Send + Sync {
    fn name(&self) -> &'static str;
    fn version(&self) -> u32;
    fn changed_at(&self) -> u64;
    fn set_changed_at(&mut self, revision: u64);
    fn fork(&self) -> Arc<dyn AnyTable>;
    fn as_any(&self) -> &dyn Any;
    fn as_any_mut(&mut self) -> &mut dyn Any;
    /// Stored form of the row at `key`; `None` when there is none.
    fn encode(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;
    /// Adds a row read from disk, written in `version`.
    fn load(&mut self, key: &[u8], value: &[u8], version: u32) -> Result<(), StoreError>;
    fn keys(&self) -> Vec<Bytes>;
}

impl<T: Table> AnyTable for TableView<T> {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn version(&self) -> u32 {
        T::VERSION
    }

    fn changed_at(&self) -> u64 {
        self.changed_at
    }

    fn set_changed_at(&mut self, revision: u64) {
        self.changed_at = revision;
    }

    fn fork(&self) -> Arc<dyn AnyTable> {
        Arc::new(self.clone())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn encode(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(row) = self.rows.get(key) else { return Ok(None) };
        let row = row.downcast_ref::<T::Row>().expect("a table's map holds rows of its own type");
        match serde_json::to_vec(row) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) => Err(StoreError::Encode { table: T::NAME, reason: error.to_string() }),
        }
    }

    fn load(&mut self, key: &[u8], value: &[u8], version: u32) -> Result<(), StoreError> {
        let row_error = |reason: String| StoreError::Row {
            table: T::NAME.to_owned(),
            key: String::from_utf8_lossy(key).escape_debug().to_string(),
            reason,
        };
        let own_key = T::Key::from_bytes(key).map_err(|error| row_error(error.to_string()))?;
        let row: Result<T::Row, _> = if version == T::VERSION {
            serde_json::from_slice(value)
        } else {
            serde_json::from_slice(value).and_then(|row| serde_json::from_value(T::upgrade(version, row)))
        };
        let row = row.map_err(|error| row_error(error.to_string()))?;
        self.replace(&own_key, &Bytes::from(key), Some(Arc::new(row)));
        Ok(())
    }

    fn keys(&self) -> Vec<Bytes> {
        self.rows.range(&[], None).map(|(key, _)| Arc::clone(key)).collect()
    }
}

//! Rows as a disk may give them back.

use std::sync::Arc;

use longshore_store::engine::{Batch, Engine, Meta, RowVisitor};
use longshore_store::{Key, Store, StoreError, encode_str};
use longshore_types::Scope;

use crate::input::{FIELD, Input};

struct Disk {
    meta: Meta,
    rows: Vec<(String, Vec<u8>, Vec<u8>)>,
}

impl Engine for Disk {
    fn meta(&mut self) -> Result<Meta, StoreError> {
        Ok(self.meta.clone())
    }

    fn load(&mut self, row: &mut RowVisitor<'_>) -> Result<(), StoreError> {
        self.rows.iter().try_for_each(|(table, key, value)| row(table, key, value))
    }

    fn commit(&mut self, _: &Batch) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Version of the rows, then rows: table, parts of the key, value.
///
/// Holds: the store opens or names the row that it cannot read; a key read and written is the same.
pub fn store(data: &[u8]) {
    let mut input = Input::new(data);
    let version = u32::from(input.byte());
    let (mut rows, mut versions) = (Vec::new(), Vec::new());
    while !input.is_empty() && rows.len() < 8 {
        let table = input.text(FIELD).into_owned();
        let mut key = Vec::new();
        // Texts with `|` between them, as most tables have; raw bytes after a `!`.
        let parts = input.until(FIELD);
        match parts.strip_prefix(b"!") {
            Some(raw) => key.extend_from_slice(raw),
            None => String::from_utf8_lossy(parts).split('|').for_each(|part| encode_str(part, &mut key)),
        }
        key_again::<(Scope, String)>(&key);
        key_again::<(Scope, String, String)>(&key);
        key_again::<(String, u64)>(&key);
        versions.retain(|(known, _)| *known != table);
        versions.push((table.clone(), version));
        rows.push((table, key, input.until(FIELD).to_vec()));
    }
    rows.sort();
    rows.dedup_by(|a, b| (&a.0, &a.1) == (&b.0, &b.1));
    let disk = Disk { meta: Meta { revision: 1, versions }, rows };
    match Store::stepped(disk, longshore_store::tables::schema()) {
        Ok((store, stepper)) => {
            assert!(store.snapshot().revision() >= 1);
            drop(stepper);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn key_again<K: Key>(bytes: &[u8]) {
    if let Ok(key) = K::from_bytes(bytes) {
        let mut again = Vec::new();
        key.encode(&mut again);
        assert_eq!(Arc::<[u8]>::from(again), Arc::<[u8]>::from(bytes));
    }
}

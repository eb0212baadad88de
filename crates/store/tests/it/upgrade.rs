use longshore_store::engine::MemoryEngine;
use longshore_store::{Schema, Store, StoreError, Table, table};
use serde::{Deserialize, Serialize};

table! {
    Old: "things", String => u32 {}
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Thing {
    size: u32,
}

enum New {}
impl Table for New {
    const NAME: &'static str = "things";
    const VERSION: u32 = 2;
    type Key = String;
    type Row = Thing;

    fn upgrade(from: u32, row: serde_json::Value) -> serde_json::Value {
        assert_eq!(from, 1);
        serde_json::json!({ "size": row })
    }
}

#[test]
fn rows_of_an_older_version_are_upgraded_once_and_newer_ones_refused() {
    let engine = MemoryEngine::new();
    let store = Store::with_engine(engine.clone(), Schema::new().with::<Old>()).unwrap();
    store.write_blocking(|tx| tx.table_mut::<Old>().insert("a".into(), 7)).unwrap().unwrap();
    drop(store);
    // The first run upgrades in memory and stores that with its first write; the second finds nothing to do.
    for run in 0..2 {
        let store = Store::with_engine(engine.clone(), Schema::new().with::<New>()).unwrap();
        assert_eq!(store.snapshot().table::<New>().get(&"a".into()), Some(Thing { size: 7 }.into()));
        store
            .write_blocking(move |tx| tx.table_mut::<New>().insert(format!("b{run}"), Thing { size: run }))
            .unwrap()
            .unwrap();
    }
    let refused = Store::with_engine(engine, Schema::new().with::<Old>()).err();
    assert!(matches!(refused, Some(StoreError::Newer { stored: 2, known: 1, .. })), "{refused:?}");
}

#[test]
fn a_row_that_does_not_read_is_named() {
    table! { Text: "things", String => String {} }
    let engine = MemoryEngine::new();
    let store = Store::with_engine(engine.clone(), Schema::new().with::<Old>()).unwrap();
    store.write_blocking(|tx| tx.table_mut::<Old>().insert("the-key".into(), 7)).unwrap().unwrap();
    drop(store);
    let error = Store::with_engine(engine, Schema::new().with::<Text>()).err().unwrap();
    let text = error.to_string();
    assert!(text.contains("things") && text.contains("the-key") && text.contains("expected a string"), "{text}");
}

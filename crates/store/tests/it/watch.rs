use crate::{Notes, Users, id, memory_store, user};
use longshore_store::{Exists, Store};
use std::time::Duration;

async fn note(store: &Store, key: &'static str) {
    store.write(move |tx| Ok::<_, Exists>(tx.table_mut::<Notes>().put(key.into(), "n".into()))).await.unwrap().unwrap();
}

async fn add_user(store: &Store, number: u64) {
    store.write(move |tx| tx.table_mut::<Users>().insert(id("a", number), user("t", &[]))).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_watcher_wakes_once_for_many_changes_and_names_their_tables() {
    let (store, _) = memory_store();
    let mut watcher = store.watch();
    add_user(&store, 1).await;
    note(&store, "a").await;
    note(&store, "b").await;
    let wake = watcher.changed().await.unwrap();
    assert_eq!((wake.revision, wake.touches::<Users>(), wake.touches::<Notes>()), (3, true, true));
    let more = tokio::time::timeout(Duration::from_millis(50), watcher.changed()).await;
    assert!(more.is_err(), "woken for nothing: {more:?}");
    note(&store, "c").await;
    assert_eq!(watcher.changed().await.unwrap().tables, ["notes"]);
}

#[tokio::test]
async fn a_watcher_on_a_table_sleeps_through_other_changes() {
    let (store, _) = memory_store();
    let mut watcher = store.watch().on::<Users>();
    note(&store, "a").await;
    assert!(tokio::time::timeout(Duration::from_millis(50), watcher.changed()).await.is_err());
    let (wake, ()) = tokio::join!(watcher.changed(), add_user(&store, 1));
    assert_eq!(wake.unwrap().tables, ["users"]);
    let mut late = store.watch().on::<Users>().since(0);
    assert_eq!(late.changed().await.unwrap().revision, 2);
}

#[tokio::test]
async fn a_closed_store_ends_its_watchers() {
    let (store, _) = memory_store();
    let mut watcher = store.watch();
    drop(store);
    assert_eq!(watcher.changed().await, None);
}

#[tokio::test]
async fn changes_since_a_revision_name_the_keys_and_forget_after_a_while() {
    let (store, engine) = memory_store();
    add_user(&store, 1).await;
    let seen = store.snapshot().revision();
    add_user(&store, 2).await;
    note(&store, "a").await;
    store.write(|tx| Ok::<_, Exists>(tx.table_mut::<Users>().remove(&id("a", 1)))).await.unwrap().unwrap();
    let changes = store.changes_since(seen);
    assert_eq!(changes.keys::<Users>(), Some(vec![id("a", 1), id("a", 2)]));
    assert_eq!(changes.keys::<Notes>(), Some(vec!["a".to_string()]));
    assert_eq!(changes.snapshot().revision(), 4);
    assert_eq!(store.changes_since(4).keys::<Users>(), Some(vec![]));
    assert_eq!(store.changes_since(5).keys::<Users>(), None, "a revision from another life");

    // More changes than are remembered.
    store
        .write(|tx| {
            (0..70_000).for_each(|n| drop(tx.table_mut::<Notes>().put(format!("{n}"), "n".into())));
            Ok::<_, Exists>(())
        })
        .await
        .unwrap()
        .unwrap();
    let changes = store.changes_since(seen);
    assert_eq!((changes.keys::<Notes>(), changes.keys::<Users>()), (None, None));
    assert_eq!(store.changes_since(4).keys::<Users>(), Some(vec![]), "a table nobody wrote to has no changes");

    // After a restart only the last revision is known.
    drop((store, changes));
    let store = Store::with_engine(engine, crate::schema()).unwrap();
    assert_eq!(store.changes_since(4).keys::<Users>(), None);
    assert_eq!(store.changes_since(5).keys::<Users>(), Some(vec![]));
}

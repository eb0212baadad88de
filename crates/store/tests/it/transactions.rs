use crate::{Notes, User, Users, id, memory_store, user};
use longshore_store::engine::Failure;
use longshore_store::{Exists, Snapshot, StoreError, Tx};
use std::ops::Bound;

fn teams(snapshot: &Snapshot, org: &str, team: &str) -> Vec<u64> {
    snapshot.table::<Users>().by_index(&Users::BY_TEAM, &(org.into(), team.into())).keys().map(|key| key.1).collect()
}

#[test]
fn a_transaction_sees_its_own_writes_through_rows_and_indexes() {
    let (store, _) = memory_store();
    let answer = store.write_blocking(|tx| {
        let mut users = tx.table_mut::<Users>();
        users.insert(id("a", 1), user("red", &["x", "y"]))?;
        users.insert(id("a", 2), user("red", &[]))?;
        users.insert(id("ab", 3), user("red", &[]))?;
        assert_eq!(
            users.update(&id("a", 2), |user| std::mem::replace(&mut user.team, "blue".into())),
            Some("red".into())
        );
        assert_eq!(users.update(&id("a", 9), |_| ()), None);
        assert_eq!(teams(tx, "a", "red"), [1]);
        assert_eq!(teams(tx, "a", "blue"), [2]);
        assert_eq!(tx.table_mut::<Users>().remove(&id("a", 1)), Some(user("red", &["x", "y"]).into()));
        assert_eq!(teams(tx, "a", "red"), [0u64; 0]);
        assert_eq!(tx.table::<Users>().find(&Users::BY_TAG, &"x".into()), None);
        Ok::<_, Exists>(tx.next_revision())
    });
    assert_eq!(answer.unwrap().unwrap(), 1);
    assert_eq!(store.snapshot().revision(), 1);
    assert_eq!(store.read(|snapshot| teams(snapshot, "ab", "red")), [3]);
}

#[test]
fn an_error_undoes_everything_and_others_of_the_batch_stay() {
    let (store, _) = memory_store();
    store.write_blocking(|tx| tx.table_mut::<Users>().insert(id("a", 1), user("red", &["x"]))).unwrap().unwrap();
    let answer = store.write_blocking(|tx| {
        let mut users = tx.table_mut::<Users>();
        users.remove(&id("a", 1));
        users.put(id("a", 2), user("blue", &["x"]));
        users.insert(id("a", 2), user("green", &[]))
    });
    assert_eq!(answer.unwrap(), Err(Exists { table: "users" }));
    let snapshot = store.snapshot();
    assert_eq!((teams(&snapshot, "a", "red"), teams(&snapshot, "a", "blue")), (vec![1], vec![]));
    assert_eq!(snapshot.table::<Users>().by_index(&Users::BY_TAG, &"x".into()).count(), 1);
    assert_eq!(snapshot.revision(), 1);
}

#[test]
fn writing_what_is_there_changes_nothing_and_costs_no_commit() {
    let (store, engine) = memory_store();
    let write = |tx: &mut Tx| {
        tx.table_mut::<Users>().put(id("a", 1), user("red", &[]));
        tx.table_mut::<Users>().update(&id("a", 1), |user| user.team = "red".into());
        Ok::<_, Exists>(())
    };
    store.write_blocking(write).unwrap().unwrap();
    store.write_blocking(write).unwrap().unwrap();
    assert_eq!((store.snapshot().revision(), engine.commits()), (1, 1));
}

#[test]
fn keys_are_read_by_range_prefix_page_and_last() {
    let (store, _) = memory_store();
    store
        .write_blocking(|tx| {
            for (org, number) in [("a", 1), ("a", 2), ("a", 300), ("b", 1), ("a\0", 7)] {
                tx.table_mut::<Users>().put(id(org, number), user("t", &[]));
            }
            Ok::<_, Exists>(())
        })
        .unwrap()
        .unwrap();
    let snapshot = store.snapshot();
    let users = snapshot.table::<Users>();
    let a = "a".to_string();
    assert_eq!(users.prefix(&a).keys().map(|key| key.1).collect::<Vec<_>>(), [1, 2, 300]);
    assert_eq!(users.prefix_after(&a, &id("a", 1)).keys().map(|key| key.1).collect::<Vec<_>>(), [2, 300]);
    assert_eq!(users.last(&a).unwrap().0, id("a", 300));
    assert_eq!(users.last(&"c".to_string()), None);
    assert_eq!(
        users.range(id("a", 2)..id("b", 1)).keys().collect::<Vec<_>>(),
        [id("a", 2), id("a", 300), id("a\0", 7)]
    );
    let last_page = users.range((Bound::Excluded(id("a\0", 7)), Bound::Unbounded)).keys().collect::<Vec<_>>();
    assert_eq!(last_page, [id("b", 1)]);
    assert_eq!((users.all().count(), users.len()), (5, 5));
}

#[test]
fn a_panic_is_the_callers_error_and_is_undone() {
    let (store, _) = memory_store();
    let answer = store.write_blocking(|tx| -> Result<(), Exists> {
        tx.table_mut::<Notes>().put("a".into(), "half".into());
        panic!("a bug");
    });
    assert!(matches!(answer, Err(StoreError::Panicked(text)) if text == "a bug"));
    assert!(store.snapshot().table::<Notes>().is_empty());
    store.write_blocking(|tx| tx.table_mut::<Notes>().insert("a".into(), "whole".into())).unwrap().unwrap();
}

#[test]
fn a_failed_commit_is_undone_and_the_next_one_repairs_the_disk() {
    for failure in [Failure::Lost, Failure::KeptButReported] {
        let (store, engine) = memory_store();
        store.write_blocking(|tx| tx.table_mut::<Users>().insert(id("a", 1), user("red", &[]))).unwrap().unwrap();
        engine.fail(failure);
        let answer = store.write_blocking(|tx| {
            tx.table_mut::<Users>().remove(&id("a", 1));
            tx.table_mut::<Users>().insert(id("a", 2), user("lost", &[]))
        });
        assert!(matches!(answer, Err(StoreError::Io { .. })), "{answer:?}");
        assert_eq!(store.snapshot().table::<Users>().all().keys().collect::<Vec<_>>(), [id("a", 1)]);
        // Reading transactions need no disk.
        let read: Result<usize, Exists> = store.write_blocking(|tx| Ok(tx.table::<Users>().len())).unwrap();
        assert_eq!(read, Ok(1));
        engine.fail(Failure::None);
        store.write_blocking(|tx| tx.table_mut::<Notes>().insert("n".into(), "kept".into())).unwrap().unwrap();
        drop(store);
        let again = longshore_store::Store::with_engine(engine, crate::schema()).unwrap();
        assert_eq!(again.snapshot().revision(), 3, "the second was another state, which transactions may have seen");
        assert_eq!(again.snapshot().table::<Users>().all().keys().collect::<Vec<_>>(), [id("a", 1)]);
        assert_eq!(again.snapshot().table::<Notes>().get(&"n".into()), Some("kept".to_string().into()));
    }
}

#[test]
fn a_snapshot_never_changes() {
    let (store, _) = memory_store();
    let write = |tx: &mut Tx, number| Ok::<_, Exists>(tx.table_mut::<Users>().put(id("a", number), user("t", &[])));
    store.write_blocking(move |tx| write(tx, 1)).unwrap().unwrap();
    let before = store.snapshot();
    store.write_blocking(move |tx| write(tx, 2)).unwrap().unwrap();
    assert_eq!((before.table::<Users>().len(), store.snapshot().table::<Users>().len()), (1, 2));
    let rows: Vec<std::sync::Arc<User>> = before.table::<Users>().all().collect();
    assert_eq!(rows.len(), 1);
}

#[tokio::test]
async fn the_last_clone_may_be_dropped_by_a_transaction() {
    let (store, engine) = memory_store();
    let held = store.clone();
    let write = store.write(move |tx| {
        let _held = held;
        tx.table_mut::<Notes>().insert("a".into(), "b".into())
    });
    write.await.unwrap().unwrap();
    drop(store);
    assert_eq!(engine.commits(), 1);
}

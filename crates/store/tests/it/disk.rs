//! The redb engine on real files, good and bad ones.

use crate::{Notes, Users, id, open_engine, open_file as open, schema, user};
use longshore_store::{Exists, Store, StoreError, Tx};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

#[test]
fn rows_revisions_and_removals_come_back_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let store = open(&path).unwrap();
    for number in 0..20 {
        store
            .write_blocking(move |tx| tx.table_mut::<Users>().insert(id("a", number), user("t", &["x"])))
            .unwrap()
            .unwrap();
    }
    store.write_blocking(|tx| Ok::<_, Exists>(tx.table_mut::<Users>().remove(&id("a", 7)))).unwrap().unwrap();
    assert!(matches!(open(&path), Err(StoreError::InUse { .. })), "two processes must not write one file");
    drop(store);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let store = open(&path).unwrap();
    assert_eq!(store.snapshot().revision(), 21);
    assert_eq!(store.snapshot().table::<Users>().by_index(&Users::BY_TAG, &"x".into()).count(), 19);
}

#[test]
fn a_closed_store_is_read_on_and_its_file_is_free_though_clones_are_left() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let store = open(&path).unwrap();
    let held = store.clone();
    // More than one batch of what is read ahead.
    let long = "x".repeat(5000);
    for number in 0..100 {
        let row = user("t", &[&long]);
        held.write_blocking(move |tx| tx.table_mut::<Users>().insert(id("a", number), row)).unwrap().unwrap();
    }
    store.close();
    store.close();
    let refused = held.write_blocking(|tx| tx.table_mut::<Notes>().insert("a".into(), "b".into()));
    assert!(matches!(refused, Err(StoreError::Closed)), "{refused:?}");
    assert_eq!(held.snapshot().table::<Users>().len(), 100);
    let all = |store: &Store| store.snapshot().table::<Users>().all().entries().collect::<Vec<_>>();
    assert_eq!(all(&open(&path).unwrap()), all(&held));
}

#[test]
fn a_file_that_is_no_store_is_refused_by_name_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let foreign = b"this is a shopping list".repeat(1000);
    std::fs::write(&path, &foreign).unwrap();
    let error = open(&path).err().unwrap();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
    assert!(error.to_string().contains("store.redb"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), foreign);
}

#[test]
fn damage_in_a_file_is_an_error_never_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let good = dir.path().join("good.redb");
    let store = open(&good).unwrap();
    for number in 0..300 {
        store
            .write_blocking(move |tx| tx.table_mut::<Users>().insert(id("a", number), user("t", &["x"])))
            .unwrap()
            .unwrap();
    }
    drop(store);
    let bytes = std::fs::read(&good).unwrap();
    let mut rng = crate::Rng::new(7);
    let (mut refused, mut opened) = (0, 0);
    for round in 0..60 {
        let mut damaged = bytes.clone();
        if round % 3 == 0 {
            damaged.truncate(rng.below(bytes.len() as u64) as usize);
        } else {
            let at = rng.below(bytes.len() as u64 / 4) as usize;
            let end = (at + 4096).min(bytes.len());
            damaged[at..end].fill(rng.below(256) as u8);
        }
        let path = dir.path().join("damaged.redb");
        std::fs::write(&path, &damaged).unwrap();
        match std::panic::catch_unwind(|| open(&path)) {
            Ok(Ok(_)) => opened += 1,
            Ok(Err(error)) => {
                assert!(!error.to_string().is_empty());
                refused += 1;
            }
            Err(_) => panic!("round {round} panicked"),
        }
    }
    assert!(refused > 0, "{opened} opened, none refused");
}

/// A file system of its own, so small that it fills.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(kib: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={kib}k");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path()).status().unwrap();
        assert!(mounted.success(), "this test needs root");
        Self(dir)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_fails_writes_serves_reads_and_recovers_when_there_is_room() {
    let disk = SmallDisk::mount(8 << 10);
    let path = disk.0.path().join("store.redb");
    let filler = disk.0.path().join("filler");
    let store = open(&path).unwrap();
    store.write_blocking(|tx| tx.table_mut::<Notes>().insert("first".into(), "kept".into())).unwrap().unwrap();

    let _ = std::fs::write(&filler, vec![1u8; 16 << 20]);
    let mut failed = 0;
    for round in 0..200u64 {
        let write = move |tx: &mut longshore_store::Tx| {
            tx.table_mut::<Notes>().insert(format!("note-{round:03}"), "x".repeat(40_000))
        };
        match store.write_blocking(write) {
            Ok(inserted) => assert_eq!(failed, 0, "{inserted:?} after a failure without new room"),
            Err(StoreError::Io { .. }) => failed += 1,
            Err(other) => panic!("{other}"),
        }
        if failed == 3 {
            break;
        }
    }
    assert_eq!(failed, 3, "the disk never filled");
    let kept: Vec<String> = store.snapshot().table::<Notes>().all().keys().collect();
    assert!(kept.contains(&"first".to_string()));

    std::fs::remove_file(&filler).unwrap();
    store.write_blocking(|tx| tx.table_mut::<Notes>().insert("last".into(), "kept".into())).unwrap().unwrap();
    drop(store);
    let store = open(&path).unwrap();
    let want: Vec<String> = [vec!["first".into(), "last".into()], kept[1..].to_vec()].concat();
    assert_eq!(store.snapshot().table::<Notes>().all().keys().collect::<Vec<_>>(), want);
}

#[test]
fn a_full_disk_takes_what_removes_things_and_says_when_there_is_room_again() {
    let disk = SmallDisk::mount(8 << 10);
    let path = disk.0.path().join("store.redb");
    let filler = disk.0.path().join("filler");
    let fill = || drop(std::fs::write(&filler, vec![1u8; 16 << 20]));
    let reserved = || open_engine(&path).unwrap().with_reserve(1 << 20);
    let store = Store::with_engine(reserved(), schema()).unwrap();
    let insert = |round: u32| {
        let insert = move |tx: &mut Tx| tx.table_mut::<Notes>().insert(format!("note-{round:03}"), "x".repeat(10_000));
        store.write_blocking(insert).unwrap_or_else(|error| panic!("{round}: {error}")).unwrap();
    };
    (0..60).for_each(insert);
    assert_eq!(store.full_disk(), None);

    fill();
    (60..100).take_while(|_| store.full_disk().is_none()).for_each(insert);
    // What goes on filling it takes the room that is given back, too, except what the store took at once.
    let fill_more = || {
        let _ = std::fs::OpenOptions::new().append(true).open(&filler).unwrap().write_all(&[2; 4 << 20]);
    };
    fill_more();
    (100..110).for_each(insert);
    for round in 0..110 {
        let remove = move |tx: &mut Tx| Ok::<_, Exists>(tx.table_mut::<Notes>().remove(&format!("note-{round:03}")));
        store.write_blocking(remove).unwrap_or_else(|error| panic!("removal {round}: {error}")).unwrap();
        fill_more();
    }
    let text = store.full_disk().expect("it is full").to_string();
    let directory = disk.0.path().display();
    assert_eq!(text, format!("the disk is full: nothing new is stored until 3 MiB are free in {directory}"));

    drop(store);
    let store = Store::with_engine(reserved(), schema()).unwrap();
    assert!(store.full_disk().is_some(), "a restart does not make room");
    assert!(store.read(|state| state.table::<Notes>().is_empty()));
    std::fs::remove_file(&filler).unwrap();
    let started = std::time::Instant::now();
    while store.full_disk().is_some() {
        assert!(started.elapsed() < Duration::from_secs(10), "nobody sees that there is room");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(std::fs::metadata(disk.0.path().join("reserve")).unwrap().len(), 1 << 20);
    fill();
    store.write_blocking(|tx| tx.table_mut::<Notes>().insert("again".into(), "kept".into())).unwrap().unwrap();
}

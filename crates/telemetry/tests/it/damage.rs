//! Torn ends, damaged files and full disks.

use crate::{Rng, TINY, event, filter, get, messages, open, open_with};
use longshore_telemetry::logs::{LogError, LogStore, Options, Start};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn files(dir: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix))
        .collect();
    files.sort();
    files
}

#[test]
fn a_torn_end_is_cut_off_and_appending_goes_on() {
    let source = tempfile::tempdir().unwrap();
    let store = open_with(source.path(), Options::default());
    for number in 0..5 {
        store.append_blocking("g", "s", vec![event(number, &format!("m{number}"))], 0).unwrap();
    }
    drop(store);
    let wal = files(source.path(), "wal-").remove(0);
    let bytes = fs::read(&wal).unwrap();
    let mut seen = 0;
    for len in (0..bytes.len()).step_by(7) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(wal.file_name().unwrap()), &bytes[..len]).unwrap();
        let store = open_with(dir.path(), Options::default());
        let before = store.get(&get("g", "s", Start::Head)).unwrap().events.len();
        assert!(before >= seen, "a longer file has fewer events");
        seen = before;
        store.append_blocking("g", "s", vec![event(100, "after")], 0).unwrap();
        drop(store);
        let store = open_with(dir.path(), Options::default());
        let page = store.get(&get("g", "s", Start::Head)).unwrap();
        assert_eq!((page.events.len(), messages(&page.events)[before]), (before + 1, "after"));
    }
    assert_eq!(seen, 4);
}

#[test]
fn damage_in_the_middle_costs_its_batch_only() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_with(dir.path(), Options::default());
    for number in 0..5 {
        store.append_blocking("g", "s", vec![event(number, &format!("message {number}"))], 0).unwrap();
    }
    drop(store);
    let wal = files(dir.path(), "wal-").remove(0);
    let mut bytes = fs::read(&wal).unwrap();
    let at = bytes.windows(9).position(|window| window == b"message 2").unwrap();
    bytes[at] ^= 1;
    fs::write(&wal, bytes).unwrap();
    let store = open_with(dir.path(), Options::default());
    let page = store.get(&get("g", "s", Start::Head)).unwrap();
    assert_eq!(messages(&page.events), ["message 0", "message 1", "message 3", "message 4"]);
}

#[test]
fn damaged_files_are_errors_or_missing_events_never_panics() {
    let source = tempfile::tempdir().unwrap();
    let store = open(source.path());
    for number in 0..700 {
        store.append_blocking("g", &format!("s{}", number % 3), vec![event(number, "some text")], 0).unwrap();
    }
    drop(store);
    // Opening sorts what was left over.
    drop(open(source.path()));
    let names = files(source.path(), "");
    assert!(files(source.path(), "seg-").len() > 3, "{names:?}");
    let mut rng = Rng::new(3);
    for _ in 0..150 {
        let dir = tempfile::tempdir().unwrap();
        let victim = rng.below(names.len() as u64) as usize;
        for (number, path) in names.iter().enumerate() {
            let mut bytes = fs::read(path).unwrap();
            if number == victim && !bytes.is_empty() {
                match rng.below(3) {
                    0 => bytes.truncate(rng.below(bytes.len() as u64) as usize),
                    1 => {
                        let at = rng.below(bytes.len() as u64) as usize;
                        bytes[at] ^= 1 << rng.below(8);
                    }
                    _ => bytes.fill(rng.below(256) as u8),
                }
            }
            fs::write(dir.path().join(path.file_name().unwrap()), bytes).unwrap();
        }
        match LogStore::open_with(dir.path(), TINY) {
            Ok(store) => match store.filter(&filter("g")) {
                Ok(page) => assert!(page.events.len() <= 700),
                Err(error) => assert!(matches!(error, LogError::Corrupt { .. }), "{error}"),
            },
            Err(error) => assert!(matches!(error, LogError::Corrupt { .. }), "{error}"),
        }
    }
}

#[test]
fn a_directory_has_one_owner() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert!(matches!(LogStore::open(dir.path()), Err(LogError::InUse { .. })));
    drop(store);
    open(dir.path());
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
fn a_full_disk_refuses_appends_serves_reads_and_recovers_when_there_is_room() {
    let disk = SmallDisk::mount(1024);
    let dir = disk.0.path().join("logs");
    let store = open_with(&dir, Options::default());
    let append = |store: &LogStore, number: i64| {
        store.append_blocking("g", "s", vec![event(number, &format!("{number} {}", "x".repeat(20_000)))], 0)
    };
    let mut stored = Vec::new();
    let mut refused = 0;
    for number in 0..100 {
        match append(&store, number) {
            Ok(()) => stored.push(number),
            Err(LogError::Io { .. }) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(refused > 10 && stored.len() > 10, "{refused} refused, {} stored", stored.len());
    let times = |store: &LogStore| -> Vec<i64> {
        store.get(&get("g", "s", Start::Head)).unwrap().events.iter().map(|event| event.timestamp_ms).collect()
    };
    assert_eq!(times(&store), stored);
    assert!(Command::new("mount").args(["-o", "remount,size=4096k"]).arg(disk.0.path()).status().unwrap().success());
    append(&store, 1000).unwrap();
    stored.push(1000);
    assert_eq!(times(&store), stored);
    drop(store);
    assert_eq!(times(&open_with(&dir, Options::default())), stored);
}

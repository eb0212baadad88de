//! Figures of the store on this disk: `cargo run --release -p longshore-store --example bench [directory]`.
#![allow(clippy::unwrap_used, reason = "a measurement stops at the first failure")]

use longshore_store::engine::RedbEngine;
use longshore_store::{Exists, Schema, Store, table};
use serde::{Deserialize, Serialize};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// About the size of a stored task.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Task {
    cluster: String,
    text: String,
    containers: Vec<(String, u32)>,
}

table! {
    Tasks: "tasks", (String, u64) => Task {
        BY_CLUSTER: "cluster", String = |_, task| vec![task.cluster.clone()],
        BY_CONTAINER: "container", String = |_, task| task.containers.iter().map(|(name, _)| name.clone()).collect(),
    }
}

fn task(number: u64) -> Task {
    let containers = (0..3).map(|n| (format!("container-{number}-{n}"), n)).collect();
    Task { cluster: format!("cluster-{}", number % 2), text: "x".repeat(700), containers }
}

fn open(path: &std::path::Path) -> Store {
    Store::with_engine(RedbEngine::open(path).unwrap(), Schema::new().with::<Tasks>()).unwrap()
}

fn show(what: &str, mut times: Vec<Duration>, took: Duration) {
    times.sort();
    let (p50, p99) = (times[times.len() / 2], times[times.len() * 99 / 100]);
    println!("{what:<44} {:>8.0}/s   p50 {p50:>9.1?}   p99 {p99:>9.1?}", times.len() as f64 / took.as_secs_f64());
}

fn write(store: &Store, number: u64) -> Duration {
    let start = Instant::now();
    store
        .write_blocking(move |tx| tx.table_mut::<Tasks>().insert(("a".into(), number), task(number)))
        .unwrap()
        .unwrap();
    start.elapsed()
}

fn main() {
    let dir = match std::env::args().nth(1) {
        Some(dir) => tempfile::tempdir_in(dir).unwrap(),
        None => tempfile::tempdir().unwrap(),
    };
    let path = dir.path().join("store.redb");

    let file = std::fs::File::create(dir.path().join("plain")).unwrap();
    let start = Instant::now();
    let times = (0..500).map(|block| {
        let start = Instant::now();
        file.write_all_at(&[1; 4096], block * 4096).unwrap();
        file.sync_data().unwrap();
        start.elapsed()
    });
    let times = times.collect();
    show("4 KiB write and fdatasync, plain file", times, start.elapsed());

    let store = open(&path);
    let start = Instant::now();
    let times = (0..500).map(|number| write(&store, number)).collect();
    show("1 writer, 1 row of 1 KB a transaction", times, start.elapsed());

    let start = Instant::now();
    let times = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..64u64)
            .map(|writer| {
                let store = &store;
                scope.spawn(move || (0..150).map(|n| write(store, 1_000 + writer * 150 + n)).collect::<Vec<_>>())
            })
            .collect();
        writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    show("64 writers, 1 row of 1 KB a transaction", times, start.elapsed());

    let rows = store.snapshot().table::<Tasks>().len();
    let start = Instant::now();
    let times = (0..100).map(|_| {
        let start = Instant::now();
        let found = store.read(|snapshot| {
            let tasks = snapshot.table::<Tasks>();
            tasks.prefix(&"a".to_string()).map(|task| task.text.len()).sum::<usize>()
        });
        assert_eq!(found, rows * 700);
        start.elapsed()
    });
    let times = times.collect();
    show(&format!("list of {rows} rows"), times, start.elapsed());

    let start = Instant::now();
    let times = (0..100_000u64).map(|n| {
        let start = Instant::now();
        assert!(store.read(|snapshot| snapshot.table::<Tasks>().get(&("a".into(), n % 500))).is_some());
        start.elapsed()
    });
    let times = times.collect();
    show("get of one row", times, start.elapsed());

    let start = Instant::now();
    let times = (0..100_000u64).map(|n| {
        let start = Instant::now();
        let name = format!("container-{}-1", n % 500);
        assert!(store.read(|snapshot| snapshot.table::<Tasks>().find(&Tasks::BY_CONTAINER, &name)).is_some());
        start.elapsed()
    });
    let times = times.collect();
    show("find by index", times, start.elapsed());

    let start = Instant::now();
    let times = (0..10_000).map(|_| {
        let start = Instant::now();
        store.write_blocking(|tx| Ok::<_, Exists>(tx.table::<Tasks>().len())).unwrap().unwrap();
        start.elapsed()
    });
    let times = times.collect();
    show("transaction that only reads", times, start.elapsed());

    let file_len = std::fs::metadata(&path).unwrap().len();
    drop(store);
    let start = Instant::now();
    let store = open(&path);
    println!("open of {rows} rows: {:.1?}; file {:.1} MB", start.elapsed(), file_len as f64 / 1e6);
    drop(store);
}

//! Killing the process at any moment loses no event it acknowledged.

use crate::{Rng, event, filter};
use longshore_telemetry::logs::{LogStore, Options};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const PATH: &str = "LONGSHORE_TEST_LOGS";
const ROUNDS: u64 = 50;
const WRITERS: i64 = 4;

/// Small files, so that kills meet sorting, removing and starting files too.
fn open(path: &Path) -> LogStore {
    crate::open_with(path, Options { segment_bytes: 8 << 10, block_bytes: 1 << 10 })
}

/// The process that is killed: appends, and says which events are durable, until it dies.
#[test]
#[ignore = "run by the test below"]
fn child() {
    let Some(path) = std::env::var_os(PATH) else { return };
    let first: i64 = std::env::var("FIRST").unwrap().parse().unwrap();
    let store = open(Path::new(&path));
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = store.clone();
            scope.spawn(move || {
                for number in first.. {
                    let number = number * WRITERS + writer;
                    let stream = format!("s{}", number % 10);
                    store.append_blocking("g", &stream, vec![event(number, &format!("event {number}"))], 0).unwrap();
                    // Streams come and go beside the one that counts.
                    store.append_blocking("gone", &stream, vec![event(number, "deleted at once")], 0).unwrap();
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "\ndurable {number}").and_then(|()| out.flush()).unwrap();
                }
            });
        }
    });
}

#[test]
fn every_acknowledged_event_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut rng = Rng::new(1);
    let mut acknowledged: BTreeSet<i64> = BTreeSet::new();
    let mut highest = 0;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["crash::child", "--exact", "--ignored", "--nocapture"])
            .env(PATH, dir.path())
            .env("FIRST", (highest / WRITERS + 1).to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let reader = std::thread::spawn(move || {
            let durable =
                lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("durable ")?.parse::<i64>().ok());
            durable.collect::<Vec<_>>()
        });
        std::thread::sleep(Duration::from_micros(5_000 + rng.below(120_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.extend(reader.join().unwrap());

        let store = open(dir.path());
        let events = store.filter(&filter("g")).unwrap().events;
        let stored: BTreeSet<i64> = events.iter().map(|event| event.timestamp_ms).collect();
        assert_eq!(stored.len(), events.len(), "round {round}: an event is there twice");
        let ids: BTreeSet<_> = events.iter().map(|event| event.id).collect();
        assert_eq!(ids.len(), events.len(), "round {round}: two events have one id");
        let lost: Vec<_> = acknowledged.difference(&stored).collect();
        assert!(lost.is_empty(), "round {round}: lost {lost:?} of {}", acknowledged.len());
        highest = stored.last().copied().unwrap_or(highest);
        if round % 5 == 4 {
            runtime.block_on(store.delete_group("gone")).unwrap();
            drop(store);
            let gone = open(dir.path()).filter(&filter("gone")).unwrap().events;
            assert!(gone.is_empty(), "round {round}: {} deleted events came back", gone.len());
        }
    }
    assert!(acknowledged.len() > 500, "only {} appends were acknowledged", acknowledged.len());
    println!("{} acknowledged events over {ROUNDS} kills", acknowledged.len());
}

//! Killing the writing process at any moment loses nothing it acknowledged, and nothing is half there.

use crate::{Rng, Users, id, user};
use longshore_store::Store;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const PATH: &str = "LONGSHORE_TEST_STORE";
const ROUNDS: u64 = 50;
const WRITERS: u64 = 4;

fn open(path: &Path) -> Store {
    crate::open_file(path).unwrap()
}

/// The process that is killed: writes pairs of rows and says which are durable, until it dies.
#[test]
#[ignore = "run by the test below"]
fn child() {
    let Some(path) = std::env::var_os(PATH) else { return };
    let store = open(Path::new(&path));
    let first = store.snapshot().table::<Users>().last(&"left".to_string()).map_or(0, |(key, _)| key.1 / WRITERS + 1);
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = store.clone();
            scope.spawn(move || {
                for number in first.. {
                    let number = number * WRITERS + writer;
                    let wrote = store.write_blocking(move |tx| {
                        tx.table_mut::<Users>().insert(id("left", number), user("t", &["x"]))?;
                        tx.table_mut::<Users>().insert(id("right", number), user("t", &["x"]))
                    });
                    wrote.unwrap().unwrap();
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "\ndurable {number}").and_then(|()| out.flush()).unwrap();
                }
            });
        }
    });
}

#[test]
fn every_acknowledged_row_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let mut rng = Rng::new(1);
    let mut acknowledged = BTreeSet::new();
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["crash::child", "--exact", "--ignored", "--nocapture"])
            .env(PATH, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let reader = std::thread::spawn(move || {
            let durable =
                lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("durable ")?.parse::<u64>().ok());
            durable.collect::<Vec<_>>()
        });
        // From "still opening" to "hundreds of commits".
        std::thread::sleep(Duration::from_micros(5_000 + rng.below(120_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        acknowledged.extend(reader.join().unwrap());

        let store = open(&path);
        let snapshot = store.snapshot();
        let side = |org: &str| {
            snapshot.table::<Users>().prefix(&org.to_string()).keys().map(|key| key.1).collect::<BTreeSet<_>>()
        };
        let stored = side("left");
        assert_eq!(stored, side("right"), "round {round}: half a transaction");
        let lost: Vec<_> = acknowledged.difference(&stored).collect();
        assert!(lost.is_empty(), "round {round}: lost {lost:?} of {}", acknowledged.len());
        assert_eq!(snapshot.table::<Users>().by_index(&Users::BY_TAG, &"x".into()).count(), 2 * stored.len());
    }
    assert!(acknowledged.len() > 500, "only {} writes were acknowledged", acknowledged.len());
    println!("{} acknowledged writes over {ROUNDS} kills", acknowledged.len());
}

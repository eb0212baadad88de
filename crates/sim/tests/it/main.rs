//! A few seeds at each test run, and the planted bugs that the simulator must find. `cargo xtask sim` runs many seeds.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use longshore_sim::{Bug, Options, run};
use std::time::Duration;

fn options(seed: u64, bug: Option<Bug>) -> Options {
    Options { seed, duration: Duration::from_secs(60), bug, trace: false }
}

#[test]
fn a_few_seeds_pass() {
    for seed in 0..5 {
        let outcome = run(&options(seed, None));
        assert_eq!(outcome.violation, None, "`cargo xtask sim --seed {seed} --for 60s` shows it");
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let hashes = [(); 2].map(|()| run(&options(7, None)).hash);
    assert_eq!(hashes[0], hashes[1]);
    assert_ne!(hashes[0], run(&options(8, None)).hash);
}

/// The first seed that finds a planted bug, and which checker did.
fn find(bug: Bug) -> (u64, &'static str) {
    let found = (0..60).find_map(|seed| {
        let outcome = run(&Options { duration: Duration::from_secs(120), ..options(seed, Some(bug)) });
        outcome.violation.map(|violation| (seed, violation.check))
    });
    found.unwrap_or_else(|| panic!("{bug:?} is not found"))
}

#[test]
fn each_planted_bug_is_found_by_the_checker_that_is_for_it() {
    let expected: [(Bug, &[&str]); 9] = [
        (Bug::LyingDisk, &["acknowledged write lost"]),
        (Bug::BlindAgent, &["started twice", "address used twice", "stopped and running"]),
        (Bug::NaiveMerge, &["states"]),
        (Bug::LeakedInterface, &["leaked interface"]),
        (Bug::EagerScheduler, &["floor"]),
        (Bug::DeafNode, &["settles", "ends"]),
        (Bug::ForgottenToken, &["idempotency"]),
        (Bug::StaleTarget, &["settles", "ends"]),
        (Bug::KeptSecrets, &["kept credentials", "settles", "ends"]),
    ];
    assert_eq!(expected.map(|(bug, _)| bug), Bug::ALL);
    for (bug, checks) in expected {
        let (seed, check) = find(bug);
        println!("{bug:?}: seed {seed}, {check}");
        assert!(checks.contains(&check), "{bug:?} was found by `{check}`");
    }
}

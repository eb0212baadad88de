//! A few seeds at each test run, and the planted bugs that the simulator must find. `cargo xtask sim` runs many seeds.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use longshore_sim::{Bug, Options, run};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What `docs/simulation.md` says that each test run runs.
const SEEDS: u64 = 64;

fn options(seed: u64, bug: Option<Bug>) -> Options {
    Options { seed, duration: Duration::from_secs(60), bug, trace: false }
}

/// On all processors, each taking the next one. What panics in a thread fails the test.
fn on_all_processors<T: Sync>(items: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let jobs = std::thread::available_parallelism().map_or(1, Into::into);
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(item);
                }
            });
        }
    });
}

#[test]
fn seeds_pass() {
    on_all_processors(&(0..SEEDS).collect::<Vec<_>>(), |seed| {
        let outcome = run(&options(*seed, None));
        assert_eq!(outcome.violation, None, "`cargo xtask sim --seed {seed} --for 60s` shows it");
    });
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
    let expected: [(Bug, &[&str]); Bug::ALL.len()] = [
        (Bug::LyingDisk, &["acknowledged write lost"]),
        (Bug::BlindAgent, &["started twice", "address used twice", "stopped and running"]),
        (Bug::NaiveMerge, &["states"]),
        (Bug::LeakedInterface, &["leaked interface"]),
        (Bug::EagerScheduler, &["floor"]),
        // What is lost may be the first message, which says what the node has.
        (Bug::DeafNode, &["settles", "ends", "generations"]),
        (Bug::ForgottenToken, &["idempotency"]),
        (Bug::StaleTarget, &["settles", "ends"]),
        (Bug::KeptSecrets, &["kept credentials", "settles", "ends"]),
        (Bug::GreedyScheduler, &["ceiling"]),
        (Bug::BlindScheduler, &["protection"]),
        (Bug::HastySignal, &["drain"]),
        (Bug::SecondRelease, &["releases"]),
        (Bug::EditedRevision, &["revisions"]),
        (Bug::MovingTag, &["pinned"]),
        (Bug::ForgottenBase, &["base"]),
        (Bug::SilentInterruption, &["spot"]),
        (Bug::LoudSecret, &["secrets"]),
        (Bug::UnevenZones, &["settles", "stays settled"]),
        (Bug::RestlessStart, &["second look"]),
        (Bug::SilentAgent, &["generations"]),
        (Bug::NervousScheduler, &["floor"]),
        (Bug::DeafBreaker, &["circuit breaker"]),
        (Bug::ForgottenRelease, &["rollback"]),
        (Bug::HotLaunches, &["back-off"]),
    ];
    assert_eq!(expected.map(|(bug, _)| bug), Bug::ALL);
    on_all_processors(&expected, |(bug, checks)| {
        let (seed, check) = find(*bug);
        println!("{bug:?}: seed {seed}, {check}");
        assert!(checks.contains(&check), "{bug:?} was found by `{check}`");
    });
}

//! `cargo xtask sim`.

use anyhow::bail;
use clap::Parser;
use longshore_sim::{Bug, Options, Outcome, run};
use std::ops::Range;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Runs the control plane and the agent on a virtual clock under faults, and checks what must always hold
#[derive(Parser)]
struct Arguments {
    /// One run, with its trace when it fails
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Many runs: `0..10000`
    #[arg(long, value_parser = parse_range, default_value = "0..200")]
    seeds: Range<u64>,
    /// Virtual time with faults in each run: `90s`, `5m`
    #[arg(long = "for", value_parser = parse_duration, default_value = "4m")]
    duration: Duration,
    /// Plant a bug, which must be found
    #[arg(long)]
    bug: Option<Bug>,
    /// Print the trace of a run that passes too
    #[arg(long)]
    trace: bool,
    /// Runs at a time; as many as processors by default
    #[arg(long)]
    jobs: Option<usize>,
    /// Run each seed twice and compare
    #[arg(long)]
    twice: bool,
}

fn parse_range(text: &str) -> Result<Range<u64>, String> {
    let parse = || {
        let (from, to) = text.split_once("..")?;
        Some(from.parse().ok()?..to.parse().ok()?)
    };
    parse().ok_or_else(|| "expected two numbers such as 0..10000".to_owned())
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let parse = || {
        let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return None,
        };
        Some(Duration::from_secs(number.parse::<u64>().ok()? * seconds))
    };
    parse().ok_or_else(|| "expected a number and s, m or h, such as 90s".to_owned())
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("LONGSHORE_LOG").unwrap_or_else(|_| "off".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let done = match arguments.seed {
        Some(seed) => one(&arguments, seed),
        None => many(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn options(arguments: &Arguments, seed: u64, trace: bool) -> Options {
    Options { seed, duration: arguments.duration, bug: arguments.bug, trace }
}

fn one(arguments: &Arguments, seed: u64) -> anyhow::Result<()> {
    let outcome = run(&options(arguments, seed, true));
    if arguments.trace || outcome.violation.is_some() {
        outcome.lines.iter().for_each(|line| println!("{line}"));
    }
    let again = run(&options(arguments, seed, false));
    println!("seed {seed}: {}", summary(&outcome));
    if again.hash != outcome.hash {
        bail!(
            "seed {seed} gives {:016x} and then {:016x}: something real is in the simulation",
            outcome.hash,
            again.hash
        );
    }
    match outcome.violation {
        Some(violation) => bail!("seed {seed}: {}: {}", violation.check, violation.text),
        None => Ok(()),
    }
}

fn summary(outcome: &Outcome) -> String {
    format!(
        "{:016x}, {} events, {} commits, {} virtual seconds",
        outcome.hash, outcome.events, outcome.commits, outcome.virtual_seconds
    )
}

fn many(arguments: &Arguments) -> anyhow::Result<()> {
    let started = Instant::now();
    let next = AtomicU64::new(arguments.seeds.start);
    let (failed, events, commits, seconds) =
        (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let found = AtomicBool::new(false);
    let jobs = arguments.jobs.or_else(|| std::thread::available_parallelism().ok().map(Into::into)).unwrap_or(1);
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    // A planted bug is found once.
                    if seed >= arguments.seeds.end || (arguments.bug.is_some() && found.load(Ordering::Relaxed)) {
                        return;
                    }
                    let outcome = run(&options(arguments, seed, false));
                    if arguments.twice && run(&options(arguments, seed, false)).hash != outcome.hash {
                        failed.fetch_add(1, Ordering::Relaxed);
                        println!("seed {seed}: two runs differ");
                    }
                    events.fetch_add(outcome.events, Ordering::Relaxed);
                    commits.fetch_add(outcome.commits, Ordering::Relaxed);
                    seconds.fetch_add(outcome.virtual_seconds, Ordering::Relaxed);
                    if let Some(violation) = outcome.violation {
                        failed.fetch_add(1, Ordering::Relaxed);
                        found.store(true, Ordering::Relaxed);
                        println!("seed {seed}: {}: {}", violation.check, violation.text);
                    }
                }
            });
        }
    });
    let (failed, events) = (failed.into_inner(), events.into_inner());
    let took = started.elapsed();
    println!(
        "{} seeds, {failed} failed, {events} events, {} commits, {} virtual hours in {:.1} s on {jobs} threads",
        arguments.seeds.end - arguments.seeds.start,
        commits.into_inner(),
        seconds.into_inner() / 3600,
        took.as_secs_f32()
    );
    match (arguments.bug, failed) {
        (None, 0) => Ok(()),
        (None, _) => bail!("{failed} seeds failed; `cargo xtask sim --seed N` shows one"),
        (Some(bug), 0) => bail!("{bug:?} was not found"),
        (Some(_), _) => Ok(()),
    }
}

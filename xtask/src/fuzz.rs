//! `cargo xtask fuzz`: builds the fuzz targets so that libFuzzer sees their branches, runs them, and keeps what is worth it.

use crate::{shell, terminal};
use anyhow::{Context, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What libFuzzer needs to see of a program. These are the compiler's own passes, so that the stable one will do.
const INSTRUMENTATION: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";
/// A larger case is not kept in the tree.
const CASE_BYTES_MAX: u64 = 4 << 10;

#[derive(clap::Args)]
pub struct Args {
    /// Targets to run; all of them when none is named
    targets: Vec<String>,
    /// How long each target runs
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// How many run at a time
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Name the targets and what their corpora hold, and run nothing
    #[arg(long)]
    list: bool,
    /// Leave fuzz/corpus as it is
    #[arg(long)]
    no_keep: bool,
}

/// Where the targets, their corpora and what is built of them are.
struct Place {
    root: PathBuf,
    triple: String,
}

/// A target under way.
struct Run {
    target: String,
    child: Child,
    began: Instant,
}

pub fn run(args: Args) -> anyhow::Result<()> {
    let place = Place {
        root: longshore_tests::root().join("fuzz"),
        triple: format!("{}-unknown-linux-gnu", std::env::consts::ARCH),
    };
    let known = place.targets()?;
    if args.list {
        for target in &known {
            let cases = read_pack(&place.pack(target))?;
            let bytes: usize = cases.iter().map(Vec::len).sum();
            println!("{target:<14}{:>6} cases {bytes:>8} bytes", cases.len());
        }
        return Ok(());
    }
    if let Some(unknown) = args.targets.iter().find(|target| !known.contains(target)) {
        bail!("there is no target `{unknown}`: {}", known.join(", "));
    }
    let wanted = if args.targets.is_empty() { known } else { args.targets.clone() };
    place.build(&wanted)?;
    println!(
        "| target | executions | seconds | edges | features | cases kept | findings |\n|---|---|---|---|---|---|---|"
    );
    let (mut waiting, mut running, mut found) = (wanted.into_iter(), Vec::<Run>::new(), 0);
    loop {
        while running.len() < args.jobs.max(1)
            && let Some(target) = waiting.next()
        {
            running.push(place.start(target, args.seconds)?);
        }
        if running.is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
        let mut still = Vec::new();
        for mut run in running {
            match run.child.try_wait()? {
                None => still.push(run),
                Some(_) => found += place.finish(&run, !args.no_keep)?,
            }
        }
        running = still;
    }
    if found > 0 {
        bail!(
            "{found} findings. Each lies in fuzz/regressions now, where `cargo nextest run -p longshore-fuzz-targets` fails \
             on it; write a test that names what is wrong in the crate concerned"
        );
    }
    Ok(())
}

impl Place {
    fn targets(&self) -> anyhow::Result<Vec<String>> {
        let programs = self.root.join("src/bin");
        let entries = fs::read_dir(&programs).with_context(|| format!("list {}", programs.display()))?;
        let mut names: Vec<String> =
            entries.flatten().filter_map(|entry| Some(entry.path().file_stem()?.to_str()?.to_owned())).collect();
        names.sort();
        Ok(names)
    }

    /// Cases of the tree, in one file: they are many and tiny.
    fn pack(&self, target: &str) -> PathBuf {
        self.root.join("corpus").join(target)
    }

    /// Those, and what runs on this machine added.
    fn grown(&self, target: &str) -> PathBuf {
        self.root.join("target/corpus").join(target)
    }

    /// What once failed, one file each: regression tests.
    fn regressions(&self) -> PathBuf {
        self.root.join("regressions")
    }

    fn findings(&self, target: &str) -> PathBuf {
        self.root.join("target/findings").join(target)
    }

    fn log(&self, target: &str) -> PathBuf {
        self.root.join("target").join(format!("{target}.log"))
    }

    fn program(&self, target: &str) -> PathBuf {
        self.root.join("target").join(&self.triple).join("fuzz").join(target)
    }

    fn build(&self, targets: &[String]) -> anyhow::Result<()> {
        let mut cargo = shell::cargo();
        cargo
            .current_dir(&self.root)
            .env("RUSTFLAGS", INSTRUMENTATION)
            .env("CARGO_TARGET_DIR", self.root.join("target"));
        // Given a target, cargo does not instrument build scripts and macros.
        cargo.args(["build", "--profile", "fuzz", "--target", &self.triple]);
        for target in targets {
            cargo.args(["--bin", target]);
        }
        shell::run(&mut cargo)
    }

    fn fuzzer(&self, target: &str) -> anyhow::Result<Command> {
        let findings = self.findings(target);
        fs::create_dir_all(&findings)?;
        let mut command = Command::new(self.program(target));
        command.current_dir(&self.root).args(["-timeout=5", "-rss_limit_mb=2048", "-max_len=8192"]);
        command.arg(format!("-artifact_prefix={}/", findings.display()));
        Ok(command)
    }

    fn start(&self, target: String, seconds: u64) -> anyhow::Result<Run> {
        let grown = self.grown(&target);
        fs::create_dir_all(&grown)?;
        for (number, case) in read_pack(&self.pack(&target))?.iter().enumerate() {
            fs::write(grown.join(format!("kept-{number}")), case)?;
        }
        let mut command = self.fuzzer(&target)?;
        command.arg(format!("-max_total_time={seconds}")).arg("-print_final_stats=1").arg(grown);
        let dictionary = self.root.join("dict").join(format!("{target}.dict"));
        if dictionary.is_file() {
            command.arg(format!("-dict={}", dictionary.display()));
        }
        let log = fs::File::create(self.log(&target))?;
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().context("start a fuzzer")?;
        Ok(Run { target, child, began: Instant::now() })
    }

    /// Reports a run that has ended; returns how many findings it made.
    fn finish(&self, run: &Run, keep: bool) -> anyhow::Result<usize> {
        let target = &run.target;
        // What follows is not fuzzing.
        let seconds = run.began.elapsed().as_secs();
        let log = fs::read(self.log(target))?;
        let numbers = Numbers::read(&String::from_utf8_lossy(&log));
        let mut found = Vec::new();
        for entry in fs::read_dir(self.findings(target))?.flatten() {
            found.push(self.take_finding(target, &entry.path())?);
        }
        if keep && found.is_empty() {
            self.keep(target)?;
        }
        let cases = read_pack(&self.pack(target))?.len();
        println!(
            "| {target} | {} | {seconds} | {} | {} | {cases} | {} |",
            numbers.executions,
            numbers.edges,
            numbers.features,
            found.len()
        );
        for case in &found {
            terminal::failure(&format!("{target}: {} (see {})", case.display(), self.log(target).display()));
        }
        Ok(found.len())
    }

    /// Makes a finding small and puts it where the workspace's tests meet it.
    fn take_finding(&self, target: &str, finding: &Path) -> anyhow::Result<PathBuf> {
        let small = self.root.join("target").join(format!("{target}.small"));
        let mut command = self.fuzzer(target)?;
        command.args(["-minimize_crash=1", "-max_total_time=30"]);
        command.arg(format!("-exact_artifact_path={}", small.display())).arg(finding);
        let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        let name = finding.file_name().unwrap_or_default().to_string_lossy();
        fs::create_dir_all(self.regressions())?;
        let case = self.regressions().join(format!("{target}-{name}"));
        // It is empty when the time was over while it was written.
        let is_whole = fs::metadata(&small).is_ok_and(|file| file.len() > 0);
        fs::copy(if is_whole { &small } else { finding }, &case)?;
        let _ = fs::remove_file(&small);
        fs::remove_file(finding)?;
        Ok(case)
    }

    /// Replaces the tree's corpus by the smallest cases that reach every edge that all that is known reaches.
    fn keep(&self, target: &str) -> anyhow::Result<()> {
        let merged = self.root.join("target").join(format!("{target}.merged"));
        let _ = fs::remove_dir_all(&merged);
        fs::create_dir_all(&merged)?;
        let mut command = self.fuzzer(target)?;
        // How often an edge is passed does not matter here: thousands of cases differ in nothing else.
        command.args(["-merge=1", "-use_counters=0"]).arg(&merged).arg(self.grown(target));
        shell::run(command.stdout(Stdio::null()).stderr(Stdio::null()))?;
        let mut cases = Vec::new();
        for entry in fs::read_dir(&merged)?.flatten() {
            if entry.metadata()?.len() <= CASE_BYTES_MAX {
                cases.push(fs::read(entry.path())?);
            }
        }
        fs::remove_dir_all(&merged)?;
        cases.sort();
        let pack = self.pack(target);
        fs::create_dir_all(self.root.join("corpus"))?;
        fs::write(&pack, write_pack(&cases)).with_context(|| format!("write {}", pack.display()))
    }
}

/// Cases in one file: each after its length, four bytes, the highest first. The tests of `longshore-fuzz-targets` read it, too.
fn write_pack(cases: &[Vec<u8>]) -> Vec<u8> {
    let mut pack = Vec::new();
    for case in cases {
        let length = u32::try_from(case.len()).expect("a case has at most 4 KiB");
        pack.extend_from_slice(&length.to_be_bytes());
        pack.extend_from_slice(case);
    }
    pack
}

/// The cases of a file; none where there is no file.
fn read_pack(path: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let Ok(pack) = fs::read(path) else { return Ok(Vec::new()) };
    split_pack(&pack).with_context(|| format!("{} is torn", path.display()))
}

fn split_pack(mut pack: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut cases = Vec::new();
    while let Some((length, rest)) = pack.split_first_chunk() {
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        cases.push(rest.get(..length)?.to_vec());
        pack = &rest[length..];
    }
    pack.is_empty().then_some(cases)
}

/// What a fuzzer said last.
#[derive(Debug, Default, PartialEq)]
struct Numbers {
    executions: u64,
    edges: u64,
    features: u64,
}

impl Numbers {
    /// Reads a log: `#4096 NEW cov: 10 ft: 20 …`, and at the end `stat::number_of_executed_units: 5000`.
    fn read(log: &str) -> Numbers {
        let mut numbers = Numbers::default();
        for line in log.lines() {
            let mut words = line.split_whitespace();
            while let Some(word) = words.next() {
                let into = match word {
                    "stat::number_of_executed_units:" => &mut numbers.executions,
                    "cov:" => &mut numbers.edges,
                    "ft:" => &mut numbers.features,
                    _ => continue,
                };
                *into = words.next().and_then(|number| number.parse().ok()).unwrap_or(*into);
            }
        }
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pack_gives_back_its_cases() {
        let cases = vec![Vec::new(), b"a".to_vec(), vec![0xff; 300]];
        let pack = write_pack(&cases);
        assert_eq!(split_pack(&pack), Some(cases));
        assert_eq!(split_pack(&pack[..pack.len() - 1]), None);
    }

    #[test]
    fn the_last_numbers_of_a_log_count() {
        let log = "#2\tINITED cov: 1 ft: 2 corp: 1/1b\n#9\tNEW    cov: 30 ft: 40 corp: 2/9b\nstat::number_of_executed_units: 77\n";
        assert_eq!(Numbers::read(log), Numbers { executions: 77, edges: 30, features: 40 });
    }
}

//! `cargo xtask test`: everything that can be checked, from a bare clone.

use crate::machine::{self, Need};
use crate::{build, codegen, shell, terminal};
use anyhow::{Context, bail};
use std::io::{BufRead, BufReader};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

#[derive(clap::Args)]
pub struct Args {
    /// Only the end-to-end tests whose names contain this; nothing else
    #[arg(long)]
    only: Option<String>,
    /// The release binary for the end-to-end tests
    #[arg(long)]
    release: bool,
}

#[derive(Default)]
struct Tally {
    passed: u32,
    failed: u32,
    /// What failed, as one can name it to run it again.
    names: Vec<String>,
}

pub fn run(args: Args) -> anyhow::Result<()> {
    let started = Instant::now();
    terminal::step("What the tests need");
    machine::install(&[
        machine::COMPILER,
        machine::STATIC_LIBC,
        machine::BUSYBOX,
        machine::NFT,
        machine::IP,
        machine::SKOPEO,
        machine::RUNC,
        machine::CURL,
        Need { program: "iptables", package: "iptables" },
        Need { program: "bzip2", package: "bzip2" },
        Need { program: "xz", package: "xz-utils" },
        Need { program: "/usr/bin/aws", package: "awscli" },
    ])?;
    let venv = machine::venv(&["awscli"])?;
    if !shell::is_root() {
        shell::run(Command::new("sudo").arg("--validate"))?;
    }

    let mut tally = Tally::default();
    if args.only.is_none() {
        terminal::step("Generated code is what the models say");
        match codegen::run(codegen::Args { check: true }) {
            Ok(()) => tally.passed += 1,
            Err(error) => {
                tally.failed += 1;
                tally.names.push(format!("cargo xtask codegen --check: {error:#}"));
            }
        }
        terminal::step("Unit and integration tests of every crate");
        let mut cargo = shell::cargo();
        cargo.args(["test", "--workspace", "--exclude", "longshore-tests", "--no-fail-fast"]);
        // Binaries that integration tests start by their path.
        tests_as_root(&mut cargo)?;
        tally.add(&mut cargo, "cargo test --workspace")?;
    }

    terminal::step("The product, end to end");
    let binary = if args.release { build::release()? } else { build::debug()? };
    shell::run(shell::cargo().args(["test", "--package", "longshore-tests", "--no-run"]))?;
    let mut cargo = shell::cargo();
    cargo.args(["test", "--package", "longshore-tests", "--test", "e2e", "--"]);
    cargo.args(&args.only);
    cargo.env("LONGSHORE_TEST_BINARY", &binary).env("LONGSHORE_TEST_AWS", venv.join("bin/aws"));
    tests_as_root(&mut cargo)?;
    tally.add(&mut cargo, "the end-to-end tests")?;

    if !tally.names.is_empty() {
        println!("\nfailed:");
        for name in &tally.names {
            println!("  {name}");
        }
    }
    println!("\n{} passed, {} failed ({} min)", tally.passed, tally.failed, started.elapsed().as_secs().div_ceil(60));
    if tally.failed > 0 {
        bail!("{} failed", tally.failed);
    }
    Ok(())
}

/// Test programs run as root, for they mount and make namespaces; what builds them does not.
fn tests_as_root(cargo: &mut Command) -> anyhow::Result<()> {
    if !shell::is_root() {
        let triple = build::host()?.to_uppercase().replace('-', "_");
        cargo.env(format!("CARGO_TARGET_{triple}_RUNNER"), "sudo --preserve-env --");
    }
    Ok(())
}

impl Tally {
    /// Runs a command that prints as Rust's test harness does, shows it, and counts.
    fn add(&mut self, command: &mut Command, what: &str) -> anyhow::Result<()> {
        let mut child =
            command.stdout(Stdio::piped()).spawn().with_context(|| format!("start {}", shell::display(command)))?;
        let output = child.stdout.take().context("the child's output is a pipe")?;
        let failed_before = self.failed;
        for line in BufReader::new(output).split(b'\n') {
            let line = String::from_utf8_lossy(&line?).into_owned();
            println!("{line}");
            self.count(&line);
        }
        let status: ExitStatus = child.wait()?;
        // A test program that does not compile or crashes prints no result.
        if !status.success() && self.failed == failed_before {
            self.failed += 1;
            self.names.push(format!("{what}: {status}"));
        }
        Ok(())
    }

    fn count(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix("test ")
            && let Some(name) = rest.strip_suffix(" ... FAILED")
        {
            self.names.push(name.to_owned());
        }
        let Some(rest) = line.strip_prefix("test result: ") else { return };
        let number = |word: &str| {
            let before = rest.split(word).next()?.trim_end();
            before.rsplit([' ', ';']).next()?.parse::<u32>().ok()
        };
        self.passed += number(" passed").unwrap_or(0);
        self.failed += number(" failed").unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_the_harness_are_counted() {
        let mut tally = Tally::default();
        tally.count(
            "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.52s",
        );
        tally.count("test store::tests::a_name ... FAILED");
        tally.count("test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s");
        assert_eq!((tally.passed, tally.failed), (17, 3));
        assert_eq!(tally.names, ["store::tests::a_name"]);
    }
}

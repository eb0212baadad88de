//! The `longshore` binary: every role of it.
//!
//! `longshore task` comes first and alone: a supervisor is single-threaded and small, and none of what follows may run
//! before it.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod agent;
mod agent_link;
mod balancer;
mod balancer_link;
mod body;
mod browser;
mod buckets;
mod build_output;
mod build_step;
mod catalogue;
mod cli;
mod config;
mod credentials;
mod data_dir;
mod doctor;
mod down;
mod edge;
mod env;
mod hosts;
mod image;
mod peer;
mod process;
mod serve;
mod simulated;
mod status;
mod survivors;
mod task_protection;
mod threads;
mod tls_keys;
mod up;
mod upstream;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    // Roles and supervisors are started by another path of this program (see `process::OWN_PROGRAM`), which tells nobody
    // anything in a list of processes.
    let _ = rustix::thread::set_name(c"longshore");
    if let Some(code) = longshore_runtime::supervisor::run_if_asked() {
        return code;
    }
    // What is for root's eyes alone says so where it is made; all else is for `status` and `env` of other users, and for
    // whoever resolves names, also where root's umask is tighter.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let cli = cli::Cli::parse();
    process::start_logging(cli.verbose);
    match cli.run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("longshore: {}", told(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error with its causes, without those that the text before them already ends with.
fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        match text.is_empty() {
            true => text = cause,
            false if text.ends_with(&cause) => {}
            false => text = format!("{text}: {cause}"),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::told;

    #[test]
    fn a_cause_that_is_told_already_is_not_told_again() {
        let error = anyhow::anyhow!("no such host").context("cannot use image a: no such host").context("line 1");
        assert_eq!(told(&error), "line 1: cannot use image a: no such host");
    }
}

//! The `longshore` binary: every role of it.
//!
//! `longshore task` comes first and alone: a supervisor is single-threaded and small, and none of what follows may run
//! before it.

mod agent;
mod agent_link;
mod balancer;
mod balancer_link;
mod buckets;
mod build_output;
mod build_step;
mod catalogue;
mod cli;
mod config;
mod credentials;
mod doctor;
mod down;
mod edge;
mod env;
mod hosts;
mod image;
mod process;
mod serve;
mod simulated;
mod status;
mod task_protection;
mod threads;
mod tls_keys;
mod up;
mod upstream;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(code) = longshore_runtime::supervisor::run_if_asked() {
        return code;
    }
    let cli = cli::Cli::parse();
    process::start_logging(cli.verbose);
    match cli.run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("longshore: {error:#}");
            ExitCode::FAILURE
        }
    }
}

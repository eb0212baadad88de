//! Developer commands: `cargo xtask <command>`.

use clap::{Parser, Subcommand};

mod bench;
mod build;
mod codegen;
mod demo;
mod fuzz;
mod guest;
mod machine;
mod shell;
mod sim;
mod soak;
mod terminal;
mod test;

#[derive(Parser)]
#[command(about = "Developer commands of Longshore")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build Longshore and watch a service of two tasks come up behind a load balancer
    Demo(demo::Args),
    /// Check everything: generated code, unit and integration tests, the whole product end to end
    Test(test::Args),
    /// Build the release binary, static, and print its path
    Build,
    /// Measure against Docker, runc, nginx and haproxy; write docs/benchmarks.md
    Bench(bench::Args),
    /// Random calls, requests and kills of every process for a while; then look for what leaked or was lost
    Soak(soak::Args),
    /// Run the runtime's tests on Debian's kernel with cgroup version 2, in an emulated machine
    Guest(guest::Args),
    /// Run the control plane and the agent on a virtual clock under faults
    Sim(sim::Args),
    /// Give every parser of foreign bytes what a fuzzer makes up; keep the cases that reach far
    Fuzz(fuzz::Args),
    /// Write crates/aws-model/src/generated from models/
    Codegen(codegen::Args),
}

fn main() -> std::process::ExitCode {
    let result = match Args::parse().command {
        Command::Demo(args) => demo::run(args),
        Command::Test(args) => test::run(args),
        Command::Build => build::run(),
        Command::Bench(args) => bench::run(args),
        Command::Soak(args) => soak::run(args),
        Command::Guest(args) => guest::run(args),
        Command::Sim(args) => sim::run(args),
        Command::Fuzz(args) => fuzz::run(args),
        Command::Codegen(args) => codegen::run(args),
    };
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            terminal::failure(&format!("{error:#}"));
            std::process::ExitCode::FAILURE
        }
    }
}

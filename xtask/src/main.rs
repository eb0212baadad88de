//! Developer commands: `cargo xtask <command>`.

use clap::{Parser, Subcommand};

mod codegen;

#[derive(Parser)]
#[command(about = "Developer commands of Longshore")]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write crates/aws-model/src/generated from models/
    Codegen(codegen::Args),
}

fn main() -> anyhow::Result<()> {
    match Args::parse().command {
        Command::Codegen(args) => codegen::run(args),
    }
}

//! `cargo xtask sim`: the simulator, built with optimization and all assertions, with its own arguments.

use crate::shell;
use anyhow::bail;

#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub struct Args {
    /// `--seed N`, `--seeds A..B`, `--for 4m`, `--bug NAME`, `--trace`, `--jobs N`, `--twice`; see `cargo xtask sim --help`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
    /// The unoptimized build, which is made sooner
    #[arg(long)]
    debug: bool,
}

pub fn run(args: Args) -> anyhow::Result<()> {
    let mut cargo = shell::cargo();
    cargo.args(["run", "--quiet", "--package", "longshore-sim"]);
    if !args.debug {
        cargo.args(["--profile", "sim"]);
    }
    let status = cargo.arg("--").args(args.arguments).status()?;
    if !status.success() {
        bail!("the simulation found something");
    }
    Ok(())
}

//! `cargo xtask build`: the release binary, static and not position-independent.
//!
//! Static, because one file is then the whole installation and a supervisor shares no library pages it must relocate.
//! At a fixed address, because relocations would make pages of data private to each of many supervisors.

use crate::{machine, shell};
use anyhow::Context;
use std::path::PathBuf;

pub fn run() -> anyhow::Result<()> {
    println!("{}", release()?.display());
    Ok(())
}

/// Builds it, with cargo's progress on standard error: its path.
pub fn release() -> anyhow::Result<PathBuf> {
    machine::install(&[machine::COMPILER, machine::STATIC_LIBC])?;
    let triple = host()?;
    let variable = format!("CARGO_TARGET_{}_RUSTFLAGS", triple.to_uppercase().replace('-', "_"));
    let mut cargo = shell::cargo();
    cargo.args(["build", "--release", "--package", "longshore-server", "--target", &triple]);
    // Build scripts and procedural macros are for the host and take no part: that is what --target says.
    cargo.env(variable, "-C target-feature=+crt-static -C relocation-model=static").env_remove("RUSTFLAGS");
    shell::run(&mut cargo)?;
    Ok(longshore_tests::target_dir().join(triple).join("release/longshore"))
}

/// Builds the debug binary, which shares everything with the tests.
pub fn debug() -> anyhow::Result<PathBuf> {
    shell::run(shell::cargo().args(["build", "--package", "longshore-server"]))?;
    Ok(longshore_tests::target_dir().join("debug/longshore"))
}

/// The host's triple, such as x86_64-unknown-linux-gnu.
pub fn host() -> anyhow::Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let text = shell::read(std::process::Command::new(rustc).arg("-vV"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned).context("rustc -vV names no host")
}

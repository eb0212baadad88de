//! Running `nft` for what changes seldom: chains and rules.

use std::io::{self, Write};
use std::process::{Command, Stdio};

/// `nft` could not be run, or refused the script.
#[derive(Debug, thiserror::Error)]
pub enum NftError {
    #[error("run `nft`: is nftables installed?")]
    Run(#[source] io::Error),
    #[error("nft refused the ruleset: {0}")]
    Refused(String),
}

/// Runs a script in the calling thread's network namespace, as one transaction.
pub fn run(script: &str) -> Result<(), NftError> {
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(NftError::Run)?;
    // nft reads all of its input before it writes a line, so writing first cannot block for ever. A child that died
    // early breaks the pipe; its status says more than that.
    let written = child.stdin.take().expect("stdin was asked to be a pipe").write_all(script.as_bytes());
    let output = child.wait_with_output().map_err(NftError::Run)?;
    if !output.status.success() {
        return Err(NftError::Refused(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    written.map_err(NftError::Run)
}

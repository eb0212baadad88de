//! `longshore task` alone, for this crate's tests and for measurements: `longshore-task task <directory>`.

use std::process::ExitCode;

fn main() -> ExitCode {
    longshore_runtime::supervisor::run_if_asked().unwrap_or_else(|| {
        eprintln!("usage: longshore-task task <directory> [--wait-spec]");
        ExitCode::from(2)
    })
}

//! Processes: logging, signals, pid files, children.

use anyhow::Context;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use tracing_subscriber::EnvFilter;

pub fn start_logging(verbose: bool) {
    let default = if verbose { "debug,hyper=info,rtnetlink=info" } else { "info" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let ansi = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(ansi).init();
}

/// Ends when the process is asked to.
pub async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

pub fn current_thread() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the event loop")
}

/// This process's own program, whatever is at its path by now: what replaces it there serves from the next `up` on.
pub const OWN_PROGRAM: &str = "/proc/self/exe";

/// A role of this binary.
fn role_command(role: &str, run_dir: &Path) -> Command {
    let mut command = Command::new(OWN_PROGRAM);
    command.arg0(std::env::args_os().next().unwrap_or_else(|| "longshore".into()));
    command.arg(role).arg(run_dir).stdin(Stdio::null());
    command
}

/// A role as a child that dies with its parent.
pub fn dependent(role: &str, run_dir: &Path) -> Command {
    let mut command = role_command(role, run_dir);
    // SAFETY: prctl is async-signal-safe, and the closure touches no memory of the parent.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            // Ctrl-C in the terminal is for `up`, which then ends its children in order.
            libc::setpgid(0, 0);
            Ok(())
        });
    }
    command
}

/// A log that is larger when a role starts is put aside, in the place of the one before.
const LOG_BYTES_MAX: u64 = 16 << 20;

/// A role that goes on without its parent, logging to `log`.
pub fn independent(role: &str, run_dir: &Path, log: &Path) -> anyhow::Result<Command> {
    if std::fs::metadata(log).is_ok_and(|metadata| metadata.len() > LOG_BYTES_MAX) {
        let _ = std::fs::rename(log, log.with_extension("log.1"));
    }
    let log = File::options()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("cannot open {}", log.display()))?;
    let mut command = role_command(role, run_dir);
    command.stdout(Stdio::null()).stderr(log);
    // SAFETY: setsid is async-signal-safe, and the closure touches no memory of the parent.
    unsafe {
        command.pre_exec(|| {
            libc::setsid();
            Ok(())
        });
    }
    Ok(command)
}

/// Writes this process's number and start time to `<run>/<role>.pid`.
pub fn write_pid(run_dir: &Path, role: &str) -> anyhow::Result<()> {
    let pid = std::process::id();
    let ticks = start_ticks(pid).unwrap_or(0);
    let path = run_dir.join(format!("{role}.pid"));
    std::fs::write(&path, format!("{pid} {ticks}\n")).with_context(|| format!("cannot write {}", path.display()))
}

/// The living process of a role, if there is one: its number may be another process's by now, the start time tells.
pub fn read_pid(run_dir: &Path, role: &str) -> Option<u32> {
    let text = std::fs::read_to_string(run_dir.join(format!("{role}.pid"))).ok()?;
    let (pid, ticks) = text.trim().split_once(' ')?;
    let pid = pid.parse().ok()?;
    (start_ticks(pid)? == ticks.parse::<u64>().ok()?).then_some(pid)
}

/// Field 22 of /proc/<pid>/stat; `None` for a process that is gone or a zombie.
fn start_ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

pub fn kill(pid: u32, signal: rustix::process::Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Waits until a role has ended; false if it has not within `seconds`.
pub fn wait_gone(run_dir: &Path, role: &str, seconds: u64) -> bool {
    for _ in 0..seconds * 50 {
        if read_pid(run_dir, role).is_none() {
            return true;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    read_pid(run_dir, role).is_none()
}

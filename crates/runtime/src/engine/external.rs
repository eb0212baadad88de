//! An external OCI runtime with runc's command line (`runc`, `crun`).
//!
//! The supervisor is a child subreaper, so that process 1, which the runtime leaves behind, becomes its child.

use super::bundle::Bundle;
use super::{Created, Engine, Executed, Failure, Job, Output, Starting};
use crate::sys::{self, Pid};
use serde_json::Value;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// See [`Engine`].
#[derive(Debug)]
pub struct External {
    program: PathBuf,
    /// The runtime's own state (`--root`).
    root: PathBuf,
    serial: u64,
}

impl External {
    pub fn new(program: &Path, directory: &Path) -> Self {
        External { program: program.to_owned(), root: directory.to_owned(), serial: 0 }
    }

    fn command(&self, log: &Path) -> Command {
        let mut command = Command::new(&self.program);
        // The runtime may look for helpers, and must not pass on anything else of ours.
        command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.arg("--root").arg(&self.root).arg("--log").arg(log).args(["--log-format", "json"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn spawn(&mut self, mut command: Command) -> io::Result<Job> {
        let child = command.spawn()?;
        // Dropping the handle neither kills nor reaps it.
        Ok(Job { pid: child.id() as Pid, report: None, executed: None, serial: self.serial })
    }

    fn exec_file(&self, bundle: &Bundle, serial: u64, name: &str) -> PathBuf {
        bundle.directory.join(format!("exec-{serial}.{name}"))
    }
}

fn log(bundle: &Bundle) -> PathBuf {
    bundle.directory.join("runtime.log")
}

fn pid_file(bundle: &Bundle) -> PathBuf {
    bundle.directory.join("pid")
}

fn read_pid(path: &Path) -> Option<Pid> {
    sys::read_text(path, 32).ok()?.trim().parse().ok()
}

/// The last error that the runtime logged.
fn failure(log: &Path, what: &str, status: i32) -> Failure {
    let text = sys::read_text(log, 64 << 10).unwrap_or_default();
    let message = text
        .lines()
        .rev()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|entry| entry["level"] == "error" || entry["level"] == "fatal")
        .and_then(|entry| entry["msg"].as_str().map(str::to_owned));
    match message {
        // `runc create failed: unable to start container process: exec: "nope": …`: the end is what helps.
        Some(message) => Failure::new(message.find("exec: ").map_or(message.as_str(), |at| &message[at..])),
        None => Failure::new(format!("the runtime's {what} ended with {}", sys::exit_code(status))),
    }
}

impl Engine for External {
    fn create(&mut self, bundle: &Bundle, output: Output) -> io::Result<Job> {
        std::fs::create_dir_all(&self.root)?;
        let _ = std::fs::remove_file(log(bundle));
        let mut command = self.command(&log(bundle));
        command.arg("create").arg("--bundle").arg(&bundle.directory).arg("--pid-file").arg(pid_file(bundle));
        match output {
            Output::Pipes { stdin, stdout, stderr } => {
                if let Some(stdin) = stdin {
                    command.stdin(stdin);
                }
                command.stdout(stdout).stderr(stderr);
            }
            Output::Terminal => {
                // Relative, because socket addresses are short.
                command.current_dir(&bundle.directory).args(["--console-socket", Bundle::CONSOLE_SOCKET]);
            }
        }
        command.arg(&bundle.id);
        self.spawn(command)
    }

    fn created(&mut self, bundle: &Bundle, _: Job, status: i32) -> Result<Created, Failure> {
        match read_pid(&pid_file(bundle)) {
            Some(pid) if status == 0 => Ok(Created { pid, executed: None }),
            _ => Err(failure(&log(bundle), "create", status)),
        }
    }

    fn start(&mut self, bundle: &Bundle, _: Created) -> io::Result<Starting> {
        let mut command = self.command(&log(bundle));
        command.arg("start").arg(&bundle.id);
        self.spawn(command).map(Starting::Job)
    }

    fn started(&mut self, bundle: &Bundle, _: Job, status: i32) -> Result<(), Failure> {
        if status == 0 { Ok(()) } else { Err(failure(&log(bundle), "start", status)) }
    }

    fn exec(&mut self, bundle: &Bundle, _: Pid, argv: &[String], output: OwnedFd) -> io::Result<Job> {
        self.serial += 1;
        let process = self.exec_file(bundle, self.serial, "json");
        std::fs::write(&process, serde_json::to_vec(&bundle.process_for(argv)?)?)?;
        let mut command = self.command(&self.exec_file(bundle, self.serial, "log"));
        command.arg("exec").arg("--process").arg(&process);
        command.arg("--pid-file").arg(self.exec_file(bundle, self.serial, "pid")).arg(&bundle.id);
        command.stdout(output.try_clone()?).stderr(output);
        self.spawn(command)
    }

    fn executed(&mut self, bundle: &Bundle, job: Job, status: i32) -> Result<Executed, Failure> {
        let log = self.exec_file(bundle, job.serial, "log");
        let ran = read_pid(&self.exec_file(bundle, job.serial, "pid")).is_some();
        let failure = failure(&log, "exec", status);
        for name in ["json", "log", "pid"] {
            let _ = std::fs::remove_file(self.exec_file(bundle, job.serial, name));
        }
        if ran { Ok(Executed::Ended { exit_code: sys::exit_code(status) }) } else { Err(failure) }
    }

    fn abandon(&mut self, bundle: &Bundle, job: &Job) {
        if let Some(pid) = read_pid(&self.exec_file(bundle, job.serial, "pid")) {
            let _ = sys::kill(pid, libc::SIGKILL);
        }
        let _ = sys::kill(job.pid, libc::SIGKILL);
    }

    fn signal(&mut self, bundle: &Bundle, _: Pid, signal: i32) -> io::Result<()> {
        // Not by kill(2): in a sandboxed runtime the pid is not the program's.
        let mut command = self.command(&log(bundle));
        command.arg("kill").arg(&bundle.id).arg(signal.to_string());
        self.spawn(command).map(drop)
    }

    fn delete(&mut self, bundle: &Bundle) {
        let mut command = self.command(&log(bundle));
        let _ = command.arg("delete").arg("--force").arg(&bundle.id).status();
        let _ = std::fs::remove_file(pid_file(bundle));
    }
}

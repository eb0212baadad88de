//! Making containers: the embedded OCI runtime, or an external one with runc's command line.
//!
//! Nothing here waits. What takes time is a [`Job`], a child process; when it has ended, the supervisor hands its status
//! back and learns the outcome. So one loop can drive many containers, and neither the supervisor's memory nor its
//! namespaces are touched by the work.
//!
//! ```text
//! create ─▶ Job ─▶ created ─▶ Created ─▶ start ─▶ Starting ─▶ (running)       exec ─▶ Job ─▶ executed ─▶ Executed
//! ```

pub mod bundle;
mod cgroup_view;
pub mod embedded;
pub mod external;
mod init;
mod payload;

use crate::cgroup::Hierarchies;
use crate::spec::RuntimeChoice;
use crate::sys::Pid;
use bundle::Bundle;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// The small init that [`bundle::INIT_PATH`] is, as an executable file.
pub fn init_image() -> Vec<u8> {
    init::image()
}

/// The process that a PID namespace shared by containers begins with, as an executable file.
pub fn pause_image() -> Vec<u8> {
    init::pause()
}

/// A child process of the supervisor that works for the engine.
#[derive(Debug)]
pub struct Job {
    /// Reaped by the supervisor's loop.
    pub pid: Pid,
    /// What it has to say, to be read after its end.
    report: Option<OwnedFd>,
    /// Tells whether the container's command could be executed, later.
    executed: Option<OwnedFd>,
    /// Distinguishes the files of this job from those of others.
    serial: u64,
}

/// A container whose process 1 exists but does not run the command yet.
#[derive(Debug)]
pub struct Created {
    /// A child of the supervisor.
    pub pid: Pid,
    executed: Option<OwnedFd>,
}

/// The start has been asked for.
#[derive(Debug)]
pub enum Starting {
    /// The container runs when this closes without a word; a word is the reason why it does not ([`Failure::parse`]).
    Report(OwnedFd),
    /// The container runs when this job succeeds.
    Job(Job),
}

/// A process beside the container's first.
#[derive(Debug, PartialEq, Eq)]
pub enum Executed {
    /// It runs, as a child of the supervisor.
    Child(Pid),
    /// It ran and ended.
    Ended { exit_code: i32 },
}

/// Why a command does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// For people; names the command.
    pub text: String,
    /// What a shell would return: 127 not found, 126 not executable. Only when the process got as far as executing.
    pub exit_code: Option<i32>,
}

impl Failure {
    pub fn new(text: impl Into<String>) -> Self {
        Failure { text: text.into(), exit_code: None }
    }

    /// `<exit code or ->` space `<text>`, as the payload writes it.
    pub fn parse(line: &str) -> Self {
        match line.split_once(' ') {
            Some((code, text)) => Failure { text: text.trim().to_owned(), exit_code: code.parse().ok() },
            None => Failure::new(line.trim()),
        }
    }
}

/// Where the output of a process goes, and its input comes from.
#[derive(Debug)]
pub enum Output {
    Pipes {
        /// `/dev/null` when absent.
        stdin: Option<OwnedFd>,
        stdout: OwnedFd,
        stderr: OwnedFd,
    },
    /// A terminal, whose other side the engine sends to this bundle's console socket ([`Bundle::console_socket`]).
    Terminal,
}

/// See the module's text for the order of calls.
pub trait Engine {
    /// Begins to make the container of a written bundle.
    fn create(&mut self, bundle: &Bundle, output: Output) -> io::Result<Job>;

    /// Outcome of [`Engine::create`], given what `wait` said about the job.
    fn created(&mut self, bundle: &Bundle, job: Job, status: i32) -> Result<Created, Failure>;

    /// Lets a created container run its command.
    fn start(&mut self, bundle: &Bundle, created: Created) -> io::Result<Starting>;

    /// Outcome of the job of [`Starting::Job`].
    fn started(&mut self, bundle: &Bundle, job: Job, status: i32) -> Result<(), Failure>;

    /// Begins to run `argv` in a running container, with the container's user, environment and confinement.
    fn exec(&mut self, bundle: &Bundle, init: Pid, argv: &[String], output: OwnedFd) -> io::Result<Job>;

    /// Outcome of [`Engine::exec`].
    fn executed(&mut self, bundle: &Bundle, job: Job, status: i32) -> Result<Executed, Failure>;

    /// Ends what a job of [`Engine::exec`] has started so far; the job itself ends soon after.
    fn abandon(&mut self, bundle: &Bundle, job: &Job);

    /// Sends a signal to the container's process 1.
    fn signal(&mut self, bundle: &Bundle, init: Pid, signal: i32) -> io::Result<()>;

    /// Forgets a container that has ended, so that its id can be used again.
    fn delete(&mut self, bundle: &Bundle);
}

/// The engine that a spec asks for; `directory` is for its files. Called once, in a mount namespace of our own: the
/// embedded engine moves the mounts of the cgroups, and changes `cgroups` accordingly.
pub fn choose(choice: &RuntimeChoice, directory: &Path, cgroups: &mut Hierarchies) -> io::Result<Box<dyn Engine>> {
    Ok(match choice {
        RuntimeChoice::Builtin => {
            *cgroups = cgroup_view::relocate(cgroups, &directory.join("cgroups"))?;
            Box::new(embedded::Embedded::new(directory, cgroups.clone()))
        }
        RuntimeChoice::External(program) => Box::new(external::External::new(program, directory)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_carry_a_shell_like_code_or_none() {
        assert_eq!(Failure::parse("126 exec x\n"), Failure { text: "exec x".into(), exit_code: Some(126) });
        assert_eq!(Failure::parse("- no such user"), Failure::new("no such user"));
        assert_eq!(Failure::parse("garbled"), Failure::new("garbled"));
    }
}

//! The embedded runtime: libcontainer (youki), called only in a forked child of the supervisor.
//!
//! The child, the *builder*, moves itself into the container's cgroup, lets libcontainer make the container there, says
//! the pid of process 1 and ends. It clones with `CLONE_PARENT`, so that process 1 is a child of the supervisor. The
//! supervisor's memory stays small, because whatever libcontainer allocates ends with the builder, and its loop never
//! waits.

use super::bundle::Bundle;
use super::cgroup_view::View;
use super::payload::Payload;
use super::{Created, Engine, Executed, Failure, Job, Output, Starting};
use crate::cgroup::{Group, Hierarchies};
use crate::seccomp::Filter;
use crate::sys::{self, Pid};
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::container::{Container, ContainerStatus};
use libcontainer::syscall::syscall::SyscallType;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// See [`Engine`].
#[derive(Debug)]
pub struct Embedded {
    /// Holds libcontainer's state: `<id>/` for containers, `exec-<serial>/<id>/` while an exec starts.
    directory: PathBuf,
    cgroups: Hierarchies,
    serial: u64,
}

impl Embedded {
    pub fn new(directory: &Path, cgroups: Hierarchies) -> Self {
        Embedded { directory: directory.to_owned(), cgroups, serial: 0 }
    }

    fn exec_directory(&self, serial: u64) -> PathBuf {
        self.directory.join(format!("exec-{serial}"))
    }

    /// Forks a builder in the bundle's cgroup that runs `work` and reports what it returns.
    fn fork(&mut self, bundle: &Bundle, work: impl FnOnce() -> Result<Pid, String>) -> io::Result<Job> {
        self.serial += 1;
        let (report, write) = sys::pipe()?;
        let group = self.cgroups.group(bundle.cgroup.as_str());
        let pid = match fork_into(&group)? {
            Forked::Parent(pid) => pid,
            Forked::Child { inside } => {
                let join = || if inside { Ok(()) } else { group.join().map_err(|error| crate::chain(&error)) };
                let code = build(|| join().and_then(|()| work()), write);
                // SAFETY: ends the process without running the supervisor's destructors.
                unsafe { libc::_exit(code) }
            }
        };
        Ok(Job { pid, report: Some(report), executed: None, serial: self.serial })
    }
}

impl Engine for Embedded {
    fn create(&mut self, bundle: &Bundle, output: Output) -> io::Result<Job> {
        std::fs::create_dir_all(&self.directory)?;
        let (executed, write) = sys::pipe()?;
        let reader = executed.as_raw_fd();
        let cgroups = self.cgroups.clone();
        let root = self.directory.clone();
        let mut job = self.fork(bundle, || {
            redirect(&output)?;
            // Only the supervisor may hold this end: by it the payload sees whether the supervisor lives.
            // SAFETY: this process does not use the descriptor, and does not run the destructor of its owner.
            unsafe { libc::close(reader) };
            let view = View::prepare(&cgroups, &bundle.cgroup).map_err(because("prepare the cgroup view"))?;
            let payload = payload(bundle, Some(view), Some(write.as_raw_fd()));
            let console = bundle.terminal.then(|| bundle.console_socket());
            let container = ContainerBuilder::new(bundle.id.clone(), SyscallType::default())
                .with_executor(payload)
                .with_root_path(root)
                .map_err(|error| crate::chain(&error))?
                .with_console_socket(console)
                .as_init(&bundle.directory)
                .with_systemd(false)
                .with_detach(true)
                .as_sibling(true)
                .build()
                .map_err(|error| crate::chain(&error))?;
            container.pid().map(|pid| pid.as_raw()).ok_or_else(|| "the runtime made no process".to_owned())
        })?;
        job.executed = Some(executed);
        Ok(job)
    }

    fn created(&mut self, _: &Bundle, job: Job, status: i32) -> Result<Created, Failure> {
        let pid = outcome(job.report, status)?;
        Ok(Created { pid, executed: job.executed })
    }

    fn start(&mut self, bundle: &Bundle, created: Created) -> io::Result<Starting> {
        // What libcontainer's `start` does, without its reading and writing of state.
        let directory = File::open(self.directory.join(&bundle.id))?;
        // By way of the descriptor, because socket addresses are short.
        let mut socket = UnixStream::connect(format!("/proc/self/fd/{}/notify.sock", directory.as_raw_fd()))?;
        socket.write_all(b"start container")?;
        match created.executed {
            Some(report) => Ok(Starting::Report(report)),
            None => Err(io::Error::other("the container was not created by this engine")),
        }
    }

    fn started(&mut self, _: &Bundle, job: Job, status: i32) -> Result<(), Failure> {
        outcome(job.report, status).map(drop)
    }

    fn exec(&mut self, bundle: &Bundle, init: Pid, argv: &[String], output: OwnedFd) -> io::Result<Job> {
        // A state directory of its own, because libcontainer leaves a socket behind for each exec.
        let directory = self.exec_directory(self.serial + 1);
        let own = directory.join(&bundle.id);
        std::fs::create_dir_all(&own)?;
        let process = directory.join("process.json");
        std::fs::write(&process, serde_json::to_vec(&bundle.process_for(argv)?)?)?;
        self.fork(bundle, || {
            sys::dup_onto(output.as_raw_fd(), 1).map_err(because("redirect"))?;
            sys::dup_onto(output.as_raw_fd(), 2).map_err(because("redirect"))?;
            Container::new(&bundle.id, ContainerStatus::Running, Some(init), &bundle.directory, &own)
                .and_then(|container| container.save())
                .map_err(|error| crate::chain(&error))?;
            let payload = payload(bundle, None, None);
            let pid = ContainerBuilder::new(bundle.id.clone(), SyscallType::default())
                .with_executor(payload)
                .with_root_path(directory)
                .map_err(|error| crate::chain(&error))?
                .as_tenant()
                .with_process(Some(process))
                .as_sibling(true)
                .build()
                .map_err(|error| crate::chain(&error))?;
            Ok(pid.as_raw())
        })
    }

    fn executed(&mut self, _: &Bundle, job: Job, status: i32) -> Result<Executed, Failure> {
        let _ = std::fs::remove_dir_all(self.exec_directory(job.serial));
        outcome(job.report, status).map(Executed::Child)
    }

    fn abandon(&mut self, _: &Bundle, job: &Job) {
        let _ = sys::kill(job.pid, libc::SIGKILL);
    }

    fn signal(&mut self, _: &Bundle, init: Pid, signal: i32) -> io::Result<()> {
        sys::kill(init, signal)
    }

    fn delete(&mut self, bundle: &Bundle) {
        let _ = std::fs::remove_dir_all(self.directory.join(&bundle.id));
    }
}

/// The builder's side. Returns the process's exit code.
fn build(work: impl FnOnce() -> Result<Pid, String>, report: OwnedFd) -> i32 {
    let work = std::panic::AssertUnwindSafe(work);
    let result = sys::die_with_parent().map_err(because("parent-death signal")).and_then(|()| {
        std::panic::catch_unwind(work).unwrap_or_else(|_| Err("the embedded runtime failed unexpectedly".to_owned()))
    });
    let (code, line) = match result {
        Ok(pid) => (0, pid.to_string()),
        Err(text) => (1, text),
    };
    let _ = File::from(report).write_all(line.as_bytes());
    code
}

fn redirect(output: &Output) -> Result<(), String> {
    let Output::Pipes { stdin, stdout, stderr } = output else { return Ok(()) };
    if let Some(stdin) = stdin {
        sys::dup_onto(stdin.as_raw_fd(), 0).map_err(because("redirect"))?;
    }
    sys::dup_onto(stdout.as_raw_fd(), 1).map_err(because("redirect"))?;
    sys::dup_onto(stderr.as_raw_fd(), 2).map_err(because("redirect"))
}

fn payload(bundle: &Bundle, view: Option<View>, report: Option<RawFd>) -> Payload {
    Payload {
        filter: Filter::compile(bundle.capabilities),
        capabilities: bundle.capabilities,
        own_arguments: usize::from(bundle.init && report.is_some()),
        view: view.map(Rc::new),
        report,
    }
}

fn because(what: &'static str) -> impl Fn(io::Error) -> String {
    move |error| format!("{what}: {error}")
}

/// The pid in a builder's report, or what went wrong.
fn outcome(report: Option<OwnedFd>, status: i32) -> Result<Pid, Failure> {
    let mut text = String::new();
    if let Some(report) = report {
        // The container's init still holds the other end, so there is no end of file to read to. The builder has ended,
        // so what it wrote is there.
        let mut buffer = [0; 4096];
        if sys::set_nonblocking(&report).is_ok()
            && let Ok(read) = File::from(report).read(&mut buffer)
        {
            text = String::from_utf8_lossy(&buffer[..read]).into_owned();
        }
    }
    if status == 0
        && let Ok(pid) = text.parse()
    {
        return Ok(pid);
    }
    if text.is_empty() {
        text = format!("- the embedded runtime ended with {}", sys::exit_code(status));
    }
    Err(failure(&text))
}

/// Texts of the payload come back wrapped by libcontainer; they start with a code or with `exec: `.
fn failure(text: &str) -> Failure {
    // Its reader works in pieces of three bytes and fills the last one up.
    let text = text.trim_end_matches('\0');
    if let Some(at) = text.find("exec: ") {
        return Failure::new(&text[at..]);
    }
    let coded = ["126 exec ", "127 exec ", "- "].iter().find_map(|start| text.find(start));
    match coded {
        Some(at) => Failure::parse(&text[at..]),
        None => Failure::new(text),
    }
}

/// The constant of libc is too narrow.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

enum Forked {
    Parent(Pid),
    /// Whether it is already in the group.
    Child {
        inside: bool,
    },
}

/// Forks, into `group` where the kernel can do that.
fn fork_into(group: &Group<'_>) -> io::Result<Forked> {
    if let Some(target) = group.clone_target() {
        // SAFETY: all zero is valid for this plain struct.
        let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
        args.flags = CLONE_INTO_CGROUP;
        args.exit_signal = libc::SIGCHLD as u64;
        args.cgroup = target.as_raw_fd() as u64;
        // SAFETY: without a stack this is a fork, which a single-threaded process may do; the arguments are valid.
        match unsafe { libc::syscall(libc::SYS_clone3, &args, size_of::<libc::clone_args>()) } {
            0 => return Ok(Forked::Child { inside: true }),
            pid if pid > 0 => return Ok(Forked::Parent(pid as Pid)),
            // An old kernel: as on version 1.
            _ => {}
        }
    }
    // SAFETY: the process is single-threaded.
    match sys::check(unsafe { libc::fork() })? {
        0 => Ok(Forked::Child { inside: false }),
        pid => Ok(Forked::Parent(pid)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payloads_words_survive_libcontainers_wrapping() {
        let wrapped = "failed to wait for init ready: exec process failed with error exec: \"nope\": executable file not found in $PATH";
        assert_eq!(failure(wrapped), Failure::new("exec: \"nope\": executable file not found in $PATH"));
        let wrapped = "executor failed 126 exec /x: exec format error";
        assert_eq!(failure(wrapped), Failure { text: "exec /x: exec format error".into(), exit_code: Some(126) });
    }
}

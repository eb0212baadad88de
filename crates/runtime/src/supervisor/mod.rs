//! The task supervisor, `longshore task <dir>`: one single-threaded process a task, parent of all of its containers.
//!
//! It detaches from whoever started it, says `ready`, prepares what `<dir>/spec.json` asks for while the agent wires the
//! network, and starts the containers on `go`. From then on it needs nobody: it starts, checks, restarts and stops
//! containers by the spec, keeps their log lines until they are acknowledged, and writes `<dir>/state.json` on each
//! change. It holds the [`Lease`] of its directory. When it is killed, its containers die with it.
//!
//! `plan` and `health` decide; `lifecycle` acts on containers, `exec` on processes beside them; `clients` talks; the loop
//! is here.

mod clients;
mod container;
mod exec;
mod health;
mod lifecycle;
mod logs;
mod pause;
pub mod plan;
mod prepare;
mod setup;
mod stats;

use crate::cgroup::Hierarchies;
use crate::cleanup::Lease;
use crate::engine::{Engine, Starting};
use crate::protocol::{Command, Event, SOCKET_FILE, STATE_FILE, State, StopCause, TaskPhase, TaskState};
use crate::spec::{Network, TaskSpec};
use crate::sys::{self, Pid};
use clients::{CLIENTS_MAX, Client, Request};
use container::{Container, Phase};
use exec::Exec;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Name of the subcommand.
pub const SUBCOMMAND: &str = "task";
/// Makes a supervisor wait for the `spec` command.
pub const WAIT_SPEC: &str = "--wait-spec";
/// What goes wrong after the start is written here, in the supervisor's directory.
pub const LOG_FILE: &str = "supervisor.log";

/// The command line that starts a supervisor for `directory`. Its standard output is one line, [`Event::Ready`].
///
/// With `wait_spec` it reads no spec until it gets [`Command::Spec`].
pub fn command(executable: &Path, directory: &Path, wait_spec: bool) -> std::process::Command {
    let mut command = std::process::Command::new(executable);
    command.arg0("longshore").arg(SUBCOMMAND).arg(directory).args(wait_spec.then_some(WAIT_SPEC));
    command.env_clear().stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
    command
}

/// Runs the supervisor if this process was started by [`command`]. To be called first in `main`, before there is a
/// second thread.
pub fn run_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != SUBCOMMAND {
        return None;
    }
    let rest: Vec<OsString> = arguments.collect();
    match rest.as_slice() {
        [directory] => Some(main(Path::new(directory), false)),
        [directory, flag] if flag == WAIT_SPEC => Some(main(Path::new(directory), true)),
        _ => {
            eprintln!("usage: longshore {SUBCOMMAND} <directory> [{WAIT_SPEC}]");
            Some(ExitCode::from(2))
        }
    }
}

/// Supervises the task in `directory` until it is told to exit.
pub fn main(directory: &Path, wait_spec: bool) -> ExitCode {
    match run(directory, wait_spec) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("longshore task {}: {error}", directory.display());
            ExitCode::FAILURE
        }
    }
}

fn run(directory: &Path, wait_spec: bool) -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::fs::canonicalize(directory)?;
    // Before we are ready, since the network namespace goes with it. What is wrong with the spec is told later.
    let early = (!wait_spec).then(|| prepare::read_spec(&directory).ok()).flatten();
    let process = setup::detach(early.and_then(|spec| spec.user_namespace))?;
    // Whoever cleans up after a task must find its supervisor, or keep it from beginning.
    let lease =
        Lease::take(&directory).map_err(|error| format!("another process supervises or removes this task: {error}"))?;
    let listener = listen(&directory.join(SOCKET_FILE))?;
    let mut ready = serde_json::to_vec(&Event::Ready { pid: std::process::id() as Pid })?;
    ready.push(b'\n');
    // Nobody may be there to read it.
    let _ = io::stdout().write_all(&ready).and_then(|()| io::stdout().flush());
    setup::release_streams(&directory.join(LOG_FILE))?;
    let mut supervisor = Supervisor::new(directory, lease, process, listener)?;
    if !wait_spec {
        supervisor.take_spec();
    }
    supervisor.run_loop()?;
    Ok(())
}

/// Listens on a socket at `path`, however long the path is: socket addresses have room for 107 bytes, so the way goes by
/// a descriptor of the directory.
fn listen(path: &Path) -> io::Result<UnixListener> {
    let _ = std::fs::remove_file(path);
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    };
    let directory = File::open(directory)?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name);
    let listener = UnixListener::bind(short)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

struct Supervisor {
    directory: PathBuf,
    _lease: Lease,
    pid: Pid,
    start_ticks: u64,
    process: setup::Process,
    cgroups: Hierarchies,
    engine: Option<Box<dyn Engine>>,
    /// Process 1 of the PID namespace that the containers share, when they do.
    pause: Option<Pid>,
    /// Without its containers, which are below.
    spec: Option<TaskSpec>,
    task: TaskState,
    task_version: u64,
    containers: Vec<Container>,
    /// `go` came.
    may_start: bool,
    /// No more patience.
    kill: bool,
    /// Readable when the process has ended with which the task is to end.
    owner: Option<OwnedFd>,
    /// That process has ended.
    orphaned: bool,
    execs: Vec<Exec>,
    /// Children that ended before we knew whose they were, and how. A process may be faster than the news of its start.
    strangers: Vec<(Pid, i32)>,
    listeners: Vec<UnixListener>,
    clients: Vec<Client>,
    client_serial: u64,
    /// Versions as of the last state file.
    saved: u64,
    leave: bool,
}

/// What a descriptor in the poll set is.
#[derive(Clone, Copy)]
enum Source {
    Signals,
    Owner,
    Listener(usize),
    Client(usize),
    Log(usize, usize),
    Start(usize),
    Exec(usize),
}

impl Supervisor {
    fn new(
        directory: PathBuf,
        lease: Lease,
        process: setup::Process,
        listener: UnixListener,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        let pid = std::process::id() as Pid;
        Ok(Supervisor {
            directory,
            _lease: lease,
            pid,
            start_ticks: sys::start_ticks(pid).unwrap_or(0),
            process,
            cgroups: Hierarchies::detect()?,
            engine: None,
            pause: None,
            spec: None,
            task: TaskState::default(),
            task_version: 1,
            containers: Vec::new(),
            may_start: false,
            kill: false,
            owner: None,
            orphaned: false,
            execs: Vec::new(),
            strangers: Vec::new(),
            listeners: vec![listener],
            clients: Vec::new(),
            client_serial: 0,
            saved: 0,
            leave: false,
        })
    }

    /// Reads the spec and makes what it needs. What fails is the task's failure, and reported as such.
    fn take_spec(&mut self) {
        let mut spec = match prepare::read_spec(&self.directory) {
            Ok(spec) => spec,
            Err(error) => return self.fail_task(None, error.to_string()),
        };
        self.watch_owner(&spec);
        if self.orphaned {
            return;
        }
        let prepared = self
            .make_users(&spec)
            .and_then(|()| self.enter_network(spec.network))
            .and_then(|()| self.choose_engine(&spec))
            .and_then(|()| {
                prepare::task(&spec, &self.directory, &self.cgroups, self.process.users.as_ref())
                    .map_err(|error| error.to_string())
            })
            .and_then(|()| self.start_pause(&spec));
        self.containers = std::mem::take(&mut spec.containers).into_iter().map(Container::new).collect();
        self.spec = Some(spec);
        match prepared {
            Ok(()) => self.set_phase(TaskPhase::Prepared),
            Err(reason) => self.fail_task(None, reason),
        }
    }

    fn choose_engine(&mut self, spec: &TaskSpec) -> Result<(), String> {
        let directory = self.directory.join("engine");
        prepare::private_directory(&directory).map_err(|error| error.to_string())?;
        let engine = crate::engine::choose(&spec.runtime, &directory, &mut self.cgroups)
            .map_err(|error| format!("ResourceInitializationError: move the cgroup mounts: {error}"))?;
        self.engine = Some(engine);
        Ok(())
    }

    fn watch_owner(&mut self, spec: &TaskSpec) {
        let Some(pid) = spec.owner_pid else { return };
        match sys::watch_parent(pid) {
            Ok(owner) => self.owner = Some(owner),
            Err(_) => self.lose_owner(),
        }
    }

    /// Nobody is there any more for whom the task could do anything.
    fn lose_owner(&mut self) {
        self.begin_stop(StopCause::Asked { reason: "the process that it belongs to has ended".to_owned() });
        self.kill = true;
        self.owner = None;
        self.orphaned = true;
    }

    /// For a supervisor that was started before its task was known.
    fn make_users(&mut self, spec: &TaskSpec) -> Result<(), String> {
        let Some(map) = spec.user_namespace else { return Ok(()) };
        let failed = |why: String| format!("ResourceInitializationError: user namespace: {why}");
        if let Some(closed) = crate::users::closed_directory(&self.directory) {
            return Err(failed(format!("{} cannot be entered by others", closed.display())));
        }
        if self.process.users.is_none() {
            setup::make_users(&mut self.process, map).map_err(|error| failed(error.to_string()))?;
        }
        Ok(())
    }

    fn start_pause(&mut self, spec: &TaskSpec) -> Result<(), String> {
        if spec.shared_pids {
            let started = pause::start(&self.directory.join("pause"), self.process.users.as_ref());
            self.pause = Some(
                started.map_err(|error| format!("ResourceInitializationError: share the PID namespace: {error}"))?,
            );
        }
        Ok(())
    }

    fn enter_network(&mut self, network: Network) -> Result<(), String> {
        // Dropped in the other modes: a task must not hold on to the host's.
        let host = self.process.host_network.take();
        match (network, host) {
            (Network::Host, Some(host)) => setup::enter_network(&host)
                .map_err(|error| format!("ResourceInitializationError: enter the host's network namespace: {error}")),
            _ => Ok(()),
        }
    }

    fn set_phase(&mut self, phase: TaskPhase) {
        self.task.phase = phase;
        self.task_version += 1;
    }

    /// Stops the task; the first cause is the one that counts.
    fn begin_stop(&mut self, cause: StopCause) {
        if matches!(self.task.phase, TaskPhase::Stopping | TaskPhase::Stopped) {
            return;
        }
        self.task.cause = Some(cause);
        self.set_phase(TaskPhase::Stopping);
    }

    fn fail_task(&mut self, container: Option<String>, reason: String) {
        self.begin_stop(StopCause::FailedToStart { container, reason });
    }

    fn state(&self) -> State {
        State {
            task_id: self.spec.as_ref().map(|spec| spec.task_id.clone()).unwrap_or_default(),
            supervisor_pid: self.pid,
            supervisor_start_ticks: self.start_ticks,
            cgroup: self.spec.as_ref().map(|spec| spec.cgroup.clone()).unwrap_or_default(),
            task: self.task.clone(),
            containers: self.containers.iter().map(Container::snapshot).collect(),
        }
    }

    fn run_loop(&mut self) -> io::Result<()> {
        loop {
            self.advance();
            self.publish();
            self.leave |= self.is_abandoned();
            if self.leave {
                break;
            }
            let (sources, mut polled) = self.poll_set();
            // SAFETY: the array is valid for its length.
            let ready = unsafe { libc::poll(polled.as_mut_ptr(), polled.len() as libc::nfds_t, self.timeout()) };
            if ready < 0 {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
                continue;
            }
            for (source, polled) in sources.iter().zip(&polled).filter(|(_, polled)| polled.revents != 0) {
                self.handle(*source, polled.revents);
            }
            self.clients.retain(|client| !client.gone);
            self.execs_settle();
            self.timers();
        }
        self.clean_up();
        Ok(())
    }

    fn poll_set(&self) -> (Vec<Source>, Vec<libc::pollfd>) {
        let mut sources = Vec::new();
        let mut polled = Vec::new();
        let mut add = |source: Source, fd: RawFd, events: libc::c_short| {
            sources.push(source);
            polled.push(libc::pollfd { fd, events, revents: 0 });
        };
        add(Source::Signals, self.process.signals.as_raw_fd(), libc::POLLIN);
        if let Some(owner) = &self.owner {
            add(Source::Owner, owner.as_raw_fd(), libc::POLLIN);
        }
        let room = self.clients.len() < CLIENTS_MAX;
        for (index, listener) in self.listeners.iter().enumerate().filter(|_| room) {
            add(Source::Listener(index), listener.as_raw_fd(), libc::POLLIN);
        }
        for (index, client) in self.clients.iter().enumerate() {
            let write = if client.wants_write() { libc::POLLOUT } else { 0 };
            add(Source::Client(index), client.stream.as_raw_fd(), libc::POLLIN | write);
        }
        for (index, container) in self.containers.iter().enumerate() {
            if let Phase::Starting { starting: Starting::Report(report), .. } = &container.phase {
                add(Source::Start(index), report.as_raw_fd(), libc::POLLIN);
            }
            // A full blocking buffer leaves the bytes in the pipe, and so the writer waiting. After the end, lines are
            // read as they are acknowledged.
            if !container.logs.is_full() && !container.is_stopped() {
                for (pipe_index, pipe) in container.pipes.iter().enumerate().filter(|(_, pipe)| !pipe.closed) {
                    add(Source::Log(index, pipe_index), pipe.fd.as_raw_fd(), libc::POLLIN);
                }
            }
        }
        for (index, exec) in self.execs.iter().enumerate().filter(|(_, exec)| !exec.output_closed) {
            add(Source::Exec(index), exec.output.as_raw_fd(), libc::POLLIN);
        }
        (sources, polled)
    }

    fn handle(&mut self, source: Source, events: libc::c_short) {
        match source {
            Source::Signals => {
                // Only that there was one matters; `wait` says the rest.
                let mut buffer = [0; size_of::<libc::signalfd_siginfo>() * 4];
                let _ = sys::read_now(self.process.signals.as_raw_fd(), &mut buffer);
                self.reap();
            }
            Source::Owner => self.lose_owner(),
            Source::Listener(index) => self.accept(index),
            Source::Client(index) => {
                if events & (libc::POLLIN | libc::POLLHUP | libc::POLLERR) != 0 {
                    let requests = self.clients[index].receive();
                    requests.into_iter().for_each(|request| self.obey(index, request));
                }
                if events & libc::POLLOUT != 0 {
                    self.clients[index].flush();
                }
            }
            Source::Log(container, pipe) => self.containers[container].read_log(pipe),
            Source::Start(container) => self.start_reported(container),
            Source::Exec(index) => self.execs[index].read(),
        }
    }

    fn accept(&mut self, listener: usize) {
        while self.clients.len() < CLIENTS_MAX
            && let Ok((stream, _)) = self.listeners[listener].accept()
        {
            self.client_serial += 1;
            self.clients.extend(Client::new(self.client_serial, stream).ok());
        }
    }

    fn obey(&mut self, client: usize, request: Request) {
        let refuse = |this: &mut Self, command: &str, message: String| {
            this.clients[client].send(&Event::Error { command: command.to_owned(), message });
        };
        let command = match request {
            Request::Known(command) => command,
            Request::Unknown { command, message } => return refuse(self, &command, message),
        };
        match command {
            Command::Subscribe { logs } => self.clients[client].subscribe(logs),
            Command::Spec { dir } => {
                if let Err(message) = self.move_to(&dir) {
                    refuse(self, "spec", message);
                }
            }
            Command::Go => self.go(),
            Command::Stop { reason } => self.begin_stop(StopCause::Asked { reason }),
            Command::Kill => {
                self.begin_stop(StopCause::Asked { reason: "killed".to_owned() });
                self.kill = true;
            }
            Command::Stats { id } => {
                let cgroup = self.spec.as_ref().map_or("", |spec| spec.cgroup.as_str());
                let stats = stats::collect(id, &self.cgroups, cgroup, &self.containers);
                self.clients[client].send(&Event::Stats(stats));
            }
            Command::LogAck { container, sequence } => self.acknowledge(&container, sequence),
            Command::Exec { id, container, argv } => {
                let serial = self.clients[client].serial;
                if let Err(message) = self.exec_command(serial, id, &container, &argv) {
                    let result =
                        crate::protocol::ExecResult { id, container, error: Some(message), ..Default::default() };
                    self.clients[client].send(&Event::Exec(result));
                }
            }
            Command::Exit => {
                if self.is_idle() {
                    self.leave = true;
                } else {
                    refuse(self, "exit", "the task is not stopped".to_owned());
                }
            }
        }
    }

    /// Takes on the task in another directory, once.
    fn move_to(&mut self, directory: &Path) -> Result<(), String> {
        if self.spec.is_some() || self.task.phase != TaskPhase::Waiting {
            return Err("this supervisor has a task already".to_owned());
        }
        let because = |error: io::Error| format!("{}: {error}", directory.display());
        let directory = std::fs::canonicalize(directory).map_err(because)?;
        if directory != self.directory {
            let lease = Lease::take(&directory).map_err(because)?;
            self.listeners.push(listen(&directory.join(SOCKET_FILE)).map_err(because)?);
            setup::release_streams(&directory.join(LOG_FILE)).map_err(because)?;
            let _ = std::fs::remove_file(self.directory.join(SOCKET_FILE));
            let _ = std::fs::remove_file(self.directory.join(STATE_FILE));
            self.listeners.remove(0);
            (self.directory, self._lease) = (directory, lease);
        }
        self.take_spec();
        Ok(())
    }

    fn go(&mut self) {
        if self.may_start || self.task.phase != TaskPhase::Prepared {
            return;
        }
        if let Err(error) = prepare::network_parameters(self.containers.iter().map(|container| &container.spec)) {
            return self.fail_task(None, error.to_string());
        }
        self.may_start = true;
        self.set_phase(TaskPhase::Running);
    }

    fn acknowledge(&mut self, name: &str, sequence: u64) {
        if let Some(container) = self.containers.iter_mut().find(|container| container.spec.name == name) {
            container.logs.acknowledge(sequence);
            if container.is_stopped() && !container.pipes.is_empty() {
                container.drain_logs();
                container.version += 1;
            }
        }
    }

    /// Tells the file and the subscribers what has changed.
    fn publish(&mut self) {
        let version = self.task_version + self.containers.iter().map(|container| container.version).sum::<u64>();
        if version != self.saved {
            self.saved = version;
            let written = serde_json::to_vec(&self.state())
                .map_err(io::Error::from)
                .and_then(|json| sys::replace_file(&self.directory.join(STATE_FILE), &json, 0o644));
            if let Err(error) = written {
                eprintln!("write {STATE_FILE}: {error}");
            }
        }
        let mut clients = std::mem::take(&mut self.clients);
        for client in &mut clients {
            // Until the socket is full or there is nothing left to say.
            loop {
                client.update(&|| self.state(), (&self.task, self.task_version), &self.containers);
                if !client.flush() || client.wants_write() {
                    break;
                }
            }
        }
        clients.retain(|client| !client.gone);
        self.clients = clients;
    }

    /// Nobody can tell us anything any more, and there is nothing left to do: the owner has ended, or the directory is gone,
    /// with the socket.
    fn is_abandoned(&self) -> bool {
        self.is_idle() && (self.orphaned || self.clients.is_empty() && !self.directory.exists())
    }

    fn is_idle(&self) -> bool {
        matches!(self.task.phase, TaskPhase::Waiting | TaskPhase::Stopped)
    }

    /// Everything has ended: removes what is left of the task.
    fn clean_up(&mut self) {
        if let Some(pause) = self.pause {
            let _ = sys::kill(pause, libc::SIGKILL);
        }
        if let Some(spec) = &self.spec
            && let Err(error) = self.cgroups.group(spec.cgroup.as_str()).destroy()
        {
            eprintln!("{error}");
        }
        let _ = std::fs::remove_file(self.directory.join(SOCKET_FILE));
    }
}

/// A pipe for an exec's output: the end to read, which does not block, and the one to write.
fn output_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = sys::pipe()?;
    sys::set_nonblocking(&read)?;
    Ok((read, write))
}

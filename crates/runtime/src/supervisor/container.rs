//! One container, as the supervisor keeps it.

use super::health::Probe;
use super::logs::{LineCutter, LogBuffer};
use super::plan::{Progress, View};
use crate::engine::bundle::Bundle;
use crate::engine::{Created, Job, Starting};
use crate::protocol::{ContainerState, ContainerStatus, Stream};
use crate::spec::ContainerSpec;
use crate::sys::{self, Pid};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;

/// Where a container is on its way.
///
/// ```text
/// Waiting ──▶ Creating ──▶ Created ──▶ Starting ──▶ Running ──▶ Stopped
///    ▲                                                 │
///    └──────────────── restart policy ─────────────────┘       any ──▶ Stopped
/// ```
#[derive(Debug)]
pub enum Phase {
    /// For its dependencies.
    Waiting,
    Creating(Job),
    /// Process 1 waits for its start.
    Created(Created),
    Starting {
        pid: Pid,
        starting: Starting,
    },
    Running {
        pid: Pid,
    },
    Stopped,
}

/// One end of a container's output.
#[derive(Debug)]
pub struct LogPipe {
    pub fd: OwnedFd,
    stream: Stream,
    cutter: LineCutter,
    pub closed: bool,
}

impl LogPipe {
    pub fn new(fd: OwnedFd, stream: Stream) -> std::io::Result<Self> {
        sys::set_nonblocking(&fd)?;
        Ok(LogPipe { fd, stream, cutter: LineCutter::default(), closed: false })
    }
}

#[derive(Debug)]
pub struct Container {
    /// Without arguments and environment once the bundle is written, because they may be long and secret.
    pub spec: ContainerSpec,
    pub state: ContainerState,
    /// Grows with each change of `state`.
    pub version: u64,
    pub phase: Phase,
    pub bundle: Option<Bundle>,
    pub logs: LogBuffer,
    pub pipes: Vec<LogPipe>,
    /// The writing end of its standard input, which only has to be there.
    pub stdin: Option<OwnedFd>,
    /// Where the runtime sends the terminal.
    pub console: Option<UnixListener>,
    pub probe: Option<Probe>,
    /// The stop signal was sent; SIGKILL follows at this monotonic time.
    pub kill_at_ms: Option<u64>,
    /// Monotonic time of the first and of the last start.
    pub first_started_ms: Option<u64>,
    pub last_started_ms: u64,
    /// Out-of-memory kills that were accounted to earlier runs.
    pub oom_kills_seen: u64,
}

impl Container {
    pub fn new(spec: ContainerSpec) -> Self {
        let state = ContainerState { name: spec.name.clone(), id: spec.id.clone(), ..ContainerState::default() };
        Container {
            state,
            version: 1,
            phase: Phase::Waiting,
            bundle: None,
            logs: LogBuffer::new(&spec.log),
            pipes: Vec::new(),
            stdin: None,
            console: None,
            probe: None,
            kill_at_ms: None,
            first_started_ms: None,
            last_started_ms: 0,
            oom_kills_seen: 0,
            spec,
        }
    }

    pub fn is_stopped(&self) -> bool {
        matches!(self.phase, Phase::Stopped)
    }

    /// Process 1, from its creation to its end.
    pub fn pid(&self) -> Option<Pid> {
        match &self.phase {
            Phase::Created(created) => Some(created.pid),
            Phase::Starting { pid, .. } | Phase::Running { pid } => Some(*pid),
            _ => None,
        }
    }

    pub fn view(&self, now_ms: u64) -> View<'_> {
        View {
            name: &self.spec.name,
            depends_on: &self.spec.depends_on,
            progress: match self.state.status {
                ContainerStatus::Pending => Progress::Pending,
                ContainerStatus::Running => Progress::Running,
                ContainerStatus::Stopped => Progress::Stopped,
            },
            health: self.state.health,
            exit_code: self.state.exit_code,
            running_for_ms: self.first_started_ms.map(|started| now_ms.saturating_sub(started)),
            start_timeout_ms: self.spec.start_timeout_ms,
        }
    }

    /// Changes what others see.
    pub fn change(&mut self, change: impl FnOnce(&mut ContainerState)) {
        change(&mut self.state);
        self.version += 1;
    }

    /// The state with the current log counters.
    pub fn snapshot(&self) -> ContainerState {
        ContainerState {
            log_sequence: self.logs.sequence(),
            log_dropped: self.logs.dropped(),
            log_complete: self.is_stopped() && self.pipes.is_empty(),
            ..self.state.clone()
        }
    }

    /// Reads what one pipe has, at most a little at a time so that no container holds up the others.
    pub fn read_log(&mut self, index: usize) {
        // Enough for a pipe's usual content of a page or four.
        let mut buffer = [0; 16 << 10];
        for _ in 0..4 {
            if self.logs.is_full() || !self.read_once(index, &mut buffer) {
                break;
            }
        }
    }

    /// Whether there may be more.
    fn read_once(&mut self, index: usize, buffer: &mut [u8]) -> bool {
        let Some(pipe) = self.pipes.get_mut(index).filter(|pipe| !pipe.closed) else { return false };
        let (logs, stream, now) = (&mut self.logs, pipe.stream, sys::wall_ms());
        let mut emit = |line: &[u8]| logs.push(stream, now, line);
        match sys::read_now(pipe.fd.as_raw_fd(), buffer) {
            Ok(Some(read)) if read > 0 => {
                pipe.cutter.feed(&buffer[..read], &mut emit);
                read == buffer.len()
            }
            Ok(None) => false,
            // The end; a terminal ends with an error.
            Ok(Some(_)) | Err(_) => {
                pipe.cutter.finish(&mut emit);
                pipe.closed = true;
                false
            }
        }
    }

    /// The processes have ended: reads what is left, as far as the buffer takes it. A blocking log that is full is read
    /// on when lines are acknowledged.
    pub fn drain_logs(&mut self) {
        let mut buffer = [0; 16 << 10];
        for index in 0..self.pipes.len() {
            while !self.logs.is_full() && self.read_once(index, &mut buffer) {}
            // Nobody can write any more, but somebody outside may hold the other end: then this is the end.
            let (logs, now) = (&mut self.logs, sys::wall_ms());
            if let Some(pipe) = self.pipes.get_mut(index).filter(|pipe| !pipe.closed && !logs.is_full()) {
                let stream = pipe.stream;
                pipe.cutter.finish(&mut |line| logs.push(stream, now, line));
                pipe.closed = true;
            }
        }
        self.pipes.retain(|pipe| !pipe.closed);
    }
}

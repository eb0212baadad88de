//! A task's supervisor, seen from the agent: start one, or find the one that an earlier agent started.

use crate::machine::SupervisorLink;
use longshore_runtime::protocol::{Command, Event, SOCKET_FILE, STATE_FILE, State};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

/// Long enough for a loaded machine; a supervisor says `ready` within milliseconds.
const READY: Duration = Duration::from_secs(20);

#[derive(Debug, thiserror::Error)]
pub enum SupervisorError {
    #[error("the task supervisor could not be started")]
    Spawn(#[source] io::Error),
    #[error("the task supervisor said nothing but: {0}")]
    NotReady(String),
    #[error("the task supervisor at {path} does not answer")]
    Connect { path: PathBuf, source: io::Error },
    #[error("the task supervisor left")]
    Gone,
    #[error("the task supervisor does not stop its containers")]
    Hangs,
}

/// A connection to a living supervisor.
pub struct Supervisor {
    pub pid: u32,
    lines: Lines<BufReader<OwnedReadHalf>>,
    writer: OwnedWriteHalf,
}

impl Supervisor {
    /// Starts a supervisor for `directory`, which holds its spec, and connects to it.
    pub async fn start(executable: &Path, directory: &Path) -> Result<Self, SupervisorError> {
        let mut command =
            tokio::process::Command::from(longshore_runtime::supervisor::command(executable, directory, false));
        command
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        let mut child = command.spawn().map_err(SupervisorError::Spawn)?;
        let output = child.stdout.take().ok_or(SupervisorError::Gone)?;
        let first = tokio::time::timeout(READY, BufReader::new(output).lines().next_line()).await;
        let pid = match first {
            Ok(Ok(Some(line))) => match serde_json::from_str(&line) {
                Ok(Event::Ready { pid }) => pid.unsigned_abs(),
                _ => return Err(SupervisorError::NotReady(line)),
            },
            _ => {
                let _ = child.kill().await;
                return Err(SupervisorError::NotReady(errors(child.stderr.take()).await));
            }
        };
        // The supervisor may or may not be the child itself; whoever ends is reaped here.
        tokio::spawn(async move { child.wait().await });
        Self::connect(directory, pid).await
    }

    /// Connects to the supervisor that an earlier agent started; `None` if it is not there any more.
    pub async fn adopt(directory: &Path) -> Option<Self> {
        let state = read_state(directory)?;
        Self::connect(directory, state.supervisor_pid.unsigned_abs()).await.ok()
    }

    async fn connect(directory: &Path, pid: u32) -> Result<Self, SupervisorError> {
        let path = directory.join(SOCKET_FILE);
        let stream = UnixStream::connect(&path).await.map_err(|source| SupervisorError::Connect { path, source })?;
        let (reader, writer) = stream.into_split();
        Ok(Self { pid, lines: BufReader::new(reader).lines(), writer })
    }
}

impl SupervisorLink for Supervisor {
    async fn send(&mut self, command: &Command) -> Result<(), SupervisorError> {
        let mut line = serde_json::to_vec(command).map_err(|error| SupervisorError::Spawn(error.into()))?;
        line.push(b'\n');
        self.writer.write_all(&line).await.map_err(|_| SupervisorError::Gone)
    }

    async fn next(&mut self) -> Result<Event, SupervisorError> {
        match self.lines.next_line().await {
            Ok(Some(line)) => Ok(serde_json::from_str(&line).unwrap_or(Event::Unknown)),
            _ => Err(SupervisorError::Gone),
        }
    }
}

/// What the supervisor last wrote down.
pub fn read_state(directory: &Path) -> Option<State> {
    serde_json::from_slice(&std::fs::read(directory.join(STATE_FILE)).ok()?).ok()
}

async fn errors(stderr: Option<tokio::process::ChildStderr>) -> String {
    let Some(stderr) = stderr else { return String::new() };
    let mut text = String::new();
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Ok(Some(line))) = tokio::time::timeout(Duration::from_millis(200), lines.next_line()).await {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

//! What is said on `<dir>/control.sock`: newline-delimited JSON, a [`Command`] a line one way, an [`Event`] a line back.
//!
//! Several clients may be connected; each may subscribe. A subscriber gets the whole [`State`] first and changes after
//! that. A slow one misses intermediate values, never the last one. Log lines are kept until somebody acknowledges them,
//! and are sent again to whoever subscribes anew.
//!
//! Both sides ignore fields they do not know; an unknown command is answered by [`Event::Error`], an unknown event parses
//! as [`Event::Unknown`]. That is all the versioning there is, because a supervisor may be older than the agent.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Name of the socket inside a supervisor's directory.
pub const SOCKET_FILE: &str = "control.sock";
/// Name of the state file, a [`State`], rewritten atomically on each change.
pub const STATE_FILE: &str = "state.json";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Send the state now and changes from now on; with `logs`, also the unacknowledged and later log lines.
    Subscribe {
        #[serde(default = "yes")]
        logs: bool,
    },
    /// To a supervisor started with `--wait-spec`: `<dir>/spec.json` is there; move in and prepare.
    Spec { dir: PathBuf },
    /// The network is wired: start the containers.
    Go,
    /// Stop all containers in reverse order of dependency, then end the task.
    Stop {
        #[serde(default)]
        reason: String,
    },
    /// SIGKILL to everything, now.
    Kill,
    /// Answered by [`Event::Stats`].
    Stats {
        #[serde(default)]
        id: u64,
    },
    /// Lines of `container` up to and including `sequence` are stored elsewhere and can be forgotten.
    LogAck { container: String, sequence: u64 },
    /// Run a process in a running container; answered by [`Event::Exec`] when it has ended.
    Exec {
        #[serde(default)]
        id: u64,
        container: String,
        argv: Vec<String>,
    },
    /// Remove the cgroups and leave. Refused while a container is not stopped.
    Exit,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// First line on the supervisor's standard output: its namespaces exist and its socket listens.
    Ready {
        pid: i32,
    },
    State(State),
    Container(ContainerState),
    Task(TaskState),
    Log(LogLine),
    Stats(Stats),
    Exec(ExecResult),
    /// A command could not be obeyed.
    Error {
        command: String,
        message: String,
    },
    /// From a newer supervisor.
    #[serde(other)]
    Unknown,
}

/// Everything that is known about the task; also the content of [`STATE_FILE`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub task_id: String,
    /// Process of the supervisor, and the kernel's start time of it (clock ticks since boot), which tells it from
    /// another process that got the same number later.
    pub supervisor_pid: i32,
    pub supervisor_start_ticks: u64,
    /// Path of the task's cgroup below each hierarchy's root.
    pub cgroup: String,
    pub task: TaskState,
    pub containers: Vec<ContainerState>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskState {
    pub phase: TaskPhase,
    /// Why the task stops or stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<StopCause>,
}

/// ```text
/// WAITING ──spec──▶ PREPARED ──go──▶ RUNNING ──▶ STOPPING ──▶ STOPPED
///                      └──────────────────────────▲
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TaskPhase {
    /// No spec yet.
    #[default]
    Waiting,
    /// Mounts and cgroups are made; waits for `go`.
    Prepared,
    Running,
    Stopping,
    /// Nothing of the task runs any more.
    Stopped,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StopCause {
    EssentialContainerExited {
        container: String,
    },
    /// `stop` or `kill`.
    Asked {
        reason: String,
    },
    /// A container, or what it needs, could not be made; `reason` starts with the error's name as ECS reports it.
    FailedToStart {
        container: Option<String>,
        reason: String,
    },
    /// All containers ended and none of them was essential.
    AllExited,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ContainerStatus {
    #[default]
    Pending,
    Running,
    Stopped,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Health {
    Healthy,
    Unhealthy,
    /// No health check, or no verdict yet.
    #[default]
    Unknown,
}

/// Times are milliseconds since the epoch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ContainerState {
    pub name: String,
    pub id: String,
    pub status: ContainerStatus,
    /// Process 1 of the container, seen from the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// 0..=255, 128 + signal when a signal ended it; absent when the command never ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// ECS's text for an abnormal end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub health: Health,
    /// Output of the last health check, at most 1 KiB.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub health_output: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_exit_code: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at_ms: Option<u64>,
    pub restart_count: u32,
    /// Sequence of the last log line that was read.
    pub log_sequence: u64,
    /// No later line will come: the container has stopped and its output is read to the end. A blocking log that is full
    /// is read on as lines are acknowledged.
    #[serde(default)]
    pub log_complete: bool,
    /// Lines lost to a full buffer.
    pub log_dropped: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    Stdout,
    Stderr,
}

/// One line, or a piece of a longer one (256 KiB less 26 bytes), without its line feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    pub container: String,
    /// Counts from 1 without gaps; dropped lines have none.
    pub sequence: u64,
    pub stream: Stream,
    pub timestamp_ms: u64,
    pub message: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    pub id: u64,
    pub timestamp_ms: u64,
    pub task: Usage,
    /// Received and sent on `eth0` of the task's network namespace.
    pub network: NetworkUsage,
    pub containers: Vec<ContainerUsage>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ContainerUsage {
    pub name: String,
    #[serde(flatten)]
    pub usage: Usage,
}

/// Counters of one cgroup; absent ones are 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// CPU time used so far, nanoseconds.
    pub cpu_ns: u64,
    /// Bytes, page cache included.
    pub memory_bytes: u64,
    /// Inactive file pages, which `docker stats` subtracts.
    pub memory_cache_bytes: u64,
    /// Bytes; absent without a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit_bytes: Option<u64>,
    pub pids: u64,
    pub block_read_bytes: u64,
    pub block_write_bytes: u64,
    /// Shares of `cpu_ns`.
    #[serde(default)]
    pub cpu_user_ns: u64,
    #[serde(default)]
    pub cpu_system_ns: u64,
    /// Periods of a quota that were enforced, those in which it ran out, and the time spent waiting for the next.
    #[serde(default)]
    pub throttle_periods: u64,
    #[serde(default)]
    pub throttled_periods: u64,
    #[serde(default)]
    pub throttled_ns: u64,
    /// Largest `memory_bytes` so far; 0 where the kernel does not say.
    #[serde(default)]
    pub memory_max_bytes: u64,
    /// The kernel's `memory.stat`.
    #[serde(default)]
    pub memory_stat: BTreeMap<String, u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pids_limit: Option<u64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkUsage {
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    #[serde(default)]
    pub rx_errors: u64,
    #[serde(default)]
    pub rx_dropped: u64,
    #[serde(default)]
    pub tx_errors: u64,
    #[serde(default)]
    pub tx_dropped: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecResult {
    pub id: u64,
    pub container: String,
    /// Absent when the process could not be started; then `error` says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Standard output and error as they came, at most 64 KiB.
    pub output: String,
    /// Whether there was more.
    pub truncated: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_lines_a_person_can_type() {
        let parse = |line: &str| serde_json::from_str::<Command>(line).unwrap();
        assert_eq!(parse(r#"{"command":"go"}"#), Command::Go);
        assert_eq!(parse(r#"{"command":"subscribe"}"#), Command::Subscribe { logs: true });
        assert_eq!(parse(r#"{"command":"stop","reason":"x","later":1}"#), Command::Stop { reason: "x".into() });
    }

    #[test]
    fn events_of_a_newer_supervisor_are_tolerated() {
        assert_eq!(serde_json::from_str::<Event>(r#"{"event":"dance","to":"music"}"#).unwrap(), Event::Unknown);
        let line = r#"{"event":"container","name":"a","id":"b","status":"RUNNING","health":"UNKNOWN","restart_count":0,"log_sequence":0,"log_dropped":0,"mood":"good"}"#;
        assert!(matches!(serde_json::from_str::<Event>(line).unwrap(), Event::Container(c) if c.name == "a"));
    }
}

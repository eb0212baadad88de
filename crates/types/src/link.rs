//! Messages between our own processes: one JSON object a line on a Unix socket.
//!
//! The sender first says everything it knows, then what changes. A receiver that reconnects starts over. Unknown fields
//! are ignored and new ones have defaults, so that an old process and a new one understand each other.

use crate::Timestamp;
use crate::id::{NodeId, TaskId};
use crate::launch::TaskSecrets;
use crate::node::{TaskIntent, TaskObservation, VpcIntent};
use serde::{Deserialize, Serialize};

/// From the control plane to a node's agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToAgent {
    /// First: how this control plane is reached.
    Welcome(Welcome),
    /// The networks, whole; `generation` only grows.
    Network { generation: u64, vpcs: Vec<VpcIntent> },
    /// Tasks of this node. The first message after `Welcome` has `whole`: what it lacks is gone.
    Tasks { whole: bool, upsert: Vec<TaskIntent>, remove: Vec<TaskId> },
    /// Log events up to this batch are durable.
    LogAck { batch: u64 },
    /// The answer to `Secrets`: values, or the reason that the task is stopped for.
    Secrets { task: TaskId, values: Result<TaskSecrets, String> },
    /// Stop and forget everything, then answer `ResetDone`.
    Reset { token: u64 },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// `http://127.0.0.1:4566`.
    pub api_url: String,
    /// Host names of the built-in registry end in this: `.dkr.ecr.us-east-1.amazonaws.com`.
    pub registry_suffixes: Vec<String>,
    /// User and password for pulling from the built-in registry.
    pub registry_auth: (String, String),
    /// Whether policies are evaluated: then every task is asked for before it is started, not only those with secrets.
    #[serde(default)]
    pub ask_before_start: bool,
}

/// From a node's agent to the control plane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromAgent {
    Hello {
        node: NodeId,
        cpu_units: u32,
        memory_mib: u64,
    },
    Observed(Vec<TaskObservation>),
    Logs(LogBatch),
    ResetDone {
        token: u64,
    },
    /// A task is about to start and needs the values of its secrets.
    Secrets {
        scope: crate::Scope,
        task: TaskId,
    },
}

/// Events of one log stream, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogBatch {
    pub batch: u64,
    /// The account of the task and the region of its log group.
    pub scope: crate::Scope,
    pub create_group: bool,
    pub group: String,
    pub stream: String,
    pub events: Vec<(Timestamp, String)>,
}

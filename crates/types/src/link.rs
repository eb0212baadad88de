//! Messages between our own processes: one JSON object a line on a Unix socket.
//!
//! The sender first says everything it knows, then what changes. A receiver that reconnects starts over. Unknown fields
//! are ignored and new ones have defaults, so that an old process and a new one understand each other.

use crate::Timestamp;
use crate::ecs::AwsLogs;
use crate::id::{NodeId, TaskId};
use crate::launch::TaskSecrets;
use crate::node::{TaskIntent, TaskObservation, VpcIntent};
use serde::{Deserialize, Serialize};

/// The header by which the door for tasks says for whom a request comes: the welcome's `hop_password`, a space, an address.
pub const HOP_HEADER: &str = "x-longshore-source";

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
    /// The answer to `TaskProtection`.
    TaskProtection { number: u64, answer: ApiAnswer },
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
    /// Whether policies are evaluated: then every task is asked for before it is started, not only those with secrets or logs.
    #[serde(default)]
    pub ask_before_start: bool,
    /// What requests for tasks are marked with: see [`HOP_HEADER`].
    #[serde(default)]
    pub hop_password: String,
}

/// What a task wants of its own protection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtectionUpdate {
    pub enabled: bool,
    /// How long; the API's default without it.
    pub minutes: Option<i64>,
}

/// What the API answered, in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiAnswer {
    /// HTTP status.
    pub status: u16,
    pub request_id: String,
    pub body: String,
}

/// From a node's agent to the control plane.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromAgent {
    /// First: who it is.
    Hello {
        node: NodeId,
        cpu_units: u32,
        memory_mib: u64,
        /// Of the networks in effect: those that come next must have a later one.
        #[serde(default)]
        network_generation: u64,
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
    /// A task asks for its own protection, or changes it, with its role's credentials.
    TaskProtection {
        number: u64,
        scope: crate::Scope,
        task: TaskId,
        update: Option<ProtectionUpdate>,
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

impl LogBatch {
    /// Of the stream of a task's container.
    pub fn empty(log: &AwsLogs, of_task: &crate::Scope, task: &TaskId, container: &str) -> Self {
        Self {
            batch: 0,
            scope: log.scope(of_task),
            create_group: log.create_group,
            group: log.group.clone(),
            stream: log.stream(container, task),
            events: Vec::new(),
        }
    }
}

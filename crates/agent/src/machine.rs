//! The seam between what the agent decides and the machine it acts on: [`crate::local::Local`] is the real one, a simulator
//! has another. Everything a task's shell does to files, processes and the network goes through here.

use crate::supervisor::SupervisorError;
use longshore_runtime::protocol as rt;
use longshore_types::Timestamp;
use longshore_types::id::TaskId;
use longshore_types::link::Welcome;
use longshore_types::node::{ContainerIntent, EniIntent, TaskIntent, TaskObservation};
use std::collections::BTreeSet;
use std::future::Future;

/// Why a task did not start; its text is the stopped reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartError(pub String);

impl StartError {
    pub(crate) fn initialization(error: &dyn std::error::Error) -> Self {
        Self(format!("ResourceInitializationError: {}", chain(error)))
    }
}

/// What must stay when everything else on the machine is left over from an earlier agent.
#[derive(Debug, Default)]
pub struct Keep {
    pub tasks: BTreeSet<String>,
    pub interfaces: BTreeSet<String>,
}

/// A connection to a task's supervisor.
pub trait SupervisorLink: Send {
    fn send(&mut self, command: &rt::Command) -> impl Future<Output = Result<(), SupervisorError>> + Send;

    /// The next event; an error when the supervisor is gone. Dropping the future loses nothing.
    fn next(&mut self) -> impl Future<Output = Result<rt::Event, SupervisorError>> + Send;
}

/// The machine that tasks run on.
pub trait Machine: Send + Sync + 'static {
    type Image: Send + Sync;
    type Supervisor: SupervisorLink;

    fn now(&self) -> Timestamp;

    /// What the task's supervisor last wrote down.
    fn last_state(&self, task: &TaskId) -> Option<rt::State>;

    /// Whether anything of the task is there.
    fn has_traces(&self, task: &TaskId) -> bool;

    /// Connects to the supervisor that an earlier agent started; `None` if it is not there any more.
    fn adopt(&self, task: &TaskId) -> impl Future<Output = Option<Self::Supervisor>> + Send;

    fn pull(
        &self,
        container: &ContainerIntent,
        welcome: Option<Welcome>,
    ) -> impl Future<Output = Result<Self::Image, StartError>> + Send;

    fn digest(image: &Self::Image) -> String;

    /// Starts a supervisor, which makes everything ready and waits. `images` are those of the intent's containers, in order.
    fn prepare(
        &self,
        intent: &TaskIntent,
        images: &[Self::Image],
    ) -> impl Future<Output = Result<Self::Supervisor, StartError>> + Send;

    /// Gives the task its network interface.
    fn attach(
        &self,
        network: &EniIntent,
        supervisor: &Self::Supervisor,
    ) -> impl Future<Output = Result<(), StartError>> + Send;

    /// The interface has other security groups, or another public address.
    fn update_interface(&self, task: &TaskId, network: &EniIntent) -> impl Future<Output = ()> + Send;

    /// Writes down how a task ended, before anything of it is removed: an agent that finds this does not start it again.
    fn write_end(&self, seen: &TaskObservation);

    /// How the task ended, where that is written down.
    fn end(&self, task: &TaskId) -> Option<TaskObservation>;

    /// The control plane knows of the end.
    fn forget_end(&self, task: &TaskId);

    /// Removes everything the task has on this machine but how it ended. Idempotent.
    fn clean_up(&self, intent: &TaskIntent) -> impl Future<Output = ()> + Send;

    /// Removes every task and interface but these.
    fn remove_strangers(&self, keep: Keep) -> impl Future<Output = ()> + Send;
}

/// An error and what caused it, in one line; a cause that its parent already tells is left out.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text
}

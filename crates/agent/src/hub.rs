//! What the agent knows: its tasks, what the control plane wants of them, what they were last seen doing.

use crate::machine::{Keep, Machine};
use crate::task;
use longshore_runtime::protocol as rt;
use longshore_types::id::TaskId;
use longshore_types::launch::TaskSecrets;
use longshore_types::link::{ApiAnswer, FromAgent, LogBatch, ProtectionUpdate, ToAgent, Welcome};
use longshore_types::node::{TaskIntent, TaskObservation};
use longshore_types::{Scope, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;

/// Tasks started at a time: more makes each slower and none sooner.
const STARTS_AT_A_TIME: usize = 6;

/// The agent on machine `M`.
pub struct Hub<M: Machine> {
    pub machine: M,
    pub(crate) starts: Semaphore,
    pub(crate) welcome: watch::Sender<Option<Welcome>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tasks: BTreeMap<TaskId, Entry>,
    /// One for each task, and who waits for a reset.
    shells: JoinSet<()>,
    /// Where messages go; `None` while nobody is connected.
    link: Option<mpsc::UnboundedSender<FromAgent>>,
    next_batch: u64,
    /// Sent and not yet durable, in order: sent again to the next control plane.
    unacked: BTreeMap<u64, (LogBatch, mpsc::UnboundedSender<u64>)>,
    /// Tasks that wait for the values of their secrets: asked for again of the next control plane.
    asked: BTreeMap<TaskId, (Scope, oneshot::Sender<Secrets>)>,
    next_call: u64,
    /// Calls that tasks wait for. Whoever waits too long asks again by himself.
    calls: BTreeMap<u64, oneshot::Sender<ApiAnswer>>,
}

/// Values, or the reason that the task is stopped for.
type Secrets = Result<TaskSecrets, String>;

struct Entry {
    intent: watch::Sender<TaskIntent>,
    forget: Arc<tokio::sync::Notify>,
    seen: Option<TaskObservation>,
    /// What the supervisor says of each container, and when its health last changed.
    containers: BTreeMap<String, (rt::ContainerState, Timestamp)>,
}

/// What the metadata endpoint tells of a task.
pub struct Known {
    pub intent: TaskIntent,
    pub seen: Option<TaskObservation>,
    /// By name: state, and when its health last changed.
    pub containers: BTreeMap<String, (rt::ContainerState, Timestamp)>,
}

impl<M: Machine> Hub<M> {
    pub fn new(machine: M) -> Self {
        Self {
            machine,
            starts: Semaphore::new(STARTS_AT_A_TIME),
            welcome: watch::Sender::new(None),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Obeys a message of the control plane. Networks are the machine's own affair.
    pub async fn handle(self: &Arc<Self>, message: ToAgent) {
        match message {
            ToAgent::Welcome(welcome) => {
                self.welcome.send_replace(Some(welcome));
            }
            ToAgent::Network { .. } => {}
            ToAgent::Tasks { whole, upsert, remove } => {
                if whole {
                    self.machine.remove_strangers(self.keep(&upsert)).await;
                }
                self.want(whole, upsert, remove);
            }
            ToAgent::LogAck { batch } => self.log_ack(batch),
            ToAgent::Secrets { task, values } => {
                if let Some((_, answer)) = self.state().asked.remove(&task) {
                    let _ = answer.send(values);
                }
            }
            ToAgent::TaskProtection { number, answer } => {
                if let Some(call) = self.state().calls.remove(&number) {
                    let _ = call.send(answer);
                }
            }
            ToAgent::Reset { token } => {
                self.want(true, vec![], vec![]);
                let hub = Arc::clone(self);
                self.state().shells.spawn(async move {
                    while !hub.is_empty() {
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                    hub.send(FromAgent::ResetDone { token });
                });
            }
        }
    }

    /// What is wanted, and what is known and still on its way out.
    fn keep(&self, wanted: &[TaskIntent]) -> Keep {
        let state = self.state();
        let known = state.tasks.values().map(|entry| entry.intent.borrow().clone());
        let mut keep = Keep::default();
        for intent in wanted.iter().cloned().chain(known) {
            keep.tasks.insert(intent.id.to_string());
            keep.interfaces.insert(intent.network.id.to_string());
        }
        keep
    }

    /// Ends every shell at once, as a kill of the agent does. Tasks go on.
    pub fn abandon(&self) {
        let mut state = self.state();
        state.link = None;
        state.shells.abort_all();
    }

    /// A control plane is there: it hears everything that was seen and every log line it has not acknowledged.
    pub fn connected(&self, link: mpsc::UnboundedSender<FromAgent>) {
        let mut state = self.state();
        let seen: Vec<TaskObservation> = state.tasks.values().filter_map(|task| task.seen.clone()).collect();
        if !seen.is_empty() {
            let _ = link.send(FromAgent::Observed(seen));
        }
        for (batch, _) in state.unacked.values() {
            let _ = link.send(FromAgent::Logs(batch.clone()));
        }
        for (task, (scope, _)) in &state.asked {
            let _ = link.send(FromAgent::Secrets { scope: scope.clone(), task: task.clone() });
        }
        state.link = Some(link);
    }

    pub fn disconnected(&self) {
        self.state().link = None;
    }

    pub(crate) fn send(&self, message: FromAgent) {
        if let Some(link) = &self.state().link {
            let _ = link.send(message);
        }
    }

    /// Starts, changes or ends tasks as the control plane says.
    fn want(self: &Arc<Self>, whole: bool, upsert: Vec<TaskIntent>, remove: Vec<TaskId>) {
        let mut state = self.state();
        if whole {
            for (id, entry) in &state.tasks {
                if !upsert.iter().any(|intent| intent.id == *id) {
                    entry.forget.notify_one();
                }
            }
        }
        for id in remove {
            if let Some(entry) = state.tasks.get(&id) {
                entry.forget.notify_one();
            }
        }
        for intent in upsert {
            match state.tasks.get(&intent.id) {
                Some(entry) => {
                    entry.intent.send_if_modified(|old| {
                        let changed = *old != intent;
                        *old = intent;
                        changed
                    });
                }
                None => {
                    let (sender, receiver) = watch::channel(intent.clone());
                    let forget = Arc::new(tokio::sync::Notify::new());
                    let entry =
                        Entry { intent: sender, forget: Arc::clone(&forget), seen: None, containers: BTreeMap::new() };
                    state.tasks.insert(intent.id.clone(), entry);
                    state.shells.spawn(task::run(Arc::clone(self), receiver, forget));
                }
            }
        }
        while state.shells.try_join_next().is_some() {}
    }

    /// Remembers and reports what was seen of a task.
    pub(crate) fn observed(&self, seen: TaskObservation) {
        let mut state = self.state();
        let Some(entry) = state.tasks.get_mut(&seen.id) else { return };
        if entry.seen.as_ref() == Some(&seen) {
            return;
        }
        entry.seen = Some(seen.clone());
        if let Some(link) = &state.link {
            let _ = link.send(FromAgent::Observed(vec![seen]));
        }
    }

    /// The control plane has forgotten the task.
    pub(crate) fn remove(&self, id: &TaskId) {
        let mut state = self.state();
        state.tasks.remove(id);
        state.asked.remove(id);
    }

    /// Values of a task's secrets; waits for a control plane that has them.
    pub(crate) async fn secrets(&self, scope: &Scope, task: &TaskId) -> Secrets {
        let (answer, wait) = oneshot::channel();
        {
            let mut state = self.state();
            state.asked.insert(task.clone(), (scope.clone(), answer));
            if let Some(link) = &state.link {
                let _ = link.send(FromAgent::Secrets { scope: scope.clone(), task: task.clone() });
            }
        }
        match wait.await {
            Ok(values) => values,
            // The task is being forgotten, and its shell with it.
            Err(_) => std::future::pending().await,
        }
    }

    /// A task's protection, as the API answers its role; for ever, if the control plane goes in between.
    pub(crate) async fn protection(&self, scope: &Scope, task: &TaskId, update: Option<ProtectionUpdate>) -> ApiAnswer {
        let (call, wait) = oneshot::channel();
        {
            let mut state = self.state();
            // Of those who did not wait.
            state.calls.retain(|_, call| !call.is_closed());
            state.next_call += 1;
            let number = state.next_call;
            state.calls.insert(number, call);
            if let Some(link) = &state.link {
                let _ =
                    link.send(FromAgent::TaskProtection { number, scope: scope.clone(), task: task.clone(), update });
            }
        }
        match wait.await {
            Ok(answer) => answer,
            Err(_) => std::future::pending().await,
        }
    }

    /// The tasks it has not forgotten.
    pub fn known(&self) -> Vec<TaskId> {
        self.state().tasks.keys().cloned().collect()
    }

    fn is_empty(&self) -> bool {
        self.state().tasks.is_empty()
    }

    /// Remembers what a supervisor said of a container. The control plane needs less of it.
    pub(crate) fn observed_container(&self, task: &TaskId, container: &rt::ContainerState) {
        let now = self.machine.now();
        let mut state = self.state();
        let Some(entry) = state.tasks.get_mut(task) else { return };
        match entry.containers.get_mut(&container.name) {
            Some((known, since)) => {
                if known.health != container.health {
                    *since = now;
                }
                *known = container.clone();
            }
            None => drop(entry.containers.insert(container.name.clone(), (container.clone(), now))),
        }
    }

    /// A task that is on this node, for the metadata endpoint.
    pub fn find(&self, matches: impl Fn(&TaskIntent) -> bool) -> Option<Known> {
        let state = self.state();
        let entry = state.tasks.values().find(|entry| matches(&entry.intent.borrow()))?;
        let intent = entry.intent.borrow().clone();
        Some(Known { intent, seen: entry.seen.clone(), containers: entry.containers.clone() })
    }

    /// Whether the task is on this node.
    pub fn has(&self, task: &TaskId) -> bool {
        self.state().tasks.contains_key(task)
    }

    /// Sends log lines; `done` receives their number in the batch once they are durable.
    pub(crate) fn ship(&self, mut batch: LogBatch, done: mpsc::UnboundedSender<u64>) -> u64 {
        let mut state = self.state();
        state.next_batch += 1;
        batch.batch = state.next_batch;
        if let Some(link) = &state.link {
            let _ = link.send(FromAgent::Logs(batch.clone()));
        }
        let number = batch.batch;
        state.unacked.insert(number, (batch, done));
        number
    }

    fn log_ack(&self, batch: u64) {
        if let Some((_, done)) = self.state().unacked.remove(&batch) {
            let _ = done.send(batch);
        }
    }
}

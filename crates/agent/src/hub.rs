//! What the agent knows: its tasks, what the control plane wants of them, what they were last seen doing.

use crate::{AgentOptions, task};
use longshore_image::ImageStore;
use longshore_network::Network;
use longshore_types::id::TaskId;
use longshore_types::link::{FromAgent, LogBatch, Welcome};
use longshore_types::node::{TaskIntent, TaskObservation};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Semaphore, mpsc, watch};

/// Tasks started at a time: more makes each slower and none sooner.
const STARTS_AT_A_TIME: usize = 6;

pub struct Node {
    pub options: AgentOptions,
    pub images: ImageStore,
    pub network: Network,
    pub starts: Semaphore,
    pub welcome: watch::Sender<Option<Welcome>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    tasks: HashMap<TaskId, Entry>,
    /// Where messages go; `None` while nobody is connected.
    link: Option<mpsc::UnboundedSender<FromAgent>>,
    next_batch: u64,
    /// Sent and not yet durable, in order: sent again to the next control plane.
    unacked: BTreeMap<u64, (LogBatch, mpsc::UnboundedSender<u64>)>,
}

struct Entry {
    intent: watch::Sender<TaskIntent>,
    forget: Arc<tokio::sync::Notify>,
    seen: Option<TaskObservation>,
}

impl Node {
    pub fn new(options: AgentOptions, images: ImageStore, network: Network) -> Self {
        Self {
            options,
            images,
            network,
            starts: Semaphore::new(STARTS_AT_A_TIME),
            welcome: watch::Sender::new(None),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
        state.link = Some(link);
    }

    pub fn disconnected(&self) {
        self.state().link = None;
    }

    pub fn send(&self, message: FromAgent) {
        if let Some(link) = &self.state().link {
            let _ = link.send(message);
        }
    }

    /// Starts, changes or ends tasks as the control plane says.
    pub fn want(self: &Arc<Self>, whole: bool, upsert: Vec<TaskIntent>, remove: Vec<TaskId>) {
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
                    let entry = Entry { intent: sender, forget: Arc::clone(&forget), seen: None };
                    state.tasks.insert(intent.id.clone(), entry);
                    tokio::spawn(task::run(Arc::clone(self), receiver, forget));
                }
            }
        }
    }

    /// Remembers and reports what was seen of a task.
    pub fn observed(&self, seen: TaskObservation) {
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
    pub fn remove(&self, id: &TaskId) {
        self.state().tasks.remove(id);
    }

    pub fn is_known(&self, id: &str) -> bool {
        self.state().tasks.contains_key(id)
    }

    pub fn is_empty(&self) -> bool {
        self.state().tasks.is_empty()
    }

    /// Intent and observation of each task, for the metadata endpoint.
    pub fn find(&self, matches: impl Fn(&TaskIntent) -> bool) -> Option<(TaskIntent, Option<TaskObservation>)> {
        let state = self.state();
        let found = state.tasks.values().find(|entry| matches(&entry.intent.borrow()));
        found.map(|entry| (entry.intent.borrow().clone(), entry.seen.clone()))
    }

    /// Sends log lines; `done` receives their number in the batch once they are durable.
    pub fn ship(&self, mut batch: LogBatch, done: mpsc::UnboundedSender<u64>) -> u64 {
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

    pub fn log_ack(&self, batch: u64) {
        if let Some((_, done)) = self.state().unacked.remove(&batch) {
            let _ = done.send(batch);
        }
    }
}

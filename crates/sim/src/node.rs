//! The node: the real agent on a machine of pretence. Directories, interfaces and supervisors outlive the agent; the loss of
//! the node takes them all.

use crate::behaviour;
use crate::bug::Bug;
use crate::check;
use crate::control;
use crate::images;
use crate::supervisor::{self, Supervisor};
use crate::world::{World, lock};
use longshore_agent::hub::Hub;
use longshore_agent::machine::{Keep, Machine, StartError, SupervisorLink};
use longshore_agent::supervisor::SupervisorError;
use longshore_runtime::protocol as rt;
use longshore_types::Timestamp;
use longshore_types::id::{EniId, TaskId, VpcId};
use longshore_types::link::{FromAgent, ToAgent, Welcome};
use longshore_types::node::{ContainerIntent, EniIntent, TaskIntent, TaskObservation};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// What the machine has on its disk and in its kernel.
#[derive(Default)]
pub struct Node {
    pub directories: BTreeMap<TaskId, Directory>,
    pub interfaces: BTreeMap<EniId, Interface>,
    /// How tasks ended.
    pub ends: BTreeMap<TaskId, TaskObservation>,
    pub agent: Option<Agent>,
    /// Of the networks that it was last told.
    pub network_generation: u64,
    /// How often each container's command began since the machine was started.
    pub starts: BTreeMap<(TaskId, String), u32>,
}

/// A task's directory and what its supervisor holds.
#[derive(Default)]
pub struct Directory {
    /// The state file.
    pub state: Option<rt::State>,
    /// The living supervisor.
    pub supervisor: Option<Living>,
}

pub struct Living {
    pub messages: mpsc::UnboundedSender<supervisor::Message>,
    pub process: AbortHandle,
    /// Containers that answer requests.
    pub serving: Vec<String>,
}

impl Drop for Living {
    fn drop(&mut self) {
        self.process.abort();
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    pub vpc: VpcId,
    pub address: Ipv4Addr,
    pub task: TaskId,
}

/// A living agent.
pub struct Agent {
    pub hub: Arc<Hub<Hardware>>,
    link: AbortHandle,
}

/// Starts an agent on what the machine has.
pub fn start_agent(world: &Arc<World>) {
    world.note("agent", "starts");
    let hub = Arc::new(Hub::new(Hardware { world: Arc::clone(world) }));
    let link = tokio::spawn(talk(Arc::clone(world), Arc::clone(&hub))).abort_handle();
    lock(&world.node).agent = Some(Agent { hub, link });
}

/// Kills the agent. Supervisors go on.
pub fn crash_agent(world: &World, why: &str) {
    let agent = lock(&world.node).agent.take();
    if let Some(agent) = agent {
        world.note("fault", format!("the agent is killed {why}"));
        agent.link.abort();
        agent.hub.abandon();
    }
}

/// The machine loses its power: nothing that ran or was mounted is left.
pub fn lose(world: &World) {
    crash_agent(world, "with its machine");
    world.note("fault", "the machine is switched off");
    let mut node = lock(&world.node);
    node.directories.clear();
    node.interfaces.clear();
    node.ends.clear();
    node.starts.clear();
    node.network_generation = 0;
}

/// Kills the supervisor of some task that has one, and its containers with it.
pub fn kill_supervisor(world: &World) {
    let mut node = lock(&world.node);
    let living: Vec<TaskId> =
        node.directories.iter().filter(|(_, d)| d.supervisor.is_some()).map(|(id, _)| id.clone()).collect();
    if living.is_empty() {
        return;
    }
    let chosen = &living[world.draw(|rng| rng.below(living.len() as u64)) as usize];
    if let Some(directory) = node.directories.get_mut(chosen) {
        directory.supervisor = None;
    }
    drop(node);
    world.note("fault", format!("the supervisor of {} is killed", world.task(chosen)));
}

/// The agent's link, as `agent::link` keeps it.
async fn talk(world: Arc<World>, hub: Arc<Hub<Hardware>>) {
    loop {
        if let Some((to_control, mut from_control)) = control::connect(&world) {
            let (outbox, mut inbox) = mpsc::unbounded_channel();
            let network_generation = if world.has(Bug::SilentAgent) { 0 } else { lock(&world.node).network_generation };
            let hello = FromAgent::Hello { node: "local".into(), cpu_units: 0, memory_mib: 0, network_generation };
            let _ = outbox.send(hello);
            hub.connected(outbox);
            let up = async {
                while let Some(message) = inbox.recv().await {
                    if !to_control.send(message) {
                        return;
                    }
                }
            };
            let down = async {
                while let Some(message) = from_control.recv().await {
                    told(&world, &message);
                    hub.handle(message).await;
                }
            };
            tokio::select! {
                biased;
                () = up => {}
                () = down => {}
            }
            hub.disconnected();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn told(world: &World, message: &ToAgent) {
    if let ToAgent::Network { generation, .. } = message {
        let mut node = lock(&world.node);
        if *generation < node.network_generation {
            let text = format!("networks of generation {generation} come after {}", node.network_generation);
            drop(node);
            return world.violated("generations", text);
        }
        node.network_generation = *generation;
    }
    let ToAgent::Tasks { whole, upsert, remove } = message else { return };
    let names = |ids: Vec<&TaskId>| ids.into_iter().map(|id| world.task(id)).collect::<Vec<_>>().join(" ");
    let text = format!(
        "is told {}[{}], forget [{}]",
        if *whole { "everything " } else { "" },
        names(upsert.iter().map(|intent| &intent.id).collect()),
        names(remove.iter().collect())
    );
    world.note("agent", text);
}

/// The machine as the agent reaches it.
pub struct Hardware {
    world: Arc<World>,
}

/// The agent's connection to a supervisor.
pub struct Link {
    task: TaskId,
    client: u64,
    messages: mpsc::UnboundedSender<supervisor::Message>,
    events: mpsc::UnboundedReceiver<rt::Event>,
}

impl SupervisorLink for Link {
    async fn send(&mut self, command: &rt::Command) -> Result<(), SupervisorError> {
        let message = supervisor::Message::Command { client: self.client, command: command.clone() };
        self.messages.send(message).map_err(|_| SupervisorError::Gone)
    }

    async fn next(&mut self) -> Result<rt::Event, SupervisorError> {
        self.events.recv().await.ok_or(SupervisorError::Gone)
    }
}

impl Hardware {
    fn connect(&self, task: &TaskId) -> Option<Link> {
        let node = lock(&self.world.node);
        let living = node.directories.get(task)?.supervisor.as_ref()?;
        let (events, received) = mpsc::unbounded_channel();
        let client = self.world.draw(|rng| rng.next());
        living.messages.send(supervisor::Message::Connect { client, events }).ok()?;
        Some(Link { task: task.clone(), client, messages: living.messages.clone(), events: received })
    }

    fn hides_tasks(&self) -> bool {
        self.world.has(Bug::BlindAgent)
    }
}

impl Machine for Hardware {
    type Image = String;
    type Supervisor = Link;

    fn now(&self) -> Timestamp {
        Timestamp(self.world.now().0 + self.world.policy.skew_ms)
    }

    fn last_state(&self, task: &TaskId) -> Option<rt::State> {
        if self.hides_tasks() {
            return None;
        }
        lock(&self.world.node).directories.get(task)?.state.clone()
    }

    fn has_traces(&self, task: &TaskId) -> bool {
        !self.hides_tasks() && lock(&self.world.node).directories.contains_key(task)
    }

    async fn adopt(&self, task: &TaskId) -> Option<Link> {
        self.world.delay((0, 3)).await;
        if self.hides_tasks() {
            return None;
        }
        let link = self.connect(task)?;
        self.world.note("agent", format!("adopts the supervisor of {}", self.world.task(task)));
        Some(link)
    }

    async fn pull(&self, container: &ContainerIntent, _: Option<Welcome>) -> Result<String, StartError> {
        let image = &container.definition.image;
        self.world.delay(if self.world.draw(|rng| rng.chance(70, 100)) { (0, 30) } else { (100, 9_000) }).await;
        let found = images::resolve(&self.world, container).filter(|_| images::kind(image) != behaviour::MISSING);
        match found {
            Some(digest) if !self.world.fault(self.world.policy.failed_starts, 1000) => Ok(digest),
            _ => Err(StartError(format!("CannotPullContainerError: {image} was not found"))),
        }
    }

    fn digest(image: &String) -> String {
        image.clone()
    }

    async fn prepare(&self, intent: &TaskIntent, _: &[String]) -> Result<Link, StartError> {
        self.world.delay((0, 5)).await;
        lock(&self.world.node).directories.entry(intent.id.clone()).or_default();
        self.world.delay((1, 40)).await;
        if self.world.fault(self.world.policy.failed_starts, 1000) {
            return Err(StartError("ResourceInitializationError: the task supervisor could not be started".to_owned()));
        }
        if let Some(leaked) = check::secrets(&self.world, intent) {
            return Err(StartError(leaked));
        }
        let (messages, inbox) = mpsc::unbounded_channel();
        let supervisor = Supervisor::new(&self.world, intent);
        let state = supervisor.state().clone();
        let process = tokio::spawn(supervisor.run(inbox)).abort_handle();
        let living = Living { messages, process, serving: vec![] };
        let directory = Directory { state: Some(state), supervisor: Some(living) };
        lock(&self.world.node).directories.insert(intent.id.clone(), directory);
        self.world.note("agent", format!("starts the supervisor of {}", self.world.task(&intent.id)));
        self.world.delay((0, 10)).await;
        self.connect(&intent.id).ok_or_else(|| StartError("ResourceInitializationError: it left".to_owned()))
    }

    async fn attach(&self, network: &EniIntent, supervisor: &Link) -> Result<(), StartError> {
        self.world.delay((1, 30)).await;
        let task = supervisor.task.clone();
        let mut node = lock(&self.world.node);
        let taken = node
            .interfaces
            .iter()
            .find(|(id, other)| **id != network.id && other.vpc == network.vpc && other.address == network.address);
        if let Some((_, other)) = taken {
            let text = format!(
                "{} gets {}, which {} still has on the node",
                self.world.task(&task),
                network.address,
                self.world.task(&other.task)
            );
            drop(node);
            self.world.violated("address used twice", text);
            return Ok(());
        }
        let interface = Interface { vpc: network.vpc.clone(), address: network.address, task };
        node.interfaces.insert(network.id.clone(), interface);
        Ok(())
    }

    async fn update_interface(&self, _: &TaskId, _: &EniIntent) {
        self.world.delay((0, 5)).await;
    }

    fn write_end(&self, seen: &TaskObservation) {
        lock(&self.world.node).ends.insert(seen.id.clone(), seen.clone());
    }

    fn end(&self, task: &TaskId) -> Option<TaskObservation> {
        if self.hides_tasks() {
            return None;
        }
        lock(&self.world.node).ends.get(task).cloned()
    }

    fn forget_end(&self, task: &TaskId) {
        lock(&self.world.node).ends.remove(task);
    }

    async fn clean_up(&self, intent: &TaskIntent) {
        self.world.delay((0, 20)).await;
        if let Some(directory) = lock(&self.world.node).directories.get_mut(&intent.id) {
            directory.supervisor = None;
        }
        self.world.delay((0, 10)).await;
        if !self.world.has(Bug::LeakedInterface) {
            lock(&self.world.node).interfaces.remove(&intent.network.id);
        }
        self.world.delay((0, 10)).await;
        lock(&self.world.node).directories.remove(&intent.id);
        self.world.note("agent", format!("has cleaned up {}", self.world.task(&intent.id)));
    }

    async fn remove_strangers(&self, keep: Keep) {
        self.world.delay((0, 10)).await;
        let mut node = lock(&self.world.node);
        node.ends.retain(|id, _| keep.tasks.contains(id.as_str()));
        node.directories.retain(|id, _| keep.tasks.contains(id.as_str()));
        node.interfaces.retain(|id, _| keep.interfaces.contains(id.as_str()));
    }
}

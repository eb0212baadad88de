//! A machine that does what it is told, and whose supervisors never say anything.

use longshore_agent::hub::Hub;
use longshore_agent::machine::{Keep, Machine, StartError, SupervisorLink};
use longshore_agent::supervisor::SupervisorError;
use longshore_runtime::protocol as rt;
use longshore_types::Timestamp;
use longshore_types::id::TaskId;
use longshore_types::link::{FromAgent, ToAgent, Welcome};
use longshore_types::node::{ContainerIntent, EniIntent, TaskIntent, TaskObservation, TaskPhase};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;

/// What outlives an agent.
#[derive(Default)]
pub struct Disk {
    /// Intents that supervisors were made for, and how many were told to go.
    pub prepared: Vec<TaskIntent>,
    pub started: usize,
    /// How often everything of the task was removed.
    pub cleaned_up: usize,
    pub end: Option<TaskObservation>,
}

#[derive(Clone, Default)]
pub struct Scripted(Arc<Mutex<Disk>>);

impl Scripted {
    pub fn disk<T>(&self, look: impl FnOnce(&mut Disk) -> T) -> T {
        look(&mut self.0.lock().expect("no test panics holding it"))
    }
}

pub struct Link(Scripted);

impl SupervisorLink for Link {
    async fn send(&mut self, command: &rt::Command) -> Result<(), SupervisorError> {
        if matches!(command, rt::Command::Go) {
            self.0.disk(|disk| disk.started += 1);
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<rt::Event, SupervisorError> {
        std::future::pending().await
    }
}

impl Machine for Scripted {
    type Image = ();
    type Supervisor = Link;

    fn now(&self) -> Timestamp {
        Timestamp(1_000)
    }

    fn last_state(&self, _: &TaskId) -> Option<rt::State> {
        None
    }

    fn has_traces(&self, _: &TaskId) -> bool {
        self.disk(|disk| !disk.prepared.is_empty())
    }

    async fn adopt(&self, _: &TaskId) -> Option<Link> {
        None
    }

    async fn pull(&self, _: &ContainerIntent, _: Option<Welcome>) -> Result<(), StartError> {
        Ok(())
    }

    fn digest((): &()) -> String {
        String::new()
    }

    async fn prepare(&self, intent: &TaskIntent, _: &[()]) -> Result<Link, StartError> {
        self.disk(|disk| disk.prepared.push(intent.clone()));
        Ok(Link(self.clone()))
    }

    async fn attach(&self, _: &EniIntent, _: &Link) -> Result<(), StartError> {
        Ok(())
    }

    async fn update_interface(&self, _: &TaskId, _: &EniIntent) {}

    fn write_end(&self, seen: &TaskObservation) {
        self.disk(|disk| disk.end = Some(seen.clone()));
    }

    fn end(&self, _: &TaskId) -> Option<TaskObservation> {
        self.disk(|disk| disk.end.clone())
    }

    fn forget_end(&self, _: &TaskId) {}

    async fn clean_up(&self, _: &TaskIntent) {
        self.disk(|disk| disk.cleaned_up += 1);
    }

    async fn remove_strangers(&self, _: Keep) {}
}

/// An essential container with what `more` says of it.
pub fn container(name: &str, more: Value) -> Value {
    let mut definition = json!({"name": name, "image": "i", "essential": true});
    if let (Value::Object(definition), Value::Object(more)) = (&mut definition, more) {
        definition.extend(more);
    }
    json!({"id": format!("{name:0>8}"), "arn": "arn", "definition": definition, "image_digest": null})
}

/// A task of these containers.
pub fn intent(containers: &[Value]) -> TaskIntent {
    let network = json!({
        "id": "eni-1", "vpc": "vpc-1", "subnet": "subnet-1", "subnet_cidr": "10.0.0.0/24", "address": "10.0.0.9",
        "resolver": {"name_servers": [], "search": []}, "mac": "0a:00:00:00:00:01", "private_dns_name": "h",
        "security_groups": [], "public_address": null,
    });
    let intent = json!({
        "id": "0123", "arn": "arn", "scope": {"account": "123456789012", "region": "us-east-1"}, "cluster": "web",
        "cluster_arn": "arn", "family": "web", "revision": 1, "service": null, "group": "g", "launch_type": "FARGATE",
        "zone": "us-east-1a", "zone_id": "z", "run": "run", "was_running": false, "cpu_units": 256, "memory_mib": 512,
        "containers": containers,
        "volumes": [], "network": network, "credentials": null, "created_at": 0, "tags": {},
    });
    serde_json::from_value(intent).expect("an intent")
}

/// An agent with a control plane that has told it of a task of these containers.
pub async fn agent(
    machine: &Scripted,
    containers: &[Value],
) -> (Arc<Hub<Scripted>>, mpsc::UnboundedReceiver<FromAgent>) {
    let hub = Arc::new(Hub::new(machine.clone()));
    let (link, messages) = mpsc::unbounded_channel();
    hub.connected(link);
    hub.handle(ToAgent::Tasks { whole: true, upsert: vec![intent(containers)], remove: vec![] }).await;
    (hub, messages)
}

/// What `wanted` takes of the messages, the first such.
pub async fn heard<T>(messages: &mut mpsc::UnboundedReceiver<FromAgent>, wanted: impl Fn(FromAgent) -> Option<T>) -> T {
    let next = async {
        loop {
            if let Some(found) = wanted(messages.recv().await.expect("the link is open")) {
                return found;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(3600), next).await.expect("it is said in time")
}

pub fn stopped(message: FromAgent) -> Option<TaskObservation> {
    let FromAgent::Observed(seen) = message else { return None };
    seen.into_iter().find(|seen| seen.phase == TaskPhase::Stopped)
}

pub async fn starts(machine: &Scripted) {
    let started = async {
        while machine.disk(|disk| disk.started) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), started).await.expect("it starts");
}

/// Runs a test on a clock that goes as fast as nothing else happens.
pub fn run(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().start_paused(true).build().expect("a runtime").block_on(test);
}

//! An agent that waits for the values of a task's secrets: killed, left alone, or told no.

use longshore_agent::hub::Hub;
use longshore_agent::machine::{Keep, Machine, StartError, SupervisorLink};
use longshore_agent::supervisor::SupervisorError;
use longshore_runtime::protocol as rt;
use longshore_types::Timestamp;
use longshore_types::ecs::StopCode;
use longshore_types::id::TaskId;
use longshore_types::launch::{ContainerSecrets, TaskSecrets};
use longshore_types::link::{FromAgent, ToAgent, Welcome};
use longshore_types::node::{ContainerIntent, EniIntent, TaskIntent, TaskObservation, TaskPhase};
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;

/// What outlives an agent.
#[derive(Default)]
struct Disk {
    /// Intents that supervisors were made for, and how many were told to go.
    prepared: Vec<TaskIntent>,
    started: usize,
    end: Option<TaskObservation>,
}

#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<Disk>>);

impl Scripted {
    fn disk<T>(&self, look: impl FnOnce(&mut Disk) -> T) -> T {
        look(&mut self.0.lock().expect("no test panics holding it"))
    }
}

struct Link(Scripted);

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

    async fn clean_up(&self, _: &TaskIntent) {}

    async fn remove_strangers(&self, _: Keep) {}
}

fn intent() -> TaskIntent {
    let definition =
        json!({"name": "app", "image": "i", "essential": true, "secrets": [{"name": "S", "value_from": "/s"}]});
    let network = json!({
        "id": "eni-1", "vpc": "vpc-1", "subnet": "subnet-1", "subnet_cidr": "10.0.0.0/24", "address": "10.0.0.9",
        "resolver": {"name_servers": [], "search": []}, "mac": "0a:00:00:00:00:01", "private_dns_name": "h",
        "security_groups": [], "public_address": null,
    });
    let intent = json!({
        "id": "0123", "arn": "arn", "scope": {"account": "123456789012", "region": "us-east-1"}, "cluster": "web",
        "cluster_arn": "arn", "family": "web", "revision": 1, "service": null, "group": "g", "launch_type": "FARGATE",
        "zone": "us-east-1a", "zone_id": "z", "run": "run", "was_running": false, "cpu_units": 256, "memory_mib": 512,
        "containers": [{"id": "00000001", "arn": "arn", "definition": definition, "image_digest": null}],
        "volumes": [], "network": network, "credentials": null, "created_at": 0, "tags": {},
    });
    serde_json::from_value(intent).expect("an intent")
}

/// An agent with a control plane that has told it of the task.
async fn agent(machine: &Scripted) -> (Arc<Hub<Scripted>>, mpsc::UnboundedReceiver<FromAgent>) {
    let hub = Arc::new(Hub::new(machine.clone()));
    let (link, messages) = mpsc::unbounded_channel();
    hub.connected(link);
    hub.handle(ToAgent::Tasks { whole: true, upsert: vec![intent()], remove: vec![] }).await;
    (hub, messages)
}

/// What `wanted` takes of the messages, the first such.
async fn heard<T>(messages: &mut mpsc::UnboundedReceiver<FromAgent>, wanted: impl Fn(FromAgent) -> Option<T>) -> T {
    let next = async {
        loop {
            if let Some(found) = wanted(messages.recv().await.expect("the link is open")) {
                return found;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), next).await.expect("it is said in time")
}

fn asks(message: FromAgent) -> Option<()> {
    matches!(message, FromAgent::Secrets { .. }).then_some(())
}

fn stopped(message: FromAgent) -> Option<TaskObservation> {
    let FromAgent::Observed(seen) = message else { return None };
    seen.into_iter().find(|seen| seen.phase == TaskPhase::Stopped)
}

fn answer(value: &str) -> ToAgent {
    let environment = vec![("S".to_owned(), value.to_owned())];
    let container = ContainerSecrets { name: "app".to_owned(), environment, registry_auth: None };
    ToAgent::Secrets { task: "0123".into(), values: Ok(TaskSecrets { containers: vec![container] }) }
}

async fn starts(machine: &Scripted) {
    let started = async {
        while machine.disk(|disk| disk.started) == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), started).await.expect("it starts");
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(test);
}

#[test]
fn the_agent_after_one_that_was_killed_asks_again_and_starts_the_task_once() {
    run(async {
        let machine = Scripted::default();
        let (killed, mut messages) = agent(&machine).await;
        heard(&mut messages, asks).await;
        killed.abandon();
        // An answer on its way to the dead.
        killed.handle(answer("late")).await;
        let (hub, mut messages) = agent(&machine).await;
        heard(&mut messages, asks).await;
        assert!(machine.disk(|disk| disk.prepared.is_empty()), "nothing starts without its values");
        hub.handle(answer("value")).await;
        starts(&machine).await;
        hub.handle(answer("again")).await;
        tokio::task::yield_now().await;
        let (prepared, started) = machine.disk(|disk| (disk.prepared.clone(), disk.started));
        assert_eq!((prepared.len(), started), (1, 1));
        assert_eq!(prepared[0].containers[0].secrets.environment, [("S".to_owned(), "value".to_owned())]);
    });
}

#[test]
fn the_next_control_plane_is_asked_again() {
    run(async {
        let machine = Scripted::default();
        let (hub, mut messages) = agent(&machine).await;
        heard(&mut messages, asks).await;
        hub.disconnected();
        let (link, mut messages) = mpsc::unbounded_channel();
        hub.connected(link);
        heard(&mut messages, asks).await;
        hub.handle(answer("value")).await;
        starts(&machine).await;
        assert_eq!(machine.disk(|disk| disk.prepared.len()), 1);
    });
}

#[test]
fn a_no_stops_the_task_with_its_reason_also_after_a_kill() {
    run(async {
        let machine = Scripted::default();
        let (killed, mut messages) = agent(&machine).await;
        heard(&mut messages, asks).await;
        killed.abandon();
        let (hub, mut messages) = agent(&machine).await;
        heard(&mut messages, asks).await;
        let reason = "ResourceInitializationError: no such secret".to_owned();
        hub.handle(ToAgent::Secrets { task: "0123".into(), values: Err(reason.clone()) }).await;
        let seen = heard(&mut messages, stopped).await;
        assert_eq!(seen.stop, Some((StopCode::TaskFailedToStart, reason)));
        assert!(machine.disk(|disk| disk.prepared.is_empty()));
        // Killed before the control plane has heard: the end was written down, and is told again.
        hub.abandon();
        let (_hub, mut messages) = agent(&machine).await;
        assert_eq!(heard(&mut messages, stopped).await.stop, seen.stop);
    });
}

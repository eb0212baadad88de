//! An agent that waits for the values of a task's secrets: killed, left alone, or told no.

use crate::scripted::{self, Scripted, container, heard, run, starts, stopped};
use longshore_agent::hub::Hub;
use longshore_types::ecs::StopCode;
use longshore_types::launch::{ContainerSecrets, TaskSecrets};
use longshore_types::link::{FromAgent, ToAgent};
use serde_json::json;
use std::sync::Arc;
use tokio::sync::mpsc;

async fn agent(machine: &Scripted) -> (Arc<Hub<Scripted>>, mpsc::UnboundedReceiver<FromAgent>) {
    let secrets = json!({"secrets": [{"name": "S", "value_from": "/s"}]});
    scripted::agent(machine, &[container("app", secrets)]).await
}

fn asks(message: FromAgent) -> Option<()> {
    matches!(message, FromAgent::Secrets { .. }).then_some(())
}

fn answer(value: &str) -> ToAgent {
    let environment = vec![("S".to_owned(), value.to_owned())];
    let container = ContainerSecrets { name: "app".to_owned(), environment, registry_auth: None };
    ToAgent::Secrets { task: "0123".into(), values: Ok(TaskSecrets { containers: vec![container] }) }
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

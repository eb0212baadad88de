//! `--runtime none`: a node and a balancer that only say so. The whole control plane is real; tasks become RUNNING and
//! stop without a process, targets become healthy without a request.

use crate::agent_link::Side;
use crate::buckets;
use crate::serve::{Server, now};
use longshore_controllers::{intent, observe, secrets, targets};
use longshore_store::Snapshot;
use longshore_store::tables::{LoadBalancers, Targets, Tasks};
use longshore_types::ecs::{ContainerStatus, HealthStatus, StopCode};
use longshore_types::elbv2::{TargetHealth, TargetState};
use longshore_types::node::*;

pub async fn run(server: Server, mut side: Side) {
    let store = &server.backend.store;
    let mut watcher = store.watch().on::<Tasks>().on::<Targets>().on::<LoadBalancers>();
    loop {
        let (seen, reports, active) = store.read(|state| {
            let seen: Vec<TaskObservation> = intent::tasks(state, &"local".into())
                .iter()
                .map(|intent| match failure(state, &server, intent) {
                    Some(reason) => failed(observation(intent), reason),
                    None => observation(intent),
                })
                .collect();
            let reports: Vec<targets::Report> = state
                .targets()
                .all()
                .map(|target| targets::Report {
                    target_group: target.target_group.clone(),
                    id: format!("{}:{}", target.address, target.port),
                    registered_at: Some(target.registered_at),
                    health: target.draining_since.is_none().then_some(TargetHealth {
                        state: TargetState::Healthy,
                        reason: None,
                        description: None,
                    }),
                })
                .collect();
            let active: Vec<String> = state.load_balancers().all().map(|lb| lb.arn.clone()).collect();
            (seen, reports, active)
        });
        let applied =
            observe::apply(store, &server.environment, seen).await.and(targets::apply(store, reports, active).await);
        if let Err(error) = applied {
            tracing::error!(%error, "a simulated node could not report");
        }
        tokio::select! {
            wake = watcher.changed() => if wake.is_none() { return },
            Some(done) = side.resets.recv() => { let _ = done.send(()); }
        }
    }
}

/// Why the task cannot start: a secret that is not there, or a permission that its execution role lacks.
fn failure(state: &Snapshot, server: &Server, intent: &TaskIntent) -> Option<String> {
    let starts = !intent.was_running && intent.run == RunIntent::Run;
    if !starts {
        return None;
    }
    let read = |bucket: &str, key: &str| buckets::read(&server.config.data_dir, bucket, key);
    secrets::resolve(state, &server.environment, &intent.scope, &intent.id, &read).err()
}

fn failed(seen: TaskObservation, reason: String) -> TaskObservation {
    TaskObservation {
        phase: TaskPhase::Stopped,
        started_at: None,
        stop: Some((StopCode::TaskFailedToStart, reason)),
        ..seen
    }
}

fn observation(intent: &TaskIntent) -> TaskObservation {
    let stop = matches!(intent.run, RunIntent::Stop { .. });
    let at = now();
    let containers = intent.containers.iter().map(|c| ContainerObservation {
        name: c.definition.name.clone(),
        status: if stop { ContainerStatus::Stopped } else { ContainerStatus::Running },
        runtime_id: Some(format!("{}-{}", intent.id, c.id)),
        image_digest: None,
        exit_code: stop.then_some(0),
        reason: None,
        health: if c.definition.health_check.is_some() { HealthStatus::Healthy } else { HealthStatus::Unknown },
    });
    TaskObservation {
        scope: intent.scope.clone(),
        id: intent.id.clone(),
        phase: if stop { TaskPhase::Stopped } else { TaskPhase::Running },
        containers: containers.collect(),
        pull_started_at: Some(at),
        pull_stopped_at: Some(at),
        connectivity_at: Some(at),
        started_at: Some(at),
        execution_stopped_at: stop.then_some(at),
        stop: stop.then(|| (StopCode::UserInitiated, "Task stopped by user".to_owned())),
    }
}

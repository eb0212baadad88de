//! What nodes report, written into the tasks' rows, with everything that follows from it in the same transaction.

use crate::{Environment, events, service, task};
use longshore_api::Cx;
use longshore_api::ec2::network::delete_interface;
use longshore_planner::task::{is_failed_launch, observe};
use longshore_store::tables::RoleSessions;
use longshore_store::{Store, StoreError, Tx};
use longshore_types::ecs::{LaunchBackoff, StopCode, Task};
use longshore_types::elbv2::{Target, TargetHealth};
use longshore_types::node::TaskObservation;

/// Writes a batch of observations durably.
pub async fn apply(store: &Store, environment: &Environment, seen: Vec<TaskObservation>) -> Result<(), StoreError> {
    let contexts: Vec<(Cx, TaskObservation)> =
        seen.into_iter().map(|seen| (environment.cx(seen.scope.clone()), seen)).collect();
    let done = store.write(move |tx| {
        for (cx, seen) in &contexts {
            apply_one(tx, cx, seen);
        }
        Ok::<_, ()>(())
    });
    done.await.map(|_| ())
}

fn apply_one(tx: &mut Tx, cx: &Cx, seen: &TaskObservation) {
    let key = (cx.scope.clone(), seen.id.clone());
    let Some(stored) = tx.tasks().get(&key) else { return };
    let mut task = (*stored).clone();
    let change = observe(&mut task, seen, cx.now);
    if !change.visible {
        return;
    }
    if change.started {
        started(tx, cx, &task);
    }
    if change.stopped {
        stopped(tx, cx, &mut task);
    }
    tx.tasks().put(key, task);
}

/// RUNNING: its targets are registered, and its deployment has shown that it can run.
fn started(tx: &mut Tx, cx: &Cx, task: &Task) {
    let (Some(service), Some(deployment)) = (&task.service, &task.deployment) else { return };
    let key = (cx.scope.clone(), task.cluster.clone(), service.clone());
    let load_balancers = tx.services().update(&key, |service| {
        service.launch_backoff = LaunchBackoff::default();
        let deployment = service.deployments.iter_mut().find(|d| d.id == *deployment)?;
        deployment.reached_running = true;
        let load_balancers = deployment.load_balancers.clone();
        for lb in &load_balancers {
            events::add(service, cx, &format!("registered 1 targets in (target-group {})", lb.target_group));
        }
        Some(load_balancers)
    });
    for lb in load_balancers.flatten().unwrap_or_default() {
        let target = Target {
            target_group: lb.target_group.clone(),
            address: task.network.address,
            port: lb.port,
            zone: Some(task.zone.clone()),
            draining_since: None,
            task: Some(task.id.clone()),
            registered_at: cx.now,
            health: TargetHealth::registering(),
        };
        let id = format!("{}:{}", target.address, target.port);
        tx.targets().put((cx.scope.clone(), lb.target_group, id), target);
    }
}

/// STOPPED: interface and credentials go; a failure counts.
fn stopped(tx: &mut Tx, cx: &Cx, task: &mut Task) {
    delete_interface(tx, &cx.scope, &task.network.eni);
    task::begin_draining(tx, cx, task);
    let snapshot = tx.snapshot();
    for key in snapshot.role_sessions().by_index(&RoleSessions::BY_TASK, &task.id).keys() {
        tx.role_sessions().remove(&key);
    }
    task.access_key_id = None;
    task.tags = Default::default();
    let (Some(service), Some(deployment)) = (&task.service, &task.deployment) else { return };
    let key = (cx.scope.clone(), task.cluster.clone(), service.clone());
    let asked = matches!(task.stop_code, Some(StopCode::UserInitiated | StopCode::ServiceSchedulerInitiated));
    let failed = is_failed_launch(task);
    let reason = task.stopped_reason.clone().unwrap_or_default();
    tx.services().update(&key, |row| {
        if failed {
            service::count_failure(row, deployment, cx.now);
            events::add(row, cx, &format!("(task {}) failed to start: {reason}", task.id));
            if row.launch_backoff.failures == 3 {
                events::add(row, cx, "is unable to consistently start tasks successfully. For more information, see the stoppedReason of its stopped tasks.");
            }
        } else if !asked {
            events::add(row, cx, &format!("(task {}) stopped: {reason}", task.id));
        }
    });
}

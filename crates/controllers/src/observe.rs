//! What nodes report, written into the tasks' rows, with everything that follows from it in the same transaction.

use crate::service::ServiceKey;
use crate::task::Drained;
use crate::{Environment, events, service, task};
use longshore_api::Cx;
use longshore_api::ec2::network::delete_interface;
use longshore_api::ecs::deployment;
use longshore_planner::task::{Failure, failure, observe};
use longshore_store::tables::RoleSessions;
use longshore_store::{Store, StoreError, Tx};
use longshore_types::ecs::{StopCode, Task};
use longshore_types::elbv2::{Target, TargetHealth};
use longshore_types::node::TaskObservation;
use std::collections::BTreeMap;

/// Writes a batch of observations durably.
pub async fn apply(store: &Store, environment: &Environment, seen: Vec<TaskObservation>) -> Result<(), StoreError> {
    let contexts: Vec<(Cx, TaskObservation)> =
        seen.into_iter().map(|seen| (environment.cx(seen.scope.clone()), seen)).collect();
    let done = store.write(move |tx| {
        let mut told = Told::default();
        for (cx, seen) in &contexts {
            apply_one(tx, cx, seen, &mut told);
        }
        if let Some((cx, _)) = contexts.first() {
            told.tell(tx, cx);
        }
        Ok::<_, ()>(())
    });
    done.await.map(|_| ())
}

/// What services say of a batch: one event for many tasks.
#[derive(Default)]
struct Told {
    /// By service and target group.
    registered: BTreeMap<(ServiceKey, String), usize>,
    drained: Drained,
}

impl Told {
    fn tell(self, tx: &mut Tx, cx: &Cx) {
        for ((key, target_group), n) in self.registered {
            let text = format!("registered {n} targets in (target-group {target_group})");
            tx.services().update(&key, |service| events::add(service, cx, &text));
        }
        self.drained.tell(tx, cx);
    }
}

fn apply_one(tx: &mut Tx, cx: &Cx, seen: &TaskObservation, told: &mut Told) {
    let key = (cx.scope.clone(), seen.id.clone());
    let Some(stored) = tx.tasks().get(&key) else { return };
    let mut task = (*stored).clone();
    let change = observe(&mut task, seen, cx.now);
    if !change.visible {
        return;
    }
    let digests = |task: &Task| task.containers.iter().map(|c| c.image_digest.clone()).collect::<Vec<_>>();
    if digests(&stored) != digests(&task) {
        pin(tx, cx, &task);
    }
    if change.started {
        started(tx, cx, &task, told);
    }
    if change.ending {
        task::begin_draining(tx, cx, &task, &mut told.drained);
    }
    if change.stopped {
        stopped(tx, cx, &mut task);
    }
    tx.tasks().put(key, task);
}

fn service_key(cx: &Cx, task: &Task) -> Option<ServiceKey> {
    Some((cx.scope.clone(), task.cluster.clone(), task.service.clone()?))
}

fn pin(tx: &mut Tx, cx: &Cx, task: &Task) {
    let Some(key) = service_key(cx, task) else { return };
    let Some(row) = tx.services().get(&key) else { return };
    let mut row = (*row).clone();
    deployment::pin(tx, &cx.scope, &mut row, task);
    tx.services().put(key, row);
}

/// RUNNING: its targets are registered. What waits for the next launch waits on: another task may just have crashed.
fn started(tx: &mut Tx, cx: &Cx, task: &Task, told: &mut Told) {
    let (Some(key), Some(deployment)) = (service_key(cx, task), &task.deployment) else { return };
    let load_balancers = tx.services().get(&key).and_then(|service| {
        let deployment = service.deployments.iter().find(|d| d.id == *deployment)?;
        Some(deployment.template.load_balancers.clone())
    });
    for lb in load_balancers.unwrap_or_default() {
        if !tx.target_groups().contains(&(cx.scope.clone(), lb.target_group.clone())) {
            // Deleted since the launch.
            continue;
        }
        *told.registered.entry((key.clone(), lb.target_group.clone())).or_default() += 1;
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
    let snapshot = tx.snapshot();
    for key in snapshot.role_sessions().by_index(&RoleSessions::BY_TASK, &task.id).keys() {
        tx.role_sessions().remove(&key);
    }
    task.access_key_id = None;
    task.tags = Default::default();
    let (Some(key), Some(deployment)) = (service_key(cx, task), &task.deployment) else { return };
    let asked = matches!(task.stop_code, Some(StopCode::UserInitiated | StopCode::ServiceSchedulerInitiated));
    let reason = task.stopped_reason.clone().unwrap_or_default();
    tx.services().update(&key, |row| match failure(task) {
        Failure::Launch => {
            let stop = if reason.ends_with('.') { "" } else { "." };
            events::add(row, cx, &format!("was unable to place a task. Reason: {reason}{stop}"));
            service::count_failure(row, deployment, Failure::Launch, cx);
        }
        Failure::EarlyExit => {
            events::add(row, cx, &format!("(task {}) stopped: {reason}", task.id));
            service::count_failure(row, deployment, Failure::EarlyExit, cx);
        }
        Failure::None if !asked => events::add(row, cx, &format!("(task {}) stopped: {reason}", task.id)),
        Failure::None => {}
    });
}

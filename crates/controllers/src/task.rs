//! Tasks that were asked to stop: their targets drain first, then the node sends the stop signal.

use crate::{Environment, events};
use longshore_api::Cx;
use longshore_store::tables::Targets;
use longshore_store::{Snapshot, Store, Tx};
use longshore_types::ecs::{DesiredStatus, StopCode, Task, TaskStatus};
use longshore_types::id::{ClusterName, DeploymentId, ServiceName, TaskId};
use longshore_types::{Scope, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub type TaskKey = (Scope, TaskId);

/// What a task that was asked to stop needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Nothing,
    /// DEACTIVATING: no new requests for it.
    Drain,
    /// STOPPING: the node may send the signal.
    Signal,
}

fn next(state: &Snapshot, scope: &Scope, task: &Task) -> Next {
    if task.desired_status != DesiredStatus::Stopped || task.last_status >= TaskStatus::Stopping {
        return Next::Nothing;
    }
    // Spot capacity goes whether or not somebody still asks: the signal comes with the notice.
    if task.stop_code == Some(StopCode::SpotInterruption) {
        return Next::Signal;
    }
    let mut targets = state.targets().by_index(&Targets::BY_TASK, &(scope.clone(), task.id.clone())).peekable();
    if targets.peek().is_none() {
        Next::Signal
    } else if targets.any(|target| target.draining_since.is_none()) {
        Next::Drain
    } else {
        Next::Nothing
    }
}

/// One pass over these tasks, in one transaction. When it could not be stored: when to try again.
pub async fn pass(store: &Store, environment: &Environment, keys: &BTreeSet<TaskKey>) -> Option<Timestamp> {
    let due: Vec<TaskKey> = store.read(|state| {
        let is_due = |key: &&TaskKey| state.tasks().get(key).is_some_and(|t| next(state, &key.0, &t) != Next::Nothing);
        keys.iter().filter(is_due).cloned().collect()
    });
    if due.is_empty() {
        return None;
    }
    let due: Vec<(Cx, TaskKey)> = due.into_iter().map(|key| (environment.cx(key.0.clone()), key)).collect();
    let written = store
        .write(move |tx| {
            let mut drained = Drained::default();
            for (cx, key) in &due {
                let Some(task) = tx.tasks().get(key) else { continue };
                match next(tx, &key.0, &task) {
                    Next::Nothing => {}
                    Next::Drain => {
                        begin_draining(tx, cx, &task, &mut drained);
                        tx.tasks().update(key, |task| {
                            task.last_status = task.last_status.max(TaskStatus::Deactivating);
                            task.version += 1;
                        });
                    }
                    Next::Signal => {
                        begin_draining(tx, cx, &task, &mut drained);
                        tx.tasks().update(key, |task| {
                            task.last_status = TaskStatus::Stopping;
                            task.times.stopping_at = Some(cx.now);
                            task.version += 1;
                        });
                    }
                }
            }
            if let Some((cx, _)) = due.first() {
                drained.tell(tx, cx);
            }
            Ok::<_, ()>(())
        })
        .await;
    if let Err(error) = written {
        // The store itself says once that the disk is full.
        if !error.is_full() {
            tracing::error!(%error, "stopping tasks could not be stored; they are looked at again in a second");
        }
        return Some(environment.now() + Duration::from_secs(1));
    }
    None
}

/// What began to drain in a transaction, for the services' events.
#[derive(Default)]
pub struct Drained(BTreeMap<(Scope, ClusterName, ServiceName), OfService>);

#[derive(Default)]
struct OfService {
    targets: BTreeMap<String, usize>,
    tasks: BTreeMap<DeploymentId, usize>,
}

impl Drained {
    pub fn tell(self, tx: &mut Tx, cx: &Cx) {
        for (key, seen) in self.0 {
            tx.services().update(&key, |service| {
                for (target_group, n) in &seen.targets {
                    events::add(service, cx, &format!("deregistered {n} targets in (target-group {target_group})"));
                }
                for (deployment, n) in &seen.tasks {
                    events::add_draining(service, cx, deployment, *n);
                }
            });
        }
    }
}

/// Marks a task's targets as draining.
pub fn begin_draining(tx: &mut Tx, cx: &Cx, task: &Task, drained: &mut Drained) {
    let snapshot = tx.snapshot();
    let mut began = false;
    for (key, target) in snapshot.targets().by_index(&Targets::BY_TASK, &(cx.scope.clone(), task.id.clone())).entries()
    {
        if target.draining_since.is_some() {
            continue;
        }
        tx.targets().update(&key, |target| crate::targets::set_draining(target, cx.now));
        began = true;
        if let Some(service) = &task.service {
            let key = (cx.scope.clone(), task.cluster.clone(), service.clone());
            *drained.0.entry(key).or_default().targets.entry(target.target_group.clone()).or_default() += 1;
        }
    }
    if let (true, Some(service), Some(deployment)) = (began, &task.service, &task.deployment) {
        let key = (cx.scope.clone(), task.cluster.clone(), service.clone());
        *drained.0.entry(key).or_default().tasks.entry(deployment.clone()).or_default() += 1;
    }
}

//! Tasks that were asked to stop: their targets drain first, then the node sends the stop signal.

use crate::{Environment, events};
use longshore_api::Cx;
use longshore_store::tables::Targets;
use longshore_store::{Snapshot, Store, Tx};
use longshore_types::Scope;
use longshore_types::ecs::{DesiredStatus, Task, TaskStatus};
use longshore_types::id::TaskId;

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
    let mut targets = state.targets().by_index(&Targets::BY_TASK, &(scope.clone(), task.id.clone())).peekable();
    if targets.peek().is_none() {
        Next::Signal
    } else if targets.any(|target| target.draining_since.is_none()) {
        Next::Drain
    } else {
        Next::Nothing
    }
}

/// One pass over one task.
pub async fn pass(store: &Store, environment: &Environment, key: TaskKey) {
    let due = store.read(|state| state.tasks().get(&key).is_some_and(|t| next(state, &key.0, &t) != Next::Nothing));
    if !due {
        return;
    }
    let cx = environment.cx(key.0.clone());
    let written = store
        .write(move |tx| {
            if let Some(task) = tx.tasks().get(&key) {
                match next(tx, &key.0, &task) {
                    Next::Nothing => {}
                    Next::Drain => drain(tx, &cx, &task),
                    Next::Signal => {
                        tx.tasks().update(&key, |task| {
                            task.last_status = TaskStatus::Stopping;
                            task.times.stopping_at = Some(cx.now);
                            task.version += 1;
                        });
                    }
                }
            }
            Ok::<_, ()>(())
        })
        .await;
    if let Err(error) = written {
        tracing::error!(%error, "a stopping task could not be stored");
    }
}

fn drain(tx: &mut Tx, cx: &Cx, task: &Task) {
    begin_draining(tx, cx, task);
    tx.tasks().update(&(cx.scope.clone(), task.id.clone()), |task| {
        task.last_status = task.last_status.max(TaskStatus::Deactivating);
        task.version += 1;
    });
    if let Some(service) = &task.service {
        let key = (cx.scope.clone(), task.cluster.clone(), service.clone());
        tx.services().update(&key, |service| events::add(service, cx, "has begun draining connections on 1 tasks."));
    }
}

/// Marks a task's targets as draining.
pub fn begin_draining(tx: &mut Tx, cx: &Cx, task: &Task) {
    let snapshot = tx.snapshot();
    for (key, target) in snapshot.targets().by_index(&Targets::BY_TASK, &(cx.scope.clone(), task.id.clone())).entries()
    {
        if target.draining_since.is_none() {
            tx.targets().update(&key, |target| crate::targets::set_draining(target, cx.now));
        }
    }
}

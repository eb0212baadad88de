//! Planted bugs that are processes or acts of their own; see [`crate::bug`].

use crate::bug::Bug;
use crate::world::World;
use longshore_store::tables::{RoleSessions, Targets, Tasks};
use longshore_store::{Store, Table, Tx};
use longshore_types::ecs::*;
use longshore_types::elbv2::Target;
use longshore_types::iam::RoleSession;
use longshore_types::node::{TaskObservation, TaskPhase};
use std::sync::Arc;
use std::time::Duration;

/// [`Bug::EagerScheduler`]: in a service that rolls, one old task more goes.
pub async fn eager(world: Arc<World>, store: Store) {
    loop {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let rolling = store.read(|state| {
            let service = state.services().all().entries().find(|(_, s)| s.deployments.len() > 1)?;
            let old = &service.1.deployments[1];
            let tasks = state.tasks().by_index(&Tasks::BY_SERVICE, &service.0).entries();
            let mut running = tasks.filter(|(_, task)| {
                task.deployment.as_ref() == Some(&old.id)
                    && task.last_status == TaskStatus::Running
                    && task.desired_status == DesiredStatus::Running
            });
            running.next().map(|(key, _)| key)
        });
        let Some(key) = rolling.filter(|_| world.faults()) else { continue };
        let _ = store
            .write(move |tx| {
                tx.tasks().update(&key, |task| {
                    task.desired_status = DesiredStatus::Stopped;
                    task.stop_code = Some(StopCode::ServiceSchedulerInitiated);
                    task.stopped_reason = Some("Scaling activity initiated by (deployment ecs-svc/0)".to_owned());
                    task.version += 1;
                });
                Ok::<_, ()>(())
            })
            .await;
    }
}

/// What a bug keeps of a task, from before a report of its node is stored.
pub struct Kept {
    targets: Vec<(<Targets as Table>::Key, Target)>,
    sessions: Vec<(String, RoleSession)>,
}

pub fn before_observations(world: &World, store: &Store, seen: &[TaskObservation]) -> Kept {
    let mut kept = Kept { targets: vec![], sessions: vec![] };
    if world.bug.is_none() {
        return kept;
    }
    let state = store.snapshot();
    for seen in seen {
        let key = (seen.scope.clone(), seen.id.clone());
        let targets = state.targets().by_index(&Targets::BY_TASK, &key).entries();
        kept.targets.extend(targets.map(|(key, row)| (key, Target { draining_since: None, ..(*row).clone() })));
        let sessions = state.role_sessions().by_index(&RoleSessions::BY_TASK, &seen.id).entries();
        kept.sessions.extend(sessions.map(|(key, row)| (key, (*row).clone())));
    }
    kept
}

/// Bugs in what follows from a node's report.
pub async fn after_observations(world: &World, store: &Store, seen: Vec<TaskObservation>, kept: Kept) {
    let Some(bug) = world.bug else { return };
    let _ = store
        .write(move |tx| {
            match bug {
                Bug::NaiveMerge => seen.iter().for_each(|seen| go_back(tx, seen)),
                Bug::StaleTarget => kept.targets.into_iter().for_each(|(key, row)| drop(tx.targets().put(key, row))),
                Bug::KeptSecrets => {
                    kept.sessions.into_iter().for_each(|(key, row)| drop(tx.role_sessions().put(key, row)));
                }
                _ => {}
            }
            Ok::<_, ()>(())
        })
        .await;
}

fn go_back(tx: &mut Tx, seen: &TaskObservation) {
    if seen.phase == TaskPhase::Running {
        tx.tasks().update(&(seen.scope.clone(), seen.id.clone()), |task| {
            if task.last_status > TaskStatus::Running {
                task.last_status = TaskStatus::Running;
                task.version += 1;
            }
        });
    }
}

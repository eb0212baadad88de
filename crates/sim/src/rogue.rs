//! Planted bugs that are processes or acts of their own; see [`crate::bug`].

use crate::bug::Bug;
use crate::world::World;
use longshore_api::Cx;
use longshore_api::ecs::launch::{Launch, launch};
use longshore_controllers::Environment;
use longshore_store::tables::{RoleSessions, Targets};
use longshore_store::{Store, Table, Tx};
use longshore_types::ecs::*;
use longshore_types::elbv2::Target;
use longshore_types::iam::RoleSession;
use longshore_types::node::{TaskObservation, TaskPhase};
use std::sync::Arc;
use std::time::Duration;

/// Does what the bug is, beside everything else, as long as the control plane lives.
pub async fn run(bug: Bug, world: Arc<World>, store: Store, environment: Environment) {
    if bug == Bug::RestlessStart {
        write(&store, |tx| {
            let keys: Vec<_> = tx.snapshot().services().all().keys().collect();
            for key in &keys {
                tx.services().update(key, |service| service.created_by.push('!'));
            }
        })
        .await;
    }
    loop {
        let is_fast = matches!(bug, Bug::HastySignal | Bug::DeafBreaker | Bug::HotLaunches);
        tokio::time::sleep(if is_fast { Duration::from_millis(50) } else { Duration::from_secs(2) }).await;
        if !world.faults() {
            continue;
        }
        match bug {
            Bug::EagerScheduler => eager(&store).await,
            Bug::GreedyScheduler => {
                let cx = environment.cx(crate::control::scope());
                write(&store, move |tx| greedy(tx, &cx)).await;
            }
            Bug::BlindScheduler => {
                let now = world.now();
                stop(&store, |task| task.service.is_some() && task.is_protected(now)).await;
            }
            Bug::HastySignal => write(&store, hasty).await,
            Bug::NervousScheduler => write(&store, nervous).await,
            Bug::DeafBreaker => {
                let has_failures = |s: &Service| s.deployments.iter().any(|d| d.failed_tasks > 0);
                services(&store, has_failures, |s| s.deployments.iter_mut().for_each(|d| d.failed_tasks = 0)).await;
            }
            Bug::ForgottenRelease => {
                services(&store, |s| s.last_completed.is_some(), |s| s.last_completed = None).await;
            }
            Bug::HotLaunches => {
                let waits = |s: &Service| s.launch_backoff.retry_at.is_some();
                services(&store, waits, |s| s.launch_backoff.retry_at = None).await;
            }
            Bug::SecondRelease => {
                write(&store, |tx| {
                    let state = tx.snapshot();
                    let over = state.service_deployments().all().entries().find(|(_, release)| !release.is_open());
                    if let Some((key, _)) = over {
                        tx.service_deployments().update(&key, |r| r.status = ServiceDeploymentStatus::InProgress);
                    }
                })
                .await;
            }
            Bug::EditedRevision => {
                write(&store, |tx| {
                    let keys: Vec<_> = tx.snapshot().service_revisions().all().keys().collect();
                    for key in keys {
                        tx.service_revisions().update(&key, |row| row.template.platform_version.push('!'));
                    }
                })
                .await;
            }
            _ => return,
        }
    }
}

async fn write(store: &Store, change: impl FnOnce(&mut Tx) + Send + 'static) {
    let done = store.write(move |tx| {
        change(tx);
        Ok::<_, ()>(())
    });
    let _ = done.await;
}

/// Changes the services that are so.
async fn services(store: &Store, which: fn(&Service) -> bool, change: fn(&mut Service)) {
    if store.read(|state| state.services().all().any(|service| which(&service))) {
        write(store, move |tx| {
            let state = tx.snapshot();
            for (key, _) in state.services().all().entries().filter(|(_, service)| which(service)) {
                tx.services().update(&key, change);
            }
        })
        .await;
    }
}

/// Stops what a service has, as the scheduler does for bad health.
fn nervous(tx: &mut Tx) {
    let state = tx.snapshot();
    let is_live = |task: &Task| task.desired_status == DesiredStatus::Running && task.service.is_some();
    let Some(one) = state.tasks().all().find(|task| is_live(task)) else { return };
    let of_service = state.tasks().all().entries().filter(|(_, t)| is_live(t) && t.service == one.service);
    for (key, _) in of_service {
        tx.tasks().update(&key, |task| ask(task, "Task failed container health checks"));
    }
}

/// In a service that rolls, one old task more goes.
async fn eager(store: &Store) {
    let rolling = store.read(|state| {
        let service = state.services().all().find(|s| s.deployments.len() > 1)?;
        Some(service.deployments[1].id.clone())
    });
    if let Some(old) = rolling {
        stop(store, move |task| task.deployment.as_ref() == Some(&old) && task.protected_until.is_none()).await;
    }
}

/// Stops a running task, as the scheduler does.
async fn stop(store: &Store, which: impl Fn(&Task) -> bool) {
    let running =
        |task: &Task| task.last_status == TaskStatus::Running && task.desired_status == DesiredStatus::Running;
    let key = store.read(|state| {
        let mut tasks = state.tasks().all().entries();
        tasks.find(|(_, task)| running(task) && which(task)).map(|(key, _)| key)
    });
    let Some(key) = key else { return };
    write(store, move |tx| {
        tx.tasks().update(&key, |task| ask(task, "Scaling activity initiated by (deployment ecs-svc/0)"));
    })
    .await;
}

fn ask(task: &mut Task, reason: &str) {
    task.desired_status = DesiredStatus::Stopped;
    task.stop_code = Some(StopCode::ServiceSchedulerInitiated);
    task.stopped_reason = Some(reason.to_owned());
    task.version += 1;
}

/// Starts six tasks more of a service that is complete.
fn greedy(tx: &mut Tx, cx: &Cx) {
    let state = tx.snapshot();
    let complete = |s: &Service| s.deployments.first().is_some_and(|d| d.rollout_state == RolloutState::Completed);
    let Some(service) = state.services().all().find(|s| s.desired_count > 0 && complete(s)) else { return };
    let deployment = &service.deployments[0];
    let (family, revision) = deployment.template.task_definition.clone();
    let Some(definition) = state.task_definitions().get(&(cx.scope.clone(), family, revision)) else { return };
    for _ in 0..6 {
        let wanted = Launch {
            cluster: &service.cluster,
            definition: &definition,
            network: &deployment.template.network,
            group: format!("service:{}", service.name),
            started_by: None,
            service: Some(service.name.clone()),
            deployment: Some(deployment.id.clone()),
            capacity_provider: None,
            enable_execute_command: false,
            overrides: TaskOverride::default(),
            tags: Default::default(),
            client_token: None,
            image_digests: &deployment.image_digests,
            zone: None,
        };
        let _ = launch(tx, cx, wanted);
    }
}

fn hasty(tx: &mut Tx) {
    let state = tx.snapshot();
    let waiting = state.tasks().all().entries().filter(|(_, task)| task.last_status == TaskStatus::Deactivating);
    for (key, _) in waiting {
        tx.tasks().update(&key, |task| {
            task.last_status = TaskStatus::Stopping;
            task.version += 1;
        });
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

//! Failing deployments: when a circuit breaker has to fire, what it goes back to, and how often launches are tried again.
//! Failures are counted here anew.

use super::{Snapshot, is_unwell};
use crate::world::{World, lock};
use longshore_planner::breaker;
use longshore_store::Table;
use longshore_store::tables::Services;
use longshore_types::Scope;
use longshore_types::ecs::*;
use longshore_types::id::{DeploymentId, TaskId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

type ServiceKey = <Services as Table>::Key;

/// Six tasks fail at once at most, in six attempts within the first minute: after 1, 2, 4, 8 and 16 seconds. Failed launches
/// and crashes have a back-off each.
const MOST: usize = 2 * 6 * 6;
const SPAN: Duration = Duration::from_secs(60);

#[derive(Default)]
pub struct Failures {
    /// When tasks of a deployment failed since one of them was healthy, or its state another one.
    of: BTreeMap<DeploymentId, Vec<Duration>>,
    /// The deployment of a service that completed last and was not gone back to since.
    completed: BTreeMap<String, DeploymentId>,
}

fn service_of(state: &Snapshot, scope: &Scope, task: &Task) -> Option<(ServiceKey, std::sync::Arc<Service>)> {
    let key = (scope.clone(), task.cluster.clone(), task.service.clone()?);
    state.services().get(&key).map(|service| (key, service))
}

/// A deployment whose tasks failed too often starts no more of them.
pub fn started(world: &World, before: &Snapshot, after: &Snapshot, changed: &[(Scope, TaskId)]) {
    for key in changed.iter().filter(|key| before.tasks().get(key).is_none()) {
        let Some(task) = after.tasks().get(key) else { continue };
        let Some((_, service)) = service_of(before, &key.0, &task) else { continue };
        let Some(primary) = service.deployments.first() else { continue };
        let rolls = primary.rollout_state == RolloutState::InProgress && service.status == ServiceStatus::Active;
        if !rolls || !service.circuit_breaker.enable || task.deployment.as_ref() != Some(&primary.id) {
            continue;
        }
        let failed = lock(&world.checks).failures.of.get(&primary.id).map_or(0, Vec::len);
        let threshold = breaker::threshold(service.desired_count, service.circuit_breaker.threshold);
        if failed >= threshold as usize {
            let text = format!("{} starts tasks after {failed} of {threshold} failures", service.name);
            return world.violated("circuit breaker", text);
        }
    }
}

/// Counts what a commit has.
pub fn count(world: &World, before: &Snapshot, after: &Snapshot, changed: &[(Scope, TaskId)]) {
    let mut over = BTreeSet::new();
    for key in changed {
        let (Some(old), Some(new)) = (before.tasks().get(key), after.tasks().get(key)) else { continue };
        let (Some(deployment), Some((_, service))) = (&new.deployment, service_of(after, &key.0, &new)) else {
            continue;
        };
        if new.was_healthy && !old.was_healthy {
            over.insert(deployment.clone());
        }
        if has_failed(&old, &new) {
            failed(world, &service, deployment);
        }
    }
    let mut checks = lock(&world.checks);
    checks.failures.of.retain(|deployment, _| !over.contains(deployment));
}

fn has_failed(old: &Task, new: &Task) -> bool {
    let unwell = old.stop_code.is_none() && is_unwell(new);
    let ended = !old.is_stopped() && new.is_stopped() && !new.was_healthy;
    let by_itself = matches!(new.stop_code, Some(StopCode::TaskFailedToStart | StopCode::EssentialContainerExited));
    unwell || (ended && by_itself)
}

fn failed(world: &World, service: &Service, deployment: &DeploymentId) {
    let now = world.elapsed();
    let count = {
        let mut checks = lock(&world.checks);
        let times = checks.failures.of.entry(deployment.clone()).or_default();
        times.push(now);
        times.iter().filter(|at| now - **at < SPAN).count()
    };
    if count > MOST {
        let text = format!("{count} tasks of {} have failed within {SPAN:?}", service.name);
        world.violated("back-off", text);
    }
}

/// A deployment of a service is in another state.
pub fn changed(world: &World, service: &Service, deployment: &Deployment) {
    let mut checks = lock(&world.checks);
    let Failures { of, completed } = &mut checks.failures;
    of.remove(&deployment.id);
    let service = service.name.as_str();
    match deployment.rollout_state {
        RolloutState::Completed => drop(completed.insert(service.to_owned(), deployment.id.clone())),
        // It is gone back to, which happens once.
        _ if completed.get(service) == Some(&deployment.id) => drop(completed.remove(service)),
        _ => {}
    }
}

/// Where the breaker rolls back and some deployment has completed, that one takes over from the one that failed.
pub fn is_rolled_back(world: &World, old: &Service, new: &Service, failed: &Deployment) {
    let rolls_back = [old, new].iter().all(|s| s.circuit_breaker.enable && s.circuit_breaker.rollback);
    let completed = lock(&world.checks).failures.completed.get(new.name.as_str()).cloned();
    let is_primary = new.deployments.first().is_some_and(|primary| primary.id == failed.id);
    if let Some(completed) = completed.filter(|_| rolls_back && is_primary) {
        let id = world.name("deployment", completed.as_str());
        world.violated("rollback", format!("a deployment of {} fails, and {id} does not take over", new.name));
    }
}

//! Capacity providers: the base comes first, weights share the rest, and Spot capacity goes with a notice.

use crate::world::World;
use longshore_store::Snapshot;
use longshore_store::tables::Tasks;
use longshore_types::Scope;
use longshore_types::ecs::*;
use longshore_types::id::TaskId;
use std::collections::BTreeSet;

/// The base on FARGATE that a service's name promises: `s3-c1-base2`.
fn base(service: &str) -> Option<usize> {
    service.rsplit_once("-base")?.1.parse().ok()
}

/// What is started goes where its service's strategy says, counted in the tasks of its deployment.
pub fn started(world: &World, before: &Snapshot, after: &Snapshot, changed: &[(Scope, TaskId)]) {
    let new = changed.iter().filter(|key| before.tasks().get(key).is_none());
    let mut seen = BTreeSet::new();
    for key in new {
        let Some(task) = after.tasks().get(key) else { continue };
        let (Some(service), Some(deployment)) = (&task.service, &task.deployment) else { continue };
        let Some(base) = base(service.as_str()) else { continue };
        if !seen.insert((service.clone(), task.capacity_provider)) {
            continue;
        }
        let of_service = (key.0.clone(), task.cluster.clone(), service.clone());
        let of_deployment: Vec<_> = after
            .tasks()
            .by_index(&Tasks::BY_SERVICE, &of_service)
            .filter(|other| other.is_live() && other.deployment.as_ref() == Some(deployment))
            .collect();
        // One more than wanted stands in for another one, of whichever provider that is.
        let desired = after.services().get(&of_service).map_or(0, |row| row.desired_count);
        if of_deployment.len() > desired as usize {
            continue;
        }
        let on = |provider| of_deployment.iter().filter(|t| t.capacity_provider == Some(provider)).count();
        if task.capacity_provider != Some(CapacityProvider::Fargate) && on(CapacityProvider::Fargate) < base {
            world.violated(
                "base",
                format!(
                    "{service} starts a task on {:?} and has {} of the {base} that its base has on FARGATE",
                    task.capacity_provider,
                    on(CapacityProvider::Fargate)
                ),
            );
        }
        // By weight, no provider gets more than its share, rounded up.
        let Some(row) = after.services().get(&of_service) else { continue };
        let Some(strategy) = row.deployments.iter().find(|d| d.id == *deployment).map(|d| &d.template.capacity) else {
            continue;
        };
        let Some(item) = strategy.iter().find(|item| Some(item.provider) == task.capacity_provider) else { continue };
        let weights: u32 = strategy.iter().map(|item| item.weight).sum();
        let total = of_deployment.len() as u32;
        let share = item.base + (total * item.weight).div_ceil(weights.max(1));
        if on(item.provider) as u32 > share {
            world.violated(
                "weights",
                format!("{service} has {} of {total} tasks on {}, by {strategy:?}", on(item.provider), item.provider),
            );
        }
    }
}

/// Only Spot capacity is interrupted, and its task is told at once.
pub fn changed(world: &World, old: Option<&Task>, new: &Task) {
    if new.stop_code != Some(StopCode::SpotInterruption) {
        return;
    }
    let name = || world.task(&new.id);
    if new.capacity_provider != Some(CapacityProvider::FargateSpot) {
        world.violated("spot", format!("{} is interrupted on {:?}", name(), new.capacity_provider));
    }
    if new.last_status == TaskStatus::Deactivating && old.is_some_and(|old| old.last_status < TaskStatus::Deactivating)
    {
        world.violated("spot", format!("{} is interrupted, and its notice waits for requests", name()));
    }
}

//! What must hold once faults have ceased: everything wanted is there, nothing else is, and nobody does anything any more.

use crate::world::{World, lock};
use longshore_store::tables::{RoleSessions, Services, Targets, Tasks};
use longshore_store::{Snapshot, Table};
use longshore_types::Scope;
use longshore_types::ec2::EniOwner;
use longshore_types::ecs::*;
use longshore_types::elbv2::TargetState;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Why the system is not settled yet; empty when it is.
pub fn unsettled(world: &World) -> Vec<String> {
    let Some(state) = lock(&world.control).as_ref().map(|process| process.store.snapshot()) else {
        return vec!["there is no control plane".to_owned()];
    };
    let mut open = Vec::new();
    services(world, &state, &mut open);
    tasks(world, &state, &mut open);
    leftovers(world, &state, &mut open);
    open
}

fn services(world: &World, state: &Snapshot, open: &mut Vec<String>) {
    for (key, service) in state.services().all().entries() {
        let name = &service.name;
        let tasks: Vec<_> =
            state.tasks().by_index(&Tasks::BY_SERVICE, &key).filter(|task| !task.is_stopped()).collect();
        match service.status {
            ServiceStatus::Inactive if tasks.is_empty() => continue,
            ServiceStatus::Active => {}
            other => {
                open.push(format!("service {name} is {other:?} with {} tasks", tasks.len()));
                continue;
            }
        }
        let Some(primary) = service.deployments.first() else {
            open.push(format!("service {name} has no deployment"));
            continue;
        };
        if primary.rollout_state == RolloutState::InProgress {
            open.push(format!("the deployment of {name} is in progress"));
        }
        // A failed deployment without rollback starts nothing any more. What there was before it stays, as the floor says.
        if primary.rollout_state == RolloutState::Failed {
            let running = tasks.iter().filter(|task| task.last_status == TaskStatus::Running).count();
            let due = before_release(state, &key, service.as_ref());
            if running < due {
                open.push(format!("{name} has {running} of the {due} tasks that its failed deployment has to leave"));
            }
        }
        if primary.rollout_state == RolloutState::Completed {
            let good = tasks.iter().filter(|task| {
                task.last_status == TaskStatus::Running && task.deployment.as_ref() == Some(&primary.id)
            });
            let good = good.count();
            if good != service.desired_count as usize || tasks.len() != good {
                open.push(format!("service {name} wants {}, has {good} of {}", service.desired_count, tasks.len()));
            }
            zones(state, &key.0, service.as_ref(), &tasks, open);
            if service.deployments.len() > 1 {
                open.push(format!("service {name} has {} deployments", service.deployments.len()));
            }
        }
        for task in tasks.iter().filter(|task| task.last_status == TaskStatus::Running) {
            let balanced = service
                .deployments
                .iter()
                .find(|d| Some(&d.id) == task.deployment.as_ref())
                .is_some_and(|d| !d.template.load_balancers.is_empty());
            let targets: Vec<_> =
                state.targets().by_index(&Targets::BY_TASK, &(key.0.clone(), task.id.clone())).collect();
            if balanced == targets.is_empty() {
                open.push(format!("{} of {name} has {} targets", world.task(&task.id), targets.len()));
            }
            for target in targets.iter().filter(|target| target.health.state != TargetState::Healthy) {
                open.push(format!("the target of {} is {}", world.task(&task.id), target.health.state.as_str()));
            }
        }
    }
}

/// How many tasks the deployment that last completed has to keep when what came after it has failed.
fn before_release(state: &Snapshot, (scope, cluster, name): &<Services as Table>::Key, service: &Service) -> usize {
    let release = service.service_deployment.clone().map(|id| (scope.clone(), cluster.clone(), name.clone(), id));
    let Some(release) = release.and_then(|key| state.service_deployments().get(&key)) else { return 0 };
    let completed = service.deployments.iter().find(|d| d.rollout_state == RolloutState::Completed);
    let had = completed.and_then(|d| release.sources.iter().find(|source| source.revision == d.revision));
    let floor = (service.desired_count * service.minimum_healthy_percent).div_ceil(100);
    had.map_or(0, |had| had.requested.min(floor)) as usize
}

/// Tasks are spread over the zones of their subnets; where addresses are few, as these let.
fn zones(state: &Snapshot, scope: &Scope, service: &Service, tasks: &[Arc<Task>], open: &mut Vec<String>) {
    let subnets = service.template.network.subnets.iter();
    let subnets: Vec<_> = subnets.filter_map(|id| state.subnets().get(&(scope.clone(), id.clone()))).collect();
    if subnets.iter().any(|subnet| subnet.cidr.prefix() >= 28) {
        return;
    }
    let mut zones: BTreeMap<String, u32> = subnets.iter().map(|subnet| (subnet.zone.to_string(), 0)).collect();
    for task in tasks {
        *zones.entry(task.zone.to_string()).or_default() += 1;
    }
    let (most, fewest) = (zones.values().max().copied().unwrap_or(0), zones.values().min().copied().unwrap_or(0));
    if most - fewest > 1 {
        open.push(format!("the tasks of {} are not even over zones: {zones:?}", service.name));
    }
}

fn tasks(world: &World, state: &Snapshot, open: &mut Vec<String>) {
    let node = lock(&world.node);
    for task in state.tasks().all().filter(|task| !task.is_stopped()) {
        let name = world.task(&task.id);
        if task.last_status != TaskStatus::Running || task.desired_status != DesiredStatus::Running {
            open.push(format!("{name} is {:?}, to be {:?}", task.last_status, task.desired_status));
            continue;
        }
        let living = node.directories.get(&task.id).and_then(|directory| directory.supervisor.as_ref());
        for container in task.containers.iter().filter(|c| c.essential) {
            if living.is_none_or(|living| !living.serving.contains(&container.name)) {
                open.push(format!("{name} is RUNNING and its {} is not", container.name));
            }
        }
        if node.interfaces.get(&task.network.eni).is_none_or(|i| i.address != task.network.address) {
            open.push(format!("{name} is RUNNING without its interface"));
        }
    }
}

/// Nothing is left of what has stopped.
fn leftovers(world: &World, state: &Snapshot, open: &mut Vec<String>) {
    let live: BTreeSet<_> = state.tasks().all().filter(|task| !task.is_stopped()).map(|task| task.id.clone()).collect();
    let node = lock(&world.node);
    for id in node.directories.keys().filter(|id| !live.contains(*id)) {
        open.push(format!("{} is still on the node", world.task(id)));
    }
    for interface in node.interfaces.values().filter(|interface| !live.contains(&interface.task)) {
        open.push(format!("the interface of {} is still on the node", world.task(&interface.task)));
    }
    for id in node.ends.keys().filter(|id| !live.contains(*id)) {
        open.push(format!("the end of {} is still written down", world.task(id)));
    }
    if let Some(agent) = &node.agent {
        for id in agent.hub.known().into_iter().filter(|id| !live.contains(id)) {
            open.push(format!("the agent remembers {}", world.task(&id)));
        }
    }
    for eni in state.network_interfaces().all() {
        if let EniOwner::Task { task, .. } = &eni.owner
            && !live.contains(task)
        {
            open.push(format!("the interface of {} is still stored", world.task(task)));
        }
    }
    for target in state.targets().all() {
        if target.draining_since.is_some() {
            open.push(format!("target {} is draining", target.address));
        }
        if let Some(task) = target.task.as_ref().filter(|task| !live.contains(*task)) {
            open.push(format!("{} is still a target", world.task(task)));
        }
    }
    let sessions = state.role_sessions().all().filter_map(|session| session.task.clone());
    for task in sessions.filter(|task| !live.contains(task)) {
        open.push(format!("the credentials of {} are still valid", world.task(&task)));
    }
    for task in state.tasks().all().filter(|task| !task.is_stopped() && task.access_key_id.is_some()) {
        let id = &task.id;
        if state.role_sessions().by_index(&RoleSessions::BY_TASK, id).next().is_none() {
            open.push(format!("{} has no credentials", world.task(id)));
        }
    }
}

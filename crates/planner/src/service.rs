//! The service scheduler: keeps the desired number of tasks, and rolls a new deployment out.
//!
//! Every pass looks at the whole service and answers with actions. Two bounds rule a rolling update:
//! `lower = ceil(desired * minimumHealthyPercent / 100)` tasks stay healthy, and no more than
//! `upper = floor(desired * maximumPercent / 100)` tasks are RUNNING or on their way there.
//! Nothing is remembered between passes but what the stored service and its tasks say.

mod standing;
mod stops;
mod zones;

use crate::breaker;
use longshore_types::Timestamp;
use longshore_types::ecs::{CapacityProvider, CircuitBreaker, HealthStatus, RolloutState, StrategyItem, TaskStatus};
use longshore_types::id::{DeploymentId, TaskId};
use standing::{Counts, Standing, standing};
pub use standing::{STEADY, lower_bound, upper_bound};
use std::time::Duration;
use stops::{Bounds, stops};

/// A service with its tasks, as the scheduler sees them.
#[derive(Clone, Debug)]
pub struct ServiceView {
    pub desired_count: u32,
    /// DeleteService was called: everything goes.
    pub draining: bool,
    pub minimum_healthy_percent: u32,
    pub maximum_percent: u32,
    pub breaker: CircuitBreaker,
    /// StopServiceDeployment was called.
    pub rollback_requested: bool,
    pub grace: Duration,
    pub zone_rebalancing: bool,
    /// The zones of its subnets.
    pub zones: Vec<String>,
    /// Of the PRIMARY deployment.
    pub retry_at: Option<Timestamp>,
    /// Newest first; the first is PRIMARY.
    pub deployments: Vec<DeploymentView>,
    /// Every task that is not STOPPED.
    pub tasks: Vec<TaskView>,
}

#[derive(Clone, Debug)]
pub struct DeploymentView {
    pub id: DeploymentId,
    pub rollout: RolloutState,
    pub failed_tasks: u32,
    /// This deployment registers its tasks with a load balancer.
    pub has_load_balancer: bool,
    /// Some essential container has a health check.
    pub has_container_check: bool,
    /// It is known what its images' tags name; until then one task goes ahead and finds out.
    pub is_pinned: bool,
    pub capacity: Vec<StrategyItem>,
    /// Tasks that it had when the deployment that came after it began.
    pub had: u32,
    /// It is an old one, and what replaces its tasks fails to start.
    pub retry_at: Option<Timestamp>,
}

#[derive(Clone, Debug)]
pub struct TaskView {
    pub id: TaskId,
    pub deployment: DeploymentId,
    pub status: TaskStatus,
    /// Already asked to stop.
    pub stopping: bool,
    pub started_at: Option<Timestamp>,
    pub container_health: HealthStatus,
    pub target_health: TargetView,
    pub zone: String,
    pub provider: Option<CapacityProvider>,
    /// Scale-in and deployments leave it alone until then.
    pub protected_until: Option<Timestamp>,
    /// It has counted as healthy before.
    pub was_healthy: bool,
}

/// What the load balancer thinks of a task, over all its targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetView {
    /// Not registered anywhere.
    None,
    /// Some target is not yet judged.
    Waiting,
    Healthy,
    /// In this target group, at this port, for this reason.
    Unhealthy {
        target_group: String,
        port: u16,
        reason: String,
    },
}

/// What to do, what to tell, and when to look again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub actions: Vec<Action>,
    /// Service events: without the `(service X)` in front.
    pub notes: Vec<String>,
    pub wake_at: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    StartTasks {
        deployment: DeploymentId,
        count: u32,
        /// So many of them stand in for unhealthy ones.
        replacing: u32,
    },
    /// One more task in the emptiest zone; when it is healthy, one of the fullest zone goes. It has the capacity provider of
    /// that one: by the shares alone another might be due, and then the new task would be the one too many.
    Rebalance {
        deployment: DeploymentId,
        zone: String,
        provider: Option<CapacityProvider>,
    },
    StopTask {
        task: TaskId,
        cause: StopCause,
    },
    CompleteDeployment {
        deployment: DeploymentId,
    },
    FailDeployment {
        deployment: DeploymentId,
        cause: FailCause,
        rollback: bool,
    },
    /// An old deployment without tasks.
    ForgetDeployment {
        deployment: DeploymentId,
    },
    /// These tasks count as healthy for the first time: failures in a row end.
    CountHealthy {
        deployment: DeploymentId,
        tasks: Vec<TaskId>,
    },
    /// The drained service's tasks have stopped, or are about to.
    Deactivate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailCause {
    CircuitBreaker,
    /// StopServiceDeployment.
    Requested,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopCause {
    /// Scale-in, or its deployment was replaced: `Scaling activity initiated by (deployment ecs-svc/…)`.
    Scaling { deployment: DeploymentId },
    /// `Task failed ELB health checks in (target-group …)`.
    LoadBalancerHealth { target_group: String, port: u16, reason: String },
    /// `Task failed container health checks`.
    ContainerHealth,
}

/// How many tasks may start as far as digests go. Until one task has found out what its images' tags name, no other starts: not
/// even while that one leaves, because its node may have looked the tag up already, and would tell when another has found
/// something else. One that runs and has not told never will: an agent may have died that knew. Then the next one finds out;
/// where that does not tell either, nodes do not know.
fn may_find_out(service: &ServiceView, deployment: &DeploymentView) -> u32 {
    let own = service.tasks.iter().filter(|task| task.deployment == deployment.id);
    let (silent, others): (Vec<_>, Vec<_>) = own.partition(|task| task.status == TaskStatus::Running && !task.stopping);
    if deployment.is_pinned || silent.len() > 1 { u32::MAX } else { u32::from(others.is_empty()) }
}

/// The old deployment whose tasks are replaced while the new one is not complete: the newest that was.
/// <https://aws.amazon.com/about-aws/whats-new/2025/11/amazon-ecs-service-availability-rolling-deployments>
fn fallback(service: &ServiceView) -> Option<&DeploymentView> {
    let (primary, old) = service.deployments.split_first()?;
    old.iter().find(|old| primary.rollout != RolloutState::Completed && old.rollout == RolloutState::Completed)
}

/// Whether launches need not wait until then any more.
fn is_due(at: Option<Timestamp>, now: Timestamp) -> bool {
    at.is_none_or(|at| at <= now)
}

/// One pass over one service.
pub fn plan(service: &ServiceView, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let Some(primary) = service.deployments.first() else { return plan };
    let desired = if service.draining { 0 } else { service.desired_count };
    let standings: Vec<(&TaskView, Standing)> =
        service.tasks.iter().map(|task| (task, standing(task, service, now))).collect();
    let fallback = fallback(service);
    plan.wake_at = standings
        .iter()
        .filter_map(|(_, s)| if let Standing::Coming(at) = s { *at } else { None })
        .chain(service.retry_at.filter(|at| *at > now))
        .chain(fallback.and_then(|old| old.retry_at).filter(|at| *at > now))
        .min();

    if let Some(fail) = failure(service, primary) {
        plan.actions.push(fail);
        return plan;
    }
    plan.actions.extend(newly_healthy(service, &standings));

    let mut count = Counts::of(&standings, primary);
    let lower = lower_bound(desired, service.minimum_healthy_percent);
    let bounds = Bounds {
        desired,
        lower,
        upper: upper_bound(desired, service.maximum_percent).max(u32::from(desired > 0)),
        old_floor: fallback.map_or(0, |old| lower.min(desired).min(old.had)),
    };
    let (new_bad, old_bad) = (count.new_bad, count.old_bad);
    let may_start = primary.rollout != RolloutState::Failed && is_due(service.retry_at, now);
    let stops = stops(service, fallback, &standings, &bounds, &mut count, may_start, now);
    plan.wake_at = plan.wake_at.into_iter().chain(stops.wake_at).min();
    plan.notes.extend(stops.notes);
    let stops = stops.actions;

    let wanted = desired.saturating_sub(count.new_good);
    let room = bounds.upper.saturating_sub(count.live);
    // What replaces bad tasks of the old deployment may be as bad: the new one may be the cure, and gets its turn.
    let turn = u32::from(old_bad > 0 && wanted > 0 && may_start && !count.is_new_coming());
    let lost = fallback.filter(|old| is_due(old.retry_at, now)).map_or(0, |old| {
        // First of all: these have been healthy, and nobody knows whether new ones ever will be.
        count.lacking(&bounds).min(room.saturating_sub(turn)).min(may_find_out(service, old))
    });
    let starts = if may_start { wanted.min(room - lost).min(may_find_out(service, primary)) } else { 0 };
    let stuck = stops.is_empty() && wanted > 0 && room == 0 && count.old_live > 0 && !count.changing && may_start;
    if stuck {
        plan.notes.push(
            "was unable to stop or start tasks during a deployment because of the service deployment configuration. \
             Update the minimumHealthyPercent or maximumPercent value and try again."
                .to_owned(),
        );
    }
    let idle = stops.is_empty() && starts + lost == 0;
    plan.actions.extend(stops);
    for (deployment, count, bad) in [(fallback, lost, old_bad), (Some(primary), starts, new_bad)] {
        if let Some(deployment) = deployment.filter(|_| count > 0) {
            let (deployment, replacing) = (deployment.id.clone(), bad.min(count));
            plan.actions.push(Action::StartTasks { deployment, count, replacing });
        }
    }
    let may_come_back = |old: &DeploymentView| {
        fallback.is_some_and(|fallback| fallback.id == old.id) && count.healthy < bounds.old_floor
    };
    for old in service.deployments.iter().skip(1) {
        if !service.tasks.iter().any(|task| task.deployment == old.id) && !may_come_back(old) {
            plan.actions.push(Action::ForgetDeployment { deployment: old.id.clone() });
        }
    }
    let settled = idle && count.leaving == 0 && count.live == desired && count.new_healthy == desired;
    if settled && !service.draining {
        settle(service, primary, &standings, &bounds, now, &mut plan);
    }
    // ECS documents STOPPING to be enough. Whoever waits for INACTIVE deletes the cluster and the security groups next,
    // which a task that ignores SIGTERM holds for half a minute more.
    if service.draining && service.tasks.is_empty() {
        plan.actions.push(Action::Deactivate);
    }
    plan
}

/// Whether the deployment that rolls out has to end: too many of its tasks failed, or somebody stopped it.
fn failure(service: &ServiceView, primary: &DeploymentView) -> Option<Action> {
    if service.draining || primary.rollout != RolloutState::InProgress {
        return None;
    }
    let breaker = &service.breaker;
    let (cause, rollback) = if service.rollback_requested {
        (FailCause::Requested, true)
    } else if breaker.enable && primary.failed_tasks >= breaker::threshold(service.desired_count, breaker.threshold) {
        (FailCause::CircuitBreaker, breaker.rollback)
    } else {
        return None;
    };
    Some(Action::FailDeployment { deployment: primary.id.clone(), cause, rollback })
}

fn newly_healthy(service: &ServiceView, standings: &[(&TaskView, Standing)]) -> Vec<Action> {
    let new = |deployment: &DeploymentView| {
        let healthy = standings.iter().filter(|(task, standing)| {
            task.deployment == deployment.id && !task.was_healthy && *standing == Standing::Healthy
        });
        let tasks: Vec<TaskId> = healthy.map(|(task, _)| task.id.clone()).collect();
        (!tasks.is_empty()).then(|| Action::CountHealthy { deployment: deployment.id.clone(), tasks })
    };
    service.deployments.iter().filter_map(new).collect()
}

/// Everything is as it should be: the deployment is complete, and zones may be made even.
fn settle(
    service: &ServiceView,
    primary: &DeploymentView,
    standings: &[(&TaskView, Standing)],
    bounds: &Bounds,
    now: Timestamp,
    plan: &mut Plan,
) {
    if primary.rollout == RolloutState::InProgress {
        plan.actions.push(Action::CompleteDeployment { deployment: primary.id.clone() });
        plan.notes.push(format!("(deployment {}) deployment completed.", primary.id));
    }
    let zones = zones::counts(service, standings);
    let uneven = zones::emptiest_of_uneven(&zones).filter(|_| service.zone_rebalancing);
    if service.zone_rebalancing && uneven.is_none() {
        plan.notes.push(format!("is AZ balanced with {}.", zones::text(&zones)));
    }
    plan.notes.push("has reached a steady state.".to_owned());
    let Some(zone) = uneven.filter(|_| is_due(service.retry_at, now) && bounds.upper > bounds.desired) else { return };
    let most = zones.values().max();
    let crowded = || service.tasks.iter().filter(|task| zones.get(&task.zone) == most);
    let is_free = |task: &&TaskView| task.protected_until.is_none_or(|until| until <= now);
    let Some(one) = crowded().find(is_free) else {
        plan.wake_at = plan.wake_at.into_iter().chain(crowded().filter_map(|task| task.protected_until)).min();
        return;
    };
    plan.notes.push(format!("is not AZ balanced with {}. AZ Rebalancing in progress.", zones::text(&zones)));
    plan.actions.push(Action::Rebalance {
        deployment: primary.id.clone(),
        zone: zone.to_owned(),
        provider: one.provider,
    });
}

#[cfg(test)]
mod tests;

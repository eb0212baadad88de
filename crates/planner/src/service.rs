//! The service scheduler: keeps the desired number of tasks, and rolls a new deployment out.
//!
//! Every pass looks at the whole service and answers with actions. Two bounds rule a rolling update:
//! `lower = ceil(desired * minimumHealthyPercent / 100)` tasks stay healthy, and no more than
//! `upper = floor(desired * maximumPercent / 100)` tasks are RUNNING or on their way there.
//! Nothing is remembered between passes but what the stored service says.

use crate::breaker;
use longshore_types::Timestamp;
use longshore_types::ecs::{HealthStatus, RolloutState, TaskStatus};
use longshore_types::id::{DeploymentId, TaskId};
use std::collections::BTreeMap;
use std::time::Duration;

/// A task without any health check counts as healthy once it has been RUNNING for this long.
pub const STEADY: Duration = Duration::from_secs(40);

/// A service with its tasks, as the scheduler sees them.
#[derive(Clone, Debug)]
pub struct ServiceView {
    pub name: String,
    pub desired_count: u32,
    /// DeleteService was called: everything goes.
    pub draining: bool,
    pub minimum_healthy_percent: u32,
    pub maximum_percent: u32,
    pub breaker_enabled: bool,
    pub rollback: bool,
    pub grace: Duration,
    /// Some essential container has a health check.
    pub has_container_check: bool,
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
}

/// What the load balancer thinks of a task, over all its targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetView {
    /// Not registered anywhere.
    None,
    /// Some target is not yet judged.
    Waiting,
    Healthy,
    /// In this target group, for this reason.
    Unhealthy {
        target_group: String,
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
        rollback: bool,
    },
    /// An old deployment without tasks.
    ForgetDeployment {
        deployment: DeploymentId,
    },
    /// A task counts as healthy: consecutive failures start from zero.
    ClearFailures {
        deployment: DeploymentId,
    },
    /// The drained service has no tasks left.
    Deactivate,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopCause {
    /// Scale-in, or its deployment was replaced: `Scaling activity initiated by (deployment ecs-svc/…)`.
    Scaling { deployment: DeploymentId },
    /// `Task failed ELB health checks in (target-group …)`.
    LoadBalancerHealth { target_group: String, reason: String },
    /// `Task failed container health checks`.
    ContainerHealth,
}

/// The smallest number of healthy tasks a deployment may leave, rounded up.
pub fn lower_bound(desired: u32, minimum_healthy_percent: u32) -> u32 {
    (u64::from(desired) * u64::from(minimum_healthy_percent)).div_ceil(100).min(u64::from(u32::MAX)) as u32
}

/// The largest number of tasks a deployment may have RUNNING or PENDING, rounded down.
pub fn upper_bound(desired: u32, maximum_percent: u32) -> u32 {
    (u64::from(desired) * u64::from(maximum_percent) / 100).min(u64::from(u32::MAX)) as u32
}

/// How a task stands.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Standing {
    /// Asked to stop, or ending by itself.
    Leaving,
    /// Not RUNNING yet, or RUNNING and not yet judged; `Some` says when time alone changes that.
    Coming(Option<Timestamp>),
    Healthy,
    Bad(StopCause),
}

fn standing(task: &TaskView, service: &ServiceView, now: Timestamp) -> Standing {
    if task.stopping || task.status > TaskStatus::Running {
        return Standing::Leaving;
    }
    let (TaskStatus::Running, Some(started_at)) = (task.status, task.started_at) else {
        return Standing::Coming(None);
    };
    let in_grace = now.since(started_at) < service.grace;
    let bad = |cause| if in_grace { Standing::Coming(Some(started_at + service.grace)) } else { Standing::Bad(cause) };
    if service.has_container_check && task.container_health == HealthStatus::Unhealthy {
        return bad(StopCause::ContainerHealth);
    }
    if let TargetView::Unhealthy { target_group, reason } = &task.target_health {
        return bad(StopCause::LoadBalancerHealth { target_group: target_group.clone(), reason: reason.clone() });
    }
    let balanced = service.deployments.iter().any(|d| d.id == task.deployment && d.has_load_balancer);
    let container_ready = !service.has_container_check || task.container_health == HealthStatus::Healthy;
    let target_ready = !balanced || task.target_health == TargetView::Healthy;
    if !service.has_container_check && !balanced && now.since(started_at) < STEADY {
        return Standing::Coming(Some(started_at + STEADY));
    }
    if container_ready && target_ready { Standing::Healthy } else { Standing::Coming(None) }
}

/// One pass over one service.
pub fn plan(service: &ServiceView, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let Some(primary) = service.deployments.first() else { return plan };
    let desired = if service.draining { 0 } else { service.desired_count };
    let standings: Vec<(&TaskView, Standing)> =
        service.tasks.iter().map(|task| (task, standing(task, service, now))).collect();
    plan.wake_at = standings
        .iter()
        .filter_map(|(_, s)| if let Standing::Coming(at) = s { *at } else { None })
        .chain(service.retry_at.filter(|at| *at > now))
        .min();

    if breaker_trips(service, primary) {
        plan.actions.push(Action::FailDeployment { deployment: primary.id.clone(), rollback: service.rollback });
        plan.notes.push(format!("(deployment {}) deployment failed: tasks failed to start.", primary.id));
        return plan;
    }

    let mut count = Counts::of(&standings, primary);
    let lower = lower_bound(desired, service.minimum_healthy_percent);
    let upper = upper_bound(desired, service.maximum_percent).max(u32::from(desired > 0));
    if primary.failed_tasks > 0 && count.new_healthy > 0 {
        plan.actions.push(Action::ClearFailures { deployment: primary.id.clone() });
    }

    let stops = stops(&standings, primary, desired, lower, upper, &mut count);
    let wanted = desired.saturating_sub(count.new_good);
    let room = upper.saturating_sub(count.live);
    let may_start = primary.rollout != RolloutState::Failed && service.retry_at.is_none_or(|at| at <= now);
    let starts = if may_start { wanted.min(room) } else { 0 };
    let replacing = count.old_live > 0;
    let stuck = stops.is_empty() && wanted > 0 && room == 0 && replacing && !count.changing && may_start;
    if stuck {
        plan.notes.push(
            "was unable to stop or start tasks during a deployment because of the service deployment configuration. \
             Update the minimumHealthyPercent or maximumPercent value and try again."
                .to_owned(),
        );
    }
    plan.actions.extend(stops);
    if starts > 0 {
        plan.actions.push(Action::StartTasks { deployment: primary.id.clone(), count: starts });
    }

    let idle = plan.actions.iter().all(|a| matches!(a, Action::ClearFailures { .. }));
    for old in service.deployments.iter().skip(1) {
        if !service.tasks.iter().any(|task| task.deployment == old.id) {
            plan.actions.push(Action::ForgetDeployment { deployment: old.id.clone() });
        }
    }
    let settled = idle && count.leaving == 0 && count.live == desired && count.new_healthy == desired;
    if settled && primary.rollout == RolloutState::InProgress && !service.draining {
        plan.actions.push(Action::CompleteDeployment { deployment: primary.id.clone() });
        plan.notes.push(format!("(deployment {}) deployment completed.", primary.id));
    }
    if settled && !service.draining {
        plan.notes.push("has reached a steady state.".to_owned());
    }
    if service.draining && service.tasks.is_empty() {
        plan.actions.push(Action::Deactivate);
    }
    plan
}

/// The circuit breaker looks at deployments that are still rolling out.
fn breaker_trips(service: &ServiceView, primary: &DeploymentView) -> bool {
    service.breaker_enabled
        && !service.draining
        && primary.rollout == RolloutState::InProgress
        && primary.failed_tasks >= breaker::threshold(service.desired_count)
}

/// Tasks by what they are to the update.
struct Counts {
    /// RUNNING or on their way, of every deployment.
    live: u32,
    /// Live and of an older deployment.
    old_live: u32,
    /// Live tasks of the primary deployment that are not known to be bad.
    new_good: u32,
    new_healthy: u32,
    /// Healthy tasks of every deployment.
    healthy: u32,
    leaving: u32,
    /// Something is under way that will let the next pass go on.
    changing: bool,
}

impl Counts {
    fn of(standings: &[(&TaskView, Standing)], primary: &DeploymentView) -> Self {
        let mut c = Self { live: 0, old_live: 0, new_good: 0, new_healthy: 0, healthy: 0, leaving: 0, changing: false };
        for (task, standing) in standings {
            let new = task.deployment == primary.id;
            match standing {
                Standing::Leaving => {
                    c.leaving += 1;
                    c.changing = true;
                    continue;
                }
                Standing::Coming(_) => c.changing = true,
                Standing::Healthy => c.healthy += 1,
                Standing::Bad(_) => {}
            }
            c.live += 1;
            c.old_live += u32::from(!new);
            if new && !matches!(standing, Standing::Bad(_)) {
                c.new_good += 1;
                c.new_healthy += u32::from(*standing == Standing::Healthy);
            }
        }
        c
    }
}

/// Which tasks to stop now. Lowers `count` by what it stops, so that the freed room can be used in the same pass.
fn stops(
    standings: &[(&TaskView, Standing)],
    primary: &DeploymentView,
    desired: u32,
    lower: u32,
    upper: u32,
    count: &mut Counts,
) -> Vec<Action> {
    let mut actions = Vec::new();
    let scaling = || StopCause::Scaling { deployment: primary.id.clone() };
    let mut per_zone: BTreeMap<&str, u32> = BTreeMap::new();
    for (task, standing) in standings {
        if *standing != Standing::Leaving {
            *per_zone.entry(&task.zone).or_default() += 1;
        }
    }
    let mut stop = |task: &TaskView, cause: StopCause, count: &mut Counts, per_zone: &mut BTreeMap<&str, u32>| {
        count.live -= 1;
        if let Some(n) = per_zone.get_mut(task.zone.as_str()) {
            *n -= 1;
        }
        actions.push(Action::StopTask { task: task.id.clone(), cause });
    };

    // Old tasks that serve nobody go at once: nothing is lost with them.
    for (task, standing) in standings.iter().filter(|(task, _)| task.deployment != primary.id) {
        match standing {
            Standing::Coming(_) if task.status < TaskStatus::Running => {}
            Standing::Bad(_) => {}
            _ => continue,
        }
        count.old_live -= 1;
        stop(task, scaling(), count, &mut per_zone);
    }

    // Bad tasks of the new deployment go when their replacements are healthy, or when there is no room for these.
    for (task, standing) in standings.iter().filter(|(task, _)| task.deployment == primary.id) {
        let Standing::Bad(cause) = standing else { continue };
        if count.new_healthy >= desired || upper.saturating_sub(count.live) < desired.saturating_sub(count.new_good) {
            stop(task, cause.clone(), count, &mut per_zone);
        }
    }

    // More new tasks than wanted: those that are not healthy first, then from the fullest zone.
    let mut surplus = count.new_good.saturating_sub(desired);
    let mut gone: Vec<&TaskId> = Vec::new();
    while surplus > 0 {
        let candidate = standings
            .iter()
            .filter(|(task, s)| {
                task.deployment == primary.id
                    && matches!(s, Standing::Coming(_) | Standing::Healthy)
                    && !gone.contains(&&task.id)
            })
            .max_by_key(|(task, s)| {
                let zone = per_zone.get(task.zone.as_str()).copied().unwrap_or(0);
                (*s != Standing::Healthy, zone, task.started_at, &task.id)
            });
        let Some((task, standing)) = candidate else { break };
        gone.push(&task.id);
        surplus -= 1;
        count.new_good -= 1;
        if *standing == Standing::Healthy {
            count.healthy -= 1;
            count.new_healthy -= 1;
        }
        stop(task, scaling(), count, &mut per_zone);
    }

    // Old tasks that serve: as many as the lower bound lets go.
    let serving = |s: &Standing, task: &TaskView| {
        *s == Standing::Healthy || (matches!(s, Standing::Coming(_)) && task.status == TaskStatus::Running)
    };
    let mut old: Vec<&(&TaskView, Standing)> =
        standings.iter().filter(|(task, s)| task.deployment != primary.id && serving(s, task)).collect();
    old.sort_by_key(|(task, s)| (*s == Standing::Healthy, std::cmp::Reverse(task.started_at), task.id.clone()));
    for (task, standing) in old {
        if *standing == Standing::Healthy {
            if count.healthy <= lower {
                continue;
            }
            count.healthy -= 1;
        } else if count.healthy < lower {
            // Not judged yet, it may be about to become one of those that are missing.
            continue;
        }
        count.old_live -= 1;
        stop(task, scaling(), count, &mut per_zone);
    }
    actions
}

#[cfg(test)]
mod tests;

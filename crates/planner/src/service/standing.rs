//! How each task stands, and how many stand so.

use super::stops::Bounds;
use super::{DeploymentView, ServiceView, StopCause, TargetView, TaskView};
use longshore_types::Timestamp;
use longshore_types::ecs::{HealthStatus, RolloutState, TaskStatus};
use std::time::Duration;

/// A task without any health check counts as healthy once it has been RUNNING for this long.
pub const STEADY: Duration = Duration::from_secs(40);

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
pub(super) enum Standing {
    /// Asked to stop, or ending by itself.
    Leaving,
    /// Not RUNNING yet, or RUNNING and not yet judged; `Some` says when time alone changes that.
    Coming(Option<Timestamp>),
    Healthy,
    Bad(StopCause),
}

pub(super) fn standing(task: &TaskView, service: &ServiceView, now: Timestamp) -> Standing {
    if task.stopping || task.status > TaskStatus::Running {
        return Standing::Leaving;
    }
    let (TaskStatus::Running, Some(started_at)) = (task.status, task.started_at) else {
        return Standing::Coming(None);
    };
    let deployment = service.deployments.iter().find(|d| d.id == task.deployment);
    let has_check = deployment.is_some_and(|d| d.has_container_check);
    let balanced = deployment.is_some_and(|d| d.has_load_balancer);
    let in_grace = now.since(started_at) < service.grace;
    let bad = |cause| if in_grace { Standing::Coming(Some(started_at + service.grace)) } else { Standing::Bad(cause) };
    if has_check && task.container_health == HealthStatus::Unhealthy {
        return bad(StopCause::ContainerHealth);
    }
    if let TargetView::Unhealthy { target_group, port, reason } = &task.target_health {
        let (target_group, reason) = (target_group.clone(), reason.clone());
        return bad(StopCause::LoadBalancerHealth { target_group, port: *port, reason });
    }
    let container_ready = !has_check || task.container_health == HealthStatus::Healthy;
    let target_ready = !balanced || task.target_health == TargetView::Healthy;
    if !has_check && !balanced && !task.was_healthy && now.since(started_at) < STEADY {
        return Standing::Coming(Some(started_at + STEADY));
    }
    if container_ready && target_ready { Standing::Healthy } else { Standing::Coming(None) }
}

/// Tasks by what they are to the update.
pub(super) struct Counts {
    /// RUNNING or on their way, of every deployment.
    pub live: u32,
    /// Live and of an older deployment.
    pub old_live: u32,
    pub old_coming: u32,
    pub old_bad: u32,
    /// Live tasks of the primary deployment that are not known to be bad.
    pub new_good: u32,
    pub new_bad: u32,
    pub new_healthy: u32,
    /// Healthy tasks of every deployment.
    pub healthy: u32,
    pub leaving: u32,
    /// Something is under way that will let the next pass go on.
    pub changing: bool,
    /// The primary deployment does not manage: it has failed, or some of its tasks did.
    pub new_fails: bool,
}

impl Counts {
    pub fn of(standings: &[(&TaskView, Standing)], primary: &DeploymentView) -> Self {
        let mut c = Self {
            live: 0,
            old_live: 0,
            old_coming: 0,
            old_bad: 0,
            new_good: 0,
            new_bad: 0,
            new_healthy: 0,
            healthy: 0,
            leaving: 0,
            changing: false,
            new_fails: primary.rollout == RolloutState::Failed || primary.failed_tasks > 0,
        };
        for (task, standing) in standings {
            let new = task.deployment == primary.id;
            match standing {
                Standing::Leaving => {
                    c.leaving += 1;
                    c.changing = true;
                    continue;
                }
                Standing::Coming(_) => {
                    c.changing = true;
                    c.old_coming += u32::from(!new);
                }
                Standing::Healthy => c.healthy += 1,
                Standing::Bad(_) if new => c.new_bad += 1,
                Standing::Bad(_) => c.old_bad += 1,
            }
            c.live += 1;
            c.old_live += u32::from(!new);
            if new && !matches!(standing, Standing::Bad(_)) {
                c.new_good += 1;
                c.new_healthy += u32::from(*standing == Standing::Healthy);
            }
        }
        c.new_fails |= c.new_bad > 0;
        c
    }

    /// Tasks of the new deployment are not judged yet.
    pub fn is_new_coming(&self) -> bool {
        self.new_good > self.new_healthy
    }

    /// How many tasks the old deployment has to bring back. While no task of the new one has failed, those that come are
    /// trusted to become the missing ones.
    pub fn lacking(&self, bounds: &Bounds) -> u32 {
        if self.new_fails { bounds.old_floor.saturating_sub(self.healthy + self.old_coming) } else { 0 }
    }
}

//! Which tasks to stop now.

use super::standing::{Counts, Standing};
use super::{Action, DeploymentView, ServiceView, StopCause, TaskView, zones};
use crate::capacity;
use longshore_types::Timestamp;
use longshore_types::ecs::{CapacityProvider, RolloutState, TaskStatus};
use longshore_types::id::{DeploymentId, TaskId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// What a service's numbers must keep to.
pub(super) struct Bounds {
    pub desired: u32,
    /// Healthy tasks that stay.
    pub lower: u32,
    /// Tasks that are RUNNING or on their way there.
    pub upper: u32,
    /// Healthy tasks that the old deployment has to see to while the new one is not complete.
    pub old_floor: u32,
}

#[derive(Default)]
pub(super) struct Stops {
    pub actions: Vec<Action>,
    pub notes: Vec<String>,
    /// When a protection that is in the way ends.
    pub wake_at: Option<Timestamp>,
}

struct Stopper<'a> {
    service: &'a ServiceView,
    primary: &'a DeploymentView,
    /// The old deployment whose tasks are replaced.
    fallback: Option<&'a DeploymentView>,
    standings: &'a [(&'a TaskView, Standing)],
    bounds: &'a Bounds,
    count: &'a mut Counts,
    /// The primary deployment may start tasks now.
    may_start: bool,
    now: Timestamp,
    per_zone: BTreeMap<String, u32>,
    gone: BTreeSet<&'a TaskId>,
    /// Tasks that would stop but for their protection, by deployment.
    protected: BTreeMap<&'a DeploymentId, u32>,
    stops: Stops,
}

/// Lowers `count` by what it stops, so that the freed room can be used in the same pass.
pub(super) fn stops(
    service: &ServiceView,
    fallback: Option<&DeploymentView>,
    standings: &[(&TaskView, Standing)],
    bounds: &Bounds,
    count: &mut Counts,
    may_start: bool,
    now: Timestamp,
) -> Stops {
    let Some(primary) = service.deployments.first() else { return Stops::default() };
    let per_zone = zones::counts(service, standings);
    let (gone, protected) = (BTreeSet::new(), BTreeMap::new());
    let mut stopper = Stopper {
        service,
        primary,
        fallback,
        standings,
        bounds,
        count,
        may_start,
        now,
        per_zone,
        gone,
        protected,
        stops: Stops::default(),
    };
    stopper.pending_old();
    stopper.bad_old();
    stopper.bad_new();
    stopper.surplus();
    stopper.serving_old();
    stopper.bad_in_the_way();
    let Stopper { protected, mut stops, .. } = stopper;
    for (deployment, n) in protected {
        stops.notes.push(format!(
            "was unable to reach steady state because (taskSet {deployment}) was unable to scale in due to (reason {n} tasks under protection)"
        ));
    }
    stops
}

impl<'a> Stopper<'a> {
    fn stop(&mut self, task: &'a TaskView, cause: StopCause) {
        self.count.live -= 1;
        if let Some(n) = self.per_zone.get_mut(&task.zone) {
            *n -= 1;
        }
        self.gone.insert(&task.id);
        self.stops.actions.push(Action::StopTask { task: task.id.clone(), cause });
    }

    fn scaling(&self) -> StopCause {
        StopCause::Scaling { deployment: self.primary.id.clone() }
    }

    fn is_protected(&self, task: &TaskView) -> bool {
        !self.service.draining && task.protected_until.is_some_and(|until| until > self.now)
    }

    fn blocked(&mut self, task: &'a TaskView) {
        *self.protected.entry(&task.deployment).or_default() += 1;
        self.stops.wake_at = self.stops.wake_at.into_iter().chain(task.protected_until).min();
    }

    fn of_primary(&self, task: &TaskView) -> bool {
        task.deployment == self.primary.id
    }

    /// Whether it is of the deployment whose tasks are replaced, and too few others are healthy or `coming`.
    fn is_needed(&self, task: &TaskView, coming: u32) -> bool {
        let of_fallback = self.fallback.is_some_and(|fallback| fallback.id == task.deployment);
        of_fallback && self.count.healthy + coming < self.bounds.old_floor
    }

    /// Old tasks that do not run yet go at once, where the floor does without them.
    fn pending_old(&mut self) {
        for (task, standing) in self.standings {
            let is_pending = matches!(standing, Standing::Coming(_)) && task.status < TaskStatus::Running;
            if self.of_primary(task) || !is_pending || self.is_needed(task, self.count.old_coming - 1) {
                continue;
            }
            if self.is_protected(task) {
                self.blocked(task);
                continue;
            }
            self.count.old_live -= 1;
            self.count.old_coming -= 1;
            self.stop(task, self.scaling());
        }
    }

    /// Bad ones too: nothing is lost with them.
    fn bad_old(&mut self) {
        for (task, cause) in self.bad(false) {
            if !self.is_needed(task, 0) {
                self.stop_bad(task, cause);
            }
        }
    }

    fn stop_bad(&mut self, task: &'a TaskView, cause: StopCause) {
        if self.of_primary(task) {
            self.count.new_bad -= 1;
        } else {
            self.count.old_bad -= 1;
            self.count.old_live -= 1;
        }
        self.stop(task, cause);
    }

    /// Bad tasks of the new deployment stay until as many healthy ones stand in for them: what fails a check may serve all
    /// the same, and a check of what all tasks share fails for all of them at once. For those of a deployment that has
    /// failed nothing ever will, and they are not wanted beside others.
    fn bad_new(&mut self) {
        let mut spare = (self.count.new_healthy + self.count.new_bad).saturating_sub(self.bounds.desired);
        if self.primary.rollout == RolloutState::Failed {
            spare = spare.max(self.count.live.saturating_sub(self.bounds.desired));
        }
        for (task, cause) in self.bad(true).into_iter().take(spare as usize) {
            self.stop_bad(task, cause);
        }
    }

    /// Where no replacement fits beside them, and nothing else made room, some go first: no more than the lower bound lets,
    /// but one at least, or nothing would ever change. The next ones go when the replacements of these are judged.
    fn bad_in_the_way(&mut self) {
        let count = &self.count;
        let wants = self.may_start && !count.is_new_coming();
        let missing = if wants { self.bounds.desired.saturating_sub(count.new_good) } else { 0 };
        // Old tasks come back first.
        let Some(excess) = (count.live + count.lacking(self.bounds)).checked_sub(self.bounds.upper) else { return };
        let at_once = count.live.saturating_sub(self.bounds.lower).max(excess + missing.min(1));
        let bad = self.bad(false).into_iter().chain(self.bad(true));
        for (task, cause) in bad.take((excess + missing).min(at_once) as usize) {
            self.stop_bad(task, cause);
        }
    }

    /// Bad tasks that are still there.
    fn bad(&self, of_primary: bool) -> Vec<(&'a TaskView, StopCause)> {
        let bad = self.standings.iter().filter_map(|(task, standing)| match standing {
            Standing::Bad(cause) => Some((*task, cause.clone())),
            _ => None,
        });
        bad.filter(|(task, _)| self.of_primary(task) == of_primary && !self.gone.contains(&task.id)).collect()
    }

    /// More new tasks than wanted: those that are not healthy first, then those of a capacity provider that has more
    /// than its share, then from the fullest zone, and the youngest.
    fn surplus(&mut self) {
        let mut surplus = self.count.new_good.saturating_sub(self.bounds.desired);
        if surplus == 1 && self.is_rebalancing() {
            return;
        }
        while surplus > 0 {
            let over = self.over_share();
            let candidates = self.standings.iter().filter(|(task, s)| {
                self.of_primary(task)
                    && matches!(s, Standing::Coming(_) | Standing::Healthy)
                    && !self.gone.contains(&task.id)
            });
            let mut candidates: Vec<_> = candidates.collect();
            candidates.sort_by_key(|(task, s)| {
                let zone = self.per_zone.get(&task.zone).copied().unwrap_or(0);
                let over = over.is_some() && task.provider == over;
                Reverse((*s != Standing::Healthy, over, zone, task.started_at, &task.id))
            });
            // Where those that are not healthy yet are protected, the floor holds until they are.
            let floor = self.bounds.lower.min(self.bounds.desired);
            let may_go = |standing: &Standing| *standing != Standing::Healthy || self.count.healthy > floor;
            let free = candidates.iter().find(|(task, s)| !self.is_protected(task) && may_go(s));
            let Some((task, standing)) = free.copied() else {
                let protected = candidates.into_iter().filter(|(task, _)| self.is_protected(task));
                for (task, _) in protected.take(surplus as usize).collect::<Vec<_>>() {
                    self.blocked(task);
                }
                return;
            };
            surplus -= 1;
            self.count.new_good -= 1;
            if *standing == Standing::Healthy {
                self.count.healthy -= 1;
                self.count.new_healthy -= 1;
            }
            let cause = self.scaling();
            self.stop(task, cause);
        }
    }

    /// The provider with most tasks over its share of the desired count.
    fn over_share(&self) -> Option<CapacityProvider> {
        let strategy = &self.primary.capacity;
        let wanted = capacity::split(strategy, self.bounds.desired);
        let live = |provider| {
            let of = |(task, s): &&(&TaskView, Standing)| {
                self.of_primary(task)
                    && *s != Standing::Leaving
                    && task.provider == Some(provider)
                    && !self.gone.contains(&task.id)
            };
            self.standings.iter().filter(of).count() as i64
        };
        let over = strategy.iter().zip(wanted).map(|(item, n)| (live(item.provider) - i64::from(n), item.provider));
        over.filter(|(n, _)| *n > 0).max_by_key(|(n, _)| *n).map(|(_, provider)| provider)
    }

    /// The one task too many is on its way to make zones even: it stays, and when it is healthy another one goes.
    fn is_rebalancing(&self) -> bool {
        self.service.zone_rebalancing
            && self.standings.iter().any(|(task, standing)| {
                let mut without = self.per_zone.clone();
                if let Some(n) = without.get_mut(&task.zone) {
                    *n = n.saturating_sub(1);
                }
                self.of_primary(task)
                    && matches!(standing, Standing::Coming(_))
                    && zones::emptiest_of_uneven(&without)
                        .is_some_and(|_| without.get(&task.zone).copied() == without.values().min().copied())
            })
    }

    /// Old tasks that serve: as many as the lower bound lets go, from the fullest zone as ECS does. When the new deployment
    /// has failed, they serve on.
    /// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html>
    fn serving_old(&mut self) {
        let serving = |s: &Standing, task: &TaskView| {
            *s == Standing::Healthy || (matches!(s, Standing::Coming(_)) && task.status == TaskStatus::Running)
        };
        let mut old: Vec<&'a (&'a TaskView, Standing)> =
            self.standings.iter().filter(|(task, s)| !self.of_primary(task) && serving(s, task)).collect();
        let failed = self.primary.rollout == RolloutState::Failed;
        while !(failed && self.count.live <= self.bounds.desired) {
            let next = old.iter().enumerate().min_by_key(|(_, (task, s))| {
                let zone = self.per_zone.get(&task.zone).copied().unwrap_or(0);
                (*s == Standing::Healthy, Reverse(zone), Reverse(task.started_at), &task.id)
            });
            let Some(next) = next.map(|(n, _)| n) else { return };
            let (task, standing) = old.swap_remove(next);
            let healthy = *standing == Standing::Healthy;
            // One that is not judged yet may be about to become one of those that are missing.
            let needed =
                if healthy { self.count.healthy <= self.bounds.lower } else { self.count.healthy < self.bounds.lower };
            if needed {
                continue;
            }
            if self.is_protected(task) {
                self.blocked(task);
                continue;
            }
            self.count.healthy -= u32::from(healthy);
            self.count.old_coming -= u32::from(!healthy);
            self.count.old_live -= 1;
            self.stop(task, self.scaling());
        }
    }
}

//! Targets: what the data plane says of them, and when a draining one is gone.

use crate::Environment;
use longshore_api::elbv2::usage;
use longshore_store::tables::Targets;
use longshore_store::{Snapshot, Store, StoreError, Table, Tx};
use longshore_types::elbv2::{LoadBalancerState, Target, TargetHealth, TargetState};
use longshore_types::{Scope, Timestamp};
use std::time::Duration;

pub type TargetKey = <Targets as Table>::Key;

/// The data plane says when a target has drained; if it does not, this long after the delay it counts as drained.
const SLACK: Duration = Duration::from_secs(2);

/// What a data plane reports of one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub target_group: String,
    /// `address:port`.
    pub id: String,
    /// Which registration of it this is about; `None`: the data plane does not tell one from another.
    pub registered_at: Option<Timestamp>,
    /// `None`: it has drained and may go.
    pub health: Option<TargetHealth>,
}

/// Marks a target as draining.
pub fn set_draining(target: &mut Target, now: Timestamp) {
    target.draining_since = Some(now);
    target.health = TargetHealth {
        state: TargetState::Draining,
        reason: Some("Target.DeregistrationInProgress".to_owned()),
        description: Some("Target deregistration is in progress".to_owned()),
    };
}

/// The scope that an ELBv2 ARN names.
fn scope_of(arn: &str) -> Option<Scope> {
    let arn = longshore_types::arn::Arn::parse(arn)?;
    Some(Scope::new(arn.account, arn.region))
}

/// Writes a data plane's report; `active` are load balancers that it serves now.
pub async fn apply(store: &Store, reports: Vec<Report>, active: Vec<String>) -> Result<(), StoreError> {
    let changed = store.read(|state| {
        reports.iter().any(|report| differs(state, report)) || active.iter().any(|arn| is_provisioning(state, arn))
    });
    if !changed {
        return Ok(());
    }
    let done = store.write(move |tx| {
        for report in &reports {
            apply_one(tx, report);
        }
        for arn in active {
            if let Some(scope) = scope_of(&arn) {
                tx.load_balancers().update(&(scope, arn), |lb| {
                    if lb.state == LoadBalancerState::Provisioning {
                        lb.state = LoadBalancerState::Active;
                    }
                });
            }
        }
        Ok::<_, ()>(())
    });
    done.await.map(|_| ())
}

fn is_provisioning(state: &Snapshot, arn: &str) -> bool {
    scope_of(arn)
        .and_then(|scope| state.load_balancers().get(&(scope, arn.to_owned())))
        .is_some_and(|lb| lb.state == LoadBalancerState::Provisioning)
}

fn differs(state: &Snapshot, report: &Report) -> bool {
    let Some(scope) = scope_of(&report.target_group) else { return false };
    let key = (scope, report.target_group.clone(), report.id.clone());
    state.targets().get(&key).is_some_and(|target| is_change(&target, report))
}

fn is_change(target: &Target, report: &Report) -> bool {
    if report.registered_at.is_some_and(|at| at != target.registered_at) {
        return false;
    }
    match (&report.health, target.draining_since) {
        (None, draining) => draining.is_some(),
        // Deregistered here, and the data plane has not heard of it yet: what it says is old.
        (Some(health), Some(_)) => health.state == TargetState::Draining && target.health != *health,
        (Some(health), None) => health.state != TargetState::Draining && target.health != *health,
    }
}

fn apply_one(tx: &mut Tx, report: &Report) {
    let Some(scope) = scope_of(&report.target_group) else { return };
    let key = (scope, report.target_group.clone(), report.id.clone());
    let Some(target) = tx.targets().get(&key).filter(|target| is_change(target, report)) else { return };
    match &report.health {
        None => {
            tx.targets().remove(&key);
        }
        Some(health) if *health != target.health => {
            tx.targets().update(&key, |row| row.health = health.clone());
        }
        Some(_) => {}
    }
}

/// When a draining target goes at the latest; at once when nothing forwards to its group.
fn gone_at(state: &Snapshot, scope: &Scope, target: &Target) -> Option<Timestamp> {
    let since = target.draining_since?;
    let group = state.target_groups().get(&(scope.clone(), target.target_group.clone()));
    let delay = group.map_or(0, |group| group.deregistration_delay_seconds());
    if !usage::is_used(state, scope, &target.target_group) {
        return Some(since);
    }
    Some(since + Duration::from_secs(u64::from(delay)) + SLACK)
}

/// Whether the load balancer that forwards to a target, if any does, is enabled in its zone.
pub fn is_in_enabled_zone(state: &Snapshot, scope: &Scope, target: &Target) -> bool {
    let users = usage::load_balancers(state, scope, &target.target_group).into_iter();
    let mut users = users.filter_map(|arn| state.load_balancers().get(&(scope.clone(), arn)));
    target
        .zone
        .as_ref()
        .is_none_or(|zone| zone.as_str() == "all" || users.all(|user| user.nodes.iter().any(|node| node.zone == *zone)))
}

/// One pass over one target: removes it when its time is over, or says when that will be.
pub async fn pass(store: &Store, environment: &Environment, key: TargetKey) -> Option<Timestamp> {
    let now = environment.now();
    let gone_at = store.read(|state| state.targets().get(&key).and_then(|target| gone_at(state, &key.0, &target)))?;
    if gone_at > now {
        return Some(gone_at);
    }
    let removed = store.write(move |tx| {
        if tx.targets().get(&key).is_some_and(|target| target.draining_since.is_some()) {
            tx.targets().remove(&key);
        }
        Ok::<_, ()>(())
    });
    if let Err(error) = removed.await {
        tracing::error!(%error, "a drained target could not be removed");
        return Some(now + Duration::from_secs(1));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_another_registration_of_the_address_changes_nothing() {
        let target = Target {
            target_group: "g".to_owned(),
            address: [10, 0, 0, 4].into(),
            port: 80,
            zone: None,
            draining_since: None,
            task: None,
            registered_at: Timestamp(2),
            health: TargetHealth::registering(),
        };
        let healthy = TargetHealth { state: TargetState::Healthy, reason: None, description: None };
        let changes = |registered_at: Option<i64>| {
            let registered_at = registered_at.map(Timestamp);
            let id = "10.0.0.4:80".to_owned();
            is_change(
                &target,
                &Report { target_group: "g".to_owned(), id, registered_at, health: Some(healthy.clone()) },
            )
        };
        assert_eq!([changes(Some(1)), changes(Some(2)), changes(None)], [false, true, true]);
    }
}

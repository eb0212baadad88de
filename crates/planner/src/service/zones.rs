//! Evenness over availability zones.

use super::{ServiceView, Standing, TaskView};
use std::collections::BTreeMap;

/// Live tasks of each zone that the service may use.
pub(super) fn counts(service: &ServiceView, standings: &[(&TaskView, Standing)]) -> BTreeMap<String, u32> {
    let mut counts: BTreeMap<String, u32> = service.zones.iter().map(|zone| (zone.clone(), 0)).collect();
    for (task, standing) in standings {
        if *standing != Standing::Leaving {
            *counts.entry(task.zone.clone()).or_default() += 1;
        }
    }
    counts
}

/// The zone that lacks a task; `None` when no zone has two more than another.
pub(super) fn emptiest_of_uneven(counts: &BTreeMap<String, u32>) -> Option<&str> {
    let (zone, fewest) = counts.iter().min_by_key(|(_, count)| **count)?;
    let most = counts.values().max()?;
    (most - fewest > 1).then_some(zone)
}

/// `2 tasks in us-east-1a, 1 tasks in us-east-1b`.
pub(super) fn text(counts: &BTreeMap<String, u32>) -> String {
    counts.iter().map(|(zone, count)| format!("{count} tasks in {zone}")).collect::<Vec<_>>().join(", ")
}

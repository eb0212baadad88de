//! Retention: events older than their group keeps them go.

use super::{error, names};
use crate::routes::Backend;
use longshore_aws_model::AwsError;
use longshore_types::{Scope, Timestamp};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// Deletes the events of all groups that are past their group's retention at `now`. To be called from time to time; a
/// group that has no such events costs a look at memory. Goes on after a failure and returns the first.
pub async fn prune(backend: &Backend, now: Timestamp) -> Result<(), AwsError> {
    let mut first_failure = Ok(());
    for (scope, group, days) in limited(backend) {
        let key = names::key(&scope, &group);
        let before = now - days * DAY;
        let is_over = |first_event_ms: Option<i64>| first_event_ms.is_some_and(|first| first < before.0);
        if !backend.logs.streams(&key).iter().any(|(_, stats)| is_over(stats.first_event_ms)) {
            continue;
        }
        if let Err(error) = backend.logs.prune(&key, before.0).await {
            first_failure = first_failure.and(Err(error::stored(error)));
        }
    }
    first_failure
}

/// The groups that keep their events for some days only.
fn limited(backend: &Backend) -> Vec<(Scope, String, u32)> {
    backend.store.read(|state| {
        let groups = state.log_groups().all().entries();
        groups.filter_map(|((scope, name), row)| Some((scope, name, row.retention_days?.unsigned_abs()))).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::retention::put_retention_policy;
    use crate::logs::testing::Bench;
    use longshore_aws_model::logs::PutRetentionPolicyInput;

    #[test]
    fn events_go_when_their_days_are_over() {
        let bench = Bench::app(&["a"]);
        let day = 86_400_000;
        bench.say("a", &[(-2 * day, "old"), (0, "new")]);
        let first = || {
            let key = names::key(&bench.cx().scope, "app");
            bench.backend.logs.stream_stats(&key, "a").and_then(|stats| stats.first_event_ms)
        };
        bench.wait(prune(&bench.backend, bench.now)).expect("nothing to do");
        assert_eq!(first(), Some(bench.now.0 - 2 * day), "a group without a policy keeps all");
        let policy = PutRetentionPolicyInput { log_group_name: "app".to_owned(), retention_in_days: 1 };
        bench.try_write(|tx, cx| put_retention_policy(tx, cx, policy)).expect("set");
        bench.wait(prune(&bench.backend, bench.now)).expect("pruned");
        assert_eq!(first(), Some(bench.now.0 - day), "the floor");
    }
}

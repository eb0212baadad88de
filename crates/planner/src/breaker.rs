//! When a deployment has failed, and when a failing service may try again.

use longshore_types::Timestamp;
use longshore_types::ecs::{LaunchBackoff, Threshold, ThresholdKind};
use std::time::Duration;

/// Failed tasks after which the circuit breaker fails a deployment. By default half the desired count, rounded up, at
/// least 3 and at most 200; an unbounded percentage has neither bound, and at least one task must fail.
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html>
pub fn threshold(desired_count: u32, threshold: Threshold) -> u32 {
    let share =
        || (u64::from(desired_count) * u64::from(threshold.value)).div_ceil(100).min(u64::from(u32::MAX)) as u32;
    match threshold.kind {
        ThresholdKind::Count => threshold.value.max(1),
        ThresholdKind::BoundedPercent => share().clamp(3, 200),
        ThresholdKind::UnboundedPercent => share().max(1),
    }
}

const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);
const LONGEST_WAIT_AFTER_RUNNING: Duration = Duration::from_secs(30);

/// Back-off after a task that never reached RUNNING: 1 s, 2 s, 4 s … 15 minutes.
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-throttle-logic.html>
pub fn after_failed_launch(backoff: LaunchBackoff, now: Timestamp) -> LaunchBackoff {
    if waits_until(backoff, now).is_some() {
        return backoff;
    }
    let wait = wait(backoff.failures, LONGEST_WAIT);
    LaunchBackoff { failures: backoff.failures.saturating_add(1), retry_at: Some(now + wait), ..backoff }
}

/// Back-off after a task that was RUNNING and ended before it counted as healthy: 1 s, 2 s, 4 s … 30 s. AWS starts the
/// next one at once, which takes it half a minute; here it would take a tenth of a second, and fill the machine with
/// what crashed.
pub fn after_early_exit(backoff: LaunchBackoff, now: Timestamp) -> LaunchBackoff {
    if waits_until(backoff, now).is_some() {
        return backoff;
    }
    let wait = wait(backoff.early_exits, LONGEST_WAIT_AFTER_RUNNING);
    LaunchBackoff { early_exits: backoff.early_exits.saturating_add(1), retry_at: Some(now + wait), ..backoff }
}

/// When the next launch is due, if not now. What fails while it waits was launched together with what made it wait: one
/// attempt, however many tasks. A time that no wait reaches is of a clock that was set back since.
pub fn waits_until(backoff: LaunchBackoff, now: Timestamp) -> Option<Timestamp> {
    backoff.retry_at.filter(|at| *at > now && at.since(now) <= LONGEST_WAIT)
}

fn wait(attempts: u32, longest: Duration) -> Duration {
    Duration::from_secs(1u64 << attempts.min(10)).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_is_half_the_desired_count_within_bounds() {
        let seen: Vec<u32> = [0, 1, 6, 7, 25, 400, 800].map(|n| threshold(n, Threshold::default())).into();
        assert_eq!(seen, [3, 3, 3, 4, 13, 200, 200]);
    }

    #[test]
    fn a_threshold_can_be_a_number_or_an_unbounded_share() {
        let of = |kind, value, desired| threshold(desired, Threshold { kind, value });
        assert_eq!(of(ThresholdKind::Count, 5, 1), 5);
        assert_eq!(of(ThresholdKind::UnboundedPercent, 10, 5), 1);
        assert_eq!(of(ThresholdKind::UnboundedPercent, 100, 800), 800);
        assert_eq!(of(ThresholdKind::BoundedPercent, 10, 5), 3);
    }

    #[test]
    fn waits_double_up_to_a_quarter_of_an_hour() {
        let waits = |after: fn(LaunchBackoff, Timestamp) -> LaunchBackoff| -> Vec<u64> {
            let mut backoff = LaunchBackoff::default();
            (0..13)
                .map(|_| {
                    let now = backoff.retry_at.unwrap_or_default();
                    backoff = after(backoff, now);
                    backoff.retry_at.expect("set").since(now).as_secs()
                })
                .collect()
        };
        let launches = waits(after_failed_launch);
        assert_eq!((&launches[..4], launches[12]), (&[1, 2, 4, 8][..], 900));
        assert_eq!(waits(after_early_exit)[12], 30);
    }

    #[test]
    fn tasks_that_fail_together_are_one_attempt() {
        let at = |seconds: i64| Timestamp(seconds * 1000);
        let mut backoff = LaunchBackoff::default();
        for _ in 0..10 {
            backoff = after_failed_launch(backoff, at(100));
        }
        assert_eq!((backoff.failures, backoff.retry_at), (1, Some(at(101))));
        for second in 101..111 {
            backoff = after_early_exit(LaunchBackoff { retry_at: None, ..backoff }, at(second));
        }
        assert_eq!((backoff.failures, backoff.early_exits), (1, 10));
        let failed = after_failed_launch(backoff, at(200));
        assert_eq!(failed.retry_at, Some(at(202)), "crashes do not make a failed launch wait");
    }

    #[test]
    fn nothing_waits_for_a_clock_that_was_set_back() {
        let backoff = after_failed_launch(LaunchBackoff::default(), Timestamp(100_000_000));
        assert_eq!(waits_until(backoff, Timestamp(99_999_500)), backoff.retry_at);
        assert_eq!(waits_until(backoff, Timestamp(1)), None);
        assert_eq!(after_failed_launch(backoff, Timestamp(1)).retry_at, Some(Timestamp(2_001)));
    }
}

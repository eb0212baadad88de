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

/// Back-off after one more task that never reached RUNNING: 1 s, 2 s, 4 s … 15 minutes.
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-throttle-logic.html>
pub fn after_failed_launch(backoff: LaunchBackoff, now: Timestamp) -> LaunchBackoff {
    wait(backoff, LONGEST_WAIT, now)
}

/// Back-off after a task that was RUNNING and ended before it counted as healthy: 1 s, 2 s, 4 s … 30 s. AWS starts the
/// next one at once, which takes it half a minute; here it would take a tenth of a second, and fill the machine with
/// what crashed.
pub fn after_early_exit(backoff: LaunchBackoff, now: Timestamp) -> LaunchBackoff {
    wait(backoff, LONGEST_WAIT_AFTER_RUNNING, now)
}

fn wait(backoff: LaunchBackoff, longest: Duration, now: Timestamp) -> LaunchBackoff {
    let wait = Duration::from_secs(1u64 << backoff.failures.min(10)).min(longest);
    LaunchBackoff { failures: backoff.failures.saturating_add(1), retry_at: Some(now + wait) }
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
                    backoff = after(backoff, Timestamp(0));
                    backoff.retry_at.expect("set").since(Timestamp(0)).as_secs()
                })
                .collect()
        };
        let launches = waits(after_failed_launch);
        assert_eq!((&launches[..4], launches[12]), (&[1, 2, 4, 8][..], 900));
        assert_eq!(waits(after_early_exit)[12], 30);
    }
}

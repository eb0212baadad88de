//! When a deployment has failed, and when a failing service may try again.

use longshore_types::Timestamp;
use longshore_types::ecs::LaunchBackoff;
use std::time::Duration;

/// Failed tasks in a row after which the circuit breaker fails a deployment: half the desired count, rounded up, at
/// least 3 and at most 200.
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html>
pub fn threshold(desired_count: u32) -> u32 {
    desired_count.div_ceil(2).clamp(3, 200)
}

const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

/// Back-off after one more task that never reached RUNNING: 1 s, 2 s, 4 s … 15 minutes.
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-throttle-logic.html>
pub fn after_failed_launch(backoff: LaunchBackoff, now: Timestamp) -> LaunchBackoff {
    let wait = Duration::from_secs(1u64 << backoff.failures.min(10)).min(LONGEST_WAIT);
    LaunchBackoff { failures: backoff.failures.saturating_add(1), retry_at: Some(now + wait) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_is_half_the_desired_count_within_bounds() {
        let seen: Vec<u32> = [0, 1, 6, 7, 25, 400, 800].into_iter().map(threshold).collect();
        assert_eq!(seen, [3, 3, 3, 4, 13, 200, 200]);
    }

    #[test]
    fn waits_double_up_to_a_quarter_of_an_hour() {
        let mut backoff = LaunchBackoff::default();
        let waits: Vec<u64> = (0..13)
            .map(|_| {
                backoff = after_failed_launch(backoff, Timestamp(0));
                backoff.retry_at.expect("set").since(Timestamp(0)).as_secs()
            })
            .collect();
        assert_eq!(waits[..4], [1, 2, 4, 8]);
        assert_eq!(waits[12], 900);
    }
}

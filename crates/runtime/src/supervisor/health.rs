//! When a health check is due and what its results mean. The supervisor runs the checks.

use crate::protocol::Health;
use crate::spec::HealthCheck;

/// Progress of one container's health check. Times are monotonic milliseconds.
#[derive(Debug, Clone)]
pub struct Probe {
    check: HealthCheck,
    started_ms: u64,
    /// When the next check begins; `None` while one runs.
    due_ms: Option<u64>,
    failures: u32,
    /// A success has ended the start period.
    settled: bool,
}

impl Probe {
    /// For a container that has just started.
    pub fn new(check: HealthCheck, now_ms: u64) -> Self {
        let due_ms = Some(now_ms + check.interval_ms);
        Probe { check, started_ms: now_ms, due_ms, failures: 0, settled: false }
    }

    pub fn due_ms(&self) -> Option<u64> {
        self.due_ms
    }

    /// A check begins; returns its command and when it is too late for it.
    pub fn begin(&mut self, now_ms: u64) -> (Vec<String>, u64) {
        self.due_ms = None;
        (self.check.argv().unwrap_or_default(), now_ms + self.check.timeout_ms)
    }

    /// A check ended. Returns the container's health, unless it stays as it was.
    pub fn end(&mut self, passed: bool, now_ms: u64) -> Option<Health> {
        self.due_ms = Some(now_ms + self.check.interval_ms);
        if passed {
            self.failures = 0;
            self.settled = true;
            return Some(Health::Healthy);
        }
        let starting = !self.settled && now_ms.saturating_sub(self.started_ms) < self.check.start_period_ms;
        if starting {
            return None;
        }
        self.failures = self.failures.saturating_add(1);
        (self.failures >= self.check.retries).then_some(Health::Unhealthy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(start_period_ms: u64) -> Probe {
        let check = HealthCheck {
            command: vec!["CMD".into(), "x".into()],
            interval_ms: 100,
            timeout_ms: 10,
            retries: 3,
            start_period_ms,
        };
        Probe::new(check, 1000)
    }

    #[test]
    fn checks_come_an_interval_after_the_last_one_ended() {
        let mut probe = probe(0);
        assert_eq!(probe.due_ms(), Some(1100));
        assert_eq!(probe.begin(1105), (vec!["x".to_owned()], 1115));
        assert_eq!(probe.due_ms(), None);
        probe.end(true, 1110);
        assert_eq!(probe.due_ms(), Some(1210));
    }

    #[test]
    fn only_failures_in_a_row_are_unhealthy() {
        let mut probe = probe(0);
        let results = [false, false, true, false, false, false, false, true].map(|passed| probe.end(passed, 9999));
        let (healthy, unhealthy) = (Some(Health::Healthy), Some(Health::Unhealthy));
        assert_eq!(results, [None, None, healthy, None, None, unhealthy, unhealthy, healthy]);
    }

    #[test]
    fn failures_in_the_start_period_do_not_count_until_a_success() {
        let mut probe = probe(1000);
        for _ in 0..5 {
            assert_eq!(probe.end(false, 1500), None);
        }
        probe.end(true, 1500);
        let results = [false, false, false].map(|passed| probe.end(passed, 1600));
        assert_eq!(results, [None, None, Some(Health::Unhealthy)]);
    }
}

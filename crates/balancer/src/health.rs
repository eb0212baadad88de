//! Health of one target as a function of probe outcomes.
//!
//! ```text
//!             one success                    `unhealthy_threshold` failures in a row
//!  Initial ───────────────► Healthy ─────────────────────────────────────────► Unhealthy
//!     │                        ▲      `healthy_threshold` successes in a row      │  ▲
//!     │                        └──────────────────────────────────────────────────┘  │
//!     └──────────────── `unhealthy_threshold` failures in a row ─────────────────────┘
//! ```
//! A new target needs one success only; an unhealthy one the whole threshold, as AWS has it.

/// Where a target stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Initial,
    Healthy,
    Unhealthy,
}

/// Why a probe failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// An answer with a code the matcher does not hold.
    Code(u16),
    /// No complete answer head in time.
    Timeout,
    /// Refused, reset, unreachable or not HTTP.
    Failed,
}

/// What a probe found.
pub(crate) type Outcome = Result<(), Failure>;

/// Successes and failures in a row that change the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Thresholds {
    pub healthy: u32,
    pub unhealthy: u32,
}

/// State, latest failure and the current run of equal outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Health {
    pub state: State,
    /// Of the latest failed probe; shown while unhealthy.
    pub failure: Option<Failure>,
    run: u32,
    run_is_success: bool,
}

impl Health {
    /// A target nothing is known about.
    pub(crate) const NEW: Health = Health { state: State::Initial, failure: None, run: 0, run_is_success: false };

    /// The health after one more probe.
    pub(crate) fn after(self, outcome: Outcome, thresholds: Thresholds) -> Health {
        let is_success = outcome.is_ok();
        let run = if self.run > 0 && self.run_is_success == is_success { self.run.saturating_add(1) } else { 1 };
        let state = match (self.state, is_success) {
            (State::Initial, true) => State::Healthy,
            (State::Unhealthy, true) if run >= thresholds.healthy => State::Healthy,
            (State::Initial | State::Healthy, false) if run >= thresholds.unhealthy => State::Unhealthy,
            (state, _) => state,
        };
        Health { state, failure: outcome.err().or(self.failure), run, run_is_success: is_success }
    }

    /// Reason code and description as DescribeTargetHealth shows them; `None` for a healthy target.
    pub(crate) fn reason(&self) -> Option<(&'static str, String)> {
        match self.state {
            State::Healthy => None,
            State::Initial => Some(("Elb.InitialHealthChecking", "Initial health checks in progress".to_owned())),
            State::Unhealthy => Some(match self.failure {
                Some(Failure::Code(code)) => {
                    ("Target.ResponseCodeMismatch", format!("Health checks failed with these codes: [{code}]"))
                }
                Some(Failure::Timeout) => ("Target.Timeout", "Request timed out".to_owned()),
                Some(Failure::Failed) | None => ("Target.FailedHealthChecks", "Health checks failed".to_owned()),
            }),
        }
    }
}

/// The codes that count as success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Matcher(Vec<(u16, u16)>);

impl Matcher {
    /// Reads `200`, `200,301` or `200-299,404`.
    pub(crate) fn parse(text: &str) -> Option<Matcher> {
        let range = |part: &str| {
            let part = part.trim();
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            let (from, to) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
            (from <= to).then_some((from, to))
        };
        text.split(',').map(range).collect::<Option<Vec<_>>>().map(Matcher)
    }

    pub(crate) fn matches(&self, code: u16) -> bool {
        self.0.iter().any(|(from, to)| (*from..=*to).contains(&code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THRESHOLDS: Thresholds = Thresholds { healthy: 3, unhealthy: 2 };

    /// Runs outcomes (`+` success, `t` timeout, `f` failed, `c` code 502) and shows the state after each.
    fn check(outcomes: &str, expected: &str) {
        let mut health = Health::NEW;
        let mut states = String::new();
        for outcome in outcomes.chars() {
            let outcome = match outcome {
                '+' => Ok(()),
                't' => Err(Failure::Timeout),
                'f' => Err(Failure::Failed),
                _ => Err(Failure::Code(502)),
            };
            health = health.after(outcome, THRESHOLDS);
            states.push(match health.state {
                State::Initial => 'I',
                State::Healthy => 'H',
                State::Unhealthy => 'U',
            });
        }
        assert_eq!(states, expected, "after {outcomes}");
    }

    #[test]
    fn a_new_target_is_healthy_after_one_success() {
        check("+", "H");
        check("f+", "IH");
    }

    #[test]
    fn failures_must_come_in_a_row() {
        check("+f+f+ff", "HHHHHHU");
        check("ff", "IU");
    }

    #[test]
    fn an_unhealthy_target_needs_the_whole_threshold() {
        check("ff++f+++", "IUUUUUUH");
    }

    #[test]
    fn reasons_follow_the_latest_failure() {
        let after = |outcomes: &[Failure]| {
            outcomes.iter().fold(Health::NEW, |health, failure| health.after(Err(*failure), THRESHOLDS)).reason()
        };
        let shown = |reason: Option<(&str, String)>| reason.map(|(code, text)| format!("{code}: {text}"));
        assert_eq!(
            shown(after(&[Failure::Timeout, Failure::Code(502)])).unwrap(),
            "Target.ResponseCodeMismatch: Health checks failed with these codes: [502]"
        );
        assert_eq!(shown(after(&[Failure::Failed, Failure::Timeout])).unwrap(), "Target.Timeout: Request timed out");
        assert_eq!(
            shown(after(&[Failure::Failed, Failure::Failed])).unwrap(),
            "Target.FailedHealthChecks: Health checks failed"
        );
        assert_eq!(shown(after(&[])).unwrap(), "Elb.InitialHealthChecking: Initial health checks in progress");
    }

    #[test]
    fn matchers_hold_codes_and_ranges() {
        let matcher = Matcher::parse("200-299,301").unwrap();
        assert!(matcher.matches(204) && matcher.matches(301));
        assert!(!matcher.matches(300) && !matcher.matches(199));
        assert_eq!(Matcher::parse("200-"), None);
        assert_eq!(Matcher::parse("299-200"), None);
        assert_eq!(Matcher::parse(""), None);
    }
}

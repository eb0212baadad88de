//! Decisions, as functions of values: which container may start, which may be stopped, what an exit means.

use crate::protocol::Health;
use crate::spec::{Condition, Dependency, RestartPolicy};

/// What a decision needs to know about one container.
#[derive(Debug, Clone)]
pub struct View<'a> {
    pub name: &'a str,
    pub depends_on: &'a [Dependency],
    pub progress: Progress,
    pub health: Health,
    /// Of the last run.
    pub exit_code: Option<i32>,
    /// Milliseconds since the first start; `None` if its command never ran.
    pub running_for_ms: Option<u64>,
    pub start_timeout_ms: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Not started yet, or about to be started again.
    Pending,
    Running,
    Stopped,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    /// Something has to happen first; it is too late in this many milliseconds.
    Wait {
        left_ms: Option<u64>,
    },
    /// It will not happen. The text is ECS's.
    Never(String),
}

/// Whether the dependencies of container `index` let it start.
pub fn readiness(index: usize, all: &[View<'_>]) -> Readiness {
    let target = &all[index];
    let mut left_ms: Option<u64> = None;
    let mut waiting = false;
    for dependency in target.depends_on {
        // A spec that names a stranger was refused.
        let Some(on) = all.iter().find(|view| view.name == dependency.name) else { continue };
        match state(dependency.condition, on) {
            Reached::Yes => {}
            Reached::No(why) => {
                return Readiness::Never(format!(
                    "dependency graph: failed to resolve container ordering dependency [{}] for target [{}] as {why}",
                    on.name, target.name
                ));
            }
            Reached::NotYet => {
                waiting = true;
                // START has no time limit; the others count from the dependency's start.
                let limit = on.start_timeout_ms.filter(|_| dependency.condition != Condition::Start);
                if let (Some(limit), Some(running)) = (limit, on.running_for_ms) {
                    if running >= limit {
                        return Readiness::Never(format!(
                            "dependency graph: container ordering dependency [{}] for target [{}] has timed out",
                            on.name, target.name
                        ));
                    }
                    left_ms = Some(left_ms.map_or(limit - running, |left| left.min(limit - running)));
                }
            }
        }
    }
    if waiting { Readiness::Wait { left_ms } } else { Readiness::Ready }
}

enum Reached {
    Yes,
    NotYet,
    No(&'static str),
}

fn state(condition: Condition, on: &View<'_>) -> Reached {
    let started = on.running_for_ms.is_some();
    let stopped = on.progress == Progress::Stopped;
    match condition {
        _ if stopped && !started => Reached::No("dependency did not start"),
        Condition::Start if started => Reached::Yes,
        Condition::Complete if stopped => Reached::Yes,
        Condition::Success if stopped && on.exit_code == Some(0) => Reached::Yes,
        Condition::Success if stopped => Reached::No("dependency did not exit successfully"),
        Condition::Healthy if on.progress == Progress::Running && on.health == Health::Healthy => Reached::Yes,
        Condition::Healthy if stopped => Reached::No("dependency exited before it was healthy"),
        _ => Reached::NotYet,
    }
}

/// Whether container `index` may be stopped now: everything that depends on it has stopped.
pub fn may_stop(index: usize, all: &[View<'_>]) -> bool {
    let name = all[index].name;
    !all.iter().any(|view| view.progress != Progress::Stopped && view.depends_on.iter().any(|d| d.name == name))
}

/// Whether an exit is followed by a restart in place.
pub fn restarts(policy: Option<&RestartPolicy>, exit_code: i32, ran_for_ms: u64) -> bool {
    policy
        .is_some_and(|policy| !policy.ignored_exit_codes.contains(&exit_code) && ran_for_ms >= policy.attempt_period_ms)
}

/// ECS's reason for an exit, where it gives one. `oom_kills` is how many processes of the container the kernel killed.
pub fn exit_reason(exit_code: i32, oom_kills: u64) -> Option<String> {
    let killed = exit_code == 128 + libc::SIGKILL;
    (killed && oom_kills > 0).then(|| "OutOfMemoryError: Container killed due to memory usage".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view<'a>(name: &'a str, depends_on: &'a [Dependency]) -> View<'a> {
        View {
            name,
            depends_on,
            progress: Progress::Pending,
            health: Health::Unknown,
            exit_code: None,
            running_for_ms: None,
            start_timeout_ms: None,
        }
    }

    fn on(condition: Condition) -> [Dependency; 1] {
        [Dependency { name: "base".into(), condition }]
    }

    /// Readiness of a container that waits for `condition` of `base`.
    fn check(condition: Condition, change: impl FnOnce(&mut View<'_>)) -> Readiness {
        let depends_on = on(condition);
        let mut base = view("base", &[]);
        change(&mut base);
        readiness(1, &[base, view("top", &depends_on)])
    }

    fn running(view: &mut View<'_>) {
        view.progress = Progress::Running;
        view.running_for_ms = Some(500);
    }

    fn exited(code: i32) -> impl FnOnce(&mut View<'_>) {
        move |view| {
            running(view);
            view.progress = Progress::Stopped;
            view.exit_code = Some(code);
        }
    }

    #[test]
    fn each_condition_is_reached_by_its_own_event() {
        const WAIT: Readiness = Readiness::Wait { left_ms: None };
        use Condition::*;
        for condition in [Start, Complete, Success, Healthy] {
            assert_eq!(check(condition, |_| {}), WAIT, "{condition:?} before the start");
        }
        assert_eq!(check(Start, running), Readiness::Ready);
        assert_eq!(check(Start, exited(1)), Readiness::Ready, "it did start");
        assert_eq!(check(Complete, running), WAIT);
        assert_eq!(check(Complete, exited(1)), Readiness::Ready);
        assert_eq!(check(Success, exited(0)), Readiness::Ready);
        assert!(matches!(check(Success, exited(1)), Readiness::Never(why) if why.contains("[base] for target [top]")));
        assert_eq!(check(Healthy, running), WAIT);
        assert_eq!(
            check(Healthy, |v| {
                running(v);
                v.health = Health::Unhealthy
            }),
            WAIT,
            "it may recover"
        );
        assert_eq!(
            check(Healthy, |v| {
                running(v);
                v.health = Health::Healthy
            }),
            Readiness::Ready
        );
        assert!(matches!(check(Healthy, exited(0)), Readiness::Never(_)));
        assert!(matches!(check(Complete, |v| v.progress = Progress::Stopped), Readiness::Never(_)), "never started");
    }

    #[test]
    fn the_dependencys_start_timeout_counts_from_its_start() {
        let timeout = |ms| {
            move |view: &mut View<'_>| {
                running(view);
                view.start_timeout_ms = Some(ms)
            }
        };
        assert_eq!(check(Condition::Healthy, timeout(800)), Readiness::Wait { left_ms: Some(300) });
        assert!(
            matches!(check(Condition::Complete, timeout(500)), Readiness::Never(why) if why.ends_with("timed out"))
        );
        assert_eq!(check(Condition::Start, timeout(1)), Readiness::Ready);
    }

    #[test]
    fn dependents_stop_first() {
        let depends_on = on(Condition::Start);
        let mut all = [view("base", &[]), view("top", &depends_on)];
        all.iter_mut().for_each(running);
        assert!(!may_stop(0, &all));
        assert!(may_stop(1, &all));
        all[1].progress = Progress::Stopped;
        assert!(may_stop(0, &all));
    }

    #[test]
    fn a_restart_needs_a_whole_period() {
        let policy = RestartPolicy { ignored_exit_codes: vec![0], attempt_period_ms: 60_000 };
        assert!(restarts(Some(&policy), 1, 60_000));
        assert!(!restarts(Some(&policy), 1, 59_999));
        assert!(!restarts(Some(&policy), 0, 90_000));
        assert!(!restarts(None, 1, 90_000));
    }

    #[test]
    fn only_a_kill_for_memory_has_a_reason() {
        assert!(exit_reason(137, 1).is_some_and(|reason| reason.starts_with("OutOfMemoryError: ")));
        assert_eq!((exit_reason(137, 0), exit_reason(1, 1), exit_reason(0, 0)), (None, None, None));
    }
}

use crate::harness::{Task, find, shell, with};
use longshore_runtime::protocol::{Command, ContainerStatus, StopCause};
use serde_json::{Value, json};

fn after(container: Value, name: &str, condition: &str) -> Value {
    with(container, json!({"depends_on": [{"name": name, "condition": condition}]}))
}

fn helper(name: &str, line: &str) -> Value {
    with(shell(name, line), json!({"essential": false}))
}

#[test]
fn success_and_complete_run_one_after_the_other() {
    let mut task = Task::run(vec![
        after(shell("app", "exit 0"), "migrate", "SUCCESS"),
        after(helper("migrate", "exit 0"), "fetch", "COMPLETE"),
        helper("fetch", "sleep 0.1; exit 5"),
    ]);
    let state = task.ended();
    let [app, migrate, fetch] = ["app", "migrate", "fetch"].map(|name| find(&state, name).clone());
    assert!(fetch.finished_at_ms <= migrate.started_at_ms && migrate.finished_at_ms <= app.started_at_ms);
    assert_eq!((app.exit_code, migrate.exit_code, fetch.exit_code), (Some(0), Some(0), Some(5)));
    task.exit();
}

#[test]
fn a_dependency_without_success_ends_the_task() {
    let mut task = Task::run(vec![after(shell("app", "exit 0"), "migrate", "SUCCESS"), helper("migrate", "exit 3")]);
    let state = task.ended();
    let Some(StopCause::FailedToStart { container, reason }) = &state.task.cause else { panic!("{:?}", state.task) };
    assert_eq!(container.as_deref(), Some("app"));
    assert!(reason.contains("[migrate] for target [app]"), "{reason}");
    assert_eq!(find(&state, "app").started_at_ms, None);
    task.exit();
}

#[test]
fn healthy_waits_for_the_health_check() {
    let base = with(
        shell("base", "sleep 0.3; touch /tmp/ok; sleep 1000"),
        json!({"health_check": {"command": ["CMD-SHELL", "test -f /tmp/ok"], "interval_ms": 50, "retries": 100},
               "stop_timeout_ms": 50}),
    );
    let mut task = Task::run(vec![after(shell("app", "exit 0"), "base", "HEALTHY"), base]);
    let state = task.ended();
    let (app, base) = (find(&state, "app"), find(&state, "base"));
    assert!(app.started_at_ms.unwrap() >= base.started_at_ms.unwrap() + 300);
    assert_eq!(app.exit_code, Some(0));
    task.exit();
}

#[test]
fn the_start_timeout_gives_up_on_a_dependency() {
    let base = with(
        shell("base", "sleep 1000"),
        json!({"start_timeout_ms": 300, "stop_timeout_ms": 100,
               "health_check": {"command": ["CMD", "false"], "interval_ms": 50, "retries": 1000}}),
    );
    let mut task = Task::run(vec![after(shell("app", "exit 0"), "base", "HEALTHY"), base]);
    let state = task.ended();
    assert!(find(&state, "app").reason.as_ref().unwrap().ends_with("has timed out"));
    assert_eq!(find(&state, "base").exit_code, Some(137));
    task.exit();
}

#[test]
fn stopping_goes_the_other_way_round() {
    let line = |ms: u32| format!("trap 'sleep 0.{ms}; exit 0' TERM; while :; do sleep 0.02; done");
    let mut task = Task::run(vec![after(shell("app", &line(2)), "base", "START"), shell("base", &line(0))]);
    task.wait_status("app", ContainerStatus::Running);
    std::thread::sleep(std::time::Duration::from_millis(100));
    task.send(&Command::Stop { reason: String::new() });
    let state = task.ended();
    let (app, base) = (find(&state, "app"), find(&state, "base"));
    assert_eq!((app.exit_code, base.exit_code), (Some(0), Some(0)));
    assert!(app.finished_at_ms <= base.finished_at_ms, "the dependent stops first");
    task.exit();
}

use crate::harness::{Task, find, shell, with};
use longshore_runtime::protocol::{ContainerStatus, Health};
use serde_json::json;

#[test]
fn a_check_decides_and_may_change_its_mind() {
    let app = with(
        shell("app", "sleep 1000"),
        json!({"user": "app", "env": ["PATH=/bin", "FLAG=/tmp/sick"], "health_check": {
            "command": ["CMD-SHELL", "echo checked by $(id -u); test ! -f $FLAG"], "interval_ms": 40, "retries": 2}}),
    );
    let mut task = Task::run(vec![app]);
    let state = task.wait("healthy", |state| find(state, "app").health == Health::Healthy);
    assert_eq!(find(&state, "app").health_output, "checked by 1000\n");
    assert_eq!(task.exec("app", &["touch", "/tmp/sick"]).exit_code, Some(0));
    let state = task.wait("unhealthy", |state| find(state, "app").health == Health::Unhealthy);
    assert_eq!(find(&state, "app").health_exit_code, Some(1));
    assert_eq!(find(&state, "app").status, ContainerStatus::Running, "it is for others to act on");
    task.exec("app", &["rm", "/tmp/sick"]);
    task.wait("healthy again", |state| find(state, "app").health == Health::Healthy);
    task.exit();
}

#[test]
fn a_check_that_hangs_is_killed_and_counts_as_failed() {
    let app = with(
        shell("app", "sleep 1000"),
        json!({"health_check": {"command": ["CMD-SHELL", "echo hanging; sleep 77"], "interval_ms": 20, "timeout_ms": 150,
               "retries": 2}}),
    );
    let mut task = Task::run(vec![app]);
    let state = task.wait("unhealthy", |state| find(state, "app").health == Health::Unhealthy);
    assert!(find(&state, "app").health_output.starts_with("Health check exceeded its timeout."));
    std::thread::sleep(std::time::Duration::from_millis(50));
    let processes = task.exec("app", &["ps", "-o", "args"]).output;
    assert!(processes.matches("sleep 77").count() <= 2, "at most the one that runs now: {processes}");
    task.exit();
}

#[test]
fn a_check_that_cannot_run_says_why() {
    let app = with(
        shell("app", "sleep 1000"),
        json!({"health_check": {"command": ["CMD", "nope"], "interval_ms": 20, "retries": 1}}),
    );
    let mut task = Task::run(vec![app]);
    let state = task.wait("unhealthy", |state| find(state, "app").health == Health::Unhealthy);
    assert_eq!(find(&state, "app").health_output, "exec: \"nope\": executable file not found in $PATH");
    task.exit();
}

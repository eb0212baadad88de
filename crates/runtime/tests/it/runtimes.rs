//! The same behaviour with an external runtime. Skipped, loudly, where there is none.

use crate::harness::{Task, container, find, shell, with};
use longshore_runtime::protocol::{Command, ContainerStatus, Health};
use serde_json::{Value, json};

pub const RUNC: &str = "/usr/sbin/runc";

fn external(containers: Vec<Value>) -> Option<Task> {
    if !std::path::Path::new(RUNC).exists() {
        eprintln!("SKIPPED: no {RUNC}");
        return None;
    }
    Some(Task::run_with(containers, json!({"runtime": {"external": RUNC}})))
}

#[test]
fn output_exit_code_and_confinement_are_the_same() {
    let app = with(shell("app", "id -un; echo err >&2; cat /proc/self/status; exit 6"), json!({"user": "app"}));
    let Some(task) = external(vec![app]) else { return };
    let (container, output) = task.output("app");
    assert_eq!(container.exit_code, Some(6));
    for expected in ["app", "err", "Seccomp:\t2", "CapBnd:\t00000000a80425fb", "NoNewPrivs:\t0"] {
        assert!(output.lines().any(|line| line == expected), "{expected} in {output}");
    }
}

#[test]
fn a_missing_command_reads_the_same() {
    let Some(mut task) = external(vec![container("app", &["nope"])]) else { return };
    let state = task.ended();
    let app = find(&state, "app");
    assert!(
        app.reason.as_ref().unwrap().contains("exec: \"nope\": executable file not found in $PATH"),
        "{:?}",
        app.reason
    );
    assert_eq!(app.exit_code, None);
    task.exit();
}

#[test]
fn exec_health_and_stop_work() {
    let app = with(
        shell("app", "trap 'exit 3' TERM; while :; do sleep 0.05; done"),
        json!({"health_check": {"command": ["CMD-SHELL", "test -d /tmp"], "interval_ms": 50}, "memory_bytes": 64 << 20}),
    );
    let Some(mut task) = external(vec![app]) else { return };
    task.wait_status("app", ContainerStatus::Running);
    task.wait("healthy", |state| find(state, "app").health == Health::Healthy);
    let result = task.exec("app", &["sh", "-c", "echo hi; exit 4"]);
    assert_eq!((result.exit_code, result.output.as_str()), (Some(4), "hi\n"));
    let result = task.exec("app", &["nope"]);
    assert!(result.error.unwrap().contains("executable file not found"));
    task.send(&Command::Stop { reason: String::new() });
    assert_eq!(find(&task.ended(), "app").exit_code, Some(3));
    task.exit();
}

#[test]
fn a_terminal_works() {
    let app = with(shell("app", "test -t 1 && echo yes"), json!({"terminal": true}));
    let Some(task) = external(vec![app]) else { return };
    assert_eq!(task.output("app").1, "yes\r");
}

#[test]
fn killing_the_supervisor_leaves_nothing_after_cleanup() {
    let Some(mut task) = external(vec![shell("app", "sleep 1000")]) else { return };
    task.wait_status("app", ContainerStatus::Running);
    task.kill_supervisor();
    longshore_runtime::cleanup(&task.directory).unwrap();
    task.assert_nothing_left();
}

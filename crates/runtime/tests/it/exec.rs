use crate::harness::{Task, shell, with};
use longshore_runtime::protocol::ContainerStatus;
use serde_json::json;

#[test]
fn a_command_runs_beside_the_first_process_and_as_confined() {
    let app =
        with(shell("app", "sleep 1000"), json!({"user": "app", "env": ["PATH=/bin", "WORD=w"], "cwd": "/home/app"}));
    let mut task = Task::run(vec![app]);
    task.wait_status("app", ContainerStatus::Running);
    let result = task.exec("app", &["sh", "-c", "id -un; pwd; echo $WORD >&2; exit 5"]);
    assert_eq!((result.exit_code, result.output.as_str(), result.id), (Some(5), "app\n/home/app\nw\n", 7));
    let status = task.exec("app", &["cat", "/proc/self/status"]).output;
    for expected in [
        "Seccomp:\t2",
        "Seccomp_filters:\t1",
        "NoNewPrivs:\t0",
        "CapEff:\t0000000000000000",
        "CapBnd:\t00000000a80425fb",
    ] {
        assert!(status.contains(expected), "{expected} in {status}");
    }
    let groups = task.exec("app", &["cat", "/proc/self/cgroup", "/proc/1/cgroup"]).output;
    let lines: Vec<&str> = groups.lines().collect();
    assert_eq!(lines[..lines.len() / 2], lines[lines.len() / 2..], "it counts as the container's");
    let left: Vec<_> =
        std::fs::read_dir(task.directory.join("engine")).unwrap().flatten().map(|e| e.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("exec")), "{left:?}");
    task.exit();
}

#[test]
fn failures_are_told_apart_from_exit_codes() {
    let mut task = Task::run(vec![shell("app", "sleep 1000")]);
    task.wait_status("app", ContainerStatus::Running);
    let missing = task.exec("app", &["nope"]);
    assert_eq!(
        (missing.exit_code, missing.error.as_deref()),
        (None, Some("exec: \"nope\": executable file not found in $PATH"))
    );
    let garbage = task.exec("app", &["/bin/garbage"]);
    assert_eq!(
        (garbage.exit_code, garbage.error.as_deref()),
        (Some(126), Some("exec /bin/garbage: exec format error"))
    );
    let stranger = task.exec("nobody", &["true"]);
    assert!(stranger.error.unwrap().contains("nobody"));
    assert_eq!(task.exec("app", &["sh", "-c", "kill -9 $$"]).exit_code, Some(137));
    task.exit();
}

#[test]
fn output_is_bounded_and_the_process_does_not_hang() {
    let mut task = Task::run(vec![shell("app", "sleep 1000")]);
    task.wait_status("app", ContainerStatus::Running);
    let result = task.exec("app", &["head", "-c", "300000", "/dev/zero"]);
    assert_eq!((result.exit_code, result.output.len(), result.truncated), (Some(0), 64 << 10, true));
    // What it leaves in the background does not hold up the answer.
    let result = task.exec("app", &["sh", "-c", "sleep 1000 & echo left"]);
    assert_eq!((result.exit_code, result.output.as_str()), (Some(0), "left\n"));
    task.exit();
}

#[test]
fn a_stopped_container_takes_no_commands() {
    let side = with(shell("side", "true"), json!({"essential": false}));
    let mut task = Task::run(vec![shell("app", "sleep 1000"), side]);
    task.wait_status("side", ContainerStatus::Stopped);
    assert!(task.exec("side", &["true"]).error.unwrap().contains("is not running"));
    task.exit();
}

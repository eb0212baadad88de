use crate::harness::{Task, container, find, shell, with};
use longshore_runtime::protocol::{Command, ContainerStatus, StopCause, TaskPhase};
use serde_json::json;

#[test]
fn the_exit_code_is_that_of_the_command() {
    for (line, code) in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)] {
        // Process 1 ignores signals to itself, so a child gets it, and the shell passes its end on.
        let line = if line.starts_with("kill") { "sh -c 'kill -9 $$'; exit $?" } else { line };
        let (container, _) = Task::run(vec![shell("app", line)]).output("app");
        assert_eq!((container.exit_code, container.reason), (Some(code), None), "{line}");
    }
}

#[test]
fn environment_directory_and_user_are_as_asked() {
    let app = with(
        shell("app", "pwd; id; echo $GREETING; echo $HOSTNAME; hostname; echo $HOME; touch /srv/deep/x || echo denied"),
        json!({"env": ["GREETING=hello world", "PATH=/bin"], "cwd": "/srv/deep", "user": "app"}),
    );
    let (container, output) = Task::run(vec![app]).output("app");
    let lines: Vec<&str> = output.lines().filter(|line| !line.starts_with("touch:")).collect();
    let expected = [
        "/srv/deep",
        "uid=1000(app) gid=1001(app) groups=50(staff),1001(app)",
        "hello world",
        "host-a",
        "host-a",
        "/home/app",
        "denied",
    ];
    assert_eq!(lines, expected);
    assert_eq!(container.exit_code, Some(0));
}

#[test]
fn an_unknown_user_is_named() {
    let app = with(container("app", &["/bin/true"]), json!({"user": "nope"}));
    let mut task = Task::run(vec![app]);
    let state = task.ended();
    let reason = find(&state, "app").reason.clone().unwrap();
    assert_eq!(reason, "CannotStartContainerError: unable to find user nope: no matching entries in passwd file");
    assert_eq!(state.task.cause, Some(StopCause::FailedToStart { container: Some("app".into()), reason }));
    task.exit();
}

#[test]
fn a_command_that_does_not_exist_never_starts() {
    for (program, text) in [
        ("nope", "exec: \"nope\": executable file not found in $PATH"),
        ("/bin/nope", "exec: \"/bin/nope\": stat /bin/nope: no such file or directory"),
        ("/bin/plain", "exec: \"/bin/plain\": permission denied"),
        ("/tmp", "exec: \"/tmp\": permission denied"),
    ] {
        let mut task = Task::run(vec![container("app", &[program])]);
        let state = task.ended();
        let app = find(&state, "app");
        let reason = format!("CannotStartContainerError: failed to create task for container \"app\": {text}");
        assert_eq!(app.reason.as_deref(), Some(reason.as_str()));
        assert_eq!((app.exit_code, app.started_at_ms, app.status), (None, None, ContainerStatus::Stopped));
        assert!(matches!(state.task.cause, Some(StopCause::FailedToStart { .. })));
        task.exit();
    }
}

#[test]
fn what_cannot_be_executed_is_told_apart() {
    for (program, code, text) in [
        ("/bin/garbage", 126, "exec /bin/garbage: exec format error"),
        ("orphan", 127, "exec orphan: no such file or directory: the interpreter it asks for is not in the image"),
    ] {
        let mut task = Task::run(vec![container("app", &[program])]);
        let state = task.ended();
        let app = find(&state, "app");
        assert!(app.reason.as_ref().unwrap().ends_with(text), "{:?}", app.reason);
        assert_eq!((app.exit_code, app.started_at_ms), (Some(code), None));
        task.exit();
    }
}

#[test]
fn the_path_of_the_container_finds_scripts() {
    let (container, output) = Task::run(vec![container("app", &["script", "it"])]).output("app");
    assert_eq!((container.exit_code, output.as_str()), (Some(0), "script it"));
}

#[test]
fn stop_asks_first() {
    let app = shell("app", "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 0.05; done");
    let mut task = Task::run(vec![app]);
    task.client().wait_log("up");
    task.send(&Command::Stop { reason: "scaled in".into() });
    let state = task.ended();
    assert_eq!(find(&state, "app").exit_code, Some(3));
    assert_eq!(state.task.cause, Some(StopCause::Asked { reason: "scaled in".into() }));
    task.exit();
}

#[test]
fn who_does_not_listen_is_killed_after_the_timeout() {
    // Process 1 without a handler ignores SIGTERM; its child does not matter.
    let app = with(shell("app", "echo up; sleep 1000; true"), json!({"stop_timeout_ms": 200}));
    let mut task = Task::run(vec![app]);
    task.client().wait_log("up");
    task.send(&Command::Stop { reason: String::new() });
    let state = task.ended();
    let app = find(&state, "app");
    assert_eq!((app.exit_code, app.reason.clone()), (Some(137), None));
    task.exit();
}

#[test]
fn the_stop_signal_is_the_containers_own() {
    let app = with(
        shell("app", "trap 'exit 4' USR1; trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done"),
        json!({"stop_signal": "SIGUSR1"}),
    );
    let mut task = Task::run(vec![app]);
    task.client().wait_log("up");
    task.send(&Command::Stop { reason: String::new() });
    assert_eq!(find(&task.ended(), "app").exit_code, Some(4));
    task.exit();
}

#[test]
fn with_an_init_sigterm_ends_a_program_without_handlers() {
    let app = with(container("app", &["sleep", "1000"]), json!({"init": true}));
    let mut task = Task::run(vec![app]);
    task.wait_status("app", ContainerStatus::Running);
    let processes = task.exec("app", &["ps", "-o", "pid,args"]).output;
    assert!(processes.lines().any(|line| line.trim_start().starts_with("1 /dev/init")), "{processes}");
    task.send(&Command::Stop { reason: String::new() });
    assert_eq!(find(&task.ended(), "app").exit_code, Some(143));
    task.exit();
}

#[test]
fn when_an_essential_container_exits_the_others_are_stopped() {
    let side = shell("side", "trap 'exit 0' TERM; while :; do sleep 0.05; done");
    let mut task = Task::run(vec![shell("app", "sleep 0.2; exit 9"), with(side, json!({"essential": false}))]);
    let state = task.ended();
    assert_eq!((find(&state, "app").exit_code, find(&state, "side").exit_code), (Some(9), Some(0)));
    assert_eq!(state.task.cause, Some(StopCause::EssentialContainerExited { container: "app".into() }));
    task.exit();
}

#[test]
fn when_another_container_exits_nothing_happens() {
    let side = with(shell("side", "exit 1"), json!({"essential": false}));
    let mut task = Task::run(vec![shell("app", "sleep 1000"), side]);
    task.wait_status("side", ContainerStatus::Stopped);
    let app = task.wait_status("app", ContainerStatus::Running);
    assert_eq!(app.exit_code, None);
    assert_eq!(task.client().state.task.phase, TaskPhase::Running);
    task.exit();
}

#[test]
fn before_go_nothing_runs_and_stop_ends_it() {
    let mut task = Task::prepare(vec![shell("app", "echo ran")], json!({}));
    std::thread::sleep(std::time::Duration::from_millis(100));
    let state = task.wait("prepared", |state| state.task.phase == TaskPhase::Prepared);
    assert_eq!(find(&state, "app").status, ContainerStatus::Pending);
    task.send(&Command::Stop { reason: "changed my mind".into() });
    let state = task.ended();
    let app = find(&state, "app");
    assert_eq!((app.exit_code, app.log_sequence, app.started_at_ms), (None, 0, None));
    task.exit();
}

#[test]
fn exit_is_refused_while_something_runs() {
    let mut task = Task::run(vec![shell("app", "sleep 1000")]);
    task.wait_status("app", ContainerStatus::Running);
    task.send(&Command::Exit);
    task.client().wait_event("refusal", |event| match event {
        longshore_runtime::protocol::Event::Error { command, .. } if command == "exit" => Some(()),
        _ => None,
    });
    task.exit();
}

#[test]
fn a_restart_policy_starts_it_again_in_place() {
    let app = with(
        shell("app", "echo run >> /tmp/runs; sleep 0.3; test $(wc -l < /tmp/runs) -lt 3 && exit 1; exit 0"),
        json!({"restart": {"ignored_exit_codes": [0], "attempt_period_ms": 200}}),
    );
    let (container, _) = Task::run(vec![app]).output("app");
    assert_eq!((container.exit_code, container.restart_count), (Some(0), 2));
}

#[test]
fn a_spec_that_cannot_be_run_ends_the_task_with_the_reason() {
    let mut task = Task::prepare(vec![with(shell("app", "true"), json!({"privileged": true}))], json!({}));
    let state = task.ended();
    let Some(StopCause::FailedToStart { reason, .. }) = state.task.cause else { panic!("{:?}", state.task) };
    assert!(reason.starts_with("ResourceInitializationError: ") && reason.contains("privileged"), "{reason}");
    task.exit();
}

#[test]
fn a_bind_source_that_is_not_there_is_named() {
    let app = with(shell("app", "true"), json!({"mounts": [{"source": "/nowhere/at/all", "destination": "/x"}]}));
    let mut task = Task::run(vec![app]);
    let state = task.ended();
    let reason = "CannotCreateContainerError: bind source path does not exist: /nowhere/at/all";
    assert_eq!(find(&state, "app").reason.as_deref(), Some(reason));
    task.exit();
}

#[test]
fn a_layer_that_is_not_there_is_named() {
    let mut task = Task::run(vec![with(shell("app", "true"), json!({"layers": ["/nowhere/at/all"]}))]);
    let state = task.ended();
    let reason = find(&state, "app").reason.clone().unwrap();
    assert!(reason.starts_with("CannotCreateContainerError: overlay: "), "{reason}");
    task.exit();
}

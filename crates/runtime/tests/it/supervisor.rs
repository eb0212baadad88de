use crate::harness::{Client, Task, executable, find, shell, with};
use crate::runtimes::RUNC;
use longshore_runtime::protocol::{Command, ContainerStatus, Event, SOCKET_FILE, State, TaskPhase};
use serde_json::json;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn saved(task: &Task) -> State {
    serde_json::from_slice(&std::fs::read(task.directory.join("state.json")).unwrap()).unwrap()
}

#[test]
fn killing_the_supervisor_takes_its_containers_along() {
    let mut task = Task::run(vec![shell("app", "sleep 1000 & sleep 1000"), shell("other", "sleep 1000")]);
    let app = task.wait_status("app", ContainerStatus::Running);
    task.wait_status("other", ContainerStatus::Running);
    task.kill_supervisor();
    let pid = app.pid.unwrap();
    eventually("process 1 dies with the supervisor", || !Path::new(&format!("/proc/{pid}")).exists());
    let state = saved(&task);
    assert_eq!((state.supervisor_pid, &state.cgroup), (task.supervisor_pid(), &task.cgroup));
    assert_eq!(find(&state, "app").pid, Some(pid));
    longshore_runtime::cleanup(&task.directory).unwrap();
    longshore_runtime::cleanup(&task.directory).unwrap();
    task.assert_nothing_left();
}

#[test]
fn cleanup_ends_a_living_supervisor_too() {
    let mut task = Task::run(vec![shell("app", "sleep 1000")]);
    task.wait_status("app", ContainerStatus::Running);
    longshore_runtime::cleanup(&task.directory).unwrap();
    task.assert_nothing_left();
}

#[test]
fn a_task_with_an_owner_ends_with_it() {
    let runc = Path::new(RUNC).exists().then(|| json!({"external": RUNC}));
    for runtime in [json!("builtin")].into_iter().chain(runc) {
        let mut task = Task::pooled();
        task.kill_supervisor();
        let app = shell("app", "trap '' TERM; sleep 1000 & sleep 1000");
        task.write_spec(vec![app], json!({"runtime": runtime, "owner_pid": 123456789}));
        // The owner is this shell, whose number it alone knows.
        let script = "sed -i s/123456789/$$/ spec.json; \"$0\" task . & wait";
        let mut owner = std::process::Command::new("/bin/sh")
            .args(["-c", script])
            .arg(executable())
            .current_dir(&task.directory)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        eventually("it listens", || UnixStream::connect(task.directory.join(SOCKET_FILE)).is_ok());
        let mut client = Client::connect(&task.directory);
        client.send(&Command::Subscribe { logs: false });
        client.wait("prepared", |state| state.task.phase == TaskPhase::Prepared);
        client.send(&Command::Go);
        let state = client.wait("running", |state| find(state, "app").status == ContainerStatus::Running);
        let pid = find(&state, "app").pid.unwrap();
        owner.kill().unwrap();
        owner.wait().unwrap();
        eventually("its container dies", || !Path::new(&format!("/proc/{pid}")).exists());
        let supervisor = format!("/proc/{}", state.supervisor_pid);
        eventually("its supervisor leaves", || !Path::new(&supervisor).exists());
        task.assert_nothing_left();
    }
}

#[test]
fn a_task_whose_owner_has_ended_before_never_begins() {
    let mut task = Task::pooled();
    task.kill_supervisor();
    // Process 1 lives, but is not who started the supervisor.
    task.write_spec(vec![shell("app", "sleep 1000")], json!({"owner_pid": 1}));
    assert!(task.hurry().wait().unwrap().success());
    assert_eq!(saved(&task).task.phase, TaskPhase::Stopped);
    task.assert_nothing_left();
}

#[test]
fn cleanup_finds_a_supervisor_that_has_only_just_been_started() {
    let mut task = Task::pooled();
    task.write_spec(vec![shell("app", "sleep 1000")], json!({}));
    task.kill_supervisor();
    for pause_us in (0..12_000).step_by(400) {
        longshore_runtime::cleanup(&task.directory).unwrap();
        let mut late = task.hurry();
        std::thread::sleep(std::time::Duration::from_micros(pause_us));
        let lease = longshore_runtime::cleanup(&task.directory).unwrap();
        // One that begins only now sees that somebody is cleaning up.
        assert!(late.wait().is_ok_and(|status| !status.success()), "it was not ended");
        task.assert_nothing_left();
        drop(lease);
    }
}

#[test]
fn killing_it_before_go_leaves_nothing() {
    let mut task = Task::prepare(vec![shell("app", "sleep 1000")], json!({}));
    let groups = task.group_directories();
    let memory = groups.iter().find(|group| group.to_str().unwrap().contains("memory")).unwrap_or(&groups[0]).clone();
    let processes = || -> usize {
        let entries = std::fs::read_dir(&memory).into_iter().flatten().flatten();
        entries
            .filter_map(|e| std::fs::read_to_string(e.path().join("cgroup.procs")).ok())
            .map(|t| t.lines().count())
            .sum()
    };
    eventually("its first process waits for go", || processes() == 1);
    task.kill_supervisor();
    eventually("it dies too", || processes() == 0);
    longshore_runtime::cleanup(&task.directory).unwrap();
    task.assert_nothing_left();
}

#[test]
fn signals_do_not_end_it() {
    let mut task = Task::run(vec![shell("app", "sleep 1000")]);
    task.wait_status("app", ContainerStatus::Running);
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT] {
        assert_eq!(unsafe { libc::kill(task.supervisor_pid(), signal) }, 0);
    }
    assert_eq!(task.exec("app", &["true"]).exit_code, Some(0));
    let session = unsafe { libc::getsid(task.supervisor_pid()) };
    assert_eq!(session, task.supervisor_pid(), "a session of its own");
    task.exit();
}

#[test]
fn the_agent_may_come_and_go() {
    let app = with(shell("app", "sleep 1000"), json!({"stop_timeout_ms": 50}));
    let mut task = Task::run(vec![app]);
    task.wait_status("app", ContainerStatus::Running);
    for _ in 0..50 {
        drop(Client::connect(&task.directory));
    }
    let mut second = Client::connect(&task.directory);
    second.send(&Command::Subscribe { logs: true });
    second.wait("running", |state| find(state, "app").status == ContainerStatus::Running);
    second.send(&Command::Stop { reason: "from the second".into() });
    second.wait("stopped", |state| state.task.phase == TaskPhase::Stopped);
    task.ended();
    assert_eq!(saved(&task).task, task.client().state.task);
    task.exit();
}

#[test]
fn strange_lines_are_answered_and_do_no_harm() {
    let mut task = Task::run(vec![shell("app", "sleep 1000")]);
    task.wait_status("app", ContainerStatus::Running);
    let mut other = Client::connect(&task.directory);
    for (line, command) in
        [("{\"command\":\"dance\"}", "dance"), ("nonsense", ""), ("[]", ""), ("{\"command\":\"exec\"}", "exec")]
    {
        other.send_line(line);
        let named = other.wait_event("error", |event| match event {
            Event::Error { command, .. } => Some(command.clone()),
            _ => None,
        });
        assert_eq!(named, command);
    }
    assert_eq!(task.exec("app", &["true"]).exit_code, Some(0));
    task.exit();
}

#[test]
fn a_pooled_supervisor_moves_into_the_tasks_directory() {
    let mut task = Task::pooled();
    let pool = task.directory.clone();
    let home = task.scratch().join("home");
    std::fs::create_dir(&home).unwrap();
    task.directory = home.clone();
    task.write_spec(vec![shell("app", "echo moved; sleep 1000")], json!({}));
    task.send(&Command::Spec { dir: home.clone() });
    task.send(&Command::Go);
    task.client().wait_log("moved");
    assert!(home.join("state.json").exists() && !pool.join("control.sock").exists());
    let mut there = Client::connect(&home);
    there.send(&Command::Subscribe { logs: false });
    there.wait("running", |state| find(state, "app").status == ContainerStatus::Running);
    there.send(&Command::Spec { dir: pool });
    there.wait_event("refusal", |event| {
        matches!(event, Event::Error { command, .. } if command == "spec").then_some(())
    });
    task.wait_status("app", ContainerStatus::Running);
    task.exit();
}

#[test]
fn a_pooled_supervisor_without_a_task_leaves_when_told() {
    Task::pooled().exit();
}

#[test]
fn an_interface_can_be_wired_before_go() {
    let mut task = Task::prepare(vec![shell("app", "cat /proc/net/dev; ip addr show eth0")], json!({}));
    let pid = task.supervisor_pid();
    let ip = |arguments: &str| {
        let status = std::process::Command::new("nsenter")
            .args(["-t", &pid.to_string(), "-n", "ip"])
            .args(arguments.split(' '))
            .status()
            .unwrap();
        assert!(status.success(), "ip {arguments}");
    };
    ip("link add eth0 type veth peer name other");
    ip("addr add 10.9.8.7/24 dev eth0");
    ip("link set eth0 up");
    task.send(&Command::Go);
    let (_, output) = task.output("app");
    assert!(output.contains("10.9.8.7/24"), "{output}");
}

#[test]
fn many_containers_start_together() {
    let containers = (0..8).map(|n| shell(&format!("c{n}"), "sleep 1000")).collect();
    let mut task = Task::run(containers);
    let state = task.wait("all running", |state| {
        state.containers.len() == 8 && state.containers.iter().all(|c| c.status == ContainerStatus::Running)
    });
    assert_eq!(state.task.phase, TaskPhase::Running);
    task.exit();
}

/// Anybody may call a process as they like, also in a container.
#[test]
fn only_processes_of_our_user_beside_us_count_as_supervisors() {
    use std::os::unix::process::CommandExt;
    let scratch = tempfile::tempdir().unwrap();
    std::fs::set_permissions(&scratch, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let script = scratch.path().join("role-of-a-test");
    std::fs::write(&script, "echo on; read line").unwrap();
    let start = |program: &str, arguments: &[&str], user: u32, name: &str| {
        let mut command = std::process::Command::new(program);
        command.args(arguments).arg("role-of-a-test").arg(scratch.path().join(name)).current_dir(&scratch);
        let mut child = command.uid(user).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = [0; 3];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut said).unwrap();
        child
    };
    let children = [
        start("sh", &[], 0, "ours"),
        start("sh", &[], 65534, "of-another-user"),
        start("unshare", &["--pid", "--fork", "sh"], 0, "in-a-container"),
    ];
    let found = longshore_runtime::cleanup::processes(&["another", "role-of-a-test"]);
    for mut child in children {
        drop(child.stdin.take());
        child.wait().unwrap();
    }
    let names: Vec<_> = found.iter().map(|(_, path)| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["ours"]);
}

//! Figures, not judgements: `cargo test -p longshore-runtime --test it measure -- --ignored --nocapture`, with
//! `LONGSHORE_TASK` naming a release build of the supervisor.

use crate::harness::{Client, Task, container, executable, find, image};
use longshore_runtime::protocol::{Command, ContainerStatus, TaskPhase};
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

const ROUNDS: usize = 30;

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1000.0;
    println!("{what:<58} median {:6.1} ms   p5 {:6.1}   p95 {:6.1}", at(50), at(5), at(95));
}

/// The whole way of a task with a spec on disk: exec of the supervisor, `go` as soon as it is ready.
#[test]
#[ignore = "a measurement"]
fn from_exec_to_running_and_to_exit() {
    for users in [json!(null), json!({"host_id": 1 << 30, "size": 65536})] {
        println!("user namespace: {users}");
        whole_way(&users);
    }
}

fn whole_way(users: &serde_json::Value) {
    let scratch = tempfile::tempdir().unwrap();
    std::fs::set_permissions(scratch.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    image(&scratch.path().join("image"));
    let (mut ready, mut running, mut exited, mut left) = (vec![], vec![], vec![], vec![]);
    for round in 0..ROUNDS + 5 {
        let directory = scratch.path().join(format!("task-{round}"));
        std::fs::create_dir(&directory).unwrap();
        let cgroup = format!("longshore-test-measure-{}", std::process::id());
        let app = json!({"name": "app", "id": format!("{round:064}"), "args": ["/bin/true"], "layers": [scratch.path().join("image")],
                         "upper": directory.join("upper"), "work": directory.join("work"), "memory_bytes": 64 << 20});
        let spec = json!({"task_id": "t", "cgroup": cgroup, "hostname": "h", "containers": [app], "hosts": "127.0.0.1 localhost\n",
                          "limits": {"cpu_millis": 1000, "memory_bytes": 128 << 20}, "user_namespace": users});
        std::fs::write(directory.join("spec.json"), spec.to_string()).unwrap();
        let begin = Instant::now();
        let mut supervisor = longshore_runtime::supervisor::command(&executable(), &directory, false).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(supervisor.stdout.take().unwrap()).read_line(&mut line).unwrap();
        ready.push(begin.elapsed());
        let mut client = Client::connect(&directory);
        client.send(&Command::Subscribe { logs: true });
        client.send(&Command::Go);
        client.wait("started", |state| find(state, "app").started_at_ms.is_some());
        running.push(begin.elapsed());
        client.wait("stopped", |state| state.task.phase == TaskPhase::Stopped);
        exited.push(begin.elapsed());
        assert_eq!(find(&client.state, "app").exit_code, Some(0));
        client.send(&Command::Exit);
        supervisor.wait().unwrap();
        left.push(begin.elapsed());
    }
    for (what, mut times) in [
        ("exec to ready", ready),
        ("exec to RUNNING", running),
        ("exec to exit of /bin/true", exited),
        ("exec to nothing left", left),
    ] {
        report(what, times.split_off(5));
    }
}

/// With a supervisor that waits in a pool, from the command `spec`; and from `go` when everything was prepared.
#[test]
#[ignore = "a measurement"]
fn from_spec_and_from_go_to_running() {
    let (mut from_spec, mut from_go) = (vec![], vec![]);
    for round in 0..2 * ROUNDS + 10 {
        let mut task = Task::pooled();
        task.write_spec(vec![container("app", &["/bin/true"])], json!({"limits": {"cpu_millis": 1000}}));
        let mut begin = Instant::now();
        let directory = task.directory.clone();
        task.send(&Command::Spec { dir: directory });
        if round % 2 == 1 {
            std::thread::sleep(Duration::from_millis(60));
            begin = Instant::now();
        }
        task.send(&Command::Go);
        task.wait("started", |state| find(state, "app").started_at_ms.is_some());
        if round >= 10 {
            if round % 2 == 1 { from_go.push(begin.elapsed()) } else { from_spec.push(begin.elapsed()) }
        }
        task.ended();
        task.exit();
    }
    report("pooled: spec and go to RUNNING", from_spec);
    report("prepared: go to RUNNING", from_go);
}

#[test]
#[ignore = "a measurement"]
fn an_exec_of_true() {
    let mut task = Task::run(vec![container("app", &["sleep", "1000"])]);
    task.wait_status("app", ContainerStatus::Running);
    let times = (0..ROUNDS).map(|_| {
        let begin = Instant::now();
        assert_eq!(task.exec("app", &["/bin/true"]).exit_code, Some(0));
        begin.elapsed()
    });
    let times = times.collect();
    report("exec of /bin/true in a running container", times);
    task.exit();
}

/// Memory of ten supervisors whose containers sleep.
#[test]
#[ignore = "a measurement"]
fn memory_of_a_sleeping_supervisor() {
    let mut tasks: Vec<Task> = (0..10).map(|_| Task::run(vec![container("app", &["sleep", "1000"])])).collect();
    for task in &mut tasks {
        task.wait_status("app", ContainerStatus::Running);
    }
    std::thread::sleep(Duration::from_millis(300));
    for field in ["Rss", "Pss", "Pss_Anon", "Pss_File", "Private_Dirty"] {
        let read = |task: &Task| -> u64 {
            let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", task.supervisor_pid())).unwrap();
            let line = text.lines().find(|line| line.starts_with(&format!("{field}:"))).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        let mut values: Vec<u64> = tasks.iter().map(read).collect();
        values.sort_unstable();
        println!("{field:<14} median {:5} kB", values[values.len() / 2]);
    }
    tasks.into_iter().for_each(Task::exit);
}

use crate::harness::{Task, find, shell, with};
use longshore_runtime::protocol::{Command, ContainerStatus, Event, Stats};
use serde_json::json;

const HOG: &str = "head -c 200000000 /dev/zero | tail -c 199000000 > /dev/null; exit $?";
const MEMORY_REASON: &str = "OutOfMemoryError: Container killed due to memory usage";

#[test]
fn too_much_memory_is_137_with_ecss_reason() {
    // tail holds its input in memory, as a child of the shell, which passes its end on.
    let app = with(shell("app", "tail -c 199000000 /dev/zero"), json!({"memory_bytes": 32 << 20}));
    let (container, _) = Task::run(vec![app]).output("app");
    assert_eq!((container.exit_code, container.reason.as_deref()), (Some(137), Some(MEMORY_REASON)));
}

#[test]
fn the_tasks_limit_holds_for_its_containers_together() {
    let task = json!({"limits": {"memory_bytes": 40 << 20}});
    let app = shell("app", HOG);
    let (container, _) = Task::run_with(vec![app], task).output("app");
    assert_eq!((container.exit_code, container.reason.as_deref()), (Some(137), Some(MEMORY_REASON)));
}

#[test]
fn a_kill_without_memory_shortage_has_no_such_reason() {
    let app = with(shell("app", "sh -c 'kill -9 $$'; exit $?"), json!({"memory_bytes": 64 << 20}));
    let (container, _) = Task::run(vec![app]).output("app");
    assert_eq!((container.exit_code, container.reason), (Some(137), None));
}

#[test]
fn limits_are_in_the_kernels_files_and_statistics_say_them() {
    let app = with(
        shell("app", "sleep 1000"),
        json!({"memory_bytes": 64 << 20, "cpu_shares": 512,
                                                     "memory_reservation_bytes": 16 << 20}),
    );
    let limits = json!({"limits": {"cpu_millis": 250, "memory_bytes": 128 << 20, "pids": 100}});
    let mut task = Task::run_with(vec![app], limits);
    task.wait_status("app", ContainerStatus::Running);
    task.send(&Command::Stats { id: 3 });
    let stats: Stats = task.client().wait_event("stats", |event| match event {
        Event::Stats(stats) => Some(stats.clone()),
        _ => None,
    });
    assert_eq!((stats.id, stats.task.memory_limit_bytes), (3, Some(128 << 20)));
    let usage = &stats.containers[0].usage;
    assert_eq!((usage.memory_limit_bytes, usage.pids), (Some(64 << 20), 1));
    assert!(usage.cpu_ns > 0 && usage.memory_bytes > 0, "{usage:?}");
    // Version 1 here; the values on version 2 have unit tests of their own.
    let read = |controller: &str, file: &str, container: bool| {
        let mut path = std::path::Path::new("/sys/fs/cgroup").join(controller).join(&task.cgroup);
        if container {
            path.push(&find(&task_state(&task), "app").id);
        }
        std::fs::read_to_string(path.join(file)).map(|text| text.trim().to_owned()).unwrap_or_default()
    };
    if std::path::Path::new("/sys/fs/cgroup/memory").exists() {
        assert_eq!(read("cpu", "cpu.cfs_quota_us", false), "25000");
        assert_eq!(read("pids", "pids.max", false), "100");
        assert_eq!(read("cpu", "cpu.shares", true), "512");
        assert_eq!(read("memory", "memory.soft_limit_in_bytes", true), (16 << 20).to_string());
    }
    task.exit();
}

fn task_state(task: &Task) -> longshore_runtime::protocol::State {
    serde_json::from_slice(&std::fs::read(task.directory.join("state.json")).unwrap()).unwrap()
}

#[test]
fn the_process_limit_stops_a_fork_bomb() {
    let app = shell("app", "n=0; while [ $n -lt 60 ]; do sleep 5 & n=$((n+1)); done; echo all");
    let (container, output) = Task::run_with(vec![app], json!({"limits": {"pids": 20}})).output("app");
    assert_ne!(container.exit_code, Some(0));
    assert!(output.contains("fork") && !output.contains("all"), "{output}");
}

#[test]
fn mounts_and_ulimits_are_as_asked() {
    let given = tempfile::tempdir().unwrap();
    std::fs::write(given.path().join("file"), "from the host").unwrap();
    let app = with(
        shell("app", "cat /given/file; echo; touch /given/new || echo read-only; touch /given-rw/new; df -k /scratch | tail -n 1;
              df -k /dev/shm | tail -n 1; ulimit -n; ulimit -c; cat /proc/sys/kernel/msgmax; cat /etc/hosts; cat /etc/resolv.conf"),
        json!({"mounts": [{"source": given.path(), "destination": "/given", "readonly": true},
                          {"source": given.path(), "destination": "/given-rw"}],
               "tmpfs": [{"path": "/scratch", "size_bytes": 1 << 20, "options": ["mode=700"]}], "shm_bytes": 2 << 20,
               "ulimits": [{"name": "nofile", "soft": 100, "hard": 200}, {"name": "core", "soft": 0, "hard": 0}],
               "sysctls": {"kernel.msgmax": "9000"}}),
    );
    let task = json!({"hosts": "127.0.0.1 localhost\n10.0.0.9 db\n", "resolv_conf": "nameserver 10.0.0.2\n"});
    let (container, output) = Task::run_with(vec![app], task).output("app");
    let lines: Vec<&str> = output.lines().filter(|line| !line.starts_with("touch:")).collect();
    assert_eq!(lines[..2], ["from the host", "read-only"]);
    assert!(lines[2].contains(" 1024 ") && lines[3].contains(" 2048 "), "{lines:?}");
    assert_eq!(lines[4..], ["100", "0", "9000", "127.0.0.1 localhost", "10.0.0.9 db", "nameserver 10.0.0.2"]);
    assert_eq!(container.exit_code, Some(0));
    assert!(given.path().join("new").exists());
}

/// Writes more to the task's files than they may hold, but not enough to harm a machine that lets it.
const FILL: &str = "for f in hosts hostname resolv.conf; do
    dd if=/dev/zero of=/etc/$f bs=64k count=64 conv=notrunc 2>&1; wc -c < /etc/$f; done";

#[test]
fn a_container_cannot_fill_the_hosts_run_directory_with_the_tasks_files() {
    let files = json!({"hosts": "127.0.0.1 localhost\n", "resolv_conf": "nameserver 10.0.0.2\n"});
    let mut task = Task::run_with(vec![shell("app", &format!("{FILL}; echo filled; sleep 1000"))], files);
    task.client().wait_log("filled");
    let output = task.client().logs.iter().map(|line| line.message.clone()).collect::<Vec<_>>();
    assert_eq!(output.iter().filter(|line| line.contains("No space left on device")).count(), 3, "{output:?}");
    let sizes: u64 = output.iter().filter_map(|line| line.parse::<u64>().ok()).sum();
    assert!((1 << 19..2 << 20).contains(&sizes), "{sizes} bytes in {output:?}");
    // What is seen from outside of the supervisor's mounts.
    assert_eq!(std::fs::read_dir(task.directory.join("files")).unwrap().count(), 0);
    task.kill_supervisor();
    drop(longshore_runtime::cleanup(&task.directory).unwrap());
    task.assert_nothing_left();
}

#[test]
fn the_tasks_files_are_read_only_where_the_root_is() {
    let files = json!({"hosts": "127.0.0.1 localhost\n", "resolv_conf": "nameserver 10.0.0.2\n"});
    let line = "until grep -q x /etc/hosts; do sleep 0.01; done;
        for f in hosts hostname resolv.conf; do echo x >> /etc/$f; done; cat /etc/hosts";
    let closed = with(shell("closed", line), json!({"readonly_rootfs": true}));
    // The other container of the task may still write.
    let open = with(shell("open", "echo x >> /etc/hosts && echo wrote"), json!({"essential": false}));
    let mut task = Task::run_with(vec![open, closed], files);
    task.client().wait_log("wrote");
    let (_, output) = task.output("closed");
    assert_eq!(output.matches("Read-only file system").count(), 3, "{output}");
    assert!(output.contains("localhost"), "{output}");
}

#[test]
fn open_files_get_fargates_default_or_what_the_machine_allows() {
    let (_, output) = Task::run(vec![shell("app", "ulimit -n; ulimit -Hn")]).output("app");
    let limits: Vec<u64> = output.lines().map(|line| line.parse().unwrap()).collect();
    assert!(limits[0] == limits[1] && limits[0] >= 1024 && limits[0] <= 65535, "{limits:?}");
}

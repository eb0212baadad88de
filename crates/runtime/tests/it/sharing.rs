//! What containers of a task share: processes, volumes, a disk of limited size.

use crate::harness::{Task, find, shell, with};
use longshore_runtime::protocol::{Command, ContainerStatus};
use serde_json::json;

#[test]
fn with_shared_pids_containers_see_and_signal_each_other() {
    let task = json!({"shared_pids": true});
    let server = shell("server", "trap 'exit 5' USR1; echo $$; while :; do sleep 0.02; done");
    let mut task = Task::run_with(vec![server, shell("other", "sleep 1000")], task);
    let pid = task.client().wait_log("").message;
    task.wait_status("other", ContainerStatus::Running);
    let listed = task.exec("other", &["ps", "-o", "pid,args"]).output;
    assert!(listed.contains("trap 'exit 5' USR1") && listed.contains("/pause"), "{listed}");
    let reached = task.exec("other", &["sh", "-c", "ls /proc/1/root/ /proc/1/fd/; cat /proc/1/environ"]).output;
    assert!(!reached.contains("etc") && !reached.contains("socket"), "the first process has nothing: {reached}");
    task.exec("other", &["kill", "-USR1", &pid]);
    let state = task.ended();
    assert_eq!(find(&state, "server").exit_code, Some(5));
    task.exit();
}

#[test]
fn the_shared_first_process_gives_nothing_to_a_debugger() {
    let app = with(
        shell(
            "app",
            "ls -a /proc/1/root/; ls /proc/1/root/proc /proc/1/root/etc; ls -l /proc/1/fd; readlink /proc/1/exe; touch /proc/1/root/x",
        ),
        json!({"capabilities_add": ["SYS_PTRACE"]}),
    );
    let (_, text) = Task::run_with(vec![app], json!({"shared_pids": true})).output("app");
    assert!(text.contains("pause") && text.contains("Read-only file system"), "{text}");
    for host in ["passwd", "socket:", "longshore-task", "self"] {
        assert!(!text.contains(host), "{host} in {text}");
    }
}

#[test]
fn a_shared_container_takes_its_processes_with_it() {
    let line = "sleep 1234 & sleep 0.2; exit 3";
    let app = with(shell("app", line), json!({"essential": false}));
    let mut task = Task::run_with(vec![app, shell("other", "sleep 1000")], json!({"shared_pids": true}));
    task.wait("app stopped", |state| find(state, "app").status == ContainerStatus::Stopped);
    let left = task.exec("other", &["ps", "-o", "args"]).output;
    assert!(!left.contains("sleep 1234"), "{left}");
    task.send(&Command::Kill);
    task.ended();
    task.exit();
}

#[test]
fn a_volume_is_made_seeded_from_the_image_and_shared() {
    let scratch = tempfile::tempdir().unwrap();
    let volume = |readonly: bool, seed: bool| {
        json!({"mounts": [{"source": scratch.path().join("v"), "destination": "/home/app", "readonly": readonly,
                           "volume": true, "seed": seed}]})
    };
    // The image has a directory /home/app, in which the first container finds a file once it is seeded.
    let writer =
        with(shell("writer", "stat -c %a /home/app; echo shared > /home/app/file; sleep 1000"), volume(false, true));
    let reader = with(shell("reader", "cat /home/app/file; touch /home/app/x || echo read-only"), volume(true, false));
    let reader = with(reader, json!({"depends_on": [{"name": "writer", "condition": "HEALTHY"}]}));
    let writer = with(
        writer,
        json!({"health_check": {"command": ["CMD", "grep", "shared", "/home/app/file"], "interval_ms": 50}, "stop_timeout_ms": 50}),
    );
    let (_, text) = Task::run(vec![writer, reader]).output("reader");
    assert!(text.contains("shared") && text.contains("read-only"), "{text}");
    assert_eq!(std::fs::read_to_string(scratch.path().join("v/file")).unwrap(), "shared\n");
}

#[test]
fn a_disk_of_a_size_is_a_limit() {
    if !std::path::Path::new("/dev/loop-control").exists() {
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (image, mount_at) = (scratch.path().join("disk.ext4"), scratch.path().join("disk"));
    std::fs::create_dir(&mount_at).unwrap();
    std::fs::File::create(&image).unwrap().set_len(16 << 20).unwrap();
    let made = std::process::Command::new("mkfs.ext4").args(["-q", "-F", "-O", "^has_journal"]).arg(&image).status();
    assert!(made.unwrap().success());
    let app = with(
        shell(
            "app",
            "stat -c %a /; dd if=/dev/zero of=/big bs=1M count=64; rm /big; dd if=/dev/zero of=/data/big bs=1M count=64",
        ),
        json!({"upper": mount_at.join("layers/app/upper"), "work": mount_at.join("layers/app/work"),
               "mounts": [{"source": mount_at.join("volumes/v"), "destination": "/data", "volume": true}]}),
    );
    let disk = json!({"disk": {"image": image, "mount_at": mount_at}});
    let (_, text) = Task::run_with(vec![app], disk).output("app");
    assert_eq!(text.matches("No space left on device").count(), 2, "{text}");
    assert!(text.starts_with("755"), "the root's mode is the image's: {text}");
    assert!(std::fs::read_dir(&mount_at).unwrap().next().is_none(), "the mount was the task's own");
}

#[test]
fn standard_input_is_open_only_when_asked() {
    let line = "if read -t 1 line; then echo got; else echo $?; fi; ls -l /proc/self/fd/0";
    let (_, closed) = Task::run(vec![shell("app", line)]).output("app");
    assert!(closed.contains("/dev/null"), "{closed}");
    let (_, open) = Task::run(vec![with(shell("app", line), json!({"stdin_open": true}))]).output("app");
    assert!(open.contains("pipe:"), "{open}");
}

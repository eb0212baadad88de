//! User namespaces: root of a container is nobody on the host, and sees no difference.

use crate::harness::{Task, container, find, shell, with};
use longshore_runtime::protocol::{Command, ContainerStatus, TaskPhase};
use serde_json::{Value, json};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

const HOST: u32 = 1 << 30;

/// Not every kernel can map the ids of every file system: tmpfs, where temporary files may be, since 6.3.
fn possible() -> bool {
    let scratch = tempfile::tempdir().unwrap();
    let supported = longshore_runtime::users::supported(scratch.path());
    supported.inspect_err(|error| eprintln!("no id-mapped mounts here: {error}")).is_ok()
}

/// Runs containers with users of their own.
fn run(containers: Vec<Value>, more: Value) -> Task {
    let mut task = Task::pooled();
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(task.scratch(), open).unwrap();
    let users = json!({"user_namespace": {"host_id": HOST, "size": 65536}});
    task.write_spec(containers, with(users, more));
    task.send(&Command::Spec { dir: task.directory.clone() });
    task.wait("prepared", |state| state.task.phase != TaskPhase::Waiting);
    task.send(&Command::Go);
    task
}

#[test]
fn root_inside_is_nobody_outside() {
    if !possible() {
        return;
    }
    let mut task = run(
        vec![shell(
            "app",
            "id -u; touch /made /tmp/made; stat -c '%u %n' /made /bin/busybox /; cat /proc/self/uid_map; echo on; sleep 1000",
        )],
        json!({}),
    );
    task.client().wait_log("on");
    let state = task.wait("app runs", |state| find(state, "app").status == ContainerStatus::Running);
    let pid = find(&state, "app").pid.unwrap();
    assert_eq!(std::fs::metadata(format!("/proc/{pid}")).unwrap().uid(), HOST, "its process on the host");
    let upper = task.scratch().join("layers/app/upper");
    assert_eq!(std::fs::metadata(upper.join("made")).unwrap().uid(), HOST, "its file on the host");
    assert_eq!(
        std::fs::metadata(task.scratch().join("image/bin/busybox")).unwrap().uid(),
        0,
        "the image stays as it is"
    );
    let listed = task.exec("app", &["sh", "-c", "id -u; echo x > /exec-made; stat -c %u /exec-made"]);
    assert_eq!((listed.output.as_str(), listed.exit_code), ("0\n0\n", Some(0)));
    task.send(&Command::Kill);
    let (_, text) = task.output("app");
    for expected in ["0\n0 /made\n0 /bin/busybox\n0 /", "0 1073741824      65536"] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
}

#[test]
fn users_files_and_standard_output_are_as_without() {
    if !possible() {
        return;
    }
    let volume = tempfile::tempdir().unwrap();
    let app = with(
        shell("app", "id -u; echo out > /dev/stdout; echo err > /dev/stderr; touch /home/app/x /data/x && echo mine; pwd; touch y && echo cwd;
            cat /etc/hosts; ls /sys/class/net; cat /sys/fs/cgroup/memory*/memory.limit_in_bytes /sys/fs/cgroup/memory.max;
            head -c 3 /dev/urandom | wc -c; echo x > /proc/sys/kernel/hostname || echo refused; ulimit -n"),
        json!({"user": "0", "cwd": "/srv/work", "memory_bytes": 48 << 20, "shm_bytes": 1 << 20, "init": true,
               "mounts": [{"source": volume.path().join("v"), "destination": "/data", "volume": true}],
               "tmpfs": [{"path": "/scratch", "size_bytes": 65536}]}),
    );
    let (container, text) = run(vec![app], json!({"hosts": "10.0.0.9 db\n"})).output("app");
    for expected in
        ["out", "err", "mine", "/srv/work", "cwd", "10.0.0.9 db", "lo", &(48 << 20).to_string(), "3", "refused"]
    {
        assert!(text.lines().any(|line| line == expected), "{expected} in {text}");
    }
    assert_eq!(container.exit_code, Some(0));
    assert_eq!(std::fs::metadata(volume.path().join("v/x")).unwrap().uid(), HOST);
    let user = with(
        shell("app", "id -u; echo out > /dev/stdout; touch /x || echo denied; touch /tmp/x && echo tmp"),
        json!({"user": "app"}),
    );
    let (_, text) = run(vec![user], json!({})).output("app");
    for expected in ["1000", "out", "denied", "tmp"] {
        assert!(text.lines().any(|line| line == expected), "{expected} in {text}");
    }
}

#[test]
fn the_tasks_files_belong_to_the_containers_root_and_have_their_bound() {
    if !possible() {
        return;
    }
    let line =
        "dd if=/dev/zero of=/etc/hosts bs=64k count=64; wc -c < /etc/hosts; echo x > /etc/hosts && cat /etc/hosts";
    let (_, text) = run(vec![shell("app", line)], json!({"hosts": "10.0.0.9 db\n"})).output("app");
    assert!(text.contains("No space left on device") && text.ends_with("\nx"), "{text}");
    let closed = with(shell("app", "echo x > /etc/hosts; cat /etc/hosts"), json!({"readonly_rootfs": true}));
    let (_, text) = run(vec![closed], json!({"hosts": "10.0.0.9 db\n"})).output("app");
    assert!(text.contains("Read-only file system") && text.contains("10.0.0.9 db"), "{text}");
}

#[test]
fn the_confinement_is_the_same() {
    if !possible() {
        return;
    }
    let line = "cat /proc/self/status; unshare -U true || echo no-unshare; mount -t tmpfs x /tmp || echo no-mount;
        wc -c < /proc/keys; mknod /tmp/kmsg c 1 11 || echo no-mknod; chown 70000 /tmp || echo unmapped";
    let (_, text) = run(vec![shell("app", line)], json!({})).output("app");
    for expected in [
        "Seccomp:\t2",
        "CapEff:\t00000000a80425fb",
        "CapBnd:\t00000000a80425fb",
        "no-unshare",
        "no-mount",
        "no-mknod",
        "unmapped",
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
}

#[test]
fn processes_are_shared_among_mapped_users_too() {
    if !possible() {
        return;
    }
    let mut task =
        run(vec![container("a", &["sleep", "4321"]), shell("b", "sleep 1000")], json!({"shared_pids": true}));
    task.wait_status("a", ContainerStatus::Running);
    task.wait_status("b", ContainerStatus::Running);
    let listed = task.exec("b", &["ps", "-o", "args"]).output;
    assert!(listed.contains("sleep 4321") && listed.contains("/pause"), "{listed}");
    task.send(&Command::Kill);
    task.ended();
    task.exit();
}

#[test]
fn a_directory_that_mapped_users_cannot_enter_is_named() {
    let mut task = Task::pooled();
    std::fs::set_permissions(task.scratch(), std::fs::Permissions::from_mode(0o700)).unwrap();
    task.write_spec(vec![shell("app", "true")], json!({"user_namespace": {"host_id": HOST, "size": 65536}}));
    task.send(&Command::Spec { dir: task.directory.clone() });
    let state = task.ended();
    let told = format!("{:?}", state.task.cause);
    assert!(
        told.contains("ResourceInitializationError: user namespace: ") && told.contains("cannot be entered"),
        "{told}"
    );
    task.exit();
}

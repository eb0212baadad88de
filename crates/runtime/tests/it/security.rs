use crate::harness::{Task, container, shell, with};
use longshore_runtime::protocol::ContainerStatus;
use serde_json::{Value, json};

fn output(app: Value) -> String {
    Task::run(vec![app]).output("app").1
}

#[test]
fn the_default_confinement_is_dockers() {
    let status = output(container("app", &["cat", "/proc/self/status"]));
    for expected in [
        "Seccomp:\t2",
        "NoNewPrivs:\t0",
        "CapEff:\t00000000a80425fb",
        "CapPrm:\t00000000a80425fb",
        "CapBnd:\t00000000a80425fb",
        "CapInh:\t0000000000000000",
        "CapAmb:\t0000000000000000",
    ] {
        assert!(status.contains(expected), "{expected} in {status}");
    }
    // Handed-down signal state would surprise programs.
    for expected in ["SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000"] {
        assert!(status.contains(expected), "{expected} in {status}");
    }
}

#[test]
fn capabilities_follow_the_spec_and_the_user() {
    let line = "grep Cap /proc/self/status";
    let dropped =
        output(with(shell("app", line), json!({"capabilities_drop": ["ALL"], "capabilities_add": ["NET_RAW"]})));
    assert!(
        dropped.contains("CapEff:\t0000000000002000") && dropped.contains("CapBnd:\t0000000000002000"),
        "{dropped}"
    );
    let user = output(with(shell("app", line), json!({"user": "1000"})));
    assert!(user.contains("CapEff:\t0000000000000000") && user.contains("CapBnd:\t00000000a80425fb"), "{user}");
    let added = output(with(shell("app", line), json!({"capabilities_add": ["SYS_PTRACE"]})));
    assert!(added.contains("CapEff:\t00000000a80c25fb"), "{added}");
}

#[test]
fn no_new_privileges_is_set_when_asked() {
    let status = output(with(container("app", &["cat", "/proc/self/status"]), json!({"no_new_privileges": true})));
    assert!(status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2"), "{status}");
}

#[test]
fn new_namespaces_and_mounts_are_denied() {
    let text = output(shell("app", "unshare -U true || echo no-unshare; mount -t tmpfs x /tmp || echo no-mount"));
    assert!(text.contains("no-unshare") && text.contains("no-mount"), "{text}");
}

#[test]
fn paths_of_the_kernel_are_masked_or_read_only() {
    let text = output(shell(
        "app",
        "test ! -e /proc/kcore || wc -c < /proc/kcore; echo 0; wc -c < /proc/keys; ls /sys/firmware | wc -l;
        touch /sys/x; echo 1 > /proc/sys/kernel/panic || echo sys-ro; echo b > /proc/sysrq-trigger || echo sysrq-ro",
    ));
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[..3].iter().all(|line| *line == "0"), "{text}");
    for expected in ["sys-ro", "sysrq-ro", "touch: /sys/x: Read-only file system"] {
        assert!(lines.contains(&expected), "{expected} in {text}");
    }
}

#[test]
fn root_in_the_container_cannot_raise_its_limits() {
    let app = with(
        shell("app", "ls /sys/fs/cgroup; cat /sys/fs/cgroup/memory*/memory.limit_in_bytes /sys/fs/cgroup/memory.max;
               for f in /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max; do
                 echo 99999999999 > $f && echo RAISED; done; mkdir /sys/fs/cgroup/x && echo MADE; ls /sys/fs/cgroup/systemd"),
        json!({"memory_bytes": 48 << 20}),
    );
    let text = output(app);
    assert!(text.contains(&(48 << 20).to_string()), "it can read its own limit: {text}");
    assert!(!text.contains("RAISED") && !text.contains("MADE") && !text.contains("release_agent"), "{text}");
}

#[test]
fn a_read_only_root_is_read_only_and_its_mounts_are_not() {
    let app = with(
        shell("app", "touch /x || echo ro; touch /scratch/x && echo rw; touch /dev/shm/x && echo shm"),
        json!({"readonly_rootfs": true, "tmpfs": [{"path": "/scratch", "size_bytes": 65536}]}),
    );
    let text = output(app);
    assert!(["ro", "rw", "shm"].iter().all(|word| text.lines().any(|line| line == *word)), "{text}");
}

#[test]
fn nothing_of_the_host_is_to_be_seen() {
    let text = output(shell("app", "ps -o pid; cat /proc/1/environ; cat /proc/self/mountinfo; ls -l /proc/self/fd"));
    let host: String = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let processes = text.lines().take_while(|line| !line.contains('=')).count();
    assert!(processes <= 3, "only its own processes: {text}");
    assert!(!text.contains("/proc/self/fd/3 ") && !text.contains("socket:"), "no descriptors of ours: {text}");
    // Bind-mounted files show their path on the host's file system, as Docker's do; no other mount may.
    for line in text.lines().filter(|line| line.contains(" - ")) {
        let point = line.split(' ').nth(4).unwrap();
        let fine = ["/", "/proc", "/dev", "/sys", "/etc/hostname"].contains(&point)
            || ["/dev/", "/proc/", "/sys/"].iter().any(|prefix| point.starts_with(prefix));
        assert!(fine, "{line}");
    }
    drop(host);
}

#[test]
fn devices_are_the_usual_ones() {
    let text = output(shell("app", "ls /dev; cat /dev/null; head -c 4 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c;
        mknod /tmp/kmsg c 1 11; cat /tmp/kmsg && echo LEAK; mknod /tmp/disk b 254 0; head -c 1 /tmp/disk && echo LEAK; true"));
    for name in [
        "console", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty",
        "urandom", "zero",
    ] {
        let expected = name == "console" || text.lines().any(|line| line == name);
        assert!(expected, "{name} in {text}");
    }
    assert!(!text.contains("LEAK"), "{text}");
}

#[test]
fn each_container_has_its_own_processes_but_shares_the_network() {
    let server = shell("server", "ip addr show lo | grep -c 'inet 127.0.0.1'; sleep 1000");
    let mut task = Task::run(vec![server, shell("other", "ps -o pid | wc -l; sleep 1000")]);
    task.client().wait_log("1");
    task.wait_status("other", ContainerStatus::Running);
    let namespaces = |task: &mut Task, name: &str| task.exec(name, &["ls", "-l", "/proc/self/ns"]).output;
    let of =
        |text: &str, kind: &str| text.split(&format!("{kind}:[")).nth(1).unwrap().split(']').next().unwrap().to_owned();
    let (a, b) = (namespaces(&mut task, "server"), namespaces(&mut task, "other"));
    assert_eq!(of(&a, "net"), of(&b, "net"));
    for kind in ["pid", "mnt", "ipc", "uts"] {
        assert_ne!(of(&a, kind), of(&b, kind), "{kind}");
    }
    let host = std::fs::read_link("/proc/self/ns/net").unwrap();
    assert!(!host.to_str().unwrap().contains(&of(&a, "net")));
    task.exit();
}

#[test]
fn in_host_mode_the_network_is_the_hosts() {
    let app = shell("app", "ls -l /proc/self/ns/net");
    let (_, text) = Task::run_with(vec![app], json!({"network": "host"})).output("app");
    let host = std::fs::read_link("/proc/self/ns/net").unwrap();
    assert!(text.contains(host.to_str().unwrap()), "{text}");
}

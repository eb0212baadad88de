//! Ways out of containers that were found in runc, containerd and their like, tried here.

use crate::harness::{Task, container, find, shell, with};
use longshore_runtime::protocol::{Command, ContainerStatus, StopCause, TaskPhase};
use serde_json::{Value, json};
use std::os::unix::fs::symlink;
use std::path::Path;

/// Runs a container of an image that was tampered with.
fn on_image(change: impl FnOnce(&Path), app: Value) -> Task {
    let mut task = Task::pooled();
    change(&task.scratch().join("image"));
    task.write_spec(vec![app], json!({}));
    task.send(&Command::Spec { dir: task.directory.clone() });
    task.wait("prepared", |state| state.task.phase != TaskPhase::Waiting);
    task.send(&Command::Go);
    task
}

/// CVE-2024-21626: a working directory that is a descriptor which the runtime forgot, and `..` from there.
#[test]
fn no_descriptor_of_ours_is_a_working_directory() {
    let host = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(host.path(), "of the host").unwrap();
    let target = host.path().strip_prefix("/").unwrap().display().to_string();
    let line = format!(
        "for up in . .. ../.. ../../.. ../../../.. ../../../../.. ../../../../../..; do cat $up/{target}; done"
    );
    for descriptor in 3..16 {
        let app = with(shell("app", &line), json!({"cwd": format!("/proc/self/fd/{descriptor}")}));
        let (_, text) = Task::run(vec![app]).output("app");
        assert!(!text.contains("of the host"), "descriptor {descriptor}: {text}");
    }
}

/// The other half of it: a program whose path goes through such a descriptor, at the start and in an exec.
#[test]
fn no_descriptor_of_ours_leads_to_a_program() {
    let host = tempfile::tempdir().unwrap();
    let program = host.path().join("echo");
    std::fs::copy("/bin/busybox", &program).unwrap();
    let through = |descriptor: u32| format!("/proc/self/fd/{descriptor}{}{}", "/..".repeat(12), program.display());
    let mut beside = Task::run(vec![shell("app", "sleep 1000")]);
    beside.wait_status("app", ContainerStatus::Running);
    for descriptor in 3..24 {
        let (_, text) = Task::run(vec![container("app", &[&through(descriptor), "of the host"])]).output("app");
        assert!(!text.contains("of the host"), "descriptor {descriptor}: {text}");
        let text = beside.exec("app", &[&through(descriptor), "of the host"]).output;
        assert!(!text.contains("of the host"), "exec, descriptor {descriptor}: {text}");
    }
    beside.send(&Command::Kill);
    beside.ended();
    beside.exit();
}

/// The same for a process beside the first.
#[test]
fn an_exec_has_no_descriptors_but_its_own() {
    let mut task = Task::run(vec![shell("app", "sleep 1000")]);
    task.wait_status("app", ContainerStatus::Running);
    let text = task.exec("app", &["sh", "-c", "ls -l /proc/$$/fd; ls -l /proc/self/cwd"]).output;
    for line in text.lines().filter(|line| line.contains("->")) {
        let target = line.rsplit("-> ").next().unwrap();
        let fine =
            ["/dev/null", "pipe:", "/"].iter().any(|start| target.starts_with(start)) && !target.contains("longshore");
        let descriptor = line.split(" -> ").next().unwrap().rsplit(' ').next().unwrap();
        assert!(fine && ["0", "1", "2", "/proc/self/cwd"].contains(&descriptor), "{line} in {text}");
    }
    task.send(&Command::Kill);
    task.ended();
    task.exit();
}

/// CVE-2025-31133 and CVE-2025-52565: what the image has at `/dev/null`, `/dev/console`, `/dev/pts` is a link to elsewhere.
#[test]
fn links_in_the_images_dev_are_not_followed() {
    let tamper = |image: &Path| {
        std::fs::write(image.join("etc/target"), "untouched").unwrap();
        for name in ["null", "console", "ptmx", "pts", "shm", "mqueue", "zero"] {
            symlink("/etc/target", image.join("dev").join(name)).unwrap();
        }
        symlink("/etc", image.join("dev/fd")).unwrap();
    };
    for terminal in [false, true] {
        let line = "cat /etc/target; echo; stat -c '%n %t:%T' /proc/keys /proc/timer_list /dev/null /dev/zero; echo x > /proc/sys/kernel/core_pattern || echo refused";
        let before = std::fs::read("/proc/sys/kernel/core_pattern").unwrap();
        let (_, text) = on_image(tamper, with(shell("app", line), json!({"terminal": terminal}))).output("app");
        for expected in ["untouched", "/proc/keys 1:3", "/dev/null 1:3", "/dev/zero 1:5", "refused"] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
        assert_eq!(std::fs::read("/proc/sys/kernel/core_pattern").unwrap(), before);
    }
}

/// CVE-2019-19921, CVE-2023-27561, CVE-2025-52881: a volume over `/proc` redirects what the runtime writes there.
#[test]
fn nothing_is_mounted_over_the_kernels_places() {
    let volume = tempfile::tempdir().unwrap();
    let tamper = |image: &Path| {
        symlink("/proc", image.join("innocent")).unwrap();
        symlink("innocent/self", image.join("deeper")).unwrap();
    };
    for destination in ["/innocent", "/innocent/sys/kernel", "/deeper/attr"] {
        let mount = json!({"mounts": [{"source": volume.path(), "destination": destination}]});
        let mut task = on_image(tamper, with(shell("app", "echo ran"), mount));
        let state = task.ended();
        let Some(StopCause::FailedToStart { reason, .. }) = &state.task.cause else { panic!("{:?}", state.task) };
        assert!(
            reason.starts_with("CannotCreateContainerError: ") && reason.contains("place of the kernel"),
            "{reason}"
        );
        assert_eq!(find(&state, "app").started_at_ms, None);
        task.exit();
    }
    assert!(std::fs::read_dir(volume.path()).unwrap().next().is_none());
}

/// The same by a container that puts a link in the way of its next run's mounts.
#[test]
fn nothing_is_mounted_over_the_kernels_places_at_a_restart() {
    let volume = tempfile::tempdir().unwrap();
    let app = with(
        shell(
            "app",
            "if test -e /ran; then echo again; exit 0; fi; touch /ran; mv /outer /moved; ln -s /proc /outer; exit 1",
        ),
        json!({"mounts": [{"source": volume.path(), "destination": "/outer/self"}],
               "restart": {"ignored_exit_codes": [0], "attempt_period_ms": 0}}),
    );
    // The image has no such directories: those that are made for the mount can be moved.
    let mut task = Task::run(vec![app]);
    let state = task.ended();
    let Some(StopCause::FailedToStart { reason, .. }) = &state.task.cause else { panic!("{:?}", state.task) };
    assert!(reason.starts_with("CannotCreateContainerError: ") && reason.contains("place of the kernel"), "{reason}");
    task.exit();
}

/// CVE-2019-5736: an entry point that is `/proc/self/exe` runs the runtime's own program, which is then written to.
#[test]
fn the_runtimes_program_cannot_be_written_from_inside() {
    let tamper = |image: &Path| symlink("/proc/self/exe", image.join("bin/evil")).unwrap();
    let line = "trap 'exit 0' TERM; while :; do for p in /proc/[0-9]*; do ( exec 3<>$p/exe ) 2> /dev/null && echo OPENED $p; done; done";
    let mut task = on_image(tamper, shell("app", line));
    task.wait_status("app", ContainerStatus::Running);
    for _ in 0..10 {
        task.exec("app", &["/bin/evil", "task"]);
    }
    task.send(&Command::Stop { reason: String::new() });
    let (_, text) = task.output("app");
    assert!(!text.contains("OPENED"), "{text}");
    let first = on_image(
        |image| symlink("/proc/self/exe", image.join("bin/evil")).unwrap(),
        container("app", &["/bin/evil", "task"]),
    );
    let (ended, _) = first.output("app");
    assert_ne!(ended.exit_code, Some(0), "it is no way to run ours");
}

/// Links that lead up and out of the image stay inside.
#[test]
fn a_mount_below_a_link_out_of_the_image_stays_inside() {
    let volume = tempfile::tempdir().unwrap();
    let host = tempfile::tempdir().unwrap();
    let tamper = |image: &Path| symlink(host.path(), image.join("out")).unwrap();
    let mount = json!({"mounts": [{"source": volume.path(), "destination": "/out/made/here"}]});
    let (ended, text) = on_image(tamper, with(shell("app", "touch /out/made/here/file"), mount)).output("app");
    assert_eq!(ended.exit_code, Some(0), "{text}");
    assert!(volume.path().join("file").exists(), "the place was made inside");
    assert!(std::fs::read_dir(host.path()).unwrap().next().is_none(), "nothing is made on the host");
}

/// Files of the task's own find their places through the image's links, but not into the kernel's.
#[test]
fn links_to_nothing_yet_are_no_obstacle_and_links_to_the_kernel_are() {
    let stub = |image: &Path| {
        std::fs::create_dir_all(image.join("etc")).unwrap();
        let _ = std::fs::remove_file(image.join("etc/hostname"));
        symlink("../run/made/later", image.join("etc/hostname")).unwrap();
    };
    let tmpfs = json!({"tmpfs": [{"path": "/run", "size_bytes": 1 << 20, "options": []}]});
    let (ended, text) = on_image(stub, with(shell("app", "cat /etc/hostname /run/made/later"), tmpfs)).output("app");
    assert_eq!(ended.exit_code, Some(0), "{text}");

    let astray = |image: &Path| {
        std::fs::create_dir_all(image.join("etc")).unwrap();
        let _ = std::fs::remove_file(image.join("etc/hostname"));
        symlink("/proc/self/attr/current", image.join("etc/hostname")).unwrap();
    };
    let mut task = on_image(astray, shell("app", "echo ran"));
    let state = task.ended();
    let Some(StopCause::FailedToStart { reason, .. }) = &state.task.cause else { panic!("{:?}", state.task) };
    assert!(reason.contains("place of the kernel"), "{reason}");
    task.exit();
}

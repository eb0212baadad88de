//! `cargo xtask guest`: the runtime's own tests on another kernel: Debian's, with cgroup version 2, in an emulated machine.
//!
//! The first file system of a kernel cannot be pivoted away from, as containers need, so that the machine copies itself
//! to a tmpfs before it runs the tests. Emulation is ten times slower than the machine itself and needs no permission.

use crate::machine::{self, Need};
use crate::{shell, terminal};
use anyhow::{Context, bail, ensure};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[derive(clap::Args)]
pub struct Args {
    /// Only the tests whose names contain one of these
    filters: Vec<String>,
}

const QEMU: Need = Need { program: "qemu-system-x86_64", package: "qemu-system-x86" };
const CPIO: Need = Need { program: "cpio", package: "cpio" };
const FORMAT: Need = Need { program: "mkfs.ext4", package: "e2fsprogs" };

/// What stands for the programs of a system; the tests bring their own for containers.
const APPLETS: &[&str] = &["sh", "mount", "insmod", "poweroff", "cat", "mkdir", "cp", "ip", "switch_root"];

/// Modules that Debian's kernel does not have built in, in the order that they need each other.
const MODULES: &[&str] = &["overlay", "loop", "crc16", "mbcache", "jbd2", "crc32c_generic", "libcrc32c", "ext4"];

const FIRST: &str = "#!/bin/sh
mount -t tmpfs -o size=80% root /tmp
for f in bin lib lib64 usr etc modules it longshore-task second; do cp -a /$f /tmp/; done
mkdir -p /tmp/proc /tmp/sys /tmp/dev /tmp/tmp
exec switch_root /tmp /second
";

const SECOND: &str = "#!/bin/sh
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mkdir -p /dev/pts /dev/shm; mount -t devpts devpts /dev/pts; mount -t tmpfs -o size=60% tmp /tmp
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for m in $(cat /modules/order); do insmod /modules/$m.ko; done
ip link set lo up
cat /proc/version /sys/fs/cgroup/cgroup.controllers
LONGSHORE_TASK=/longshore-task LONGSHORE_TEST_PATIENCE_SECONDS=300 PATH=/bin:/usr/sbin /it --test-threads=1 $(cat /etc/filters) 2>&1
echo guest-ended-$?
poweroff -f
";

pub fn run(args: Args) -> anyhow::Result<()> {
    terminal::step("What the guest is made of");
    machine::install(&[QEMU, CPIO, FORMAT, machine::BUSYBOX])?;
    let directory = longshore_tests::root().join("target/guest");
    std::fs::create_dir_all(&directory)?;
    let kernel = kernel(&directory)?;
    let (tests, task) = programs()?;
    let initrd = initrd(&directory, &kernel, &tests, &task, &args.filters)?;
    terminal::step("The runtime's tests on Debian's kernel with cgroup version 2");
    boot(&kernel, &initrd)
}

/// Debian's kernel for virtual machines, unpacked.
fn kernel(directory: &Path) -> anyhow::Result<PathBuf> {
    let unpacked = directory.join("kernel");
    if !unpacked.join("boot").exists() {
        let depends = shell::read(Command::new("apt-cache").args(["depends", "linux-image-cloud-amd64"]))?;
        let mut names = depends.split_whitespace().skip(1);
        let package = names.find(|name| name.starts_with("linux-image-")).context("a kernel package")?;
        shell::run(Command::new("apt-get").args(["-qq", "download", package]).current_dir(directory))?;
        let file = std::fs::read_dir(directory)?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|e| e == "deb"))
            .context("the downloaded package")?;
        shell::run(Command::new("dpkg").arg("-x").arg(file).arg(&unpacked))?;
    }
    Ok(unpacked)
}

/// The test program and the supervisor.
fn programs() -> anyhow::Result<(PathBuf, PathBuf)> {
    let mut cargo = shell::cargo();
    cargo.args(["test", "--package", "longshore-runtime", "--no-run", "--message-format", "json-render-diagnostics"]);
    let messages = shell::read(&mut cargo)?;
    let executable = |kind: &str, name: &str| {
        messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()).find_map(|message| {
            let fits = message["target"]["name"] == name && message["target"]["kind"][0] == kind;
            message["executable"].as_str().filter(|_| fits).map(PathBuf::from)
        })
    };
    Ok((
        executable("test", "it").context("the test program")?,
        executable("bin", "longshore-task").context("the supervisor")?,
    ))
}

fn initrd(directory: &Path, kernel: &Path, tests: &Path, task: &Path, filters: &[String]) -> anyhow::Result<PathBuf> {
    let root = directory.join("root");
    let _ = std::fs::remove_dir_all(&root);
    for path in ["bin", "etc", "tmp", "proc", "sys", "dev", "modules", "lib", "lib64", "usr/sbin"] {
        std::fs::create_dir_all(root.join(path))?;
    }
    std::fs::copy(shell::find("busybox").context("busybox")?, root.join("bin/busybox"))?;
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    let mkfs = shell::find("mkfs.ext4").context("mkfs.ext4")?;
    for (from, to) in [(tests, "it"), (task, "longshore-task"), (&mkfs, "usr/sbin/mkfs.ext4")] {
        std::fs::copy(from, root.join(to))?;
        // Debug information is most of it.
        shell::succeeds(Command::new("strip").arg(root.join(to)));
        for library in
            shell::read(Command::new("ldd").arg(from))?.split_whitespace().filter(|word| word.starts_with('/'))
        {
            let to = root.join(library.trim_start_matches('/'));
            std::fs::create_dir_all(to.parent().context("a directory")?)?;
            std::fs::copy(library, to)?;
        }
    }
    let mut order = String::new();
    for module in MODULES {
        let found = shell::read(Command::new("find").arg(kernel.join("lib")).args(["-name", &format!("{module}.ko")]))?;
        if let Some(path) = found.lines().next() {
            std::fs::copy(path, root.join(format!("modules/{module}.ko")))?;
            order.push_str(module);
            order.push('\n');
        }
    }
    for (name, text) in
        [("init", FIRST), ("second", SECOND), ("modules/order", &order), ("etc/filters", &filters.join(" "))]
    {
        std::fs::write(root.join(name), text)?;
        std::fs::set_permissions(root.join(name), std::fs::Permissions::from_mode(0o755))?;
    }
    let initrd = directory.join("initrd");
    let names = shell::read(Command::new("find").arg(".").current_dir(&root))?;
    let mut cpio = Command::new("cpio")
        .args(["--quiet", "-o", "-H", "newc"])
        .current_dir(&root)
        .stdin(Stdio::piped())
        .stdout(std::fs::File::create(&initrd)?)
        .spawn()
        .context("start cpio")?;
    cpio.stdin.take().context("its input")?.write_all(names.as_bytes())?;
    ensure!(cpio.wait()?.success(), "cpio failed");
    Ok(initrd)
}

fn boot(kernel: &Path, initrd: &Path) -> anyhow::Result<()> {
    let image = std::fs::read_dir(kernel.join("boot"))?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz")))
        .context("a kernel image")?;
    let mut qemu = Command::new("qemu-system-x86_64")
        .args([
            "-M",
            "q35",
            "-cpu",
            "max",
            "-accel",
            "tcg,thread=multi",
            "-smp",
            "2",
            "-m",
            "2048",
            "-nographic",
            "-no-reboot",
        ])
        .arg("-kernel")
        .arg(image)
        .arg("-initrd")
        .arg(initrd)
        .args(["-append", "console=ttyS0 quiet panic=-1"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("start qemu-system-x86_64")?;
    let output = BufReader::new(qemu.stdout.take().context("its output")?);
    let mut ended = None;
    for line in output.lines() {
        let line = line?;
        println!("{line}");
        ended = line.trim().strip_prefix("guest-ended-").map(str::to_owned).or(ended);
    }
    qemu.wait()?;
    match ended.as_deref() {
        Some("0") => Ok(()),
        Some(code) => bail!("tests failed in the guest (exit code {code})"),
        None => bail!("the guest did not come to its end"),
    }
}

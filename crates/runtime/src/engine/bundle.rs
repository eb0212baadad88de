//! An OCI bundle: the directory with `config.json` from which a runtime makes a container. Namespaces, devices, mounts,
//! masked and read-only paths are those of Docker.

use crate::capability::Capabilities;
use crate::cgroup::{Hierarchies, Limits};
use crate::rootfs::resolve::Root;
use crate::rootfs::user::User;
use crate::spec::{ContainerSpec, TaskSpec, Tmpfs, Ulimit, is_kernel_path};
use crate::{seccomp, sys};
use serde_json::{Value, json};
use std::io;
use std::path::{Path, PathBuf};

/// One container, as the engine sees it.
#[derive(Debug, Clone)]
pub struct Bundle {
    pub id: String,
    /// Holds `config.json` and `rootfs`.
    pub directory: PathBuf,
    /// Path of the container's cgroup below each hierarchy's root.
    pub cgroup: String,
    pub capabilities: Capabilities,
    pub terminal: bool,
    /// Process 1 is our small init.
    pub init: bool,
    /// Process 1 of the PID namespace that the task's containers share.
    pub pause: Option<sys::Pid>,
    /// Path of the user namespace, when it is not the host's.
    pub users: Option<String>,
    /// The host's number of the containers' root, and of the user that the container runs as.
    pub owner: u32,
    pub process_owner: u32,
}

impl Bundle {
    pub(super) const CONSOLE_SOCKET: &str = "console.sock";

    pub fn rootfs(&self) -> PathBuf {
        self.directory.join("rootfs")
    }

    /// Where a runtime sends the terminal of a container that has one.
    pub fn console_socket(&self) -> PathBuf {
        self.directory.join(Self::CONSOLE_SOCKET)
    }

    fn config(&self) -> PathBuf {
        self.directory.join("config.json")
    }

    fn read_config(&self) -> io::Result<Value> {
        Ok(serde_json::from_slice(&std::fs::read(self.config())?)?)
    }

    /// Checks, before the container runs again, that its mounts still lead to where they led at first: meanwhile it may have
    /// put links in the way.
    pub fn check_places(&self, root: &Root) -> io::Result<()> {
        for mount in self.read_config()?["mounts"].as_array().into_iter().flatten() {
            let path = Path::new(mount["destination"].as_str().unwrap_or_default());
            // Those of the kernel's own, and those within them, lead through nothing of the container's.
            if !is_kernel_path(path) && !path.starts_with("/dev") {
                refuse_kernel(path, &root.real(path)?)?;
            }
        }
        Ok(())
    }

    /// The `process` of the container with another command and no terminal, for an exec.
    pub fn process_for(&self, argv: &[String]) -> io::Result<Value> {
        let mut process = self.read_config()?["process"].take();
        process["args"] = json!(argv);
        process["terminal"] = json!(false);
        Ok(process)
    }
}

/// What differs between the two kinds of runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// Cgroups, the view of them, the seccomp filter and the last capability drop are ours.
    Embedded,
    /// All of it is in the configuration.
    External,
}

/// Name of the small init inside a container.
pub const INIT_PATH: &str = "/dev/init";

/// Mount point, in the supervisor's directory, of the small file system with the files that containers of the task see.
pub const FILES: &str = "files";

/// Everything `config.json` depends on.
#[derive(Debug)]
pub struct Plan<'a> {
    pub task: &'a TaskSpec,
    pub container: &'a ContainerSpec,
    pub bundle: &'a Bundle,
    pub user: &'a User,
    /// Where `hosts`, `hostname`, `resolv.conf` and `init` are.
    pub files: &'a Path,
    /// The image, where mounts find their places.
    pub root: &'a Root,
    pub cgroups: &'a Hierarchies,
    pub limits: &'a Limits,
}

impl Plan<'_> {
    /// The content of `config.json`.
    pub fn config(&self, flavour: Flavour) -> io::Result<Value> {
        let pid = match self.bundle.pause {
            Some(pause) => json!({"type": "pid", "path": format!("/proc/{pause}/ns/pid")}),
            None => json!({"type": "pid"}),
        };
        let mut namespaces = vec![pid, json!({"type": "ipc"}), json!({"type": "uts"}), json!({"type": "mount"})];
        if let Some(path) = &self.bundle.users {
            namespaces.push(json!({"type": "user", "path": path}));
        }
        if matches!(self.cgroups, Hierarchies::V2(_)) {
            namespaces.push(json!({"type": "cgroup"}));
        }
        let mut linux = json!({
            "cgroupsPath": format!("/{}", self.bundle.cgroup),
            "namespaces": namespaces,
            "rootfsPropagation": "private",
            "maskedPaths": MASKED_PATHS,
            "readonlyPaths": READONLY_PATHS,
        });
        // Network parameters are the task's, and already set by the supervisor.
        let ipc: serde_json::Map<String, Value> = self
            .container
            .sysctls
            .iter()
            .filter(|(name, _)| !name.starts_with("net."))
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        if !ipc.is_empty() {
            linux["sysctl"] = Value::Object(ipc);
        }
        if flavour == Flavour::External {
            linux["seccomp"] = seccomp::oci(self.bundle.capabilities);
            linux["resources"] = self.resources();
        }
        Ok(json!({
            "ociVersion": "1.0.2",
            "process": self.process(flavour),
            "root": {"path": self.bundle.rootfs(), "readonly": self.container.readonly_rootfs},
            "hostname": self.task.hostname,
            "mounts": self.mounts(flavour)?,
            "linux": linux,
        }))
    }

    fn process(&self, flavour: Flavour) -> Value {
        // To load the filter without no_new_privs, and to place the cgroup mounts, the embedded runtime's payload keeps
        // CAP_SYS_ADMIN until right before the exec; it drops to the real set itself, for which it needs CAP_SETPCAP.
        let capabilities = match flavour {
            Flavour::Embedded => self.bundle.capabilities.with("CAP_SYS_ADMIN").with("CAP_SETPCAP"),
            Flavour::External => self.bundle.capabilities,
        }
        .names();
        let mut args = self.container.args.clone();
        if self.container.init {
            args.insert(0, INIT_PATH.to_owned());
        }
        let cwd = if self.container.cwd.is_empty() { "/" } else { &self.container.cwd };
        let mut process = json!({
            "terminal": self.container.terminal,
            "user": {"uid": self.user.uid, "gid": self.user.gid, "additionalGids": self.user.groups},
            "args": args,
            "env": self.environment(),
            "cwd": cwd,
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            "rlimits": rlimits(&self.container.ulimits),
            // Not that of the supervisor, which is protected.
            "oomScoreAdj": 0,
        });
        // `false` must not be written: libcontainer takes its presence for a yes.
        if self.container.no_new_privileges {
            process["noNewPrivileges"] = json!(true);
        }
        process
    }

    /// The container's own, and what Docker adds where it is not given.
    fn environment(&self) -> Vec<String> {
        let mut environment = self.container.env.clone();
        let mut default = |name: &str, value: &str| {
            let given = environment.iter().any(|pair| pair.split_once('=').is_some_and(|(key, _)| key == name));
            if !given {
                environment.push(format!("{name}={value}"));
            }
        };
        default("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        default("HOSTNAME", &self.task.hostname);
        default("HOME", &self.user.home);
        if self.container.terminal {
            default("TERM", "xterm");
        }
        environment
    }

    fn mounts(&self, flavour: Flavour) -> io::Result<Vec<Value>> {
        let mount = |destination: &str, kind: &str, options: &[&str]| json!({"destination": destination, "type": kind, "source": kind, "options": options});
        let shm = format!("size={}", self.container.shm_bytes.unwrap_or(ContainerSpec::SHM_BYTES_DEFAULT));
        let mut mounts = vec![
            mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
            mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
            mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
            mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", &shm]),
        ];
        if flavour == Flavour::External {
            mounts.push(mount("/sys/fs/cgroup", "cgroup", &["nosuid", "noexec", "nodev", "ro"]));
        }
        let bind = |destination: &str, source: &Path, readonly: bool| {
            let access = if readonly { "ro" } else { "rw" };
            json!({"destination": destination, "type": "bind", "source": source, "options": ["rbind", "rprivate", access]})
        };
        if self.container.init {
            mounts.push(bind(INIT_PATH, &self.files.join("init"), true));
        }
        // As files of the root file system would be, and as Docker does.
        let own = |name: &str| bind(&format!("/etc/{name}"), &self.files.join(name), self.container.readonly_rootfs);
        let mut placed = vec![own("hostname")];
        placed.extend(self.task.hosts.is_some().then(|| own("hosts")));
        placed.extend(self.task.resolv_conf.is_some().then(|| own("resolv.conf")));
        placed.extend(self.container.tmpfs.iter().map(tmpfs));
        placed.extend(self.container.mounts.iter().map(|m| bind(&m.destination, &m.source, m.readonly)));
        mounts.extend(self.place(placed)?);
        Ok(mounts)
    }

    /// Mounts where the image's links lead, and outer ones before those within them, as Docker does. A runtime would follow a
    /// link to what is there, but can make no place at the end of one that leads nowhere yet: `resolv.conf` of many images is
    /// a link into an empty `/run`.
    fn place(&self, mut mounts: Vec<Value>) -> io::Result<Vec<Value>> {
        for mount in &mut mounts {
            let path = Path::new(mount["destination"].as_str().unwrap_or_default());
            let real = self.root.real(path)?;
            // The task's own mounts were looked at before; here it is the image that may lead `hosts` astray.
            refuse_kernel(path, &real)?;
            mount["destination"] = json!(real);
        }
        // Stable: of two mounts at one place the later one, which the task definition names, is seen.
        mounts.sort_by_key(|mount| mount["destination"].as_str().map_or(0, |path| path.matches('/').count()));
        Ok(mounts)
    }

    fn resources(&self) -> Value {
        let mut devices = vec![json!({"allow": false, "access": "rwm"})];
        for (kind, major, minor) in
            [("c", 1, 3), ("c", 1, 5), ("c", 1, 7), ("c", 1, 8), ("c", 1, 9), ("c", 5, 0), ("c", 5, 1), ("c", 5, 2)]
        {
            devices.push(json!({"allow": true, "type": kind, "major": major, "minor": minor, "access": "rwm"}));
        }
        devices.push(json!({"allow": true, "type": "c", "major": 136, "access": "rwm"}));
        let mut resources = json!({"devices": devices, "cpu": {"shares": self.limits.cpu_shares}});
        if let Some(bytes) = self.limits.memory_bytes {
            resources["memory"] = json!({"limit": bytes});
        }
        if let Some(bytes) = self.limits.memory_reservation_bytes {
            resources["memory"]["reservation"] = json!(bytes);
        }
        resources
    }
}

/// Fails where `path` leads to `real` and nothing may be mounted there.
fn refuse_kernel(path: &Path, real: &Path) -> io::Result<()> {
    let is_led_to_devices = real.starts_with("/dev") && !path.starts_with("/dev");
    if is_kernel_path(real) || is_led_to_devices {
        let (path, real) = (path.display(), real.display());
        return Err(io::Error::other(format!("{path} leads to {real}, a place of the kernel's")));
    }
    Ok(())
}

fn tmpfs(tmpfs: &Tmpfs) -> Value {
    let mut options = vec!["nosuid".to_owned(), "nodev".to_owned(), format!("size={}", tmpfs.size_bytes)];
    options.extend(tmpfs.options.iter().cloned());
    json!({"destination": tmpfs.path, "type": "tmpfs", "source": "tmpfs", "options": options})
}

/// Fargate's default for open files.
const NOFILE_DEFAULT: u64 = 65_535;

fn rlimits(ulimits: &[Ulimit]) -> Vec<Value> {
    let mut all = vec![Ulimit { name: "nofile".to_owned(), soft: NOFILE_DEFAULT, hard: NOFILE_DEFAULT }];
    all.retain(|default| !ulimits.iter().any(|given| given.name == default.name));
    all.extend(ulimits.iter().cloned());
    let permitted = all.iter().map(|ulimit| {
        let hard = ulimit.hard.min(hard_limit_max(&ulimit.name, ulimit.hard));
        json!({"type": format!("RLIMIT_{}", ulimit.name.to_ascii_uppercase()), "soft": ulimit.soft.min(hard), "hard": hard})
    });
    permitted.collect()
}

/// The highest hard limit up to `wanted` that this machine lets us give. Raising our own is the only way to know.
fn hard_limit_max(name: &str, wanted: u64) -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let resource = match name {
        "core" => Resource::Core,
        "cpu" => Resource::Cpu,
        "data" => Resource::Data,
        "fsize" => Resource::Fsize,
        "locks" => Resource::Locks,
        "memlock" => Resource::Memlock,
        "msgqueue" => Resource::Msgqueue,
        "nice" => Resource::Nice,
        "nofile" => Resource::Nofile,
        "nproc" => Resource::Nproc,
        "rss" => Resource::Rss,
        "rtprio" => Resource::Rtprio,
        "rttime" => Resource::Rttime,
        "sigpending" => Resource::Sigpending,
        "stack" => Resource::Stack,
        _ => return wanted,
    };
    let own = getrlimit(resource);
    match own.maximum {
        Some(maximum) if maximum < wanted => {
            let raised = setrlimit(resource, Rlimit { current: own.current, maximum: Some(wanted) });
            if raised.is_ok() { wanted } else { maximum }
        }
        _ => wanted,
    }
}

const MASKED_PATHS: &[&str] = &[
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

const READONLY_PATHS: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Writes the bundle's `config.json`.
pub fn write(plan: &Plan<'_>, flavour: Flavour) -> io::Result<()> {
    // The environment may be secret, and the directory may be open.
    sys::replace_file(&plan.bundle.config(), &serde_json::to_vec(&plan.config(flavour)?)?, 0o600)
}

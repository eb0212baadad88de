//! What a supervisor is to run: the shape of `<dir>/spec.json`.
//!
//! A field that has no effect does not exist here, and unknown fields are refused by name, so that nothing is
//! silently ignored. The agent and the supervisor are the same executable, and a supervisor reads its spec once.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Name of the spec inside a supervisor's directory.
pub const SPEC_FILE: &str = "spec.json";

/// One task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSpec {
    /// Identifier for people; the supervisor only reports it.
    pub task_id: String,
    /// Path of the task's cgroup below each hierarchy's root, e.g. `longshore/<task id>`. Containers are its children.
    pub cgroup: String,
    #[serde(default)]
    pub limits: TaskLimits,
    #[serde(default)]
    pub network: Network,
    /// Hostname inside every container.
    pub hostname: String,
    /// Content of `/etc/hosts`; without it the image's own file is left alone.
    #[serde(default)]
    pub hosts: Option<String>,
    /// Content of `/etc/resolv.conf`; without it the image's own file is left alone.
    #[serde(default)]
    pub resolv_conf: Option<String>,
    #[serde(default)]
    pub runtime: RuntimeChoice,
    /// The containers see each other's processes.
    #[serde(default)]
    pub shared_pids: bool,
    /// Ids of the containers are others on the host. The supervisor's directory must be in reach of everybody.
    #[serde(default)]
    pub user_namespace: Option<UserNamespace>,
    /// A file system of its own for the containers' writable layers and volumes, and so a limit for them.
    #[serde(default)]
    pub disk: Option<Disk>,
    /// The supervisor's parent process, where the task is to be killed once that has ended, however it ended. Otherwise a task
    /// outlives whoever started it.
    #[serde(default)]
    pub owner_pid: Option<i32>,
    pub containers: Vec<ContainerSpec>,
}

/// Users and groups 0 to `size` of the containers are those from `host_id` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserNamespace {
    pub host_id: u32,
    pub size: u32,
}

/// An ext4 file system in a file. It is mounted in the supervisor's own mount namespace, and so goes with the task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    pub image: PathBuf,
    /// Existing directory; where the writable layers and volumes are to be.
    pub mount_at: PathBuf,
}

/// Limits of the task as a whole, on the parent cgroup of its containers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskLimits {
    /// Thousandths of a CPU, as a hard CFS quota.
    #[serde(default)]
    pub cpu_millis: Option<u32>,
    /// Bytes.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// Processes and threads; [`TaskLimits::PIDS_DEFAULT`] when absent. There is always a limit.
    #[serde(default)]
    pub pids: Option<u32>,
}

impl TaskLimits {
    pub const PIDS_DEFAULT: u32 = 4096;
}

/// Which network namespace the containers are in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// The supervisor's own, in which the agent puts an interface before `go`.
    #[default]
    Task,
    /// The supervisor's own, with loopback only.
    None,
    /// The namespace that the supervisor was started in.
    Host,
}

/// Who makes the containers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuntimeChoice {
    #[default]
    Builtin,
    /// Path of an OCI runtime with runc's command line.
    External(PathBuf),
}

/// One container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContainerSpec {
    pub name: String,
    /// 64 hexadecimal digits, unique on the machine; names the container's cgroup.
    pub id: String,
    #[serde(default = "yes")]
    pub essential: bool,
    /// Unpacked layers, topmost first, as overlayfs lower directories.
    pub layers: Vec<PathBuf>,
    /// Writable layer of this container.
    pub upper: PathBuf,
    /// Overlayfs work directory, on the same file system as `upper`.
    pub work: PathBuf,
    /// Entry point and command, merged.
    pub args: Vec<String>,
    /// `KEY=value`, image and task merged.
    #[serde(default)]
    pub env: Vec<String>,
    /// Working directory, made when it does not exist; `/` when empty.
    #[serde(default)]
    pub cwd: String,
    /// `uid[:gid]` or `name[:group]`, looked up in the image; root when empty.
    #[serde(default)]
    pub user: String,
    /// Relative CPU weight; 2 when absent, as ECS does.
    #[serde(default)]
    pub cpu_shares: Option<u64>,
    /// Hard limit in bytes.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
    /// Soft limit in bytes.
    #[serde(default)]
    pub memory_reservation_bytes: Option<u64>,
    #[serde(default)]
    pub depends_on: Vec<Dependency>,
    /// How long dependents wait for this container's COMPLETE, SUCCESS or HEALTHY, counted from its start.
    #[serde(default)]
    pub start_timeout_ms: Option<u64>,
    /// Time between the stop signal and SIGKILL.
    #[serde(default = "ContainerSpec::stop_timeout_default")]
    pub stop_timeout_ms: u64,
    /// Name (`SIGTERM`, `TERM`, `SIGRTMIN+3`) or number.
    #[serde(default = "ContainerSpec::stop_signal_default")]
    pub stop_signal: String,
    #[serde(default)]
    pub health_check: Option<HealthCheck>,
    #[serde(default)]
    pub restart: Option<RestartPolicy>,
    #[serde(default)]
    pub readonly_rootfs: bool,
    /// Added to the default set; with or without `CAP_`; `ALL`.
    #[serde(default)]
    pub capabilities_add: Vec<String>,
    /// Removed from the default set, before adding.
    #[serde(default)]
    pub capabilities_drop: Vec<String>,
    #[serde(default)]
    pub ulimits: Vec<Ulimit>,
    #[serde(default)]
    pub tmpfs: Vec<Tmpfs>,
    /// Bytes of `/dev/shm`; 64 MiB when absent.
    #[serde(default)]
    pub shm_bytes: Option<u64>,
    /// Run a small init as process 1, which reaps orphans and forwards signals.
    #[serde(default)]
    pub init: bool,
    #[serde(default)]
    pub mounts: Vec<BindMount>,
    #[serde(default)]
    pub log: LogSpec,
    /// Namespaced kernel parameters (`net.*`, `fs.mqueue.*`, the System V IPC ones).
    #[serde(default)]
    pub sysctls: BTreeMap<String, String>,
    #[serde(default)]
    pub no_new_privileges: bool,
    /// Give the process a terminal; its output is one stream.
    #[serde(default)]
    pub terminal: bool,
    /// Standard input is a pipe that nobody writes to, rather than `/dev/null`.
    #[serde(default)]
    pub stdin_open: bool,
}

fn yes() -> bool {
    true
}

impl ContainerSpec {
    pub const SHM_BYTES_DEFAULT: u64 = 64 << 20;

    fn stop_timeout_default() -> u64 {
        30_000
    }

    fn stop_signal_default() -> String {
        "SIGTERM".to_owned()
    }
}

/// `name` must have reached `condition` before the dependent starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dependency {
    pub name: String,
    pub condition: Condition,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Condition {
    Start,
    Complete,
    Success,
    Healthy,
}

/// Times in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// `["CMD", program, argument…]` or `["CMD-SHELL", line]`.
    pub command: Vec<String>,
    #[serde(default = "HealthCheck::interval_default")]
    pub interval_ms: u64,
    #[serde(default = "HealthCheck::timeout_default")]
    pub timeout_ms: u64,
    #[serde(default = "HealthCheck::retries_default")]
    pub retries: u32,
    /// Failures this soon after the start do not count; a success ends the period.
    #[serde(default)]
    pub start_period_ms: u64,
}

impl HealthCheck {
    fn interval_default() -> u64 {
        30_000
    }

    fn timeout_default() -> u64 {
        5_000
    }

    fn retries_default() -> u32 {
        3
    }

    /// The process to run, or `None` if the command has neither known form.
    pub fn argv(&self) -> Option<Vec<String>> {
        match self.command.first().map(String::as_str) {
            Some("CMD") if self.command.len() > 1 => Some(self.command[1..].to_vec()),
            Some("CMD-SHELL") if self.command.len() == 2 => {
                Some(vec!["/bin/sh".into(), "-c".into(), self.command[1].clone()])
            }
            _ => None,
        }
    }
}

/// Restart in place after an exit, at most once a period and only after running for a whole one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestartPolicy {
    #[serde(default)]
    pub ignored_exit_codes: Vec<i32>,
    #[serde(default = "RestartPolicy::period_default")]
    pub attempt_period_ms: u64,
}

impl RestartPolicy {
    fn period_default() -> u64 {
        300_000
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ulimit {
    /// `nofile`, `nproc`, … as in ECS.
    pub name: String,
    pub soft: u64,
    pub hard: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tmpfs {
    pub path: String,
    pub size_bytes: u64,
    /// Mount options beside `nosuid,nodev` and the size.
    #[serde(default)]
    pub options: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BindMount {
    /// File or directory of the host.
    pub source: PathBuf,
    /// Absolute path in the container, made when it does not exist.
    pub destination: String,
    #[serde(default)]
    pub readonly: bool,
    /// The source is a volume of the task: a directory that is made when it does not exist.
    #[serde(default)]
    pub volume: bool,
    /// A volume that, while it is empty, takes over what the image has at the destination.
    #[serde(default)]
    pub seed: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSpec {
    #[serde(default)]
    pub mode: LogMode,
    /// Memory for lines that nobody has acknowledged yet; it is used only as it fills.
    #[serde(default = "LogSpec::buffer_default")]
    pub max_buffer_bytes: u64,
}

impl LogSpec {
    fn buffer_default() -> u64 {
        10 << 20
    }
}

impl Default for LogSpec {
    fn default() -> Self {
        LogSpec { mode: LogMode::default(), max_buffer_bytes: Self::buffer_default() }
    }
}

/// What happens when the log buffer is full.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogMode {
    /// The oldest lines go, and are counted.
    #[default]
    NonBlocking,
    /// The container's writes wait.
    Blocking,
}

/// Why a spec cannot be run. Every text names the field or the container.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SpecError {
    #[error("the task has no containers")]
    Empty,
    #[error("cgroup path {0:?} must be relative, without `.` or `..`")]
    Cgroup(String),
    #[error("container name {0:?} is used twice")]
    DuplicateName(String),
    #[error("container {0}: id {1:?} must be 1 to 128 letters, digits, `-` or `_`")]
    Id(String, String),
    #[error("container {0}: no command given")]
    NoCommand(String),
    #[error("container {0}: depends on {1:?}, which does not exist")]
    UnknownDependency(String, String),
    #[error("container {0}: waits for {1} to be HEALTHY, which has no health check")]
    NoHealthCheck(String, String),
    #[error("containers depend on each other in a circle through {0}")]
    Cycle(String),
    #[error("container {0}: health check command must be CMD with a program or CMD-SHELL with one line")]
    HealthCommand(String),
    #[error("container {0}: unknown stop signal {1:?}")]
    Signal(String, String),
    #[error("container {0}: unknown ulimit {1:?}")]
    Ulimit(String, String),
    #[error("container {0}: unknown capability {1:?}")]
    Capability(String, String),
    #[error("container {0}: kernel parameter {1:?} is not namespaced to this task")]
    Sysctl(String, String),
    #[error("container {0}: path {1:?} must be absolute, without `..`")]
    Path(String, String),
    #[error("container {0}: {1:?} cannot be mounted because it is inside /proc, /sys or another place of the kernel")]
    KernelPath(String, String),
    #[error("container {0}: no layers given")]
    NoLayers(String),
}

impl TaskSpec {
    /// Refuses what could not be run, before anything is made.
    pub fn validate(&self) -> Result<(), SpecError> {
        if self.containers.is_empty() {
            return Err(SpecError::Empty);
        }
        let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        if !self.cgroup.split('/').all(plain) {
            return Err(SpecError::Cgroup(self.cgroup.clone()));
        }
        let mut names = BTreeSet::new();
        for container in &self.containers {
            if !names.insert(container.name.as_str()) {
                return Err(SpecError::DuplicateName(container.name.clone()));
            }
            container.validate(self.network)?;
        }
        for container in &self.containers {
            for dependency in &container.depends_on {
                let name = || container.name.clone();
                let Some(on) = self.containers.iter().find(|c| c.name == dependency.name) else {
                    return Err(SpecError::UnknownDependency(name(), dependency.name.clone()));
                };
                if dependency.condition == Condition::Healthy && on.health_check.is_none() {
                    return Err(SpecError::NoHealthCheck(name(), on.name.clone()));
                }
            }
        }
        self.refuse_cycles()
    }

    /// Takes away containers whose dependencies are gone, until none is left or none can go.
    fn refuse_cycles(&self) -> Result<(), SpecError> {
        let mut left: Vec<&ContainerSpec> = self.containers.iter().collect();
        while !left.is_empty() {
            let names: BTreeSet<&str> = left.iter().map(|c| c.name.as_str()).collect();
            let before = left.len();
            left.retain(|c| c.depends_on.iter().any(|d| names.contains(d.name.as_str())));
            if left.len() == before {
                return Err(SpecError::Cycle(left[0].name.clone()));
            }
        }
        Ok(())
    }
}

impl ContainerSpec {
    fn validate(&self, network: Network) -> Result<(), SpecError> {
        let name = || self.name.clone();
        let word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if self.id.is_empty() || self.id.len() > 128 || !self.id.chars().all(word) {
            return Err(SpecError::Id(name(), self.id.clone()));
        }
        if self.args.first().is_none_or(String::is_empty) {
            return Err(SpecError::NoCommand(name()));
        }
        if self.layers.is_empty() {
            return Err(SpecError::NoLayers(name()));
        }
        if self.health_check.as_ref().is_some_and(|check| check.argv().is_none()) {
            return Err(SpecError::HealthCommand(name()));
        }
        if crate::sys::signal_number(&self.stop_signal).is_none() {
            return Err(SpecError::Signal(name(), self.stop_signal.clone()));
        }
        for ulimit in &self.ulimits {
            if !ULIMITS.contains(&ulimit.name.as_str()) {
                return Err(SpecError::Ulimit(name(), ulimit.name.clone()));
            }
        }
        for capability in self.capabilities_add.iter().chain(&self.capabilities_drop) {
            if !crate::capability::is_known(capability) {
                return Err(SpecError::Capability(name(), capability.clone()));
            }
        }
        for parameter in self.sysctls.keys() {
            if !sysctl_is_namespaced(parameter, network) {
                return Err(SpecError::Sysctl(name(), parameter.clone()));
            }
        }
        let mut paths: Vec<&String> = self.mounts.iter().map(|m| &m.destination).collect();
        paths.extend(self.tmpfs.iter().map(|t| &t.path));
        if let Some(path) = paths.iter().find(|path| is_kernel_path(Path::new(path))) {
            return Err(SpecError::KernelPath(name(), path.to_string()));
        }
        if !self.cwd.is_empty() {
            paths.push(&self.cwd);
        }
        match paths.into_iter().find(|p| !p.starts_with('/') || p.split('/').any(|part| part == "..")) {
            Some(path) => Err(SpecError::Path(name(), path.clone())),
            None => Ok(()),
        }
    }
}

/// Where the container's own mounts of the kernel's file systems are. What covered them could redirect what is read and
/// written there while the container is made (CVE-2019-19921, CVE-2023-27561, CVE-2025-52881).
pub fn is_kernel_path(path: &Path) -> bool {
    let plain: PathBuf = path.components().collect();
    plain.starts_with("/proc") || plain.starts_with("/sys") || plain == Path::new("/") || plain == Path::new("/dev")
}

/// Names of ECS's ulimits, which are those of Linux in lower case.
const ULIMITS: &[&str] = &[
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

fn sysctl_is_namespaced(name: &str, network: Network) -> bool {
    const IPC: &[&str] = &[
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    ];
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) && !name.contains("..");
    let net = name.starts_with("net.") && network != Network::Host;
    plain && (net || name.starts_with("fs.mqueue.") || IPC.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(name: &str) -> serde_json::Value {
        serde_json::json!({"name": name, "id": name, "layers": ["/l"], "upper": "/u", "work": "/w", "args": ["/bin/true"]})
    }

    fn task(containers: Vec<serde_json::Value>) -> Result<TaskSpec, serde_json::Error> {
        serde_json::from_value(serde_json::json!({
            "task_id": "t", "cgroup": "longshore/t", "hostname": "h", "containers": containers
        }))
    }

    fn refused(change: impl FnOnce(&mut serde_json::Value)) -> SpecError {
        let mut c = container("a");
        change(&mut c);
        task(vec![c]).unwrap().validate().unwrap_err()
    }

    #[test]
    fn defaults_are_those_of_ecs() {
        let spec = task(vec![container("a")]).unwrap();
        spec.validate().unwrap();
        let c = &spec.containers[0];
        assert!(c.essential);
        assert_eq!((c.stop_timeout_ms, c.stop_signal.as_str()), (30_000, "SIGTERM"));
        assert_eq!((c.log.mode, c.log.max_buffer_bytes), (LogMode::NonBlocking, 10 << 20));
    }

    #[test]
    fn a_field_we_do_not_obey_is_refused_by_name() {
        let mut c = container("a");
        c["privileged"] = true.into();
        assert!(task(vec![c]).unwrap_err().to_string().contains("privileged"));
    }

    #[test]
    fn circles_and_strangers_in_depends_on_are_refused() {
        let depends = |name: &str, on: &str| {
            let mut c = container(name);
            c["depends_on"] = serde_json::json!([{"name": on, "condition": "START"}]);
            c
        };
        let spec = task(vec![depends("a", "b"), depends("b", "a")]).unwrap();
        assert_eq!(spec.validate(), Err(SpecError::Cycle("a".into())));
        let spec = task(vec![depends("a", "x")]).unwrap();
        assert_eq!(spec.validate(), Err(SpecError::UnknownDependency("a".into(), "x".into())));
        task(vec![depends("a", "b"), container("b")]).unwrap().validate().unwrap();
    }

    #[test]
    fn what_cannot_be_run_is_refused_with_its_name() {
        assert!(matches!(refused(|c| c["stop_signal"] = "SIGNOPE".into()), SpecError::Signal(..)));
        assert!(matches!(refused(|c| c["args"] = serde_json::json!([])), SpecError::NoCommand(_)));
        assert!(matches!(refused(|c| c["sysctls"] = serde_json::json!({"kernel.panic": "1"})), SpecError::Sysctl(..)));
        assert!(matches!(refused(|c| c["sysctls"] = serde_json::json!({"net/../kernel": "1"})), SpecError::Sysctl(..)));
        assert!(matches!(refused(|c| c["capabilities_add"] = serde_json::json!(["FLY"])), SpecError::Capability(..)));
        assert!(matches!(refused(|c| c["cwd"] = "/a/../b".into()), SpecError::Path(..)));
        assert!(matches!(refused(|c| c["id"] = "../x".into()), SpecError::Id(..)));
        for path in ["/proc", "//proc/./sys", "/sys/fs", "/dev/", "/"] {
            let tmpfs = serde_json::json!([{"path": path, "size_bytes": 1}]);
            assert!(matches!(refused(|c| c["tmpfs"] = tmpfs), SpecError::KernelPath(..)), "{path}");
        }
    }

    #[test]
    fn health_commands_have_two_forms() {
        let argv = |command: &[&str]| {
            let command: Vec<String> = command.iter().map(|s| s.to_string()).collect();
            serde_json::from_value::<HealthCheck>(serde_json::json!({"command": command})).unwrap().argv()
        };
        assert_eq!(argv(&["CMD", "a", "b"]), Some(vec!["a".into(), "b".into()]));
        assert_eq!(argv(&["CMD-SHELL", "a b"]), Some(vec!["/bin/sh".into(), "-c".into(), "a b".into()]));
        assert_eq!(argv(&["a"]), None);
        assert_eq!(argv(&["CMD"]), None);
    }
}

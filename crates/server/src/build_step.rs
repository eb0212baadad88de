//! Runs the commands of a Dockerfile's RUN in a supervisor of their own, with the host's network or none.
//!
//! The supervisor ends with the builder, however that ended. What is left of it in `<run>/builds/<step>/` is removed by the
//! next build: a living builder holds a lock in it.

use crate::config::{Config, Runtime};
use anyhow::Context;
use longshore_agent::machine::SupervisorLink as _;
use longshore_agent::supervisor::Supervisor;
use longshore_image::build::{MountSource, OutputStream, RunError, RunFuture, RunMount, RunRequest, RunStep};
use longshore_runtime::protocol::{Command, ContainerStatus, Event, StopCause, Stream, TaskPhase};
use longshore_runtime::spec as rt;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

pub struct Runner {
    executable: PathBuf,
    /// Holds a directory for each step that runs, of this builder and of others.
    builds: PathBuf,
    cgroup: String,
    runtime: rt::RuntimeChoice,
}

impl Runner {
    /// Removes what dead builders left. Blocking.
    pub fn new(config: &Config) -> anyhow::Result<Self> {
        let builds = config.run_dir.join("builds");
        sweep(&builds).with_context(|| format!("cannot remove old steps from {}", builds.display()))?;
        Ok(Self {
            executable: crate::process::OWN_PROGRAM.into(),
            builds,
            cgroup: config.cgroup(),
            runtime: match &config.runtime {
                Runtime::External(path) => rt::RuntimeChoice::External(path.clone()),
                _ => rt::RuntimeChoice::Builtin,
            },
        })
    }

    fn spec(&self, name: &str, request: &RunRequest<'_>) -> rt::TaskSpec {
        let of_host = |path: &str| std::fs::read_to_string(path).ok();
        rt::TaskSpec {
            task_id: name.to_owned(),
            cgroup: format!("{}/{name}", self.cgroup),
            limits: rt::TaskLimits::default(),
            network: if request.is_offline { rt::Network::None } else { rt::Network::Host },
            hostname: "build".to_owned(),
            hosts: of_host("/etc/hosts"),
            resolv_conf: of_host("/etc/resolv.conf"),
            shared_pids: false,
            user_namespace: None,
            disk: None,
            owner_pid: Some(std::process::id() as i32),
            runtime: self.runtime.clone(),
            containers: vec![rt::ContainerSpec {
                name: "build".to_owned(),
                id: name.to_owned(),
                essential: true,
                layers: request.lower.absolute(),
                upper: request.upper.to_owned(),
                work: request.work.to_owned(),
                args: request.argv.to_vec(),
                env: request.env.to_vec(),
                cwd: request.cwd.to_owned(),
                user: request.user.to_owned(),
                cpu_shares: None,
                memory_bytes: None,
                memory_reservation_bytes: None,
                depends_on: vec![],
                start_timeout_ms: None,
                stop_timeout_ms: 1000,
                stop_signal: "SIGKILL".to_owned(),
                health_check: None,
                restart: None,
                readonly_rootfs: false,
                capabilities_add: vec![],
                capabilities_drop: vec![],
                ulimits: vec![],
                tmpfs: request.mounts.iter().filter_map(tmpfs).collect(),
                shm_bytes: None,
                init: false,
                mounts: request.mounts.iter().filter_map(bind).collect(),
                log: rt::LogSpec { mode: rt::LogMode::Blocking, ..Default::default() },
                sysctls: Default::default(),
                no_new_privileges: false,
                terminal: false,
                stdin_open: false,
            }],
        }
    }

    async fn supervise(&self, request: RunRequest<'_>) -> Result<i32, RunError> {
        let name = format!("build-{:016x}", crate::serve::seed() as u64);
        let directory = Directory::make(&self.builds, &name)?;
        write_spec(&directory.path, &self.spec(&name, &request))?;
        let mut supervisor = Supervisor::start(&self.executable, &directory.path).await?;
        supervisor.send(&Command::Go).await?;
        supervisor.send(&Command::Subscribe { logs: true }).await?;
        let (mut code, mut last_line, mut seen, mut over) = (None, u64::MAX, 0, false);
        loop {
            if over && seen >= last_line {
                break;
            }
            match supervisor.next().await? {
                Event::Log(line) => {
                    let stream =
                        if line.stream == Stream::Stderr { OutputStream::Stderr } else { OutputStream::Stdout };
                    (request.output)(stream, format!("{}\n", line.message).as_bytes());
                    seen = line.sequence;
                    supervisor.send(&Command::LogAck { container: line.container, sequence: seen }).await?;
                }
                Event::Container(container) if container.status == ContainerStatus::Stopped => {
                    code = container.exit_code;
                    last_line = container.log_sequence;
                }
                Event::State(state) => {
                    if let Some(container) = state.containers.first().filter(|c| c.status == ContainerStatus::Stopped) {
                        code = container.exit_code;
                        last_line = container.log_sequence;
                    }
                    over |= state.task.phase == TaskPhase::Stopped;
                }
                Event::Task(task) => {
                    if let Some(StopCause::FailedToStart { reason, .. }) = task.cause {
                        return Err(reason.into());
                    }
                    over |= task.phase == TaskPhase::Stopped;
                }
                _ => {}
            }
        }
        let _ = supervisor.send(&Command::Exit).await;
        while supervisor.next().await.is_ok() {}
        Ok(code.unwrap_or(255))
    }
}

fn bind(mount: &RunMount) -> Option<rt::BindMount> {
    let MountSource::Path(source) = &mount.source else { return None };
    Some(rt::BindMount {
        source: source.clone(),
        destination: mount.target.clone(),
        readonly: mount.readonly,
        volume: false,
        seed: false,
    })
}

fn tmpfs(mount: &RunMount) -> Option<rt::Tmpfs> {
    let MountSource::Tmpfs { size_bytes } = mount.source else { return None };
    // The kernel's own default is half of the memory.
    let size_bytes = size_bytes.unwrap_or(1 << 30);
    Some(rt::Tmpfs { path: mount.target.clone(), size_bytes, options: vec![] })
}

fn write_spec(directory: &Path, spec: &rt::TaskSpec) -> io::Result<()> {
    // Its environment may hold secrets of the build.
    let file = File::options().write(true).create_new(true).mode(0o600).open(directory.join(rt::SPEC_FILE));
    file?.write_all(&serde_json::to_vec(spec)?)
}

/// A step's directory. Ends what runs in it and removes it, however the build goes.
struct Directory {
    path: PathBuf,
    /// Tells other builders that ours lives. The kernel lets go of it when we end, however that is.
    _lock: File,
}

/// The file in a step's directory that its builder has locked.
const LOCK_FILE: &str = "builder.lock";

impl Directory {
    fn make(builds: &Path, name: &str) -> io::Result<Self> {
        // No sweep sees it while it is not locked yet.
        let _making = lock_all(builds)?;
        let path = builds.join(name);
        std::fs::create_dir(&path)?;
        let lock = File::create_new(path.join(LOCK_FILE))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { path, _lock: lock })
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Removes the directories of steps whose builder is dead.
fn sweep(builds: &Path) -> io::Result<()> {
    let mut dead = Vec::new();
    let making = lock_all(builds)?;
    for entry in std::fs::read_dir(builds)? {
        let path = entry?.path();
        let is_alive = File::open(path.join(LOCK_FILE))
            .is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK));
        if !is_alive {
            dead.push(path);
        }
    }
    // Nobody makes a directory of these names again.
    drop(making);
    dead.iter().for_each(|path| remove(path));
    Ok(())
}

/// Keeps other builders from making directories, and from looking for dead ones, while it is held.
fn lock_all(builds: &Path) -> io::Result<File> {
    std::fs::create_dir_all(builds)?;
    let lock = File::open(builds)?;
    flock(&lock, FlockOperation::LockExclusive)?;
    Ok(lock)
}

/// Ends what runs for a step and removes its directory; what cannot be ended keeps it, for another try.
fn remove(directory: &Path) {
    let removed = longshore_runtime::cleanup(directory)
        .map_err(anyhow::Error::from)
        .and_then(|_lease| Ok(longshore_image::remove_tree(directory)?));
    if let Err(error) = removed {
        eprintln!("cannot remove {}: {error:#}", directory.display());
    }
}

impl RunStep for Runner {
    fn run<'a>(&'a self, request: RunRequest<'a>) -> RunFuture<'a> {
        Box::pin(self.supervise(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_dead_builders_left_goes_and_what_living_ones_use_stays() {
        let scratch = tempfile::tempdir().unwrap();
        let builds = scratch.path().join("builds");
        let living = Directory::make(&builds, "build-1").unwrap();
        for dead in ["build-2", "build-3"] {
            std::fs::create_dir_all(builds.join(dead).join("bundles/deeper")).unwrap();
        }
        // The second was killed before it could make the lock.
        File::create(builds.join("build-2").join(LOCK_FILE)).unwrap();
        sweep(&builds).unwrap();
        assert!(living.path.exists() && !builds.join("build-2").exists() && !builds.join("build-3").exists());
        drop(living);
        assert_eq!(std::fs::read_dir(&builds).unwrap().count(), 0);
    }

    #[test]
    fn only_root_reads_the_environment_of_a_step() {
        let scratch = tempfile::tempdir().unwrap();
        let spec = serde_json::json!({"task_id": "t", "cgroup": "longshore/t", "hostname": "h", "containers": []});
        write_spec(scratch.path(), &serde_json::from_value(spec).unwrap()).unwrap();
        let mode = scratch.path().join(rt::SPEC_FILE).metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

//! Runs the commands of a Dockerfile's RUN in a supervisor of their own, with the host's network or none.

use crate::config::{Config, Runtime};
use anyhow::Context;
use longshore_agent::machine::SupervisorLink as _;
use longshore_agent::supervisor::Supervisor;
use longshore_image::build::{MountSource, OutputStream, RunError, RunFuture, RunMount, RunRequest, RunStep};
use longshore_runtime::protocol::{Command, ContainerStatus, Event, StopCause, Stream, TaskPhase};
use longshore_runtime::spec as rt;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

pub struct Runner {
    executable: PathBuf,
    run_dir: PathBuf,
    cgroup: String,
    runtime: rt::RuntimeChoice,
}

impl Runner {
    pub fn new(config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            executable: std::env::current_exe().context("cannot find this program's own file")?,
            run_dir: config.run_dir.clone(),
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
        let directory = Directory(self.run_dir.join("builds").join(&name));
        std::fs::create_dir_all(&directory.0)?;
        // Its environment may hold secrets of the build.
        let file = File::options().write(true).create_new(true).mode(0o600).open(directory.0.join(rt::SPEC_FILE));
        file?.write_all(&serde_json::to_vec(&self.spec(&name, &request))?)?;
        let mut supervisor = Supervisor::start(&self.executable, &directory.0).await?;
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

/// Ends what runs in it and removes it, however the build goes.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _lease = longshore_runtime::cleanup(&self.0);
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl RunStep for Runner {
    fn run<'a>(&'a self, request: RunRequest<'a>) -> RunFuture<'a> {
        Box::pin(self.supervise(request))
    }
}

//! `longshore up`: every role on this machine.
//!
//! Server and agent are children that die with it. The balancer is not: it is started if none runs, and left running.

use crate::config::{Config, Runtime};
use crate::data_dir::Claim;
use crate::{process, survivors};
use anyhow::{Context, bail};
use rustix::process::Signal;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

const READY_WITHIN: Duration = Duration::from_secs(20);
/// A role that ends at once is started again for so long: what an earlier one held may not be free yet.
const FAILS_WITHIN: Duration = Duration::from_secs(5);

pub fn run(config: Config) -> anyhow::Result<ExitCode> {
    if config.runtime != Runtime::None && !rustix::process::geteuid().is_root() {
        bail!(
            "running containers needs root: use `sudo longshore up`, or `longshore up --runtime none` with --run-dir and --data-dir of your own for simulated tasks"
        );
    }
    for directory in [&config.run_dir, &config.data_dir] {
        std::fs::create_dir_all(directory).with_context(|| {
            format!("cannot make {} (--run-dir and --data-dir name other places)", directory.display())
        })?;
        // Root, too, cannot write to a file system that is mounted read-only.
        rustix::fs::access(directory, rustix::fs::Access::WRITE_OK)
            .with_context(|| format!("cannot write to {}", directory.display()))?;
    }
    let _lock = lock(&config)?;
    refuse_what_runs(&config)?;
    // Before the file says that the data is ours: `down` goes by it.
    let _claim = Claim::take(&config.data_dir, &config.run_dir)?;
    ensure_port(&config)?;
    config.write()?;
    process::write_pid(&config.run_dir, "up")?;
    process::current_thread()?.block_on(supervise(config))
}

/// One `up` per run directory.
fn lock(config: &Config) -> anyhow::Result<File> {
    let path = config.run_dir.join("up.lock");
    let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(_) => {
            bail!("Longshore is already running here ({}); `longshore status` shows it", config.run_dir.display())
        }
    }
}

/// Tasks that this `up` would not know of, and that would go on beside what it starts.
fn refuse_what_runs(config: &Config) -> anyhow::Result<()> {
    let run_dir = &config.run_dir;
    let place = run_dir.display();
    if Config::read(run_dir).is_err() && (survivors::any(run_dir) || crate::down::has_network(run_dir)) {
        bail!(
            "an earlier Longshore in {place} goes on, and its files there are gone or damaged; `longshore down --run-dir {place}` ends it"
        );
    }
    let has_tasks = || std::fs::read_dir(run_dir.join("tasks")).is_ok_and(|mut tasks| tasks.next().is_some());
    if config.runtime == Runtime::None && has_tasks() {
        bail!(
            "containers of an earlier `up` are in {place}; `longshore down --run-dir {place}` ends them before tasks can be simulated there"
        );
    }
    Ok(())
}

/// Somebody else's server would answer in our place. One of ours, whose `up` was killed, ends at once.
fn ensure_port(config: &Config) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(2);
    loop {
        match std::net::TcpListener::bind(config.listen) {
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(error) => {
                let cause = "is another Longshore, or LocalStack, running? `--listen` takes another address";
                bail!("cannot listen on {}: {error}; {cause}", config.listen);
            }
        }
    }
}

async fn supervise(config: Config) -> anyhow::Result<ExitCode> {
    let stop = process::asked_to_stop();
    tokio::pin!(stop);
    let mut roles = vec![Role::new("server")];
    if config.runtime != Runtime::None {
        roles.push(Role::new("agent"));
    }
    let started = Instant::now();
    let mut announced = false;
    // It ends with an `up` that cannot begin: nothing would tell it anything.
    let (mut balancer_of_ours, mut balancer_pause) = (None, Instant::now());
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    loop {
        let needs_balancer =
            config.runtime != Runtime::None && process::read_pid(&config.run_dir, "balancer").is_none();
        if needs_balancer && Instant::now() >= balancer_pause {
            if announced {
                tracing::warn!(role = "balancer", "a role ended; it is started again");
            }
            match start_balancer(&config) {
                Ok(balancer) => balancer_of_ours = Some(balancer),
                Err(error) if announced => {
                    tracing::error!(error = format!("{error:#}"), "the balancer could not be started; trying again");
                    balancer_pause = Instant::now() + PAUSE_MAX;
                }
                Err(error) => return Err(error),
            }
        }
        for role in &mut roles {
            role.keep_running(&config)?;
        }
        if !announced && crate::status::health(&config).await.is_ok() {
            announced = true;
            announce(&config, started.elapsed());
            tick = tokio::time::interval(Duration::from_millis(200));
        }
        let fails = roles.iter().any(|role| role.failures > 0);
        if !announced && started.elapsed() > if fails { FAILS_WITHIN } else { READY_WITHIN } {
            for role in &mut roles {
                role.stop().await;
            }
            if let Some(balancer) = balancer_of_ours {
                process::kill(balancer, Signal::TERM);
                process::wait_gone(&config.run_dir, "balancer", 5);
            }
            bail!("not ready after {} s; the lines above say why", started.elapsed().as_secs());
        }
        tokio::select! {
            _ = tick.tick() => {}
            () = &mut stop => break,
        }
    }
    for role in &mut roles {
        role.stop().await;
    }
    if config.runtime != Runtime::None {
        eprintln!(
            "Stopped. Tasks and load balancers go on; `longshore up` finds them again, `longshore down` ends them."
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Its process. The balancer writes its own pid file once it runs.
fn start_balancer(config: &Config) -> anyhow::Result<u32> {
    let log = config.data_dir.join("balancer.log");
    let mut command = process::independent("balancer", &config.run_dir, &log)?;
    tune_allocator(&mut command, BALANCER_ALLOCATOR);
    let mut child = command.spawn().context("cannot start the balancer")?;
    let deadline = Instant::now() + Duration::from_secs(5);
    while process::read_pid(&config.run_dir, "balancer").is_none() {
        if let Some(status) = child.try_wait()? {
            bail!("the balancer ended at once ({status}); see {}", log.display());
        }
        if Instant::now() > deadline {
            bail!("the balancer does not start; see {}", log.display());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = child.id();
    // It outlives us; while we live it must be reaped.
    std::thread::spawn(move || child.wait());
    Ok(pid)
}

/// An answer is hundreds of small strings, made and dropped. A thread of glibc's keeps only seven of each size at hand
/// otherwise, and a DescribeTasks of ten takes a tenth more CPU.
const SERVER_ALLOCATOR: &str = "glibc.malloc.tcache_count=1000";
/// A response is a buffer of some ten KiB; a moment later all of them are free. From 128 KiB on glibc gives such memory back
/// otherwise, gets it again page by page, and 16 KiB through the balancer take a tenth more CPU.
const BALANCER_ALLOCATOR: &str = "glibc.malloc.trim_threshold=8388608";

/// Has glibc's allocator serve what a role does; other C libraries ignore it.
fn tune_allocator(command: &mut std::process::Command, tunables: &str) {
    const NAME: &str = "GLIBC_TUNABLES";
    if std::env::var_os(NAME).is_none() {
        command.env(NAME, tunables);
    }
}

/// Between attempts to start a role that cannot be started.
const PAUSE_MAX: Duration = Duration::from_millis(6400);

/// A child that is started again whenever it ends.
struct Role {
    name: &'static str,
    child: Option<Child>,
    failures: u32,
    started: Instant,
}

impl Role {
    fn new(name: &'static str) -> Self {
        Self { name, child: None, failures: 0, started: Instant::now() }
    }

    fn keep_running(&mut self, config: &Config) -> anyhow::Result<()> {
        if let Some(child) = &mut self.child {
            let Some(status) = child.try_wait()? else { return Ok(()) };
            tracing::warn!(role = self.name, %status, "a role ended; it is started again");
            self.failures = if self.started.elapsed() > Duration::from_secs(10) { 1 } else { self.failures + 1 };
            self.child = None;
        }
        let pause = Duration::from_millis(match self.failures {
            0 | 1 => 0,
            n => 50 << n.min(7),
        });
        if self.failures > 0 && self.started.elapsed() < pause {
            return Ok(());
        }
        let mut command = process::dependent(self.name, &config.run_dir);
        if self.name == "server" {
            tune_allocator(&mut command, SERVER_ALLOCATOR);
        }
        self.started = Instant::now();
        match Command::from(command).spawn() {
            Ok(child) => self.child = Some(child),
            Err(error) => {
                tracing::error!(role = self.name, %error, "a role could not be started; trying again");
                self.failures += 1;
            }
        }
        Ok(())
    }

    async fn stop(&mut self) {
        let Some(child) = &mut self.child else { return };
        if let Some(pid) = child.id() {
            process::kill(pid, Signal::TERM);
        }
        if tokio::time::timeout(Duration::from_secs(5), child.wait()).await.is_err() {
            let _ = child.kill().await;
        }
    }
}

fn announce(config: &Config, took: Duration) {
    let place = match config.run_dir.to_str() {
        Some("/run/longshore") | None => String::new(),
        Some(other) => format!(" --run-dir {other}"),
    };
    eprintln!("Longshore is ready at {} ({} ms).", config.api_url(), took.as_millis());
    eprintln!();
    eprintln!("  In another terminal:   eval \"$(longshore env{place})\"");
    eprintln!("  Then, for example:     aws ecs list-clusters");
    eprintln!("  Stop it here with Ctrl-C; remove everything that runs with `longshore down{place}`.");
    if config.runtime == Runtime::None {
        eprintln!("  Tasks are simulated (--runtime none): no container runs and no port listens.");
    }
}

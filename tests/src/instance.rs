//! One Longshore in directories of its own: started, killed, started again, removed.

use crate::{http, wait};
use anyhow::{Context, anyhow, bail};
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub struct Instance {
    pub binary: PathBuf,
    /// Everything of this instance is below it.
    pub dir: PathBuf,
    pub listen: SocketAddr,
    /// Of its own, so that the names of its registry and of another Longshore's on this machine differ.
    pub account: String,
    /// `builtin`, `none` or a path, as `--runtime` takes it.
    pub runtime: String,
    /// More arguments of `up`.
    pub options: Vec<String>,
    /// More variables of `up`.
    pub variables: Vec<(String, String)>,
    up: Option<Child>,
}

impl Instance {
    /// Directories and a free port; nothing runs yet.
    pub fn new(binary: &Path, runtime: &str) -> anyhow::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // Short: the path of a Unix socket has 108 bytes.
        let dir = std::env::temp_dir().join(format!("longshore-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
        let listen = free_address().context("no port is free")?;
        let account =
            format!("{:012}", 700_000_000_000 + u64::from(std::process::id()) * 1000 + u64::from(number % 1000));
        Ok(Self {
            binary: binary.to_owned(),
            dir,
            listen,
            account,
            runtime: runtime.to_owned(),
            options: Vec::new(),
            variables: Vec::new(),
            up: None,
        })
    }

    /// An instance that answers.
    pub fn started(binary: &Path, runtime: &str) -> anyhow::Result<Self> {
        let mut instance = Self::new(binary, runtime)?;
        instance.up()?;
        Ok(instance)
    }

    pub fn run_dir(&self) -> PathBuf {
        self.dir.join("run")
    }

    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    fn log(&self) -> PathBuf {
        self.dir.join("up.log")
    }

    /// Starts `longshore up` and waits until it answers.
    pub fn up(&mut self) -> anyhow::Result<()> {
        self.spawn()?;
        self.wait_ready()
    }

    pub fn spawn(&mut self) -> anyhow::Result<()> {
        let log = File::options().create(true).append(true).open(self.log())?;
        let mut command = Command::new(&self.binary);
        command.arg("up").arg("--run-dir").arg(self.run_dir()).arg("--data-dir").arg(self.data_dir());
        command.arg("--listen").arg(self.listen.to_string()).arg("--runtime").arg(&self.runtime);
        command.arg("--account").arg(&self.account).args(&self.options);
        command.envs(self.variables.clone());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        self.up = Some(command.spawn().with_context(|| format!("start {}", self.binary.display()))?);
        Ok(())
    }

    pub fn wait_ready(&mut self) -> anyhow::Result<()> {
        let listen = self.listen;
        let result = wait::until("longshore answers", Duration::from_secs(30), || {
            // The outer result is whether there is an end of waiting, the inner one which.
            if let Some(status) = self.up.as_mut().and_then(|up| up.try_wait().ok().flatten()) {
                return Ok(Err(anyhow!("`longshore up` ended: {status}")));
            }
            match http::get(listen, "localhost", "/_longshore/health") {
                Ok(answer) if answer.status == 200 => Ok(Ok(())),
                Ok(answer) => Err(format!("status {}: {}", answer.status, answer.text())),
                Err(error) => Err(format!("{error:#}")),
            }
        })
        .flatten();
        result.with_context(|| format!("its log:\n{}", self.log_tail()))
    }

    pub fn is_ready(&self) -> bool {
        http::get(self.listen, "localhost", "/_longshore/health").is_ok_and(|answer| answer.status == 200)
    }

    /// The process of a role: up, server, agent or balancer.
    pub fn pid(&self, role: &str) -> Option<i32> {
        let text = std::fs::read_to_string(self.run_dir().join(format!("{role}.pid"))).ok()?;
        let pid: i32 = text.split_whitespace().next()?.parse().ok()?;
        // The number may be another process's by now.
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        (line.split(|byte| *byte == 0).nth(1)? == role.as_bytes()).then_some(pid)
    }

    /// SIGKILL for a role.
    pub fn kill(&mut self, role: &str) -> anyhow::Result<()> {
        let pid = self.pid(role).with_context(|| format!("there is no {role}"))?;
        // SAFETY: kill has no memory effects; the number was just read from the role's own file and checked.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        if role == "up"
            && let Some(mut up) = self.up.take()
        {
            up.wait()?;
        }
        Ok(())
    }

    /// Ctrl-C: `up`, server and agent end, the rest goes on.
    pub fn interrupt(&mut self) -> anyhow::Result<()> {
        let Some(mut up) = self.up.take() else { return Ok(()) };
        // SAFETY: as above; `up` is our child and not reaped yet.
        unsafe { libc::kill(up.id() as i32, libc::SIGINT) };
        wait::until("`longshore up` ends after SIGINT", Duration::from_secs(15), || match up.try_wait() {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err("it runs".to_owned()),
            Err(error) => Err(error.to_string()),
        })
    }

    /// `longshore <arguments> --run-dir <ours>`: standard output.
    pub fn command(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = Command::new(&self.binary).args(arguments).arg("--run-dir").arg(self.run_dir()).output()?;
        if !output.status.success() {
            bail!("longshore {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    pub fn down(&mut self) -> anyhow::Result<()> {
        let result = self.command(&["down"]);
        if let Some(mut up) = self.up.take() {
            up.wait()?;
        }
        result.map(drop)
    }

    /// The mark that names of links, tables and groups of this instance have: a hash of the run directory, as `up` makes it.
    pub fn suffix(&self) -> String {
        let run_dir = self.run_dir();
        let hash = run_dir
            .as_os_str()
            .as_encoded_bytes()
            .iter()
            .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        format!("{:04x}", hash & 0xffff)
    }

    /// The end of what `up` and its children wrote.
    pub fn log_tail(&self) -> String {
        let mut text = String::new();
        for path in [self.log(), self.data_dir().join("balancer.log")] {
            let log = std::fs::read_to_string(&path).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            for line in &lines[lines.len().saturating_sub(25)..] {
                text.push_str("    ");
                text.push_str(line);
                text.push('\n');
            }
        }
        text
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if self.run_dir().exists()
            && let Err(error) = self.down()
        {
            eprintln!("{} could not be taken down: {error:#}", self.dir.display());
        }
        if let Err(error) = std::fs::remove_dir_all(&self.dir) {
            eprintln!("{} could not be removed: {error}", self.dir.display());
        }
    }
}

/// A loopback address that nobody listens on. Below the kernel's ephemeral range: while Longshore is down, no connection
/// of a test may be given its port.
fn free_address() -> Option<SocketAddr> {
    let start = (std::process::id() % 200) as u16 * 50;
    let ports = (0..10_000).map(|offset| 20_000 + (start + offset) % 10_000);
    ports.map(|port| SocketAddr::from(([127, 0, 0, 1], port))).find(|address| TcpListener::bind(address).is_ok())
}

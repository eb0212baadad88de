//! A Docker of our own: private socket, data and network namespace, gone afterwards.

use super::median;
use super::memory::{self, PerTask};
use crate::shell;
use anyhow::{Context, bail};
use longshore_tests::http::Connection;
use longshore_tests::wait;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const CGROUP: &str = "longshore-bench-docker";

pub struct Docker {
    dir: PathBuf,
    daemon: Child,
}

impl Docker {
    /// With a bridge and the sample application's image.
    pub fn start(work: &Path) -> anyhow::Result<Self> {
        // Its bridge and its iptables rules are in the namespace and go with it.
        let in_namespace = ["unshare", "--net", "sh", "-c", "ip link set lo up && exec \"$@\"", "sh", "dockerd"];
        let docker = Self::launch(&work.join("docker"), &in_namespace)?;
        let context = docker.dir.join("image");
        std::fs::create_dir_all(&context)?;
        std::fs::copy(work.join("web"), context.join("web"))?;
        std::fs::copy(longshore_tests::root().join("demo/web/Dockerfile"), context.join("Dockerfile"))?;
        shell::run(docker.cli(&["build", "--quiet", "--tag", "web"]).arg(context).stdout(Stdio::null()))?;
        Ok(docker)
    }

    /// In the host's network, which it leaves as it is: good for pulls from a registry there.
    pub fn on_host(work: &Path) -> anyhow::Result<Self> {
        let untouched = ["--bridge", "none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"];
        Self::launch(&work.join("docker-on-host"), &[&["dockerd"], untouched.as_slice()].concat())
    }

    fn launch(dir: &Path, command: &[&str]) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let log = std::fs::File::create(dir.join("log"))?;
        let mut daemon = Command::new(command[0]);
        daemon.args(&command[1..]).arg("--host").arg(format!("unix://{}", dir.join("docker.sock").display()));
        daemon.arg("--data-root").arg(dir.join("data")).arg("--exec-root").arg(dir.join("exec"));
        daemon.arg("--pidfile").arg(dir.join("pid")).arg("--cgroup-parent").arg(CGROUP);
        daemon.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let docker = Self { daemon: daemon.spawn().context("start dockerd")?, dir: dir.to_owned() };
        wait::until("dockerd answers", Duration::from_secs(30), || match docker.call("GET", "/_ping", &Value::Null) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("{error:#}")),
        })
        .with_context(|| std::fs::read_to_string(docker.dir.join("log")).unwrap_or_default())?;
        Ok(docker)
    }

    /// Of dockerd: what starts it has become it.
    pub fn pid(&self) -> u32 {
        self.daemon.id()
    }

    pub fn cli(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.arg("--host").arg(format!("unix://{}", self.dir.join("docker.sock").display())).args(arguments);
        command.env("DOCKER_CONFIG", &self.dir);
        command
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let mut connection = Connection::open_unix(&self.dir.join("docker.sock"))?;
        let answer = connection.request(method, path, &[("Content-Type", "application/json")], text.as_bytes())?;
        if answer.status >= 300 {
            bail!("docker {path}: {} {}", answer.status, answer.text());
        }
        Ok(serde_json::from_slice(&answer.body).unwrap_or_default())
    }

    /// Milliseconds: `docker run -d`, and create with start through the API.
    pub fn starts(&self, count: usize) -> anyhow::Result<(f64, f64)> {
        let (mut by_command, mut by_api) = (Vec::new(), Vec::new());
        for number in 0..count + 2 {
            let started = Instant::now();
            let id = shell::read(&mut self.cli(&["run", "--detach", "web"]))?;
            let took = started.elapsed().as_secs_f64() * 1000.0;
            self.remove(&id)?;

            let started = Instant::now();
            let created = self.call("POST", "/containers/create", &json!({"Image": "web"}))?;
            let id = created["Id"].as_str().context("an id")?.to_owned();
            self.call("POST", &format!("/containers/{id}/start"), &Value::Null)?;
            let took_by_api = started.elapsed().as_secs_f64() * 1000.0;
            self.remove(&id)?;
            if number >= 2 {
                by_command.push(took);
                by_api.push(took_by_api);
            }
        }
        Ok((median(&by_command).unwrap_or_default(), median(&by_api).unwrap_or_default()))
    }

    /// Containers a second, made and started through the API by ten clients at once.
    pub fn rate(&self, count: usize) -> anyhow::Result<f64> {
        let started = Instant::now();
        let one = || -> anyhow::Result<String> {
            let created = self.call("POST", "/containers/create", &json!({"Image": "web"}))?;
            let id = created["Id"].as_str().context("an id")?.to_owned();
            self.call("POST", &format!("/containers/{id}/start"), &Value::Null)?;
            Ok(id)
        };
        let clients = 10;
        let made: Vec<anyhow::Result<Vec<String>>> = std::thread::scope(|scope| {
            let client = |_| scope.spawn(|| (0..count / clients).map(|_| one()).collect());
            let handles: Vec<_> = (0..clients).map(client).collect();
            handles.into_iter().map(|handle| handle.join().expect("clients do not panic")).collect()
        });
        let ids = made.into_iter().collect::<anyhow::Result<Vec<_>>>()?.concat();
        let rate = ids.len() as f64 / started.elapsed().as_secs_f64();
        ids.iter().try_for_each(|id| self.remove(id))?;
        Ok(rate)
    }

    fn remove(&self, id: &str) -> anyhow::Result<()> {
        self.call("DELETE", &format!("/containers/{id}?force=true"), &Value::Null).map(drop)
    }

    pub fn memory(&self, count: usize) -> anyhow::Result<PerTask> {
        memory::settle();
        let before = (memory::pss_of(&self.processes()), memory::available());
        let mut ids = Vec::new();
        for _ in 0..count {
            ids.push(shell::read(&mut self.cli(&["run", "--detach", "web"]))?);
        }
        memory::settle();
        let dir = self.dir.display().to_string();
        let shims = memory::processes(|command| command.contains("containerd-shim") && command.contains(&dir));
        let shims: Vec<u64> = shims.into_iter().map(memory::pss).take(10).collect();
        let result = PerTask {
            supervisor: median(&shims).unwrap_or_default(),
            managing: (memory::pss_of(&self.processes()) as i64 - before.0 as i64) / count as i64,
            available: (before.1 as i64 - memory::available() as i64) / count as i64,
        };
        for id in &ids {
            self.remove(id)?;
        }
        Ok(result)
    }

    /// dockerd, containerd and shims: all of them name the directory.
    pub fn processes(&self) -> Vec<u32> {
        let dir = self.dir.display().to_string();
        memory::processes(|command| command.contains(&dir))
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        // SAFETY: our own child, not reaped yet; `unshare` and `sh` have become dockerd.
        unsafe { libc::kill(self.daemon.id() as i32, libc::SIGTERM) };
        let _ = wait::until("dockerd ends", Duration::from_secs(20), || match self.daemon.try_wait() {
            Ok(Some(_)) => Ok(()),
            _ => Err("it runs".to_owned()),
        });
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        for line in std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default().lines() {
            let target = line.split(' ').nth(4).unwrap_or_default();
            if Path::new(target).starts_with(&self.dir) {
                let _ = Command::new("umount").arg("--lazy").arg(target).status();
            }
        }
        // In each hierarchy of version 1, or in the one of version 2.
        let _ = std::fs::remove_dir(Path::new("/sys/fs/cgroup").join(CGROUP));
        for hierarchy in std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            let _ = std::fs::remove_dir(hierarchy.path().join(CGROUP));
        }
    }
}

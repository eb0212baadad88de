//! The page.

use super::control::Control;
use super::growth::Level;
use super::memory::PerTask;
use super::proxy::{self, Measured};
use super::pull::Pull;
use super::{Args, start, version};
use crate::shell;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

#[derive(Default)]
pub struct Page {
    date: String,
    machine: String,
    versions: String,
    binary_bytes: u64,
    tasks: usize,
    seconds: u32,
    burst_tasks: usize,
    pub idle: Idle,
    pub start: Start,
    pub memory: Memory,
    pub balancer: Measured,
    pub burst: Burst,
    pub growth: Vec<Level>,
    pub control: Control,
    pub pull: Pull,
}

/// Containers a second, many at once.
#[derive(Default)]
pub struct Burst {
    pub longshore: f64,
    pub docker: f64,
}

/// KiB of PSS with nothing running.
#[derive(Default)]
pub struct Idle {
    pub longshore: u64,
    pub docker: u64,
}

/// Milliseconds.
#[derive(Default)]
pub struct Start {
    pub longshore: start::Longshores,
    pub docker: f64,
    pub docker_api: f64,
    pub runc: f64,
}

#[derive(Default)]
pub struct Memory {
    pub longshore: PerTask,
    pub docker: PerTask,
}

/// How many times more the other needs.
fn ratio(ours: f64, theirs: f64) -> String {
    if ours > 0.0 { format!("{:.1}", theirs / ours) } else { "–".to_owned() }
}

impl Page {
    pub fn new(binary: &Path, args: &Args) -> anyhow::Result<Self> {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu
            .lines()
            .find_map(|line| line.strip_prefix("model name"))
            .unwrap_or("")
            .trim_start_matches([':', ' ', '\t']);
        let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
        let kernel = shell::read(Command::new("uname").arg("-r"))?;
        let cgroups = if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() { 2 } else { 1 };
        let words =
            |text: String, n: usize| text.split_whitespace().nth(n).unwrap_or("?").trim_end_matches(',').to_owned();
        Ok(Self {
            date: shell::read(Command::new("date").arg("+%-d %B %Y").env("LC_ALL", "C"))?,
            machine: format!("{cores} cores of {model}, Linux {kernel}, cgroups version {cgroups}"),
            versions: format!(
                "Docker {}, runc {}, {}, haproxy {}",
                words(version("dockerd", &["--version"]), 2),
                words(version("runc", &["--version"]), 2),
                version("nginx", &["-v"]).trim_start_matches("nginx version: "),
                words(version("haproxy", &["-v"]), 2),
            ),
            binary_bytes: std::fs::metadata(binary)?.len(),
            tasks: args.tasks,
            seconds: args.seconds,
            burst_tasks: args.burst,
            ..Self::default()
        })
    }

    pub fn render(&self) -> String {
        let mut page = String::new();
        let _ = write!(
            page,
            "# Benchmarks\n\n\
             What `cargo xtask bench` measured on {}: {}; {}. The release binary is one static file of {} MiB. Each figure is a \
             median, and all were taken in one run, one subject after another. The last column says how many times more the other \
             needs (below 1: less). Numbers of another machine differ; run it on yours.\n",
            self.date,
            self.machine,
            self.versions,
            self.binary_bytes >> 20
        );

        let seen = self.start.longshore.seen;
        let _ = write!(page, "\n## From the call to a running container\n\n| | ms | × |\n|---|--:|--:|\n");
        let mut row = |name: &str, ms: f64| {
            let _ = writeln!(page, "| {name} | {ms:.1} | {} |", ratio(seen, ms));
        };
        row("Longshore: `RunTask` sent, to `RUNNING` seen in `DescribeTasks`", seen);
        row("Longshore: `createdAt` to `startedAt`", self.start.longshore.stamped);
        row("Docker: `docker run --detach`, bridged", self.start.docker);
        row("Docker: create and start through its API, bridged", self.start.docker_api);
        row("runc: `runc run --detach`, a ready bundle, no network set-up", self.start.runc);
        let _ = write!(
            page,
            "\nThe image is warm: {} containers of the sample application (`demo/web`, one static program), one after another, after \
             three that do not count. A Longshore task gets a network interface, security groups, a metadata endpoint and a durable \
             record in that time. Its client keeps one HTTP connection and asks every 2 ms. `docker run` contains the start of its client; \
             the line below it does not.\n",
            self.tasks
        );

        let (ours, docker) = (&self.memory.longshore, &self.memory.docker);
        let _ = write!(page, "\n## Memory\n\n| | Longshore, KiB | Docker, KiB | × |\n|---|--:|--:|--:|\n");
        for (name, a, b) in [
            ("all processes, nothing runs (PSS)", self.idle.longshore as i64, self.idle.docker as i64),
            (
                "supervisor or shim of a container (PSS, median of ten)",
                ours.supervisor as i64,
                docker.supervisor as i64,
            ),
            ("all that manages, per sleeping container (growth of PSS)", ours.managing, docker.managing),
            ("all in, per sleeping container (drop of MemAvailable)", ours.available, docker.available),
        ] {
            // Less than nothing: the rest of the machine was louder.
            let figure = |kib: i64| if kib > 0 { kib.to_string() } else { "–".to_owned() };
            let times = if b > 0 { ratio(a as f64, b as f64) } else { "–".to_owned() };
            let _ = writeln!(page, "| {name} | {} | {} | {times} |", figure(a), figure(b));
        }
        let _ = write!(
            page,
            "\n{} containers at once. PSS shares a page among the processes that map it; it is the sum over `/proc/<pid>/smaps_rollup` of all \
             processes of `up`, server, agent, balancer and supervisors, or of dockerd, containerd and shims. MemAvailable includes \
             the kernel's part (network namespaces, mounts, cgroups) and the application itself, is read after caches were dropped, and is \
             the noisiest figure here.\n",
            2 * self.tasks
        );

        self.render_balancer(&mut page);
        self.render_pull(&mut page);
        self.render_burst(&mut page);
        self.render_control(&mut page);
        self.render_growth(&mut page);
        page
    }

    pub fn render_balancer(&self, page: &mut String) {
        let _ = write!(
            page,
            "\n## Load balancer\n\n| | bytes | CPU a request, µs | × | requests a second | p99, ms |\n|---|--:|--:|--:|--:|--:|\n"
        );
        let mut base = 0.0;
        for proxy in &self.balancer.proxies {
            if proxy.is_base {
                base = proxy.cpu_per_request;
            }
            let _ = writeln!(
                page,
                "| {} | {} | {:.1} | {} | {:.0} | {:.1} |",
                proxy.name,
                proxy.size,
                proxy.cpu_per_request,
                ratio(base, proxy.cpu_per_request),
                proxy.requests_per_second,
                proxy.p99_ms
            );
        }
        let _ = write!(
            page,
            "\n`wrk -t1 -c64 -d{}s`, kept connections, answers of one task of the sample application, which may use two cores; median of {} rounds \
             in orders of chance, after one that does not count. All three run in the VPC's network namespace, listen on the load \
             balancer's private address, keep their connections to the target, and add the X-Forwarded headers. nginx has one worker and haproxy \
             one thread. CPU is user and system time of the process in `/proc`; requests a second depend on the \
             client and the target, which share the cores. TLS is with a P-256 certificate; wrk resumes no session.\n\n\
             {} clients that asked once and then rest cost the balancer {:.0} MiB (growth of PSS).\n",
            self.seconds,
            proxy::ROUNDS,
            proxy::IDLE_CLIENTS,
            self.balancer.idle_clients as f64 / 1024.0
        );
    }

    fn render_pull(&self, page: &mut String) {
        let Pull { compressed_megabytes, megabytes, longshore, docker } = self.pull;
        let _ = write!(
            page,
            "\n## A large image\n\n| pull and unpack, {megabytes} MB in ten layers | Longshore | Docker | × |\n|---|--:|--:|--:|\n\
             | seconds | {:.1} | {:.1} | {:.1} |\n| most resident memory of the process that pulls, MiB | {} | {} | {:.1} |\n\n\
             {compressed_megabytes} MB as pushed, ten thousand files, from Longshore's registry to nodes that have nothing of it: \
             `pullStartedAt` to `pullStoppedAt` of a task, and `docker pull` with overlay2. Three rounds in turn, each with an \
             image of its own.\n",
            longshore.seconds,
            docker.seconds,
            docker.seconds / longshore.seconds,
            longshore.resident >> 10,
            docker.resident >> 10,
            docker.resident as f64 / longshore.resident as f64,
        );
    }

    fn render_burst(&self, page: &mut String) {
        let (ours, docker) = (self.burst.longshore, self.burst.docker);
        let _ = write!(
            page,
            "\n## Many at once\n\n{} tasks from {} `RunTask` calls, until the last is seen `RUNNING`: {ours:.0} a second. Docker, as many \
             containers created and started through its API by ten clients at once: {docker:.0} a second; Longshore starts {:.1} times as many.\n",
            self.burst_tasks,
            self.burst_tasks / 10,
            ours / docker
        );
    }

    fn render_control(&self, page: &mut String) {
        let c = &self.control;
        let _ = write!(
            page,
            "\n## Control plane\n\n| | |\n|---|--:|\n\
             | `RegisterTaskDefinition`, durable, {} clients | {:.0} a second |\n\
             | tasks started in tens (simulated, so only the API, the store and the controllers) | {:.0} a second |\n\
             | `longshore up` with {} tasks in its store, from exec to the first healthy answer | {:.0} ms |\n\
             | PSS of all processes after it | {} MiB |\n\n\
             | CPU of the server for a call, among as many tasks | one client, µs | {} at once, µs |\n|---|--:|--:|\n",
            c.clients,
            c.registered,
            c.launched,
            c.tasks,
            c.ready,
            c.pss >> 10,
            super::control::AT_ONCE,
        );
        for (what, cost) in [
            ("`DescribeTasks` of ten", c.describe),
            ("the same with `--auth iam`, by a user with AmazonECS_FullAccess", c.describe_as_user),
            ("`ListTasks`, a page of 100", c.list),
            ("nginx, a file as long as that of `DescribeTasks`", c.file),
        ] {
            let _ = writeln!(page, "| {what} | {:.0} | {:.0} |", cost.one, cost.many);
        }
        page.push_str(
            "\n`--runtime none`. CPU is the scheduler's account of all threads of the server over calls on kept connections, \
             the median of 15 rounds of a thousand, one subject after another: HTTP, parsing, the answer and its encoding. \
             Where one client waits for each answer, both processors go to sleep and are woken for every call; what that costs \
             a virtual machine is in the figure and swings with the host, by a factor of two. nginx shows how it was just then.\n",
        );
    }

    fn render_growth(&self, page: &mut String) {
        let _ = write!(
            page,
            "\n## How it grows\n\n| running tasks | tasks a second to get there | one more, ms | `ListTasks`, ms | `DescribeTasks` of ten, ms | idle CPU, % | PSS, MiB |\n\
             |--:|--:|--:|--:|--:|--:|--:|\n"
        );
        for l in &self.growth {
            let _ = writeln!(
                page,
                "| {} | {:.0} | {:.1} | {:.2} | {:.2} | {:.2} | {:.0} |",
                l.tasks,
                l.rate,
                l.launch,
                l.list,
                l.describe,
                l.idle_cpu,
                l.pss as f64 / 1024.0
            );
        }
        let _ = write!(
            page,
            "\nReal tasks that sleep. Idle CPU is of one core, all processes of Longshore together over five seconds in which nobody \
             asks; PSS is theirs too.\n"
        );
        for (title, unit, value) in [
            ("Launch rate", "tasks a second", (|l| l.rate) as fn(&Level) -> f64),
            ("One more task", "ms", |l| l.launch),
            ("ListTasks", "ms", |l| l.list),
            ("Memory", "MiB", |l| l.pss as f64 / 1024.0),
        ] {
            let join = |each: &dyn Fn(&Level) -> String| self.growth.iter().map(each).collect::<Vec<_>>().join(", ");
            let _ = write!(
                page,
                "\n```mermaid\nxychart-beta\n    title \"{title}\"\n    x-axis \"running tasks\" [{}]\n    y-axis \"{unit}\"\n    line [{}]\n```\n",
                join(&|l| l.tasks.to_string()),
                join(&|l| format!("{:.2}", value(l))),
            );
        }
    }
}

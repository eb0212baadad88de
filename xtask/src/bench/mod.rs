//! `cargo xtask bench`: Longshore beside Docker, runc, nginx and haproxy, on one machine in one run.
//!
//! It reports and asserts nothing: a busy machine changes every number, and a ratio is what lasts. Medians throughout.

use crate::machine::{self, Need};
use crate::{build, shell, terminal};
use anyhow::{Context, bail};
use longshore_tests::instance::Instance;
use longshore_tests::sample;
use std::path::{Path, PathBuf};
use std::process::Command;

mod control;
mod docker;
mod growth;
mod longshore;
mod memory;
mod proxy;
mod pull;
mod report;
mod runc;
mod start;

/// What is measured by hand is below this, and stays.
const BY_HAND: &str = "\n## By hand\n";

#[derive(clap::Args)]
pub struct Args {
    /// Measure this binary instead of building one
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Tasks started one after another; twice as many sleep at once
    #[arg(long, default_value_t = 20)]
    tasks: usize,
    /// Seconds of each of the rounds against the proxies
    #[arg(long, default_value_t = 5)]
    seconds: u32,
    /// Tasks started by ten RunTask calls or more at once, and as many Docker containers
    #[arg(long, default_value_t = 200)]
    burst: usize,
    /// Numbers of running tasks at which growth is looked at
    #[arg(long, value_delimiter = ',', default_values_t = [10, 100, 300, 1000])]
    levels: Vec<usize>,
    /// Tasks that the control plane's figures are among
    #[arg(long, default_value_t = 10_000)]
    stored: usize,
    /// Measure one part, print its figures and write nothing
    #[arg(long)]
    only: Option<Part>,
    /// Print the page instead of writing docs/benchmarks.md
    #[arg(long)]
    print: bool,
}

/// Parts that stand alone.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Part {
    /// The load balancer beside nginx and HAProxy
    Balancer,
    /// What calls cost, and how soon a full control plane is back
    Control,
    /// A large image
    Pull,
}

pub fn run(args: Args) -> anyhow::Result<()> {
    if !shell::is_root() {
        bail!("the comparison starts daemons and namespaces; run it as root, or in `sudo -E`");
    }
    terminal::step("What the comparison needs");
    machine::install(&[
        machine::COMPILER,
        machine::STATIC_LIBC,
        machine::NFT,
        machine::IP,
        machine::RUNC,
        Need { program: "dockerd", package: "docker.io" },
        Need { program: "nginx", package: "nginx-light" },
        Need { program: "haproxy", package: "haproxy" },
        Need { program: "wrk", package: "wrk" },
        Need { program: "openssl", package: "openssl" },
        Need { program: "nsenter", package: "util-linux" },
    ])?;
    let binary = match &args.binary {
        Some(path) => std::path::absolute(path)?,
        None => build::release()?,
    };
    let work = Work::new()?;
    sample::compile_web(&work.dir.join("web"))?;
    match args.only {
        Some(Part::Balancer) => {
            let mut instance = Instance::started(&binary, "builtin")?;
            let mut ours = longshore::Longshore::new(&instance)?;
            let mut page = report::Page::new(&binary, &args)?;
            page.balancer = proxy::compare(&mut ours, &instance, &work.dir, args.seconds)?;
            drop(ours);
            instance.down()?;
            let mut text = String::new();
            page.render_balancer(&mut text);
            println!("{text}");
        }
        Some(Part::Control) => println!("{:#?}", control::measure(&binary, args.stored)?),
        Some(Part::Pull) => println!("{:#?}", pull::measure(&binary, &work.dir)?),
        None => return all(&args, &binary, &work),
    }
    Ok(())
}

fn all(args: &Args, binary: &Path, work: &Work) -> anyhow::Result<()> {
    terminal::step("Longshore");
    let mut instance = Instance::started(binary, "builtin")?;
    let mut ours = longshore::Longshore::new(&instance)?;
    let mut page = report::Page::new(binary, args)?;
    page.idle.longshore =
        memory::pss_of(&memory::processes(|command| command.contains(&instance.dir.display().to_string())));
    terminal::note("starts");
    page.start.longshore = start::longshore(&mut ours, args.tasks)?;
    terminal::note("sleeping tasks");
    page.memory.longshore = memory::longshore(&mut ours, &instance, 2 * args.tasks)?;
    terminal::note("proxies");
    page.balancer = proxy::compare(&mut ours, &instance, &work.dir, args.seconds)?;
    terminal::note("many at once");
    let (burst, rate) = growth::launch(&mut ours, args.burst)?;
    page.burst.longshore = rate;
    growth::stop(&mut ours, &burst)?;
    terminal::note("growth");
    page.growth = growth::measure(&mut ours, &instance, &args.levels)?;
    drop(ours);
    instance.down()?;
    drop(instance);

    terminal::step("Longshore's control plane");
    page.control = control::measure(binary, args.stored)?;

    terminal::step("A large image");
    page.pull = pull::measure(binary, &work.dir)?;

    terminal::step("runc");
    page.start.runc = runc::starts(&work.dir, args.tasks)?;

    terminal::step("Docker");
    let docker = docker::Docker::start(&work.dir)?;
    page.idle.docker = memory::pss_of(&docker.processes());
    terminal::note("starts");
    (page.start.docker, page.start.docker_api) = docker.starts(args.tasks)?;
    terminal::note("many at once");
    page.burst.docker = docker.rate(args.burst)?;
    terminal::note("sleeping containers");
    page.memory.docker = docker.memory(2 * args.tasks)?;
    drop(docker);

    let target = longshore_tests::root().join("docs/benchmarks.md");
    let old = std::fs::read_to_string(&target).unwrap_or_default();
    let by_hand = old.find(BY_HAND).map_or("", |at| &old[at..]);
    let text = format!("{}{by_hand}", page.render());
    if args.print {
        println!("\n{text}");
    } else {
        std::fs::write(&target, &text).with_context(|| format!("write {}", target.display()))?;
        println!("\n{text}\nwritten to {}", target.display());
    }
    Ok(())
}

/// A directory that goes away.
struct Work {
    dir: PathBuf,
}

impl Work {
    fn new() -> anyhow::Result<Self> {
        let dir = std::env::temp_dir().join(format!("longshore-bench-{}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        Ok(Self { dir })
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// The middle one; the mean of two would be a value nobody measured.
pub fn median<T: Copy + PartialOrd>(values: &[T]) -> Option<T> {
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| a.partial_cmp(b).expect("measurements are numbers"));
    sorted.get(sorted.len() / 2).copied()
}

fn version(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|o| [o.stdout, o.stderr].concat()).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().next().unwrap_or("?").to_owned()
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

//! `cargo xtask soak`: half an hour of random calls, requests and kills of every process.
//!
//! It fails when something acknowledged is missing, when a request failed that no kill explains, when it does not come to
//! rest as it began (processes, descriptors, links, mounts, groups, rules), or when something is left after `down`.

mod calls;
mod census;

use crate::machine;
use crate::{build, shell, terminal};
use anyhow::{Context, bail};
use calls::Calls;
use census::Census;
use longshore_tests::instance::Instance;
use longshore_tests::random::Random;
use longshore_tests::service::{Balanced, Load};
use longshore_tests::{leftovers, wait};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

#[derive(clap::Args)]
pub struct Args {
    /// How long calls, requests and kills go on
    #[arg(long, default_value_t = 30)]
    minutes: u64,
    /// Use this binary instead of building one
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Of the choices; the moments depend on the machine
    #[arg(long)]
    seed: Option<u64>,
    /// Requests a second to the load balancer
    #[arg(long, default_value_t = 100)]
    requests: u32,
}

/// What the death of a balancer or of a container may cost: the requests it held, and those until its place is taken.
const EXPLAINED: Duration = Duration::from_secs(15);
/// Of a failure that nothing explains, kills so long before are told.
const BLAMED: Duration = Duration::from_secs(40);

const VICTIMS: [&str; 6] = ["server", "agent", "up", "balancer", "container", "supervisor"];

/// One kill: what, and when.
struct Kill {
    victim: &'static str,
    at: Instant,
}

pub fn run(args: Args) -> anyhow::Result<()> {
    if !shell::is_root() {
        bail!("containers and namespaces need root; run it as root, or in `sudo -E`");
    }
    machine::install(&[machine::COMPILER, machine::STATIC_LIBC, machine::NFT, machine::IP])?;
    let binary = match &args.binary {
        Some(path) => std::path::absolute(path)?,
        None => build::debug()?,
    };
    let seed = args.seed.unwrap_or_else(|| u64::from(std::process::id()) << 20 | 1);
    terminal::step(&format!("{} minutes, seed {seed}", args.minutes));
    let before = leftovers::everything();
    let mut instance = Instance::started(&binary, "builtin")?;
    let result = soak(&args, &mut instance, Random(seed)).with_context(|| format!("seed {seed}"));
    if result.is_err() {
        return result.with_context(|| format!("the log of the instance:\n{}", instance.log_tail()));
    }
    instance.down()?;
    wait::until("nothing is left after `longshore down`", Duration::from_secs(10), || {
        let mut left = leftovers::of(&instance);
        left.extend(leftovers::since(&before, &instance));
        if left.is_empty() { Ok(()) } else { Err(format!("{left:#?}")) }
    })?;
    terminal::note("nothing is left");
    Ok(())
}

fn soak(args: &Args, instance: &mut Instance, mut random: Random) -> anyhow::Result<()> {
    let mut service = Balanced::start(instance)?;
    let mut calls = Calls::new(instance)?;
    // Everything has been used once: what is there now is what there should be at the end.
    for _ in 0..20 {
        calls.make(instance, &mut random)?;
    }
    calls.stop_all(instance)?;
    let first = rest(instance, &mut service, &mut calls)?;
    println!("{}\n{first}", census::HEAD);

    let load = Load::start(&service, args.requests);
    let (started, since, mut kills) = (Instant::now(), wall_clock(), Vec::new());
    let mut next_kill = started + Duration::from_secs(5);
    let mut next_census = started + Duration::from_secs(60);
    while started.elapsed() < Duration::from_secs(args.minutes * 60) {
        calls.make(instance, &mut random)?;
        if Instant::now() > next_kill {
            kills.extend(kill(instance, &mut random)?);
            next_kill = Instant::now() + Duration::from_millis(1000 + random.below(6000));
        }
        if Instant::now() > next_census {
            next_census += Duration::from_secs(60);
            println!("{}", Census::take(instance));
        }
    }
    let (answered, failures) = load.end();
    calls.stop_all(instance)?;
    let last = rest(instance, &mut service, &mut calls)?;
    println!("{last}");

    let explains = |at: &Instant| {
        kills.iter().any(|k| {
            matches!(k.victim, "balancer" | "container" | "supervisor") && *at > k.at && *at - k.at < EXPLAINED
        })
    };
    let unexplained: Vec<&(Instant, String)> = failures.iter().filter(|(at, _)| !explains(at)).collect();
    let counts =
        VICTIMS.map(|victim| format!("{victim} {}", kills.iter().filter(|kill| kill.victim == victim).count()));
    terminal::note(&format!("{} kills: {}", kills.len(), counts.join(", ")));
    terminal::note(&format!("{} calls, the answers of {} lost, {} rows made", calls.made, calls.lost, calls.rows));
    terminal::note(&format!(
        "{answered} requests answered; {} failed when a balancer or a container was killed, {} else",
        failures.len() - unexplained.len(),
        unexplained.len()
    ));
    if let (Some((first, text)), Some((last, _))) = (unexplained.first(), unexplained.last()) {
        let before = kills.iter().filter(|kill| kill.at < *last && *first - kill.at < BLAMED);
        let before: Vec<String> =
            before.map(|kill| format!("{} at {:.1}", kill.victim, (kill.at - started).as_secs_f64())).collect();
        let window = (*first - started).saturating_sub(BLAMED).as_secs_f64()..(*last - started).as_secs_f64();
        let events: Vec<String> = service
            .events()?
            .into_iter()
            .map(|(at, message)| (at - since, message))
            .filter(|(at, _)| window.contains(at))
            .map(|(at, message)| format!("    {at:.1} {message}"))
            .collect();
        bail!(
            "{} requests failed for no reason, between {:.1} and {:.1} s; killed before: {}; first: {text}; events:\n{}",
            unexplained.len(),
            (*first - started).as_secs_f64(),
            (*last - started).as_secs_f64(),
            before.join(", "),
            events.join("\n")
        );
    }
    calls.check(instance)?;
    last.compare(&first, calls.rows).with_context(|| census::sockets(instance))
}

/// Seconds since 1970, as events have them.
fn wall_clock() -> f64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs_f64()
}

/// Kills one process at random; waits until its place is taken.
fn kill(instance: &mut Instance, random: &mut Random) -> anyhow::Result<Option<Kill>> {
    let victim = VICTIMS[random.below(VICTIMS.len() as u64) as usize];
    let at = Instant::now();
    if matches!(victim, "container" | "supervisor") {
        let choose = if victim == "container" { census::container_of } else { census::supervisor_of };
        let Some(pid) = choose(instance, random) else { return Ok(None) };
        // SAFETY: kill has no memory effects; the process is one of our own instance's.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        return Ok(Some(Kill { victim, at }));
    }
    let Some(old) = instance.pid(victim) else { return Ok(None) };
    instance.kill(victim)?;
    if victim == "up" {
        std::thread::sleep(Duration::from_millis(random.below(800)));
        instance.spawn()?;
    }
    wait::until(&format!("a new {victim} runs"), Duration::from_secs(30), || match instance.pid(victim) {
        Some(pid) if pid != old && instance.is_ready() => Ok(()),
        seen => Err(format!("{seen:?}")),
    })?;
    Ok(Some(Kill { victim, at }))
}

/// Waits until the service has its two tasks and nothing else runs: what there is then.
fn rest(instance: &mut Instance, service: &mut Balanced, calls: &mut Calls) -> anyhow::Result<Census> {
    service.api = longshore_tests::api::Api::open(instance.listen)?;
    wait::until("the service is steady", Duration::from_secs(180), || calls.is_steady(service))?;
    // Connections to targets that nobody uses are closed after a minute; caches are written.
    std::thread::sleep(Duration::from_secs(80));
    Ok(Census::take(instance))
}

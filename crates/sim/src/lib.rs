//! Longshore on a virtual clock: the real handlers, store, controllers, planner, feed and agent, with pretended containers,
//! disks and connections, under faults that one seed chooses. See `docs/simulation.md`.
//!
//! ```text
//!  clients ──calls──► control plane ═══ pipe ═══► agent ──► supervisors (decisions real, processes not)
//!  (model)             store on a disk              hub, shells
//!                      that may fail    ═══ pipe ═══► balancer, which outlives the control plane
//!  checkers look at every commit, and at everything once faults have ceased
//! ```
//! One thread, one tokio runtime whose clock stands still while anything can be done and jumps to the next timer when nothing
//! can. All chance comes from [`rng`], so a seed is a run.

mod balancer;
mod behaviour;
pub mod bug;
mod check;
mod client;
mod control;
mod images;
mod node;
mod pipe;
mod policy;
mod rng;
mod rogue;
mod settled;
mod supervisor;
mod trace;
mod world;

pub use bug::Bug;
pub use world::Violation;

use client::Client;
use longshore_planner::service::STEADY;
use std::cell::RefCell;
use std::sync::{Arc, Once};
use std::time::Duration;
use world::{World, lock};

/// One run.
#[derive(Debug, Clone)]
pub struct Options {
    pub seed: u64,
    /// Virtual time with faults.
    pub duration: Duration,
    pub bug: Option<Bug>,
    /// Keep the trace's lines.
    pub trace: bool,
}

#[derive(Debug, Clone)]
pub struct Outcome {
    pub violation: Option<Violation>,
    /// Of the trace.
    pub hash: u64,
    pub events: u64,
    pub commits: u64,
    /// Virtual time until everything was settled.
    pub virtual_seconds: u64,
    pub lines: Vec<String>,
}

/// After faults have ceased, everything is as it should be within this time: a launch is tried again after 15 minutes at
/// the latest.
const SETTLES_IN: Duration = Duration::from_secs(30 * 60);
/// And stays so.
const STAYS: Duration = Duration::from_secs(45);

/// How far the clock is corrected at most, in either direction.
const CORRECTED_MS_MAX: u64 = 120_000;
/// How long the machine sleeps at most. All together it stays far below the hour after which stopped tasks are forgotten.
const SLEEPS_MS_MAX: u64 = 600_000;

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs one seed to its end.
pub fn run(options: &Options) -> Outcome {
    catch_panics();
    PANIC.set(None);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs nothing");
    let outcome = runtime.block_on(async {
        let world = World::new(options.seed, options.bug, options.trace);
        // Every line of the product's log is read in some runs: it costs time.
        let log = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_ansi(false);
        let log = log.with_writer(check::Searching(Arc::clone(&world)));
        let _log = (options.seed % 16 == 3).then(|| tracing::subscriber::set_default(log.finish()));
        world.note("world", format!("seed {}: {:?}", options.seed, world.policy));
        tokio::select! {
            biased;
            () = world.over.notified() => {}
            () = scenario(&world, options.duration) => {}
        }
        let panic = PANIC.take();
        if let Some(panic) = &panic {
            world.violated("no panic", panic.clone());
        }
        node::crash_agent(&world, "at the end of the run");
        control::crash(&world, "at the end of the run");
        let (hash, events) = world.hash();
        Outcome {
            violation: world.violation(),
            hash,
            events,
            commits: lock(&world.checks).commits,
            virtual_seconds: world.elapsed().as_secs(),
            lines: world.take_lines(),
        }
    });
    drop(runtime);
    outcome
}

/// A panic in any part of the system is a violation, wherever it is caught.
fn catch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let simulated = tokio::runtime::Handle::try_current().is_ok();
            if !simulated {
                return usual(panic);
            }
            PANIC.with_borrow_mut(|first| {
                first.get_or_insert_with(|| panic.to_string());
            });
        }));
    });
}

async fn scenario(world: &Arc<World>, duration: Duration) {
    control::start(world);
    node::start_agent(world);
    let mut clients: Vec<Client> = (1..=world.policy.clients).map(|number| Client::new(world, number)).collect();
    let mut balancer = balancer::start(world, balancer::Config::default());
    {
        let faults = faults(world, &mut balancer);
        let work = async {
            let mut running: Vec<_> = clients.iter_mut().map(|client| Box::pin(client.run())).collect();
            together(&mut running).await;
        };
        let time = async {
            tokio::time::sleep(duration).await;
            world.end_faults();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = faults => {}
            () = time => {}
            () = work => {}
        }
    }
    heal(world, &mut balancer);
    // Who asks for a reset asks until it is done: nobody knows what there is after half of one.
    while lock(&world.checks).reset_is_due {
        control::reset(world).await;
    }
    for client in &mut clients {
        client.quieten().await;
    }
    if !settle(world, "settles").await {
        return;
    }
    for client in &clients {
        client.compare().await;
    }
    lines_are_kept(world);
    for client in &clients {
        client.tear_down().await;
    }
    if !settle(world, "ends").await {
        return;
    }
    for client in &clients {
        client.delete().await;
    }
    if let Some(process) = lock(&world.control).as_ref() {
        let left = process.store.snapshot().network_interfaces().len();
        if left > 0 {
            world.violated("leaked interface", format!("{left} interfaces are left when everything is deleted"));
        }
    }
}

/// Polls all until all are done.
async fn together<F: Future<Output = ()> + Unpin>(futures: &mut Vec<F>) {
    std::future::poll_fn(|context| {
        futures.retain_mut(|future| std::pin::Pin::new(future).poll(context).is_pending());
        if futures.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// Everything that goes wrong, each kind in its own time, while faults last.
async fn faults(world: &Arc<World>, balancer: &mut tokio::task::AbortHandle) {
    let policy = &world.policy;
    let control = async {
        loop {
            // Down too when a commit was the last of its process.
            tokio::select! {
                biased;
                () = world.until(policy.crash_control) => control::crash(world, ""),
                () = gone(|| lock(&world.control).is_none()) => {}
            }
            world.delay((50, 4_000)).await;
            if lock(&world.control).is_none() {
                control::start(world);
            }
        }
    };
    let agent = async {
        loop {
            world.until(policy.crash_agent).await;
            node::crash_agent(world, "");
            world.delay((10, 5_000)).await;
            if lock(&world.node).agent.is_none() {
                node::start_agent(world);
            }
        }
    };
    let machine = async {
        loop {
            world.until(policy.lose_node).await;
            node::lose(world);
            world.delay((1_000, 60_000)).await;
            if lock(&world.node).agent.is_none() {
                node::start_agent(world);
            }
        }
    };
    let supervisors = async {
        loop {
            world.until(policy.kill_supervisor).await;
            node::kill_supervisor(world);
        }
    };
    let links = async {
        loop {
            world.until(policy.break_link).await;
            world.note("fault", "connections break");
            world.breaker.notify_waiters();
        }
    };
    let disk = async {
        loop {
            world.until(policy.full_disk).await;
            fail_disk(world).await;
        }
    };
    let resets = async {
        loop {
            world.until(policy.reset).await;
            control::reset(world).await;
        }
    };
    let data_plane = async {
        loop {
            world.until(policy.crash_balancer).await;
            world.note("fault", "the balancer is killed");
            balancer.abort();
            world.delay((10, 3_000)).await;
            let config = lock(&world.checks).balancer_config.clone();
            *balancer = balancer::start(world, config);
        }
    };
    let tags = async {
        loop {
            world.until(policy.move_tags).await;
            let image = behaviour::SOUND[world.draw(|rng| rng.below(behaviour::SOUND.len() as u64)) as usize];
            *lock(&world.tags).entry(image.to_owned()).or_default() += 1;
            world.note("fault", format!("the tag of {image} moves"));
        }
    };
    let clock = async {
        let mut has_slept = false;
        loop {
            world.until(policy.set_clock).await;
            // Mostly it is corrected, now and then the machine has slept.
            let by_ms = world.draw(|rng| match rng.below(4) {
                0 if !has_slept => rng.between(60_000, SLEEPS_MS_MAX) as i64,
                _ => rng.between(0, 2 * CORRECTED_MS_MAX) as i64 - CORRECTED_MS_MAX as i64,
            });
            has_slept |= by_ms > CORRECTED_MS_MAX as i64;
            world.set_clock(by_ms);
        }
    };
    let mut all: Vec<std::pin::Pin<Box<dyn Future<Output = ()> + '_>>> = vec![
        Box::pin(control),
        Box::pin(agent),
        Box::pin(machine),
        Box::pin(supervisors),
        Box::pin(links),
        Box::pin(disk),
        Box::pin(resets),
        Box::pin(data_plane),
        Box::pin(tags),
        Box::pin(clock),
    ];
    together(&mut all).await;
}

/// Looks now and then whether something is so.
async fn gone(is: impl Fn() -> bool) {
    while !is() {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn fail_disk(world: &World) {
    use longshore_store::engine::Failure;
    let kept = world.draw(|rng| rng.chance(1, 3));
    world.note("fault", if kept { "the disk reports failures that are none" } else { "the disk is full" });
    lock(&world.checks).keeps_failures = kept;
    world.engine.fail(if kept { Failure::KeptButReported } else { Failure::Lost });
    world.delay((500, 20_000)).await;
    world.engine.fail(Failure::None);
    world.note("fault", "the disk works again");
}

/// Everybody is alive and nothing is broken.
fn heal(world: &Arc<World>, balancer: &mut tokio::task::AbortHandle) {
    world.engine.fail(longshore_store::engine::Failure::None);
    if lock(&world.control).is_none() {
        control::start(world);
    }
    if lock(&world.node).agent.is_none() {
        node::start_agent(world);
    }
    if balancer.is_finished() {
        let config = lock(&world.checks).balancer_config.clone();
        *balancer = balancer::start(world, config);
    }
}

/// Waits until everything is as wanted, and that it stays so without anybody writing.
async fn settle(world: &Arc<World>, check: &'static str) -> bool {
    let deadline = tokio::time::Instant::now() + SETTLES_IN;
    loop {
        let open = settled::unsettled(world);
        if open.is_empty() {
            break;
        }
        if tokio::time::Instant::now() > deadline {
            world.violated(check, open.join("; "));
            return false;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    world.note("world", "everything is settled");
    // Reports of the load balancer may still be under way, and young tasks have to become steady ones: by a clock that was
    // set back as well.
    let set_back = world.latest().since(world.now());
    tokio::time::sleep(STEADY + set_back + Duration::from_secs(20)).await;
    let Some(store) = lock(&world.control).as_ref().map(|process| process.store.clone()) else { return false };
    let mut watcher = store.watch();
    tokio::time::sleep(STAYS).await;
    let open = settled::unsettled(world);
    if !open.is_empty() {
        world.violated("stays settled", open.join("; "));
        return false;
    }
    let quiet = tokio::time::timeout(Duration::ZERO, watcher.changed()).await;
    if let Ok(Some(wake)) = quiet {
        world.violated("stays quiet", format!("{:?} change and nobody wanted anything", wake.tables));
        return false;
    }
    drop((watcher, store));
    forgets_nothing(world).await
}

/// Who looks at everything anew, as a control plane does that starts, finds nothing to do.
async fn forgets_nothing(world: &Arc<World>) -> bool {
    control::crash(world, "to look at everything anew");
    control::start(world);
    let Some(store) = lock(&world.control).as_ref().map(|process| process.store.clone()) else { return false };
    let before = store.snapshot();
    tokio::time::sleep(STAYS).await;
    let changes = store.changes_since(before.revision());
    if changes.snapshot().revision() != before.revision() {
        let tables = check::changed_tables(&changes);
        world.violated("second look", format!("a new control plane changes {tables} and nobody wanted anything"));
        return false;
    }
    true
}

/// What a container printed is stored, unless its supervisor was killed with it.
fn lines_are_kept(world: &World) {
    if world.policy.kill_supervisor.is_some() || world.policy.lose_node.is_some() || world.policy.reset.is_some() {
        return;
    }
    let checks = lock(&world.checks);
    let lost = checks.lines_printed.iter().find_map(|(stream, lines)| {
        let kept = checks.lines_kept.get(stream);
        let lost = lines.iter().find(|line| kept.is_none_or(|kept| !kept.contains(line)))?;
        Some(format!("{stream} lacks `{lost}`"))
    });
    drop(checks);
    if let Some(lost) = lost {
        world.violated("lost lines", lost);
    }
}

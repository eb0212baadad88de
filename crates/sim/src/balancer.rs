//! The load balancer as the control plane sees it: it gets a configuration, asks its targets in their intervals, and reports.
//! It outlives the control plane.

use crate::pipe::{self, pipe};
use crate::world::{World, lock};
use longshore_api::elbv2::usage;
use longshore_controllers::agent_link::Generations;
use longshore_controllers::targets;
use longshore_store::tables::{Listeners, LoadBalancers, Rules, TargetGroups, Targets};
use longshore_store::{Snapshot, Store};
use longshore_types::Timestamp;
use longshore_types::elbv2::{TargetHealth, TargetState};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// Target group's ARN, and `address:port`.
type Key = (String, String);

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    generation: u64,
    load_balancers: Vec<String>,
    targets: BTreeMap<Key, Wanted>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    address: Ipv4Addr,
    registered_at: Timestamp,
    used: bool,
    draining: bool,
    delay: Duration,
    interval: Duration,
    healthy_after: u32,
    unhealthy_after: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    generation: u64,
    targets: Vec<targets::Report>,
}

pub struct Connection {
    up: mpsc::UnboundedReceiver<Report>,
    down: pipe::Sender<Config>,
}

/// The control plane's side: pushes what changed, stores what it hears.
pub async fn serve(store: Store, mut balancers: mpsc::UnboundedReceiver<Connection>) {
    let generations = Generations::default();
    while let Some(mut balancer) = balancers.recv().await {
        let Some(first) = balancer.up.recv().await else { continue };
        generations.learn(first.generation);
        take(&store, &first, &[]).await;
        let mut watcher = store.watch().on::<LoadBalancers>().on::<TargetGroups>().on::<Targets>();
        watcher = watcher.on::<Listeners>().on::<Rules>();
        let mut sent = Config::default();
        loop {
            let mut config = configuration(&store.snapshot());
            config.generation = sent.generation;
            if config != sent || sent.generation == 0 {
                config.generation = generations.next();
                if !balancer.down.send(config.clone()) {
                    break;
                }
                sent = config;
            }
            tokio::select! {
                biased;
                report = balancer.up.recv() => {
                    let Some(report) = report else { break };
                    let knows = report.generation >= sent.generation;
                    take(&store, &report, if knows { &sent.load_balancers } else { &[] }).await;
                }
                wake = watcher.changed() => if wake.is_none() { return },
            }
        }
    }
}

async fn take(store: &Store, report: &Report, active: &[String]) {
    while targets::apply(store, report.targets.clone(), active.to_vec()).await.is_err() {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

fn configuration(state: &Snapshot) -> Config {
    let targets = state.targets().all().entries().filter_map(|((scope, arn, id), target)| {
        let group = state.target_groups().get(&(scope.clone(), arn.clone()))?;
        let wanted = Wanted {
            address: target.address,
            registered_at: target.registered_at,
            used: usage::is_used(state, &scope, &arn),
            draining: target.draining_since.is_some(),
            delay: Duration::from_secs(u64::from(group.deregistration_delay_seconds())),
            interval: Duration::from_secs(u64::from(group.health_check.interval_seconds.max(1))),
            healthy_after: group.health_check.healthy_threshold,
            unhealthy_after: group.health_check.unhealthy_threshold,
        };
        Some(((arn, id), wanted))
    });
    Config {
        generation: 0,
        load_balancers: state.load_balancers().all().map(|lb| lb.arn.clone()).collect(),
        targets: targets.collect(),
    }
}

/// What the data plane knows of one target.
struct Seen {
    wanted: Wanted,
    state: TargetState,
    /// Checks in a row that say otherwise than `state`.
    streak: u32,
    next_check: Instant,
    drained_at: Option<Instant>,
}

/// Starts the data plane with the configuration that it wrote down.
pub fn start(world: &Arc<World>, config: Config) -> AbortHandle {
    tokio::spawn(run(Arc::clone(world), config)).abort_handle()
}

async fn run(world: Arc<World>, first: Config) {
    let mut balancer = Balancer { world: Arc::clone(&world), generation: 0, seen: BTreeMap::new() };
    if first.generation > 0 {
        balancer.configure(first);
    }
    loop {
        let connected = connect(&world);
        let Some((up, mut down)) = connected else {
            balancer.look();
            tokio::time::sleep(Duration::from_millis(250)).await;
            continue;
        };
        let mut reported = None;
        loop {
            balancer.look();
            let report = Report { generation: balancer.generation, targets: balancer.report() };
            if reported.as_ref() != Some(&report) {
                if !up.send(report.clone()) {
                    break;
                }
                reported = Some(report);
            }
            tokio::select! {
                biased;
                config = down.recv() => match config {
                    Some(config) => {
                        lock(&world.checks).balancer_config = config.clone();
                        balancer.configure(config);
                    }
                    None => break,
                },
                () = tokio::time::sleep_until(balancer.next()) => {}
            }
        }
    }
}

fn connect(world: &Arc<World>) -> Option<(pipe::Sender<Report>, mpsc::UnboundedReceiver<Config>)> {
    let balancers = lock(&world.control).as_ref()?.balancers.clone();
    let (to_control, up) = pipe(world);
    let (down, from_control) = pipe(world);
    balancers.send(Connection { up, down }).ok()?;
    Some((to_control, from_control))
}

struct Balancer {
    world: Arc<World>,
    generation: u64,
    seen: BTreeMap<Key, Seen>,
}

impl Balancer {
    fn configure(&mut self, config: Config) {
        if config.generation < self.generation {
            let text = format!("a configuration of generation {} comes after {}", config.generation, self.generation);
            return self.world.violated("generations", text);
        }
        self.generation = config.generation;
        self.seen.retain(|key, _| config.targets.contains_key(key));
        for (key, wanted) in config.targets {
            let now = Instant::now();
            let seen = self.seen.entry(key).or_insert_with(|| Seen {
                wanted: wanted.clone(),
                state: TargetState::Initial,
                streak: 0,
                next_check: now,
                drained_at: None,
            });
            // Another registration of the address is another target.
            let is_anew = wanted.registered_at != seen.wanted.registered_at;
            if is_anew {
                seen.drained_at = None;
            }
            if wanted.draining && seen.drained_at.is_none() {
                // Sooner when its last connection ends.
                let delay = u64::try_from(wanted.delay.as_millis()).unwrap_or(0);
                seen.drained_at = Some(now + self.world.between_ms((0, delay)));
            }
            if is_anew || wanted.used != seen.wanted.used {
                seen.state = TargetState::Initial;
                seen.streak = 0;
            }
            seen.wanted = wanted;
        }
    }

    fn look(&mut self) {
        let now = Instant::now();
        for seen in self.seen.values_mut() {
            if seen.wanted.draining || !seen.wanted.used || seen.next_check > now {
                continue;
            }
            let answers = answers(&self.world, seen.wanted.address);
            // A new target is asked more often until it answers.
            let interval = if seen.state == TargetState::Initial && !answers { 1_000 } else { 0 };
            seen.next_check = now + if interval > 0 { Duration::from_millis(interval) } else { seen.wanted.interval };
            let says = if answers { TargetState::Healthy } else { TargetState::Unhealthy };
            if seen.state == says {
                seen.streak = 0;
                continue;
            }
            seen.streak += 1;
            let enough = match (seen.state, answers) {
                (TargetState::Initial, true) => 1,
                (_, true) => seen.wanted.healthy_after,
                // Several of the quick ones are one.
                (TargetState::Initial, false) => seen.wanted.unhealthy_after * 8,
                (_, false) => seen.wanted.unhealthy_after,
            };
            if seen.streak >= enough {
                seen.state = says;
                seen.streak = 0;
            }
        }
    }

    fn next(&self) -> Instant {
        let checks = self.seen.values().filter(|s| !s.wanted.draining && s.wanted.used).map(|s| s.next_check);
        let drains = self.seen.values().filter_map(|s| s.drained_at).filter(|at| *at > Instant::now());
        checks.chain(drains).min().unwrap_or_else(|| Instant::now() + Duration::from_secs(3600))
    }

    fn report(&self) -> Vec<targets::Report> {
        let now = Instant::now();
        let each = self.seen.iter().map(|((target_group, id), seen)| {
            let state = match seen.drained_at {
                Some(at) if at <= now => None,
                Some(_) => Some(TargetState::Draining),
                None if !seen.wanted.used => Some(TargetState::Unused),
                None => Some(seen.state),
            };
            targets::Report {
                target_group: target_group.clone(),
                id: id.clone(),
                registered_at: Some(seen.wanted.registered_at),
                health: state.map(|state| TargetHealth { state, reason: None, description: None }),
            }
        });
        each.collect()
    }
}

/// Whether the task with this address serves requests: its container `web` runs, and is not one that is sick.
fn answers(world: &World, address: Ipv4Addr) -> bool {
    let node = lock(&world.node);
    let task = node.interfaces.values().find(|interface| interface.address == address).map(|i| &i.task);
    let living = task.and_then(|task| node.directories.get(task)).and_then(|d| d.supervisor.as_ref());
    living.is_some_and(|living| living.serving.iter().any(|name| name == "web"))
}

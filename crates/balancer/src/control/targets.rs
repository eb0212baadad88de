//! Targets: their health, their probers, their draining, and which of them get requests.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::namespaces::Namespaces;
use crate::clock;
use crate::compile::users;
use crate::config::{self, Config, TargetGroup};
use crate::egress::Egress;
use crate::health::{Health, Matcher, State, Thresholds};
use crate::netns::Namespace;
use crate::pick::{Minimum, Standing, eligible};
use crate::probe::{Probe, Speech};
use crate::report::{TargetReport, TargetState};
use crate::target::{GroupLive, Target, TargetIds};

/// A new target is asked again after so long, doubling up to [`WARM_UP_MAX`], until its first success: a
/// container that starts in two seconds need not wait for the next regular check. Failures of these extra
/// checks do not count. (An AWS load balancer has several nodes that all check, with a similar effect.)
const WARM_UP_MIN: Duration = Duration::from_millis(50);
const WARM_UP_MAX: Duration = Duration::from_secs(1);

/// A prober's news: the health of the target with this id.
#[derive(Debug)]
pub(super) struct Checked {
    key: Key,
    target_id: u64,
    health: Health,
}

/// Target group ARN and address.
type Key = (String, IpAddr, u16);

/// See the module.
#[derive(Debug)]
pub(super) struct Targets {
    entries: BTreeMap<Key, Entry>,
    egresses: HashMap<String, OwnedEgress>,
    groups: HashMap<String, Arc<GroupLive>>,
    minima: HashMap<String, Minimum>,
    next_id: u64,
    checks: mpsc::UnboundedSender<Checked>,
    idle: Arc<Notify>,
}

#[derive(Debug)]
struct Entry {
    target: Arc<Target>,
    registered_ms: u64,
    health: Health,
    usage: Usage,
    prober: Option<Prober>,
    /// When draining ends, in milliseconds since the Unix epoch.
    drained_at_ms: Option<u64>,
}

/// Whether requests may go to a target at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Usage {
    Used,
    /// No listener forwards to its group.
    NoListener,
    /// The load balancer is not enabled in its zone.
    OtherZone,
}

impl Usage {
    fn of(target: &config::Target, user: Option<&config::LoadBalancer>) -> Usage {
        let Some(user) = user else { return Usage::NoListener };
        let zone = target.availability_zone.as_ref().filter(|zone| *zone != "all" && !user.zones.is_empty());
        if zone.is_none_or(|zone| user.zones.contains(zone)) { Usage::Used } else { Usage::OtherZone }
    }
}

#[derive(Debug)]
struct Prober {
    plan: Plan,
    task: AbortHandle,
}

/// What a prober does; another plan makes another prober.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Plan {
    probe: Probe,
    interval: Duration,
    thresholds: Thresholds,
}

/// The way out of a load balancer, with what it was made from.
#[derive(Debug)]
struct OwnedEgress {
    namespace: Arc<Namespace>,
    sources: Vec<std::net::Ipv4Addr>,
    egress: Arc<Egress>,
}

impl Targets {
    pub(super) fn new(checks: mpsc::UnboundedSender<Checked>, idle: Arc<Notify>) -> Targets {
        Targets {
            entries: BTreeMap::new(),
            egresses: HashMap::new(),
            groups: HashMap::new(),
            minima: HashMap::new(),
            next_id: 1,
            checks,
            idle,
        }
    }

    /// Brings targets and probers in line with the configuration; unchanged ones keep all they have.
    pub(super) fn reconcile(
        &mut self,
        config: &Config,
        namespaces: &Namespaces,
        groups: &HashMap<String, Arc<GroupLive>>,
        probers: &mut JoinSet<()>,
    ) {
        self.groups.clone_from(groups);
        let minimum = |group: &TargetGroup| Minimum {
            count: group.attributes.healthy_count_min,
            percent: group.attributes.healthy_percent_min,
        };
        self.minima = config.target_groups.iter().map(|group| (group.arn.clone(), minimum(group))).collect();
        let users = users(config);
        self.reconcile_egresses(config, namespaces);
        let mut former = std::mem::take(&mut self.entries);
        for group in &config.target_groups {
            let user = users.get(group.arn.as_str()).map(|index| &config.load_balancers[*index]);
            // A group nobody uses is not connected to; a group whose load balancer has no way out yet waits.
            let egress = user.and_then(|user| self.egresses.get(&user.arn)).map(|owned| owned.egress.clone());
            for configured in &group.targets {
                let key = (group.arn.clone(), configured.id, configured.port);
                if self.entries.contains_key(&key) {
                    continue;
                }
                let mut entry = former.remove(&key);
                if let Some(other) = entry.take_if(|entry| entry.registered_ms != configured.registered_ms) {
                    stop(other.prober);
                }
                let entry =
                    self.reconcile_target(group, configured, entry, egress.as_ref(), Usage::of(configured, user));
                self.entries.insert(key.clone(), entry);
                self.reconcile_prober(&key, group, configured, egress.as_ref(), probers);
            }
        }
        for entry in former.into_values() {
            stop(entry.prober);
        }
        let touched: Vec<String> = self.groups.keys().cloned().collect();
        for group in touched {
            self.route(&group);
        }
    }

    fn reconcile_egresses(&mut self, config: &Config, namespaces: &Namespaces) {
        let mut former = std::mem::take(&mut self.egresses);
        for load_balancer in &config.load_balancers {
            let namespace = match namespaces.get(load_balancer.target_namespace.as_deref()) {
                Ok(namespace) => namespace,
                Err(error) => {
                    tracing::warn!(load_balancer = load_balancer.name, error, "targets cannot be reached");
                    continue;
                }
            };
            let sources = load_balancer.source_addresses.clone();
            let kept = former
                .remove(&load_balancer.arn)
                .filter(|owned| Arc::ptr_eq(&owned.namespace, &namespace) && owned.sources == sources);
            let owned = kept.unwrap_or_else(|| OwnedEgress {
                egress: Arc::new(Egress::new(namespace.clone(), sources.clone())),
                namespace,
                sources,
            });
            self.egresses.insert(load_balancer.arn.clone(), owned);
        }
    }

    fn reconcile_target(
        &mut self,
        group: &TargetGroup,
        configured: &config::Target,
        former: Option<Entry>,
        egress: Option<&Arc<Egress>>,
        usage: Usage,
    ) -> Entry {
        let mut entry = former.unwrap_or_else(|| Entry {
            target: self.new_target(group, configured, egress),
            registered_ms: configured.registered_ms,
            health: Health::NEW,
            usage,
            prober: None,
            drained_at_ms: None,
        });
        if egress.is_some_and(|egress| !Arc::ptr_eq(egress, &entry.target.egress)) {
            // Another way to the same address: connections are made anew, what is known of its health stays.
            entry.target = self.new_target(group, configured, egress);
            stop(entry.prober.take());
        }
        if entry.usage != usage {
            entry.usage = usage;
            entry.health = Health::NEW;
        }
        entry.target.set_draining(configured.draining);
        entry.drained_at_ms = configured.draining.then(|| {
            let delay_ms = u64::from(group.attributes.deregistration_delay_seconds) * 1000;
            match (configured.draining_since_ms, entry.drained_at_ms) {
                (Some(since), _) => since + delay_ms,
                (None, Some(known)) => known,
                // Where no request ever went, nothing has to finish.
                (None, None) if usage != Usage::Used => clock::unix_ms(),
                (None, None) => clock::unix_ms() + delay_ms,
            }
        });
        entry
    }

    fn new_target(
        &mut self,
        group: &TargetGroup,
        configured: &config::Target,
        egress: Option<&Arc<Egress>>,
    ) -> Arc<Target> {
        let id = self.next_id;
        self.next_id += 1;
        let address = SocketAddr::new(configured.id, configured.port);
        let egress = egress.cloned().unwrap_or_else(|| Arc::new(Egress::new(Arc::new(Namespace::Host), Vec::new())));
        Arc::new(Target::new(id, &group.arn, address, egress, self.idle.clone()))
    }

    fn reconcile_prober(
        &mut self,
        key: &Key,
        group: &TargetGroup,
        configured: &config::Target,
        egress: Option<&Arc<Egress>>,
        probers: &mut JoinSet<()>,
    ) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let plan = match (plan(group, configured), egress) {
            (Some(plan), Some(_)) if entry.usage == Usage::Used && !configured.draining => plan,
            _ => return stop(entry.prober.take()),
        };
        if entry.prober.as_ref().is_some_and(|prober| prober.plan == plan) {
            return;
        }
        stop(entry.prober.take());
        let (target, checks) = (entry.target.clone(), self.checks.clone());
        let task = probers.spawn(probe_on(plan.clone(), target, key.clone(), entry.health, checks));
        entry.prober = Some(Prober { plan, task });
    }

    /// Takes in a prober's news.
    pub(super) fn take_in(&mut self, checked: Checked) {
        let Some(entry) = self.entries.get_mut(&checked.key) else { return };
        if entry.target.id != checked.target_id || entry.prober.is_none() {
            return;
        }
        let former = std::mem::replace(&mut entry.health, checked.health);
        if former.state != checked.health.state {
            if checked.health.state == State::Healthy {
                entry.target.set_healthy_since_ms(clock::now_ms());
            }
            tracing::info!(
                target_group = checked.key.0,
                target_address = %entry.target.address,
                state = ?checked.health.state,
                failure = ?checked.health.failure,
                "target changed"
            );
            self.route(&checked.key.0);
        }
    }

    /// Tells the data path which targets of a group get requests.
    fn route(&self, group: &str) {
        let Some(live) = self.groups.get(group) else { return };
        let members: Vec<&Entry> =
            self.members(group).map(|(_, entry)| entry).filter(|entry| entry.usage != Usage::OtherZone).collect();
        let standings: Vec<Standing> = members
            .iter()
            .map(|entry| Standing {
                healthy: entry.health.state == State::Healthy,
                draining: entry.drained_at_ms.is_some(),
            })
            .collect();
        let minimum = self.minima.get(group).copied().unwrap_or(Minimum { count: 1, percent: 0 });
        let chosen = eligible(&standings, minimum);
        live.set_eligible(chosen.into_iter().map(|index| members[index].target.clone()).collect());
    }

    fn members<'a>(&'a self, group: &'a str) -> impl Iterator<Item = (&'a Key, &'a Entry)> {
        let lowest = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
        self.entries.range((group.to_owned(), lowest, 0)..).take_while(move |(key, _)| key.0 == group)
    }

    /// Targets whose idle connections are worth keeping.
    pub(super) fn poolable(&self) -> TargetIds {
        let is_poolable = |entry: &&Entry| entry.usage == Usage::Used && entry.drained_at_ms.is_none();
        self.entries.values().filter(is_poolable).map(|entry| entry.target.id).collect()
    }

    /// Time until the next target is drained; `None` when none is draining.
    pub(super) fn next_drained_in(&self, unix_ms: u64) -> Option<Duration> {
        self.entries
            .values()
            .filter_map(|entry| entry.drained_at_ms)
            .filter(|at| *at > unix_ms)
            .min()
            .map(|at| Duration::from_millis(at - unix_ms))
    }

    pub(super) fn report(&self, config: &Config, unix_ms: u64) -> Vec<TargetReport> {
        config
            .target_groups
            .iter()
            .flat_map(|group| self.members(&group.arn))
            .map(|((group, id, port), entry)| {
                let (state, reason) = entry.state(unix_ms);
                let (reason_code, description) = reason.unzip();
                TargetReport {
                    target_group: group.clone(),
                    id: *id,
                    port: *port,
                    registered_ms: Some(entry.registered_ms),
                    state,
                    reason_code: reason_code.map(str::to_owned),
                    description,
                    in_flight: entry.target.in_flight(),
                    counters: entry.target.counts.read(),
                }
            })
            .collect()
    }
}

impl Entry {
    fn state(&self, unix_ms: u64) -> (TargetState, Option<(&'static str, String)>) {
        if let Some(at) = self.drained_at_ms {
            if at <= unix_ms {
                return (TargetState::Drained, None);
            }
            let reason = ("Target.DeregistrationInProgress", "Target deregistration is in progress".to_owned());
            return (TargetState::Draining, Some(reason));
        }
        let unused = match self.usage {
            Usage::Used => None,
            Usage::NoListener => Some("Target group is not configured to receive traffic from the load balancer"),
            Usage::OtherZone => Some("Target is in an Availability Zone that is not enabled for the load balancer"),
        };
        if let Some(text) = unused {
            return (TargetState::Unused, Some(("Target.NotInUse", text.to_owned())));
        }
        if self.prober.is_none() {
            let reason = ("Elb.RegistrationInProgress", "Target registration is in progress".to_owned());
            return (TargetState::Initial, Some(reason));
        }
        let state = match self.health.state {
            State::Initial => TargetState::Initial,
            State::Healthy => TargetState::Healthy,
            State::Unhealthy => TargetState::Unhealthy,
        };
        (state, self.health.reason())
    }
}

fn stop(prober: Option<Prober>) {
    if let Some(prober) = prober {
        prober.task.abort();
    }
}

fn plan(group: &TargetGroup, target: &config::Target) -> Option<Plan> {
    let check = &group.health_check;
    Some(Plan {
        probe: Probe {
            address: SocketAddr::new(target.id, check.port.unwrap_or(target.port)),
            path: check.path.clone(),
            is_tls: check.protocol == config::Protocol::Https,
            speech: match group.protocol_version {
                config::ProtocolVersion::Http1 => Speech::Http1,
                config::ProtocolVersion::Http2 => Speech::Http2,
                config::ProtocolVersion::Grpc => Speech::Grpc,
            },
            timeout: Duration::from_secs(u64::from(check.timeout_seconds.max(1))),
            // Compiling has refused what cannot be parsed.
            matcher: Matcher::parse(&check.matcher)?,
        },
        interval: Duration::from_secs(u64::from(check.interval_seconds.max(1))),
        thresholds: Thresholds { healthy: check.healthy_threshold, unhealthy: check.unhealthy_threshold },
    })
}

/// Probes one target for ever and tells what changed.
async fn probe_on(
    plan: Plan,
    target: Arc<Target>,
    key: Key,
    mut health: Health,
    checks: mpsc::UnboundedSender<Checked>,
) {
    let mut due = Instant::now();
    let mut warm_up = WARM_UP_MIN;
    loop {
        let started = Instant::now();
        let counts = started >= due;
        if counts {
            due = started + plan.interval;
        }
        let outcome = plan.probe.run(&target.egress).await;
        if counts || outcome.is_ok() {
            let after = health.after(outcome, plan.thresholds);
            let is_news = (after.state, after.failure) != (health.state, health.failure);
            health = after;
            if is_news && checks.send(Checked { key: key.clone(), target_id: target.id, health }).is_err() {
                return;
            }
        }
        let next = if health.state == State::Initial {
            let next = due.min(Instant::now() + warm_up);
            warm_up = (warm_up * 2).min(WARM_UP_MAX);
            next
        } else {
            due
        };
        tokio::time::sleep_until(next).await;
    }
}

//! The control task: the one owner of configuration, targets, health and listeners.
//!
//! It takes configurations, watches probe outcomes and the passing of deregistration delays, tells the
//! workers what changed, and publishes a report after whatever happened has been taken in as a whole.

mod listeners;
mod namespaces;
mod targets;

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::auth::{Idp, Keys, Means, Way};
use crate::clock;
use crate::compile::{CompileError, Lives, Route, Routes, compile};
use crate::config::{self, Config, LogDestination};
use crate::counters::LoadBalancerCounts;
use crate::egress::Egress;
use crate::log::{Kind, LogStream, Writer};
use crate::persist;
use crate::report::Report;
use crate::rule::cidr::Cidr;
use crate::target::GroupLive;
use crate::tls::{self, Offer, Offers, TlsError};
use crate::worker::{Order, WorkerHandle};
use listeners::Listeners;
use namespaces::Namespaces;
use targets::{Checked, Targets};

/// Between two looks at counters, which alone do not make a report urgent.
const COUNTERS_EVERY: Duration = Duration::from_secs(10);
/// Between two tries at what failed: a namespace, a listening socket.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// Why a configuration was not taken over. The former one stays in force.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A newer one is in force.
    #[error("generation {offered} is older than {current}, which is in force")]
    Stale {
        /// The one refused.
        offered: u64,
        /// The one in force.
        current: u64,
    },
    /// It contradicts itself.
    #[error("cannot compile the configuration: {0}")]
    Compile(#[from] CompileError),
    /// A listener's certificates or security policy.
    #[error("{0}")]
    Tls(#[from] TlsError),
    /// The balancer is ending.
    #[error("the balancer is shutting down")]
    Ended,
}

/// What the handle asks of the control task.
#[derive(Debug)]
pub(crate) enum Command {
    Apply(Box<Config>, oneshot::Sender<Result<(), ApplyError>>),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Control {
    workers: Vec<WorkerHandle>,
    config_file: Option<PathBuf>,
    config: Config,
    /// Compiled from `config`.
    listening: HashMap<String, Arc<Route>>,
    lives: LongLived,
    /// Why listeners do not offer what the configuration says, by ARN.
    tls_problems: HashMap<String, String>,
    /// A guard lets nobody in for want of a file.
    has_unready_guards: bool,
    namespaces: Namespaces,
    targets: Targets,
    listeners: Listeners,
    probers: JoinSet<()>,
    checked: mpsc::UnboundedReceiver<Checked>,
    target_idle: Arc<Notify>,
    reports: watch::Sender<Arc<Report>>,
}

/// State that outlives configurations, by ARN.
#[derive(Debug)]
struct LongLived {
    groups: HashMap<String, Arc<GroupLive>>,
    load_balancers: HashMap<String, Arc<LoadBalancerCounts>>,
    /// By listener ARN.
    offers: HashMap<String, Arc<Offer>>,
    logs: Writer,
    idp: Arc<Idp>,
    auth_keys: Option<Arc<Keys>>,
}

impl Lives for LongLived {
    fn group(&mut self, arn: &str) -> Arc<GroupLive> {
        self.groups.entry(arn.to_owned()).or_default().clone()
    }

    fn load_balancer(&mut self, arn: &str) -> Arc<LoadBalancerCounts> {
        self.load_balancers.entry(arn.to_owned()).or_default().clone()
    }

    fn offer(&self, listener: &str) -> Option<Arc<Offer>> {
        self.offers.get(listener).cloned()
    }

    fn means(&self) -> Means {
        Means { idp: self.idp.clone(), keys: self.auth_keys.clone() }
    }

    fn log(&self, load_balancer: &config::LoadBalancer, kind: Kind, to: &LogDestination) -> LogStream {
        self.logs.stream(kind, load_balancer, to)
    }
}

impl Control {
    pub(crate) fn new(
        workers: Vec<WorkerHandle>,
        config_file: Option<PathBuf>,
        logs: Writer,
        idp: Arc<Idp>,
        reports: watch::Sender<Arc<Report>>,
    ) -> Control {
        let (checks, checked) = mpsc::unbounded_channel();
        let target_idle = Arc::new(Notify::new());
        Control {
            workers,
            config_file,
            config: Config::default(),
            listening: HashMap::new(),
            lives: LongLived {
                groups: HashMap::new(),
                load_balancers: HashMap::new(),
                offers: HashMap::new(),
                logs,
                idp,
                auth_keys: None,
            },
            tls_problems: HashMap::new(),
            has_unready_guards: false,
            namespaces: Namespaces::default(),
            targets: Targets::new(checks, target_idle.clone()),
            listeners: Listeners::default(),
            probers: JoinSet::new(),
            checked,
            target_idle,
            reports,
        }
    }

    /// Runs until the handle is dropped.
    pub(crate) async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        let mut counters = tokio::time::interval(COUNTERS_EVERY);
        let mut retry = tokio::time::interval(RETRY_EVERY);
        retry.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let drained_in = self.targets.next_drained_in(clock::unix_ms());
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Apply(config, done)) => {
                        let result = self.apply(*config).await;
                        self.publish();
                        // Nobody may be waiting any more.
                        let _ = done.send(result);
                        continue;
                    }
                    None => return,
                },
                Some(checked) = self.checked.recv() => {
                    self.targets.take_in(checked);
                    // What came at the same time belongs in the same report.
                    while let Ok(checked) = self.checked.try_recv() {
                        self.targets.take_in(checked);
                    }
                }
                () = self.target_idle.notified() => {}
                () = tokio::time::sleep(drained_in.unwrap_or(Duration::MAX)), if drained_in.is_some() => {}
                _ = counters.tick() => {}
                _ = retry.tick(), if self.needs_retry() => self.retry().await,
                Some(_) = self.probers.join_next() => continue,
            }
            self.publish();
        }
    }

    async fn apply(&mut self, config: Config) -> Result<(), ApplyError> {
        if config.generation < self.config.generation {
            return Err(ApplyError::Stale { offered: config.generation, current: self.config.generation });
        }
        self.compile(&config)?;
        self.config = config;
        if let Some(path) = &self.config_file
            && let Err(error) = persist::save(path, &self.config)
        {
            tracing::error!(%error, "a restarted balancer would serve an older configuration");
        }
        self.reconcile().await;
        self.lives.groups.retain(|arn, _| self.config.target_groups.iter().any(|group| group.arn == *arn));
        self.lives.load_balancers.retain(|arn, _| self.config.load_balancers.iter().any(|lb| lb.arn == *arn));
        tracing::info!(generation = self.config.generation, "configuration in force");
        Ok(())
    }

    fn compile(&mut self, config: &Config) -> Result<(), ApplyError> {
        let Offers { offers, problems } = tls::offers(config, &self.lives.offers)?;
        let former = std::mem::replace(&mut self.lives.offers, offers);
        if let Some(path) = &config.auth_keys_file {
            match Keys::load(path) {
                Ok(keys) => self.lives.auth_keys = Some(Arc::new(keys)),
                // Those that were read before are as good.
                Err(error) => tracing::error!(%error, "the keys of authentication cannot be used"),
            }
        }
        match compile(config, &mut self.lives) {
            Ok(listening) => {
                let mut logins = listening.values().flat_map(|route| &route.logins);
                self.has_unready_guards = logins.any(|login| login.is_unready());
                self.listening = listening;
            }
            Err(error) => {
                self.lives.offers = former;
                return Err(error.into());
            }
        }
        for (listener, problem) in &problems {
            if self.tls_problems.get(listener) != Some(problem) {
                tracing::error!(problem, "a certificate cannot be used; the listener stays as it was");
            }
        }
        self.tls_problems = problems;
        Ok(())
    }

    /// Tries again what failed.
    async fn retry(&mut self) {
        if !self.tls_problems.is_empty() || self.has_unready_guards {
            let config = self.config.clone();
            if let Err(error) = self.compile(&config) {
                tracing::error!(%error, "what was compiled before cannot be compiled again");
            }
        }
        self.reconcile().await;
    }

    /// Brings targets, routes and listeners in line with the configuration. In this order: a worker routes to
    /// targets that exist, and a new listener finds its route.
    async fn reconcile(&mut self) {
        self.namespaces.reconcile(&self.config);
        self.lives.idp.set_ways(self.ways());
        self.targets.reconcile(&self.config, &self.namespaces, &self.lives.groups, &mut self.probers);
        let listeners = self.listening.clone();
        self.tell_routes(Arc::new(Routes { listeners, poolable: self.targets.poolable() })).await;
        let unusable = self.unusable();
        for closed in self.listeners.reconcile(&self.config, &self.namespaces, &unusable, &self.workers) {
            let _ = closed.await;
        }
    }

    /// How identity providers inside VPCs are reached, by load balancer.
    fn ways(&self) -> HashMap<String, Arc<Way>> {
        let guarded: HashSet<&str> =
            self.listening.values().filter(|route| route.is_guarded).map(|route| &*route.load_balancer.arn).collect();
        let load_balancers = self.config.load_balancers.iter().filter(|lb| guarded.contains(lb.arn.as_str()));
        let ways = load_balancers.filter_map(|lb| {
            let namespace = self.namespaces.get(lb.target_namespace.as_deref()).ok()?;
            let blocks = lb.vpc_blocks.iter().filter_map(|block| Cidr::parse(block)).collect();
            let egress = Arc::new(Egress::new(namespace, lb.source_addresses.clone()));
            Some((lb.arn.clone(), Arc::new(Way { egress, blocks })))
        });
        ways.collect()
    }

    /// HTTPS listeners that have nothing to offer, and why.
    fn unusable(&self) -> HashMap<String, String> {
        let mut unusable = self.tls_problems.clone();
        unusable.retain(|listener, _| !self.lives.offers.contains_key(listener));
        unusable
    }

    async fn tell_routes(&self, routes: Arc<Routes>) {
        let told: Vec<oneshot::Receiver<()>> = self
            .workers
            .iter()
            .map(|worker| {
                let (done, told) = oneshot::channel();
                // A worker that is gone is reported by its thread.
                let _ = worker.orders.send(Order::Routes(routes.clone(), done));
                told
            })
            .collect();
        for told in told {
            let _ = told.await;
        }
    }

    fn needs_retry(&self) -> bool {
        self.listeners.has_failed()
            || !self.tls_problems.is_empty()
            || self.has_unready_guards
            || self.namespaces.has_missing()
    }

    fn publish(&mut self) {
        let report = Report {
            generation: self.config.generation,
            targets: self.targets.report(&self.config, clock::unix_ms()),
            listeners: self.listeners.report(&self.tls_problems),
            load_balancers: self
                .config
                .load_balancers
                .iter()
                .filter_map(|lb| Some(self.lives.load_balancers.get(&lb.arn)?.read(&lb.arn)))
                .collect(),
            target_groups: self
                .config
                .target_groups
                .iter()
                .filter_map(|group| Some(self.lives.groups.get(&group.arn)?.counts.read_group(&group.arn)))
                .collect(),
        };
        self.reports.send_if_modified(|current| {
            let is_new = **current != report;
            if is_new {
                *current = Arc::new(report);
            }
            is_new
        });
    }
}

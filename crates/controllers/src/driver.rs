//! The only loop. It waits for changed rows or for a time that a pass asked for, and runs passes until nothing is left.
//!
//! A wake carries no data: what changed is read from the store's change log, and when that has forgotten, everything is
//! looked at. So a lost or doubled wake costs time and nothing else.

use crate::service::ServiceKey;
use crate::targets::TargetKey;
use crate::task::TaskKey;
use crate::{Environment, images, prune, service, targets, task};
use longshore_store::tables::{Listeners, Rules, ServiceDeployments, Services, TargetGroups, Targets, Tasks};
use longshore_store::{Snapshot, Store};
use longshore_types::Timestamp;
use longshore_types::ecs::{DesiredStatus, TaskStatus};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

const PRUNE_EVERY: Duration = Duration::from_secs(30);

/// What to look at, and when.
#[derive(Default)]
struct Agenda {
    services: BTreeSet<ServiceKey>,
    tasks: BTreeSet<TaskKey>,
    targets: BTreeSet<TargetKey>,
    later_services: BTreeMap<ServiceKey, Timestamp>,
    later_tasks: BTreeMap<TaskKey, Timestamp>,
    later_targets: BTreeMap<TargetKey, Timestamp>,
}

/// Runs all controllers until `shutdown`.
pub async fn run(store: Store, environment: Environment, shutdown: impl Future<Output = ()>) {
    tokio::pin!(shutdown);
    let mut agenda = Agenda::default();
    let mut watcher = store.watch();
    let mut seen = 0;
    agenda.everything(&store.snapshot());
    let mut prune_at = environment.now();
    let mut before = prune_at;
    loop {
        let now = environment.now();
        if now < before {
            // The clock was set back: the times on the agenda may be far away.
            agenda.everything(&store.snapshot());
            prune_at = now;
        }
        before = now;
        seen = agenda.add_changes(&store, seen);
        agenda.add_due(environment.now());
        agenda.work(&store, &environment).await;
        if environment.now() >= prune_at {
            prune::pass(&store, &environment).await;
            images::pass(&store, environment.now()).await;
            prune_at = environment.now() + PRUNE_EVERY;
        }
        let next = agenda.next_time().map_or(prune_at, |at| at.min(prune_at));
        let wait = next.since(environment.now());
        tokio::select! {
            biased;
            () = &mut shutdown => return,
            wake = watcher.changed() => if wake.is_none() { return },
            () = tokio::time::sleep(wait) => {}
        }
    }
}

impl Agenda {
    fn everything(&mut self, state: &Snapshot) {
        self.services.extend(state.services().all().keys());
        self.targets.extend(state.targets().all().keys());
        self.tasks.extend(state.tasks().all().entries().filter(|(_, t)| is_leaving(t)).map(|(key, _)| key));
    }

    /// Rows changed since revision `seen`; returns the revision up to which that is known.
    fn add_changes(&mut self, store: &Store, seen: u64) -> u64 {
        let changes = store.changes_since(seen);
        let state = changes.snapshot();
        let (services, tasks, touched) =
            (changes.keys::<Services>(), changes.keys::<Tasks>(), changes.keys::<Targets>());
        let routing = [
            changes.keys::<Listeners>().map(|k| k.len()),
            changes.keys::<Rules>().map(|k| k.len()),
            changes.keys::<TargetGroups>().map(|k| k.len()),
        ];
        let releases = changes.keys::<ServiceDeployments>();
        let (Some(services), Some(tasks), Some(touched), Some(releases)) = (services, tasks, touched, releases) else {
            self.everything(state);
            return state.revision();
        };
        self.services.extend(services);
        self.services.extend(releases.into_iter().map(|(scope, cluster, service, _)| (scope, cluster, service)));
        for key in touched {
            if let Some(task) = state.targets().get(&key).and_then(|target| target.task.clone()) {
                self.add_task(state, (key.0.clone(), task));
            } else if state.targets().get(&key).is_none() {
                // It is gone: whoever waited for that is among the leaving tasks.
                let leaving = state.tasks().by_index(&Tasks::BY_NODE, &"local".into()).entries();
                self.tasks
                    .extend(leaving.filter(|(_, t)| t.last_status == TaskStatus::Deactivating).map(|(key, _)| key));
            }
            self.targets.insert(key);
        }
        for key in tasks {
            self.add_task(state, key);
        }
        if routing.iter().any(|changed| *changed != Some(0)) {
            self.targets.extend(
                state.targets().all().entries().filter(|(_, t)| t.draining_since.is_some()).map(|(key, _)| key),
            );
        }
        state.revision()
    }

    fn add_task(&mut self, state: &Snapshot, key: TaskKey) {
        let Some(task) = state.tasks().get(&key) else { return };
        if let Some(service) = &task.service {
            self.services.insert((key.0.clone(), task.cluster.clone(), service.clone()));
        }
        if is_leaving(&task) {
            self.tasks.insert(key);
        }
    }

    fn add_due(&mut self, now: Timestamp) {
        take_due(&mut self.later_services, &mut self.services, now);
        take_due(&mut self.later_tasks, &mut self.tasks, now);
        take_due(&mut self.later_targets, &mut self.targets, now);
    }

    async fn work(&mut self, store: &Store, environment: &Environment) {
        for key in std::mem::take(&mut self.services) {
            match service::pass(store, environment, key.clone()).await {
                Some(at) => self.later_services.insert(key, at),
                None => self.later_services.remove(&key),
            };
        }
        let tasks = std::mem::take(&mut self.tasks);
        if let Some(at) = task::pass(store, environment, &tasks).await {
            self.later_tasks.extend(tasks.into_iter().map(|key| (key, at)));
        }
        for key in std::mem::take(&mut self.targets) {
            match targets::pass(store, environment, key.clone()).await {
                Some(at) => self.later_targets.insert(key, at),
                None => self.later_targets.remove(&key),
            };
        }
    }

    fn next_time(&self) -> Option<Timestamp> {
        let later = self.later_services.values().chain(self.later_tasks.values()).chain(self.later_targets.values());
        later.min().copied()
    }
}

fn is_leaving(task: &longshore_types::ecs::Task) -> bool {
    task.desired_status == DesiredStatus::Stopped && task.last_status < TaskStatus::Stopping
}

fn take_due<K: Ord + Clone>(later: &mut BTreeMap<K, Timestamp>, now_set: &mut BTreeSet<K>, now: Timestamp) {
    let due: Vec<K> = later.iter().filter(|(_, at)| **at <= now).map(|(key, _)| key.clone()).collect();
    for key in due {
        later.remove(&key);
        now_set.insert(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_api::Settings;
    use longshore_store::engine::MemoryEngine;
    use longshore_types::Scope;
    use longshore_types::ecs::{Cluster, ClusterStatus};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    const DAY_MS: i64 = 86_400_000;

    fn environment(clock: &Arc<AtomicI64>) -> Environment {
        let clock = Arc::clone(clock);
        let now = move || Timestamp(clock.load(Ordering::Relaxed));
        Environment { settings: Arc::new(Settings::made_up()), now: Arc::new(now), seed: Arc::new(|| 1) }
    }

    async fn delete_cluster(store: &Store, name: &str, at_ms: i64) {
        let key = (Scope::new("123456789012", "us-east-1"), name.into());
        let row = Cluster {
            name: name.into(),
            status: ClusterStatus::Inactive,
            settings: Default::default(),
            capacity_providers: vec![],
            default_strategy: vec![],
            session_logging: None,
            created_at: Timestamp(0),
            inactive_since: Some(Timestamp(at_ms)),
            tags: Default::default(),
        };
        let put = store.write(move |tx| {
            tx.clusters().put(key, row);
            Ok::<_, ()>(())
        });
        put.await.expect("stored").expect("ok");
    }

    async fn left(store: &Store, expected: &[&str]) {
        let names = || store.read(|state| state.clusters().all().map(|row| row.name.to_string()).collect::<Vec<_>>());
        for _ in 0..500 {
            if names() == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{:?} instead of {expected:?}", names());
    }

    #[tokio::test]
    async fn what_is_over_goes_also_when_the_clock_is_set_back() {
        let store = Store::with_engine(MemoryEngine::default(), longshore_store::tables::schema()).expect("empty");
        let clock = Arc::new(AtomicI64::new(10 * DAY_MS));
        delete_cluster(&store, "old", 9 * DAY_MS).await;
        delete_cluster(&store, "young", 9 * DAY_MS + 1).await;
        let driver = tokio::spawn(run(store.clone(), environment(&clock), std::future::pending()));
        left(&store, &["young"]).await;
        clock.store(5 * DAY_MS, Ordering::Relaxed);
        delete_cluster(&store, "older", 4 * DAY_MS).await;
        left(&store, &["young"]).await;
        driver.abort();
    }
}

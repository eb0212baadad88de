//! What must hold at every commit, whatever happens.

mod capacity;
mod failures;
mod releases;
mod secrets;

pub use secrets::{SECRET, Searching, secrets, written};

use crate::balancer;
use crate::world::{World, lock};
use longshore_planner::service::STEADY;
use longshore_store::tables::{
    NetworkInterfaces, RoleSessions, ServiceDeployments, ServiceRevisions, Services, Targets, Tasks,
};
use longshore_store::{Snapshot, Store, Table};
use longshore_types::Timestamp;
use longshore_types::ec2::EniOwner;
use longshore_types::ecs::*;
use longshore_types::elbv2::TargetState;
use longshore_types::id::TaskId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What checkers remember.
#[derive(Default)]
pub struct Checks {
    /// What readers saw last: all of it is durable.
    pub published: Option<Snapshot>,
    /// A commit was kept by the disk and reported as failed since: the disk may know more than readers saw.
    pub doubtful: bool,
    /// Commits that the disk reports as failed are kept, while it fails.
    pub keeps_failures: bool,
    /// Lines that containers printed, and those the control plane has, by log stream.
    pub lines_printed: BTreeMap<String, Vec<String>>,
    pub lines_kept: BTreeMap<String, Vec<String>>,
    /// What the load balancer wrote down.
    pub balancer_config: balancer::Config,
    /// Somebody asked for a reset, and it has not been done.
    pub reset_is_due: bool,
    /// Values that each parameter and each secret has ever had.
    pub secret_values: BTreeMap<String, BTreeSet<String>>,
    pub failures: failures::Failures,
    pub commits: u64,
}

macro_rules! violate {
    ($world:expr, $check:literal, $($text:tt)*) => {
        $world.violated($check, format!($($text)*))
    };
}

/// The control plane has read its disk: everything that was published is there.
pub fn restarted(world: &World, state: &Snapshot) {
    let published = {
        let mut checks = lock(&world.checks);
        let published = checks.published.replace(state.clone());
        if std::mem::take(&mut checks.doubtful) {
            checks.failures = Default::default();
            return;
        }
        published
    };
    let Some(published) = published else { return };
    macro_rules! same {
        ($($table:ident),*) => {$(
            let rows = |state: &Snapshot| state.$table().all().entries().collect::<Vec<_>>();
            let (before, after) = (rows(&published), rows(state));
            if before != after {
                let lost = before.iter().find(|row| !after.contains(row)).map(|row| format!("{:?}", row.0));
                let new = after.iter().find(|row| !before.contains(row)).map(|row| format!("{:?}", row.0));
                violate!(world, "acknowledged write lost", concat!("after a restart ", stringify!($table), " are others: without {:?}, with {:?}"), lost, new);
            }
        )*};
    }
    same!(
        clusters,
        task_definitions,
        deleted_revisions,
        tasks,
        services,
        service_deployments,
        service_revisions,
        account_settings,
        repositories,
        images,
        parameters,
        parameter_versions,
        secrets,
        secret_versions,
        set_up_scopes,
        vpcs,
        subnets,
        security_groups,
        network_interfaces,
        load_balancers,
        target_groups,
        targets,
        listeners,
        rules,
        roles,
        role_sessions
    );
}

/// A commit is durable and published.
pub fn committed(world: &World, before: &Snapshot, store: &Store, jobs: usize) {
    let changes = store.changes_since(before.revision());
    let after = changes.snapshot();
    if after.revision() == before.revision() {
        return;
    }
    {
        let mut checks = lock(&world.checks);
        checks.published = Some(after.clone());
        checks.commits += 1;
    }
    let reset = before.set_up_scopes().len() > after.set_up_scopes().len();
    if reset {
        return world.note("control", "commits a reset");
    }
    let tasks = changes.keys::<Tasks>().unwrap_or_default();
    for key in &tasks {
        let (old, new) = (before.tasks().get(key), after.tasks().get(key));
        task(world, old.as_deref(), new.as_deref());
        if let Some(new) = new.as_deref() {
            belongings(world, after, &key.0, new);
            draining(world, before, after, &key.0, new);
            capacity::changed(world, before.tasks().get(key).as_deref(), new);
            releases::pinned(world, after, &key.0, new);
        }
    }
    for key in changes.keys::<ServiceDeployments>().unwrap_or_default() {
        releases::release(world, before, after, &key);
    }
    for key in changes.keys::<ServiceRevisions>().unwrap_or_default() {
        releases::revision(world, before, after, &key);
    }
    for key in changes.keys::<Services>().unwrap_or_default() {
        if let Some(new) = after.services().get(&key) {
            service(world, before.services().get(&key).as_deref(), &new);
        }
    }
    for key in changes.keys::<NetworkInterfaces>().unwrap_or_default() {
        interface(world, after, &key);
    }
    for key in changes.keys::<Targets>().unwrap_or_default() {
        let show = |state: &Snapshot| match state.targets().get(&key) {
            None => "gone".to_owned(),
            Some(target) => target.health.state.as_str().to_owned(),
        };
        let (old, new) = (show(before), show(after));
        if old != new {
            let owner = before.targets().get(&key).or_else(|| after.targets().get(&key)).and_then(|t| t.task.clone());
            let name = owner.map_or_else(|| key.2.clone(), |task| world.task(&task));
            world.note("control", format!("target of {name}: {old} → {new}"));
        }
    }
    // What the scheduler did can be judged where a commit has nothing else in it.
    if jobs == 1 {
        failures::started(world, before, after, &tasks);
        scheduler(world, before, after, &tasks);
        capacity::started(world, before, after, &tasks);
    }
    failures::count(world, before, after, &tasks);
}

/// Names of the tables that differ, of those that anybody writes without being asked.
pub fn changed_tables(changes: &longshore_store::Changes) -> String {
    let any = |keys: Option<usize>| keys != Some(0);
    let tables = [
        ("tasks", any(changes.keys::<Tasks>().map(|k| k.len()))),
        ("services", any(changes.keys::<Services>().map(|k| k.len()))),
        ("service deployments", any(changes.keys::<ServiceDeployments>().map(|k| k.len()))),
        ("targets", any(changes.keys::<Targets>().map(|k| k.len()))),
        ("interfaces", any(changes.keys::<NetworkInterfaces>().map(|k| k.len()))),
        ("sessions", any(changes.keys::<RoleSessions>().map(|k| k.len()))),
    ];
    let names: Vec<&str> = tables.iter().filter(|(_, changed)| *changed).map(|(name, _)| *name).collect();
    if names.is_empty() { "some table".to_owned() } else { names.join(", ") }
}

fn task(world: &World, old: Option<&Task>, new: Option<&Task>) {
    let (old, new) = match (old, new) {
        (None, Some(new)) => {
            let of = new.service.as_ref().map_or_else(|| "RunTask".to_owned(), ToString::to_string);
            world.note(
                "control",
                format!("{} of {of} is written ({}:{})", world.task(&new.id), new.family, new.revision),
            );
            if new.last_status != TaskStatus::Provisioning {
                violate!(world, "states", "{} begins as {:?}", world.task(&new.id), new.last_status);
            }
            return;
        }
        (Some(old), None) => {
            let hour = Duration::from_secs(3600);
            let expired =
                old.times.stopped_at.is_some_and(|at| world.readings().iter().any(|now| now.since(at) >= hour));
            if !expired {
                violate!(
                    world,
                    "acknowledged write lost",
                    "{} is removed as {:?}",
                    world.task(&old.id),
                    old.last_status
                );
            }
            return;
        }
        (Some(old), Some(new)) => (old, new),
        (None, None) => return,
    };
    let name = world.task(&new.id);
    if old.last_status != new.last_status || old.desired_status != new.desired_status {
        let reason = new.stopped_reason.as_deref().map_or(String::new(), |reason| format!(" ({reason})"));
        world.note(
            "control",
            format!(
                "{name}: {:?}/{:?} → {:?}/{:?}{reason}",
                old.last_status, old.desired_status, new.last_status, new.desired_status
            ),
        );
    }
    if new.last_status < old.last_status {
        violate!(world, "states", "{name} goes back from {:?} to {:?}", old.last_status, new.last_status);
    }
    if old.desired_status == DesiredStatus::Stopped && new.desired_status == DesiredStatus::Running {
        violate!(world, "states", "{name} was to stop and is to run again");
    }
    if new.last_status >= TaskStatus::Deactivating && new.desired_status == DesiredStatus::Running {
        violate!(world, "states", "{name} is {:?} and to run", new.last_status);
    }
    if old.is_stopped() {
        violate!(world, "states", "{name} changes after it has stopped: {old:?} to {new:?}");
    }
    // What only the scheduler looks at has no version.
    let is_visible = {
        let mut seen = old.clone();
        seen.was_healthy = new.was_healthy;
        seen.access_key_id.clone_from(&new.access_key_id);
        // GetTaskProtection shows it, DescribeTasks does not.
        seen.protected_until = new.protected_until;
        seen != *new
    };
    if is_visible && new.version <= old.version {
        violate!(world, "versions", "{name} changes and stays at version {}", new.version);
    }
    if old.stop_code.is_some() && (old.stop_code, &old.stopped_reason) != (new.stop_code, &new.stopped_reason) {
        violate!(
            world,
            "reasons",
            "{name} stops for another reason: {:?} instead of {:?}",
            new.stopped_reason,
            old.stopped_reason
        );
    }
    if new.desired_status == DesiredStatus::Stopped && new.stop_code.is_none() && new.last_status == TaskStatus::Stopped
    {
        violate!(world, "reasons", "{name} stops and nobody says why");
    }
    for (was, is) in old.containers.iter().zip(&new.containers) {
        if is.status < was.status {
            violate!(world, "states", "{} of {name} goes back from {:?} to {:?}", is.name, was.status, is.status);
        }
        if was.status == ContainerStatus::Stopped && was.exit_code.is_some() && was.exit_code != is.exit_code {
            violate!(world, "states", "{} of {name} ends with {:?} after {:?}", is.name, is.exit_code, was.exit_code);
        }
    }
    times(world, &name, &old.times, &new.times);
    if new.is_stopped() {
        stopped_on_node(world, new);
    }
}

/// Nobody gets the stop signal while requests may still come to it; Spot capacity goes all the same. What ends by itself
/// gets no new ones.
fn draining(world: &World, before: &Snapshot, after: &Snapshot, scope: &longshore_types::Scope, new: &Task) {
    let key = (scope.clone(), new.id.clone());
    let was = before.tasks().get(&key).map(|old| old.last_status);
    let asked = matches!(new.stop_code, Some(StopCode::UserInitiated | StopCode::ServiceSchedulerInitiated))
        && new.containers.iter().all(|c| c.status != ContainerStatus::Stopped);
    let signalled = new.last_status == TaskStatus::Stopping && was.is_some_and(|was| was < TaskStatus::Stopping);
    if asked && signalled && after.targets().by_index(&Targets::BY_TASK, &key).next().is_some() {
        violate!(world, "drain", "{} gets the stop signal and is still a target", world.task(&new.id));
    }
    let mut targets = after.targets().by_index(&Targets::BY_TASK, &key);
    if new.last_status >= TaskStatus::Stopping && targets.any(|target| target.draining_since.is_none()) {
        violate!(world, "drain", "{} is {:?} and its target does not drain", world.task(&new.id), new.last_status);
    }
}

fn times(world: &World, name: &str, old: &TaskTimes, new: &TaskTimes) {
    let all = |t: &TaskTimes| -> [(&'static str, Option<Timestamp>); 7] {
        [
            ("pullStartedAt", t.pull_started_at),
            ("pullStoppedAt", t.pull_stopped_at),
            ("connectivityAt", t.connectivity_at),
            ("startedAt", t.started_at),
            ("stoppingAt", t.stopping_at),
            ("executionStoppedAt", t.execution_stopped_at),
            ("stoppedAt", t.stopped_at),
        ]
    };
    for ((what, was), (_, is)) in all(old).into_iter().zip(all(new)) {
        if was.is_some() && was != is {
            violate!(world, "times", "{what} of {name} changes from {was:?} to {is:?}");
        }
    }
    let node = [new.pull_started_at, new.pull_stopped_at, new.connectivity_at, new.started_at];
    if !node.iter().flatten().is_sorted() && !world.was_set_back() {
        violate!(world, "times", "{name} has its times in this order: {new:?}");
    }
}

/// A task that the API calls STOPPED has nothing left on the node.
fn stopped_on_node(world: &World, task: &Task) {
    let (alive, interface) = {
        let node = lock(&world.node);
        (
            node.directories.get(&task.id).is_some_and(|directory| directory.supervisor.is_some()),
            node.interfaces.contains_key(&task.network.eni),
        )
    };
    let name = world.task(&task.id);
    if alive {
        violate!(world, "stopped and running", "{name} is STOPPED and its containers run");
    }
    if interface {
        violate!(world, "leaked interface", "{name} is STOPPED and its interface is on the node");
    }
}

/// A task has its interface and its credentials until it has stopped, and not longer.
fn belongings(world: &World, state: &Snapshot, scope: &longshore_types::Scope, task: &Task) {
    let name = world.task(&task.id);
    let eni = state.network_interfaces().get(&(scope.clone(), task.network.eni.clone()));
    let sessions = state.role_sessions().by_index(&RoleSessions::BY_TASK, &task.id).count();
    if task.is_stopped() {
        if eni.is_some() {
            violate!(world, "leaked interface", "{name} is STOPPED and has its interface");
        }
        if sessions > 0 {
            violate!(world, "kept credentials", "{name} is STOPPED and has {sessions} sessions");
        }
        return;
    }
    match eni {
        None => violate!(world, "lost interface", "{name} is {:?} and has no interface", task.last_status),
        Some(eni) => {
            let owned = matches!(&eni.owner, EniOwner::Task { task: owner, .. } if *owner == task.id);
            if !owned || eni.address != task.network.address {
                violate!(world, "lost interface", "{name} has somebody else's interface");
            }
        }
    }
    if task.access_key_id.is_some() && sessions == 0 {
        violate!(world, "lost credentials", "{name} is {:?} and has no session", task.last_status);
    }
}

fn interface(world: &World, state: &Snapshot, key: &(longshore_types::Scope, longshore_types::id::EniId)) {
    let Some(eni) = state.network_interfaces().get(key) else { return };
    let at = (key.0.clone(), eni.subnet.clone(), eni.address);
    if state.network_interfaces().by_index(&NetworkInterfaces::BY_ADDRESS, &at).count() > 1 {
        violate!(world, "address used twice", "{} has two interfaces", eni.address);
    }
    if let EniOwner::Task { task, .. } = &eni.owner
        && state.tasks().get(&(key.0.clone(), task.clone())).is_none_or(|task| task.is_stopped())
    {
        violate!(world, "leaked interface", "an interface belongs to {}, which is not there", world.task(task));
    }
}

fn service(world: &World, old: Option<&Service>, new: &Service) {
    let name = &new.name;
    if old.is_none_or(|old| (old.status, old.desired_count) != (new.status, new.desired_count)) {
        world.note("control", format!("service {name} is {:?} and wants {}", new.status, new.desired_count));
    }
    let revived = old.is_some_and(|old| old.status == ServiceStatus::Inactive);
    let old = old.filter(|_| !revived);
    let known: BTreeSet<&str> = old.into_iter().flat_map(|s| &s.events).map(|e| e.id.as_str()).collect();
    for event in new.events.iter().rev().filter(|event| !known.contains(event.id.as_str())) {
        world.note("event", short(world, &format!("{name} {}", event.message)));
    }
    if new.events.len() > 100 || !new.events.iter().map(|e| std::cmp::Reverse(e.at)).is_sorted() {
        violate!(world, "event order", "{name} has its events in another order than they happened");
    }
    let ids: BTreeSet<_> = new.events.iter().map(|e| &e.id).collect();
    if ids.len() != new.events.len() {
        violate!(world, "event order", "{name} has two events of one id");
    }
    if let Some(old) = old {
        let kept: Vec<_> = new.events.iter().filter(|e| known.contains(e.id.as_str())).map(|e| &e.id).collect();
        let were: Vec<_> = old.events.iter().take(kept.len()).map(|e| &e.id).collect();
        if kept != were || (kept.len() < old.events.len() && new.events.len() < 100) {
            violate!(world, "event order", "{name} rewrites its past");
        }
    }
    let primaries = new.deployments.iter().filter(|d| d.status == DeploymentStatus::Primary).count();
    if new.status == ServiceStatus::Active && (primaries != 1 || new.deployments[0].status != DeploymentStatus::Primary)
    {
        violate!(world, "deployments", "{name} has {primaries} primary deployments");
    }
    for deployment in &new.deployments {
        let was = old.and_then(|old| old.deployments.iter().find(|d| d.id == deployment.id));
        let was_state = was.map(|d| d.rollout_state);
        if was_state != Some(deployment.rollout_state) {
            failures::changed(world, new, deployment);
            let id = world.name("deployment", deployment.id.as_str());
            world.note(
                "control",
                format!(
                    "{id} of {name} ({}:{}) is {:?}",
                    deployment.template.task_definition.0,
                    deployment.template.task_definition.1,
                    deployment.rollout_state
                ),
            );
        }
        // A rollback makes the deployment that was completed last the primary one again; one commit may have more than that.
        let rolled_back = was_state == Some(RolloutState::Completed)
            && deployment.rollout_reason.contains("rolling back to deploymentId");
        let is_final = was_state.is_some_and(|was| was != RolloutState::InProgress) && !rolled_back;
        if is_final && was_state != Some(deployment.rollout_state) {
            violate!(
                world,
                "deployments",
                "a deployment of {name} goes from {was_state:?} to {:?}",
                deployment.rollout_state
            );
        }
        // One commit may have the failure and a change of the service.
        let breakers = || [old, Some(new)].into_iter().flatten().filter(|s| s.circuit_breaker.enable);
        let threshold =
            |s: &Service| longshore_planner::breaker::threshold(s.desired_count, s.circuit_breaker.threshold);
        // StopServiceDeployment needs no failures.
        let failed_now = deployment.rollout_state == RolloutState::Failed
            && was_state == Some(RolloutState::InProgress)
            && !deployment.rollout_reason.contains("StopServiceDeployment");
        if failed_now && let Some(old) = old {
            failures::is_rolled_back(world, old, new, deployment);
        }
        if failed_now && breakers().all(|s| deployment.failed_tasks < threshold(s)) {
            violate!(
                world,
                "circuit breaker",
                "{name} fails a deployment after {} of {} failures",
                deployment.failed_tasks,
                threshold(new)
            );
        }
    }
}

/// Replaces the long identifiers of an event by short names.
fn short(world: &World, text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let bare = word.trim_matches(|c: char| !c.is_ascii_hexdigit());
        match bare.len() == 32 {
            true => words.push(word.replace(bare, &world.task(&TaskId::from(bare)))),
            false => words.push(word.to_owned()),
        }
    }
    words.join(" ")
}

/// Whether a task serves, by the rules of ECS rather than by those of the planner.
fn serves(
    world: &World,
    state: &Snapshot,
    scope: &longshore_types::Scope,
    service: &Service,
    task: &Task,
    now: Timestamp,
) -> bool {
    if task.last_status != TaskStatus::Running || task.desired_status != DesiredStatus::Running {
        return false;
    }
    let checked = task.containers.iter().any(|c| c.essential && c.has_health_check);
    if checked && task.health != HealthStatus::Healthy {
        return false;
    }
    let balanced = service
        .deployments
        .iter()
        .any(|d| Some(&d.id) == task.deployment.as_ref() && !d.template.load_balancers.is_empty());
    let targets: Vec<Arc<_>> = state.targets().by_index(&Targets::BY_TASK, &(scope.clone(), task.id.clone())).collect();
    if balanced {
        return !targets.is_empty()
            && targets.iter().all(|t| matches!(t.health.state, TargetState::Healthy | TargetState::Unused));
    }
    // Where the clock was set back, nobody but the scheduler remembers.
    let was_seen = world.was_set_back() && task.was_healthy;
    checked || was_seen || task.times.started_at.is_some_and(|at| now.since(at) >= STEADY)
}

/// The scheduler keeps to the bounds of its service: what it stops leaves enough, what it starts is not too much.
fn scheduler(world: &World, before: &Snapshot, after: &Snapshot, changed: &[(longshore_types::Scope, TaskId)]) {
    let mut stopped: BTreeMap<_, Vec<Arc<Task>>> = BTreeMap::new();
    let mut started = BTreeSet::new();
    for (scope, id) in changed {
        let key = (scope.clone(), id.clone());
        let Some(new) = after.tasks().get(&key) else { continue };
        let Some(service) = &new.service else { continue };
        let service = (scope.clone(), new.cluster.clone(), service.clone());
        let Some(old) = before.tasks().get(&key) else {
            started.insert(service);
            continue;
        };
        let is_asked = old.desired_status == DesiredStatus::Running && new.desired_status == DesiredStatus::Stopped;
        if !is_asked || new.stop_code != Some(StopCode::ServiceSchedulerInitiated) {
            continue;
        }
        let draining = before.services().get(&service).is_none_or(|s| s.status != ServiceStatus::Active);
        let protected = |now: &Timestamp| old.is_protected(*now) && new.is_protected(*now);
        if !is_unwell(&new) && world.readings().iter().all(protected) && !draining {
            violate!(world, "protection", "the scheduler stops {}, which is protected", world.task(id));
        }
        stopped.entry(service).or_default().push(new);
    }
    let readings = world.readings();
    for (key, stopped) in stopped {
        let Some(service) = before.services().get(&key).filter(|s| s.status == ServiceStatus::Active) else { continue };
        // Rounded up, as ECS does; the ceiling is rounded down.
        let floor = (service.desired_count * service.minimum_healthy_percent).div_ceil(100);
        let count = |now: &Timestamp| {
            let serving = |task: &Task| serves(world, before, &key.0, &service, task, *now);
            let was = |task: &Arc<Task>| before.tasks().get(&(key.0.clone(), task.id.clone()));
            let lost = stopped.iter().filter_map(was).filter(|task| serving(task)).count() as u32;
            (lost, before.tasks().by_index(&Tasks::BY_SERVICE, &key).filter(|task| serving(task)).count() as u32)
        };
        let is_below = |(lost, had): &(u32, u32)| *lost > 0 && had - lost < floor;
        let counts: Vec<_> = readings.iter().map(count).collect();
        if counts.iter().all(is_below) {
            let (lost, had) = counts[0];
            violate!(
                world,
                "floor",
                "the scheduler stops {lost} of the {had} tasks that serve for {}, whose floor is {floor}",
                service.name
            );
        }
        // Bad health of all at once: one may always go, or none could ever be replaced.
        let primary = service.deployments.first().map(|d| &d.id);
        let unwell = stopped.iter().filter(|task| is_unwell(task) && task.deployment.as_ref() == primary).count();
        let left = live(after, &key);
        if unwell > 1 && left + 1 < floor {
            violate!(
                world,
                "floor",
                "the scheduler stops {unwell} unhealthy tasks of {} and leaves {left}; its floor is {floor}",
                service.name
            );
        }
    }
    for key in started {
        let Some(service) = after.services().get(&key) else { continue };
        let (live, ceiling) = (live(after, &key), (service.desired_count * service.maximum_percent / 100).max(1));
        if live > ceiling {
            violate!(
                world,
                "ceiling",
                "the scheduler brings {} to {live} tasks, and its ceiling is {ceiling}",
                service.name
            );
        }
    }
}

/// It was stopped for failed health checks.
fn is_unwell(task: &Task) -> bool {
    task.stop_code == Some(StopCode::ServiceSchedulerInitiated)
        && task.stopped_reason.as_deref().is_some_and(|reason| reason.starts_with("Task failed"))
}

/// Tasks of a service that are RUNNING or on their way there.
fn live(state: &Snapshot, service: &<Services as Table>::Key) -> u32 {
    let tasks = state.tasks().by_index(&Tasks::BY_SERVICE, service);
    let is_live =
        |task: &Arc<Task>| task.desired_status == DesiredStatus::Running && task.last_status <= TaskStatus::Running;
    tasks.filter(is_live).count() as u32
}

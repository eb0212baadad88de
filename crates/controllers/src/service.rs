//! The service controller: looks at one service with its tasks, and does what `planner::service` says.

use crate::{Environment, events, history, targets};
use longshore_api::Cx;
use longshore_api::ecs::deployment;
use longshore_api::ecs::launch::{Launch, LaunchError, launch};
use longshore_planner::service::{
    Action, DeploymentView, FailCause, Plan, ServiceView, StopCause, TargetView, TaskView, plan,
};
use longshore_planner::task::Failure;
use longshore_planner::{breaker, capacity};
use longshore_store::tables::{Targets, Tasks};
use longshore_store::{Snapshot, Store, Tx};
use longshore_types::ecs::*;
use longshore_types::elbv2::{Target, TargetState};
use longshore_types::id::{ClusterName, DeploymentId, ServiceName, TaskId, ZoneName};
use longshore_types::{Scope, Tags, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How often a service that waits for room on the disk is looked at.
const FULL_DISK_PERIOD: Duration = Duration::from_secs(5);

/// Scope, cluster, name.
pub type ServiceKey = (Scope, ClusterName, ServiceName);

/// One pass over one service. Returns when time alone would change the answer.
pub async fn pass(store: &Store, environment: &Environment, key: ServiceKey) -> Option<Timestamp> {
    let now = environment.now();
    let full = store.full_disk().is_some();
    let (service, plan) = store.read(|state| observe_and_plan(state, &key, now, full))?;
    let quiet = plan.actions.is_empty() && !plan.notes.iter().any(|note| events::is_news(&service, note, now));
    if quiet {
        return plan.wake_at;
    }
    let cx = environment.cx(key.0.clone());
    let written = store
        .write(move |tx| {
            // Again, on what the transaction sees: somebody may have been faster.
            if let Some((service, plan)) = observe_and_plan(tx, &key, cx.now, full) {
                apply(tx, &cx, &key, (*service).clone(), &plan);
            }
            Ok::<_, ()>(())
        })
        .await;
    if let Err(error) = written {
        // The store itself says once that the disk is full.
        if !error.is_full() {
            tracing::error!(%error, "a service could not be stored; it is looked at again in a second");
        }
        return Some(now + Duration::from_secs(1));
    }
    plan.wake_at
}

type Observed = (Arc<Service>, Plan);

/// On a full disk new tasks wait, and the service is looked at again a little later.
fn observe_and_plan(state: &Snapshot, key: &ServiceKey, now: Timestamp, full: bool) -> Option<Observed> {
    let service = state.services().get(key).filter(|service| service.status != ServiceStatus::Inactive)?;
    let mut plan = plan(&observe(state, key, &service, now), now);
    if full {
        plan.actions.retain(|action| !matches!(action, Action::StartTasks { .. } | Action::Rebalance { .. }));
        plan.wake_at = plan.wake_at.into_iter().chain([now + FULL_DISK_PERIOD]).min();
    }
    Some((service, plan))
}

fn observe(state: &Snapshot, key: &ServiceKey, service: &Service, now: Timestamp) -> ServiceView {
    let scope = &key.0;
    let tasks: Vec<TaskView> = state
        .tasks()
        .by_index(&Tasks::BY_SERVICE, key)
        .filter(|task| !task.is_stopped())
        .map(|task| TaskView {
            id: task.id.clone(),
            deployment: task.deployment.clone().unwrap_or_default(),
            status: task.last_status,
            stopping: task.desired_status == DesiredStatus::Stopped,
            started_at: task.times.started_at,
            container_health: task.health,
            target_health: target_health(state, scope, &task, service),
            zone: task.zone.to_string(),
            provider: task.capacity_provider,
            protected_until: task.protected_until,
            was_healthy: task.was_healthy,
        })
        .collect();
    let subnets = service.template.network.subnets.iter();
    let zones: BTreeSet<String> = subnets
        .filter_map(|id| state.subnets().get(&(scope.clone(), id.clone())))
        .map(|subnet| subnet.zone.to_string())
        .collect();
    let release = service
        .service_deployment
        .as_ref()
        .and_then(|id| state.service_deployments().get(&(scope.clone(), key.1.clone(), key.2.clone(), id.clone())));
    ServiceView {
        desired_count: service.desired_count,
        draining: service.status == ServiceStatus::Draining,
        minimum_healthy_percent: service.minimum_healthy_percent,
        maximum_percent: service.maximum_percent,
        breaker: service.circuit_breaker,
        rollback_requested: release.as_ref().is_some_and(|r| r.status == ServiceDeploymentStatus::RollbackRequested),
        grace: Duration::from_secs(u64::from(service.health_check_grace_seconds)),
        zone_rebalancing: service.zone_rebalancing,
        zones: zones.into_iter().collect(),
        retry_at: breaker::waits_until(service.launch_backoff, now),
        deployments: service
            .deployments
            .iter()
            .map(|d| deployment_view(state, scope, d, release.as_deref(), now))
            .collect(),
        tasks,
    }
}

fn deployment_view(
    state: &Snapshot,
    scope: &Scope,
    d: &Deployment,
    release: Option<&ServiceDeployment>,
    now: Timestamp,
) -> DeploymentView {
    let (family, revision) = d.template.task_definition.clone();
    let definition = state.task_definitions().get(&(scope.clone(), family, revision));
    let containers = definition.as_ref().map(|d| d.containers.as_slice()).unwrap_or_default();
    let resolved = |c: &ContainerDefinition| !c.is_pinned_by_deployment() || d.image_digests.contains_key(&c.name);
    let source = release.and_then(|release| release.sources.iter().find(|source| source.revision == d.revision));
    DeploymentView {
        id: d.id.clone(),
        rollout: d.rollout_state,
        failed_tasks: d.failed_tasks,
        has_load_balancer: !d.template.load_balancers.is_empty(),
        has_container_check: containers.iter().any(|c| c.essential && c.health_check.is_some()),
        is_pinned: containers.iter().all(resolved),
        capacity: d.template.capacity.clone(),
        had: source.map_or(0, |source| source.requested),
        retry_at: breaker::waits_until(d.launch_backoff, now),
    }
}

/// All targets of a task together: one that is unhealthy makes the task so, one that is not judged makes it wait.
fn target_health(state: &Snapshot, scope: &Scope, task: &Task, service: &Service) -> TargetView {
    let mut view = TargetView::None;
    let unhealthy = |target_group: &str, port: u16, reason: &str| TargetView::Unhealthy {
        target_group: target_group.to_owned(),
        port,
        reason: reason.to_owned(),
    };
    let key = (scope.clone(), task.id.clone());
    let targets: Vec<_> = state.targets().by_index(&Targets::BY_TASK, &key).collect();
    for target in &targets {
        let unhealthy = |reason| unhealthy(&target.target_group, target.port, reason);
        match target.health.state {
            TargetState::Unhealthy => {
                return unhealthy(target.health.description.as_deref().unwrap_or("Health checks failed"));
            }
            TargetState::Unused if !targets::is_in_enabled_zone(state, scope, target) => {
                return unhealthy("Target is in an Availability Zone that is not enabled for the load balancer");
            }
            TargetState::Initial => view = TargetView::Waiting,
            // A group that no listener uses any more says nothing about its targets.
            TargetState::Healthy | TargetState::Unused if view == TargetView::None => view = TargetView::Healthy,
            _ => {}
        }
    }
    let deployment = service.deployments.iter().find(|d| Some(&d.id) == task.deployment.as_ref());
    let groups = deployment.filter(|_| task.last_status == TaskStatus::Running).map(|d| &d.template.load_balancers);
    for group in groups.into_iter().flatten() {
        let is_registered = |t: &Arc<Target>| t.target_group == group.target_group && t.draining_since.is_none();
        if targets.iter().any(is_registered) {
            continue;
        }
        if state.target_groups().contains(&(scope.clone(), group.target_group.clone())) {
            return unhealthy(&group.target_group, group.port, "Target is not registered to the target group");
        }
        // Nor does one that is gone.
        if view == TargetView::None {
            view = TargetView::Healthy;
        }
    }
    view
}

fn apply(tx: &mut Tx, cx: &Cx, key: &ServiceKey, mut service: Service, plan: &Plan) {
    let (mut running, mut pending) = (Vec::new(), 0);
    let is_rebalancing = events::is_rebalancing(&service);
    // What was seen comes before what is done about it.
    for note in &plan.notes {
        events::add(&mut service, cx, note);
    }
    for action in &plan.actions {
        match action {
            Action::StartTasks { deployment, count, replacing } => {
                start(tx, cx, &mut service, deployment, *count, *replacing);
            }
            Action::Rebalance { deployment, zone, provider } => {
                rebalance(tx, cx, &mut service, deployment, &ZoneName::from(zone.as_str()), *provider);
            }
            Action::StopTask { task, cause } => match stop(tx, cx, &mut service, task, cause) {
                Some(true) => running.push((task.clone(), cause)),
                Some(false) => pending += 1,
                None => {}
            },
            Action::CompleteDeployment { deployment } => deployment::complete(tx, cx, &mut service, deployment),
            Action::FailDeployment { deployment, cause, rollback } => {
                if *cause == FailCause::CircuitBreaker {
                    let text = format!("(deployment {deployment}) deployment failed: tasks failed to start.");
                    events::add(&mut service, cx, &text);
                }
                if let Some(target) = deployment::fail(tx, cx, &mut service, deployment, *cause, *rollback) {
                    events::add(&mut service, cx, &format!("rolling back to deployment {target}."));
                }
            }
            Action::ForgetDeployment { deployment } => service.deployments.retain(|d| d.id != *deployment),
            Action::CountHealthy { deployment, tasks } => count_healthy(tx, cx, &mut service, deployment, tasks),
            Action::Deactivate => {
                service.status = ServiceStatus::Inactive;
                service.inactive_since = Some(cx.now);
                service.deployments.clear();
                service.last_completed = None;
                service.service_deployment = None;
                history::forget(tx, key);
            }
        }
    }
    if !running.is_empty() {
        let moved = match &running[..] {
            [(id, StopCause::Scaling { .. })] if is_rebalancing => tx.tasks().get(&(cx.scope.clone(), id.clone())),
            _ => None,
        };
        let why = moved.map(|task| format!(" in {} due to AZ rebalancing", task.zone)).unwrap_or_default();
        let running: Vec<TaskId> = running.into_iter().map(|(id, _)| id).collect();
        let text = format!("has stopped {} running tasks{why}: {}.", running.len(), list(&running));
        events::add(&mut service, cx, &text);
    }
    if pending > 0 {
        events::add(&mut service, cx, &format!("stopped {pending} pending tasks."));
    }
    tx.services().put(key.clone(), service);
}

fn with(service: &mut Service, id: &DeploymentId, change: impl FnOnce(&mut Deployment)) {
    if let Some(deployment) = service.deployments.iter_mut().find(|d| d.id == *id) {
        change(deployment);
    }
}

/// Failures of a deployment are counted until it is complete.
fn count_failed_task(service: &mut Service, id: &DeploymentId) {
    with(service, id, |d| d.failed_tasks += u32::from(d.rollout_state == RolloutState::InProgress));
}

/// `(task 0123) (task 4567)`.
fn list(tasks: &[TaskId]) -> String {
    tasks.iter().map(|id| format!("(task {id})")).collect::<Vec<_>>().join(" ")
}

fn start(tx: &mut Tx, cx: &Cx, service: &mut Service, deployment: &DeploymentId, count: u32, replacing: u32) {
    let started = launch_tasks(tx, cx, service, deployment, count, None);
    if started.is_empty() {
        return;
    }
    let mut text = format!("has started {} tasks: {}.", started.len(), list(&started));
    if replacing > 0 {
        text.push_str(&format!(" Amazon ECS replaced {replacing} tasks due to an unhealthy status."));
    }
    events::add(service, cx, &text);
}

fn rebalance(
    tx: &mut Tx,
    cx: &Cx,
    service: &mut Service,
    deployment: &DeploymentId,
    zone: &ZoneName,
    provider: Option<CapacityProvider>,
) {
    let started = launch_tasks(tx, cx, service, deployment, 1, Some((zone, provider)));
    if !started.is_empty() {
        let text = format!("has started {} tasks in {zone} {}{}.", started.len(), events::REBALANCE, list(&started));
        events::add(service, cx, &text);
    }
}

fn launch_tasks(
    tx: &mut Tx,
    cx: &Cx,
    service: &mut Service,
    deployment_id: &DeploymentId,
    count: u32,
    place: Option<(&ZoneName, Option<CapacityProvider>)>,
) -> Vec<TaskId> {
    let mut started = Vec::new();
    let Some(deployment) = service.deployments.iter().find(|d| d.id == *deployment_id).cloned() else { return started };
    let (family, revision) = deployment.template.task_definition.clone();
    let Some(definition) = tx.task_definitions().get(&(cx.scope.clone(), family, revision)) else { return started };
    let mut registers = deployment.template.load_balancers.iter();
    if let Some(lb) = registers.find(|lb| !tx.target_groups().contains(&(cx.scope.clone(), lb.target_group.clone()))) {
        let (group, error) = (&lb.target_group, "The specified target group does not exist.");
        let text = format!("failed to register targets in (target-group {group}) with (error {error}).");
        events::add(service, cx, &text);
        count_failure(service, deployment_id, Failure::Launch, cx);
        return started;
    }
    let mut per_provider = live_per_provider(tx, cx, service, deployment_id);
    for _ in 0..count {
        let next = |provider| per_provider.get(&provider).copied().unwrap_or(0);
        let (zone, provider) = match place {
            Some((zone, provider)) => (Some(zone), provider),
            None => (None, capacity::next(&deployment.template.capacity, next)),
        };
        let wanted = Launch {
            cluster: &service.cluster,
            definition: &definition,
            network: &deployment.template.network,
            group: format!("service:{}", service.name),
            started_by: Some(deployment.id.to_string()),
            service: Some(service.name.clone()),
            deployment: Some(deployment.id.clone()),
            capacity_provider: provider,
            enable_execute_command: service.enable_execute_command,
            overrides: TaskOverride::default(),
            tags: tags(service, &definition),
            client_token: None,
            image_digests: &deployment.image_digests,
            zone,
        };
        match launch(tx, cx, wanted) {
            Ok(task) => {
                started.push(task.id);
                if let Some(provider) = provider {
                    *per_provider.entry(provider).or_default() += 1;
                }
            }
            Err(error) => {
                let why = match (error, zone) {
                    (LaunchError::Refused(error), _) => error.message,
                    (LaunchError::NoAddress, None) => "None of the subnets has a free address.".to_owned(),
                    (LaunchError::NoAddress, Some(zone)) => {
                        // Things stay as they are.
                        events::add(service, cx, &format!("is unable to place a task in {zone}."));
                        break;
                    }
                };
                events::add(service, cx, &format!("failed to launch a task with (error {why})."));
                count_failure(service, deployment_id, Failure::Launch, cx);
                break;
            }
        }
    }
    started
}

fn live_per_provider(
    state: &Snapshot,
    cx: &Cx,
    service: &Service,
    deployment: &DeploymentId,
) -> BTreeMap<CapacityProvider, u32> {
    let key = (cx.scope.clone(), service.cluster.clone(), service.name.clone());
    let mut counts = BTreeMap::new();
    for task in state.tasks().by_index(&Tasks::BY_SERVICE, &key) {
        if let (true, Some(provider)) =
            (task.is_live() && task.deployment.as_ref() == Some(deployment), task.capacity_provider)
        {
            *counts.entry(provider).or_default() += 1;
        }
    }
    counts
}

fn tags(service: &Service, definition: &TaskDefinition) -> Tags {
    let mut tags = match service.propagate_tags {
        PropagateTags::None => Tags::default(),
        PropagateTags::Service => service.tags.clone(),
        PropagateTags::TaskDefinition => definition.tags.clone(),
    };
    if service.enable_ecs_managed_tags {
        tags.0.insert("aws:ecs:clusterName".to_owned(), service.cluster.to_string());
        tags.0.insert("aws:ecs:serviceName".to_owned(), service.name.to_string());
    }
    tags
}

/// One more failure: the deployment counts it, and the next launch waits longer.
pub fn count_failure(service: &mut Service, deployment: &DeploymentId, failure: Failure, cx: &Cx) {
    count_failed_task(service, deployment);
    let next = |backoff| match failure {
        Failure::None => backoff,
        Failure::EarlyExit => breaker::after_early_exit(backoff, cx.now),
        Failure::Launch => breaker::after_failed_launch(backoff, cx.now),
    };
    // What an old deployment's tasks do says nothing about the next launch of the new one.
    if service.deployments.first().is_none_or(|primary| primary.id != *deployment) {
        return with(service, deployment, |d| d.launch_backoff = next(d.launch_backoff));
    }
    let before = service.launch_backoff;
    service.launch_backoff = next(before);
    if before.failures == 2 && service.launch_backoff.failures == 3 {
        events::add(
            service,
            cx,
            "is unable to consistently start tasks successfully. For more information, see the Troubleshooting section of the Amazon ECS Developer Guide.",
        );
    }
}

/// Failures in a row end, and launches no longer wait.
fn count_healthy(tx: &mut Tx, cx: &Cx, service: &mut Service, deployment: &DeploymentId, tasks: &[TaskId]) {
    for id in tasks {
        tx.tasks().update(&(cx.scope.clone(), id.clone()), |task| task.was_healthy = true);
    }
    let reset = service.circuit_breaker.reset_on_healthy_task;
    if reset {
        with(service, deployment, |d| d.failed_tasks = 0);
    }
    with(service, deployment, |d| d.launch_backoff = LaunchBackoff::default());
    if service.deployments.first().is_some_and(|primary| primary.id == *deployment) {
        service.launch_backoff = LaunchBackoff::default();
    }
}

/// Asks a task to stop: whether it was RUNNING; `None` if it was asked before.
fn stop(tx: &mut Tx, cx: &Cx, service: &mut Service, id: &TaskId, cause: &StopCause) -> Option<bool> {
    let reason = match cause {
        StopCause::Scaling { deployment } => format!("Scaling activity initiated by (deployment {deployment})"),
        StopCause::ContainerHealth => "Task failed container health checks".to_owned(),
        StopCause::LoadBalancerHealth { target_group, .. } => {
            format!("Task failed ELB health checks in (target-group {target_group})")
        }
    };
    let (deployment, running) = tx.tasks().update(&(cx.scope.clone(), id.clone()), |task| {
        if task.desired_status == DesiredStatus::Stopped {
            return None;
        }
        task.desired_status = DesiredStatus::Stopped;
        task.stop_code = Some(StopCode::ServiceSchedulerInitiated);
        task.stopped_reason = Some(reason);
        task.version += 1;
        Some((task.deployment.clone(), task.last_status == TaskStatus::Running))
    })??;
    let text = match cause {
        StopCause::Scaling { .. } => return Some(running),
        StopCause::ContainerHealth => format!("(task {id}) failed container health checks."),
        StopCause::LoadBalancerHealth { target_group, port, reason } => {
            format!("(task {id}) (port {port}) is unhealthy in (target-group {target_group}) due to (reason {reason}).")
        }
    };
    events::add(service, cx, &text);
    if let Some(deployment) = deployment {
        count_failed_task(service, &deployment);
    }
    Some(running)
}

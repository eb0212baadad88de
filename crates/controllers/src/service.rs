//! The service controller: looks at one service with its tasks, and does what `planner::service` says.

use crate::{Environment, events};
use longshore_api::Cx;
use longshore_api::ecs::launch::{Launch, LaunchError, launch};
use longshore_planner::breaker;
use longshore_planner::service::{Action, DeploymentView, Plan, ServiceView, StopCause, TargetView, TaskView, plan};
use longshore_store::tables::{Targets, Tasks};
use longshore_store::{Snapshot, Store, Tx};
use longshore_types::ecs::*;
use longshore_types::elbv2::TargetState;
use longshore_types::id::{ClusterName, DeploymentId, ServiceName, TaskId};
use longshore_types::{Scope, Tags, Timestamp};
use std::time::Duration;

/// Scope, cluster, name.
pub type ServiceKey = (Scope, ClusterName, ServiceName);

/// One pass over one service. Returns when time alone would change the answer.
pub async fn pass(store: &Store, environment: &Environment, key: ServiceKey) -> Option<Timestamp> {
    let now = environment.now();
    let (service, plan) = store.read(|state| observe_and_plan(state, &key, now))?;
    let quiet = plan.actions.is_empty() && !plan.notes.iter().any(|note| events::is_news(&service, note, now));
    if quiet {
        return plan.wake_at;
    }
    let cx = environment.cx(key.0.clone());
    let written = store
        .write(move |tx| {
            // Again, on what the transaction sees: somebody may have been faster.
            if let Some((service, plan)) = observe_and_plan(tx, &key, cx.now) {
                apply(tx, &cx, &key, (*service).clone(), &plan);
            }
            Ok::<_, ()>(())
        })
        .await;
    if let Err(error) = written {
        tracing::error!(%error, "a service could not be stored; it is looked at again in a second");
        return Some(now + Duration::from_secs(1));
    }
    plan.wake_at
}

type Observed = (std::sync::Arc<Service>, Plan);

fn observe_and_plan(state: &Snapshot, key: &ServiceKey, now: Timestamp) -> Option<Observed> {
    let service = state.services().get(key).filter(|service| service.status != ServiceStatus::Inactive)?;
    let plan = plan(&observe(state, key, &service), now);
    Some((service, plan))
}

fn observe(state: &Snapshot, key: &ServiceKey, service: &Service) -> ServiceView {
    let scope = &key.0;
    let (family, revision) = &service.task_definition;
    let definition = state.task_definitions().get(&(scope.clone(), family.clone(), *revision));
    let has_container_check =
        definition.is_some_and(|d| d.containers.iter().any(|c| c.essential && c.health_check.is_some()));
    let tasks = state
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
            target_health: target_health(state, scope, &task.id),
            zone: task.zone.to_string(),
        })
        .collect();
    ServiceView {
        name: service.name.to_string(),
        desired_count: service.desired_count,
        draining: service.status == ServiceStatus::Draining,
        minimum_healthy_percent: service.minimum_healthy_percent,
        maximum_percent: service.maximum_percent,
        breaker_enabled: service.circuit_breaker.enable,
        rollback: service.circuit_breaker.rollback,
        grace: Duration::from_secs(u64::from(service.health_check_grace_seconds)),
        has_container_check,
        retry_at: service.launch_backoff.retry_at,
        deployments: service
            .deployments
            .iter()
            .map(|d| DeploymentView {
                id: d.id.clone(),
                rollout: d.rollout_state,
                failed_tasks: d.failed_tasks,
                has_load_balancer: !d.load_balancers.is_empty(),
            })
            .collect(),
        tasks,
    }
}

/// All targets of a task together: one that is unhealthy makes the task so, one that is not judged makes it wait.
fn target_health(state: &Snapshot, scope: &Scope, task: &TaskId) -> TargetView {
    let mut view = TargetView::None;
    for target in state.targets().by_index(&Targets::BY_TASK, &(scope.clone(), task.clone())) {
        match target.health.state {
            TargetState::Unhealthy => {
                return TargetView::Unhealthy {
                    target_group: target.target_group.clone(),
                    reason: target.health.description.clone().unwrap_or_else(|| "Health checks failed".to_owned()),
                };
            }
            TargetState::Initial => view = TargetView::Waiting,
            // A group that no listener uses any more says nothing about its targets.
            TargetState::Healthy | TargetState::Unused if view == TargetView::None => view = TargetView::Healthy,
            _ => {}
        }
    }
    view
}

fn apply(tx: &mut Tx, cx: &Cx, key: &ServiceKey, mut service: Service, plan: &Plan) {
    let mut stopped = Vec::new();
    for action in &plan.actions {
        match action {
            Action::StartTasks { deployment, count } => start(tx, cx, &mut service, deployment, *count),
            Action::StopTask { task, cause } => {
                if stop(tx, cx, &mut service, task, cause) {
                    stopped.push(task.clone());
                }
            }
            Action::CompleteDeployment { deployment } => {
                with(&mut service, deployment, |d| {
                    d.rollout_state = RolloutState::Completed;
                    d.rollout_reason = format!("ECS deployment {} completed.", d.id);
                    d.updated_at = cx.now;
                });
            }
            Action::FailDeployment { deployment, rollback } => fail(cx, &mut service, deployment, *rollback),
            Action::ForgetDeployment { deployment } => service.deployments.retain(|d| d.id != *deployment),
            Action::ClearFailures { deployment } => {
                with(&mut service, deployment, |d| d.failed_tasks = 0);
                service.launch_backoff = LaunchBackoff::default();
            }
            Action::Deactivate => service.status = ServiceStatus::Inactive,
        }
    }
    if !stopped.is_empty() {
        let text = format!("has stopped {} running tasks: {}.", stopped.len(), list(&stopped));
        events::add(&mut service, cx, &text);
    }
    for note in &plan.notes {
        events::add(&mut service, cx, note);
    }
    tx.services().put(key.clone(), service);
}

fn with(service: &mut Service, id: &DeploymentId, change: impl FnOnce(&mut Deployment)) {
    if let Some(deployment) = service.deployments.iter_mut().find(|d| d.id == *id) {
        change(deployment);
    }
}

/// `(task 0123) (task 4567)`.
fn list(tasks: &[TaskId]) -> String {
    tasks.iter().map(|id| format!("(task {id})")).collect::<Vec<_>>().join(" ")
}

fn start(tx: &mut Tx, cx: &Cx, service: &mut Service, deployment_id: &DeploymentId, count: u32) {
    let Some(deployment) = service.deployments.iter().find(|d| d.id == *deployment_id).cloned() else { return };
    let (family, revision) = deployment.task_definition.clone();
    let Some(definition) = tx.task_definitions().get(&(cx.scope.clone(), family, revision)) else { return };
    let mut started = Vec::new();
    for _ in 0..count {
        let wanted = Launch {
            cluster: &service.cluster,
            definition: &definition,
            network: &deployment.network,
            group: format!("service:{}", service.name),
            started_by: Some(deployment.id.to_string()),
            service: Some(service.name.clone()),
            deployment: Some(deployment.id.clone()),
            capacity_provider: None,
            overrides: TaskOverride::default(),
            tags: tags(service, &definition),
            client_token: None,
            image_digests: &deployment.image_digests,
        };
        match launch(tx, cx, wanted) {
            Ok(task) => started.push(task.id),
            Err(error) => {
                let why = match error {
                    LaunchError::Refused(error) => error.message,
                    LaunchError::NoAddress => "None of the subnets has a free address.".to_owned(),
                };
                count_failure(service, deployment_id, cx.now);
                events::add(service, cx, &format!("failed to launch a task with (error {why})."));
                break;
            }
        }
    }
    if !started.is_empty() {
        let text = format!("has started {} tasks: {}.", started.len(), list(&started));
        events::add(service, cx, &text);
    }
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

/// One more failure in a row: the deployment counts it, and the next launch waits longer.
pub fn count_failure(service: &mut Service, deployment: &DeploymentId, now: Timestamp) {
    with(service, deployment, |d| d.failed_tasks += 1);
    service.launch_backoff = breaker::after_failed_launch(service.launch_backoff, now);
}

/// Asks a task to stop; false if it was asked before.
fn stop(tx: &mut Tx, cx: &Cx, service: &mut Service, id: &TaskId, cause: &StopCause) -> bool {
    let reason = match cause {
        StopCause::Scaling { deployment } => format!("Scaling activity initiated by (deployment {deployment})"),
        StopCause::ContainerHealth => "Task failed container health checks".to_owned(),
        StopCause::LoadBalancerHealth { target_group, .. } => {
            format!("Task failed ELB health checks in (target-group {target_group})")
        }
    };
    let mut deployment = None;
    let asked = tx.tasks().update(&(cx.scope.clone(), id.clone()), |task| {
        if task.desired_status == DesiredStatus::Stopped {
            return false;
        }
        deployment = task.deployment.clone();
        task.desired_status = DesiredStatus::Stopped;
        task.stop_code = Some(StopCode::ServiceSchedulerInitiated);
        task.stopped_reason = Some(reason);
        task.version += 1;
        true
    });
    match cause {
        StopCause::Scaling { .. } => {}
        StopCause::ContainerHealth => {
            events::add(service, cx, &format!("(task {id}) failed container health checks."));
        }
        StopCause::LoadBalancerHealth { target_group, reason } => {
            events::add(
                service,
                cx,
                &format!("(task {id}) is unhealthy in (target-group {target_group}) due to (reason {reason})."),
            );
        }
    }
    if !matches!(cause, StopCause::Scaling { .. })
        && let Some(deployment) = deployment
    {
        with(service, &deployment, |d| d.failed_tasks += 1);
    }
    asked == Some(true)
}

/// FAILED; with rollback, a new deployment of what last completed.
fn fail(cx: &Cx, service: &mut Service, id: &DeploymentId, rollback: bool) {
    with(service, id, |d| {
        d.rollout_state = RolloutState::Failed;
        d.rollout_reason =
            format!("ECS deployment circuit breaker: tasks failed to start. ({} failed)", d.failed_tasks);
        d.updated_at = cx.now;
    });
    let completed = service.deployments.iter().find(|d| d.rollout_state == RolloutState::Completed).cloned();
    let Some(target) = completed.filter(|_| rollback) else { return };
    for old in &mut service.deployments {
        old.status = DeploymentStatus::Active;
    }
    let new = cx.ids().deployment();
    service.task_definition = target.task_definition.clone();
    service.network = target.network.clone();
    service.load_balancers = target.load_balancers.clone();
    service.launch_backoff = LaunchBackoff::default();
    events::add(service, cx, &format!("rolling back to (deployment {}).", target.id));
    service.deployments.insert(
        0,
        Deployment {
            rollout_reason: format!("ECS deployment circuit breaker: rolling back to deploymentId {}.", target.id),
            id: new,
            status: DeploymentStatus::Primary,
            rollout_state: RolloutState::InProgress,
            failed_tasks: 0,
            reached_running: false,
            created_at: cx.now,
            updated_at: cx.now,
            ..target
        },
    );
}

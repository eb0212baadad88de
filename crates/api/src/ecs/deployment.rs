//! A service's releases: how one begins, ends well, fails and is rolled back. Shared by the operations and the scheduler.
//!
//! What DescribeServices calls a deployment is a set of tasks made from one revision. A service deployment is the whole
//! release: it is still the same one when the tasks of an earlier revision take over again.

use crate::Cx;
use longshore_planner::breaker;
use longshore_planner::service::FailCause;
use longshore_store::tables::{Images, Tasks};
use longshore_store::{Snapshot, Tx};
use longshore_types::Scope;
use longshore_types::ecs::*;
use longshore_types::id::DeploymentId;
use std::collections::BTreeMap;

/// A new PRIMARY deployment of what the service says now, with its revision; the others become ACTIVE.
pub fn begin(tx: &mut Tx, cx: &Cx, service: &mut Service) {
    supersede(tx, cx, service);
    for old in &mut service.deployments {
        old.status = DeploymentStatus::Active;
        old.updated_at = cx.now;
    }
    let id = cx.ids().deployment();
    let number = cx.ids().revision();
    let sources = sources(tx, &cx.scope, service);
    let (family, revision) = service.template.task_definition.clone();
    let definition = tx.task_definitions().get(&(cx.scope.clone(), family, revision));
    let containers = definition.as_ref().map(|d| d.containers.as_slice()).unwrap_or_default();
    let image_digests = known_digests(tx, cx, containers);
    let images =
        containers.iter().map(|c| (c.name.clone(), c.image.clone(), image_digests.get(&c.name).cloned())).collect();
    let row = ServiceRevision {
        number,
        cluster: service.cluster.clone(),
        service: service.name.clone(),
        template: service.template.clone(),
        images,
        created_at: cx.now,
    };
    tx.service_revisions().put(revision_key(&cx.scope, service, number), row);
    let deployment = Deployment {
        rollout_reason: format!("ECS deployment {id} in progress."),
        id,
        status: DeploymentStatus::Primary,
        template: service.template.clone(),
        rollout_state: RolloutState::InProgress,
        failed_tasks: 0,
        created_at: cx.now,
        updated_at: cx.now,
        image_digests,
        revision: number,
        launch_backoff: LaunchBackoff::default(),
    };
    service.deployments.insert(0, deployment);
    service.launch_backoff = LaunchBackoff::default();
    let release = ServiceDeployment {
        id: cx.ids().service_deployment(),
        cluster: service.cluster.clone(),
        service: service.name.clone(),
        status: ServiceDeploymentStatus::InProgress,
        status_reason: None,
        created_at: cx.now,
        started_at: Some(cx.now),
        finished_at: None,
        stopped_at: None,
        updated_at: cx.now,
        sources,
        target: RevisionCounts { revision: number, requested: service.desired_count, running: 0, pending: 0 },
        minimum_healthy_percent: service.minimum_healthy_percent,
        maximum_percent: service.maximum_percent,
        circuit_breaker: service.circuit_breaker,
        failure_count: 0,
        threshold: breaker::threshold(service.desired_count, service.circuit_breaker.threshold),
        breaker_triggered: false,
        rollback: None,
    };
    service.service_deployment = Some(release.id.clone());
    tx.service_deployments().put(release_key(&cx.scope, service, &release.id), release);
}

/// A service deployment that goes on ends when a newer one begins, or when the service is deleted.
pub fn supersede(tx: &mut Tx, cx: &Cx, service: &Service) {
    let reason = match service.status {
        ServiceStatus::Active => "Service deployment stopped because a newer one started.",
        _ => "Service deployment stopped because the service was deleted.",
    };
    change(tx, cx, service, |release| {
        release.status = ServiceDeploymentStatus::Stopped;
        release.status_reason = Some(reason.to_owned());
        release.stopped_at = Some(cx.now);
        release.finished_at = Some(cx.now);
    });
}

/// All is as it should be.
pub fn complete(tx: &mut Tx, cx: &Cx, service: &mut Service, id: &DeploymentId) {
    let Some(deployment) = service.deployments.iter_mut().find(|d| d.id == *id) else { return };
    deployment.rollout_state = RolloutState::Completed;
    deployment.failed_tasks = 0;
    deployment.rollout_reason = format!("ECS deployment {id} completed.");
    deployment.updated_at = cx.now;
    service.last_completed = Some(Box::new(deployment.clone()));
    change(tx, cx, service, |release| {
        release.status = match release.rollback {
            Some(_) => ServiceDeploymentStatus::RollbackSuccessful,
            None => ServiceDeploymentStatus::Successful,
        };
        release.finished_at = Some(cx.now);
    });
}

/// FAILED. With `rollback` the deployment that last completed becomes PRIMARY again, with the tasks it still has;
/// returns its id. A rollback that fails is not rolled back.
pub fn fail(
    tx: &mut Tx,
    cx: &Cx,
    service: &mut Service,
    id: &DeploymentId,
    cause: FailCause,
    rollback: bool,
) -> Option<DeploymentId> {
    let failed = service.deployments.iter_mut().find(|d| d.id == *id)?;
    failed.rollout_state = RolloutState::Failed;
    failed.updated_at = cx.now;
    failed.rollout_reason = match cause {
        FailCause::CircuitBreaker => "ECS deployment circuit breaker: tasks failed to start.".to_owned(),
        FailCause::Requested => "ECS deployment stopped by StopServiceDeployment.".to_owned(),
    };
    let failures = failed.failed_tasks;
    let back = if rollback { service.last_completed.take() } else { None };
    let reason = match cause {
        FailCause::CircuitBreaker => "The deployment circuit breaker was triggered: tasks failed to start.",
        FailCause::Requested => "The rollback was requested with StopServiceDeployment.",
    };
    let back_to = back.as_ref().map(|target| target.revision);
    change(tx, cx, service, |release| {
        release.status_reason = Some(reason.to_owned());
        release.breaker_triggered = cause == FailCause::CircuitBreaker;
        release.failure_count = failures;
        if let Some(revision) = back_to {
            release.status = ServiceDeploymentStatus::RollbackInProgress;
            release.rollback = Some(Rollback { reason: reason.to_owned(), started_at: cx.now, revision });
        } else {
            let stopped = release.rollback.is_none() && !rollback;
            release.status =
                if stopped { ServiceDeploymentStatus::Stopped } else { ServiceDeploymentStatus::RollbackFailed };
            release.stopped_at = stopped.then_some(cx.now);
            release.finished_at = Some(cx.now);
        }
    });
    let mut target = *back?;
    for old in &mut service.deployments {
        old.status = DeploymentStatus::Active;
    }
    if let Some(n) = service.deployments.iter().position(|d| d.id == target.id) {
        target = service.deployments.remove(n);
    }
    target.status = DeploymentStatus::Primary;
    target.rollout_state = RolloutState::InProgress;
    target.rollout_reason = match cause {
        FailCause::CircuitBreaker => {
            format!("ECS deployment circuit breaker: rolling back to deploymentId {}.", target.id)
        }
        FailCause::Requested => format!("ECS deployment stopped: rolling back to deploymentId {}.", target.id),
    };
    target.failed_tasks = 0;
    target.updated_at = cx.now;
    service.template = target.template.clone();
    service.launch_backoff = LaunchBackoff::default();
    let id = target.id.clone();
    service.deployments.insert(0, target);
    Some(id)
}

/// What a task's node found its tags to name: from now on all tasks of the deployment run these bytes.
pub fn pin(tx: &mut Tx, scope: &Scope, service: &mut Service, task: &Task) {
    let Some(definition) = tx.task_definitions().get(&(scope.clone(), task.family.clone(), task.revision)) else {
        return;
    };
    // One that completed before its first task started is kept apart from what it has become since.
    let kept = service.deployments.iter_mut().chain(service.last_completed.as_deref_mut());
    let mut pinned = None;
    for deployment in kept.filter(|d| task.deployment.as_ref() == Some(&d.id)) {
        for container in definition.containers.iter().filter(|c| c.is_pinned_by_deployment()) {
            let seen = task.containers.iter().find(|c| c.name == container.name).and_then(|c| c.image_digest.clone());
            if let Some(digest) = seen {
                deployment.image_digests.entry(container.name.clone()).or_insert(digest);
            }
        }
        pinned.get_or_insert_with(|| (deployment.revision, deployment.image_digests.clone()));
    }
    let Some((number, digests)) = pinned else { return };
    tx.service_revisions().update(&revision_key(scope, service, number), |row| {
        for (container, _, digest) in &mut row.images {
            *digest = digests.get(container).cloned().or(digest.take());
        }
    });
}

/// What tags of the built-in registry's images name now: nobody has to pull them to know.
fn known_digests(state: &Snapshot, cx: &Cx, containers: &[ContainerDefinition]) -> BTreeMap<String, String> {
    let digest = |container: &ContainerDefinition| {
        let (scope, repository, tag) = own_image(cx, &container.image)?;
        let image = state.images().find(&Images::BY_TAG, &(scope, repository, tag))?;
        Some((container.name.clone(), image.digest.clone()))
    };
    containers.iter().filter(|c| c.is_pinned_by_deployment()).filter_map(digest).collect()
}

/// Scope, repository and tag of an image in the built-in registry.
fn own_image(cx: &Cx, image: &str) -> Option<(Scope, String, String)> {
    let (host, path) = image.split_once('/')?;
    let scope = match host.strip_suffix(".amazonaws.com").and_then(|host| host.split_once(".dkr.ecr.")) {
        Some((account, region)) => Scope::new(account, region),
        None if cx.settings.api_url.strip_prefix("http://") == Some(host) => {
            Scope { account: cx.settings.account.clone(), region: cx.settings.region.clone() }
        }
        None => return None,
    };
    let (repository, tag) = path.split_once(':').unwrap_or((path, "latest"));
    Some((scope, repository.to_owned(), tag.to_owned()))
}

/// Tasks of a revision now.
pub fn counts(state: &Snapshot, scope: &Scope, service: &Service, revision: u64, requested: u32) -> RevisionCounts {
    let key = (scope.clone(), service.cluster.clone(), service.name.clone());
    let mut counts = RevisionCounts { revision, requested, running: 0, pending: 0 };
    for task in state.tasks().by_index(&Tasks::BY_SERVICE, &key) {
        let of = |d: &Deployment| d.revision == revision && task.deployment.as_ref() == Some(&d.id);
        if service.deployments.iter().any(of) {
            counts.running += u32::from(task.last_status == TaskStatus::Running);
            counts.pending += u32::from(task.last_status < TaskStatus::Running);
        }
    }
    counts
}

/// The revisions whose tasks run when a deployment begins.
fn sources(state: &Snapshot, scope: &Scope, service: &Service) -> Vec<RevisionCounts> {
    let mut seen: Vec<RevisionCounts> = Vec::new();
    for deployment in &service.deployments {
        if seen.iter().all(|counts| counts.revision != deployment.revision) {
            let counts = counts(state, scope, service, deployment.revision, 0);
            let requested = counts.running + counts.pending;
            if requested > 0 || seen.is_empty() {
                seen.push(RevisionCounts { requested, ..counts });
            }
        }
    }
    seen
}

type ReleaseKey = <longshore_store::tables::ServiceDeployments as longshore_store::Table>::Key;
type RevisionKey = <longshore_store::tables::ServiceRevisions as longshore_store::Table>::Key;

fn release_key(scope: &Scope, service: &Service, id: &str) -> ReleaseKey {
    (scope.clone(), service.cluster.clone(), service.name.clone(), id.to_owned())
}

fn revision_key(scope: &Scope, service: &Service, number: u64) -> RevisionKey {
    (scope.clone(), service.cluster.clone(), service.name.clone(), number)
}

/// Changes the service deployment that goes on; when that ends it, its tasks are counted for the last time.
fn change(tx: &mut Tx, cx: &Cx, service: &Service, change: impl FnOnce(&mut ServiceDeployment)) {
    let Some(id) = &service.service_deployment else { return };
    let key = release_key(&cx.scope, service, id);
    let Some(release) = tx.service_deployments().get(&key).filter(|release| release.is_open()) else { return };
    let mut release = (*release).clone();
    change(&mut release);
    // What the service has now is what the scheduler obeys.
    release.circuit_breaker = service.circuit_breaker;
    release.threshold = breaker::threshold(service.desired_count, service.circuit_breaker.threshold);
    release.updated_at = cx.now;
    if !release.is_open() {
        release.target = counts(tx, &cx.scope, service, release.target.revision, service.desired_count);
        for source in &mut release.sources {
            *source = counts(tx, &cx.scope, service, source.revision, source.requested);
        }
        if !release.breaker_triggered {
            release.failure_count = service.deployments.first().map_or(0, |d| d.failed_tasks);
        }
    }
    tx.service_deployments().put(key, release);
}

#[cfg(test)]
mod tests {
    use super::super::stop_service_deployment::stop_service_deployment;
    use super::super::testing::*;
    use super::super::update_service::update_service;
    use super::*;
    use longshore_aws_model::ecs::{StopServiceDeploymentInput, UpdateServiceInput};
    use longshore_types::ecs::ServiceDeploymentStatus::*;

    fn update(world: &World, change: impl FnOnce(&mut UpdateServiceInput)) -> Option<String> {
        let mut input = UpdateServiceInput { cluster: Some("web".into()), service: "s".into(), ..Default::default() };
        change(&mut input);
        let service = world.write(|tx, cx| update_service(tx, cx, input)).expect("updated").service;
        service.and_then(|s| s.current_service_deployment)
    }

    /// Does to the service what the scheduler does.
    fn schedule(world: &World, f: impl FnOnce(&mut Tx, &Cx, &mut Service, DeploymentId) + Send + 'static) -> Service {
        world.fixture.write(|tx, cx| {
            let key = (cx.scope.clone(), "web".into(), "s".into());
            let mut service = (*tx.services().get(&key).expect("a service")).clone();
            let primary = service.deployments[0].id.clone();
            f(tx, cx, &mut service, primary);
            tx.services().put(key, service.clone());
            service
        })
    }

    fn release(world: &World, service: &Service) -> ServiceDeployment {
        let id = service.service_deployment.clone().expect("one");
        world.read(|state, cx| {
            (*state.service_deployments().get(&release_key(&cx.scope, service, &id)).expect("a row")).clone()
        })
    }

    #[test]
    fn a_rollback_brings_back_the_deployment_that_completed_and_is_one_release() {
        let world = World::new();
        world.create_service(|_| {}).expect("created");
        let first = schedule(&world, |tx, cx, s, id| complete(tx, cx, s, &id));
        assert_eq!(release(&world, &first).status, Successful);
        world.define("web");
        update(&world, |input| input.task_definition = Some("web:2".into()));
        let failed = schedule(&world, |tx, cx, s, id| {
            s.deployments.truncate(1);
            let back = fail(tx, cx, s, &id, FailCause::CircuitBreaker, true);
            assert_eq!(back, s.deployments.first().map(|d| d.id.clone()));
        });
        assert_eq!(failed.deployments[0].id, first.deployments[0].id);
        assert_eq!(failed.template.task_definition.1, 1);
        assert_eq!(
            failed.deployments[0].rollout_reason,
            format!("ECS deployment circuit breaker: rolling back to deploymentId {}.", first.deployments[0].id)
        );
        let seen = release(&world, &failed);
        assert_eq!(
            (seen.status, seen.rollback.map(|r| r.revision)),
            (RollbackInProgress, Some(first.deployments[0].revision))
        );
        let again = schedule(&world, |tx, cx, s, id| complete(tx, cx, s, &id));
        assert_eq!(release(&world, &again).status, RollbackSuccessful);
    }

    #[test]
    fn a_failure_without_rollback_leaves_the_next_one_something_to_go_back_to() {
        let world = World::new();
        world.create_service(|_| {}).expect("created");
        let first = schedule(&world, |tx, cx, s, id| complete(tx, cx, s, &id));
        for rollback in [false, true] {
            update(&world, |input| input.force_new_deployment = Some(true));
            schedule(&world, move |tx, cx, s, id| drop(fail(tx, cx, s, &id, FailCause::CircuitBreaker, rollback)));
        }
        let back = schedule(&world, |_, _, _, _| {});
        assert_eq!(back.deployments[0].id, first.deployments[0].id);
        assert_eq!(release(&world, &back).status, RollbackInProgress);
    }

    #[test]
    fn a_rollback_runs_the_bytes_that_were_found_after_the_deployment_completed() {
        let world = World::new();
        world.create_service(|input| input.desired_count = Some(0)).expect("created");
        schedule(&world, |tx, cx, s, id| complete(tx, cx, s, &id));
        let arn = world.service_task();
        let pinned = schedule(&world, move |tx, cx, s, id| {
            let task = longshore_types::id::TaskId::from(arn.rsplit('/').next().expect("an id"));
            let mut task = (*tx.tasks().get(&(cx.scope.clone(), task)).expect("a task")).clone();
            task.deployment = Some(id);
            task.containers[0].image_digest = Some("sha256:first".to_owned());
            pin(tx, &cx.scope, s, &task);
        });
        update(&world, |input| input.force_new_deployment = Some(true));
        let back = schedule(&world, |tx, cx, s, id| {
            s.deployments.truncate(1);
            fail(tx, cx, s, &id, FailCause::Requested, true).expect("the first");
        });
        assert!(!pinned.deployments[0].image_digests.is_empty());
        assert_eq!(back.deployments[0].image_digests, pinned.deployments[0].image_digests);
    }

    #[test]
    fn a_first_deployment_that_fails_has_nothing_to_go_back_to() {
        let world = World::new();
        world.create_service(|_| {}).expect("created");
        let failed = schedule(&world, |tx, cx, s, id| {
            assert_eq!(fail(tx, cx, s, &id, FailCause::CircuitBreaker, true), None);
        });
        assert_eq!(failed.deployments[0].rollout_state, RolloutState::Failed);
        assert_eq!(release(&world, &failed).status, RollbackFailed);
    }

    #[test]
    fn a_newer_deployment_ends_the_one_before_it() {
        let world = World::new();
        world.create_service(|_| {}).expect("created");
        let first = schedule(&world, |_, _, _, _| {});
        let before = update(&world, |input| input.desired_count = Some(3));
        let after = update(&world, |input| input.force_new_deployment = Some(true));
        assert_ne!(before, after);
        assert_eq!(release(&world, &first).status, Stopped);
    }

    #[test]
    fn only_a_release_that_goes_on_can_be_stopped() {
        let world = World::new();
        let stop = |arn: &str, kind: Option<&str>| {
            let input = StopServiceDeploymentInput {
                service_deployment_arn: arn.to_owned(),
                stop_type: kind.map(str::to_owned),
            };
            world.write(|tx, cx| stop_service_deployment(tx, cx, input))
        };
        let arn = world.create_service(|_| {}).expect("created").current_service_deployment.expect("an ARN");
        assert_eq!(stop(&arn, None).expect_err("nothing to go back to").code, "ConflictException");
        assert!(stop(&arn, Some("ABORT")).expect_err("refused").message.contains("stopType ABORT"));
        schedule(&world, |tx, cx, s, id| complete(tx, cx, s, &id));
        assert_eq!(stop(&arn, None).expect_err("it is over").code, "ConflictException");
        let arn = update(&world, |input| input.force_new_deployment = Some(true)).expect("an ARN");
        assert!(stop(&arn, Some("ROLLBACK")).is_ok() && stop(&arn, None).is_ok());
        let service = schedule(&world, |_, _, _, _| {});
        assert_eq!(release(&world, &service).status, RollbackRequested);
        let gone = arn.replace("/s/", "/other/");
        assert_eq!(stop(&gone, None).expect_err("not there").code, "ServiceDeploymentNotFoundException");
    }

    #[test]
    fn images_of_the_built_in_registry_are_recognized() {
        let world = World::new();
        world.read(|_, cx| {
            let repository =
                |image: &str| own_image(cx, image).map(|(_, repository, tag)| format!("{repository} {tag}"));
            let ecr = "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/web:1.2";
            assert_eq!(repository(ecr).as_deref(), Some("team/web 1.2"));
            assert_eq!(repository("127.0.0.1:4566/web").as_deref(), Some("web latest"));
            assert_eq!(repository("docker.io/library/nginx:1"), None);
            assert_eq!(repository("nginx"), None);
        });
    }
}

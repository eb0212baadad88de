//! What is kept for a while and then goes: stopped tasks after an hour, deleted task definitions once unused, the history
//! of services after ninety days, INACTIVE services and clusters after a day, secrets whose recovery window is over; and
//! credentials that are renewed before they end.

use crate::service::ServiceKey;
use crate::{Environment, history};
use longshore_api::ecs::launch::{due_sessions, renew_session};
use longshore_api::secretsmanager;
use longshore_store::tables::{Clusters, Tasks};
use longshore_store::{Snapshot, Store, Table};
use longshore_types::Timestamp;
use longshore_types::ecs::{ClusterStatus, DeletedRevision, ServiceStatus, TaskDefinitionStatus};
use std::time::Duration;

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html>: at least one hour.
pub const STOPPED_TASKS_STAY: Duration = Duration::from_secs(3600);
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeleteService.html>: what is INACTIVE may be purged.
const INACTIVE_STAYS: Duration = Duration::from_secs(86_400);

/// One pass; call it every minute or so.
pub async fn pass(store: &Store, environment: &Environment) {
    let now = environment.now();
    let state = store.snapshot();
    let tasks = expired_tasks(&state, now);
    let definitions = unused_definitions(&state);
    let sessions = due_sessions(&state, &"local".into(), now);
    let secrets = secretsmanager::expired(&state, now);
    let history = history::Expired::of(&state, now);
    let (services, clusters) = (inactive_services(&state, now), inactive_clusters(&state, now));
    let inactive = !services.is_empty() || !clusters.is_empty();
    if !inactive
        && history.is_empty()
        && tasks.is_empty()
        && definitions.is_empty()
        && sessions.is_empty()
        && secrets.is_empty()
    {
        return;
    }
    let contexts: Vec<_> = sessions.into_iter().map(|(key, role)| (environment.cx(key.0.clone()), key, role)).collect();
    let written = store
        .write(move |tx| {
            for key in &tasks {
                tx.tasks().remove(key);
            }
            history.remove(tx);
            // Again: somebody may have created one of the name meanwhile.
            for key in services.iter().filter(|key| is_inactive_service(tx, key, now)).collect::<Vec<_>>() {
                tx.services().remove(key);
            }
            for key in clusters.iter().filter(|key| is_inactive_cluster(tx, key, now)).collect::<Vec<_>>() {
                tx.clusters().remove(key);
            }
            for key @ (scope, family, revision) in &definitions {
                tx.task_definitions().remove(key);
                let family = (scope.clone(), family.clone());
                let before = tx.deleted_revisions().get(&family).map_or(0, |deleted| deleted.latest);
                tx.deleted_revisions().put(family, DeletedRevision { latest: before.max(*revision) });
            }
            for key in &secrets {
                secretsmanager::purge(tx, key);
            }
            for (cx, key, role) in &contexts {
                renew_session(tx, cx, key, role);
            }
            Ok::<_, ()>(())
        })
        .await;
    if let Err(error) = written {
        tracing::error!(%error, "expired rows could not be removed");
    }
}

type TaskKey = crate::task::TaskKey;

fn expired_tasks(state: &Snapshot, now: Timestamp) -> Vec<TaskKey> {
    let before = now - STOPPED_TASKS_STAY;
    let stopped = state.tasks().all().entries();
    stopped.filter(|(_, task)| task.times.stopped_at.is_some_and(|at| at <= before)).map(|(key, _)| key).collect()
}

type ClusterKey = <Clusters as Table>::Key;

fn inactive_services(state: &Snapshot, now: Timestamp) -> Vec<ServiceKey> {
    state.services().all().keys().filter(|key| is_inactive_service(state, key, now)).collect()
}

fn is_inactive_service(state: &Snapshot, key: &ServiceKey, now: Timestamp) -> bool {
    let service = state.services().get(key).filter(|service| service.status == ServiceStatus::Inactive);
    service.is_some_and(|service| service.inactive_since.is_none_or(|since| since <= now - INACTIVE_STAYS))
}

fn inactive_clusters(state: &Snapshot, now: Timestamp) -> Vec<ClusterKey> {
    state.clusters().all().keys().filter(|key| is_inactive_cluster(state, key, now)).collect()
}

/// One of which no service is left.
fn is_inactive_cluster(state: &Snapshot, key: &ClusterKey, now: Timestamp) -> bool {
    let cluster = state.clusters().get(key).filter(|cluster| cluster.status == ClusterStatus::Inactive);
    cluster.is_some_and(|cluster| cluster.inactive_since.is_none_or(|since| since <= now - INACTIVE_STAYS))
        && state.services().prefix(key).next().is_none()
}

fn unused_definitions(
    state: &Snapshot,
) -> Vec<<longshore_store::tables::TaskDefinitions as longshore_store::Table>::Key> {
    let deleted = state
        .task_definitions()
        .all()
        .entries()
        .filter(|(_, row)| row.status == TaskDefinitionStatus::DeleteInProgress);
    deleted
        .map(|(key, _)| key)
        .filter(|(scope, family, revision)| {
            let by_service = state.services().prefix(scope).any(|service| {
                service.status != ServiceStatus::Inactive
                    && service
                        .deployments
                        .iter()
                        .chain(service.last_completed.as_deref())
                        .any(|d| d.template.task_definition == (family.clone(), *revision))
            });
            let by_task = state
                .tasks()
                .by_index(&Tasks::BY_NODE, &"local".into())
                .entries()
                .any(|((of, _), task)| of == *scope && task.family == *family && task.revision == *revision);
            !by_service && !by_task
        })
        .collect()
}

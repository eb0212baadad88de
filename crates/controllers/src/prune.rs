//! What is kept for a while and then goes: stopped tasks after an hour, deleted task definitions once unused, the history
//! of services after ninety days, secrets whose recovery window is over; and credentials that are renewed before they end.

use crate::{Environment, history};
use longshore_api::ecs::launch::{due_sessions, renew_session};
use longshore_api::secretsmanager;
use longshore_store::tables::Tasks;
use longshore_store::{Snapshot, Store};
use longshore_types::Timestamp;
use longshore_types::ecs::{DeletedRevision, ServiceStatus, TaskDefinitionStatus};
use std::time::Duration;

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html>: at least one hour.
pub const STOPPED_TASKS_STAY: Duration = Duration::from_secs(3600);

/// One pass; call it every minute or so.
pub async fn pass(store: &Store, environment: &Environment) {
    let now = environment.now();
    let state = store.snapshot();
    let tasks = expired_tasks(&state, now);
    let definitions = unused_definitions(&state);
    let sessions = due_sessions(&state, &"local".into(), now);
    let secrets = secretsmanager::expired(&state, now);
    let history = history::Expired::of(&state, now);
    if history.is_empty() && tasks.is_empty() && definitions.is_empty() && sessions.is_empty() && secrets.is_empty() {
        return;
    }
    let contexts: Vec<_> = sessions.into_iter().map(|(key, role)| (environment.cx(key.0.clone()), key, role)).collect();
    let written = store
        .write(move |tx| {
            for key in &tasks {
                tx.tasks().remove(key);
            }
            history.remove(tx);
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

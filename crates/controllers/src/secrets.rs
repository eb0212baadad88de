//! Values of a task's secrets, and whether its execution role and its log groups let it start, when its node is about to.

use crate::{Environment, intent};
use longshore_api::ecs::environment_files::ReadObject;
use longshore_api::ecs::launch::{self, cannot_assume};
use longshore_api::ecs::{execution_role, log_options, resolve_secrets};
use longshore_api::identity;
use longshore_store::Snapshot;
use longshore_types::Scope;
use longshore_types::ecs::ContainerDefinition;
use longshore_types::id::TaskId;
use longshore_types::launch::TaskSecrets;
use longshore_types::link::LogBatch;

/// What the task's execution role reads, or the reason that the task is stopped for.
pub fn resolve(
    state: &Snapshot,
    environment: &Environment,
    scope: &Scope,
    task: &TaskId,
    read_object: ReadObject<'_>,
) -> Result<TaskSecrets, String> {
    let gone = || "The task is not known any more.".to_owned();
    let row = state.tasks().get(&(scope.clone(), task.clone())).ok_or_else(gone)?;
    let definition =
        state.task_definitions().get(&(scope.clone(), row.family.clone(), row.revision)).ok_or_else(gone)?;
    let containers: Vec<ContainerDefinition> =
        definition.containers.iter().map(|container| intent::with_overrides(container, &row)).collect();
    let has_secrets = containers.iter().any(ContainerDefinition::needs_secrets);
    let is_checked = environment.settings.authority.is_some() && execution_role::is_needed(&containers);
    let mut values = TaskSecrets::default();
    if has_secrets || is_checked {
        let role_arn = row.overrides.execution_role_arn.as_ref().or(definition.execution_role_arn.as_ref());
        let role_arn = role_arn.map_or("", String::as_str);
        let role = launch::role(state, &scope.account, role_arn).ok_or_else(|| cannot_assume(role_arn))?;
        let address = row.network.address;
        let acting = |scope: Scope| identity::acting_as(state, environment.cx(scope), &role, task.as_str(), address);
        if is_checked {
            execution_role::check(state, &acting, scope, task, &containers)?;
        }
        values = resolve_secrets::resolve(state, &acting, scope, read_object, &containers)?;
    }
    log_options::check_groups(state, scope, &containers)?;
    Ok(values)
}

/// The streams of a task that starts, without lines: a container that says nothing has one too.
pub fn empty_streams(state: &Snapshot, scope: &Scope, task: &TaskId) -> Vec<LogBatch> {
    let Some(row) = state.tasks().get(&(scope.clone(), task.clone())) else { return Vec::new() };
    let key = (scope.clone(), row.family.clone(), row.revision);
    let Some(definition) = state.task_definitions().get(&key) else { return Vec::new() };
    let of = |container: &ContainerDefinition| {
        container.log.as_ref().map(|log| LogBatch::empty(log, scope, task, &container.name))
    };
    definition.containers.iter().filter_map(of).collect()
}

//! DeregisterTaskDefinition: INACTIVE from now on; services that use it go on.

use super::{error, names, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs::{DeregisterTaskDefinitionInput, DeregisterTaskDefinitionOutput};
use longshore_store::Tx;
use longshore_types::ecs::TaskDefinitionStatus;

pub fn deregister_task_definition(
    tx: &mut Tx,
    cx: &Cx,
    input: DeregisterTaskDefinitionInput,
) -> Result<DeregisterTaskDefinitionOutput, AwsError> {
    let (family, revision) = names::family_and_revision(&input.task_definition)?;
    let revision = revision
        .ok_or_else(|| error::client("Task definition identifier must include a revision: family:revision."))?;
    let key = (cx.scope.clone(), family, revision);
    let gone = || error::client("The specified task definition does not exist.");
    if !names::is_here(&input.task_definition, &cx.scope) {
        return Err(gone());
    }
    let changed = tx.task_definitions().update(&key, |row| {
        if row.status == TaskDefinitionStatus::Active {
            row.status = TaskDefinitionStatus::Inactive;
            row.deregistered_at = Some(cx.now);
        }
        view::task_definition(&cx.scope, row)
    });
    let task_definition = changed.ok_or_else(gone)?;
    Ok(DeregisterTaskDefinitionOutput { task_definition: Some(task_definition) })
}

//! DeleteTaskDefinitions: INACTIVE revisions become DELETE_IN_PROGRESS, and go when nothing uses them any more.

use super::{error, names, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs::{DeleteTaskDefinitionsInput, DeleteTaskDefinitionsOutput, Failure};
use longshore_store::Tx;
use longshore_types::arn;
use longshore_types::ecs::TaskDefinitionStatus;

pub fn delete_task_definitions(
    tx: &mut Tx,
    cx: &Cx,
    input: DeleteTaskDefinitionsInput,
) -> Result<DeleteTaskDefinitionsOutput, AwsError> {
    if input.task_definitions.is_empty() || input.task_definitions.len() > 10 {
        return Err(error::invalid("Give 1 to 10 task definitions."));
    }
    let (mut deleted, mut failures) = (Vec::new(), Vec::new());
    for given in &input.task_definitions {
        let (family, revision) = names::family_and_revision(given)?;
        let revision = revision
            .ok_or_else(|| error::invalid("Task definition identifiers must include a revision: family:revision."))?;
        let failure = |reason: &str| Failure {
            arn: Some(arn::task_definition(&cx.scope, &family, revision)),
            reason: Some(reason.to_owned()),
            detail: None,
        };
        let key = (cx.scope.clone(), family.clone(), revision);
        let row = tx.task_definitions().get(&key).filter(|_| names::is_here(given, &cx.scope));
        match row.map(|row| row.status) {
            None => failures.push(failure("The specified task definition does not exist.")),
            Some(TaskDefinitionStatus::Active) => {
                failures.push(failure("The specified task definition is still in ACTIVE status. Please deregister the target and try again."));
            }
            Some(_) => {
                deleted.extend(tx.task_definitions().update(&key, |row| {
                    row.status = TaskDefinitionStatus::DeleteInProgress;
                    row.delete_requested_at = Some(cx.now);
                    view::task_definition(&cx.scope, row)
                }));
            }
        }
    }
    Ok(DeleteTaskDefinitionsOutput { task_definitions: Some(deleted), failures: Some(failures) })
}

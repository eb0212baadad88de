//! StopTask: intent is written here; targets drain, then the node sends the stop signal.

use super::{error, names, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs::{StopTaskInput, StopTaskOutput};
use longshore_store::Tx;
use longshore_types::ecs::{DesiredStatus, StopCode};

pub fn stop_task(tx: &mut Tx, cx: &Cx, input: StopTaskInput) -> Result<StopTaskOutput, AwsError> {
    let cluster = names::cluster_name(input.cluster.as_deref())?;
    let id = names::task_id(&input.task, &cx.scope, &cluster)?;
    let cluster = names::active(tx, &cx.scope, input.cluster.as_deref(), cluster)?;
    let not_found = || error::invalid("The referenced task was not found.");
    let key = (cx.scope.clone(), id);
    if tx.tasks().get(&key).is_none_or(|task| task.cluster != cluster.name) {
        return Err(not_found());
    }
    let reason = input.reason.unwrap_or_else(|| "Task stopped by user".to_owned());
    let sent = tx.tasks().update(&key, |task| {
        if task.desired_status == DesiredStatus::Running && !task.is_stopped() {
            task.desired_status = DesiredStatus::Stopped;
            task.stop_code = Some(StopCode::UserInitiated);
            task.stopped_reason = Some(reason);
            task.version += 1;
        }
        view::task(&cx.scope, task, true)
    });
    Ok(StopTaskOutput { task: Some(sent.ok_or_else(not_found)?) })
}

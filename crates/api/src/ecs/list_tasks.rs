//! ListTasks: ARNs, RUNNING by intent unless asked for STOPPED, with every filter that Fargate tasks have.

use super::{error, names};
use crate::{Cx, page};
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs::{ListTasksInput, ListTasksOutput};
use longshore_store::Snapshot;
use longshore_store::tables::Tasks;
use longshore_types::arn;
use longshore_types::ecs::{DesiredStatus, Task};
use std::sync::Arc;

pub fn list_tasks(state: &Snapshot, cx: &Cx, input: ListTasksInput) -> Result<ListTasksOutput, AwsError> {
    let cluster = names::cluster(state, &cx.scope, input.cluster.as_deref())?;
    let narrowed = [&input.family, &input.service_name, &input.container_instance, &input.daemon_name];
    if input.started_by.is_some() && narrowed.iter().any(|filter| filter.is_some()) {
        return Err(error::invalid(
            "When you specify startedBy as the filter, it must be the only filter that you use.",
        ));
    }
    if input.container_instance.is_some() || input.daemon_name.is_some() {
        return Ok(ListTasksOutput { task_arns: Some(vec![]), next_token: None });
    }
    let desired = match input.desired_status.as_deref() {
        None | Some("RUNNING") => DesiredStatus::Running,
        Some("STOPPED") => DesiredStatus::Stopped,
        // AWS takes PENDING and finds nothing: ECS never sets it.
        _ => return Ok(ListTasksOutput { task_arns: Some(vec![]), next_token: None }),
    };
    let matches = |task: &Arc<Task>| {
        task.desired_status == desired
            && input.family.as_ref().is_none_or(|family| task.family.as_str() == family)
            && input.started_by.as_ref().is_none_or(|by| task.started_by.as_ref() == Some(by))
            && input.launch_type.as_ref().is_none_or(|launch_type| task.launch_type == *launch_type)
    };
    let key = (cx.scope.clone(), cluster.name.clone());
    let limit = names::page_size(input.max_results, 100, 100)?;
    let token = input.next_token.as_deref();
    let page = match &input.service_name {
        Some(given) => {
            let name = names::service_name(given, &cx.scope, &cluster.name)?;
            let key = (cx.scope.clone(), cluster.name.clone(), name);
            state.services().get(&key).ok_or_else(error::service_not_found)?;
            let rows = state.tasks().by_index(&Tasks::BY_SERVICE, &key).filter(matches);
            page::page(rows, |task| task.id.to_string(), token, limit)
        }
        None => {
            let rows = state.tasks().by_index(&Tasks::BY_CLUSTER, &key).filter(matches);
            page::page(rows, |task| task.id.to_string(), token, limit)
        }
    }
    .map_err(|_| error::bad_token())?;
    let arns = page.items.iter().map(|task| arn::task(&cx.scope, &cluster.name, &task.id)).collect();
    Ok(ListTasksOutput { task_arns: Some(arns), next_token: page.next_token })
}

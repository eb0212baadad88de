//! DescribeTasks: up to 100; one that is not there is a failure, not an error.

use super::{error, names, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs::{DescribeTasksInput, DescribeTasksOutput, Failure};
use longshore_store::Snapshot;
use longshore_types::arn;
use longshore_types::id::TaskId;

pub fn describe_tasks(state: &Snapshot, cx: &Cx, input: DescribeTasksInput) -> Result<DescribeTasksOutput, AwsError> {
    if input.tasks.is_empty() {
        return Err(error::invalid("Tasks cannot be empty."));
    }
    if input.tasks.len() > 100 {
        return Err(error::invalid("taskIds can have at most 100 items."));
    }
    let cluster = names::cluster_name(input.cluster.as_deref())?;
    let ids = input.tasks.iter().map(|given| names::task_id(given, &cx.scope, &cluster));
    let ids = ids.collect::<Result<Vec<TaskId>, AwsError>>()?;
    let cluster = names::active(state, &cx.scope, input.cluster.as_deref(), cluster)?;
    let with_tags = input.include.iter().flatten().any(|i| i == "TAGS");
    let (mut tasks, mut failures) = (Vec::with_capacity(input.tasks.len()), Vec::new());
    for id in ids {
        let found = state.tasks().get(&(cx.scope.clone(), id.clone()));
        match found.filter(|task| task.cluster == cluster.name) {
            Some(task) => tasks.push(view::task(&cx.scope, &task, with_tags)),
            None => failures.push(Failure {
                arn: Some(arn::task(&cx.scope, &cluster.name, &id)),
                reason: Some("MISSING".to_owned()),
                detail: None,
            }),
        }
    }
    Ok(DescribeTasksOutput { tasks: Some(tasks), failures: Some(failures) })
}

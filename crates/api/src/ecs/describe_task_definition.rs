//! DescribeTaskDefinition: by family (the latest ACTIVE revision), `family:revision` or ARN.

use super::{error, names, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs::{DescribeTaskDefinitionInput, DescribeTaskDefinitionOutput};
use longshore_store::Snapshot;

pub fn describe_task_definition(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeTaskDefinitionInput,
) -> Result<DescribeTaskDefinitionOutput, AwsError> {
    let found = names::task_definition(state, &cx.scope, &input.task_definition)?;
    let found = found.ok_or_else(|| error::client("Unable to describe task definition."))?;
    let tags = input.include.iter().flatten().any(|i| i == "TAGS").then(|| view::tags(&found.tags));
    Ok(DescribeTaskDefinitionOutput { task_definition: Some(view::task_definition(&cx.scope, &found)), tags })
}

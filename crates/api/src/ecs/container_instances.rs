//! What is about container instances, of which a Fargate cluster has none: lists are empty, targets are not found, and
//! the calls of the agent on an instance are nobody else's.

use super::{error, names};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs::*;
use longshore_store::Snapshot;

pub fn list_container_instances(
    state: &Snapshot,
    cx: &Cx,
    input: ListContainerInstancesInput,
) -> Result<ListContainerInstancesOutput, AwsError> {
    names::cluster(state, &cx.scope, input.cluster.as_deref())?;
    names::page_size(input.max_results, 100, 100)?;
    Ok(ListContainerInstancesOutput { container_instance_arns: Some(vec![]), next_token: None })
}

pub fn describe_container_instances(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeContainerInstancesInput,
) -> Result<DescribeContainerInstancesOutput, AwsError> {
    names::cluster(state, &cx.scope, input.cluster.as_deref())?;
    if input.container_instances.is_empty() {
        return Err(error::invalid("Container instances cannot be empty."));
    }
    let missing = |arn: String| Failure { arn: Some(arn), reason: Some("MISSING".to_owned()), detail: None };
    let failures = input.container_instances.into_iter().map(missing).collect();
    Ok(DescribeContainerInstancesOutput { container_instances: Some(vec![]), failures: Some(failures) })
}

pub fn list_attributes(
    state: &Snapshot,
    cx: &Cx,
    input: ListAttributesInput,
) -> Result<ListAttributesOutput, AwsError> {
    names::cluster(state, &cx.scope, input.cluster.as_deref())?;
    if input.target_type != "container-instance" {
        return Err(error::invalid(format!("Invalid targetType '{}'.", input.target_type)));
    }
    names::page_size(input.max_results, 100, 100)?;
    Ok(ListAttributesOutput { attributes: Some(vec![]), next_token: None })
}

fn target_not_found() -> AwsError {
    AwsError::new(
        "TargetNotFoundException",
        "The specified target wasn't found. Fargate clusters have no container instances.",
    )
}

pub fn put_attributes(state: &Snapshot, cx: &Cx, input: PutAttributesInput) -> Result<PutAttributesOutput, AwsError> {
    names::cluster(state, &cx.scope, input.cluster.as_deref())?;
    Err(target_not_found())
}

pub fn delete_attributes(
    state: &Snapshot,
    cx: &Cx,
    input: DeleteAttributesInput,
) -> Result<DeleteAttributesOutput, AwsError> {
    names::cluster(state, &cx.scope, input.cluster.as_deref())?;
    Err(target_not_found())
}

fn agents_only(operation: &str) -> AwsError {
    AwsError::new(
        "AccessDeniedException",
        format!("{operation} is only for the Amazon ECS agent of a container instance; a Fargate cluster has none."),
    )
}

pub fn submit_task_state_change(
    _: &Snapshot,
    _: &Cx,
    _: SubmitTaskStateChangeInput,
) -> Result<SubmitTaskStateChangeOutput, AwsError> {
    Err(agents_only("SubmitTaskStateChange"))
}

pub fn submit_container_state_change(
    _: &Snapshot,
    _: &Cx,
    _: SubmitContainerStateChangeInput,
) -> Result<SubmitContainerStateChangeOutput, AwsError> {
    Err(agents_only("SubmitContainerStateChange"))
}

pub fn submit_attachment_state_changes(
    _: &Snapshot,
    _: &Cx,
    _: SubmitAttachmentStateChangesInput,
) -> Result<SubmitAttachmentStateChangesOutput, AwsError> {
    Err(agents_only("SubmitAttachmentStateChanges"))
}

/// Namespaces come with Service Connect: there is none yet.
pub fn list_services_by_namespace(
    _: &Snapshot,
    _: &Cx,
    input: ListServicesByNamespaceInput,
) -> Result<ListServicesByNamespaceOutput, AwsError> {
    names::page_size(input.max_results, 10, 100)?;
    Err(AwsError::new("NamespaceNotFoundException", "The specified namespace wasn't found."))
}

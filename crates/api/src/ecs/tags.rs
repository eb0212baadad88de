//! TagResource, UntagResource, ListTagsForResource: on clusters, services, tasks and task definitions.

use super::{error, names, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::arn::Arn;
use longshore_types::id::{ClusterName, Family, ServiceName, TaskId};
use longshore_types::{Scope, Tags};

/// What an ARN of ECS names.
enum Tagged {
    Cluster(ClusterName),
    Service(ClusterName, ServiceName),
    Task(TaskId),
    TaskDefinition(Family, u32),
}

fn parse(arn: &str) -> Result<Tagged, AwsError> {
    let bad = || error::invalid(format!("The specified resource ARN is not valid: {arn}"));
    let resource = Arn::parse(arn).filter(|arn| arn.service == "ecs").ok_or_else(bad)?.resource;
    let parts: Vec<&str> = resource.split('/').collect();
    match parts[..] {
        ["cluster", name] => Ok(Tagged::Cluster(name.into())),
        ["service", cluster, name] => Ok(Tagged::Service(cluster.into(), name.into())),
        ["task", _, id] => Ok(Tagged::Task(id.into())),
        ["task-definition", name] => match names::family_and_revision(name)? {
            (family, Some(revision)) => Ok(Tagged::TaskDefinition(family, revision)),
            _ => Err(bad()),
        },
        _ => Err(bad()),
    }
}

/// The tags of what an ARN names, if it is there.
pub fn find(state: &Snapshot, scope: &Scope, arn: &str) -> Option<Tags> {
    let scope = scope.clone();
    match parse(arn).ok()? {
        Tagged::Cluster(name) => state.clusters().get(&(scope, name)).map(|row| row.tags.clone()),
        Tagged::Service(cluster, name) => state.services().get(&(scope, cluster, name)).map(|row| row.tags.clone()),
        Tagged::Task(id) => state.tasks().get(&(scope, id)).map(|row| row.tags.clone()),
        Tagged::TaskDefinition(family, revision) => {
            state.task_definitions().get(&(scope, family, revision)).map(|row| row.tags.clone())
        }
    }
}

fn not_found() -> AwsError {
    error::invalid("The specified resource was not found.")
}

fn change(tx: &mut Tx, scope: &Scope, arn: &str, change: impl FnOnce(&mut Tags)) -> Result<(), AwsError> {
    let scope = scope.clone();
    let mut counted = 0;
    let change = |tags: &mut Tags| {
        change(tags);
        counted = tags.0.len();
    };
    let done = match parse(arn)? {
        Tagged::Cluster(name) => tx.clusters().update(&(scope, name), |row| change(&mut row.tags)),
        Tagged::Service(cluster, name) => tx.services().update(&(scope, cluster, name), |row| change(&mut row.tags)),
        Tagged::Task(id) => tx.tasks().update(&(scope, id), |row| change(&mut row.tags)),
        Tagged::TaskDefinition(family, revision) => {
            tx.task_definitions().update(&(scope, family, revision), |row| change(&mut row.tags))
        }
    };
    done.ok_or_else(not_found)?;
    if counted > Tags::MAX {
        return Err(error::invalid("The maximum number of tags per resource is 50."));
    }
    Ok(())
}

pub fn tag_resource(tx: &mut Tx, cx: &Cx, input: TagResourceInput) -> Result<TagResourceOutput, AwsError> {
    let tags = names::tags(Some(input.tags))?;
    change(tx, &cx.scope, &input.resource_arn, |row| row.merge(&tags))?;
    Ok(TagResourceOutput::default())
}

pub fn untag_resource(tx: &mut Tx, cx: &Cx, input: UntagResourceInput) -> Result<UntagResourceOutput, AwsError> {
    change(tx, &cx.scope, &input.resource_arn, |row| row.0.retain(|key, _| !input.tag_keys.contains(key)))?;
    Ok(UntagResourceOutput::default())
}

pub fn list_tags_for_resource(
    state: &Snapshot,
    cx: &Cx,
    input: ListTagsForResourceInput,
) -> Result<ListTagsForResourceOutput, AwsError> {
    parse(&input.resource_arn)?;
    let tags = find(state, &cx.scope, &input.resource_arn).map(|tags| view::tags(&tags));
    Ok(ListTagsForResourceOutput { tags: Some(tags.ok_or_else(not_found)?) })
}

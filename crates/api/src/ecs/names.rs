//! Names as clients write them: short, or as ARNs.

use super::error;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs as wire;
use longshore_store::Snapshot;
use longshore_types::arn::Arn;
use longshore_types::ecs::{Cluster, ClusterStatus, TaskDefinition, TaskDefinitionStatus};
use longshore_types::id::*;
use longshore_types::{Scope, Tags};
use std::sync::Arc;

/// `default`, a name, or a cluster's ARN.
pub fn cluster_name(given: Option<&str>) -> Result<ClusterName, AwsError> {
    let text = given.unwrap_or("default");
    let name = match Arn::parse(text) {
        Some(arn) => arn
            .resource
            .strip_prefix("cluster/")
            .ok_or_else(|| error::invalid("Invalid identifier: Identifier is for a different resource type."))?,
        None => text,
    };
    if !is_ecs_name(name) {
        return Err(error::invalid(
            "Cluster names must contain only letters, numbers, hyphens and underscores, and at most 255 of them.",
        ));
    }
    Ok(ClusterName::from(name))
}

/// The cluster, if it is ACTIVE.
pub fn cluster(state: &Snapshot, scope: &Scope, given: Option<&str>) -> Result<Arc<Cluster>, AwsError> {
    active(state, scope, given, cluster_name(given)?)
}

/// The same, by the name that was given: what else a call names is read by it before the cluster is looked for.
pub fn active(
    state: &Snapshot,
    scope: &Scope,
    given: Option<&str>,
    name: ClusterName,
) -> Result<Arc<Cluster>, AwsError> {
    state
        .clusters()
        .get(&(scope.clone(), name))
        .filter(|cluster| cluster.status == ClusterStatus::Active && given.is_none_or(|given| is_here(given, scope)))
        .ok_or_else(error::cluster_not_found)
}

/// A task's id from an id or an ARN. The id of a task that there never was is one too.
pub fn task_id(given: &str, scope: &Scope, cluster: &ClusterName) -> Result<TaskId, AwsError> {
    let id = in_cluster(given, "task", scope, cluster)?;
    match id.len() {
        32 | 36 => Ok(TaskId::from(id)),
        _ => Err(error::invalid("taskId length should be one of [32,36]")),
    }
}

/// How many rows a page has: 1 to `most`.
pub fn page_size(max_results: Option<i32>, default: usize, most: usize) -> Result<usize, AwsError> {
    match max_results.map(usize::try_from) {
        None => Ok(default),
        Some(Ok(given)) if (1..=most).contains(&given) => Ok(given),
        Some(_) => Err(error::invalid(format!("maxResults must be between 1 and {most}."))),
    }
}

/// A service's name from a name or an ARN.
pub fn service_name(given: &str, scope: &Scope, cluster: &ClusterName) -> Result<ServiceName, AwsError> {
    in_cluster(given, "service", scope, cluster).map(ServiceName::from)
}

/// What stands behind the cluster in an ARN, which has to be of this account, region and cluster: a name that another
/// cluster has too must not lead to this one's. What is no ARN is the name itself.
fn in_cluster<'a>(given: &'a str, kind: &str, scope: &Scope, cluster: &ClusterName) -> Result<&'a str, AwsError> {
    let Some(arn) = Arn::parse(given) else { return Ok(given) };
    let wrong = |what: &str, theirs: &str, yours: &str| {
        error::invalid(format!("Invalid identifier: Identifier is for {what} {theirs}. Your {what} is {yours}"))
    };
    let Some(rest) = arn.resource.strip_prefix(kind).and_then(|rest| rest.strip_prefix('/')) else {
        return Err(error::invalid("Invalid identifier: Identifier is for a different resource type."));
    };
    if arn.account != scope.account.as_str() {
        return Err(wrong("account", arn.account, scope.account.as_str()));
    }
    if arn.region != scope.region.as_str() {
        return Err(wrong("region", arn.region, scope.region.as_str()));
    }
    match rest.split_once('/') {
        Some((theirs, _)) if theirs != cluster.as_str() => Err(wrong("cluster", theirs, cluster.as_str())),
        Some((_, name)) => Ok(name),
        // The short form of before 2018.
        None => Ok(rest),
    }
}

/// Whether it is a name, or an ARN of this account and region.
pub fn is_here(given: &str, scope: &Scope) -> bool {
    Arn::parse(given).is_none_or(|arn| arn.account == scope.account.as_str() && arn.region == scope.region.as_str())
}

/// Family, and revision where one is given: `web`, `web:3`, or an ARN.
pub fn family_and_revision(given: &str) -> Result<(Family, Option<u32>), AwsError> {
    let text = match Arn::parse(given) {
        Some(arn) => arn
            .resource
            .strip_prefix("task-definition/")
            .ok_or_else(|| error::client("Invalid identifier: Identifier is for a different resource type."))?,
        None => given,
    };
    match text.split_once(':') {
        None => Ok((Family::from(text), None)),
        Some((family, revision)) => match revision.parse() {
            Ok(revision) if revision > 0 => Ok((Family::from(family), Some(revision))),
            _ => Err(error::client(format!("Invalid revision number. Number: {revision}"))),
        },
    }
}

/// The task definition, whatever its status; without a revision the latest ACTIVE one.
pub fn task_definition(state: &Snapshot, scope: &Scope, given: &str) -> Result<Option<Arc<TaskDefinition>>, AwsError> {
    let (family, revision) = family_and_revision(given)?;
    if !is_here(given, scope) {
        return Ok(None);
    }
    let table = state.task_definitions();
    Ok(match revision {
        Some(revision) => table.get(&(scope.clone(), family, revision)),
        None => latest_active(state, scope, &family),
    })
}

fn latest_active(state: &Snapshot, scope: &Scope, family: &Family) -> Option<Arc<TaskDefinition>> {
    let table = state.task_definitions();
    let prefix = (scope.clone(), family.clone());
    match table.last(&prefix) {
        Some((_, row)) if row.status == TaskDefinitionStatus::Active => Some(row),
        // The newest one was deregistered: rare, so a walk is fine.
        _ => table.prefix(&prefix).filter(|row| row.status == TaskDefinitionStatus::Active).last(),
    }
}

/// A task definition that new tasks may be started from.
pub fn runnable(state: &Snapshot, scope: &Scope, given: &str) -> Result<Arc<TaskDefinition>, AwsError> {
    let found = task_definition(state, scope, given)?.ok_or_else(|| error::client("TaskDefinition not found."))?;
    if found.status != TaskDefinitionStatus::Active {
        return Err(error::client("TaskDefinition is inactive"));
    }
    Ok(found)
}

/// An idempotency token of a call, which can have up to `max` characters; an empty one is none.
pub fn client_token(given: Option<&str>, max: usize) -> Result<Option<&str>, AwsError> {
    let given = given.filter(|token| !token.is_empty());
    match given.is_none_or(|token| token.len() <= max && token.bytes().all(|byte| byte.is_ascii_graphic())) {
        true => Ok(given),
        false => {
            Err(error::invalid(format!("clientToken can have up to {max} ASCII characters in the range of 33-126.")))
        }
    }
}

/// Tags of a create call.
pub fn tags(given: Option<Vec<wire::Tag>>) -> Result<Tags, AwsError> {
    let mut tags = Tags::default();
    for tag in given.unwrap_or_default() {
        let key = tag.key.unwrap_or_default();
        let value = tag.value.unwrap_or_default();
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return Err(error::invalid("Tag keys must have 1 to 128 characters and tag values at most 256."));
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(error::invalid("Tag keys that start with aws: are reserved."));
        }
        if tags.0.insert(key.clone(), value).is_some() {
            return Err(error::invalid(format!("Duplicate tag keys: {key}")));
        }
    }
    if tags.0.len() > Tags::MAX {
        return Err(error::invalid("The maximum number of tags per resource is 50."));
    }
    Ok(tags)
}

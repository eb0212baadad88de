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
        Some(arn) => resource(&arn, "cluster")
            .ok_or_else(|| error::invalid("Invalid identifier: Identifier is for a different resource type."))?,
        None => text,
    };
    new_cluster_name(Some(name))
}

/// The name of a cluster that is made, which is no ARN; `default` where none is given.
pub fn new_cluster_name(given: Option<&str>) -> Result<ClusterName, AwsError> {
    let name = given.unwrap_or("default");
    match is_ecs_name(name) {
        true => Ok(ClusterName::from(name)),
        false => Err(error::invalid(
            "Cluster names must contain only letters, numbers, hyphens and underscores, and at most 255 of them.",
        )),
    }
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
    let Some(rest) = resource(&arn, kind) else {
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

/// What an ARN names, if that is something of ECS and of this kind. Another service's ARN may look the same: policies tell them
/// apart, so names have to.
fn resource<'a>(arn: &Arn<'a>, kind: &str) -> Option<&'a str> {
    let resource = (arn.service == "ecs").then_some(arn.resource)?;
    resource.strip_prefix(kind)?.strip_prefix('/')
}

/// Whether it is a name, or an ARN of this account and region.
pub fn is_here(given: &str, scope: &Scope) -> bool {
    Arn::parse(given).is_none_or(|arn| arn.account == scope.account.as_str() && arn.region == scope.region.as_str())
}

/// Family, and revision where one is given: `web`, `web:3`, or an ARN. A revision is spelt one way: `web:03` is none.
pub fn family_and_revision(given: &str) -> Result<(Family, Option<u32>), AwsError> {
    let text = match Arn::parse(given) {
        Some(arn) => resource(&arn, "task-definition")
            .ok_or_else(|| error::client("Invalid identifier: Identifier is for a different resource type."))?,
        None => given,
    };
    match text.split_once(':') {
        None => Ok((Family::from(text), None)),
        Some((family, revision)) => match revision.parse() {
            Ok(number) if revision.starts_with(|first: char| ('1'..='9').contains(&first)) => {
                Ok((Family::from(family), Some(number)))
            }
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

/// Whether a tag is AWS's own, which nobody else puts or takes away.
pub fn is_reserved(key: &str) -> bool {
    key.to_ascii_lowercase().starts_with("aws:")
}

pub fn reserved_key() -> AwsError {
    error::invalid("Tag keys that start with aws: are reserved.")
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
        if is_reserved(&key) {
            return Err(reserved_key());
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

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "arn:aws:ecs:us-east-1:123456789012";
    const OF_ANOTHER_SERVICE: &str = "arn:aws:x:us-east-1:123456789012";

    #[test]
    fn another_services_arn_names_nothing_of_ecs() {
        let scope = Scope::new("123456789012", "us-east-1");
        let web = ClusterName::from("web");
        let read = |head: &str| {
            [
                cluster_name(Some(&format!("{head}:cluster/web"))).map(|name| name.to_string()),
                service_name(&format!("{head}:service/web/api"), &scope, &web).map(|name| name.to_string()),
                task_id(&format!("{head}:task/web/{:032}", 1), &scope, &web).map(|id| id.to_string()),
                family_and_revision(&format!("{head}:task-definition/api:3")).map(|(family, _)| family.to_string()),
            ]
        };
        assert!(read(HERE).iter().all(Result::is_ok), "{:?}", read(HERE));
        assert!(read(OF_ANOTHER_SERVICE).iter().all(Result::is_err), "{:?}", read(OF_ANOTHER_SERVICE));
    }

    #[test]
    fn a_revision_is_spelt_one_way() {
        assert_eq!(family_and_revision("web:30").expect("a revision"), ("web".into(), Some(30)));
        for other in ["web:03", "web:+3", "web:0", "web:", "web:-1", "web: 3", "web:3:4"] {
            assert!(family_and_revision(other).is_err(), "{other}");
        }
    }

    #[test]
    fn a_new_cluster_is_named_by_no_arn() {
        assert!(new_cluster_name(Some(&format!("{HERE}:cluster/web"))).is_err());
        assert_eq!(new_cluster_name(None).expect("a name"), "default".into());
    }
}

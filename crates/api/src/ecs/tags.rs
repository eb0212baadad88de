//! TagResource, UntagResource, ListTagsForResource: on clusters, services, tasks and task definitions.

use super::{error, names, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::arn::{self, Arn};
use longshore_types::id::{ClusterName, Family, ServiceName, TaskId};
use longshore_types::{Scope, Tags};

/// What an ARN of ECS names.
enum Tagged {
    Cluster(ClusterName),
    Service(ClusterName, ServiceName),
    Task(ClusterName, TaskId),
    TaskDefinition(Family, u32),
}

impl Tagged {
    fn arn(&self, scope: &Scope) -> String {
        match self {
            Self::Cluster(name) => arn::cluster(scope, name),
            Self::Service(cluster, name) => arn::service(scope, cluster, name),
            Self::Task(cluster, id) => arn::task(scope, cluster, id),
            Self::TaskDefinition(family, revision) => arn::task_definition(scope, family, *revision),
        }
    }
}

/// Only the ARN that the resource has here: what another region, account or cluster has is not told by its last part.
fn parse(given: &str, scope: &Scope) -> Result<Tagged, AwsError> {
    let bad = || error::invalid(format!("The specified resource ARN is not valid: {given}"));
    let parts: Vec<&str> = Arn::parse(given).ok_or_else(bad)?.resource.split('/').collect();
    let tagged = match parts[..] {
        ["cluster", name] => Tagged::Cluster(name.into()),
        ["service", cluster, name] => Tagged::Service(cluster.into(), name.into()),
        ["task", cluster, id] => Tagged::Task(cluster.into(), id.into()),
        ["task-definition", name] => match names::family_and_revision(name)? {
            (family, Some(revision)) => Tagged::TaskDefinition(family, revision),
            _ => return Err(bad()),
        },
        _ => return Err(bad()),
    };
    if tagged.arn(scope) == given { Ok(tagged) } else { Err(bad()) }
}

/// The tags of what an ARN names, if it is there.
pub fn find(state: &Snapshot, scope: &Scope, arn: &str) -> Option<Tags> {
    let tagged = parse(arn, scope).ok()?;
    let scope = scope.clone();
    match tagged {
        Tagged::Cluster(name) => state.clusters().get(&(scope, name)).map(|row| row.tags.clone()),
        Tagged::Service(cluster, name) => state.services().get(&(scope, cluster, name)).map(|row| row.tags.clone()),
        Tagged::Task(cluster, id) => {
            state.tasks().get(&(scope, id)).filter(|row| row.cluster == cluster).map(|row| row.tags.clone())
        }
        Tagged::TaskDefinition(family, revision) => {
            state.task_definitions().get(&(scope, family, revision)).map(|row| row.tags.clone())
        }
    }
}

fn not_found() -> AwsError {
    error::invalid("The specified resource was not found.")
}

fn change(tx: &mut Tx, scope: &Scope, arn: &str, change: impl FnOnce(&mut Tags)) -> Result<(), AwsError> {
    let tagged = parse(arn, scope)?;
    let scope = scope.clone();
    let mut counted = 0;
    let change = |tags: &mut Tags| {
        change(tags);
        counted = tags.0.len();
    };
    let done = match tagged {
        Tagged::Cluster(name) => tx.clusters().update(&(scope, name), |row| change(&mut row.tags)),
        Tagged::Service(cluster, name) => tx.services().update(&(scope, cluster, name), |row| change(&mut row.tags)),
        Tagged::Task(cluster, id) => {
            let key = (scope, id);
            let is_there = tx.tasks().get(&key).is_some_and(|row| row.cluster == cluster);
            is_there.then(|| tx.tasks().update(&key, |row| change(&mut row.tags))).flatten()
        }
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
    if input.tag_keys.iter().any(|key| names::is_reserved(key)) {
        return Err(names::reserved_key());
    }
    change(tx, &cx.scope, &input.resource_arn, |row| row.0.retain(|key, _| !input.tag_keys.contains(key)))?;
    Ok(UntagResourceOutput::default())
}

pub fn list_tags_for_resource(
    state: &Snapshot,
    cx: &Cx,
    input: ListTagsForResourceInput,
) -> Result<ListTagsForResourceOutput, AwsError> {
    parse(&input.resource_arn, &cx.scope)?;
    let tags = find(state, &cx.scope, &input.resource_arn).map(|tags| view::tags(&tags));
    Ok(ListTagsForResourceOutput { tags: Some(tags.ok_or_else(not_found)?) })
}

#[cfg(test)]
mod tests {
    use super::super::testing::World;
    use super::*;

    fn tag(world: &World, arn: &str) -> Result<TagResourceOutput, AwsError> {
        let tag = Tag { key: Some("team".to_owned()), value: Some("blue".to_owned()) };
        let input = TagResourceInput { resource_arn: arn.to_owned(), tags: vec![tag] };
        world.write(|tx, cx| tag_resource(tx, cx, input))
    }

    fn untag(world: &World, arn: &str, key: &str) -> Result<UntagResourceOutput, AwsError> {
        let input = UntagResourceInput { resource_arn: arn.to_owned(), tag_keys: vec![key.to_owned()] };
        world.write(|tx, cx| untag_resource(tx, cx, input))
    }

    fn tags(world: &World, arn: &str) -> Result<Vec<Tag>, AwsError> {
        let input = ListTagsForResourceInput { resource_arn: arn.to_owned() };
        let output = world.read(|state, cx| list_tags_for_resource(state, cx, input));
        output.map(|output| output.tags.unwrap_or_default())
    }

    #[test]
    fn tags_are_reached_by_the_resources_own_arn_alone() {
        let world = World::new();
        let task = world.run_task(|_| {}).expect("it runs")[0].task_arn.clone().expect("an ARN");
        let definition = "arn:aws:ecs:us-east-1:123456789012:task-definition/web:1".to_owned();
        let cluster = "arn:aws:ecs:us-east-1:123456789012:cluster/web".to_owned();
        for own in [&task, &definition, &cluster] {
            for other in [
                own.replace(":us-east-1:", ":eu-west-1:"),
                own.replace(":123456789012:", ":210987654321:"),
                own.replace(":ecs:", ":x:"),
                own.replace("task/web/", "task/dev/"),
                own.replace("web:1", "web:01"),
            ] {
                if other != *own {
                    let refusals =
                        [tag(&world, &other).err(), untag(&world, &other, "team").err(), tags(&world, &other).err()];
                    assert!(refusals.iter().all(Option::is_some), "{other}");
                }
            }
            assert_eq!(tags(&world, own), Ok(vec![]));
            tag(&world, own).expect("its own ARN");
            assert_eq!(tags(&world, own).expect("tags").len(), 1);
        }
    }

    #[test]
    fn what_aws_tagged_stays_tagged() {
        let world = World::new();
        let task = world.run_task(|input| input.enable_ecs_managed_tags = Some(true)).expect("it runs");
        let arn = task[0].task_arn.as_deref().expect("an ARN");
        let refused = untag(&world, arn, "aws:ecs:clusterName").expect_err("the key is AWS's");
        assert_eq!(refused.code, "InvalidParameterException");
        assert_eq!(tags(&world, arn).expect("tags").len(), 1);
    }
}

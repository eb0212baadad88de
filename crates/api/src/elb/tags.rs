//! AddTags, RemoveTags, DescribeTags: on load balancers, target groups, listeners and rules.

use super::{error, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::Tags;

/// Tags of a create call.
pub fn parse(given: Option<Vec<Tag>>) -> Result<Tags, AwsError> {
    let mut tags = Tags::default();
    for tag in given.unwrap_or_default() {
        let (key, value) = (tag.key.unwrap_or_default(), tag.value.unwrap_or_default());
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return Err(error::validation("Tag keys must have 1 to 128 characters, tag values at most 256"));
        }
        if tags.0.insert(key.clone(), value).is_some() {
            return Err(AwsError::new("DuplicateTagKeys", format!("The tag key '{key}' was specified more than once")));
        }
    }
    check(&tags)?;
    Ok(tags)
}

fn check(tags: &Tags) -> Result<(), AwsError> {
    match tags.0.len() > Tags::MAX {
        true => Err(AwsError::new("TooManyTags", "The maximum number of tags on a resource has been reached")),
        false => Ok(()),
    }
}

fn change(tx: &mut Tx, cx: &Cx, arn: &str, change: impl FnOnce(&mut Tags)) -> Result<(), AwsError> {
    let key = (cx.scope.clone(), arn.to_owned());
    let changed = |tags: &mut Tags| {
        change(tags);
        check(tags)
    };
    let (done, missing) = if arn.contains(":listener-rule/") {
        (tx.rules().update(&key, |row| changed(&mut row.tags)), error::no_rule())
    } else if arn.contains(":listener/") {
        (tx.listeners().update(&key, |row| changed(&mut row.tags)), error::no_listener())
    } else if arn.contains(":targetgroup/") {
        (tx.target_groups().update(&key, |row| changed(&mut row.tags)), error::no_target_group())
    } else {
        (tx.load_balancers().update(&key, |row| changed(&mut row.tags)), error::no_load_balancer())
    };
    done.ok_or(missing)?
}

pub fn add_tags(tx: &mut Tx, cx: &Cx, input: AddTagsInput) -> Result<AddTagsOutput, AwsError> {
    let tags = parse(Some(input.tags))?;
    for arn in &input.resource_arns {
        change(tx, cx, arn, |row| row.merge(&tags))?;
    }
    Ok(AddTagsOutput::default())
}

pub fn remove_tags(tx: &mut Tx, cx: &Cx, input: RemoveTagsInput) -> Result<RemoveTagsOutput, AwsError> {
    for arn in &input.resource_arns {
        change(tx, cx, arn, |row| row.0.retain(|key, _| !input.tag_keys.contains(key)))?;
    }
    Ok(RemoveTagsOutput::default())
}

pub fn describe_tags(state: &Snapshot, cx: &Cx, input: DescribeTagsInput) -> Result<DescribeTagsOutput, AwsError> {
    let mut descriptions = Vec::new();
    for arn in &input.resource_arns {
        let key = (cx.scope.clone(), arn.clone());
        let tags = if arn.contains(":listener-rule/") {
            view::tags(&state.rules().get(&key).ok_or_else(error::no_rule)?.tags)
        } else if arn.contains(":listener/") {
            view::tags(&state.listeners().get(&key).ok_or_else(error::no_listener)?.tags)
        } else if arn.contains(":targetgroup/") {
            view::tags(&state.target_groups().get(&key).ok_or_else(error::no_target_group)?.tags)
        } else {
            view::tags(&state.load_balancers().get(&key).ok_or_else(error::no_load_balancer)?.tags)
        };
        descriptions.push(TagDescription { resource_arn: Some(arn.clone()), tags: Some(tags) });
    }
    Ok(DescribeTagsOutput { tag_descriptions: Some(descriptions) })
}

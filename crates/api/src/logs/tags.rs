//! TagResource, UntagResource, ListTagsForResource: on log groups.

use super::{error, names};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::logs::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::Tags;

fn group(arn: &str) -> Result<String, AwsError> {
    names::of_arn(arn).map(str::to_owned).ok_or_else(|| error::invalid(format!("The ARN {arn} is not one of a log group.")))
}

fn change(tx: &mut Tx, cx: &Cx, arn: &str, change: impl FnOnce(&mut Tags)) -> Result<(), AwsError> {
    let key = (cx.scope.clone(), group(arn)?);
    let count = tx.log_groups().update(&key, |row| {
        change(&mut row.tags);
        row.tags.0.len()
    });
    match count.ok_or_else(error::no_group)? {
        n if n > Tags::MAX => Err(AwsError::new("TooManyTagsException", "A log group can have at most 50 tags.")),
        _ => Ok(()),
    }
}

pub fn tag_resource(tx: &mut Tx, cx: &Cx, input: TagResourceInput) -> Result<TagResourceOutput, AwsError> {
    change(tx, cx, &input.resource_arn, |tags| tags.0.extend(input.tags))?;
    Ok(TagResourceOutput::default())
}

pub fn untag_resource(tx: &mut Tx, cx: &Cx, input: UntagResourceInput) -> Result<UntagResourceOutput, AwsError> {
    change(tx, cx, &input.resource_arn, |tags| tags.0.retain(|key, _| !input.tag_keys.contains(key)))?;
    Ok(UntagResourceOutput::default())
}

pub fn list_tags_for_resource(state: &Snapshot, cx: &Cx, input: ListTagsForResourceInput) -> Result<ListTagsForResourceOutput, AwsError> {
    let group = names::group(state, &cx.scope, &group(&input.resource_arn)?)?;
    Ok(ListTagsForResourceOutput { tags: Some(group.tags.0.clone()) })
}

//! TagResource, UntagResource, ListTagsForResource: on log groups.

use super::{error, names};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::logs::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::Tags;

fn group(arn: &str) -> Result<String, AwsError> {
    names::of_arn(arn)
        .map(str::to_owned)
        .ok_or_else(|| error::invalid(format!("The ARN {arn} is not one of a log group.")))
}

fn change(tx: &mut Tx, cx: &Cx, arn: &str, change: impl FnOnce(&mut Tags)) -> Result<(), AwsError> {
    let key = (cx.scope.clone(), group(arn)?);
    let changed = tx.log_groups().update(&key, |row| {
        change(&mut row.tags);
        check_count(&row.tags)
    });
    changed.ok_or_else(error::no_group)?
}

/// An error for more than fifty.
pub fn check_count(tags: &Tags) -> Result<(), AwsError> {
    match tags.0.len() > Tags::MAX {
        true => Err(AwsError::new("TooManyTagsException", "A log group can have at most 50 tags.")),
        false => Ok(()),
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

pub fn list_tags_for_resource(
    state: &Snapshot,
    cx: &Cx,
    input: ListTagsForResourceInput,
) -> Result<ListTagsForResourceOutput, AwsError> {
    let group = names::group(state, &cx.scope, &group(&input.resource_arn)?)?;
    Ok(ListTagsForResourceOutput { tags: Some(group.tags.0.clone()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::testing::{Bench, refusal};
    use longshore_types::arn::log_group;
    use std::collections::BTreeMap;

    #[test]
    fn tags_come_and_go_by_arn() {
        let bench = Bench::app(&[]);
        let arn = log_group(&bench.cx().scope, "app");
        let tags = BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
        let input = TagResourceInput { resource_arn: arn.clone(), tags };
        bench.try_write(|tx, cx| tag_resource(tx, cx, input)).expect("tagged");
        let input = UntagResourceInput { resource_arn: format!("{arn}:*"), tag_keys: vec!["a".to_owned()] };
        bench.try_write(|tx, cx| untag_resource(tx, cx, input)).expect("untagged");
        let list = |arn: String| {
            bench.read(|state, cx| list_tags_for_resource(state, cx, ListTagsForResourceInput { resource_arn: arn }))
        };
        let shown = list(arn.clone()).expect("a list").tags;
        assert_eq!(shown, Some(BTreeMap::from([("b".to_owned(), "2".to_owned())])));
        assert_eq!(
            refusal(list(format!("{arn}2"))),
            "ResourceNotFoundException: The specified log group does not exist."
        );
        assert_eq!(
            refusal(list("app".to_owned())),
            "InvalidParameterException: The ARN app is not one of a log group."
        );
    }
}

//! TagResource, UntagResource, ListTagsForResource: on log groups, by ARN; and their older selves, by name.

use super::{error, names};
use crate::Cx;
use longshore_aws_model::logs::*;
use longshore_aws_model::{AwsError, ErrorMember};
use longshore_store::{Snapshot, Tx};
use longshore_types::{Scope, Tags};
use std::collections::BTreeMap;

fn group<'a>(scope: &Scope, arn: &'a str) -> Result<&'a str, AwsError> {
    names::of_arn(scope, arn)?.ok_or_else(|| error::invalid(format!("The ARN {arn} is not one of a log group.")))
}

fn change(tx: &mut Tx, cx: &Cx, group: &str, change: impl FnOnce(&mut Tags)) -> Result<(), AwsError> {
    let changed = tx.log_groups().update(&(cx.scope.clone(), group.to_owned()), |row| {
        change(&mut row.tags);
        check_count(&row.tags)
    });
    changed.ok_or_else(error::no_group)?
}

/// Tags of a request.
pub fn parse(given: BTreeMap<String, String>) -> Result<Tags, AwsError> {
    if let Some(key) = given.keys().find(|key| key.to_ascii_lowercase().starts_with("aws:")) {
        return Err(error::invalid(format!("The tag key {key} begins with aws:, which is reserved for system use.")));
    }
    let tags = Tags(given);
    check_count(&tags)?;
    Ok(tags)
}

/// An error for more than fifty.
fn check_count(tags: &Tags) -> Result<(), AwsError> {
    match tags.0.len() > Tags::MAX {
        true => Err(AwsError::new("TooManyTagsException", "A log group can have at most 50 tags.")),
        false => Ok(()),
    }
}

pub fn tag_resource(tx: &mut Tx, cx: &Cx, input: TagResourceInput) -> Result<TagResourceOutput, AwsError> {
    let arn = input.resource_arn;
    let tagged = group(&cx.scope, &arn)
        .and_then(|group| parse(input.tags).and_then(|tags| change(tx, cx, group, |row| row.merge(&tags))));
    tagged.map_err(|error| match error.code.as_ref() {
        "TooManyTagsException" => error.with("resourceName", ErrorMember::Text(arn)),
        _ => error,
    })?;
    Ok(TagResourceOutput::default())
}

pub fn tag_log_group(tx: &mut Tx, cx: &Cx, input: TagLogGroupInput) -> Result<TagLogGroupOutput, AwsError> {
    let tags = parse(input.tags)?;
    change(tx, cx, &input.log_group_name, |row| row.merge(&tags))?;
    Ok(TagLogGroupOutput::default())
}

pub fn untag_resource(tx: &mut Tx, cx: &Cx, input: UntagResourceInput) -> Result<UntagResourceOutput, AwsError> {
    let group = group(&cx.scope, &input.resource_arn)?;
    change(tx, cx, group, |row| row.0.retain(|key, _| !input.tag_keys.contains(key)))?;
    Ok(UntagResourceOutput::default())
}

pub fn untag_log_group(tx: &mut Tx, cx: &Cx, input: UntagLogGroupInput) -> Result<UntagLogGroupOutput, AwsError> {
    change(tx, cx, &input.log_group_name, |row| row.0.retain(|key, _| !input.tags.contains(key)))?;
    Ok(UntagLogGroupOutput::default())
}

pub fn list_tags_log_group(
    state: &Snapshot,
    cx: &Cx,
    input: ListTagsLogGroupInput,
) -> Result<ListTagsLogGroupOutput, AwsError> {
    let group = names::group(state, &cx.scope, &input.log_group_name)?;
    Ok(ListTagsLogGroupOutput { tags: Some(group.tags.0.clone()) })
}

pub fn list_tags_for_resource(
    state: &Snapshot,
    cx: &Cx,
    input: ListTagsForResourceInput,
) -> Result<ListTagsForResourceOutput, AwsError> {
    let group = names::group(state, &cx.scope, group(&cx.scope, &input.resource_arn)?)?;
    Ok(ListTagsForResourceOutput { tags: Some(group.tags.0.clone()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::testing::{Bench, refusal};
    use longshore_types::arn::log_group;

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
        let old =
            TagLogGroupInput { log_group_name: "app".to_owned(), tags: BTreeMap::from([("c".into(), "3".into())]) };
        bench.try_write(|tx, cx| tag_log_group(tx, cx, old)).expect("tagged");
        let old = UntagLogGroupInput { log_group_name: "app".to_owned(), tags: vec!["b".to_owned()] };
        bench.try_write(|tx, cx| untag_log_group(tx, cx, old)).expect("untagged");
        let input = ListTagsLogGroupInput { log_group_name: "app".to_owned() };
        let shown = bench.read(|state, cx| list_tags_log_group(state, cx, input)).expect("a list").tags;
        assert_eq!(shown, Some(BTreeMap::from([("c".to_owned(), "3".to_owned())])));
        let tags = BTreeMap::from([("AWS:x".to_owned(), String::new())]);
        let input = TagResourceInput { resource_arn: arn.clone(), tags };
        assert!(refusal(bench.try_write(|tx, cx| tag_resource(tx, cx, input))).contains("reserved"));
        let tags = (0..60).map(|n| (format!("k{n}"), String::new())).collect();
        let input = TagResourceInput { resource_arn: arn.clone(), tags };
        let error = bench.try_write(|tx, cx| tag_resource(tx, cx, input)).expect_err("too many");
        assert_eq!(error.members, [("resourceName", ErrorMember::Text(arn.clone()))]);
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

//! TagResource, UntagResource, ListTagsForResource: on repositories.

use super::{error, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecr::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::arn::{self, Arn};
use longshore_types::{Scope, Tags};

/// Tags of a create call.
pub fn parse(given: Option<Vec<Tag>>) -> Result<Tags, AwsError> {
    let tags: Tags = given
        .unwrap_or_default()
        .into_iter()
        .map(|t| (t.key.unwrap_or_default(), t.value.unwrap_or_default()))
        .collect();
    check(&tags)?;
    Ok(tags)
}

fn check(tags: &Tags) -> Result<(), AwsError> {
    if tags.0.len() > Tags::MAX {
        return Err(AwsError::new("TooManyTagsException", "A repository can have at most 50 tags."));
    }
    match tags.iter().any(|(key, value)| key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256) {
        true => Err(AwsError::new(
            "InvalidTagParameterException",
            "Tag keys have 1 to 128 characters and tag values at most 256.",
        )),
        false => Ok(()),
    }
}

fn name<'a>(scope: &Scope, given: &'a str) -> Result<&'a str, AwsError> {
    Arn::parse(given)
        .and_then(|arn| arn.resource.strip_prefix("repository/"))
        .filter(|name| arn::ecr_repository(scope, name) == given)
        .ok_or_else(|| error::invalid(format!("Invalid parameter at 'resourceArn': {given}")))
}

fn change(tx: &mut Tx, cx: &Cx, arn: &str, change: impl FnOnce(&mut Tags)) -> Result<(), AwsError> {
    let name = name(&cx.scope, arn)?;
    let changed = tx.repositories().update(&(cx.scope.clone(), name.to_owned()), |row| {
        change(&mut row.tags);
        check(&row.tags)
    });
    changed.ok_or_else(|| error::no_repository(&cx.scope, name))?
}

pub fn tag_resource(tx: &mut Tx, cx: &Cx, input: TagResourceInput) -> Result<TagResourceOutput, AwsError> {
    let tags = parse(Some(input.tags))?;
    change(tx, cx, &input.resource_arn, |row| row.merge(&tags))?;
    Ok(TagResourceOutput::default())
}

pub fn untag_resource(tx: &mut Tx, cx: &Cx, input: UntagResourceInput) -> Result<UntagResourceOutput, AwsError> {
    change(tx, cx, &input.resource_arn, |row| row.0.retain(|key, _| !input.tag_keys.contains(key)))?;
    Ok(UntagResourceOutput::default())
}

pub fn list_tags_for_resource(
    state: &Snapshot,
    cx: &Cx,
    input: ListTagsForResourceInput,
) -> Result<ListTagsForResourceOutput, AwsError> {
    let name = name(&cx.scope, &input.resource_arn)?;
    let row = state
        .repositories()
        .get(&(cx.scope.clone(), name.to_owned()))
        .ok_or_else(|| error::no_repository(&cx.scope, name))?;
    Ok(ListTagsForResourceOutput { tags: Some(view::tags(&row.tags)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecr::testing::web;
    use crate::logs::testing::refusal;

    fn tag(key: &str, value: &str) -> Tag {
        Tag { key: Some(key.to_owned()), value: Some(value.to_owned()) }
    }

    #[test]
    fn tags_come_and_go_by_arn() {
        let (bench, _) = web();
        let arn = "arn:aws:ecr:us-east-1:123456789012:repository/web".to_owned();
        let input = TagResourceInput { resource_arn: arn.clone(), tags: vec![tag("a", "1"), tag("b", "2")] };
        bench.try_write(|tx, cx| tag_resource(tx, cx, input)).expect("tagged");
        let input = UntagResourceInput { resource_arn: arn.clone(), tag_keys: vec!["a".to_owned()] };
        bench.try_write(|tx, cx| untag_resource(tx, cx, input)).expect("untagged");
        let list = |arn: &str| {
            let input = ListTagsForResourceInput { resource_arn: arn.to_owned() };
            bench.read(|state, cx| list_tags_for_resource(state, cx, input))
        };
        assert_eq!(list(&arn).expect("a list").tags, Some(vec![tag("b", "2")]));
        assert!(refusal(list(&format!("{arn}2"))).starts_with("RepositoryNotFoundException: "));
        let elsewhere = arn.replace("us-east-1", "eu-west-1");
        assert!(refusal(list(&elsewhere)).starts_with("InvalidParameterException: "));
        assert!(refusal(list("web")).starts_with("InvalidParameterException: "));
        let many = TagResourceInput { resource_arn: arn, tags: (0..50).map(|n| tag(&n.to_string(), "")).collect() };
        assert!(refusal(bench.try_write(|tx, cx| tag_resource(tx, cx, many))).starts_with("TooManyTagsException: "));
    }
}

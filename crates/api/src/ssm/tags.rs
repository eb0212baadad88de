//! AddTagsToResource, RemoveTagsFromResource, ListTagsForResource: on parameters.

use super::{error, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ssm::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::{Scope, Tags};

/// Tags of a request.
pub fn parse(given: Vec<Tag>) -> Result<Tags, AwsError> {
    let mut tags = Tags::default();
    for tag in given {
        let key = tag.key.unwrap_or_default();
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(error::validation("Tag keys that begin with aws: are reserved for system use."));
        }
        if tags.0.insert(key, tag.value.unwrap_or_default()).is_some() {
            return Err(error::validation("Duplicate tag keys found. Tag keys must be unique."));
        }
    }
    check_count(&tags)?;
    Ok(tags)
}

fn check_count(tags: &Tags) -> Result<(), AwsError> {
    let text = "The Targets parameter includes too many tags. Remove one or more tags and try the command again.";
    if tags.0.len() > Tags::MAX { Err(AwsError::new(codes::TOO_MANY_TAGS_ERROR, text)) } else { Ok(()) }
}

fn key(cx: &Cx, kind: &str, id: String) -> Result<(Scope, String), AwsError> {
    match kind {
        "Parameter" => Ok((cx.scope.clone(), id)),
        other => {
            let text = format!("{other} is not a resource type that Longshore has; it has Parameter.");
            Err(AwsError::new(codes::INVALID_RESOURCE_TYPE, text))
        }
    }
}

fn no_resource() -> AwsError {
    let text = "The resource ID is not valid. Verify that you entered the correct ID and try again.";
    AwsError::new(codes::INVALID_RESOURCE_ID, text)
}

pub fn add_tags_to_resource(
    tx: &mut Tx,
    cx: &Cx,
    input: AddTagsToResourceInput,
) -> Result<AddTagsToResourceOutput, AwsError> {
    let key = key(cx, &input.resource_type, input.resource_id)?;
    let tags = parse(input.tags)?;
    let changed = tx.parameters().update(&key, |row| {
        row.tags.merge(&tags);
        check_count(&row.tags)
    });
    changed.ok_or_else(no_resource)??;
    Ok(AddTagsToResourceOutput::default())
}

pub fn remove_tags_from_resource(
    tx: &mut Tx,
    cx: &Cx,
    input: RemoveTagsFromResourceInput,
) -> Result<RemoveTagsFromResourceOutput, AwsError> {
    let key = key(cx, &input.resource_type, input.resource_id)?;
    let changed = tx.parameters().update(&key, |row| row.tags.0.retain(|key, _| !input.tag_keys.contains(key)));
    changed.ok_or_else(no_resource)?;
    Ok(RemoveTagsFromResourceOutput::default())
}

pub fn list_tags_for_resource(
    state: &Snapshot,
    cx: &Cx,
    input: ListTagsForResourceInput,
) -> Result<ListTagsForResourceOutput, AwsError> {
    let key = key(cx, &input.resource_type, input.resource_id)?;
    let parameter = state.parameters().get(&key).ok_or_else(no_resource)?;
    Ok(ListTagsForResourceOutput { tag_list: Some(view::tags(&parameter.tags)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssm::put_parameter::put_parameter;
    use crate::ssm::testing::{put, refusal};
    use crate::testing::Fixture;

    fn tag(key: &str) -> Tag {
        Tag { key: Some(key.to_owned()), value: Some("v".to_owned()) }
    }

    fn add(id: &str, kind: &str, tags: Vec<Tag>) -> AddTagsToResourceInput {
        AddTagsToResourceInput { resource_type: kind.to_owned(), resource_id: id.to_owned(), tags }
    }

    #[test]
    fn tags_come_and_go() {
        let fixture = Fixture::new();
        fixture.try_write(|tx, cx| put_parameter(tx, cx, put("/a", "1"))).expect("stored");
        let input = add("/a", "Parameter", vec![tag("x"), tag("y")]);
        fixture.try_write(|tx, cx| add_tags_to_resource(tx, cx, input)).expect("tagged");
        let input = RemoveTagsFromResourceInput {
            resource_type: "Parameter".to_owned(),
            resource_id: "/a".to_owned(),
            tag_keys: vec!["x".to_owned()],
        };
        fixture.try_write(|tx, cx| remove_tags_from_resource(tx, cx, input)).expect("untagged");
        let input = ListTagsForResourceInput { resource_type: "Parameter".to_owned(), resource_id: "/a".to_owned() };
        let output = fixture.read(|state, cx| list_tags_for_resource(state, cx, input)).expect("a list");
        assert_eq!(output.tag_list, Some(vec![tag("y")]));
    }

    #[test]
    fn what_is_none_or_too_many_is_refused() {
        let fixture = Fixture::new();
        fixture.try_write(|tx, cx| put_parameter(tx, cx, put("/a", "1"))).expect("stored");
        let refused = |input| refusal(fixture.try_write(|tx, cx| add_tags_to_resource(tx, cx, input)));
        assert!(refused(add("/b", "Parameter", vec![tag("x")])).starts_with("InvalidResourceId: "));
        assert!(refused(add("/a", "Document", vec![tag("x")])).starts_with("InvalidResourceType: "));
        let many = (0..51).map(|n| tag(&format!("k{n}"))).collect();
        assert!(refused(add("/a", "Parameter", many)).starts_with("TooManyTagsError: "));
        assert!(refused(add("/a", "Parameter", vec![tag("aws:x")])).starts_with("ValidationException: "));
    }
}

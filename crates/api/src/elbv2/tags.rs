//! AddTags, RemoveTags, DescribeTags: on load balancers, target groups, listeners and rules.

use super::names::{self, NamedRule};
use super::{error, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::arn::Arn;
use longshore_types::{Scope, Tags};

/// Tags of a request, each checked.
pub fn parse(given: &[Tag]) -> Result<Tags, AwsError> {
    let mut tags = Tags::default();
    for tag in given {
        let key = tag.key.clone().unwrap_or_default();
        let value = tag.value.clone().unwrap_or_default();
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return Err(error::validation("Tag keys must have 1 to 128 characters and tag values at most 256"));
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(error::validation("Tag keys starting with 'aws:' are reserved for internal use"));
        }
        if tags.0.insert(key.clone(), value).is_some() {
            return Err(AwsError::new(
                codes::DUPLICATE_TAG_KEYS,
                format!("Tag key '{key}' was specified more than once"),
            ));
        }
    }
    check_count(&tags)?;
    Ok(tags)
}

fn check_count(tags: &Tags) -> Result<(), AwsError> {
    if tags.0.len() > Tags::MAX {
        return Err(AwsError::new(codes::TOO_MANY_TAGS, "You cannot specify more than 50 tags on a resource"));
    }
    Ok(())
}

/// The kind of resource that an ARN names: the first part of its resource.
fn kind(arn: &str) -> &str {
    Arn::parse(arn).and_then(|arn| arn.resource.split_once('/')).map_or("", |(kind, _)| kind)
}

pub fn tags_of(state: &Snapshot, scope: &Scope, arn: &str) -> Result<Tags, AwsError> {
    Ok(match kind(arn) {
        "loadbalancer" => names::load_balancer(state, scope, arn)?.tags.clone(),
        "targetgroup" => names::target_group(state, scope, arn)?.tags.clone(),
        "listener" => names::listener(state, scope, arn)?.tags.clone(),
        "listener-rule" => match names::rule(state, scope, arn)? {
            NamedRule::Own(rule) => rule.tags.clone(),
            NamedRule::Default(_) => Tags::default(),
        },
        _ => return Err(error::validation(format!("'{arn}' is not a valid ARN of a taggable resource"))),
    })
}

fn store(tx: &mut Tx, scope: &Scope, arn: &str, tags: Tags) -> Result<(), AwsError> {
    check_count(&tags)?;
    let key = (scope.clone(), arn.to_owned());
    let done = match kind(arn) {
        "loadbalancer" => tx.load_balancers().update(&key, |row| row.tags = tags),
        "targetgroup" => tx.target_groups().update(&key, |row| row.tags = tags),
        "listener" => tx.listeners().update(&key, |row| row.tags = tags),
        _ => tx.rules().update(&key, |row| row.tags = tags),
    };
    // `tags_of` found it, so only a listener's default rule has no row.
    done.ok_or_else(|| error::unsupported("Tags of a default rule"))
}

pub fn add_tags(tx: &mut Tx, cx: &Cx, input: AddTagsInput) -> Result<AddTagsOutput, AwsError> {
    let added = parse(&input.tags)?;
    for arn in &input.resource_arns {
        let mut tags = tags_of(tx, &cx.scope, arn)?;
        tags.merge(&added);
        store(tx, &cx.scope, arn, tags)?;
    }
    Ok(AddTagsOutput {})
}

pub fn remove_tags(tx: &mut Tx, cx: &Cx, input: RemoveTagsInput) -> Result<RemoveTagsOutput, AwsError> {
    for arn in &input.resource_arns {
        let mut tags = tags_of(tx, &cx.scope, arn)?;
        tags.0.retain(|key, _| !input.tag_keys.contains(key));
        store(tx, &cx.scope, arn, tags)?;
    }
    Ok(RemoveTagsOutput {})
}

pub fn describe_tags(state: &Snapshot, cx: &Cx, input: DescribeTagsInput) -> Result<DescribeTagsOutput, AwsError> {
    if input.resource_arns.len() > 20 {
        return Err(error::validation("You can describe the tags of at most 20 resources at a time"));
    }
    let describe = |arn: &String| {
        let tags = tags_of(state, &cx.scope, arn)?;
        Ok(TagDescription { resource_arn: Some(arn.clone()), tags: Some(view::tags(&tags)) })
    };
    let descriptions: Result<_, AwsError> = input.resource_arns.iter().map(describe).collect();
    Ok(DescribeTagsOutput { tag_descriptions: Some(descriptions?) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::testing::*;
    use crate::testing::Fixture;

    fn tag(key: &str, value: &str) -> Tag {
        Tag { key: Some(key.to_owned()), value: Some(value.to_owned()) }
    }

    #[test]
    fn every_kind_of_resource_keeps_tags() {
        let fixture = Fixture::new();
        let stack = stack(&fixture);
        let rule = path_rule(&fixture, &stack, 1, "/a");
        for arn in [&stack.load_balancer, &stack.target_group, &stack.listener, &rule] {
            let resource_arns = vec![arn.clone()];
            let input = AddTagsInput { resource_arns: resource_arns.clone(), tags: vec![tag("a", "1"), tag("b", "2")] };
            write(&fixture, add_tags, input).expect("added");
            let input = RemoveTagsInput {
                resource_arns: resource_arns.clone(),
                tag_keys: vec!["a".to_owned(), "z".to_owned()],
            };
            write(&fixture, remove_tags, input).expect("removed");
            let shown = read(&fixture, describe_tags, DescribeTagsInput { resource_arns }).expect("a list");
            let shown = shown.tag_descriptions.unwrap_or_default();
            assert_eq!(shown[0].tags, Some(vec![tag("b", "2")]), "{arn}");
        }
    }

    #[test]
    fn bad_tags_and_strangers_are_refused() {
        let fixture = Fixture::new();
        let stack = stack(&fixture);
        let add =
            |arn: &str, tags| write(&fixture, add_tags, AddTagsInput { resource_arns: vec![arn.to_owned()], tags });
        let many = (0..51).map(|n| tag(&n.to_string(), "")).collect();
        assert_eq!(
            refusal(add(&stack.listener, many)),
            "TooManyTags: You cannot specify more than 50 tags on a resource"
        );
        let twice = vec![tag("a", "1"), tag("a", "2")];
        assert_eq!(refusal(add(&stack.listener, twice)), "DuplicateTagKeys: Tag key 'a' was specified more than once");
        let gone = format!("{}0", stack.load_balancer);
        assert_eq!(
            refusal(add(&gone, vec![tag("a", "1")])),
            "LoadBalancerNotFound: One or more load balancers not found"
        );
        let default_rule = names::default_rule_arn(&stack.listener);
        assert_eq!(
            refusal(add(&default_rule, vec![tag("a", "1")])),
            "ValidationError: Tags of a default rule is not supported by Longshore yet."
        );
    }
}

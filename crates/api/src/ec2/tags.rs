//! Tags of EC2: from requests, to answers, and their limits.

use super::error;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::{Tag, TagSpecification};
use longshore_types::Tags;

/// The tags a Create request gives to the resource of type `resource_type` (`vpc`, `security-group`).
pub fn from_specifications(specifications: Option<&[TagSpecification]>, resource_type: &str) -> Result<Tags, AwsError> {
    let mut tags = Tags::default();
    for specification in specifications.unwrap_or_default() {
        let given = specification.resource_type.as_deref().unwrap_or("null");
        if given != resource_type {
            let message = format!("'{given}' is not a valid taggable resource type for this operation.");
            return Err(error::invalid_parameter(message));
        }
        let given = specification.tags.as_deref().unwrap_or_default();
        if given.is_empty() {
            return Err(error::invalid_parameter("Tag specification must have at least one tag"));
        }
        for (key, value) in &parse(given)?.0 {
            if tags.0.insert(key.clone(), value.clone()).is_some() {
                return Err(error::invalid_parameter(format!("Duplicate tag key '{key}' specified.")));
            }
        }
    }
    check_count(&tags)?;
    Ok(tags)
}

/// Tags of a request, each checked.
pub fn parse(tags: &[Tag]) -> Result<Tags, AwsError> {
    let mut parsed = Tags::default();
    for tag in tags {
        let key = tag.key.clone().unwrap_or_default();
        let value = tag.value.clone().unwrap_or_default();
        if key.is_empty() {
            return Err(error::invalid_parameter("Tag key cannot be null or empty"));
        }
        if key.chars().count() > 127 {
            return Err(error::invalid_parameter("Tag key exceeds the maximum length of 127 characters"));
        }
        if value.chars().count() > 256 {
            return Err(error::invalid_parameter("Tag value exceeds the maximum length of 256 characters"));
        }
        if key.starts_with("aws:") {
            return Err(error::invalid_parameter("Tag keys starting with 'aws:' are reserved for internal use"));
        }
        if parsed.0.insert(key.clone(), value).is_some() {
            return Err(error::invalid_parameter(format!("Duplicate tag key '{key}' specified.")));
        }
    }
    Ok(parsed)
}

/// An error when a resource would have more than fifty tags.
pub fn check_count(tags: &Tags) -> Result<(), AwsError> {
    if tags.0.len() > Tags::MAX {
        let message = "The maximum number of Tags for a resource has been reached.";
        return Err(AwsError::new("TagLimitExceeded", message));
    }
    Ok(())
}

/// Tags as they are sent.
pub fn view(tags: &Tags) -> Option<Vec<Tag>> {
    Some(tags.iter().map(|(key, value)| Tag { key: Some(key.clone()), value: Some(value.clone()) }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(key: &str, value: &str) -> Tag {
        Tag { key: Some(key.to_owned()), value: Some(value.to_owned()) }
    }

    fn specification(resource_type: &str, tags: Vec<Tag>) -> Vec<TagSpecification> {
        vec![TagSpecification { resource_type: Some(resource_type.to_owned()), tags: Some(tags) }]
    }

    #[test]
    fn specifications_become_tags_or_are_refused() {
        let tags = from_specifications(Some(&specification("vpc", vec![tag("Name", "a")])), "vpc").expect("tags");
        assert_eq!(tags.get("Name"), Some("a"));
        assert_eq!(from_specifications(None, "vpc"), Ok(Tags::default()));
        for (given, message) in [
            (
                specification("subnet", vec![tag("a", "")]),
                "'subnet' is not a valid taggable resource type for this operation.",
            ),
            (specification("vpc", vec![]), "Tag specification must have at least one tag"),
            (specification("vpc", vec![tag("a", ""), tag("a", "")]), "Duplicate tag key 'a' specified."),
            (
                specification("vpc", vec![tag("aws:a", "")]),
                "Tag keys starting with 'aws:' are reserved for internal use",
            ),
            (specification("vpc", vec![tag("", "a")]), "Tag key cannot be null or empty"),
        ] {
            let error = from_specifications(Some(&given), "vpc").expect_err(message);
            assert_eq!((error.code.as_ref(), error.message.as_str()), ("InvalidParameterValue", message));
        }
        assert!(parse(&[tag("a", &"é".repeat(256))]).is_ok());
        assert!(parse(&[tag("a", &"é".repeat(257))]).is_err());
        let many = (0..51).map(|n| tag(&n.to_string(), "")).collect();
        let error = from_specifications(Some(&specification("vpc", many)), "vpc").expect_err("too many");
        assert_eq!(error.code, "TagLimitExceeded");
    }
}

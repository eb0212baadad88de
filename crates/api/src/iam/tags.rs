//! Tags of roles: from requests, and their limits.

use super::error;
use longshore_aws_model::AwsError;
use longshore_aws_model::iam::Tag;
use longshore_types::Tags;

/// Tags of a request; keys are unique without regard to case.
pub fn parse(tags: &[Tag]) -> Result<Tags, AwsError> {
    let mut parsed = Tags::default();
    for tag in tags {
        let key = tag.key.clone().unwrap_or_default();
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(error::invalid_input("Tag keys that begin with aws: are reserved for system use"));
        }
        if parsed.0.keys().any(|other| other.eq_ignore_ascii_case(&key)) {
            let message = "Duplicate tag keys found. Please note that Tag keys are case insensitive.";
            return Err(error::invalid_input(message));
        }
        parsed.0.insert(key, tag.value.clone().unwrap_or_default());
    }
    check_count(&parsed)?;
    Ok(parsed)
}

/// Adds tags; one whose key differs only in case is overwritten.
pub fn merge(tags: &mut Tags, new: Tags) -> Result<(), AwsError> {
    for (key, value) in new.0 {
        tags.0.retain(|other, _| !other.eq_ignore_ascii_case(&key));
        tags.0.insert(key, value);
    }
    check_count(tags)
}

fn check_count(tags: &Tags) -> Result<(), AwsError> {
    if tags.0.len() > Tags::MAX {
        return Err(error::limit_exceeded("The number of tags has reached the maximum limit."));
    }
    Ok(())
}

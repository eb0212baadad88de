//! Filters of ListSecrets and BatchGetSecretValue: by the beginning of a text, `!` for "not".
//! <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_Filter.html>

use super::error;
use longshore_aws_model::AwsError;
use longshore_aws_model::secretsmanager::Filter;
use longshore_types::Region;
use longshore_types::secretsmanager::Secret;

/// An error for a filter without a key or values, or of a kind that nothing here has.
pub fn check(filters: &[Filter]) -> Result<(), AwsError> {
    for filter in filters {
        let key = filter.key.as_deref().ok_or_else(|| error::invalid_parameter("Invalid filter key"))?;
        if filter.values.iter().flatten().next().is_none() {
            return Err(error::invalid_parameter(format!("Invalid filter values for key: {key}")));
        }
    }
    Ok(())
}

/// Whether a secret meets all filters; of one filter's values, any.
pub fn allow(filters: &[Filter], secret: &Secret, region: &Region) -> bool {
    filters.iter().all(|filter| {
        let key = filter.key.as_deref().unwrap_or_default();
        filter.values.iter().flatten().any(|value| fits(key, value, secret, region))
    })
}

fn fits(key: &str, value: &str, secret: &Secret, region: &Region) -> bool {
    if let Some(value) = value.strip_prefix('!') {
        return !fits(key, value, secret, region);
    }
    let starts = |text: &str| text.starts_with(value);
    let description = secret.description.as_deref().unwrap_or_default();
    match key {
        "name" => starts(&secret.name),
        "description" => begins_without_case(description, value),
        "tag-key" => secret.tags.iter().any(|(key, _)| starts(key)),
        "tag-value" => secret.tags.iter().any(|(_, value)| starts(value)),
        "primary-region" => starts(region.as_str()),
        // No service of ours owns a secret.
        "owning-service" => false,
        // Each word is looked for everywhere.
        _ => value.split([' ', '/', '_', '-', '.', '@', '+', '=']).filter(|word| !word.is_empty()).all(|word| {
            let tags = secret.tags.iter().flat_map(|(key, value)| [key.as_str(), value.as_str()]);
            [secret.name.as_str(), description]
                .into_iter()
                .chain(tags)
                .any(|text| text.to_lowercase().contains(&word.to_lowercase()))
        }),
    }
}

fn begins_without_case(text: &str, prefix: &str) -> bool {
    text.to_lowercase().starts_with(&prefix.to_lowercase())
}

//! PutImageTagMutability, and reading the setting wherever else it is given.

use super::{error, names, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecr::{
    ImageTagMutabilityExclusionFilter, PutImageTagMutabilityInput, PutImageTagMutabilityOutput,
};
use longshore_store::Tx;

/// <https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-tag-mutability.html>
const WILDCARDS_MAX: usize = 2;

pub fn put_image_tag_mutability(
    tx: &mut Tx,
    cx: &Cx,
    input: PutImageTagMutabilityInput,
) -> Result<PutImageTagMutabilityOutput, AwsError> {
    let row = names::repository(tx, &cx.scope, input.registry_id.as_deref(), &input.repository_name)?;
    let (immutable, exclusions) =
        read(Some(&input.image_tag_mutability), input.image_tag_mutability_exclusion_filters.unwrap_or_default())?;
    tx.repositories().update(&(cx.scope.clone(), row.name.clone()), |row| {
        row.immutable_tags = immutable;
        row.mutability_exclusions = exclusions.clone();
    });
    Ok(PutImageTagMutabilityOutput {
        registry_id: Some(cx.scope.account.to_string()),
        repository_name: Some(row.name.clone()),
        image_tag_mutability: Some(view::mutability(immutable, &exclusions).to_owned()),
        image_tag_mutability_exclusion_filters: view::exclusion_filters(&exclusions),
    })
}

/// Whether tags are immutable, and the patterns of those for which the opposite holds.
pub fn read(
    mutability: Option<&str>,
    filters: Vec<ImageTagMutabilityExclusionFilter>,
) -> Result<(bool, Vec<String>), AwsError> {
    let invalid = |why: String| error::invalid_at("imageTagMutabilityExclusionFilters", why);
    let (immutable, excludes) = match mutability {
        None | Some("MUTABLE") => (false, false),
        Some("IMMUTABLE") => (true, false),
        Some("MUTABLE_WITH_EXCLUSION") => (false, true),
        Some("IMMUTABLE_WITH_EXCLUSION") => (true, true),
        Some(other) => return Err(error::invalid_at("imageTagMutability", format!("unknown value {other}"))),
    };
    if excludes == filters.is_empty() {
        let why = match excludes {
            true => "the setting with exclusion needs at least one filter",
            false => "filters are only allowed for the settings with exclusion",
        };
        return Err(invalid(why.to_owned()));
    }
    let patterns: Vec<String> = filters.into_iter().filter_map(|filter| filter.filter).collect();
    if let Some(pattern) = patterns.iter().find(|pattern| pattern.matches('*').count() > WILDCARDS_MAX) {
        return Err(invalid(format!("filter {pattern} has more than {WILDCARDS_MAX} wildcards")));
    }
    Ok((immutable, patterns))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecr::testing::web;
    use crate::logs::testing::refusal;

    fn filter(pattern: &str) -> ImageTagMutabilityExclusionFilter {
        ImageTagMutabilityExclusionFilter { filter_type: Some("WILDCARD".to_owned()), filter: Some(pattern.to_owned()) }
    }

    #[test]
    fn exclusions_turn_the_setting_around_for_some_tags() {
        let (bench, _) = web();
        let put = |mutability: &str, filters: Vec<_>| {
            let input = PutImageTagMutabilityInput {
                repository_name: "web".to_owned(),
                image_tag_mutability: mutability.to_owned(),
                image_tag_mutability_exclusion_filters: (!filters.is_empty()).then_some(filters),
                ..Default::default()
            };
            bench.try_write(|tx, cx| put_image_tag_mutability(tx, cx, input))
        };
        let immutable = |tag: &str| {
            let row = bench.read(|state, cx| names::repository(state, &cx.scope, None, "web")).expect("there");
            row.is_immutable(tag)
        };
        assert!(!immutable("v1"));
        put("IMMUTABLE", vec![]).expect("put");
        assert!(immutable("v1"));
        let output = put("IMMUTABLE_WITH_EXCLUSION", vec![filter("dev-*")]).expect("put");
        assert_eq!(output.image_tag_mutability.as_deref(), Some("IMMUTABLE_WITH_EXCLUSION"));
        assert!(immutable("v1") && !immutable("dev-1"));
        put("MUTABLE_WITH_EXCLUSION", vec![filter("v*")]).expect("put");
        assert!(immutable("v1") && !immutable("dev-1"));
        for (mutability, filters) in [
            ("IMMUTABLE", vec![filter("a")]),
            ("MUTABLE_WITH_EXCLUSION", vec![]),
            ("IMMUTABLE_WITH_EXCLUSION", vec![filter("*a*b*")]),
        ] {
            let refused = refusal(put(mutability, filters));
            assert!(refused.contains("imageTagMutabilityExclusionFilters"), "{refused}");
        }
    }
}

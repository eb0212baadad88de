//! Tags of certificates.

use super::{error, names};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::acm::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::Tags;

/// Tags of a request.
pub fn parse(given: Vec<Tag>) -> Result<Tags, AwsError> {
    let mut tags = Tags::default();
    for tag in given {
        let key = tag.key.unwrap_or_default();
        if key.is_empty() || key.starts_with("aws:") {
            return Err(AwsError::new(codes::INVALID_TAG_EXCEPTION, format!("The tag key '{key}' is not valid.")));
        }
        tags.0.insert(key, tag.value.unwrap_or_default());
    }
    check_count(&tags)?;
    Ok(tags)
}

fn check_count(tags: &Tags) -> Result<(), AwsError> {
    match tags.0.len() > Tags::MAX {
        true => Err(AwsError::new(codes::TOO_MANY_TAGS_EXCEPTION, "A certificate can have at most 50 tags.")),
        false => Ok(()),
    }
}

pub fn add_tags_to_certificate(
    tx: &mut Tx,
    cx: &Cx,
    input: AddTagsToCertificateInput,
) -> Result<AddTagsToCertificateOutput, AwsError> {
    let tags = parse(input.tags)?;
    change(tx, cx, &input.certificate_arn, |row| row.merge(&tags))?;
    Ok(AddTagsToCertificateOutput::default())
}

/// A tag given with a value goes only if it has that value.
pub fn remove_tags_from_certificate(
    tx: &mut Tx,
    cx: &Cx,
    input: RemoveTagsFromCertificateInput,
) -> Result<RemoveTagsFromCertificateOutput, AwsError> {
    change(tx, cx, &input.certificate_arn, |row| {
        row.0.retain(|key, value| {
            !input
                .tags
                .iter()
                .any(|tag| tag.key.as_ref() == Some(key) && tag.value.as_ref().is_none_or(|given| given == value))
        });
    })?;
    Ok(RemoveTagsFromCertificateOutput::default())
}

pub fn list_tags_for_certificate(
    state: &Snapshot,
    cx: &Cx,
    input: ListTagsForCertificateInput,
) -> Result<ListTagsForCertificateOutput, AwsError> {
    let row = names::existing(state, &cx.scope, &input.certificate_arn)?;
    let tags = row.tags.iter().map(|(key, value)| Tag { key: Some(key.clone()), value: Some(value.clone()) });
    Ok(ListTagsForCertificateOutput { tags: Some(tags.collect()) })
}

fn change(tx: &mut Tx, cx: &Cx, arn: &str, change: impl FnOnce(&mut Tags)) -> Result<(), AwsError> {
    let changed = tx.certificates().update(&(cx.scope.clone(), arn.to_owned()), |row| {
        change(&mut row.tags);
        check_count(&row.tags)
    });
    changed.ok_or_else(|| error::not_found(arn, cx.scope.account.as_ref()))?
}

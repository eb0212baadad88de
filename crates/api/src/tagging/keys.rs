//! GetTagKeys and GetTagValues.

use super::{error, resources};
use crate::{Cx, page};
use longshore_aws_model::AwsError;
use longshore_aws_model::resourcegroupstaggingapi::*;
use longshore_store::Snapshot;
use std::collections::BTreeSet;

const PAGE: usize = 100;

pub fn get_tag_keys(state: &Snapshot, cx: &Cx, input: GetTagKeysInput) -> Result<GetTagKeysOutput, AwsError> {
    let tagged = resources::tagged(state, &cx.scope);
    let keys: BTreeSet<&String> = tagged.values().flat_map(|tags| tags.0.keys()).collect();
    let (keys, token) = cut(keys, input.pagination_token.as_deref())?;
    Ok(GetTagKeysOutput { pagination_token: Some(token), tag_keys: Some(keys) })
}

pub fn get_tag_values(state: &Snapshot, cx: &Cx, input: GetTagValuesInput) -> Result<GetTagValuesOutput, AwsError> {
    let tagged = resources::tagged(state, &cx.scope);
    let values: BTreeSet<&String> = tagged.values().filter_map(|tags| tags.0.get(&input.key)).collect();
    let (values, token) = cut(values, input.pagination_token.as_deref())?;
    Ok(GetTagValuesOutput { pagination_token: Some(token), tag_values: Some(values) })
}

/// A page, and the token of the next: empty after the last.
fn cut(all: BTreeSet<&String>, token: Option<&str>) -> Result<(Vec<String>, String), AwsError> {
    let token = token.filter(|token| !token.is_empty());
    let page = page::page(all.into_iter(), |text| (*text).clone(), token, PAGE).map_err(|_| error::bad_token())?;
    Ok((page.items.into_iter().cloned().collect(), page.next_token.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    #[test]
    fn keys_and_values_are_told_once_and_in_pages() {
        let fixture = Fixture::new();
        fixture.write(|tx, cx| {
            let subnets: Vec<_> = tx.snapshot().subnets().prefix(&cx.scope).map(|row| row.id.clone()).collect();
            for (number, id) in subnets.into_iter().enumerate() {
                tx.subnets().update(&(cx.scope.clone(), id), |row| {
                    row.tags.0.insert("n".to_owned(), (number % 2).to_string());
                    row.tags.0.extend((0..45).map(|key| (format!("k{number}-{key:02}"), String::new())));
                });
            }
        });
        let keys = |token: Option<String>| {
            fixture
                .read(|state, cx| get_tag_keys(state, cx, GetTagKeysInput { pagination_token: token }))
                .map(|output| (output.tag_keys.expect("keys"), output.pagination_token.expect("a token")))
        };
        let (first, token) = keys(None).expect("a page");
        assert!(first.len() == PAGE && !token.is_empty());
        let (second, _) = keys(Some(token)).expect("a page");
        assert!(second.first() > first.last());
        assert!(keys(Some("%".to_owned())).is_err());
        let input = GetTagValuesInput { key: "n".to_owned(), pagination_token: None };
        let values = fixture.read(|state, cx| get_tag_values(state, cx, input)).expect("values");
        assert_eq!(values.tag_values, Some(vec!["0".to_owned(), "1".to_owned()]));
        assert_eq!(values.pagination_token.as_deref(), Some(""));
    }
}

//! Lists: choice by name or ARN, and pages by Marker and PageSize.

use super::error;
use crate::page;
use longshore_aws_model::AwsError;

/// `Marker` and `PageSize` of a request.
pub struct Paging<'a> {
    pub marker: Option<&'a str>,
    pub page_size: Option<i32>,
}

impl Paging<'_> {
    /// One page, and the marker of the next; `items` come in the order of `key`. Pages have at most 400 items.
    pub fn page<T>(
        &self,
        items: impl Iterator<Item = T>,
        key: impl Fn(&T) -> String,
    ) -> Result<(Vec<T>, Option<String>), AwsError> {
        let limit = self.page_size.map_or(400, |n| n.clamp(1, 400).unsigned_abs() as usize);
        let marker = self.marker.filter(|marker| !marker.is_empty());
        let page = page::page(items, key, marker, limit)
            .map_err(|_| error::validation(format!("'{}' is not a valid marker", marker.unwrap_or_default())))?;
        Ok((page.items, page.next_token))
    }
}

/// Of several ways to choose, a request may use one.
pub fn only_one(ways: &[(&str, bool)]) -> Result<(), AwsError> {
    let used: Vec<&str> = ways.iter().filter(|(_, used)| *used).map(|(name, _)| *name).collect();
    match used[..] {
        [] | [_] => Ok(()),
        [..] => Err(error::validation(format!("{} cannot be specified at the same time", used.join(" and ")))),
    }
}

/// A list that was given and has something in it.
pub fn given(list: &Option<Vec<String>>) -> Option<&[String]> {
    list.as_deref().filter(|list| !list.is_empty())
}

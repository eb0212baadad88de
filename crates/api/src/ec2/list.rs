//! What the Describe operations share: choosing by id, filters, pages.

use super::error::{self, Kind};
use super::filter::{FilterTable, Filters, Tagged};
use crate::page::page;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::Filter;

/// One page of a list, as the output has it.
pub type Listed<T> = (Option<Vec<T>>, Option<String>);

/// The paging and filter parameters of a Describe request.
#[derive(Debug)]
pub struct Listing<'a> {
    pub filters: Option<&'a [Filter]>,
    pub max_results: Option<i32>,
    pub next_token: Option<&'a str>,
}

impl Listing<'_> {
    /// The page of the items that pass the filters. `items` come in the order of `id`.
    pub fn page<T: Tagged + 'static>(
        &self,
        items: impl Iterator<Item = T>,
        id: fn(&T) -> &Option<String>,
        table: &FilterTable<T>,
    ) -> Result<Listed<T>, AwsError> {
        let filters = Filters::parse(self.filters, table)?;
        let items = items.filter(|item| filters.pass(item));
        let key = |item: &T| id(item).clone().unwrap_or_default();
        let page = page(items, key, self.next_token, self.limit()?)
            .map_err(|_| error::invalid_next_token(self.next_token.unwrap_or_default()))?;
        Ok((Some(page.items), page.next_token))
    }

    fn limit(&self) -> Result<usize, AwsError> {
        let bad = |max: i32, why: &str| {
            error::invalid_parameter(format!("Value ( {max} ) for parameter maxResults is invalid. {why}"))
        };
        match self.max_results {
            None => Ok(usize::MAX),
            Some(max) if max < 5 => Err(bad(max, "Expecting a value greater than 5.")),
            Some(max) if max > 1000 => Err(bad(max, "Expecting a value less than 1000.")),
            Some(max) => Ok(max as usize),
        }
    }
}

/// An error that names the ids that were asked for and do not exist.
pub fn check_exist(kind: Kind, ids: Option<&[String]>, exists: impl Fn(&str) -> bool) -> Result<(), AwsError> {
    let missing: Vec<&str> = ids.unwrap_or_default().iter().map(String::as_str).filter(|id| !exists(id)).collect();
    if missing.is_empty() { Ok(()) } else { Err(kind.not_found(&missing)) }
}

/// Whether a name is among those asked for; an empty or absent list asks for all.
pub fn choice(names: Option<&[String]>) -> impl Fn(&str) -> bool + use<'_> {
    let names = names.filter(|names| !names.is_empty());
    move |name| names.is_none_or(|names| names.iter().any(|n| n == name))
}

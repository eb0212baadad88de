//! DescribeManagedPrefixLists, GetManagedPrefixListEntries, GetManagedPrefixListAssociations, DescribePrefixLists.

use super::error::{self, Kind};
use super::filter::{FilterTable, Tagged, text};
use super::list::{Listing, check_exist, choice};
use super::{prefix_lists, view};
use crate::Cx;
use crate::page::page;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::*;
use longshore_store::Snapshot;

const FILTERS: &FilterTable<ManagedPrefixList> = &[
    ("owner-id", |list| text(&list.owner_id)),
    ("prefix-list-id", |list| text(&list.prefix_list_id)),
    ("prefix-list-name", |list| text(&list.prefix_list_name)),
];

impl Tagged for ManagedPrefixList {
    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}

pub fn describe_managed_prefix_lists(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeManagedPrefixListsInput,
) -> Result<DescribeManagedPrefixListsOutput, AwsError> {
    let ids = input.prefix_list_ids.as_deref();
    check_exist(Kind::PrefixList, ids, |id| prefix_lists::find(state, cx, id).is_ok())?;
    let is_chosen = choice(ids);
    let lists = state.prefix_lists().prefix(&cx.scope).filter(|list| is_chosen(list.id.as_str()));
    let listing = Listing {
        filters: input.filters.as_deref(),
        // The least is 1 here, where other lists have 5.
        max_results: input.max_results.map(|max| if (1..5).contains(&max) { 5 } else { max }),
        next_token: input.next_token.as_deref(),
    };
    let lists = lists.map(|list| {
        view::prefix_list(&cx.scope, &list, if list.version == 1 { "create-complete" } else { "modify-complete" })
    });
    let (prefix_lists, next_token) = listing.page(lists, |list| &list.prefix_list_id, FILTERS)?;
    error::finish(input.dry_run, DescribeManagedPrefixListsOutput { next_token, prefix_lists })
}

pub fn get_managed_prefix_list_entries(
    state: &Snapshot,
    cx: &Cx,
    input: GetManagedPrefixListEntriesInput,
) -> Result<GetManagedPrefixListEntriesOutput, AwsError> {
    let list = prefix_lists::find(state, cx, &input.prefix_list_id)?;
    let version = input.target_version.and_then(|version| u64::try_from(version).ok()).unwrap_or(list.version);
    let entries = list
        .entries_of(version)
        .ok_or_else(|| error::invalid_value(version, "TargetVersion", "The prefix list does not have this version."))?;
    let limit = input.max_results.and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX);
    // A key that sorts as the networks do.
    let key = |entry: &&longshore_types::ec2::PrefixListEntry| {
        format!("{:08x}/{:02}", u32::from(entry.cidr.address()), entry.cidr.prefix())
    };
    let page = page(entries.iter(), key, input.next_token.as_deref(), limit)
        .map_err(|_| error::invalid_next_token(input.next_token.as_deref().unwrap_or_default()))?;
    let entries = page
        .items
        .iter()
        .map(|entry| PrefixListEntry { cidr: view::some(entry.cidr), description: entry.description.clone() });
    let output = GetManagedPrefixListEntriesOutput { entries: Some(entries.collect()), next_token: page.next_token };
    error::finish(input.dry_run, output)
}

pub fn get_managed_prefix_list_associations(
    state: &Snapshot,
    cx: &Cx,
    input: GetManagedPrefixListAssociationsInput,
) -> Result<GetManagedPrefixListAssociationsOutput, AwsError> {
    let list = prefix_lists::find(state, cx, &input.prefix_list_id)?;
    let mut users = prefix_lists::users(state, &cx.scope, &list.id);
    users.sort();
    let limit = input.max_results.and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX);
    let page = page(users.into_iter(), String::clone, input.next_token.as_deref(), limit)
        .map_err(|_| error::invalid_next_token(input.next_token.as_deref().unwrap_or_default()))?;
    let associations = page
        .items
        .into_iter()
        .map(|id| PrefixListAssociation { resource_id: Some(id), resource_owner: view::some(&cx.scope.account) });
    let output = GetManagedPrefixListAssociationsOutput {
        prefix_list_associations: Some(associations.collect()),
        next_token: page.next_token,
    };
    error::finish(input.dry_run, output)
}

const AWS_FILTERS: &FilterTable<PrefixList> =
    &[("prefix-list-id", |list| text(&list.prefix_list_id)), ("prefix-list-name", |list| text(&list.prefix_list_name))];

impl Tagged for PrefixList {
    fn tags(&self) -> &[Tag] {
        &[]
    }
}

/// AWS's own lists, of which there are none here: they are the networks of gateway endpoints.
pub fn describe_prefix_lists(
    _: &Snapshot,
    _: &Cx,
    input: DescribePrefixListsInput,
) -> Result<DescribePrefixListsOutput, AwsError> {
    check_exist(Kind::PrefixList, input.prefix_list_ids.as_deref(), |_| false)?;
    let listing = Listing {
        filters: input.filters.as_deref(),
        max_results: input.max_results,
        next_token: input.next_token.as_deref(),
    };
    let (prefix_lists, next_token) = listing.page(std::iter::empty(), |list| &list.prefix_list_id, AWS_FILTERS)?;
    error::finish(input.dry_run, DescribePrefixListsOutput { next_token, prefix_lists })
}

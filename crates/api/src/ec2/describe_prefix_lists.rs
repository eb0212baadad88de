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
use std::sync::Arc;

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
    let own = state.prefix_lists().prefix(&cx.scope);
    let all = own.chain(prefix_lists::of_aws(&cx.scope.region).map(Arc::new));
    let mut lists: Vec<_> = all.filter(|list| is_chosen(list.id.as_str())).collect();
    lists.sort_by(|a, b| a.id.cmp(&b.id));
    let listing = Listing {
        filters: input.filters.as_deref(),
        // The least is 1 here, where other lists have 5.
        max_results: input.max_results.map(|max| if (1..5).contains(&max) { 5 } else { max }),
        next_token: input.next_token.as_deref(),
    };
    let lists = lists.into_iter().map(|list| {
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

/// AWS's own lists.
pub fn describe_prefix_lists(
    _: &Snapshot,
    cx: &Cx,
    input: DescribePrefixListsInput,
) -> Result<DescribePrefixListsOutput, AwsError> {
    let mut lists: Vec<_> = prefix_lists::of_aws(&cx.scope.region).collect();
    let ids = input.prefix_list_ids.as_deref();
    check_exist(Kind::PrefixList, ids, |id| lists.iter().any(|list| list.id.as_str() == id))?;
    let is_chosen = choice(ids);
    lists.retain(|list| is_chosen(list.id.as_str()));
    lists.sort_by(|a, b| a.id.cmp(&b.id));
    let lists = lists.into_iter().map(|list| PrefixList {
        cidrs: Some(list.entries.iter().map(|entry| entry.cidr.to_string()).collect()),
        prefix_list_id: view::some(&list.id),
        prefix_list_name: Some(list.name),
    });
    let listing = Listing {
        filters: input.filters.as_deref(),
        max_results: input.max_results,
        next_token: input.next_token.as_deref(),
    };
    let (prefix_lists, next_token) = listing.page(lists, |list| &list.prefix_list_id, AWS_FILTERS)?;
    error::finish(input.dry_run, DescribePrefixListsOutput { next_token, prefix_lists })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::prefix_lists::delete_managed_prefix_list;
    use crate::ec2::security_group_rules::authorize_security_group_egress;
    use crate::ec2::testing::{filter, read, refusal, write};
    use crate::testing::Fixture;

    #[test]
    fn lists_of_aws_are_there_and_match_nothing() {
        let fixture = Fixture::new();
        let filters = filter("prefix-list-name", "com.amazonaws.us-east-1.s3");
        let input = DescribeManagedPrefixListsInput { filters, ..Default::default() };
        let found = read(&fixture, describe_managed_prefix_lists, input).expect("a list").prefix_lists;
        let list = found.expect("a list").remove(0);
        let id = list.prefix_list_id.expect("an id");
        assert_eq!(list.prefix_list_arn, Some(format!("arn:aws:ec2:us-east-1:aws:prefix-list/{id}")));
        assert_eq!((list.owner_id.as_deref(), list.max_entries, list.version), (Some("AWS"), None, None));
        let input = DescribePrefixListsInput { prefix_list_ids: Some(vec![id.clone()]), ..Default::default() };
        let found = read(&fixture, describe_prefix_lists, input).expect("a list").prefix_lists.expect("a list");
        assert_eq!(found[0].cidrs, Some(Vec::new()));
        assert_eq!(
            read(&fixture, describe_prefix_lists, Default::default()).expect("all").prefix_lists.map(|all| all.len()),
            Some(3)
        );
        let input = GetManagedPrefixListEntriesInput { prefix_list_id: id.clone(), ..Default::default() };
        let entries = read(&fixture, get_managed_prefix_list_entries, input).expect("entries").entries;
        assert_eq!(entries, Some(Vec::new()));

        let group =
            fixture.read(|state, cx| state.security_groups().prefix(&cx.scope).next().expect("one").id.to_string());
        let peer = PrefixListId { prefix_list_id: Some(id.clone()), description: None };
        let permission = IpPermission {
            ip_protocol: Some("tcp".to_owned()),
            from_port: Some(443),
            to_port: Some(443),
            prefix_list_ids: Some(vec![peer]),
            ..Default::default()
        };
        let input = AuthorizeSecurityGroupEgressInput {
            group_id: group.clone(),
            ip_permissions: Some(vec![permission]),
            ..Default::default()
        };
        write(&fixture, authorize_security_group_egress, input).expect("a rule");
        let input = GetManagedPrefixListAssociationsInput { prefix_list_id: id.clone(), ..Default::default() };
        let users = read(&fixture, get_managed_prefix_list_associations, input).expect("users");
        assert_eq!(users.prefix_list_associations.expect("users")[0].resource_id, Some(group));
        let delete = DeleteManagedPrefixListInput { dry_run: None, prefix_list_id: id.clone() };
        assert_eq!(
            refusal(write(&fixture, delete_managed_prefix_list, delete)),
            format!("OperationNotPermitted: The prefix list '{id}' is managed by AWS and cannot be changed.")
        );
    }
}

//! Managed prefix lists: CreateManagedPrefixList, ModifyManagedPrefixList, DeleteManagedPrefixList; and AWS's own.

use super::error::{self, Kind};
use super::{tags, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::*;
use longshore_store::{Snapshot, Tx};
use longshore_types::ec2 as stored;
use longshore_types::ec2::{Destination, RulePeer};
use longshore_types::id::PrefixListId;
use longshore_types::{Region, Scope, Tags};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// EC2's limit of entries of one list.
const ENTRIES_MAX: i32 = 1000;

pub fn find(state: &Snapshot, cx: &Cx, id: &str) -> Result<Arc<stored::PrefixList>, AwsError> {
    let key = (cx.scope.clone(), PrefixListId::from(id));
    let aws = || of_aws(&cx.scope.region).find(|list| list.id.as_str() == id).map(Arc::new);
    state.prefix_lists().get(&key).or_else(aws).ok_or_else(|| Kind::PrefixList.not_found(&[id]))
}

/// A list that the account may change.
fn find_own(state: &Snapshot, cx: &Cx, id: &str) -> Result<Arc<stored::PrefixList>, AwsError> {
    let list = find(state, cx, id)?;
    if is_of_aws(&list) {
        let message = format!("The prefix list '{id}' is managed by AWS and cannot be changed.");
        return Err(AwsError::new("OperationNotPermitted", message));
    }
    Ok(list)
}

/// What every region's lists of AWS's are named, and how many rules each counts for.
const OF_AWS: [(&str, &str, u32); 3] = [("", "s3", 1), ("", "dynamodb", 1), ("global", "cloudfront.origin-facing", 55)];

/// AWS's own lists in a region. They have no rows and no networks: none of these services is here, so that a rule which
/// names one matches nothing.
pub fn of_aws(region: &Region) -> impl Iterator<Item = stored::PrefixList> {
    OF_AWS.iter().map(move |(place, service, max_entries)| {
        let place = if place.is_empty() { region.as_str() } else { place };
        let name = format!("com.amazonaws.{place}.{service}");
        let digest = Sha256::digest(format!("prefix list {region} {name}"));
        stored::PrefixList {
            id: PrefixListId(format!("pl-{}", crate::hex(&digest[..4]))),
            name,
            max_entries: *max_entries,
            version: 1,
            entries: Vec::new(),
            history: Vec::new(),
            client_token: None,
            tags: Tags::default(),
        }
    })
}

/// Nobody else's list may have such a name.
pub fn is_of_aws(list: &stored::PrefixList) -> bool {
    list.name.starts_with(AWS_PREFIX)
}

const AWS_PREFIX: &str = "com.amazonaws";

/// How many routes a destination counts for: a list counts with the most entries that it may have.
pub fn weight(state: &Snapshot, cx: &Cx, destination: &Destination) -> usize {
    let Destination::PrefixList(id) = destination else { return 1 };
    find(state, cx, id.as_str()).map_or(1, |list| list.max_entries as usize)
}

/// Ids of the route tables and security groups that name a list.
pub fn users(state: &Snapshot, scope: &Scope, id: &PrefixListId) -> Vec<String> {
    let destination = Destination::PrefixList(id.clone());
    let tables = state.route_tables().prefix(scope);
    let tables = tables.filter(|table| table.routes.iter().any(|route| route.destination == destination));
    let peer = RulePeer::PrefixList(id.clone());
    let groups = state.security_groups().prefix(scope);
    let groups = groups.filter(|group| group.rules.iter().any(|rule| rule.peer == peer));
    tables.map(|table| table.id.to_string()).chain(groups.map(|group| group.id.to_string())).collect()
}

pub fn create_managed_prefix_list(
    tx: &mut Tx,
    cx: &Cx,
    input: CreateManagedPrefixListInput,
) -> Result<CreateManagedPrefixListOutput, AwsError> {
    match input.address_family.as_str() {
        "IPv4" => {}
        "IPv6" => return Err(error::unsupported("AddressFamily=IPv6")),
        other => return Err(error::invalid_value(other, "AddressFamily", "Expecting 'IPv4' or 'IPv6'.")),
    }
    let name = check_name(&input.prefix_list_name)?;
    let max_entries = check_max(input.max_entries)?;
    let tags = tags::from_specifications(input.tag_specifications.as_deref(), "prefix-list")?;
    let mut entries = Vec::new();
    add_all(&mut entries, input.entries.unwrap_or_default())?;
    check_count(&entries, max_entries)?;
    let token = input.client_token.filter(|token| !token.is_empty());
    let state: &Snapshot = tx;
    let made = token.as_ref().and_then(|token| {
        state.prefix_lists().prefix(&cx.scope).find(|list| list.client_token.as_ref() == Some(token))
    });
    let list = match made {
        Some(list) if list.name == name => stored::PrefixList::clone(&list),
        Some(_) => return Err(error::idempotent_mismatch()),
        None => stored::PrefixList {
            id: PrefixListId(cx.ids().ec2("pl")),
            name,
            max_entries,
            version: 1,
            entries,
            history: Vec::new(),
            client_token: token,
            tags,
        },
    };
    tx.prefix_lists().put((cx.scope.clone(), list.id.clone()), list.clone());
    let prefix_list = Some(view::prefix_list(&cx.scope, &list, "create-complete"));
    error::finish(input.dry_run, CreateManagedPrefixListOutput { prefix_list })
}

pub fn modify_managed_prefix_list(
    tx: &mut Tx,
    cx: &Cx,
    input: ModifyManagedPrefixListInput,
) -> Result<ModifyManagedPrefixListOutput, AwsError> {
    error::refuse_true("IpamPrefixListResolverSyncEnabled", input.ipam_prefix_list_resolver_sync_enabled)?;
    let old = find_own(tx, cx, &input.prefix_list_id)?;
    let mut list = stored::PrefixList::clone(&old);
    let add = input.add_entries.unwrap_or_default();
    let remove = input.remove_entries.unwrap_or_default();
    let changes_entries = !add.is_empty() || !remove.is_empty();
    match input.current_version {
        None if changes_entries => {
            let message = "CurrentVersion is required when adding or removing entries.";
            return Err(AwsError::new("MissingParameter", message));
        }
        Some(version) if u64::try_from(version).ok() != Some(list.version) => {
            let message = "The prefix list has the incorrect version number.";
            return Err(AwsError::new("PrefixListVersionMismatch", message));
        }
        _ => {}
    }
    if changes_entries && input.max_entries.is_some() {
        let message = "You cannot change the maximum entries and the entries of a prefix list in one request.";
        return Err(error::invalid_combination(message));
    }
    for entry in remove {
        let text = entry.cidr.unwrap_or_default();
        let cidr = cidr(&text)?;
        let count = list.entries.len();
        list.entries.retain(|old| old.cidr != cidr);
        if list.entries.len() == count {
            let message = format!("The prefix list does not contain the entry {text}.");
            return Err(error::invalid_parameter(message));
        }
    }
    add_all(&mut list.entries, add)?;
    list.name = input.prefix_list_name.as_deref().map(check_name).transpose()?.unwrap_or(list.name);
    list.max_entries = input.max_entries.map(check_max).transpose()?.unwrap_or(list.max_entries);
    check_count(&list.entries, list.max_entries)?;
    if changes_entries {
        list.history.push(old.entries.clone());
        list.version += 1;
    }
    tx.prefix_lists().put((cx.scope.clone(), list.id.clone()), list.clone());
    let prefix_list = Some(view::prefix_list(&cx.scope, &list, "modify-complete"));
    error::finish(input.dry_run, ModifyManagedPrefixListOutput { prefix_list })
}

pub fn delete_managed_prefix_list(
    tx: &mut Tx,
    cx: &Cx,
    input: DeleteManagedPrefixListInput,
) -> Result<DeleteManagedPrefixListOutput, AwsError> {
    let list = find_own(tx, cx, &input.prefix_list_id)?;
    if !users(tx, &cx.scope, &list.id).is_empty() {
        let message = format!("The prefix list '{}' is in use and cannot be deleted.", list.id);
        return Err(AwsError::new("PrefixListInUse", message));
    }
    tx.prefix_lists().remove(&(cx.scope.clone(), list.id.clone()));
    let prefix_list = Some(view::prefix_list(&cx.scope, &list, "delete-complete"));
    error::finish(input.dry_run, DeleteManagedPrefixListOutput { prefix_list })
}

fn check_name(name: &str) -> Result<String, AwsError> {
    if name.is_empty() || name.chars().count() > 255 || name.starts_with(AWS_PREFIX) {
        let why = "Names have 1 to 255 characters and do not begin with com.amazonaws.";
        return Err(error::invalid_value(name, "PrefixListName", why));
    }
    Ok(name.to_owned())
}

fn check_max(max: i32) -> Result<u32, AwsError> {
    match u32::try_from(max) {
        Ok(number) if (1..=ENTRIES_MAX).contains(&max) => Ok(number),
        _ => Err(error::invalid_value(max, "MaxEntries", "Expecting a value from 1 to 1000.")),
    }
}

fn check_count(entries: &[stored::PrefixListEntry], max: u32) -> Result<(), AwsError> {
    if entries.len() > max as usize {
        let message = format!("You've reached the maximum number of entries for the prefix list: {max}.");
        return Err(AwsError::new("PrefixListMaxEntriesExceeded", message));
    }
    Ok(())
}

fn cidr(text: &str) -> Result<stored::Cidr, AwsError> {
    text.parse().map_err(|_| error::invalid_value(text, "Cidr", "This is not a valid CIDR block."))
}

fn add_all(entries: &mut Vec<stored::PrefixListEntry>, add: Vec<AddPrefixListEntry>) -> Result<(), AwsError> {
    for entry in add {
        let text = entry.cidr.unwrap_or_default();
        let cidr = cidr(&text)?;
        if entry.description.as_ref().is_some_and(|text| text.chars().count() > 255) {
            return Err(error::invalid_parameter("Descriptions of entries have up to 255 characters."));
        }
        match entries.iter_mut().find(|old| old.cidr == cidr) {
            // The same network again gets another description.
            Some(old) => old.description = entry.description,
            None => entries.push(stored::PrefixListEntry { cidr, description: entry.description }),
        }
    }
    entries.sort_by_key(|entry| entry.cidr);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::describe_prefix_lists::get_managed_prefix_list_entries;
    use crate::ec2::testing::{read, refusal, write};
    use crate::testing::Fixture;

    fn entry(cidr: &str) -> AddPrefixListEntry {
        AddPrefixListEntry { cidr: Some(cidr.to_owned()), description: None }
    }

    fn create(entries: &[&str], max_entries: i32) -> CreateManagedPrefixListInput {
        CreateManagedPrefixListInput {
            prefix_list_name: "offices".to_owned(),
            address_family: "IPv4".to_owned(),
            entries: Some(entries.iter().map(|cidr| entry(cidr)).collect()),
            max_entries,
            ..Default::default()
        }
    }

    fn entries(fixture: &Fixture, id: &str, version: Option<i64>) -> Vec<String> {
        let input = GetManagedPrefixListEntriesInput {
            prefix_list_id: id.to_owned(),
            target_version: version,
            ..Default::default()
        };
        let output = read(fixture, get_managed_prefix_list_entries, input).expect("entries");
        output.entries.into_iter().flatten().filter_map(|entry| entry.cidr).collect()
    }

    #[test]
    fn each_change_of_the_entries_makes_a_version() {
        let fixture = Fixture::new();
        let made = write(&fixture, create_managed_prefix_list, create(&["10.0.0.0/8"], 2)).expect("a list");
        let id = made.prefix_list.and_then(|list| list.prefix_list_id).expect("an id");
        let change = |version: i64, add: &[&str], remove: &[&str]| ModifyManagedPrefixListInput {
            prefix_list_id: id.clone(),
            current_version: Some(version),
            add_entries: Some(add.iter().map(|cidr| entry(cidr)).collect()),
            remove_entries: Some(
                remove.iter().map(|cidr| RemovePrefixListEntry { cidr: Some(cidr.to_string()) }).collect(),
            ),
            ..Default::default()
        };
        let output = write(&fixture, modify_managed_prefix_list, change(1, &["11.0.0.0/8"], &[])).expect("changed");
        assert_eq!(output.prefix_list.and_then(|list| list.version), Some(2));
        for (input, expected) in [
            (
                change(1, &["12.0.0.0/8"], &[]),
                "PrefixListVersionMismatch: The prefix list has the incorrect version number.",
            ),
            (
                change(2, &["12.0.0.0/8"], &[]),
                "PrefixListMaxEntriesExceeded: You've reached the maximum number of entries for the prefix list: 2.",
            ),
            (
                change(2, &[], &["12.0.0.0/8"]),
                "InvalidParameterValue: The prefix list does not contain the entry 12.0.0.0/8.",
            ),
        ] {
            assert_eq!(refusal(write(&fixture, modify_managed_prefix_list, input)), expected);
        }
        write(&fixture, modify_managed_prefix_list, change(2, &["12.0.0.0/8"], &["10.0.0.0/8"])).expect("changed");
        assert_eq!(entries(&fixture, &id, None), ["11.0.0.0/8", "12.0.0.0/8"]);
        assert_eq!(entries(&fixture, &id, Some(1)), ["10.0.0.0/8"]);
        let delete = DeleteManagedPrefixListInput { dry_run: None, prefix_list_id: id.clone() };
        write(&fixture, delete_managed_prefix_list, delete.clone()).expect("nothing uses it");
        assert_eq!(
            refusal(write(&fixture, delete_managed_prefix_list, delete)),
            format!("InvalidPrefixListID.NotFound: The prefix list ID '{id}' does not exist")
        );
    }
}

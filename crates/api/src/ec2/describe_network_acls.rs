//! DescribeNetworkAcls.

use super::error::{self, Kind};
use super::filter::{FilterTable, Tagged, flag, text};
use super::list::{Listing, check_exist, choice};
use super::{network_acls, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::{
    DescribeNetworkAclsInput, DescribeNetworkAclsOutput, NetworkAcl, NetworkAclAssociation, NetworkAclEntry, Tag,
};
use longshore_store::Snapshot;

const FILTERS: &FilterTable<NetworkAcl> = &[
    ("association.association-id", |acl| associations(acl, |one| one.network_acl_association_id.clone())),
    ("association.network-acl-id", |acl| associations(acl, |one| one.network_acl_id.clone())),
    ("association.subnet-id", |acl| associations(acl, |one| one.subnet_id.clone())),
    ("default", |acl| flag(acl.is_default)),
    ("entry.cidr", |acl| entries(acl, |entry| entry.cidr_block.clone())),
    ("entry.icmp.code", |acl| entries(acl, |entry| Some(entry.icmp_type_code.as_ref()?.code?.to_string()))),
    ("entry.icmp.type", |acl| entries(acl, |entry| Some(entry.icmp_type_code.as_ref()?.r#type?.to_string()))),
    ("entry.ipv6-cidr", |acl| entries(acl, |entry| entry.ipv6_cidr_block.clone())),
    ("entry.port-range.from", |acl| entries(acl, |entry| Some(entry.port_range.as_ref()?.from?.to_string()))),
    ("entry.port-range.to", |acl| entries(acl, |entry| Some(entry.port_range.as_ref()?.to?.to_string()))),
    ("entry.protocol", |acl| entries(acl, |entry| entry.protocol.clone())),
    ("entry.rule-action", |acl| entries(acl, |entry| entry.rule_action.clone())),
    ("entry.egress", |acl| entries(acl, |entry| Some(entry.egress?.to_string()))),
    ("entry.rule-number", |acl| entries(acl, |entry| Some(entry.rule_number?.to_string()))),
    ("network-acl-id", |acl| text(&acl.network_acl_id)),
    ("owner-id", |acl| text(&acl.owner_id)),
    ("vpc-id", |acl| text(&acl.vpc_id)),
];

fn associations(acl: &NetworkAcl, value: fn(&NetworkAclAssociation) -> Option<String>) -> Vec<String> {
    acl.associations.iter().flatten().filter_map(value).collect()
}

fn entries(acl: &NetworkAcl, value: fn(&NetworkAclEntry) -> Option<String>) -> Vec<String> {
    acl.entries.iter().flatten().filter_map(value).collect()
}

impl Tagged for NetworkAcl {
    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}

pub fn describe_network_acls(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeNetworkAclsInput,
) -> Result<DescribeNetworkAclsOutput, AwsError> {
    let ids = input.network_acl_ids.as_deref();
    check_exist(Kind::NetworkAcl, ids, |id| network_acls::find(state, cx, id).is_ok())?;
    let is_chosen = choice(ids);
    let acls = state.network_acls().prefix(&cx.scope).filter(|acl| is_chosen(acl.id.as_str()));
    let listing = Listing {
        filters: input.filters.as_deref(),
        max_results: input.max_results,
        next_token: input.next_token.as_deref(),
    };
    let acls = acls.map(|acl| view::network_acl(&cx.scope, &acl));
    let (network_acls, next_token) = listing.page(acls, |acl| &acl.network_acl_id, FILTERS)?;
    error::finish(input.dry_run, DescribeNetworkAclsOutput { network_acls, next_token })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{default_vpc, filter, read};
    use crate::testing::Fixture;

    #[test]
    fn the_default_acl_lets_everything_pass_and_ends_with_a_denial() {
        let fixture = Fixture::new();
        for (name, value, expected) in [
            ("default", "true", 1),
            ("vpc-id", &default_vpc(&fixture), 1),
            ("entry.rule-number", "32767", 1),
            ("entry.protocol", "6", 0),
            ("entry.cidr", "0.0.0.0/0", 1),
        ] {
            let input = DescribeNetworkAclsInput { filters: filter(name, value), ..Default::default() };
            let acls = read(&fixture, describe_network_acls, input).expect("a list").network_acls.expect("a list");
            assert_eq!(acls.len(), expected, "{name}");
            for acl in acls {
                let entries = acl.entries.expect("entries");
                let seen: Vec<_> = entries
                    .iter()
                    .map(|entry| (entry.egress == Some(true), entry.rule_number, entry.rule_action.as_deref()))
                    .collect();
                let (allow, deny) = (Some("allow"), Some("deny"));
                let expected = [
                    (false, Some(100), allow),
                    (false, Some(32767), deny),
                    (true, Some(100), allow),
                    (true, Some(32767), deny),
                ];
                assert_eq!(seen, expected);
            }
        }
    }
}

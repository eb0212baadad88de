//! DescribeVpcs.

use super::error::{self, Kind};
use super::filter::{FilterTable, Tagged, flag, text};
use super::list::{Listing, check_exist, choice};
use super::view;
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::{DescribeVpcsInput, DescribeVpcsOutput, Tag, Vpc};
use longshore_store::Snapshot;
use longshore_types::id::VpcId;

const FILTERS: &FilterTable<Vpc> = &[
    ("cidr", |vpc| text(&vpc.cidr_block)),
    // Two more names of it, which AWS takes without a word of them.
    ("cidr-block", |vpc| text(&vpc.cidr_block)),
    ("cidrBlock", |vpc| text(&vpc.cidr_block)),
    ("cidr-block-association.association-id", |vpc| associations(vpc, |a| a.association_id.clone())),
    ("cidr-block-association.cidr-block", |vpc| associations(vpc, |a| a.cidr_block.clone())),
    ("cidr-block-association.state", |vpc| {
        associations(vpc, |a| a.cidr_block_state.as_ref().and_then(|state| state.state.clone()))
    }),
    ("dhcp-options-id", |vpc| text(&vpc.dhcp_options_id)),
    ("dhcpOptionsId", |vpc| text(&vpc.dhcp_options_id)),
    // Nothing here has IPv6.
    ("ipv6-cidr-block-association.association-id", |_| Vec::new()),
    ("ipv6-cidr-block-association.ipv6-cidr-block", |_| Vec::new()),
    ("ipv6-cidr-block-association.ipv6-pool", |_| Vec::new()),
    ("ipv6-cidr-block-association.state", |_| Vec::new()),
    ("is-default", |vpc| flag(vpc.is_default)),
    ("isDefault", |vpc| flag(vpc.is_default)),
    ("owner-id", |vpc| text(&vpc.owner_id)),
    ("state", |vpc| text(&vpc.state)),
    ("vpc-id", |vpc| text(&vpc.vpc_id)),
];

fn associations(
    vpc: &Vpc,
    value: fn(&longshore_aws_model::ec2::VpcCidrBlockAssociation) -> Option<String>,
) -> Vec<String> {
    vpc.cidr_block_association_set.iter().flatten().filter_map(value).collect()
}

impl Tagged for Vpc {
    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}

pub fn describe_vpcs(state: &Snapshot, cx: &Cx, input: DescribeVpcsInput) -> Result<DescribeVpcsOutput, AwsError> {
    let ids = input.vpc_ids.as_deref();
    check_exist(Kind::Vpc, ids, |id| state.vpcs().contains(&(cx.scope.clone(), VpcId::from(id))))?;
    let is_chosen = choice(ids);
    let vpcs = state.vpcs().prefix(&cx.scope).filter(|vpc| is_chosen(vpc.id.as_str()));
    let listing = Listing {
        filters: input.filters.as_deref(),
        max_results: input.max_results,
        next_token: input.next_token.as_deref(),
    };
    let (vpcs, next_token) = listing.page(vpcs.map(|vpc| view::vpc(&cx.scope, &vpc)), |vpc| &vpc.vpc_id, FILTERS)?;
    error::finish(input.dry_run, DescribeVpcsOutput { next_token, vpcs })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::create_vpc::create_vpc;
    use crate::ec2::testing::{default_vpc, filter, read, refusal, write};
    use crate::testing::Fixture;
    use longshore_aws_model::ec2::CreateVpcInput;

    fn ids(fixture: &Fixture, input: DescribeVpcsInput) -> Vec<String> {
        let output = read(fixture, describe_vpcs, input).expect("a list");
        output.vpcs.into_iter().flatten().filter_map(|vpc| vpc.vpc_id).collect()
    }

    #[test]
    fn vpcs_are_chosen_by_id_and_filter() {
        let fixture = Fixture::new();
        let default = default_vpc(&fixture);
        let given = CreateVpcInput { cidr_block: Some("10.0.0.0/16".to_owned()), ..Default::default() };
        let other = write(&fixture, create_vpc, given).expect("a VPC").vpc.and_then(|vpc| vpc.vpc_id).expect("an id");
        assert_eq!(ids(&fixture, DescribeVpcsInput::default()).len(), 2);
        for (name, value, expected) in [
            ("is-default", "true", &default),
            ("isDefault", "false", &other),
            ("cidr", "10.*", &other),
            ("cidr-block", "10.0.0.0/16", &other),
            ("cidrBlock", "10.0.0.0/16", &other),
            ("cidr-block-association.state", "associated", &default),
            ("vpc-id", &default, &default),
        ] {
            let input = DescribeVpcsInput { filters: filter(name, value), ..Default::default() };
            assert!(ids(&fixture, input).contains(expected), "{name}");
        }
        let input = DescribeVpcsInput { vpc_ids: Some(vec![other.clone()]), ..Default::default() };
        assert_eq!(ids(&fixture, input), [other]);
    }

    #[test]
    fn refusals_name_what_is_wrong() {
        let fixture = Fixture::new();
        for (input, expected) in [
            (
                DescribeVpcsInput { vpc_ids: Some(vec!["vpc-1".to_owned()]), ..Default::default() },
                "InvalidVpcID.NotFound: The vpc ID 'vpc-1' does not exist",
            ),
            (
                DescribeVpcsInput { filters: filter("colour", "red"), ..Default::default() },
                "InvalidParameterValue: The filter 'colour' is invalid",
            ),
            (
                DescribeVpcsInput { max_results: Some(4), ..Default::default() },
                "InvalidParameterValue: Value ( 4 ) for parameter maxResults is invalid. Expecting a value greater than 5.",
            ),
            (
                DescribeVpcsInput { next_token: Some("%".to_owned()), ..Default::default() },
                "InvalidNextToken: The token '%' is invalid",
            ),
        ] {
            assert_eq!(refusal(read(&fixture, describe_vpcs, input)), expected);
        }
    }

    #[test]
    fn pages_follow_each_other() {
        let fixture = Fixture::new();
        for n in 0..6 {
            let given = CreateVpcInput { cidr_block: Some(format!("10.{n}.0.0/16")), ..Default::default() };
            write(&fixture, create_vpc, given).expect("a VPC");
        }
        let page = |next_token| {
            let input = DescribeVpcsInput { max_results: Some(5), next_token, ..Default::default() };
            read(&fixture, describe_vpcs, input).expect("a page")
        };
        let first = page(None);
        let second = page(first.next_token.clone());
        let count = |output: &DescribeVpcsOutput| output.vpcs.as_ref().map_or(0, Vec::len);
        assert_eq!((count(&first), count(&second), second.next_token), (5, 2, None));
    }
}

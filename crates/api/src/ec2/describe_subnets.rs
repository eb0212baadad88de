//! DescribeSubnets.

use super::error::{self, Kind};
use super::filter::{FilterTable, Tagged, flag, number, text};
use super::list::{Listing, check_exist, choice};
use super::view;
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::{DescribeSubnetsInput, DescribeSubnetsOutput, Subnet, Tag};
use longshore_store::Snapshot;
use longshore_types::id::SubnetId;

const FILTERS: &FilterTable<Subnet> = &[
    ("availability-zone", |subnet| text(&subnet.availability_zone)),
    ("availabilityZone", |subnet| text(&subnet.availability_zone)),
    ("availability-zone-id", |subnet| text(&subnet.availability_zone_id)),
    ("availabilityZoneId", |subnet| text(&subnet.availability_zone_id)),
    ("available-ip-address-count", |subnet| number(subnet.available_ip_address_count)),
    ("cidr-block", |subnet| text(&subnet.cidr_block)),
    ("cidr", |subnet| text(&subnet.cidr_block)),
    ("cidrBlock", |subnet| text(&subnet.cidr_block)),
    ("customer-owned-ipv4-pool", |_| Vec::new()),
    ("default-for-az", |subnet| flag(subnet.default_for_az)),
    ("defaultForAz", |subnet| flag(subnet.default_for_az)),
    ("enable-dns64", |subnet| flag(subnet.enable_dns64)),
    // Nothing here has IPv6, or is on an Outpost.
    ("enable-lni-at-device-index", |_| Vec::new()),
    ("ipv6-cidr-block-association.association-id", |_| Vec::new()),
    ("ipv6-cidr-block-association.ipv6-cidr-block", |_| Vec::new()),
    ("ipv6-cidr-block-association.state", |_| Vec::new()),
    ("ipv6-native", |subnet| flag(subnet.ipv6_native)),
    ("map-customer-owned-ip-on-launch", |subnet| flag(subnet.map_customer_owned_ip_on_launch)),
    ("map-public-ip-on-launch", |subnet| flag(subnet.map_public_ip_on_launch)),
    ("outpost-arn", |_| Vec::new()),
    ("owner-id", |subnet| text(&subnet.owner_id)),
    ("private-dns-name-options-on-launch.enable-resource-name-dns-a-record", |subnet| {
        let options = subnet.private_dns_name_options_on_launch.as_ref();
        flag(options.and_then(|options| options.enable_resource_name_dns_a_record))
    }),
    ("private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record", |subnet| {
        let options = subnet.private_dns_name_options_on_launch.as_ref();
        flag(options.and_then(|options| options.enable_resource_name_dns_aaaa_record))
    }),
    ("private-dns-name-options-on-launch.hostname-type", |subnet| {
        subnet.private_dns_name_options_on_launch.iter().filter_map(|options| options.hostname_type.clone()).collect()
    }),
    ("state", |subnet| text(&subnet.state)),
    ("subnet-arn", |subnet| text(&subnet.subnet_arn)),
    ("subnet-id", |subnet| text(&subnet.subnet_id)),
    ("vpc-id", |subnet| text(&subnet.vpc_id)),
];

impl Tagged for Subnet {
    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}

pub fn describe_subnets(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeSubnetsInput,
) -> Result<DescribeSubnetsOutput, AwsError> {
    let ids = input.subnet_ids.as_deref();
    check_exist(Kind::Subnet, ids, |id| state.subnets().contains(&(cx.scope.clone(), SubnetId::from(id))))?;
    let is_chosen = choice(ids);
    let subnets = state.subnets().prefix(&cx.scope).filter(|subnet| is_chosen(subnet.id.as_str()));
    let listing = Listing {
        filters: input.filters.as_deref(),
        max_results: input.max_results,
        next_token: input.next_token.as_deref(),
    };
    let subnets = subnets.map(|subnet| view::subnet(state, &cx.scope, &subnet));
    let (subnets, next_token) = listing.page(subnets, |subnet| &subnet.subnet_id, FILTERS)?;
    error::finish(input.dry_run, DescribeSubnetsOutput { next_token, subnets })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{default_subnet, default_vpc, filter, read, refusal};
    use crate::testing::Fixture;

    fn zones(fixture: &Fixture, name: &str, value: &str) -> Vec<String> {
        let input = DescribeSubnetsInput { filters: filter(name, value), ..Default::default() };
        let output = read(fixture, describe_subnets, input).expect("a list");
        let mut zones: Vec<_> = output.subnets.into_iter().flatten().filter_map(|s| s.availability_zone).collect();
        zones.sort();
        zones
    }

    #[test]
    fn subnets_are_chosen_by_filter() {
        let fixture = Fixture::new();
        let vpc = default_vpc(&fixture);
        assert_eq!(zones(&fixture, "vpc-id", &vpc), ["us-east-1a", "us-east-1b", "us-east-1c"]);
        assert_eq!(zones(&fixture, "vpc-id", "vpc-1"), Vec::<String>::new());
        assert_eq!(zones(&fixture, "availability-zone", "us-east-1b"), ["us-east-1b"]);
        assert_eq!(zones(&fixture, "availability-zone-id", "*az3"), ["us-east-1c"]);
        assert_eq!(zones(&fixture, "cidr", "172.31.0.0/20"), ["us-east-1a"]);
        assert_eq!(zones(&fixture, "default-for-az", "true").len(), 3);
        assert_eq!(zones(&fixture, "available-ip-address-count", "4091").len(), 3);
        assert_eq!(zones(&fixture, "subnet-id", &default_subnet(&fixture)).len(), 1);
        let names = "private-dns-name-options-on-launch";
        assert_eq!(zones(&fixture, &format!("{names}.hostname-type"), "ip-name").len(), 3);
        assert_eq!(zones(&fixture, &format!("{names}.enable-resource-name-dns-a-record"), "false").len(), 3);
        assert_eq!(zones(&fixture, &format!("{names}.enable-resource-name-dns-aaaa-record"), "true").len(), 0);
        assert_eq!(zones(&fixture, "customer-owned-ipv4-pool", "*").len(), 0);
        assert_eq!(zones(&fixture, "enable-lni-at-device-index", "1").len(), 0);
    }

    #[test]
    fn unknown_subnets_are_told() {
        let input = DescribeSubnetsInput {
            subnet_ids: Some(vec!["subnet-1".to_owned(), "subnet-2".to_owned()]),
            ..Default::default()
        };
        assert_eq!(
            refusal(read(&Fixture::new(), describe_subnets, input)),
            "InvalidSubnetID.NotFound: The subnet IDs 'subnet-1, subnet-2' do not exist"
        );
    }
}

//! EC2's part that containers need: VPCs, subnets, security groups, interfaces.

use crate::Routes;
use longshore_aws_model::ec2::*;

pub mod default_vpc;
pub mod network;
pub mod zones;

pub(crate) mod filter;

mod error;
mod list;
mod permission;
pub mod permissions;
mod security_groups;
pub(crate) mod tags;
#[cfg(test)]
pub(crate) mod testing;
mod view;
mod vpcs;

mod create_network_interface;
mod create_security_group;
mod create_subnet;
mod create_vpc;
mod delete_network_interface;
mod delete_security_group;
mod delete_subnet;
mod delete_vpc;
mod describe_account_attributes;
mod describe_availability_zones;
mod describe_internet_gateways;
mod describe_network_interfaces;
mod describe_regions;
mod describe_route_tables;
mod describe_security_group_rules;
mod describe_security_groups;
mod describe_subnets;
mod describe_vpc_attribute;
mod describe_vpcs;
mod modify_subnet_attribute;
mod modify_vpc_attribute;
mod security_group_rules;
pub(crate) mod tagging;

pub fn routes(routes: Routes) -> Routes {
    routes
        .write::<CreateVpc>(create_vpc::create_vpc)
        .write::<DeleteVpc>(delete_vpc::delete_vpc)
        .read::<DescribeVpcs>(describe_vpcs::describe_vpcs)
        .read::<DescribeVpcAttribute>(describe_vpc_attribute::describe_vpc_attribute)
        .write::<ModifyVpcAttribute>(modify_vpc_attribute::modify_vpc_attribute)
        .write::<CreateSubnet>(create_subnet::create_subnet)
        .write::<DeleteSubnet>(delete_subnet::delete_subnet)
        .read::<DescribeSubnets>(describe_subnets::describe_subnets)
        .write::<ModifySubnetAttribute>(modify_subnet_attribute::modify_subnet_attribute)
        .write::<CreateSecurityGroup>(create_security_group::create_security_group)
        .write::<DeleteSecurityGroup>(delete_security_group::delete_security_group)
        .read::<DescribeSecurityGroups>(describe_security_groups::describe_security_groups)
        .write::<AuthorizeSecurityGroupIngress>(security_group_rules::authorize_security_group_ingress)
        .write::<AuthorizeSecurityGroupEgress>(security_group_rules::authorize_security_group_egress)
        .write::<RevokeSecurityGroupIngress>(security_group_rules::revoke_security_group_ingress)
        .write::<RevokeSecurityGroupEgress>(security_group_rules::revoke_security_group_egress)
        .read::<DescribeSecurityGroupRules>(describe_security_group_rules::describe_security_group_rules)
        .write::<CreateNetworkInterface>(create_network_interface::create_network_interface)
        .write::<DeleteNetworkInterface>(delete_network_interface::delete_network_interface)
        .read::<DescribeNetworkInterfaces>(describe_network_interfaces::describe_network_interfaces)
        .read::<DescribeAvailabilityZones>(describe_availability_zones::describe_availability_zones)
        .read::<DescribeRegions>(describe_regions::describe_regions)
        .write::<CreateTags>(tagging::create_tags)
        .write::<DeleteTags>(tagging::delete_tags)
        .read::<DescribeTags>(tagging::describe_tags)
        .read::<DescribeRouteTables>(describe_route_tables::describe_route_tables)
        .read::<DescribeInternetGateways>(describe_internet_gateways::describe_internet_gateways)
        .read::<DescribeAccountAttributes>(describe_account_attributes::describe_account_attributes)
}

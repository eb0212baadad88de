//! EC2's part that containers need: VPCs, subnets, security groups, interfaces.

use crate::Routes;
use longshore_aws_model::ec2::*;

pub mod default_vpc;
pub mod network;
pub mod subnets;
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

mod absent;
mod addresses;
mod create_default;
mod create_network_interface;
mod create_security_group;
mod create_subnet;
mod create_vpc;
mod delete_network_interface;
mod delete_security_group;
mod delete_subnet;
mod delete_vpc;
mod describe_account_attributes;
mod describe_addresses;
mod describe_availability_zones;
mod describe_internet_gateways;
mod describe_nat_gateways;
mod describe_network_acls;
mod describe_network_interfaces;
mod describe_prefix_lists;
mod describe_regions;
mod describe_route_tables;
mod describe_security_group_rules;
mod describe_security_groups;
mod describe_subnets;
mod describe_vpc_attribute;
mod describe_vpcs;
mod dhcp_options;
mod instances;
mod interface_attributes;
pub(crate) mod internet_gateways;
mod modify_security_group_rules;
mod modify_subnet_attribute;
mod modify_vpc_attribute;
mod nat_gateways;
mod network_acl_entries;
mod network_acls;
mod prefix_lists;
mod private_addresses;
mod route_tables;
mod routes;
mod security_group_references;
mod security_group_rules;
pub(crate) mod tagging;
mod vpc_cidr_blocks;

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
        .write::<AssociateVpcCidrBlock>(vpc_cidr_blocks::associate_vpc_cidr_block)
        .write::<DisassociateVpcCidrBlock>(vpc_cidr_blocks::disassociate_vpc_cidr_block)
        .write::<CreateDefaultVpc>(create_default::create_default_vpc)
        .write::<CreateDefaultSubnet>(create_default::create_default_subnet)
        .write::<CreateRouteTable>(route_tables::create_route_table)
        .write::<DeleteRouteTable>(route_tables::delete_route_table)
        .write::<AssociateRouteTable>(route_tables::associate_route_table)
        .write::<DisassociateRouteTable>(route_tables::disassociate_route_table)
        .write::<ReplaceRouteTableAssociation>(route_tables::replace_route_table_association)
        .write::<CreateRoute>(routes::create_route)
        .write::<ReplaceRoute>(routes::replace_route)
        .write::<DeleteRoute>(routes::delete_route)
        .write::<CreateInternetGateway>(internet_gateways::create_internet_gateway)
        .write::<DeleteInternetGateway>(internet_gateways::delete_internet_gateway)
        .write::<AttachInternetGateway>(internet_gateways::attach_internet_gateway)
        .write::<DetachInternetGateway>(internet_gateways::detach_internet_gateway)
        .write::<CreateNatGateway>(nat_gateways::create_nat_gateway)
        .write::<DeleteNatGateway>(nat_gateways::delete_nat_gateway)
        .read::<DescribeNatGateways>(describe_nat_gateways::describe_nat_gateways)
        .write::<AllocateAddress>(addresses::allocate_address)
        .write::<ReleaseAddress>(addresses::release_address)
        .write::<AssociateAddress>(addresses::associate_address)
        .write::<DisassociateAddress>(addresses::disassociate_address)
        .read::<DescribeAddresses>(describe_addresses::describe_addresses)
        .read::<DescribeAddressesAttribute>(addresses::describe_addresses_attribute)
        .write::<CreateNetworkAcl>(network_acls::create_network_acl)
        .write::<DeleteNetworkAcl>(network_acls::delete_network_acl)
        .write::<ReplaceNetworkAclAssociation>(network_acls::replace_network_acl_association)
        .read::<DescribeNetworkAcls>(describe_network_acls::describe_network_acls)
        .write::<CreateNetworkAclEntry>(network_acl_entries::create_network_acl_entry)
        .write::<ReplaceNetworkAclEntry>(network_acl_entries::replace_network_acl_entry)
        .write::<DeleteNetworkAclEntry>(network_acl_entries::delete_network_acl_entry)
        .write::<ModifySecurityGroupRules>(modify_security_group_rules::modify_security_group_rules)
        .write::<UpdateSecurityGroupRuleDescriptionsIngress>(
            modify_security_group_rules::update_security_group_rule_descriptions_ingress,
        )
        .write::<UpdateSecurityGroupRuleDescriptionsEgress>(
            modify_security_group_rules::update_security_group_rule_descriptions_egress,
        )
        .read::<DescribeSecurityGroupReferences>(security_group_references::describe_security_group_references)
        .read::<DescribeStaleSecurityGroups>(security_group_references::describe_stale_security_groups)
        .read::<GetSecurityGroupsForVpc>(security_group_references::get_security_groups_for_vpc)
        .write::<CreateManagedPrefixList>(prefix_lists::create_managed_prefix_list)
        .write::<ModifyManagedPrefixList>(prefix_lists::modify_managed_prefix_list)
        .write::<DeleteManagedPrefixList>(prefix_lists::delete_managed_prefix_list)
        .read::<DescribeManagedPrefixLists>(describe_prefix_lists::describe_managed_prefix_lists)
        .read::<GetManagedPrefixListEntries>(describe_prefix_lists::get_managed_prefix_list_entries)
        .read::<GetManagedPrefixListAssociations>(describe_prefix_lists::get_managed_prefix_list_associations)
        .read::<DescribePrefixLists>(describe_prefix_lists::describe_prefix_lists)
        .write::<CreateDhcpOptions>(dhcp_options::create_dhcp_options)
        .write::<DeleteDhcpOptions>(dhcp_options::delete_dhcp_options)
        .write::<AssociateDhcpOptions>(dhcp_options::associate_dhcp_options)
        .read::<DescribeDhcpOptions>(dhcp_options::describe_dhcp_options)
        .write::<CreateVpcEndpoint>(absent::create_vpc_endpoint)
        .read::<DescribeVpcEndpoints>(absent::describe_vpc_endpoints)
        .read::<DescribeVpcEndpointConnections>(absent::describe_vpc_endpoint_connections)
        .read::<DescribeSecurityGroupVpcAssociations>(absent::describe_security_group_vpc_associations)
        .read::<DescribeVpcPeeringConnections>(absent::describe_vpc_peering_connections)
        .read::<DescribeEgressOnlyInternetGateways>(absent::describe_egress_only_internet_gateways)
        .read::<DescribeInstances>(instances::describe_instances)
        .read::<DescribeInstanceStatus>(instances::describe_instance_status)
        .read::<DescribeKeyPairs>(instances::describe_key_pairs)
        .read::<DescribeImages>(instances::describe_images)
        .read::<DescribeLaunchTemplates>(instances::describe_launch_templates)
        .read::<DescribeVolumes>(instances::describe_volumes)
        .read::<DescribeVolumeStatus>(instances::describe_volume_status)
        .read::<DescribeSnapshots>(instances::describe_snapshots)
        .read::<DescribeIamInstanceProfileAssociations>(instances::describe_iam_instance_profile_associations)
        .write::<ModifyNetworkInterfaceAttribute>(interface_attributes::modify_network_interface_attribute)
        .read::<DescribeNetworkInterfaceAttribute>(interface_attributes::describe_network_interface_attribute)
        .write::<ResetNetworkInterfaceAttribute>(interface_attributes::reset_network_interface_attribute)
        .write::<AssignPrivateIpAddresses>(private_addresses::assign_private_ip_addresses)
        .write::<UnassignPrivateIpAddresses>(private_addresses::unassign_private_ip_addresses)
        .read::<DescribeAccountAttributes>(describe_account_attributes::describe_account_attributes)
}

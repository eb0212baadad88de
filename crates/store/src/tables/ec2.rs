//! VPCs and what is in them.

use crate::table;
use longshore_types::ec2::{
    DhcpOptions, ElasticAddress, InternetGateway, NatGateway, NetworkAcl, NetworkInterface, PrefixList, RouteTable,
    SecurityGroup, Subnet, Vpc,
};
use longshore_types::id::*;
use longshore_types::{Scope, Timestamp};
use std::net::Ipv4Addr;

table! {
    /// When a scope got its default VPC: one that was deleted since is not made again.
    pub SetUpScopes: "ec2-set-up-scopes", Scope => Timestamp {}
}

table! {
    pub Vpcs: "ec2-vpcs", (Scope, VpcId) => Vpc {}
}

table! {
    pub Subnets: "ec2-subnets", (Scope, SubnetId) => Subnet {
        BY_VPC: "vpc", (Scope, VpcId) = |(scope, _), subnet| vec![(scope.clone(), subnet.vpc.clone())],
    }
}

table! {
    pub SecurityGroups: "ec2-security-groups", (Scope, SecurityGroupId) => SecurityGroup {
        BY_VPC: "vpc", (Scope, VpcId) = |(scope, _), group| vec![(scope.clone(), group.vpc.clone())],
    }
}

table! {
    pub NetworkInterfaces: "ec2-network-interfaces", (Scope, EniId) => NetworkInterface {
        BY_VPC: "vpc", (Scope, VpcId) = |(scope, _), eni| vec![(scope.clone(), eni.vpc.clone())],
        BY_SUBNET: "subnet", (Scope, SubnetId) = |(scope, _), eni| vec![(scope.clone(), eni.subnet.clone())],
        BY_SECURITY_GROUP: "security-group", (Scope, SecurityGroupId) = |(scope, _), eni| {
            eni.security_groups.iter().map(|group| (scope.clone(), group.clone())).collect()
        },
        /// Whether an address of a subnet is taken, without a walk over the subnet's interfaces.
        BY_ADDRESS: "address", (Scope, SubnetId, Ipv4Addr) = |(scope, _), eni| {
            eni.addresses().map(|address| (scope.clone(), eni.subnet.clone(), address)).collect()
        },
        /// By public address, over all accounts: the pool is the machine's.
        BY_PUBLIC_ADDRESS: "public-address", u64 = |_, eni| {
            eni.public_address.iter().map(|address| u64::from(u32::from(*address))).collect()
        },
    }
}

table! {
    pub RouteTables: "ec2-route-tables", (Scope, RouteTableId) => RouteTable {
        BY_VPC: "vpc", (Scope, VpcId) = |(scope, _), table| vec![(scope.clone(), table.vpc.clone())],
        /// By a subnet that has this table rather than its VPC's main one.
        BY_SUBNET: "subnet", (Scope, SubnetId) = |(scope, _), table| {
            table.associations.iter().filter_map(|one| Some((scope.clone(), one.subnet.clone()?))).collect()
        },
        BY_ASSOCIATION: "association", (Scope, String) = |(scope, _), table| {
            table.associations.iter().map(|one| (scope.clone(), one.id.clone())).collect()
        },
    }
}

table! {
    pub InternetGateways: "ec2-internet-gateways", (Scope, InternetGatewayId) => InternetGateway {
        BY_VPC: "vpc", (Scope, VpcId) = |(scope, _), gateway| {
            gateway.vpc.iter().map(|vpc| (scope.clone(), vpc.clone())).collect()
        },
    }
}

table! {
    pub NatGateways: "ec2-nat-gateways", (Scope, NatGatewayId) => NatGateway {
        BY_VPC: "vpc", (Scope, VpcId) = |(scope, _), gateway| vec![(scope.clone(), gateway.vpc.clone())],
    }
}

table! {
    pub ElasticAddresses: "ec2-elastic-addresses", (Scope, AllocationId) => ElasticAddress {
        /// By public address, over all accounts: the pool is the machine's.
        BY_PUBLIC_ADDRESS: "public-address", u64 = |_, row| vec![u64::from(u32::from(row.address))],
        BY_INTERFACE: "interface", (Scope, EniId) = |(scope, _), row| {
            row.association.iter().map(|association| (scope.clone(), association.eni.clone())).collect()
        },
    }
}

table! {
    pub NetworkAcls: "ec2-network-acls", (Scope, NetworkAclId) => NetworkAcl {
        BY_VPC: "vpc", (Scope, VpcId) = |(scope, _), acl| vec![(scope.clone(), acl.vpc.clone())],
        BY_SUBNET: "subnet", (Scope, SubnetId) = |(scope, _), acl| {
            acl.associations.iter().map(|one| (scope.clone(), one.subnet.clone())).collect()
        },
    }
}

table! {
    pub PrefixLists: "ec2-prefix-lists", (Scope, PrefixListId) => PrefixList {}
}

table! {
    pub DhcpOptionsSets: "ec2-dhcp-options", (Scope, DhcpOptionsId) => DhcpOptions {}
}

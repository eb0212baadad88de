//! VPCs and what is in them.

use crate::table;
use longshore_types::ec2::{NetworkInterface, SecurityGroup, Subnet, Vpc};
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
            vec![(scope.clone(), eni.subnet.clone(), eni.address)]
        },
        /// By public address, over all accounts: the pool is the machine's.
        BY_PUBLIC_ADDRESS: "public-address", u64 = |_, eni| {
            eni.public_address.iter().map(|address| u64::from(u32::from(*address))).collect()
        },
    }
}

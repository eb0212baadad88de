//! VPCs with what EC2 puts into them, and the default VPC that each account has in each region.

use super::zones::zones;
use crate::Cx;
use longshore_store::Tx;
use longshore_types::ec2::{Cidr, RulePeer, SecurityGroup, SecurityGroupRule, Subnet, Vpc};
use longshore_types::id::{SecurityGroupId, SecurityGroupRuleId, SubnetId, VpcId};
use longshore_types::{IdSource, Tags};
use std::net::Ipv4Addr;

/// Makes the scope's default VPC with its subnets, default security group, route table and internet gateway, unless
/// the scope was set up before: a default VPC that was deleted stays deleted.
pub fn ensure(tx: &mut Tx, cx: &Cx) {
    if tx.set_up_scopes().insert(cx.scope.clone(), cx.now).is_err() {
        return;
    }
    let cidr = Cidr::new(Ipv4Addr::new(172, 31, 0, 0), 16).expect("16 is a prefix");
    let internet_gateway_id = Some(cx.ids().ec2("igw"));
    let vpc = create_vpc(tx, cx, cidr, Tags::default(), |vpc| {
        vpc.is_default = true;
        vpc.enable_dns_hostnames = true;
        vpc.internet_gateway_id = internet_gateway_id;
    });
    for (n, zone) in (0u8..).zip(zones(&cx.scope.region)) {
        let subnet = Subnet {
            id: SubnetId(cx.ids().ec2("subnet")),
            vpc: vpc.id.clone(),
            cidr: Cidr::new(Ipv4Addr::new(172, 31, 16 * n, 0), 20).expect("20 is a prefix"),
            zone: zone.name,
            zone_id: zone.id,
            default_for_zone: true,
            map_public_ip_on_launch: true,
            created_at: cx.now,
            tags: Tags::default(),
        };
        tx.subnets().put((cx.scope.clone(), subnet.id.clone()), subnet);
    }
}

/// Makes a VPC with its default security group; `change` sets what differs from a plain one.
pub(super) fn create_vpc(tx: &mut Tx, cx: &Cx, cidr: Cidr, tags: Tags, change: impl FnOnce(&mut Vpc)) -> Vpc {
    // A region has one set of default DHCP options, which every VPC begins with.
    let dhcp_options_id = tx.vpcs().prefix(&cx.scope).next().map(|vpc| vpc.dhcp_options_id.clone());
    let mut ids = cx.ids();
    let mut vpc = Vpc {
        id: VpcId(ids.ec2("vpc")),
        cidr,
        is_default: false,
        enable_dns_support: true,
        enable_dns_hostnames: false,
        dhcp_options_id: dhcp_options_id.unwrap_or_else(|| ids.ec2("dopt")),
        main_route_table_id: ids.ec2("rtb"),
        default_network_acl_id: ids.ec2("acl"),
        internet_gateway_id: None,
        created_at: cx.now,
        tags,
        route_table_tags: Tags::default(),
        internet_gateway_tags: Tags::default(),
    };
    change(&mut vpc);
    tx.vpcs().put((cx.scope.clone(), vpc.id.clone()), vpc.clone());

    let id = SecurityGroupId(ids.ec2("sg"));
    let from_itself = all_traffic(&mut ids, false, RulePeer::Group(id.clone()));
    let group = SecurityGroup {
        name: "default".to_owned(),
        description: "default VPC security group".to_owned(),
        vpc: vpc.id.clone(),
        rules: vec![from_itself, all_egress(&mut ids)],
        tags: Tags::default(),
        id,
    };
    tx.security_groups().put((cx.scope.clone(), group.id.clone()), group);
    vpc
}

/// The rule every new group has: everything may leave.
pub(super) fn all_egress(ids: &mut IdSource) -> SecurityGroupRule {
    let everywhere = Cidr::new(Ipv4Addr::UNSPECIFIED, 0).expect("0 is a prefix");
    all_traffic(ids, true, RulePeer::Cidr(everywhere))
}

fn all_traffic(ids: &mut IdSource, egress: bool, peer: RulePeer) -> SecurityGroupRule {
    SecurityGroupRule {
        id: SecurityGroupRuleId(ids.ec2("sgr")),
        egress,
        protocol: "-1".to_owned(),
        from_port: -1,
        to_port: -1,
        peer,
        description: None,
        tags: Tags::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::network::default_security_group;
    use crate::testing::Fixture;

    #[test]
    fn a_scope_gets_one_default_vpc_and_a_deleted_one_stays_deleted() {
        let fixture = Fixture::new();
        fixture.write(ensure);
        fixture.read(|state, cx| {
            let vpc = state.vpcs().prefix(&cx.scope).next().expect("a default VPC");
            assert_eq!(
                (state.vpcs().len(), vpc.is_default, vpc.cidr.to_string()),
                (1, true, "172.31.0.0/16".to_owned())
            );
            assert!(vpc.internet_gateway_id.is_some());
            let mut subnets: Vec<_> = state.subnets().all().map(|s| (s.cidr.to_string(), s.zone_id.clone())).collect();
            subnets.sort();
            let expected =
                [("172.31.0.0/20", "use1-az1"), ("172.31.16.0/20", "use1-az2"), ("172.31.32.0/20", "use1-az3")];
            assert_eq!(subnets, expected.map(|(cidr, zone)| (cidr.to_owned(), zone.to_owned())));
            assert!(default_security_group(state, &cx.scope, &vpc.id).is_some());
        });
        fixture.write(|tx, cx| {
            let vpc = tx.vpcs().all().next().expect("a default VPC").id.clone();
            tx.vpcs().remove(&(cx.scope.clone(), vpc));
            ensure(tx, cx);
            assert!(tx.vpcs().is_empty());
        });
    }
}

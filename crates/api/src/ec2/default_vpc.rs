//! VPCs with what EC2 puts into them, and the default VPC that each account has in each region.

use super::zones::{Zone, zones};
use super::{dhcp_options, subnets};
use crate::Cx;
use longshore_store::Tx;
use longshore_store::tables::Subnets;
use longshore_types::ec2::*;
use longshore_types::id::*;
use longshore_types::{IdSource, Scope, Tags};
use std::net::Ipv4Addr;

/// Makes the scope's default VPC, unless the scope was set up before: a default VPC that was deleted stays deleted.
pub fn ensure(tx: &mut Tx, cx: &Cx) {
    if tx.set_up_scopes().insert(cx.scope.clone(), cx.now).is_ok() {
        create_default(tx, cx);
    }
}

/// Makes a default VPC with a subnet in each zone, and a way out by its main route table.
pub(super) fn create_default(tx: &mut Tx, cx: &Cx) -> Vpc {
    let cidr = Cidr::new(Ipv4Addr::new(172, 31, 0, 0), 16).expect("16 is a prefix");
    let vpc = create_vpc(tx, cx, cidr, Tags::default(), |vpc| {
        vpc.is_default = true;
        vpc.enable_dns_hostnames = true;
    });
    let gateway = InternetGateway {
        id: InternetGatewayId(cx.ids().ec2("igw")),
        vpc: Some(vpc.id.clone()),
        tags: Tags::default(),
    };
    let main = subnets::main_route_table(tx, &cx.scope, &vpc.id).expect("create_vpc has made it");
    tx.route_tables().update(&(cx.scope.clone(), main.id.clone()), |table| table.routes.push(to_internet(&gateway.id)));
    tx.internet_gateways().put((cx.scope.clone(), gateway.id.clone()), gateway);
    for (n, zone) in (0u8..).zip(zones(&cx.scope.region)) {
        let cidr = Cidr::new(Ipv4Addr::new(172, 31, 16 * n, 0), 20).expect("20 is a prefix");
        create_default_subnet(tx, cx, &vpc, cidr, zone);
    }
    vpc
}

pub(super) fn create_default_subnet(tx: &mut Tx, cx: &Cx, vpc: &Vpc, cidr: Cidr, zone: Zone) -> Subnet {
    let subnet = Subnet {
        id: SubnetId(cx.ids().ec2("subnet")),
        vpc: vpc.id.clone(),
        cidr,
        zone: zone.name,
        zone_id: zone.id,
        default_for_zone: true,
        map_public_ip_on_launch: true,
        instance_names: InstanceNames::default(),
        created_at: cx.now,
        tags: Tags::default(),
    };
    subnets::add(tx, cx, subnet.clone());
    subnet
}

fn to_internet(gateway: &InternetGatewayId) -> Route {
    let everywhere = Cidr::new(Ipv4Addr::UNSPECIFIED, 0).expect("0 is a prefix");
    Route { destination: Destination::Cidr(everywhere), target: RouteTarget::InternetGateway(gateway.clone()) }
}

/// Makes a VPC with its default security group, main route table and default network ACL; `change` sets what differs from
/// a plain one.
pub(super) fn create_vpc(tx: &mut Tx, cx: &Cx, cidr: Cidr, tags: Tags, change: impl FnOnce(&mut Vpc)) -> Vpc {
    let dhcp_options_id = Some(dhcp_options::default_of_region(tx, cx));
    let mut ids = cx.ids();
    let mut vpc = Vpc {
        id: VpcId(ids.ec2("vpc")),
        cidr,
        is_default: false,
        enable_dns_support: true,
        enable_dns_hostnames: false,
        dhcp_options_id,
        more_cidrs: Vec::new(),
        address_usage_metrics: false,
        created_at: cx.now,
        tags,
        implied: None,
    };
    change(&mut vpc);
    tx.vpcs().put((cx.scope.clone(), vpc.id.clone()), vpc.clone());

    let table = RouteTableId(ids.ec2("rtb"));
    add_main_route_table(tx, &cx.scope, &vpc.id, table, ids.ec2("rtbassoc"), Vec::new(), Tags::default());
    add_default_acl(tx, &cx.scope, &vpc.id, NetworkAclId(ids.ec2("acl")), Vec::new());

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

fn add_main_route_table(
    tx: &mut Tx,
    scope: &Scope,
    vpc: &VpcId,
    id: RouteTableId,
    association: String,
    routes: Vec<Route>,
    tags: Tags,
) {
    let association = RouteTableAssociation { id: association, subnet: None };
    let associations = vec![association];
    let table = RouteTable { id, vpc: vpc.clone(), routes, associations, client_token: None, tags };
    tx.route_tables().put((scope.clone(), table.id.clone()), table);
}

fn add_default_acl(
    tx: &mut Tx,
    scope: &Scope,
    vpc: &VpcId,
    id: NetworkAclId,
    associations: Vec<NetworkAclAssociation>,
) {
    let everywhere = Cidr::new(Ipv4Addr::UNSPECIFIED, 0).expect("0 is a prefix");
    let allow = |egress| NetworkAclEntry {
        egress,
        number: 100,
        allow: true,
        protocol: -1,
        network: AclNetwork::V4(everywhere),
        ports: None,
        icmp: None,
    };
    let acl = NetworkAcl {
        id,
        vpc: vpc.clone(),
        is_default: true,
        entries: vec![allow(false), allow(true)],
        associations,
        client_token: None,
        tags: Tags::default(),
    };
    tx.network_acls().put((scope.clone(), acl.id.clone()), acl);
}

/// Gives rows to what VPCs of older data directories imply: their route table, internet gateway, network ACL and DHCP
/// options. Changes nothing where there are none of these.
pub fn make_implied_rows(tx: &mut Tx, ids: &mut IdSource) {
    let old: Vec<_> = tx.vpcs().all().entries().filter(|(_, vpc)| vpc.implied.is_some()).collect();
    for ((scope, id), vpc) in old {
        let Some(implied) = vpc.implied.clone() else { continue };
        let mut routes = Vec::new();
        if let Some(gateway) = implied.internet_gateway_id.map(InternetGatewayId) {
            routes.push(to_internet(&gateway));
            let row =
                InternetGateway { id: gateway.clone(), vpc: Some(id.clone()), tags: implied.internet_gateway_tags };
            tx.internet_gateways().put((scope.clone(), gateway), row);
        }
        let table = RouteTableId(implied.main_route_table_id);
        add_main_route_table(tx, &scope, &id, table, ids.ec2("rtbassoc"), routes, implied.route_table_tags);
        let subnets: Vec<_> = tx.subnets().by_index(&Subnets::BY_VPC, &(scope.clone(), id.clone())).collect();
        let associations = subnets
            .iter()
            .map(|subnet| NetworkAclAssociation { id: ids.ec2("aclassoc"), subnet: subnet.id.clone() })
            .collect();
        add_default_acl(tx, &scope, &id, NetworkAclId(implied.default_network_acl_id), associations);
        if let Some(options) = &vpc.dhcp_options_id {
            let row = dhcp_options::amazon_provided(options.clone(), &scope.region);
            tx.dhcp_options().put((scope.clone(), options.clone()), row);
        }
        tx.vpcs().update(&(scope, id), |vpc| vpc.implied = None);
    }
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
            let gateway = state.internet_gateways().all().next().expect("a gateway");
            assert_eq!(gateway.vpc.as_ref(), Some(&vpc.id));
            let mut subnets: Vec<_> = state.subnets().all().map(|s| (s.cidr.to_string(), s.zone_id.clone())).collect();
            subnets.sort();
            let expected =
                [("172.31.0.0/20", "use1-az1"), ("172.31.16.0/20", "use1-az2"), ("172.31.32.0/20", "use1-az3")];
            assert_eq!(subnets, expected.map(|(cidr, zone)| (cidr.to_owned(), zone.to_owned())));
            assert!(default_security_group(state, &cx.scope, &vpc.id).is_some());
            let acl = state.network_acls().all().next().expect("an ACL");
            assert_eq!((acl.associations.len(), acl.allows_everything()), (3, true));
        });
        fixture.write(|tx, cx| {
            let vpc = tx.vpcs().all().next().expect("a default VPC").id.clone();
            tx.vpcs().remove(&(cx.scope.clone(), vpc));
            ensure(tx, cx);
            assert!(tx.vpcs().is_empty());
        });
    }

    #[test]
    fn what_an_older_vpc_implies_gets_rows() {
        let fixture = Fixture::new();
        fixture.write(|tx, cx| {
            let (key, vpc) = tx.vpcs().all().entries().next().expect("the VPC");
            let mut stored = serde_json::to_value(&*vpc).expect("it is stored so");
            for (name, value) in [
                ("main_route_table_id", "rtb-1"),
                ("default_network_acl_id", "acl-1"),
                ("internet_gateway_id", "igw-1"),
            ] {
                stored[name] = value.into();
            }
            tx.vpcs().put(key.clone(), serde_json::from_value(stored).expect("an older row"));
            make_implied_rows(tx, &mut cx.ids());
            let table = tx.route_tables().get(&(cx.scope.clone(), "rtb-1".into())).expect("a route table");
            assert_eq!((table.is_main(), table.routes.len()), (true, 1));
            let acl = tx.network_acls().get(&(cx.scope.clone(), "acl-1".into())).expect("an ACL");
            assert_eq!(acl.associations.len(), 3);
            let gateway = tx.internet_gateways().get(&(cx.scope.clone(), "igw-1".into())).expect("a gateway");
            assert_eq!(gateway.vpc, Some(key.1.clone()));
            assert_eq!(tx.vpcs().get(&key).expect("the VPC").implied, None);
        });
    }
}

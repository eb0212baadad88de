//! Stored network resources as EC2 sends them.

use super::tags;
use longshore_aws_model::Timestamp;
use longshore_aws_model::ec2 as wire;
use longshore_store::Snapshot;
use longshore_types::ec2::{EniOwner, NetworkInterface, Subnet, Vpc};
use longshore_types::{Region, Scope, arn};
use std::net::Ipv4Addr;

pub fn vpc(scope: &Scope, vpc: &Vpc) -> wire::Vpc {
    wire::Vpc {
        vpc_id: some(&vpc.id),
        owner_id: some(&scope.account),
        cidr_block: some(vpc.cidr),
        cidr_block_association_set: Some(vec![wire::VpcCidrBlockAssociation {
            association_id: Some(association_id("vpc-cidr-assoc", vpc.id.as_str())),
            cidr_block: some(vpc.cidr),
            cidr_block_state: Some(wire::VpcCidrBlockState { state: some("associated"), ..Default::default() }),
        }]),
        is_default: Some(vpc.is_default),
        dhcp_options_id: some(&vpc.dhcp_options_id),
        instance_tenancy: some("default"),
        state: some("available"),
        tags: tags::view(&vpc.tags),
        block_public_access_states: no_blocks(),
        ..Default::default()
    }
}

pub fn subnet(state: &Snapshot, scope: &Scope, subnet: &Subnet) -> wire::Subnet {
    let free = super::network::free_addresses(state, scope, &subnet.id);
    wire::Subnet {
        subnet_id: some(&subnet.id),
        subnet_arn: Some(arn::ec2(scope, "subnet", subnet.id.as_str())),
        owner_id: some(&scope.account),
        vpc_id: some(&subnet.vpc),
        cidr_block: some(subnet.cidr),
        availability_zone: some(&subnet.zone),
        availability_zone_id: some(&subnet.zone_id),
        available_ip_address_count: Some(i32::try_from(free).unwrap_or(i32::MAX)),
        default_for_az: Some(subnet.default_for_zone),
        map_public_ip_on_launch: Some(subnet.map_public_ip_on_launch),
        map_customer_owned_ip_on_launch: Some(false),
        assign_ipv6_address_on_creation: Some(false),
        ipv6_cidr_block_association_set: Some(Vec::new()),
        ipv6_native: Some(false),
        enable_dns64: Some(false),
        private_dns_name_options_on_launch: Some(wire::PrivateDnsNameOptionsOnLaunch {
            hostname_type: some("ip-name"),
            enable_resource_name_dns_a_record: Some(false),
            enable_resource_name_dns_aaaa_record: Some(false),
        }),
        state: some("available"),
        tags: tags::view(&subnet.tags),
        block_public_access_states: no_blocks(),
        ..Default::default()
    }
}

pub fn interface(state: &Snapshot, scope: &Scope, eni: &NetworkInterface) -> wire::NetworkInterface {
    let vpc = state.vpcs().get(&(scope.clone(), eni.vpc.clone()));
    let has_names = vpc.is_some_and(|vpc| vpc.enable_dns_support && vpc.enable_dns_hostnames);
    let private_dns_name = has_names.then(|| eni.private_dns_name(&scope.region));
    let association = eni.public_address.map(|address| wire::NetworkInterfaceAssociation {
        ip_owner_id: some("amazon"),
        public_ip: some(address),
        public_dns_name: has_names.then(|| public_dns_name(address, &scope.region)),
        ..Default::default()
    });
    let groups = eni.security_groups.iter().map(|id| wire::GroupIdentifier {
        group_id: some(id),
        group_name: state.security_groups().get(&(scope.clone(), id.clone())).map(|group| group.name.clone()),
    });
    let subnet = state.subnets().get(&(scope.clone(), eni.subnet.clone()));
    wire::NetworkInterface {
        network_interface_id: some(&eni.id),
        owner_id: some(&scope.account),
        vpc_id: some(&eni.vpc),
        subnet_id: some(&eni.subnet),
        availability_zone: some(&eni.zone),
        availability_zone_id: subnet.map(|subnet| subnet.zone_id.clone()),
        description: some(&eni.description),
        groups: Some(groups.collect()),
        interface_type: some("interface"),
        mac_address: some(&eni.mac),
        private_ip_address: some(eni.address),
        private_ip_addresses: Some(vec![wire::NetworkInterfacePrivateIpAddress {
            association: association.clone(),
            primary: Some(true),
            private_dns_name: private_dns_name.clone(),
            private_ip_address: some(eni.address),
        }]),
        private_dns_name,
        public_dns_name: association.as_ref().and_then(|association| association.public_dns_name.clone()),
        association,
        attachment: attachment(eni),
        requester_id: requester(&eni.owner).map(str::to_owned),
        requester_managed: Some(requester(&eni.owner).is_some()),
        source_dest_check: Some(true),
        status: some(if eni.owner == EniOwner::User { "available" } else { "in-use" }),
        ipv6_addresses: Some(Vec::new()),
        tag_set: tags::view(&eni.tags),
        ..Default::default()
    }
}

/// Who made the interface in the account's name.
fn requester(owner: &EniOwner) -> Option<&'static str> {
    match owner {
        EniOwner::User => None,
        EniOwner::Task { .. } => Some("amazon-ecs"),
        EniOwner::LoadBalancer { .. } => Some("amazon-elb"),
    }
}

fn attachment(eni: &NetworkInterface) -> Option<wire::NetworkInterfaceAttachment> {
    let (kind, device_index) = match eni.owner {
        EniOwner::User => return None,
        EniOwner::Task { .. } => ("eni-attach", 1),
        EniOwner::LoadBalancer { .. } => ("ela-attach", 1),
    };
    Some(wire::NetworkInterfaceAttachment {
        attach_time: Some(Timestamp(eni.created_at.0)),
        attachment_id: Some(association_id(kind, eni.id.as_str())),
        delete_on_termination: Some(false),
        device_index: Some(device_index),
        network_card_index: Some(0),
        instance_owner_id: requester(&eni.owner).map(str::to_owned),
        status: some("attached"),
        ..Default::default()
    })
}

/// EC2's name for a public address; us-east-1 has a domain of its own.
fn public_dns_name(address: Ipv4Addr, region: &Region) -> String {
    let [a, b, c, d] = address.octets();
    let domain = if region.as_str() == "us-east-1" { "compute-1" } else { &format!("{region}.compute") };
    format!("ec2-{a}-{b}-{c}-{d}.{domain}.amazonaws.com")
}

/// A VPC's one route table.
pub fn main_route_table(scope: &Scope, vpc: &Vpc) -> wire::RouteTable {
    let route = |destination: String, gateway: &str, origin: &str| wire::Route {
        destination_cidr_block: Some(destination),
        gateway_id: some(gateway),
        origin: some(origin),
        state: some("active"),
        ..Default::default()
    };
    let mut routes = vec![route(vpc.cidr.to_string(), "local", "CreateRouteTable")];
    routes.extend(vpc.internet_gateway_id.iter().map(|id| route("0.0.0.0/0".to_owned(), id, "CreateRoute")));
    wire::RouteTable {
        associations: Some(vec![wire::RouteTableAssociation {
            main: Some(true),
            route_table_association_id: Some(association_id("rtbassoc", &vpc.main_route_table_id)),
            route_table_id: some(&vpc.main_route_table_id),
            association_state: Some(wire::RouteTableAssociationState {
                state: some("associated"),
                ..Default::default()
            }),
            ..Default::default()
        }]),
        propagating_vgws: Some(Vec::new()),
        route_table_id: some(&vpc.main_route_table_id),
        routes: Some(routes),
        tags: tags::view(&vpc.route_table_tags),
        vpc_id: some(&vpc.id),
        owner_id: some(&scope.account),
    }
}

pub fn internet_gateway(scope: &Scope, vpc: &Vpc) -> Option<wire::InternetGateway> {
    Some(wire::InternetGateway {
        internet_gateway_id: Some(vpc.internet_gateway_id.clone()?),
        attachments: Some(vec![wire::InternetGatewayAttachment { state: some("available"), vpc_id: some(&vpc.id) }]),
        owner_id: some(&scope.account),
        tags: tags::view(&vpc.internet_gateway_tags),
    })
}

pub fn some(value: impl ToString) -> Option<String> {
    Some(value.to_string())
}

fn no_blocks() -> Option<wire::BlockPublicAccessStates> {
    Some(wire::BlockPublicAccessStates { internet_gateway_block_mode: some("off") })
}

/// The id of a thing that there is exactly one of for another: the other's id with another prefix.
fn association_id(prefix: &str, id: &str) -> String {
    let digits = id.split_once('-').map_or(id, |(_, digits)| digits);
    format!("{prefix}-{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_names_have_the_domain_of_their_region() {
        let address = Ipv4Addr::new(198, 18, 0, 5);
        assert_eq!(public_dns_name(address, &"us-east-1".into()), "ec2-198-18-0-5.compute-1.amazonaws.com");
        assert_eq!(public_dns_name(address, &"eu-west-1".into()), "ec2-198-18-0-5.eu-west-1.compute.amazonaws.com");
    }
}

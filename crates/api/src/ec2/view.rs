//! Stored network resources as EC2 sends them.

use super::tags;
use crate::Cx;
use longshore_aws_model::Timestamp;
use longshore_aws_model::ec2 as wire;
use longshore_store::Snapshot;
use longshore_store::tables::ElasticAddresses;
use longshore_types::ec2::*;
use longshore_types::id::VpcId;
use longshore_types::{Region, Scope, arn};
use std::net::Ipv4Addr;

pub fn vpc(scope: &Scope, vpc: &Vpc) -> wire::Vpc {
    wire::Vpc {
        vpc_id: some(&vpc.id),
        owner_id: some(&scope.account),
        cidr_block: some(vpc.cidr),
        cidr_block_association_set: Some(
            cidr_associations(vpc).map(|(id, cidr)| cidr_association(&id, cidr, "associated")).collect(),
        ),
        is_default: Some(vpc.is_default),
        dhcp_options_id: some(vpc.dhcp_options_id.as_ref().map_or("default", |id| id.as_str())),
        instance_tenancy: some("default"),
        state: some("available"),
        tags: tags::view(&vpc.tags),
        block_public_access_states: no_blocks(),
        ..Default::default()
    }
}

/// Ids and networks, the first network's first.
pub fn cidr_associations(vpc: &Vpc) -> impl Iterator<Item = (String, Cidr)> {
    let first = (association_id("vpc-cidr-assoc", vpc.id.as_str()), vpc.cidr);
    std::iter::once(first).chain(vpc.more_cidrs.iter().map(|more| (more.id.clone(), more.cidr)))
}

pub fn cidr_association(id: &str, cidr: Cidr, state: &str) -> wire::VpcCidrBlockAssociation {
    wire::VpcCidrBlockAssociation {
        association_id: some(id),
        cidr_block: some(cidr),
        cidr_block_state: Some(wire::VpcCidrBlockState { state: some(state), ..Default::default() }),
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
            hostname_type: some(if subnet.instance_names.by_id { "resource-name" } else { "ip-name" }),
            enable_resource_name_dns_a_record: Some(subnet.instance_names.id_is_resolved),
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
    let name = |address| has_names.then(|| private_dns_name(address, &scope.region));
    let elastic: Vec<_> =
        state.elastic_addresses().by_index(&ElasticAddresses::BY_INTERFACE, &(scope.clone(), eni.id.clone())).collect();
    let association = |address: Ipv4Addr| {
        let elastic = elastic.iter().find(|row| row.association.as_ref().is_some_and(|a| a.private_address == address));
        let automatic = eni.public_address.filter(|_| address == eni.address);
        let public = elastic.map(|row| row.address).or(automatic)?;
        Some(wire::NetworkInterfaceAssociation {
            ip_owner_id: some(if elastic.is_some() { scope.account.as_str() } else { "amazon" }),
            public_ip: some(public),
            public_dns_name: has_names.then(|| public_dns_name(public, &scope.region)),
            allocation_id: elastic.map(|row| row.allocation.to_string()),
            association_id: elastic.and_then(|row| Some(row.association.as_ref()?.id.clone())),
            ..Default::default()
        })
    };
    let addresses = eni.addresses().map(|address| wire::NetworkInterfacePrivateIpAddress {
        association: association(address),
        primary: Some(address == eni.address),
        private_dns_name: name(address),
        private_ip_address: some(address),
    });
    let (addresses, association): (Vec<_>, _) = (addresses.collect(), association(eni.address));
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
        interface_type: some(match eni.owner {
            EniOwner::NatGateway { .. } => "nat_gateway",
            _ => "interface",
        }),
        mac_address: some(&eni.mac),
        private_ip_address: some(eni.address),
        private_ip_addresses: Some(addresses),
        private_dns_name: name(eni.address),
        public_dns_name: association.as_ref().and_then(|association| association.public_dns_name.clone()),
        association,
        attachment: attachment(eni),
        requester_id: requester(&eni.owner).map(str::to_owned),
        requester_managed: Some(requester(&eni.owner).is_some()),
        source_dest_check: Some(!matches!(eni.owner, EniOwner::NatGateway { .. })),
        status: some(if eni.owner == EniOwner::User { "available" } else { "in-use" }),
        operator: Some(wire::OperatorResponse { managed: Some(false), ..Default::default() }),
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
        EniOwner::NatGateway { .. } => Some("amazon-nat"),
    }
}

fn attachment(eni: &NetworkInterface) -> Option<wire::NetworkInterfaceAttachment> {
    let (kind, device_index) = match eni.owner {
        EniOwner::User => return None,
        EniOwner::Task { .. } => ("eni-attach", 1),
        EniOwner::LoadBalancer { .. } | EniOwner::NatGateway { .. } => ("ela-attach", 1),
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

/// A route table with the local routes that every table has.
pub fn route_table(state: &Snapshot, scope: &Scope, table: &RouteTable) -> wire::RouteTable {
    let vpc = state.vpcs().get(&(scope.clone(), table.vpc.clone()));
    let local = vpc.iter().flat_map(|vpc| vpc.cidrs()).map(|cidr| wire::Route {
        destination_cidr_block: some(cidr),
        gateway_id: some("local"),
        origin: some("CreateRouteTable"),
        state: some("active"),
        ..Default::default()
    });
    let associations = table.associations.iter().map(|association| wire::RouteTableAssociation {
        main: Some(association.subnet.is_none()),
        route_table_association_id: some(&association.id),
        route_table_id: some(&table.id),
        subnet_id: association.subnet.as_ref().map(ToString::to_string),
        association_state: Some(wire::RouteTableAssociationState { state: some("associated"), ..Default::default() }),
        ..Default::default()
    });
    wire::RouteTable {
        associations: Some(associations.collect()),
        propagating_vgws: Some(Vec::new()),
        route_table_id: some(&table.id),
        routes: Some(local.chain(table.routes.iter().map(|one| route(state, scope, &table.vpc, one))).collect()),
        tags: tags::view(&table.tags),
        vpc_id: some(&table.vpc),
        owner_id: some(&scope.account),
    }
}

fn route(state: &Snapshot, scope: &Scope, vpc: &VpcId, route: &Route) -> wire::Route {
    let mut sent = wire::Route { origin: some("CreateRoute"), ..Default::default() };
    match &route.destination {
        Destination::Cidr(cidr) => sent.destination_cidr_block = some(cidr),
        Destination::PrefixList(id) => sent.destination_prefix_list_id = some(id),
    }
    let is_active = match &route.target {
        RouteTarget::InternetGateway(id) => {
            sent.gateway_id = some(id);
            let gateway = state.internet_gateways().get(&(scope.clone(), id.clone()));
            gateway.is_some_and(|gateway| gateway.vpc.as_ref() == Some(vpc))
        }
        RouteTarget::NatGateway(id) => {
            sent.nat_gateway_id = some(id);
            state.nat_gateways().get(&(scope.clone(), id.clone())).is_some_and(|gateway| gateway.is_available())
        }
    };
    sent.state = some(if is_active { "active" } else { "blackhole" });
    sent
}

pub fn internet_gateway(scope: &Scope, gateway: &InternetGateway) -> wire::InternetGateway {
    let attachments =
        gateway.vpc.iter().map(|vpc| wire::InternetGatewayAttachment { state: some("available"), vpc_id: some(vpc) });
    wire::InternetGateway {
        internet_gateway_id: some(&gateway.id),
        attachments: Some(attachments.collect()),
        owner_id: some(&scope.account),
        tags: tags::view(&gateway.tags),
    }
}

pub fn nat_gateway(state: &Snapshot, cx: &Cx, gateway: &NatGateway) -> wire::NatGateway {
    let (word, failure, deleted_at) = match &gateway.end {
        None => ("available", None, None),
        Some(NatGatewayEnd::Failed { code, message, at }) => ("failed", Some((code, message)), Some(at)),
        Some(NatGatewayEnd::Deleted { at }) => ("deleted", None, Some(at)),
    };
    let subnet = state.subnets().get(&(cx.scope.clone(), gateway.subnet.clone()));
    let address = wire::NatGatewayAddress {
        allocation_id: gateway.elastic.as_ref().map(|elastic| elastic.allocation.to_string()),
        network_interface_id: gateway.eni.as_ref().map(ToString::to_string),
        private_ip: gateway.private_address.map(|address| address.to_string()),
        public_ip: gateway.elastic.as_ref().map(|elastic| elastic.address.to_string()),
        association_id: gateway.elastic.as_ref().map(|elastic| elastic.association.clone()),
        is_primary: Some(true),
        status: some(if gateway.is_available() { "succeeded" } else { word }),
        availability_zone: subnet.as_ref().map(|subnet| subnet.zone.to_string()),
        availability_zone_id: subnet.map(|subnet| subnet.zone_id.clone()),
        failure_message: failure.map(|(_, message)| message.clone()),
    };
    wire::NatGateway {
        nat_gateway_id: some(&gateway.id),
        vpc_id: some(&gateway.vpc),
        subnet_id: some(&gateway.subnet),
        state: some(word),
        connectivity_type: some(if gateway.public { "public" } else { "private" }),
        availability_mode: some("zonal"),
        create_time: Some(Timestamp(gateway.created_at.0)),
        delete_time: deleted_at.map(|at| Timestamp(at.0)),
        failure_code: failure.map(|(code, _)| code.clone()),
        failure_message: failure.map(|(_, message)| message.clone()),
        nat_gateway_addresses: Some(vec![address]),
        tags: tags::view(&gateway.tags),
        ..Default::default()
    }
}

pub fn address(state: &Snapshot, cx: &Cx, row: &ElasticAddress) -> wire::Address {
    let association = row.association.as_ref();
    let eni = association.and_then(|one| state.network_interfaces().get(&(cx.scope.clone(), one.eni.clone())));
    let owner = eni.as_ref().map(|eni| requester(&eni.owner).unwrap_or(cx.scope.account.as_str()).to_owned());
    wire::Address {
        allocation_id: some(&row.allocation),
        association_id: association.map(|one| one.id.clone()),
        domain: some("vpc"),
        network_interface_id: association.map(|one| one.eni.to_string()),
        network_interface_owner_id: owner,
        private_ip_address: association.map(|one| one.private_address.to_string()),
        public_ip: some(row.address),
        public_ipv4_pool: some("amazon"),
        network_border_group: some(&cx.scope.region),
        tags: tags::view(&row.tags),
        ..Default::default()
    }
}

pub fn network_acl(scope: &Scope, acl: &NetworkAcl) -> wire::NetworkAcl {
    let associations = acl.associations.iter().map(|one| wire::NetworkAclAssociation {
        network_acl_association_id: some(&one.id),
        network_acl_id: some(&acl.id),
        subnet_id: some(&one.subnet),
    });
    let entries = [false, true].into_iter().flat_map(|egress| {
        let last = wire::NetworkAclEntry {
            cidr_block: some("0.0.0.0/0"),
            egress: Some(egress),
            protocol: some("-1"),
            rule_action: some("deny"),
            rule_number: Some(NetworkAcl::LAST),
            ..Default::default()
        };
        acl.entries.iter().filter(move |entry| entry.egress == egress).map(acl_entry).chain([last])
    });
    wire::NetworkAcl {
        associations: Some(associations.collect()),
        entries: Some(entries.collect()),
        is_default: Some(acl.is_default),
        network_acl_id: some(&acl.id),
        tags: tags::view(&acl.tags),
        vpc_id: some(&acl.vpc),
        owner_id: some(&scope.account),
    }
}

fn acl_entry(entry: &NetworkAclEntry) -> wire::NetworkAclEntry {
    let (v4, v6) = match &entry.network {
        AclNetwork::V4(cidr) => (some(cidr), None),
        AclNetwork::V6(cidr) => (None, some(cidr)),
    };
    wire::NetworkAclEntry {
        cidr_block: v4,
        ipv6_cidr_block: v6,
        egress: Some(entry.egress),
        icmp_type_code: entry.icmp.map(|(kind, code)| wire::IcmpTypeCode { code: Some(code), r#type: Some(kind) }),
        port_range: entry.ports.map(|(from, to)| wire::PortRange { from: Some(from.into()), to: Some(to.into()) }),
        protocol: some(entry.protocol),
        rule_action: some(if entry.allow { "allow" } else { "deny" }),
        rule_number: Some(entry.number),
    }
}

pub fn prefix_list(scope: &Scope, list: &PrefixList, state: &str) -> wire::ManagedPrefixList {
    if super::prefix_lists::is_of_aws(list) {
        // AWS tells neither version nor size of its own.
        return wire::ManagedPrefixList {
            prefix_list_id: some(&list.id),
            address_family: some("IPv4"),
            state: some(state),
            prefix_list_arn: Some(format!("arn:aws:ec2:{}:aws:prefix-list/{}", scope.region, list.id)),
            prefix_list_name: some(&list.name),
            tags: tags::view(&list.tags),
            owner_id: some("AWS"),
            ..Default::default()
        };
    }
    wire::ManagedPrefixList {
        prefix_list_id: some(&list.id),
        address_family: some("IPv4"),
        state: some(state),
        prefix_list_arn: Some(arn::ec2(scope, "prefix-list", list.id.as_str())),
        prefix_list_name: some(&list.name),
        max_entries: i32::try_from(list.max_entries).ok(),
        version: i64::try_from(list.version).ok(),
        tags: tags::view(&list.tags),
        owner_id: some(&scope.account),
        ..Default::default()
    }
}

pub fn dhcp_options(scope: &Scope, row: &DhcpOptions) -> wire::DhcpOptions {
    wire::DhcpOptions {
        dhcp_options_id: some(&row.id),
        dhcp_configurations: Some(super::dhcp_options::configurations(row)),
        owner_id: some(&scope.account),
        tags: tags::view(&row.tags),
    }
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

//! From the control plane's words to the network's.

use longshore_network::{
    AclEntry, Cidr, CidrError, Eni, LocalAddress, MacAddrError, NetworkAcl, NetworkConfig, Peer, PortRange, RouteTable,
    RouteTarget, Rule, SecurityGroup, Subnet, TableRoute, Traffic, Vpc,
};
use longshore_types::ec2::{AclNetwork, RulePeer, SecurityGroupRule};
use longshore_types::node::{
    EniIntent, NetworkAclIntent, RouteIntent, RouteTableIntent, RouteVia, SecurityGroupIntent, SubnetIntent, VpcIntent,
};

pub fn config(generation: u64, vpcs: &[VpcIntent]) -> Result<NetworkConfig, CidrError> {
    let vpcs = vpcs.iter().map(vpc).collect::<Result<_, _>>()?;
    Ok(NetworkConfig { generation, vpcs })
}

fn cidr(cidr: longshore_types::ec2::Cidr) -> Result<Cidr, CidrError> {
    cidr.to_string().parse()
}

fn vpc(vpc: &VpcIntent) -> Result<Vpc, CidrError> {
    let subnet = |s: &SubnetIntent| {
        Ok(Subnet {
            id: s.id.to_string(),
            cidr: cidr(s.cidr)?,
            route_table: s.route_table.as_ref().map(ToString::to_string).unwrap_or_default(),
            network_acl: s.network_acl.as_ref().map(ToString::to_string),
        })
    };
    Ok(Vpc {
        id: vpc.id.to_string(),
        cidrs: vpc.cidrs.iter().map(|block| cidr(*block)).collect::<Result<_, _>>()?,
        subnets: vpc.subnets.iter().map(subnet).collect::<Result<_, _>>()?,
        route_tables: vpc.route_tables.iter().map(route_table).collect::<Result<_, _>>()?,
        network_acls: vpc.network_acls.iter().map(network_acl).collect::<Result<_, _>>()?,
        security_groups: vpc.security_groups.iter().map(group).collect::<Result<_, _>>()?,
        local_addresses: vpc
            .local_addresses
            .iter()
            .map(|(address, groups)| LocalAddress {
                address: *address,
                security_groups: groups.iter().map(ToString::to_string).collect(),
            })
            .collect(),
    })
}

fn route_table(table: &RouteTableIntent) -> Result<RouteTable, CidrError> {
    let route = |route: &RouteIntent| {
        let via = match &route.via {
            RouteVia::Internet => RouteTarget::Internet,
            RouteVia::Nat { address, subnet } => RouteTarget::Nat { address: *address, subnet: subnet.to_string() },
            RouteVia::Nowhere => RouteTarget::Nowhere,
        };
        Ok(TableRoute { to: cidr(route.to)?, via })
    };
    Ok(RouteTable { id: table.id.to_string(), routes: table.routes.iter().map(route).collect::<Result<_, _>>()? })
}

fn network_acl(acl: &NetworkAclIntent) -> Result<NetworkAcl, CidrError> {
    let mut made = NetworkAcl { id: acl.id.to_string(), ingress: vec![], egress: vec![] };
    for entry in &acl.entries {
        // Nothing here has an address that an entry about IPv6 could match.
        let AclNetwork::V4(network) = entry.network else { continue };
        let byte = |n: i32| u8::try_from(n).ok();
        let ports = || entry.ports.map_or(PortRange::ALL, |(first, last)| PortRange { first, last });
        let traffic = match entry.protocol {
            -1 => Traffic::All,
            6 => Traffic::Tcp(ports()),
            17 => Traffic::Udp(ports()),
            1 => {
                let (kind, code) = entry.icmp.unwrap_or((-1, -1));
                Traffic::Icmp { kind: byte(kind), code: byte(code) }
            }
            number => Traffic::Number(byte(number).unwrap_or(u8::MAX)),
        };
        let entries = if entry.egress { &mut made.egress } else { &mut made.ingress };
        entries.push(AclEntry { allow: entry.allow, traffic, cidr: cidr(network)? });
    }
    Ok(made)
}

fn group(group: &SecurityGroupIntent) -> Result<SecurityGroup, CidrError> {
    let mut made = SecurityGroup { id: group.id.to_string(), ingress: vec![], egress: vec![] };
    for stored in &group.rules {
        let Some(rule) = rule(stored)? else { continue };
        if stored.egress { made.egress.push(rule) } else { made.ingress.push(rule) }
    }
    Ok(made)
}

/// `None` for rules about IPv6: nothing here has such an address.
fn rule(rule: &SecurityGroupRule) -> Result<Option<Rule>, CidrError> {
    let peer = match &rule.peer {
        RulePeer::Cidr(block) => Peer::Cidr(cidr(*block)?),
        RulePeer::Group(id) => Peer::Group(id.to_string()),
        // Lists come written out, a rule for each network.
        RulePeer::CidrV6(_) | RulePeer::PrefixList(_) => return Ok(None),
    };
    let port = |n: i32, otherwise: u16| u16::try_from(n).unwrap_or(otherwise);
    let ports = || PortRange { first: port(rule.from_port, 0), last: port(rule.to_port, u16::MAX) };
    let byte = |n: i32| u8::try_from(n).ok();
    let traffic = match rule.protocol.as_str() {
        "-1" => Traffic::All,
        "tcp" | "6" => Traffic::Tcp(ports()),
        "udp" | "17" => Traffic::Udp(ports()),
        "icmp" | "1" => Traffic::Icmp { kind: byte(rule.from_port), code: byte(rule.to_port) },
        other => match other.parse() {
            Ok(number) => Traffic::Number(number),
            Err(_) => return Ok(None),
        },
    };
    Ok(Some(Rule { traffic, peer }))
}

pub fn eni(intent: &EniIntent) -> Result<Eni, MacAddrError> {
    Ok(Eni {
        id: intent.id.to_string(),
        address: intent.address,
        subnet: intent.subnet.to_string(),
        mac: intent.mac.parse()?,
        security_groups: intent.security_groups.iter().map(ToString::to_string).collect(),
        public_address: intent.public_address,
    })
}

//! From the control plane's words to the network's.

use longshore_network::{
    Cidr, CidrError, Eni, LocalAddress, MacAddrError, NetworkConfig, Peer, PortRange, Rule, SecurityGroup, Subnet,
    Traffic, Vpc,
};
use longshore_types::ec2::{RulePeer, SecurityGroupRule};
use longshore_types::node::{EniIntent, SecurityGroupIntent, VpcIntent};

pub fn config(generation: u64, vpcs: &[VpcIntent]) -> Result<NetworkConfig, CidrError> {
    let vpcs = vpcs.iter().map(vpc).collect::<Result<_, _>>()?;
    Ok(NetworkConfig { generation, vpcs })
}

fn cidr(cidr: longshore_types::ec2::Cidr) -> Result<Cidr, CidrError> {
    cidr.to_string().parse()
}

fn vpc(vpc: &VpcIntent) -> Result<Vpc, CidrError> {
    let subnet = |s: &longshore_types::node::SubnetIntent| {
        Ok(Subnet {
            id: s.id.to_string(),
            cidr: cidr(s.cidr)?,
            route_to_internet: s.route_to_internet,
            route_to_nat: false,
        })
    };
    Ok(Vpc {
        id: vpc.id.to_string(),
        cidrs: vec![cidr(vpc.cidr)?],
        subnets: vpc.subnets.iter().map(subnet).collect::<Result<_, _>>()?,
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
        RulePeer::CidrV6(_) => return Ok(None),
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

//! VPCs and what is in them.

use crate::id::*;
use crate::{Tags, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

mod network_acl;
mod routing;

pub use network_acl::*;
pub use routing::*;

/// An IPv4 network in canonical form: host bits are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    address: Ipv4Addr,
    prefix: u8,
}

impl Cidr {
    /// `None` if the prefix is over 32. Host bits are cleared, as EC2 does.
    pub fn new(address: Ipv4Addr, prefix: u8) -> Option<Self> {
        (prefix <= 32).then(|| Self { address: Ipv4Addr::from(u32::from(address) & mask(prefix)), prefix })
    }

    pub fn address(self) -> Ipv4Addr {
        self.address
    }

    pub fn prefix(self) -> u8 {
        self.prefix
    }

    pub fn contains(self, address: Ipv4Addr) -> bool {
        u32::from(address) & mask(self.prefix) == u32::from(self.address)
    }

    pub fn contains_cidr(self, other: Cidr) -> bool {
        self.prefix <= other.prefix && self.contains(other.address)
    }

    pub fn overlaps(self, other: Cidr) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }

    /// Addresses in the network, those that EC2 reserves included.
    pub fn size(self) -> u64 {
        1u64 << (32 - self.prefix)
    }

    /// The address `n` after the first; `None` outside the network.
    pub fn nth(self, n: u64) -> Option<Ipv4Addr> {
        (n < self.size()).then(|| Ipv4Addr::from(u32::from(self.address) + n as u32))
    }
}

fn mask(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// The text is not `a.b.c.d/n`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an IPv4 network such as 10.0.0.0/16")]
pub struct CidrError(String);

impl FromStr for Cidr {
    type Err = CidrError;
    fn from_str(text: &str) -> Result<Self, CidrError> {
        let parse = || {
            let (address, prefix) = text.split_once('/')?;
            if prefix.len() > 2 || !prefix.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            Cidr::new(address.parse().ok()?, prefix.parse().ok()?)
        };
        parse().ok_or_else(|| CidrError(text.to_owned()))
    }
}

impl Serialize for Cidr {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Key: scope and id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vpc {
    pub id: VpcId,
    pub cidr: Cidr,
    pub is_default: bool,
    pub enable_dns_support: bool,
    pub enable_dns_hostnames: bool,
    /// None where there are no options: the word `default` associates them.
    #[serde(default)]
    pub dhcp_options_id: Option<DhcpOptionsId>,
    /// Networks beside the first one.
    #[serde(default)]
    pub more_cidrs: Vec<CidrAssociation>,
    /// Kept and shown; nothing is measured.
    #[serde(default)]
    pub address_usage_metrics: bool,
    pub created_at: Timestamp,
    pub tags: Tags,
    #[serde(flatten)]
    pub implied: Option<ImpliedRouting>,
}

impl Vpc {
    /// Every network of the VPC, the first one first.
    pub fn cidrs(&self) -> impl Iterator<Item = Cidr> {
        std::iter::once(self.cidr).chain(self.more_cidrs.iter().map(|more| more.cidr))
    }
}

/// A network that a VPC got after it was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CidrAssociation {
    /// `vpc-cidr-assoc-` and 17 hexadecimal digits.
    pub id: String,
    pub cidr: Cidr,
}

/// What a VPC held before route tables, gateways and ACLs had rows of their own. Read, made into rows, and forgotten.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImpliedRouting {
    pub main_route_table_id: String,
    pub default_network_acl_id: String,
    pub internet_gateway_id: Option<String>,
    #[serde(default)]
    pub route_table_tags: Tags,
    #[serde(default)]
    pub internet_gateway_tags: Tags,
}

/// Key: scope and id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subnet {
    pub id: SubnetId,
    pub vpc: VpcId,
    pub cidr: Cidr,
    pub zone: ZoneName,
    pub zone_id: String,
    pub default_for_zone: bool,
    pub map_public_ip_on_launch: bool,
    #[serde(default)]
    pub instance_names: InstanceNames,
    pub created_at: Timestamp,
    pub tags: Tags,
}

/// What instances that are started in a subnet are called. Kept and shown: there are no instances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceNames {
    /// By their ids, not their addresses.
    pub by_id: bool,
    /// Whether the name by id has an A record.
    pub id_is_resolved: bool,
}

impl Subnet {
    /// EC2 keeps the first four addresses and the last one of each subnet.
    pub const RESERVED: u64 = 5;
    /// Offset of the first address that an interface may have.
    pub const FIRST_USABLE: u64 = 4;

    /// The addresses that interfaces may have, in order.
    pub fn usable(&self) -> impl Iterator<Item = Ipv4Addr> + use<> {
        let cidr = self.cidr;
        (Self::FIRST_USABLE..cidr.size().saturating_sub(1)).filter_map(move |n| cidr.nth(n))
    }
}

/// Key: scope and id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecurityGroup {
    pub id: SecurityGroupId,
    pub name: String,
    pub description: String,
    pub vpc: VpcId,
    pub rules: Vec<SecurityGroupRule>,
    pub tags: Tags,
}

/// One rule with one peer, as DescribeSecurityGroupRules lists them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecurityGroupRule {
    pub id: SecurityGroupRuleId,
    pub egress: bool,
    /// `-1`, `tcp`, `udp`, `icmp` or a protocol number.
    pub protocol: String,
    /// First port, or ICMP type; -1 for all.
    pub from_port: i32,
    /// Last port, or ICMP code; -1 for all.
    pub to_port: i32,
    pub peer: RulePeer,
    pub description: Option<String>,
    pub tags: Tags,
}

impl SecurityGroupRule {
    /// Two rules that EC2 holds for the same one.
    pub fn same_permission(&self, other: &Self) -> bool {
        self.egress == other.egress
            && self.protocol == other.protocol
            && self.from_port == other.from_port
            && self.to_port == other.to_port
            && self.peer == other.peer
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RulePeer {
    Cidr(Cidr),
    /// Kept and shown; nothing here has an IPv6 address that it could match.
    CidrV6(String),
    Group(SecurityGroupId),
    /// Every network of a managed prefix list.
    PrefixList(PrefixListId),
}

/// Who an interface belongs to, which decides who may delete it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EniOwner {
    User,
    Task { cluster: ClusterName, task: TaskId, attachment: String },
    LoadBalancer { arn: String },
    NatGateway { id: NatGatewayId },
}

/// Key: scope and id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkInterface {
    pub id: EniId,
    pub vpc: VpcId,
    pub subnet: SubnetId,
    pub zone: ZoneName,
    pub address: Ipv4Addr,
    /// Locally administered, `0a:` first.
    pub mac: String,
    pub security_groups: Vec<SecurityGroupId>,
    pub public_address: Option<Ipv4Addr>,
    pub description: String,
    pub owner: EniOwner,
    pub created_at: Timestamp,
    pub tags: Tags,
    /// CreateNetworkInterface's: the same one again makes no second interface.
    #[serde(default)]
    pub client_token: Option<String>,
    /// Private addresses beside the first one.
    #[serde(default)]
    pub more_addresses: Vec<Ipv4Addr>,
}

impl NetworkInterface {
    /// Every private address, the first one first.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        std::iter::once(self.address).chain(self.more_addresses.iter().copied())
    }

    /// `ip-10-0-1-5.ec2.internal`.
    pub fn private_dns_name(&self, region: &Region) -> String {
        private_dns_name(self.address, region)
    }
}

/// EC2's name for a private address; us-east-1 has a domain of its own.
pub fn private_dns_name(address: Ipv4Addr, region: &Region) -> String {
    let [a, b, c, d] = address.octets();
    match region.as_str() {
        "us-east-1" => format!("ip-{a}-{b}-{c}-{d}.ec2.internal"),
        region => format!("ip-{a}-{b}-{c}-{d}.{region}.compute.internal"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_parse_and_contain() {
        let cidr: Cidr = "172.31.16.9/20".parse().expect("a network");
        assert_eq!(cidr.to_string(), "172.31.16.0/20");
        assert!(cidr.contains(Ipv4Addr::new(172, 31, 31, 255)));
        assert!(!cidr.contains(Ipv4Addr::new(172, 31, 32, 0)));
        assert_eq!(cidr.nth(4095), Some(Ipv4Addr::new(172, 31, 31, 255)));
        assert_eq!(cidr.nth(4096), None);
        for bad in ["10.0.0.0", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/+8", "10.0.0.0/", ""] {
            assert!(bad.parse::<Cidr>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_whole_of_ipv4_is_a_network() {
        let all: Cidr = "0.0.0.0/0".parse().expect("a network");
        assert!(all.contains(Ipv4Addr::BROADCAST));
        assert_eq!(all.size(), 1 << 32);
    }
}

//! What the node agent tells this data plane: the whole desired network, and one interface at a time.
//!
//! [`NetworkConfig`] is complete and carries a generation; an older one is refused, so state can never
//! move backwards. Interfaces ([`Eni`]) are not part of it: they come and go with tasks, far more often
//! than a security group changes, and each is one small transaction.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::cidr::Cidr;

/// Every VPC of the node, as of one generation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkConfig {
    /// Grows with every change. The same generation may be applied again; an older one is refused.
    pub generation: u64,
    #[serde(default)]
    pub vpcs: Vec<Vpc>,
}

/// One virtual network. Two of them may have the same address blocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vpc {
    /// `vpc-...`; names the namespace's file, so only letters, digits, `-`, `_` and `.`.
    pub id: String,
    /// Address blocks; the first one gives the resolver's address (base + 2).
    pub cidrs: Vec<Cidr>,
    #[serde(default)]
    pub subnets: Vec<Subnet>,
    #[serde(default)]
    pub route_tables: Vec<RouteTable>,
    #[serde(default)]
    pub network_acls: Vec<NetworkAcl>,
    #[serde(default)]
    pub security_groups: Vec<SecurityGroup>,
    /// Addresses that live in the VPC's own namespace: those of load balancer nodes.
    #[serde(default)]
    pub local_addresses: Vec<LocalAddress>,
}

/// A subnet: a block of the VPC, and who decides about packets that cross its border.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    pub id: String,
    pub cidr: Cidr,
    /// Id of the route table; a subnet of one that is not there stays inside.
    #[serde(default)]
    pub route_table: String,
    /// Id of the network ACL; none, or one that is not there, lets everything pass.
    #[serde(default)]
    pub network_acl: Option<String>,
}

/// Ways out of the VPC: of the routes that contain a destination the one with the longest prefix counts. What is inside the VPC
/// is never subject to a route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTable {
    pub id: String,
    #[serde(default)]
    pub routes: Vec<TableRoute>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRoute {
    pub to: Cidr,
    pub via: RouteTarget,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteTarget {
    /// An internet gateway: interfaces with a public address may leave, and are reachable at that address.
    Internet,
    /// A NAT gateway with that public address: every interface may leave, none is reachable.
    Nat {
        address: Ipv4Addr,
        /// Id of the gateway's own subnet, whose border each packet crosses too.
        subnet: String,
    },
    /// A blackhole.
    Nowhere,
}

/// What may cross the border of a subnet, packet by packet: answers need an entry as well. The first entry that matches
/// decides; what none matches is dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkAcl {
    pub id: String,
    #[serde(default)]
    pub ingress: Vec<AclEntry>,
    #[serde(default)]
    pub egress: Vec<AclEntry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AclEntry {
    pub allow: bool,
    pub traffic: Traffic,
    /// The source for ingress, the destination for egress.
    pub cidr: Cidr,
}

/// A security group: what its members may receive and send. Nothing is allowed that no rule allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityGroup {
    pub id: String,
    #[serde(default)]
    pub ingress: Vec<Rule>,
    #[serde(default)]
    pub egress: Vec<Rule>,
}

/// One permission of a security group, for one peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    pub traffic: Traffic,
    pub peer: Peer,
}

/// Which packets a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Traffic {
    /// Every protocol (EC2's `-1`).
    All,
    Tcp(PortRange),
    Udp(PortRange),
    Icmp {
        /// ICMP type; `None` is every type.
        kind: Option<u8>,
        /// ICMP code; `None` is every code.
        code: Option<u8>,
    },
    /// Any other protocol, by its IP protocol number.
    Number(u8),
}

/// Destination ports, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortRange {
    pub first: u16,
    pub last: u16,
}

impl PortRange {
    /// Every port.
    pub const ALL: PortRange = PortRange { first: 0, last: u16::MAX };

    /// One port.
    pub const fn one(port: u16) -> PortRange {
        PortRange { first: port, last: port }
    }
}

/// The other side of a rule: the source for ingress, the destination for egress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Peer {
    Cidr(Cidr),
    /// The private addresses of the group's members in the same VPC.
    Group(String),
}

/// An address of a load balancer node, on which processes may listen inside the VPC's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalAddress {
    pub address: Ipv4Addr,
    #[serde(default)]
    pub security_groups: BTreeSet<String>,
}

/// A task's network interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eni {
    /// `eni-...`; unique over all VPCs of the node.
    pub id: String,
    pub address: Ipv4Addr,
    /// Id of a subnet of the VPC that contains `address`.
    pub subnet: String,
    pub mac: MacAddr,
    /// Rules are additive over all of them. None at all allows nothing.
    pub security_groups: BTreeSet<String>,
    /// Address at which the host (and other VPCs) reach the interface, when its subnet routes to the internet.
    #[serde(default)]
    pub public_address: Option<Ipv4Addr>,
}

/// An Ethernet address, written `0a:58:0a:00:01:05`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MacAddr(pub [u8; 6]);

/// A text that is not an Ethernet address.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not a MAC address")]
pub struct MacAddrError(pub String);

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for MacAddr {
    type Err = MacAddrError;

    fn from_str(text: &str) -> Result<Self, MacAddrError> {
        let wrong = || MacAddrError(text.to_owned());
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let hex = |part: &&str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
            let part = parts.next().filter(hex).ok_or_else(wrong)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| wrong())?;
        }
        if parts.next().is_some() {
            return Err(wrong());
        }
        Ok(MacAddr(bytes))
    }
}

impl TryFrom<String> for MacAddr {
    type Error = MacAddrError;
    fn try_from(text: String) -> Result<Self, MacAddrError> {
        text.parse()
    }
}

impl From<MacAddr> for String {
    fn from(mac: MacAddr) -> String {
        mac.to_string()
    }
}

/// A configuration that contradicts itself or cannot be named to the kernel.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigError {
    #[error("`{0}` cannot be used as an id: only 1 to 64 letters, digits, `-`, `_` and `.`")]
    Id(String),
    #[error("{0} is there twice")]
    Twice(String),
    #[error("{0} has no address block")]
    NoBlock(String),
    #[error("address block {inner} is not inside {vpc}")]
    Outside { vpc: String, inner: Cidr },
}

impl NetworkConfig {
    /// Refuses what would end as a half-applied ruleset. Unknown groups in rules are no error: EC2 keeps such
    /// rules as stale, and they match nobody.
    pub fn check(&self) -> Result<(), ConfigError> {
        let mut vpcs = BTreeSet::new();
        for vpc in &self.vpcs {
            check_id(&vpc.id)?;
            if !vpcs.insert(&vpc.id) {
                return Err(ConfigError::Twice(vpc.id.clone()));
            }
            vpc.check()?;
        }
        Ok(())
    }
}

impl Vpc {
    fn check(&self) -> Result<(), ConfigError> {
        if self.cidrs.is_empty() {
            return Err(ConfigError::NoBlock(self.id.clone()));
        }
        let mut ids = BTreeSet::new();
        let names = (self.subnets.iter().map(|subnet| &subnet.id))
            .chain(self.security_groups.iter().map(|group| &group.id))
            .chain(self.route_tables.iter().map(|table| &table.id))
            .chain(self.network_acls.iter().map(|acl| &acl.id));
        for id in names {
            check_id(id)?;
            if !ids.insert(id) {
                return Err(ConfigError::Twice(id.clone()));
            }
        }
        for subnet in &self.subnets {
            if !self
                .cidrs
                .iter()
                .any(|cidr| cidr.contains(subnet.cidr.network()) && cidr.prefix() <= subnet.cidr.prefix())
            {
                return Err(ConfigError::Outside { vpc: self.id.clone(), inner: subnet.cidr });
            }
        }
        for rule in self.security_groups.iter().flat_map(|group| group.ingress.iter().chain(&group.egress)) {
            if let Peer::Group(id) = &rule.peer {
                check_id(id)?;
            }
        }
        let mut addresses = BTreeSet::new();
        for local in &self.local_addresses {
            if !addresses.insert(local.address) {
                return Err(ConfigError::Twice(local.address.to_string()));
            }
            local.security_groups.iter().try_for_each(|id| check_id(id))?;
        }
        Ok(())
    }

    /// The subnet of that id.
    pub fn subnet(&self, id: &str) -> Option<&Subnet> {
        self.subnets.iter().find(|subnet| subnet.id == id)
    }

    /// The route table of a subnet.
    pub fn route_table(&self, subnet: &Subnet) -> Option<&RouteTable> {
        self.route_tables.iter().find(|table| table.id == subnet.route_table)
    }

    /// The network ACL of the subnet of that id, if it has one.
    pub fn network_acl(&self, subnet: &str) -> Option<&NetworkAcl> {
        let wanted = self.subnet(subnet)?.network_acl.as_ref()?;
        self.network_acls.iter().find(|acl| acl.id == *wanted)
    }

    /// Whether a subnet has a route to the internet gateway: otherwise public addresses in it are of no use.
    pub fn reaches_internet(&self, subnet: &Subnet) -> bool {
        let table = self.route_table(subnet);
        table.is_some_and(|table| table.routes.iter().any(|route| route.via == RouteTarget::Internet))
    }

    /// Public addresses of the NAT gateways that routes lead to.
    pub fn nat_addresses(&self) -> BTreeSet<Ipv4Addr> {
        let routes = self.route_tables.iter().flat_map(|table| &table.routes);
        routes
            .filter_map(|route| match &route.via {
                RouteTarget::Nat { address, .. } => Some(*address),
                RouteTarget::Internet | RouteTarget::Nowhere => None,
            })
            .collect()
    }

    /// The resolver's address: base + 2 of the first block.
    pub fn resolver(&self) -> Option<Ipv4Addr> {
        self.cidrs.first()?.nth(2)
    }
}

impl Subnet {
    /// The router's address: the first one of the block.
    pub fn gateway(&self) -> Option<Ipv4Addr> {
        self.cidr.nth(1)
    }
}

/// Ids become names of files, chains and sets: an id that could mean something else there is refused.
pub(crate) fn check_id(id: &str) -> Result<(), ConfigError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if (1..=64).contains(&id.len()) && id.bytes().all(plain) && !id.starts_with('.') {
        Ok(())
    } else {
        Err(ConfigError::Id(id.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mac_addresses_are_read_as_written() {
        let mac: MacAddr = "0a:58:0a:00:01:05".parse().unwrap();
        assert_eq!(mac, MacAddr([0x0a, 0x58, 0x0a, 0, 1, 5]));
        assert_eq!(mac.to_string(), "0a:58:0a:00:01:05");
        for text in ["", "0a:58:0a:00:01", "0a:58:0a:00:01:05:06", "0a:58:0a:00:01:+5", "0a-58-0a-00-01-05"] {
            assert!(text.parse::<MacAddr>().is_err(), "{text}");
        }
    }

    #[test]
    fn ids_that_could_leave_their_place_are_refused() {
        for id in ["", "..", "../x", "a b", "sg;drop", ".hidden", "a\n"] {
            assert_eq!(check_id(id), Err(ConfigError::Id(id.to_owned())));
        }
        assert_eq!(check_id("sg-0123456789abcdef0"), Ok(()));
    }

    #[test]
    fn a_subnet_outside_its_vpc_is_refused() {
        let subnet = Subnet {
            id: "subnet-1".into(),
            cidr: "10.1.0.0/24".parse().unwrap(),
            route_table: String::new(),
            network_acl: None,
        };
        let vpc = Vpc {
            id: "vpc-1".into(),
            cidrs: vec!["10.0.0.0/16".parse().unwrap()],
            subnets: vec![subnet],
            route_tables: vec![],
            network_acls: vec![],
            security_groups: vec![],
            local_addresses: vec![],
        };
        let config = NetworkConfig { generation: 1, vpcs: vec![vpc] };
        assert_eq!(
            config.check(),
            Err(ConfigError::Outside { vpc: "vpc-1".into(), inner: "10.1.0.0/24".parse().unwrap() })
        );
    }

    #[test]
    fn a_configuration_survives_json() {
        let text = r#"{"generation":3,"vpcs":[{"id":"vpc-1","cidrs":["10.0.0.0/16"],
            "subnets":[{"id":"subnet-1","cidr":"10.0.1.0/24","route_table":"rtb-1","network_acl":"acl-1"}],
            "route_tables":[{"id":"rtb-1","routes":[{"to":"0.0.0.0/0","via":"internet"},
                {"to":"8.8.8.8/32","via":{"nat":{"address":"198.18.0.9","subnet":"subnet-1"}}}]}],
            "network_acls":[{"id":"acl-1","ingress":[{"allow":true,"traffic":"all","cidr":"10.0.0.0/8"}]}],
            "security_groups":[{"id":"sg-1","ingress":[
                {"traffic":{"tcp":{"first":80,"last":80}},"peer":{"cidr":"0.0.0.0/0"}},
                {"traffic":"all","peer":{"group":"sg-1"}}]}],
            "local_addresses":[{"address":"10.0.1.4","security_groups":["sg-1"]}]}]}"#;
        let config: NetworkConfig = serde_json::from_str(text).unwrap();
        assert_eq!(config.check(), Ok(()));
        assert_eq!(serde_json::from_str::<NetworkConfig>(&serde_json::to_string(&config).unwrap()).unwrap(), config);
    }
}

//! Where packets of a subnet may go: route tables, gateways, and the addresses that outsiders see.

use super::Cidr;
use crate::id::*;
use crate::{Tags, Timestamp};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// Key: scope and id. The local routes, one for each network of the VPC, are not stored: every table has them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouteTable {
    pub id: RouteTableId,
    pub vpc: VpcId,
    /// In the order they were made. Destinations differ.
    pub routes: Vec<Route>,
    pub associations: Vec<RouteTableAssociation>,
    pub client_token: Option<String>,
    pub tags: Tags,
}

impl RouteTable {
    /// Whether subnets without a table of their own have this one.
    pub fn is_main(&self) -> bool {
        self.associations.iter().any(|association| association.subnet.is_none())
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouteTableAssociation {
    /// `rtbassoc-` and 17 hexadecimal digits.
    pub id: String,
    /// None for the association that makes the table its VPC's main one.
    pub subnet: Option<SubnetId>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Route {
    pub destination: Destination,
    pub target: RouteTarget,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    Cidr(Cidr),
    PrefixList(PrefixListId),
}

/// A route whose target is not there any more, or not attached, leads nowhere: EC2 calls it a blackhole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteTarget {
    InternetGateway(InternetGatewayId),
    NatGateway(NatGatewayId),
}

/// Key: scope and id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InternetGateway {
    pub id: InternetGatewayId,
    pub vpc: Option<VpcId>,
    pub tags: Tags,
}

/// Key: scope and id. A deleted or failed one is kept for a while, so that whoever waits for it sees how it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NatGateway {
    pub id: NatGatewayId,
    pub vpc: VpcId,
    pub subnet: SubnetId,
    /// Its interface, whose private address stays in `private_address` when the interface is gone.
    pub eni: Option<EniId>,
    pub private_address: Option<Ipv4Addr>,
    /// None for a private gateway.
    pub elastic: Option<NatElasticAddress>,
    pub public: bool,
    pub end: Option<NatGatewayEnd>,
    pub created_at: Timestamp,
    pub client_token: Option<String>,
    pub tags: Tags,
}

impl NatGateway {
    /// How long EC2 shows a gateway that has failed or was deleted.
    pub const SHOWN_AFTER_END: std::time::Duration = std::time::Duration::from_secs(3600);

    pub fn is_available(&self) -> bool {
        self.end.is_none()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NatElasticAddress {
    pub allocation: AllocationId,
    pub association: String,
    pub address: Ipv4Addr,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NatGatewayEnd {
    Failed { code: String, message: String, at: Timestamp },
    Deleted { at: Timestamp },
}

impl NatGatewayEnd {
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Failed { at, .. } | Self::Deleted { at } => *at,
        }
    }
}

/// A public address that an account keeps. Key: scope and allocation id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ElasticAddress {
    pub allocation: AllocationId,
    pub address: Ipv4Addr,
    pub association: Option<AddressAssociation>,
    pub tags: Tags,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AddressAssociation {
    /// `eipassoc-` and 17 hexadecimal digits.
    pub id: String,
    pub eni: EniId,
    pub private_address: Ipv4Addr,
}

/// A named list of networks, for routes and security groups. Key: scope and id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PrefixList {
    pub id: PrefixListId,
    pub name: String,
    pub max_entries: u32,
    /// From 1; each change of the entries makes another.
    pub version: u64,
    /// By network; what the list holds as of `version`.
    pub entries: Vec<PrefixListEntry>,
    /// Entries of earlier versions, the first one's first.
    pub history: Vec<Vec<PrefixListEntry>>,
    pub client_token: Option<String>,
    pub tags: Tags,
}

impl PrefixList {
    /// The entries of a version; `None` if there is no such version.
    pub fn entries_of(&self, version: u64) -> Option<&[PrefixListEntry]> {
        match version == self.version {
            true => Some(&self.entries),
            false => self.history.get(usize::try_from(version.checked_sub(1)?).ok()?).map(Vec::as_slice),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PrefixListEntry {
    pub cidr: Cidr,
    pub description: Option<String>,
}

/// What DHCP tells the interfaces of a VPC: here, what is in the `resolv.conf` of its tasks. Key: scope and id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DhcpOptions {
    pub id: DhcpOptionsId,
    /// Domains that names are looked for in.
    pub domain_names: Vec<String>,
    pub name_servers: Vec<NameServer>,
    /// Kept and shown: nothing here asks for the time.
    pub ntp_servers: Vec<String>,
    pub tags: Tags,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NameServer {
    /// The VPC's own resolver.
    Amazon,
    At(Ipv4Addr),
}

//! Network ACLs: what may cross the border of a subnet, packet by packet.

use super::Cidr;
use crate::Tags;
use crate::id::*;
use serde::{Deserialize, Serialize};

/// Key: scope and id. After the last entry of each direction comes one that denies all; it is not stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkAcl {
    pub id: NetworkAclId,
    pub vpc: VpcId,
    /// Subnets begin with this one; it goes with its VPC.
    pub is_default: bool,
    /// By direction (ingress first) and number.
    pub entries: Vec<NetworkAclEntry>,
    pub associations: Vec<NetworkAclAssociation>,
    pub client_token: Option<String>,
    pub tags: Tags,
}

impl NetworkAcl {
    /// Number of the entry that denies what no other decides.
    pub const LAST: i32 = 32767;

    /// Whether nothing is ever denied: then packets need not be looked at.
    pub fn allows_everything(&self) -> bool {
        [false, true].into_iter().all(|egress| {
            let first =
                self.entries.iter().find(|entry| entry.egress == egress && !matches!(entry.network, AclNetwork::V6(_)));
            first.is_some_and(|entry| {
                let everywhere = matches!(entry.network, AclNetwork::V4(cidr) if cidr.prefix() == 0);
                entry.allow && entry.protocol == -1 && everywhere
            })
        })
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkAclEntry {
    pub egress: bool,
    /// 1 to 32766; the lowest that matches decides.
    pub number: i32,
    pub allow: bool,
    /// Protocol number; -1 for all.
    pub protocol: i32,
    pub network: AclNetwork,
    /// First and last destination port, for TCP and UDP.
    pub ports: Option<(u16, u16)>,
    /// Type and code, for ICMP; -1 for all.
    pub icmp: Option<(i32, i32)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AclNetwork {
    V4(Cidr),
    /// Kept and shown; nothing here has an IPv6 address that it could match.
    V6(String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkAclAssociation {
    /// `aclassoc-` and 17 hexadecimal digits.
    pub id: String,
    pub subnet: SubnetId,
}

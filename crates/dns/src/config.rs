//! What the resolver of one VPC is told.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// Every name of a VPC, as of one generation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DnsConfig {
    /// Grows with every change; an older configuration is ignored.
    pub generation: u64,
    /// Domains that exist only here: a name below one of them that is not in `hosts` does not exist.
    pub zones: Vec<String>,
    /// Names with addresses, inside and outside of `zones`.
    pub hosts: BTreeMap<String, Host>,
    /// Domain of the generated names `ip-10-0-1-5.<domain>`: `ec2.internal` in us-east-1,
    /// `<region>.compute.internal` elsewhere. Empty: there are none.
    pub private_domain: String,
    /// Address blocks of the VPC: each address in them has a generated name, forward and reverse.
    pub vpc_blocks: Vec<Block>,
}

/// The addresses of a name. None at all is a name that exists without addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Answered in an order that changes from question to question.
    pub addresses: Vec<Ipv4Addr>,
    pub ttl_seconds: u32,
}

/// An IPv4 block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    pub address: Ipv4Addr,
    /// Prefix length in bits; more than 32 counts as 32.
    pub prefix: u8,
}

impl Block {
    /// Whether `address` is inside.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix.min(32))).unwrap_or(0);
        (self.address.to_bits() ^ address.to_bits()) & mask == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_contain_what_their_prefix_says() {
        let block = |prefix| Block { address: Ipv4Addr::new(10, 0, 1, 0), prefix };
        assert!(block(24).contains(Ipv4Addr::new(10, 0, 1, 255)));
        assert!(!block(24).contains(Ipv4Addr::new(10, 0, 2, 0)));
        assert!(block(0).contains(Ipv4Addr::new(192, 0, 2, 1)));
        assert!(block(32).contains(Ipv4Addr::new(10, 0, 1, 0)));
        assert!(!block(99).contains(Ipv4Addr::new(10, 0, 1, 1)));
    }
}

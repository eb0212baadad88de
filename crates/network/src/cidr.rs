//! IPv4 blocks: parsed once, written back in their canonical form.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An IPv4 block such as `10.0.0.0/16`. Host bits are zero by construction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    network: Ipv4Addr,
    prefix: u8,
}

/// A text that is not an IPv4 block.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is not an IPv4 CIDR block")]
pub struct CidrError(pub String);

impl Cidr {
    /// Every address.
    pub const ANY: Cidr = Cidr { network: Ipv4Addr::UNSPECIFIED, prefix: 0 };

    /// The block of `prefix` bits (0 to 32) that contains `address`; `None` for a longer prefix.
    pub const fn containing(address: Ipv4Addr, prefix: u8) -> Option<Cidr> {
        if prefix > 32 {
            return None;
        }
        Some(Cidr { network: Ipv4Addr::from_bits(address.to_bits() & mask(prefix)), prefix })
    }

    /// Network address, host bits zero.
    pub fn network(&self) -> Ipv4Addr {
        self.network
    }

    /// Prefix length in bits, 0 to 32.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether `address` is inside the block.
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        address.to_bits() & mask(self.prefix) == self.network.to_bits()
    }

    /// Whether the two blocks share an address.
    pub fn overlaps(&self, other: &Cidr) -> bool {
        self.contains(other.network) || other.contains(self.network)
    }

    /// The `offset`-th address of the block; `None` when it lies outside.
    pub fn nth(&self, offset: u32) -> Option<Ipv4Addr> {
        let address = Ipv4Addr::from_bits(self.network.to_bits().checked_add(offset)?);
        self.contains(address).then_some(address)
    }
}

const fn mask(prefix: u8) -> u32 {
    if prefix == 0 { 0 } else { u32::MAX << (32 - prefix) }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    /// Accepts `a.b.c.d/n` and, as a block of one, `a.b.c.d`. Host bits are cleared, as EC2 does.
    fn from_str(text: &str) -> Result<Self, CidrError> {
        let wrong = || CidrError(text.to_owned());
        let (address, prefix) = text.split_once('/').unwrap_or((text, "32"));
        let address = address.parse().map_err(|_| wrong())?;
        let prefix = prefix.parse().map_err(|_| wrong())?;
        Cidr::containing(address, prefix).ok_or_else(wrong)
    }
}

impl TryFrom<String> for Cidr {
    type Error = CidrError;
    fn try_from(text: String) -> Result<Self, CidrError> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> String {
        cidr.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_bits_are_cleared() {
        assert_eq!("10.0.1.7/16".parse::<Cidr>().unwrap().to_string(), "10.0.0.0/16");
        assert_eq!("10.0.1.7".parse::<Cidr>().unwrap().to_string(), "10.0.1.7/32");
        assert_eq!("1.2.3.4/0".parse::<Cidr>().unwrap(), Cidr::ANY);
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for text in ["", "10.0.0.0/33", "10.0.0/8", "::1/64", "10.0.0.0/-1", "10.0.0.0/8/8"] {
            assert_eq!(text.parse::<Cidr>(), Err(CidrError(text.to_owned())));
        }
    }

    #[test]
    fn the_last_address_is_inside_and_the_next_is_not() {
        let cidr: Cidr = "10.0.0.0/30".parse().unwrap();
        assert_eq!(cidr.nth(3), Some(Ipv4Addr::new(10, 0, 0, 3)));
        assert_eq!(cidr.nth(4), None);
        let top: Cidr = "255.255.255.255/32".parse().unwrap();
        assert_eq!(top.nth(1), None);
    }

    #[test]
    fn overlap_is_containment_either_way() {
        let wide: Cidr = "10.0.0.0/8".parse().unwrap();
        let narrow: Cidr = "10.9.0.0/16".parse().unwrap();
        assert!(wide.overlaps(&narrow) && narrow.overlaps(&wide));
        assert!(!narrow.overlaps(&"10.8.0.0/16".parse().unwrap()));
    }
}

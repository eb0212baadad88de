//! What is fixed for the life of a node's network.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use crate::cidr::Cidr;
use crate::error::NetworkError;

/// Options of [`Network::open`](crate::Network::open).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkOptions {
    /// Holds `netns/` (mounts) and `network/` (files); in memory, such as `/run/longshore`.
    pub run_dir: PathBuf,
    /// Names what is ours on the host: links `<tag>-<n>`, nftables table `longshore-<tag>`. 1 to 8 lowercase letters and
    /// digits, a letter first. Two instances on one host need two tags, and pools that do not overlap.
    pub tag: String,
    /// Each VPC's link to the host takes a /30 of it.
    pub uplink_pool: Cidr,
    /// Contains the public addresses of interfaces.
    pub public_pool: Cidr,
}

impl NetworkOptions {
    /// The defaults: pools 169.254.64.0/18 and 198.18.0.0/16.
    pub fn new(run_dir: impl Into<PathBuf>, tag: impl Into<String>) -> NetworkOptions {
        let block = |a, b, c, prefix| Cidr::containing(Ipv4Addr::new(a, b, c, 0), prefix).expect("a prefix below 33");
        NetworkOptions {
            run_dir: run_dir.into(),
            tag: tag.into(),
            uplink_pool: block(169, 254, 64, 18),
            public_pool: block(198, 18, 0, 16),
        }
    }

    pub(crate) fn check(&self) -> Result<(), NetworkError> {
        let tag = self.tag.as_bytes();
        let plain = tag.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if plain && tag.len() <= 8 && tag.first().is_some_and(u8::is_ascii_lowercase) {
            Ok(())
        } else {
            Err(NetworkError::Tag(self.tag.clone()))
        }
    }

    /// Name of the host's end of the uplink in that slot.
    pub(crate) fn uplink_name(&self, slot: u32) -> String {
        format!("{}-{slot}", self.tag)
    }

    /// Number of uplinks the pool has room for.
    pub(crate) fn slots(&self) -> u32 {
        1u32.checked_shl(u32::from(30u8.saturating_sub(self.uplink_pool.prefix()))).unwrap_or(u32::MAX)
    }

    /// The host's and the VPC's address in that slot.
    pub(crate) fn uplink_addresses(&self, slot: u32) -> Option<(Ipv4Addr, Ipv4Addr)> {
        let base = slot.checked_mul(4)?;
        Some((self.uplink_pool.nth(base + 1)?, self.uplink_pool.nth(base + 2)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_fill_the_pool_and_end_with_it() {
        let options = NetworkOptions::new("/run/longshore", "ls");
        assert_eq!(options.slots(), 4096);
        assert_eq!(options.uplink_addresses(1), Some((Ipv4Addr::new(169, 254, 64, 5), Ipv4Addr::new(169, 254, 64, 6))));
        assert!(options.uplink_addresses(4095).is_some());
        assert_eq!(options.uplink_addresses(4096), None);
    }

    #[test]
    fn tags_fit_in_link_names() {
        assert_eq!(NetworkOptions::new("/run", "longsho1").uplink_name(4095).len(), 13);
        for tag in ["", "LS", "a-b", "1a", "longshore"] {
            assert!(NetworkOptions::new("/run", tag).check().is_err(), "{tag}");
        }
    }
}

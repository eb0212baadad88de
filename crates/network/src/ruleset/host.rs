//! The table on the host: what may pass between the uplinks, the host and the world.

use std::collections::BTreeMap;

use super::table::{Chain, Table};
use crate::cidr::Cidr;

/// Name of the host's table. Not the tag alone: that could be one of nft's many words, such as `lt`.
pub fn name(tag: &str) -> String {
    format!("longshore-{tag}")
}

/// The host's table. Interface names are `<tag>-<slot>`.
pub fn table(tag: &str, uplink_pool: Cidr, public_pool: Cidr) -> Table {
    let ours = format!("\"{tag}-*\"");
    let chain = |hook: &str, rules: Vec<String>| Chain { hook: Some(format!("{hook}; policy accept;")), rules };
    let chains = BTreeMap::from([
        (
            "input".to_owned(),
            // Services of the host are not the internet, whichever of its addresses they listen on.
            chain(
                "type filter hook input priority filter - 10",
                vec![format!("iifname {ours} ct state != {{ established, related }} drop")],
            ),
        ),
        (
            "forward".to_owned(),
            chain(
                "type filter hook forward priority filter - 10",
                vec![
                    // VPCs meet at public addresses only, where the receiver's security groups decide.
                    format!("iifname {ours} oifname {ours} ip daddr != {public_pool} drop"),
                    // Enabling forwarding must not open the tasks to the host's other networks.
                    format!("iifname != {ours} oifname {ours} ct state != {{ established, related }} drop"),
                    // Path MTU discovery fails too often for the world beyond to be trusted with it.
                    format!("oifname {ours} tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu"),
                    format!("iifname {ours} tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu"),
                ],
            ),
        ),
        (
            "postrouting".to_owned(),
            chain(
                "type nat hook postrouting priority srcnat",
                vec![format!("ip saddr {{ {uplink_pool}, {public_pool} }} oifname != {ours} masquerade")],
            ),
        ),
    ]);
    Table { name: name(tag), chains, ..Table::default() }
}

//! The table of one VPC: static chains, two chains a group, two chains a combination of groups, and those of route tables
//! and network ACLs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::acl::{self, ACL};
use super::element::{LEAVES, MEMBERS, PUBLIC, PUBLIC_OF, members_of};
use super::routes::{self, LEAVE, SOURCE};
use super::rule::{self, Direction};
use super::table::{Chain, Table};
use super::{TABLE, UPLINK};
use crate::config::{Rule, SecurityGroup, Vpc};

/// Task metadata, credentials and the AWS API, in every VPC's namespace.
pub const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 170, 2);
/// Where tasks reach the AWS API, at [`METADATA`].
pub const API_PORT: u16 = 4566;
/// The resolver's link-local address, beside base + 2.
pub const RESOLVER: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 253);

const EGRESS_OF: &str = "egress-of";
const INGRESS_OF: &str = "ingress-of";
const KNOWN_FLOWS: &str = "ct state vmap { established : accept, related : accept, invalid : drop }";

/// Distinct sets of groups to their numbers, from 1: a mark of 0 is no mark.
pub type Combinations = BTreeMap<BTreeSet<String>, u32>;

/// The table of `vpc`. Groups that combinations name and the configuration does not are groups without rules.
pub fn table(vpc: &Vpc, combinations: &Combinations) -> Table {
    let mut table = Table { name: TABLE.to_owned(), ..Table::default() };
    for (set, kind, contents) in [
        (MEMBERS, "map", "ipv4_addr : mark"),
        (PUBLIC, "map", "ipv4_addr : ipv4_addr"),
        (PUBLIC_OF, "map", "ipv4_addr : ipv4_addr"),
        (LEAVES, "set", "ipv4_addr"),
        (EGRESS_OF, "map", "mark : verdict"),
        (INGRESS_OF, "map", "mark : verdict"),
    ] {
        table.sets.insert(set.to_owned(), format!("{kind} {set} {{ type {contents}; }}"));
    }
    table.chains.extend(routes::chains(vpc));
    table.chains.extend(acl::chains(vpc));
    add_static_chains(&mut table, vpc);

    let groups: BTreeMap<&str, Option<&SecurityGroup>> = combinations
        .keys()
        .flatten()
        .map(|group| (group.as_str(), None))
        .chain(vpc.security_groups.iter().map(|group| (group.id.as_str(), Some(group))))
        .collect();
    for (id, group) in &groups {
        let set = members_of(id);
        table.sets.insert(set.clone(), format!("set {set} {{ type ipv4_addr; }}"));
        let text = |rules: &[Rule], direction| {
            rules.iter().filter_map(|rule| rule::text(rule, direction, |id| groups.contains_key(id))).collect()
        };
        let (ingress, egress) = group.map_or((vec![], vec![]), |group| {
            (text(&group.ingress, Direction::Ingress), text(&group.egress, Direction::Egress))
        });
        table.chains.insert(format!("in-{id}"), Chain { hook: None, rules: ingress });
        table.chains.insert(format!("out-{id}"), Chain { hook: None, rules: egress });
    }
    for (combination, number) in combinations {
        for (way, map) in [("in", INGRESS_OF), ("out", EGRESS_OF)] {
            // Not `in-<number>`: a group may be called that.
            let chain = format!("{way}_any_{number}");
            let mut rules: Vec<_> = combination.iter().map(|group| format!("jump {way}-{group}")).collect();
            // Explicit: the end of this chain would return into the sender's, whose next rule has no say here.
            rules.push("drop".to_owned());
            table.chains.insert(chain.clone(), Chain { hook: None, rules });
            table.dispatch.insert((map.to_owned(), *number), chain);
        }
    }
    table
}

fn add_static_chains(table: &mut Table, vpc: &Vpc) {
    let resolvers: Vec<_> = vpc.resolver().into_iter().chain([RESOLVER]).map(|address| address.to_string()).collect();
    let resolvers = resolvers.join(", ");
    let gateways: Vec<_> =
        vpc.subnets.iter().filter_map(|subnet| subnet.gateway()).map(|address| address.to_string()).collect();
    let acl = table.chains.contains_key(ACL).then(|| format!("jump {ACL}"));
    let mut add = |name: &str, hook: Option<&str>, rules: Vec<String>| {
        table.chains.insert(name.to_owned(), Chain { hook: hook.map(str::to_owned), rules });
    };
    // Routes and ACLs look at every packet, so they come before what connection tracking lets pass.
    let mut forward = vec![format!("oifname {UPLINK} jump {LEAVE}")];
    forward.extend(acl.clone());
    forward.extend([
        KNOWN_FLOWS.to_owned(),
        // From outside only what was addressed to a public address.
        format!("iifname {UPLINK} ct status dnat goto ingress"),
        format!("iifname {UPLINK} drop"),
        "goto egress".to_owned(),
    ]);
    add("forward", Some("type filter hook forward priority filter; policy drop;"), forward);
    let mut input = vec![
        format!("iifname {UPLINK} ct state {{ established, related }} accept"),
        format!("iifname {UPLINK} drop"),
        "iifname lo ip daddr 127.0.0.0/8 accept".to_owned(),
        // Never subject to security groups or network ACLs, as on AWS.
        format!("ip daddr {METADATA} tcp dport {{ 80, {API_PORT} }} accept"),
        format!("ip daddr {{ {resolvers} }} meta l4proto {{ tcp, udp }} th dport 53 accept"),
    ];
    if !gateways.is_empty() {
        input.push(format!("ip daddr {{ {} }} icmp type echo-request accept", gateways.join(", ")));
    }
    input.extend(acl.clone());
    input.extend([KNOWN_FLOWS.to_owned(), "goto egress".to_owned()]);
    add("input", Some("type filter hook input priority filter; policy drop;"), input);
    let mut output = vec![
        "oifname lo ip daddr 127.0.0.0/8 accept".to_owned(),
        format!("ip saddr {{ {METADATA}, {resolvers} }} ct state {{ established, related }} accept"),
    ];
    output.extend(acl);
    output.extend([
        KNOWN_FLOWS.to_owned(),
        // Load balancers meet the world on the host, not here.
        format!("oifname {UPLINK} drop"),
        "goto egress".to_owned(),
    ]);
    add("output", Some("type filter hook output priority filter; policy drop;"), output);
    add(
        "egress",
        None,
        vec![format!("meta mark set ip saddr map @{MEMBERS} meta mark vmap @{EGRESS_OF}"), "drop".to_owned()],
    );
    add(
        "ingress",
        None,
        vec![
            format!("meta mark set ip daddr map @{MEMBERS} meta mark vmap @{INGRESS_OF}"),
            // Link-local (the host's side of the uplink, an instance metadata service), loopback, multicast: never the internet.
            "ip daddr { 0.0.0.0/8, 127.0.0.0/8, 169.254.0.0/16, 224.0.0.0/3 } drop".to_owned(),
            format!("oifname {UPLINK} accept"),
            "drop".to_owned(),
        ],
    );
    add(
        "prerouting",
        Some("type nat hook prerouting priority dstnat; policy accept;"),
        vec![format!("iifname {UPLINK} dnat to ip daddr map @{PUBLIC}")],
    );
    add(
        "postrouting",
        Some("type nat hook postrouting priority srcnat; policy accept;"),
        vec![format!("oifname {UPLINK} goto {SOURCE}")],
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Peer, PortRange, Traffic};

    fn vpc() -> Vpc {
        let http = Rule { traffic: Traffic::Tcp(PortRange::one(80)), peer: Peer::Group("sg-lb".into()) };
        let all = Rule { traffic: Traffic::All, peer: Peer::Cidr(crate::Cidr::ANY) };
        Vpc {
            id: "vpc-1".into(),
            cidrs: vec!["10.0.0.0/16".parse().unwrap()],
            subnets: vec![],
            route_tables: vec![],
            network_acls: vec![],
            security_groups: vec![
                SecurityGroup { id: "sg-app".into(), ingress: vec![http], egress: vec![all.clone()] },
                SecurityGroup { id: "sg-lb".into(), ingress: vec![], egress: vec![all] },
            ],
            local_addresses: vec![],
        }
    }

    #[test]
    fn a_combination_visits_each_group_and_then_drops() {
        let combinations = Combinations::from([(BTreeSet::from(["sg-app".to_owned(), "sg-lb".to_owned()]), 1)]);
        let table = table(&vpc(), &combinations);
        assert_eq!(table.chains["in_any_1"].rules, ["jump in-sg-app", "jump in-sg-lb", "drop"]);
        assert_eq!(table.chains["in-sg-app"].rules, ["ip saddr @m-sg-lb tcp dport 80 accept"]);
        assert_eq!(table.chains["out-sg-lb"].rules, ["goto ingress"]);
        assert_eq!(table.dispatch[&(EGRESS_OF.to_owned(), 1)], "out_any_1");
    }

    #[test]
    fn an_interface_of_a_removed_group_is_allowed_nothing() {
        let combinations = Combinations::from([(BTreeSet::from(["sg-gone".to_owned()]), 1)]);
        let table = table(&vpc(), &combinations);
        assert!(table.chains["in-sg-gone"].rules.is_empty());
        assert!(table.sets.contains_key("m-sg-gone"));
    }

    #[test]
    fn an_interface_without_groups_is_allowed_nothing() {
        let table = table(&vpc(), &Combinations::from([(BTreeSet::new(), 1)]));
        assert_eq!(table.chains["in_any_1"].rules, ["drop"]);
        assert_eq!(table.chains["out_any_1"].rules, ["drop"]);
    }
}

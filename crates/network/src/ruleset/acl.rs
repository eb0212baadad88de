//! Network ACLs as nftables: what may cross the border of a subnet. Each packet is looked at, answers like questions.
//!
//! ```text
//! acl ─ by source:      border-out-<subnet>: to the same subnet: return;  goto acl-out-<acl>
//!     ─ by destination: border-in-<subnet>:  from the same subnet: return; goto acl-in-<acl>
//!     ─ through a NAT gateway in another subnet: that one's border both ways
//! ```
//! Subnets whose ACL lets everything pass have none in the configuration, and cost nothing.

use std::collections::BTreeMap;

use super::UPLINK;
use super::routes;
use super::rule;
use super::table::Chain;
use crate::config::{AclEntry, NetworkAcl, RouteTarget, Subnet, Vpc};

/// Chain that decides; there is none where no subnet has an ACL.
pub const ACL: &str = "acl";

/// The chains of all network ACLs, by name.
pub fn chains(vpc: &Vpc) -> BTreeMap<String, Chain> {
    let mut chains = BTreeMap::new();
    let mut add = |name: String, rules: Vec<String>| {
        chains.insert(name, Chain { hook: None, rules });
    };
    let guarded: Vec<&Subnet> = vpc.subnets.iter().filter(|subnet| vpc.network_acl(&subnet.id).is_some()).collect();
    if guarded.is_empty() {
        return chains;
    }
    let mut rules = vec![];
    for (field, way, other) in [("saddr", "out", "daddr"), ("daddr", "in", "saddr")] {
        let lines: Vec<_> =
            guarded.iter().map(|subnet| format!("{} : jump border-{way}-{}", subnet.cidr, subnet.id)).collect();
        rules.push(format!("ip {field} vmap {{ {} }}", lines.join(", ")));
        for subnet in &guarded {
            let acl = subnet.network_acl.as_deref().unwrap_or_default();
            let own = format!("ip {other} {} return", subnet.cidr);
            add(format!("border-{way}-{}", subnet.id), vec![own, format!("goto acl-{way}-{acl}")]);
        }
    }
    rules.extend(through_nat(vpc));
    add(ACL.to_owned(), rules);
    for NetworkAcl { id, ingress, egress } in &vpc.network_acls {
        add(format!("acl-in-{id}"), decisions(ingress, "saddr"));
        add(format!("acl-out-{id}"), decisions(egress, "daddr"));
    }
    chains
}

fn decisions(entries: &[AclEntry], field: &str) -> Vec<String> {
    let decision = |entry: &AclEntry| {
        let verdict = if entry.allow { "return" } else { "drop" };
        format!("{}{}{verdict}", rule::network(field, entry.cidr), rule::traffic(entry.traffic))
    };
    entries.iter().map(decision).chain(["drop".to_owned()]).collect()
}

/// What goes through a NAT gateway enters and leaves the gateway's subnet, there and back.
fn through_nat(vpc: &Vpc) -> Vec<String> {
    let mut rules = vec![];
    for subnet in &vpc.subnets {
        let Some(table) = vpc.route_table(subnet) else { continue };
        for (target, ranges) in routes::targets(table) {
            let RouteTarget::Nat { subnet: gateways, .. } = &target else { continue };
            let Some(acl) = vpc.network_acl(gateways) else { continue };
            let crossed: &[&str] = if *gateways == subnet.id { &["out"] } else { &["in", "out"] };
            let back: &[&str] = if *gateways == subnet.id { &["in"] } else { &["in", "out"] };
            for way in crossed {
                let to = routes::set_of("daddr", &ranges);
                rules.push(format!("oifname {UPLINK} ip saddr {} {to}jump acl-{way}-{}", subnet.cidr, acl.id));
            }
            for way in back {
                let from = routes::set_of("saddr", &ranges);
                rules.push(format!("iifname {UPLINK} ip daddr {} {from}jump acl-{way}-{}", subnet.cidr, acl.id));
            }
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{PortRange, RouteTable, TableRoute, Traffic};

    fn subnet(id: &str, cidr: &str, acl: Option<&str>) -> Subnet {
        Subnet {
            id: id.into(),
            cidr: cidr.parse().unwrap(),
            route_table: "rtb-1".into(),
            network_acl: acl.map(str::to_owned),
        }
    }

    fn vpc(subnets: Vec<Subnet>, routes: Vec<TableRoute>) -> Vpc {
        let entry = |allow, traffic, cidr: &str| AclEntry { allow, traffic, cidr: cidr.parse().unwrap() };
        let web = Traffic::Tcp(PortRange::one(80));
        let ingress = vec![entry(false, web, "10.0.9.0/24"), entry(true, web, "0.0.0.0/0")];
        let egress = vec![entry(true, Traffic::All, "0.0.0.0/0")];
        Vpc {
            id: "vpc-1".into(),
            cidrs: vec!["10.0.0.0/16".parse().unwrap()],
            subnets,
            route_tables: vec![RouteTable { id: "rtb-1".into(), routes }],
            network_acls: vec![NetworkAcl { id: "acl-1".into(), ingress, egress }],
            security_groups: vec![],
            local_addresses: vec![],
        }
    }

    #[test]
    fn entries_decide_in_order_and_the_rest_is_dropped() {
        let vpc = vpc(vec![subnet("a", "10.0.1.0/24", Some("acl-1")), subnet("b", "10.0.2.0/24", None)], vec![]);
        let chains = chains(&vpc);
        assert_eq!(
            chains["acl-in-acl-1"].rules,
            ["ip saddr 10.0.9.0/24 tcp dport 80 drop", "tcp dport 80 return", "drop"]
        );
        assert_eq!(chains["acl-out-acl-1"].rules, ["return", "drop"]);
        assert_eq!(chains["border-in-a"].rules, ["ip saddr 10.0.1.0/24 return", "goto acl-in-acl-1"]);
        assert_eq!(
            chains[ACL].rules,
            ["ip saddr vmap { 10.0.1.0/24 : jump border-out-a }", "ip daddr vmap { 10.0.1.0/24 : jump border-in-a }"]
        );
    }

    #[test]
    fn without_an_acl_there_is_no_chain() {
        assert!(chains(&vpc(vec![subnet("a", "10.0.1.0/24", None)], vec![])).is_empty());
    }

    #[test]
    fn the_border_of_a_nat_gateways_subnet_is_crossed_both_ways() {
        let via = RouteTarget::Nat { address: [198, 18, 0, 9].into(), subnet: "a".into() };
        let routes = vec![TableRoute { to: crate::Cidr::ANY, via }];
        let subnets = vec![subnet("a", "10.0.1.0/24", Some("acl-1")), subnet("b", "10.0.2.0/24", None)];
        let rules = chains(&vpc(subnets, routes))[ACL].rules.clone();
        assert!(rules.contains(&"oifname uplink ip saddr 10.0.2.0/24 jump acl-in-acl-1".to_owned()), "{rules:?}");
        assert!(rules.contains(&"iifname uplink ip daddr 10.0.2.0/24 jump acl-out-acl-1".to_owned()), "{rules:?}");
    }
}

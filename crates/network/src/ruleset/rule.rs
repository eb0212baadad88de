//! One security-group rule as nftables text.

use super::element::members_of;
use crate::cidr::Cidr;
use crate::config::{Peer, PortRange, Rule, Traffic};

/// Which way a rule looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Matches the source; a match is final.
    Ingress,
    /// Matches the destination; a match goes on to the receiver's rules.
    Egress,
}

/// The rule's text; `None` when it can match nothing: its peer is a group that has no set (`known` says which do).
pub fn text(rule: &Rule, direction: Direction, known: impl Fn(&str) -> bool) -> Option<String> {
    let (field, verdict) = match direction {
        Direction::Ingress => ("saddr", "accept"),
        Direction::Egress => ("daddr", "goto ingress"),
    };
    let peer = match &rule.peer {
        Peer::Cidr(cidr) => network(field, *cidr),
        Peer::Group(group) if known(group) => format!("ip {field} @{} ", members_of(group)),
        Peer::Group(_) => return None,
    };
    Some(format!("{peer}{}{verdict}", traffic(rule.traffic)))
}

/// Matches what an address is of a network, or nothing where every address is.
pub fn network(field: &str, cidr: Cidr) -> String {
    if cidr == Cidr::ANY { String::new() } else { format!("ip {field} {cidr} ") }
}

/// Matches the packets a rule is about.
pub fn traffic(traffic: Traffic) -> String {
    match traffic {
        Traffic::All => String::new(),
        Traffic::Tcp(ports) => ports_of("tcp", ports),
        Traffic::Udp(ports) => ports_of("udp", ports),
        Traffic::Icmp { kind: None, .. } => "meta l4proto icmp ".to_owned(),
        Traffic::Icmp { kind: Some(kind), code: None } => format!("icmp type {kind} "),
        Traffic::Icmp { kind: Some(kind), code: Some(code) } => format!("icmp type {kind} icmp code {code} "),
        Traffic::Number(number) => format!("meta l4proto {number} "),
    }
}

fn ports_of(protocol: &str, ports: PortRange) -> String {
    match ports {
        PortRange::ALL => format!("meta l4proto {protocol} "),
        PortRange { first, last } if first == last => format!("{protocol} dport {first} "),
        PortRange { first, last } => format!("{protocol} dport {first}-{last} "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(direction: Direction, traffic: Traffic, peer: &str, expected: Option<&str>) {
        let peer = peer.parse().map_or_else(|_| Peer::Group(peer.to_owned()), Peer::Cidr);
        let known = |group: &str| group == "sg-known";
        assert_eq!(text(&Rule { traffic, peer }, direction, known).as_deref(), expected);
    }

    #[test]
    fn ingress_rules_accept_by_source() {
        let http = Traffic::Tcp(PortRange::one(80));
        check(Direction::Ingress, http, "0.0.0.0/0", Some("tcp dport 80 accept"));
        check(Direction::Ingress, http, "10.0.0.0/16", Some("ip saddr 10.0.0.0/16 tcp dport 80 accept"));
        check(Direction::Ingress, http, "sg-known", Some("ip saddr @m-sg-known tcp dport 80 accept"));
        check(Direction::Ingress, http, "sg-elsewhere", None);
        check(Direction::Ingress, Traffic::All, "0.0.0.0/0", Some("accept"));
    }

    #[test]
    fn egress_rules_go_on_to_the_receiver() {
        check(Direction::Egress, Traffic::All, "0.0.0.0/0", Some("goto ingress"));
        let range = Traffic::Udp(PortRange { first: 1000, last: 2000 });
        check(Direction::Egress, range, "10.0.1.0/24", Some("ip daddr 10.0.1.0/24 udp dport 1000-2000 goto ingress"));
    }

    #[test]
    fn protocols_without_ports() {
        check(Direction::Ingress, Traffic::Tcp(PortRange::ALL), "0.0.0.0/0", Some("meta l4proto tcp accept"));
        check(
            Direction::Ingress,
            Traffic::Icmp { kind: None, code: None },
            "0.0.0.0/0",
            Some("meta l4proto icmp accept"),
        );
        check(Direction::Ingress, Traffic::Icmp { kind: Some(8), code: None }, "0.0.0.0/0", Some("icmp type 8 accept"));
        check(
            Direction::Ingress,
            Traffic::Icmp { kind: Some(3), code: Some(4) },
            "0.0.0.0/0",
            Some("icmp type 3 icmp code 4 accept"),
        );
        check(Direction::Ingress, Traffic::Number(132), "0.0.0.0/0", Some("meta l4proto 132 accept"));
    }
}

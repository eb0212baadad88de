//! Route tables as nftables: whether a packet may leave its subnet's VPC, and as whom.
//!
//! The kernel's own routes know one way out, the uplink. Which packets may take it is decided here, for each packet, from
//! its source's subnet and its destination; so a route that goes ends even established connections, as in EC2.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use super::element::{LEAVES, PUBLIC_OF};
use super::table::Chain;
use crate::config::{RouteTable, RouteTarget, Vpc};

/// Chain that a packet to the uplink jumps to: it returns if the packet may leave.
pub const LEAVE: &str = "leave";
/// Chain that gives a packet to the uplink its public source.
pub const SOURCE: &str = "source";

/// The chains of all route tables, by name.
pub fn chains(vpc: &Vpc) -> BTreeMap<String, Chain> {
    let mut chains = BTreeMap::new();
    let mut add = |name: String, rules: Vec<String>| {
        chains.insert(name, Chain { hook: None, rules });
    };
    for table in &vpc.route_tables {
        let (mut pass, mut source) = (vec![], vec![]);
        for (target, ranges) in targets(table) {
            let to = destination(&ranges);
            match target {
                RouteTarget::Internet => {
                    pass.push(format!("{to}ip saddr @{LEAVES} return"));
                    source.push(format!("{to}snat to ip saddr map @{PUBLIC_OF}"));
                }
                RouteTarget::Nat { address, .. } => {
                    pass.push(format!("{to}return"));
                    source.push(format!("{to}snat to {address}"));
                }
                RouteTarget::Nowhere => {}
            }
        }
        pass.push("drop".to_owned());
        add(format!("{LEAVE}-{}", table.id), pass);
        add(format!("{SOURCE}-{}", table.id), source);
    }
    add(LEAVE.to_owned(), [by_subnet(vpc, LEAVE), Some("drop".to_owned())].into_iter().flatten().collect());
    add(SOURCE.to_owned(), by_subnet(vpc, SOURCE).into_iter().collect());
    chains
}

/// From the source's subnet to the chain of its table.
fn by_subnet(vpc: &Vpc, chain: &str) -> Option<String> {
    let known = vpc.subnets.iter().filter(|subnet| vpc.route_table(subnet).is_some());
    let lines: Vec<_> = known.map(|subnet| format!("{} : goto {chain}-{}", subnet.cidr, subnet.route_table)).collect();
    (!lines.is_empty()).then(|| format!("ip saddr vmap {{ {} }}", lines.join(", ")))
}

type Range = RangeInclusive<u32>;

/// What goes to each target, without overlaps: longer prefixes are cut out of shorter ones.
pub fn targets(table: &RouteTable) -> BTreeMap<RouteTarget, Vec<Range>> {
    // First address of a segment to its target; a segment lasts until the next one's first address.
    let mut segments = BTreeMap::from([(0u32, RouteTarget::Nowhere)]);
    let mut routes: Vec<_> = table.routes.iter().collect();
    routes.sort_by_key(|route| route.to.prefix());
    for route in routes {
        let first = route.to.network().to_bits();
        let last = first | u32::MAX.checked_shr(u32::from(route.to.prefix())).unwrap_or(0);
        let after = last.checked_add(1).map(|after| (after, target_at(&segments, after)));
        let covered: Vec<u32> = segments.range(first..=last).map(|(first, _)| *first).collect();
        for start in covered {
            segments.remove(&start);
        }
        segments.insert(first, route.via.clone());
        segments.extend(after);
    }
    let mut targets = BTreeMap::<RouteTarget, Vec<Range>>::new();
    let firsts: Vec<u32> = segments.keys().copied().collect();
    for (n, (first, target)) in segments.into_iter().enumerate() {
        let last = firsts.get(n + 1).map_or(u32::MAX, |next| next - 1);
        let ranges = targets.entry(target).or_default();
        match ranges.last_mut() {
            Some(previous) if previous.end().checked_add(1) == Some(first) => *previous = *previous.start()..=last,
            _ => ranges.push(first..=last),
        }
    }
    targets
}

fn target_at(segments: &BTreeMap<u32, RouteTarget>, address: u32) -> RouteTarget {
    let found = segments.range(..=address).next_back();
    found.map_or(RouteTarget::Nowhere, |(_, target)| target.clone())
}

/// Matches destinations, or nothing where every one is meant.
pub fn destination(ranges: &[Range]) -> String {
    set_of("daddr", ranges)
}

/// Matches a field to a set of ranges.
pub fn set_of(field: &str, ranges: &[Range]) -> String {
    if matches!(ranges, [all] if *all == (0..=u32::MAX)) {
        return String::new();
    }
    let text = |range: &Range| match (Ipv4Addr::from_bits(*range.start()), Ipv4Addr::from_bits(*range.end())) {
        // Before 1.0.3, nft refuses a range of one address.
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first}-{last}"),
    };
    format!("ip {field} {{ {} }} ", ranges.iter().map(text).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TableRoute;

    fn table(routes: &[(&str, RouteTarget)]) -> RouteTable {
        let routes = routes.iter().map(|(to, via)| TableRoute { to: to.parse().unwrap(), via: via.clone() });
        RouteTable { id: "rtb-1".into(), routes: routes.collect() }
    }

    fn nat() -> RouteTarget {
        RouteTarget::Nat { address: Ipv4Addr::new(198, 18, 0, 9), subnet: "subnet-1".into() }
    }

    fn check(routes: &[(&str, RouteTarget)], target: RouteTarget, expected: &str) {
        let targets = targets(&table(routes));
        assert_eq!(targets.get(&target).map_or(String::from("none"), |ranges| destination(ranges)), expected);
    }

    #[test]
    fn the_longest_prefix_wins_whatever_the_order() {
        use RouteTarget::*;
        let routes = [("10.0.0.0/8", Nowhere), ("0.0.0.0/0", Internet), ("10.1.0.0/16", nat())];
        check(&routes, Internet, "ip daddr { 0.0.0.0-9.255.255.255, 11.0.0.0-255.255.255.255 } ");
        check(&routes, nat(), "ip daddr { 10.1.0.0-10.1.255.255 } ");
        check(&routes, Nowhere, "ip daddr { 10.0.0.0-10.0.255.255, 10.2.0.0-10.255.255.255 } ");
    }

    #[test]
    fn a_default_route_matches_everything_and_two_halves_are_one() {
        use RouteTarget::*;
        check(&[("0.0.0.0/0", Internet)], Internet, "");
        check(&[("0.0.0.0/1", Internet), ("128.0.0.0/1", Internet)], Internet, "");
        check(&[], Internet, "none");
        check(&[("255.255.255.255/32", Internet)], Internet, "ip daddr { 255.255.255.255 } ");
    }

    #[test]
    fn a_longer_prefix_to_the_same_target_changes_nothing() {
        use RouteTarget::*;
        check(&[("0.0.0.0/0", nat()), ("8.8.8.8/32", nat())], nat(), "");
        check(&[("0.0.0.0/0", nat())], Internet, "none");
    }
}

//! Where packets of a subnet go: a route table with its gateways looked up, down to what a node can obey.

use longshore_types::ec2::Cidr;
use longshore_types::id::SubnetId;
use longshore_types::node::{RouteIntent, RouteVia};
use std::net::Ipv4Addr;

/// Where a route of a table leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// An internet gateway that is attached.
    Internet,
    /// A public NAT gateway that is available.
    Nat {
        address: Ipv4Addr,
        subnet: SubnetId,
        /// The table of the gateway's own subnet: networks, and whether they lead to the internet.
        onward: Vec<(Cidr, bool)>,
    },
    /// What is not there any more, and a private NAT gateway, beyond which there is no other network.
    Nowhere,
}

/// The routes of a table as a node needs them: what goes to a NAT gateway leaves only as far as the gateway's own subnet
/// has routes for it.
pub fn resolve(routes: &[(Cidr, Way)]) -> Vec<RouteIntent> {
    let mut resolved = Vec::new();
    for (to, way) in routes {
        let (address, subnet, onward) = match way {
            Way::Internet => {
                resolved.push(RouteIntent { to: *to, via: RouteVia::Internet });
                continue;
            }
            Way::Nowhere => {
                resolved.push(RouteIntent { to: *to, via: RouteVia::Nowhere });
                continue;
            }
            Way::Nat { address, subnet, onward } => (address, subnet, onward),
        };
        let via = |leaves: bool| match leaves {
            true => RouteVia::Nat { address: *address, subnet: subnet.clone() },
            false => RouteVia::Nowhere,
        };
        let leaves = longest(onward.iter().filter(|(network, _)| network.contains_cidr(*to))).unwrap_or(false);
        resolved.push(RouteIntent { to: *to, via: via(leaves) });
        // The gateway's longer prefixes count, unless this table has a route that is between the two.
        let inside = onward.iter().filter(|(network, _)| network != to && to.contains_cidr(*network));
        for (network, leaves) in inside {
            let is_between = |other: &Cidr| other != to && to.contains_cidr(*other) && other.contains_cidr(*network);
            if !routes.iter().any(|(other, _)| is_between(other)) {
                resolved.push(RouteIntent { to: *network, via: via(*leaves) });
            }
        }
    }
    resolved
}

fn longest<'a>(routes: impl Iterator<Item = &'a (Cidr, bool)>) -> Option<bool> {
    routes.max_by_key(|(network, _)| network.prefix()).map(|(_, leaves)| *leaves)
}

/// Whether an interface with these routes can reach the internet at all.
pub fn reaches_internet(routes: &[RouteIntent], has_public_address: bool) -> bool {
    routes.iter().any(|route| match route.via {
        RouteVia::Internet => has_public_address,
        RouteVia::Nat { .. } => true,
        RouteVia::Nowhere => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().expect("a network")
    }

    fn nat(onward: &[(&str, bool)]) -> Way {
        Way::Nat {
            address: Ipv4Addr::new(198, 18, 0, 9),
            subnet: "subnet-1".into(),
            onward: onward.iter().map(|(network, leaves)| (cidr(network), *leaves)).collect(),
        }
    }

    fn check(routes: &[(&str, Way)], expected: &[(&str, &str)]) {
        let routes: Vec<_> = routes.iter().map(|(to, way)| (cidr(to), way.clone())).collect();
        let resolved = resolve(&routes);
        let word = |via: &RouteVia| match via {
            RouteVia::Internet => "internet",
            RouteVia::Nat { .. } => "nat",
            RouteVia::Nowhere => "nowhere",
        };
        let seen: Vec<_> = resolved.iter().map(|route| (route.to.to_string(), word(&route.via))).collect();
        let expected: Vec<_> = expected.iter().map(|(to, via)| (to.to_string(), *via)).collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_nat_gateway_leads_as_far_as_its_own_subnet_does() {
        check(&[("0.0.0.0/0", nat(&[("0.0.0.0/0", true)]))], &[("0.0.0.0/0", "nat")]);
        check(&[("0.0.0.0/0", nat(&[]))], &[("0.0.0.0/0", "nowhere")]);
        check(&[("8.8.8.8/32", nat(&[("8.0.0.0/8", true), ("8.8.0.0/16", false)]))], &[("8.8.8.8/32", "nowhere")]);
        check(
            &[("0.0.0.0/0", nat(&[("0.0.0.0/0", true), ("9.0.0.0/8", false)]))],
            &[("0.0.0.0/0", "nat"), ("9.0.0.0/8", "nowhere")],
        );
    }

    #[test]
    fn a_longer_prefix_of_the_subnets_own_table_is_not_undone_by_the_gateways() {
        check(
            &[("0.0.0.0/0", nat(&[("0.0.0.0/0", true), ("9.9.0.0/16", true)])), ("9.0.0.0/8", Way::Nowhere)],
            &[("0.0.0.0/0", "nat"), ("9.0.0.0/8", "nowhere")],
        );
    }

    #[test]
    fn a_gateway_needs_a_public_address_and_nat_does_not() {
        let via = |via| [RouteIntent { to: cidr("0.0.0.0/0"), via }];
        assert!(reaches_internet(&via(RouteVia::Internet), true));
        assert!(!reaches_internet(&via(RouteVia::Internet), false));
        let nat = RouteVia::Nat { address: Ipv4Addr::new(198, 18, 0, 9), subnet: "subnet-1".into() };
        assert!(reaches_internet(&via(nat), false));
        assert!(!reaches_internet(&[], true));
    }
}

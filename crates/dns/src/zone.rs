//! The names of a VPC, ready to be asked: given ones, and those generated from addresses.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;

use hickory_proto::rr::Name;

use crate::config::{Block, DnsConfig};

/// Generated names never change, but their interfaces come and go.
const GENERATED_TTL_SECONDS: u32 = 60;

/// A configuration, parsed. Lookups ignore case.
#[derive(Clone, Debug, Default)]
pub struct Names {
    pub(crate) generation: u64,
    zones: Vec<Name>,
    hosts: HashMap<Name, (Vec<Ipv4Addr>, u32)>,
    /// Names between a host and its zone: they exist, and have nothing.
    parents: HashSet<Name>,
    private_domain: Option<Name>,
    blocks: Vec<Block>,
}

/// A text of the configuration that is not a domain name. It is left out; the rest holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadName(pub String);

/// What there is under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A host with these addresses, perhaps none. `zone` is the domain we answer for.
    Addresses { zone: Name, addresses: &'a [Ipv4Addr], ttl_seconds: u32 },
    /// A host of one generated address.
    Generated { zone: Name, address: Ipv4Addr, ttl_seconds: u32 },
    /// The name of a reverse address.
    Pointer { zone: Name, target: Name, ttl_seconds: u32 },
    /// The top of a domain of ours.
    Apex { zone: Name },
    /// It exists, and has nothing.
    Empty { zone: Name },
    /// It does not exist, and we would know.
    Missing { zone: Name },
    /// Not ours to say.
    Elsewhere,
}

impl Names {
    /// Parses a configuration, and tells which names in it are none.
    pub fn new(config: &DnsConfig) -> (Names, Vec<BadName>) {
        let mut names = Names { generation: config.generation, blocks: config.vpc_blocks.clone(), ..Names::default() };
        let mut bad = vec![];
        let mut parse = |text: &str| match domain(text) {
            Some(name) => Some(name),
            None => {
                bad.push(BadName(text.to_owned()));
                None
            }
        };
        names.zones = config.zones.iter().filter_map(|text| parse(text)).collect();
        if !config.private_domain.is_empty() {
            names.private_domain = parse(&config.private_domain);
        }
        for (text, host) in &config.hosts {
            if let Some(name) = parse(text) {
                names.hosts.insert(name, (host.addresses.clone(), host.ttl_seconds));
            }
        }
        let mut parents = HashSet::new();
        for name in names.hosts.keys() {
            if let Some(zone) = names.zone_of(name) {
                let mut parent = name.base_name();
                while zone.zone_of(&parent) && parent != *zone && parents.insert(parent.clone()) {
                    parent = parent.base_name();
                }
            }
        }
        names.parents = parents;
        (names, bad)
    }

    /// Looks a name up.
    pub fn find(&self, name: &Name) -> Found<'_> {
        if let Some((addresses, ttl_seconds)) = self.hosts.get(name) {
            // Outside of our zones we answer for the name alone.
            let zone = self.zone_of(name).unwrap_or(name).clone();
            return Found::Addresses { zone, addresses, ttl_seconds: *ttl_seconds };
        }
        if let Some(found) = self.generated(name).or_else(|| self.reverse(name)) {
            return found;
        }
        if name.is_localhost() {
            return Found::Generated {
                zone: name.clone(),
                address: Ipv4Addr::LOCALHOST,
                ttl_seconds: GENERATED_TTL_SECONDS,
            };
        }
        match self.zone_of(name).cloned() {
            Some(zone) if zone == *name => Found::Apex { zone },
            Some(zone) if self.parents.contains(name) => Found::Empty { zone },
            Some(zone) => Found::Missing { zone },
            None => Found::Elsewhere,
        }
    }

    /// The innermost zone that holds the name.
    fn zone_of(&self, name: &Name) -> Option<&Name> {
        self.zones.iter().filter(|zone| zone.zone_of(name)).max_by_key(|zone| zone.num_labels())
    }

    /// `ip-10-0-1-5.<private domain>`.
    fn generated(&self, name: &Name) -> Option<Found<'static>> {
        let zone = self.private_domain.as_ref()?;
        if !zone.zone_of(name) {
            return None;
        }
        let zone = zone.clone();
        if *name == zone {
            return Some(Found::Apex { zone });
        }
        let address = (name.base_name() == zone).then(|| name.iter().next().and_then(address_of_label)).flatten();
        Some(match address.filter(|address| self.contains(*address)) {
            Some(address) => Found::Generated { zone, address, ttl_seconds: GENERATED_TTL_SECONDS },
            None => Found::Missing { zone },
        })
    }

    /// `5.1.0.10.in-addr.arpa`. The reverse names of other blocks are for others to know.
    fn reverse(&self, name: &Name) -> Option<Found<'static>> {
        let domain = self.private_domain.as_ref()?;
        let labels: Vec<&[u8]> = name.iter().collect();
        let [d, c, b, a, in_addr, arpa] = labels[..] else {
            return None;
        };
        if !in_addr.eq_ignore_ascii_case(b"in-addr") || !arpa.eq_ignore_ascii_case(b"arpa") {
            return None;
        }
        let address = Ipv4Addr::new(octet(a)?, octet(b)?, octet(c)?, octet(d)?);
        if !self.contains(address) {
            return None;
        }
        let target = domain.prepend_label(label_of_address(address)).ok()?;
        Some(Found::Pointer { zone: name.base_name(), target, ttl_seconds: GENERATED_TTL_SECONDS })
    }

    fn contains(&self, address: Ipv4Addr) -> bool {
        self.blocks.iter().any(|block| block.contains(address))
    }
}

fn domain(text: &str) -> Option<Name> {
    let mut name = Name::from_ascii(text).ok()?;
    name.set_fqdn(true);
    // The root is everybody's.
    (!name.is_root()).then_some(name)
}

fn label_of_address(address: Ipv4Addr) -> String {
    format!("ip-{}", address.to_string().replace('.', "-"))
}

fn address_of_label(label: &[u8]) -> Option<Ipv4Addr> {
    let (prefix, rest) = label.split_at_checked(3)?;
    if !prefix.eq_ignore_ascii_case(b"ip-") {
        return None;
    }
    let mut octets = rest.split(|byte| *byte == b'-').map(octet);
    let address = [octets.next()??, octets.next()??, octets.next()??, octets.next()??];
    octets.next().is_none().then_some(address.into())
}

/// A number from 0 to 255 in its one canonical form.
fn octet(text: &[u8]) -> Option<u8> {
    let canonical = matches!(text, [b'0'] | [b'1'..=b'9', ..]) && text.iter().all(u8::is_ascii_digit);
    if canonical { std::str::from_utf8(text).ok()?.parse().ok() } else { None }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::config::Host;

    pub(crate) fn names() -> Names {
        let host = |addresses: &[&str]| Host {
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            ttl_seconds: 60,
        };
        let config = DnsConfig {
            generation: 7,
            zones: vec!["elb.example".into(), "inner.elb.example".into()],
            hosts: [
                ("web-1.us-east-1.elb.example".to_owned(), host(&["10.0.1.4", "10.0.2.4", "10.0.3.4"])),
                ("empty.elb.example".to_owned(), host(&[])),
                ("a.inner.elb.example".to_owned(), host(&["10.0.1.9"])),
                ("registry.outside.test".to_owned(), host(&["10.0.1.8"])),
                ("not a name..".to_owned(), host(&[])),
            ]
            .into(),
            private_domain: "ec2.internal".into(),
            vpc_blocks: vec![Block { address: Ipv4Addr::new(10, 0, 0, 0), prefix: 16 }],
        };
        let (names, bad) = Names::new(&config);
        assert_eq!(bad, [BadName("not a name..".into())]);
        names
    }

    fn check(name: &str, expected: &str) {
        let mut name = Name::from_ascii(name).unwrap();
        name.set_fqdn(true);
        let found = match names().find(&name) {
            Found::Addresses { zone, addresses, .. } => format!("{addresses:?} in {zone}"),
            Found::Generated { zone, address, .. } => format!("{address} in {zone}"),
            Found::Pointer { target, .. } => target.to_string(),
            Found::Apex { zone } => format!("apex {zone}"),
            Found::Empty { zone } => format!("empty in {zone}"),
            Found::Missing { zone } => format!("missing in {zone}"),
            Found::Elsewhere => "elsewhere".to_owned(),
        };
        assert_eq!(found, expected, "{name}");
    }

    #[test]
    fn given_names_are_found_whatever_their_case() {
        check("web-1.us-east-1.elb.example", "[10.0.1.4, 10.0.2.4, 10.0.3.4] in elb.example.");
        check("WEB-1.us-EAST-1.ELB.example", "[10.0.1.4, 10.0.2.4, 10.0.3.4] in elb.example.");
        check("registry.outside.test", "[10.0.1.8] in registry.outside.test.");
        check("empty.elb.example", "[] in elb.example.");
        check("a.inner.elb.example", "[10.0.1.9] in inner.elb.example.");
    }

    #[test]
    fn zones_know_what_does_not_exist() {
        check("web-2.us-east-1.elb.example", "missing in elb.example.");
        check("us-east-1.elb.example", "empty in elb.example.");
        check("elb.example", "apex elb.example.");
        check("b.inner.elb.example", "missing in inner.elb.example.");
        check("below.registry.outside.test", "elsewhere");
        check("outside.test", "elsewhere");
        check("example.com", "elsewhere");
        check(".", "elsewhere");
    }

    #[test]
    fn addresses_of_the_vpc_have_names_both_ways() {
        check("ip-10-0-1-5.ec2.internal", "10.0.1.5 in ec2.internal.");
        check("IP-10-0-1-5.EC2.internal", "10.0.1.5 in ec2.internal.");
        check("5.1.0.10.in-addr.arpa", "ip-10-0-1-5.ec2.internal.");
        check("5.1.0.10.IN-ADDR.arpa", "ip-10-0-1-5.ec2.internal.");
        check("ec2.internal", "apex ec2.internal.");
        check("localhost", "127.0.0.1 in localhost.");
    }

    #[test]
    fn other_addresses_have_none() {
        for name in [
            "ip-10-1-1-5",
            "ip-10-0-1-256",
            "ip-10-0-1",
            "ip-10-0-1-5-6",
            "ip-10-0-01-5",
            "ip-10-0-1-",
            "ip",
            "x.ip-10-0-1-5",
        ] {
            check(&format!("{name}.ec2.internal"), "missing in ec2.internal.");
        }
        check("5.1.1.10.in-addr.arpa", "elsewhere");
        check("1.0.10.in-addr.arpa", "elsewhere");
        check("05.1.0.10.in-addr.arpa", "elsewhere");
    }
}

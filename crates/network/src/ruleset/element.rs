//! What one address means to a VPC's table.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;

use crate::config::{Eni, Subnet};

/// Set of addresses to combination numbers.
pub const MEMBERS: &str = "members";
/// Map of public to private addresses, for what comes in.
pub const PUBLIC: &str = "public";
/// Map of private to public addresses, for what goes out.
pub const PUBLIC_OF: &str = "public-of";
/// Set of private addresses that leave by the VPC's own uplink address (NAT gateway).
pub const NAT: &str = "nat-members";
/// Set of private addresses that may leave at all.
pub const LEAVES: &str = "leaves";

/// Name of the set of a group's members.
pub fn members_of(group: &str) -> String {
    format!("m-{group}")
}

/// An element of a set or map, keyed by an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Element {
    pub set: String,
    pub key: Ipv4Addr,
    pub value: Value,
}

/// What a key maps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    None,
    Mark(u32),
    Address(Ipv4Addr),
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            Value::None => write!(f, "{}", self.key),
            Value::Mark(mark) => write!(f, "{} : {mark}", self.key),
            Value::Address(address) => write!(f, "{} : {address}", self.key),
        }
    }
}

/// Elements of an address that belongs to `groups`, which together are combination `number`.
pub fn of_member(address: Ipv4Addr, groups: &BTreeSet<String>, number: u32) -> Vec<Element> {
    let mut elements = vec![Element { set: MEMBERS.to_owned(), key: address, value: Value::Mark(number) }];
    elements.extend(groups.iter().map(|group| Element { set: members_of(group), key: address, value: Value::None }));
    elements
}

/// Elements of an interface, in canonical order. `subnet` is unknown when the configuration dropped it: the
/// interface then stays inside.
pub fn of_eni(eni: &Eni, subnet: Option<&Subnet>, number: u32) -> Vec<Element> {
    let mut elements = of_member(eni.address, &eni.security_groups, number);
    let mut add = |set: &str, key, value| elements.push(Element { set: set.to_owned(), key, value });
    match (public_address(eni, subnet), subnet) {
        (Some(public), _) => {
            add(PUBLIC, public, Value::Address(eni.address));
            add(PUBLIC_OF, eni.address, Value::Address(public));
            add(LEAVES, eni.address, Value::None);
        }
        (None, Some(subnet)) if subnet.route_to_nat => {
            add(NAT, eni.address, Value::None);
            add(LEAVES, eni.address, Value::None);
        }
        _ => {}
    }
    elements.sort();
    elements
}

/// The public address that is in effect: a subnet without a route to the internet has no use of one.
pub fn public_address(eni: &Eni, subnet: Option<&Subnet>) -> Option<Ipv4Addr> {
    eni.public_address.filter(|_| subnet.is_some_and(|subnet| subnet.route_to_internet))
}

/// What to remove from and add to `old` to have `new`, both sorted.
pub fn difference(old: &[Element], new: &[Element]) -> (Vec<Element>, Vec<Element>) {
    let only = |these: &[Element], those: &[Element]| {
        these.iter().filter(|element| those.binary_search(element).is_err()).cloned().collect()
    };
    (only(old, new), only(new, old))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eni() -> Eni {
        Eni {
            id: "eni-1".into(),
            address: Ipv4Addr::new(10, 0, 1, 5),
            subnet: "subnet-1".into(),
            mac: "0a:58:0a:00:01:05".parse().unwrap(),
            security_groups: BTreeSet::from(["sg-1".to_owned(), "sg-2".to_owned()]),
            public_address: Some(Ipv4Addr::new(198, 18, 0, 5)),
        }
    }

    fn check(route_to_internet: bool, route_to_nat: bool, public: bool, expected: &[&str]) {
        let subnet =
            Subnet { id: "subnet-1".into(), cidr: "10.0.1.0/24".parse().unwrap(), route_to_internet, route_to_nat };
        let mut eni = eni();
        eni.public_address = eni.public_address.filter(|_| public);
        let elements: Vec<_> =
            of_eni(&eni, Some(&subnet), 7).iter().map(|element| format!("{} {element}", element.set)).collect();
        let groups = ["m-sg-1 10.0.1.5", "m-sg-2 10.0.1.5", "members 10.0.1.5 : 7"];
        let mut expected: Vec<_> = expected.iter().chain(&groups).copied().collect();
        expected.sort_unstable();
        assert_eq!(elements, expected);
    }

    #[test]
    fn a_public_interface_is_translated_both_ways() {
        check(
            true,
            false,
            true,
            &["leaves 10.0.1.5", "public 198.18.0.5 : 10.0.1.5", "public-of 10.0.1.5 : 198.18.0.5"],
        );
    }

    #[test]
    fn a_private_interface_leaves_only_through_a_nat_gateway() {
        check(true, false, false, &[]);
        check(false, false, true, &[]);
        check(false, true, false, &["leaves 10.0.1.5", "nat-members 10.0.1.5"]);
        check(false, true, true, &["leaves 10.0.1.5", "nat-members 10.0.1.5"]);
    }

    #[test]
    fn a_group_change_touches_only_what_differs() {
        let old = of_eni(&eni(), None, 7);
        let mut changed = eni();
        changed.security_groups.remove("sg-2");
        let (remove, add) = difference(&old, &of_eni(&changed, None, 8));
        let names = |elements: &[Element]| {
            elements.iter().map(|element| format!("{} {element}", element.set)).collect::<Vec<_>>()
        };
        assert_eq!(names(&remove), ["m-sg-2 10.0.1.5", "members 10.0.1.5 : 7"]);
        assert_eq!(names(&add), ["members 10.0.1.5 : 8"]);
    }
}

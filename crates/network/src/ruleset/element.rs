//! What one address means to a VPC's table.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;

use crate::config::{Eni, Vpc};

/// Set of addresses to combination numbers.
pub const MEMBERS: &str = "members";
/// Map of public to private addresses, for what comes in.
pub const PUBLIC: &str = "public";
/// Map of private to public addresses, for what goes out.
pub const PUBLIC_OF: &str = "public-of";
/// Set of private addresses that have a public one, so that an internet gateway lets them out.
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

/// Elements of an interface, in canonical order.
pub fn of_eni(eni: &Eni, vpc: &Vpc, number: u32) -> Vec<Element> {
    let mut elements = of_member(eni.address, &eni.security_groups, number);
    let mut add = |set: &str, key, value| elements.push(Element { set: set.to_owned(), key, value });
    if let Some(public) = public_address(eni, vpc) {
        add(PUBLIC, public, Value::Address(eni.address));
        add(PUBLIC_OF, eni.address, Value::Address(public));
        add(LEAVES, eni.address, Value::None);
    }
    elements.sort();
    elements
}

/// The public address that is in effect: a subnet without a route to the internet, or that the configuration dropped,
/// has no use of one.
pub fn public_address(eni: &Eni, vpc: &Vpc) -> Option<Ipv4Addr> {
    eni.public_address.filter(|_| vpc.subnet(&eni.subnet).is_some_and(|subnet| vpc.reaches_internet(subnet)))
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
    use crate::config::{RouteTable, RouteTarget, Subnet, TableRoute};

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

    fn vpc(via: RouteTarget) -> Vpc {
        let cidr: crate::Cidr = "10.0.1.0/24".parse().unwrap();
        let table = RouteTable { id: "rtb-1".into(), routes: vec![TableRoute { to: crate::Cidr::ANY, via }] };
        let (id, route_table) = ("subnet-1".into(), "rtb-1".into());
        Vpc {
            id: "vpc-1".into(),
            cidrs: vec![cidr],
            subnets: vec![Subnet { id, cidr, route_table, network_acl: None }],
            route_tables: vec![table],
            network_acls: vec![],
            security_groups: vec![],
            local_addresses: vec![],
        }
    }

    fn check(via: RouteTarget, public: bool, expected: &[&str]) {
        let mut eni = eni();
        eni.public_address = eni.public_address.filter(|_| public);
        let elements: Vec<_> =
            of_eni(&eni, &vpc(via), 7).iter().map(|element| format!("{} {element}", element.set)).collect();
        let groups = ["m-sg-1 10.0.1.5", "m-sg-2 10.0.1.5", "members 10.0.1.5 : 7"];
        let mut expected: Vec<_> = expected.iter().chain(&groups).copied().collect();
        expected.sort_unstable();
        assert_eq!(elements, expected);
    }

    #[test]
    fn a_public_address_is_translated_both_ways_where_a_route_leads_to_the_internet() {
        let translated = ["leaves 10.0.1.5", "public 198.18.0.5 : 10.0.1.5", "public-of 10.0.1.5 : 198.18.0.5"];
        check(RouteTarget::Internet, true, &translated);
        check(RouteTarget::Internet, false, &[]);
        check(RouteTarget::Nat { address: Ipv4Addr::new(198, 18, 0, 9), subnet: "subnet-1".into() }, true, &[]);
        check(RouteTarget::Nowhere, true, &[]);
    }

    #[test]
    fn a_group_change_touches_only_what_differs() {
        let old = of_eni(&eni(), &vpc(RouteTarget::Nowhere), 7);
        let mut changed = eni();
        changed.security_groups.remove("sg-2");
        let (remove, add) = difference(&old, &of_eni(&changed, &vpc(RouteTarget::Nowhere), 8));
        let names = |elements: &[Element]| {
            elements.iter().map(|element| format!("{} {element}", element.set)).collect::<Vec<_>>()
        };
        assert_eq!(names(&remove), ["m-sg-2 10.0.1.5", "members 10.0.1.5 : 7"]);
        assert_eq!(names(&add), ["members 10.0.1.5 : 8"]);
    }
}

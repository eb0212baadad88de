//! Permissions: the rules of a request, in the two forms that EC2 takes, and as they are sent.

use super::error;
use super::view::some;
use super::{prefix_lists, security_groups};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2 as wire;
use longshore_store::Snapshot;
use longshore_types::Scope;
use longshore_types::ec2::{RulePeer, SecurityGroup, SecurityGroupRule};
use std::net::Ipv6Addr;

/// One rule without an id: what two rules are compared by, and its description.
#[derive(Clone, Debug, PartialEq)]
pub struct Permission {
    pub protocol: String,
    pub from_port: i32,
    pub to_port: i32,
    pub peer: RulePeer,
    pub description: Option<String>,
}

/// The parameters of the old form: one permission with one peer.
#[derive(Clone, Debug, Default)]
pub struct Flat {
    pub protocol: Option<String>,
    pub from_port: Option<i32>,
    pub to_port: Option<i32>,
    pub cidr: Option<String>,
    pub source_group_name: Option<String>,
    pub source_group_owner: Option<String>,
}

impl Flat {
    fn is_empty(&self) -> bool {
        self.protocol.is_none()
            && self.from_port.is_none()
            && self.to_port.is_none()
            && self.cidr.is_none()
            && self.source_group_name.is_none()
            && self.source_group_owner.is_none()
    }
}

/// All permissions of a request for `group`, each with one peer.
pub fn parse(
    state: &Snapshot,
    cx: &Cx,
    group: &SecurityGroup,
    flat: Flat,
    permissions: Option<Vec<wire::IpPermission>>,
) -> Result<Vec<Permission>, AwsError> {
    let permissions = match (flat.is_empty(), permissions.unwrap_or_default()) {
        (true, permissions) if permissions.is_empty() => return Err(error::missing_parameter("ipPermissions")),
        (true, permissions) => permissions,
        (false, permissions) if permissions.is_empty() => vec![from_flat(flat)],
        (false, _) => {
            let message = "The parameter ipPermissions cannot be used with the parameters of a single permission";
            return Err(error::invalid_combination(message));
        }
    };
    let mut parsed = Vec::new();
    for permission in permissions {
        parse_one(state, cx, group, permission, &mut parsed)?;
    }
    for (n, permission) in parsed.iter().enumerate() {
        if parsed[..n].iter().any(|other| other.same_rule(permission)) {
            return Err(error::invalid_parameter("The same permission must not appear multiple times"));
        }
    }
    Ok(parsed)
}

fn from_flat(flat: Flat) -> wire::IpPermission {
    // The old form with a source group alone means all TCP, UDP and ICMP; in a VPC, where protocols are explicit, that
    // is everything.
    let protocol = match (&flat.protocol, &flat.source_group_name) {
        (None, Some(_)) => Some("-1".to_owned()),
        (protocol, _) => protocol.clone(),
    };
    wire::IpPermission {
        ip_protocol: protocol,
        from_port: flat.from_port,
        to_port: flat.to_port,
        ip_ranges: flat.cidr.map(|cidr| vec![wire::IpRange { cidr_ip: Some(cidr), description: None }]),
        user_id_group_pairs: flat.source_group_name.map(|name| {
            vec![wire::UserIdGroupPair {
                group_name: Some(name),
                user_id: flat.source_group_owner,
                ..Default::default()
            }]
        }),
        ..Default::default()
    }
}

fn parse_one(
    state: &Snapshot,
    cx: &Cx,
    group: &SecurityGroup,
    permission: wire::IpPermission,
    parsed: &mut Vec<Permission>,
) -> Result<(), AwsError> {
    let protocol = protocol(permission.ip_protocol.as_deref())?;
    let (from_port, to_port) = ports(&protocol, permission.from_port, permission.to_port)?;
    let before = parsed.len();
    let mut add = |peer, description: Option<String>| {
        check_description(description.as_deref())?;
        let protocol = protocol.clone();
        parsed.push(Permission { protocol, from_port, to_port, peer, description });
        Ok::<(), AwsError>(())
    };
    for range in permission.ip_ranges.unwrap_or_default() {
        let text = range.cidr_ip.unwrap_or_default();
        add(RulePeer::Cidr(text.parse().map_err(|_| malformed_cidr(&text))?), range.description)?;
    }
    for range in permission.ipv6_ranges.unwrap_or_default() {
        let text = range.cidr_ipv6.unwrap_or_default();
        add(RulePeer::CidrV6(canonical_v6(&text).ok_or_else(|| malformed_cidr(&text))?), range.description)?;
    }
    for pair in permission.user_id_group_pairs.unwrap_or_default() {
        let description = pair.description.clone();
        add(RulePeer::Group(peer_group(state, cx, group, pair)?), description)?;
    }
    for list in permission.prefix_list_ids.unwrap_or_default() {
        let id = list.prefix_list_id.unwrap_or_default();
        add(RulePeer::PrefixList(prefix_lists::find(state, cx, &id)?.id.clone()), list.description)?;
    }
    if parsed.len() == before {
        return Err(error::missing_parameter("ipRanges, ipv6Ranges, prefixListIds or userIdGroupPairs"));
    }
    Ok(())
}

fn peer_group(
    state: &Snapshot,
    cx: &Cx,
    group: &SecurityGroup,
    pair: wire::UserIdGroupPair,
) -> Result<longshore_types::id::SecurityGroupId, AwsError> {
    error::refuse("VpcPeeringConnectionId", &pair.vpc_peering_connection_id)?;
    let elsewhere = || {
        AwsError::new("InvalidGroup.NotFound", "You have specified two resources that belong to different networks.")
    };
    if pair.user_id.is_some_and(|user| user != cx.scope.account.as_str()) {
        return Err(elsewhere());
    }
    let peer = match (pair.group_id.as_deref(), pair.group_name.as_deref()) {
        (Some(id), _) => security_groups::by_id(state, cx, id)?,
        (None, name) => security_groups::named(state, cx, None, name)?,
    };
    if peer.vpc == group.vpc { Ok(peer.id.clone()) } else { Err(elsewhere()) }
}

/// EC2's spelling of a protocol: names for those that have ports or types, numbers for the others.
fn protocol(given: Option<&str>) -> Result<String, AwsError> {
    let Some(given) = given else {
        let message = "Invalid value 'null' for protocol. VPC security group rules must specify protocols explicitly.";
        return Err(error::invalid_parameter(message));
    };
    let unknown = || error::invalid_parameter(format!("Invalid value '{given}' for IP protocol. Unknown protocol."));
    Ok(match given.to_ascii_lowercase().as_str() {
        "-1" => "-1".to_owned(),
        "tcp" | "6" => "tcp".to_owned(),
        "udp" | "17" => "udp".to_owned(),
        "icmp" | "1" => "icmp".to_owned(),
        "icmpv6" | "58" => "icmpv6".to_owned(),
        number => number.parse::<u8>().map_err(|_| unknown())?.to_string(),
    })
}

/// Ports or ICMP type and code; -1 and -1 for protocols that have neither.
fn ports(protocol: &str, from: Option<i32>, to: Option<i32>) -> Result<(i32, i32), AwsError> {
    let both = |family: &str| {
        let message = format!("Invalid value 'Must specify both from and to ports with {family}.' for portRange.");
        from.zip(to).ok_or_else(|| error::invalid_parameter(message))
    };
    match protocol {
        "tcp" | "udp" => {
            let (from, to) = both("TCP/UDP")?;
            for (end, port) in [("from", from), ("to", to)] {
                if !(0..=65535).contains(&port) {
                    return Err(error::invalid_parameter(format!("TCP/UDP ({end}) port ({port}) out of range")));
                }
            }
            if from > to {
                return Err(error::invalid_parameter(format!("Invalid TCP/UDP port range ({from}:{to})")));
            }
            Ok((from, to))
        }
        "icmp" | "icmpv6" => {
            // For ICMPv6 the types may be left out, and are all then.
            let (kind, code) =
                if protocol == "icmpv6" { (from.unwrap_or(-1), to.unwrap_or(-1)) } else { both("ICMP")? };
            for (name, value) in [("type", kind), ("code", code)] {
                if !(-1..=255).contains(&value) {
                    return Err(error::invalid_parameter(format!("ICMP {name} ({value}) out of range")));
                }
            }
            if kind == -1 && code != -1 {
                return Err(error::invalid_parameter(format!("ICMP code ({code}) must be -1 when the type is -1")));
            }
            Ok((kind, code))
        }
        _ => Ok((-1, -1)),
    }
}

fn malformed_cidr(text: &str) -> AwsError {
    error::invalid_parameter(format!("CIDR block {text} is malformed"))
}

/// An IPv6 network with zero host bits; `None` if the text is not a network.
pub fn canonical_v6(text: &str) -> Option<String> {
    let (address, prefix) = text.split_once('/')?;
    let address: Ipv6Addr = address.parse().ok()?;
    let prefix: u32 = prefix.parse().ok().filter(|prefix| *prefix <= 128)?;
    let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
    Some(format!("{}/{prefix}", Ipv6Addr::from(u128::from(address) & mask)))
}

pub fn check_description(description: Option<&str>) -> Result<(), AwsError> {
    let description = description.unwrap_or_default();
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b" ._-:/()#,@[]+=&;{}!$*".contains(&b);
    if description.len() > 255 || !description.bytes().all(is_allowed) {
        return Err(error::invalid_parameter(
            "Invalid rule description. Valid descriptions are strings less than 256 characters from the following set: \
             a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*",
        ));
    }
    Ok(())
}

impl Permission {
    /// The same rule, whatever is written about it.
    pub fn same_rule(&self, other: &Self) -> bool {
        (&self.protocol, self.from_port, self.to_port, &self.peer)
            == (&other.protocol, other.from_port, other.to_port, &other.peer)
    }

    pub fn is(&self, rule: &SecurityGroupRule) -> bool {
        (&self.protocol, self.from_port, self.to_port, &self.peer)
            == (&rule.protocol, rule.from_port, rule.to_port, &rule.peer)
    }

    /// `peer: 0.0.0.0/0, TCP, from port: 80, to port: 80, ALLOW`, as errors name a rule.
    pub fn describe(&self) -> String {
        let peer = match &self.peer {
            RulePeer::Cidr(cidr) => cidr.to_string(),
            RulePeer::CidrV6(cidr) => cidr.clone(),
            RulePeer::Group(id) => id.to_string(),
            RulePeer::PrefixList(id) => id.to_string(),
        };
        let number = |n: i32| if n == -1 { "ALL".to_owned() } else { n.to_string() };
        let what = match self.protocol.as_str() {
            "tcp" | "udp" => format!(
                "{}, from port: {}, to port: {}",
                self.protocol.to_ascii_uppercase(),
                self.from_port,
                self.to_port
            ),
            "icmp" | "icmpv6" => format!(
                "{}, type: {}, code: {}",
                self.protocol.to_ascii_uppercase(),
                number(self.from_port),
                number(self.to_port)
            ),
            "-1" => "ALL".to_owned(),
            other => other.to_owned(),
        };
        format!("peer: {peer}, {what}, ALLOW")
    }
}

impl From<&SecurityGroupRule> for Permission {
    fn from(rule: &SecurityGroupRule) -> Self {
        Self {
            protocol: rule.protocol.clone(),
            from_port: rule.from_port,
            to_port: rule.to_port,
            peer: rule.peer.clone(),
            description: rule.description.clone(),
        }
    }
}

/// Permissions as they are sent: those that differ in nothing but their peer are one.
pub fn view(scope: &Scope, permissions: impl Iterator<Item = Permission>) -> Vec<wire::IpPermission> {
    let mut sent: Vec<wire::IpPermission> = Vec::new();
    for permission in permissions {
        // Protocols without ports or types have none in the answer.
        let has_ports = matches!(permission.protocol.as_str(), "tcp" | "udp" | "icmp" | "icmpv6");
        let (from_port, to_port) = (has_ports.then_some(permission.from_port), has_ports.then_some(permission.to_port));
        let is_same = |one: &wire::IpPermission| {
            one.ip_protocol.as_ref() == Some(&permission.protocol)
                && (one.from_port, one.to_port) == (from_port, to_port)
        };
        let index = sent.iter().position(is_same).unwrap_or_else(|| {
            sent.push(wire::IpPermission {
                ip_protocol: Some(permission.protocol.clone()),
                from_port,
                to_port,
                user_id_group_pairs: Some(Vec::new()),
                ip_ranges: Some(Vec::new()),
                ipv6_ranges: Some(Vec::new()),
                prefix_list_ids: Some(Vec::new()),
            });
            sent.len() - 1
        });
        let (one, description) = (&mut sent[index], permission.description);
        match permission.peer {
            RulePeer::Cidr(cidr) => {
                one.ip_ranges.get_or_insert_default().push(wire::IpRange { cidr_ip: some(cidr), description });
            }
            RulePeer::CidrV6(cidr) => {
                let range = wire::Ipv6Range { cidr_ipv6: Some(cidr), description };
                one.ipv6_ranges.get_or_insert_default().push(range);
            }
            RulePeer::PrefixList(id) => {
                let list = wire::PrefixListId { prefix_list_id: some(id), description };
                one.prefix_list_ids.get_or_insert_default().push(list);
            }
            RulePeer::Group(id) => one.user_id_group_pairs.get_or_insert_default().push(wire::UserIdGroupPair {
                group_id: some(id),
                user_id: some(&scope.account),
                description,
                ..Default::default()
            }),
        }
    }
    sent
}

/// The fields of a peer, of which one is set.
#[derive(Default)]
pub struct PeerFields {
    pub cidr_ipv4: Option<String>,
    pub cidr_ipv6: Option<String>,
    pub group_id: Option<String>,
    pub prefix_list_id: Option<String>,
}

pub fn peer_fields(peer: &RulePeer) -> PeerFields {
    match peer {
        RulePeer::Cidr(cidr) => PeerFields { cidr_ipv4: some(cidr), ..Default::default() },
        RulePeer::CidrV6(cidr) => PeerFields { cidr_ipv6: Some(cidr.clone()), ..Default::default() },
        RulePeer::Group(id) => PeerFields { group_id: some(id), ..Default::default() },
        RulePeer::PrefixList(id) => PeerFields { prefix_list_id: some(id), ..Default::default() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_have_one_spelling() {
        for (given, expected) in
            [("TCP", "tcp"), ("6", "tcp"), ("17", "udp"), ("1", "icmp"), ("58", "icmpv6"), ("-1", "-1"), ("50", "50")]
        {
            assert_eq!(protocol(Some(given)).expect("a protocol"), expected);
        }
        assert_eq!(
            protocol(Some("all")).expect_err("not EC2's word").message,
            "Invalid value 'all' for IP protocol. Unknown protocol."
        );
        assert!(protocol(None).is_err());
        assert!(protocol(Some("256")).is_err());
    }

    #[test]
    fn ports_are_checked_in_the_words_of_ec2() {
        assert_eq!(ports("tcp", Some(0), Some(65535)), Ok((0, 65535)));
        assert_eq!(ports("icmp", Some(-1), Some(-1)), Ok((-1, -1)));
        assert_eq!(ports("icmpv6", None, None), Ok((-1, -1)));
        assert_eq!(ports("-1", Some(80), Some(80)), Ok((-1, -1)));
        for (protocol, from, to, message) in [
            ("tcp", Some(80), None, "Invalid value 'Must specify both from and to ports with TCP/UDP.' for portRange."),
            ("icmp", None, None, "Invalid value 'Must specify both from and to ports with ICMP.' for portRange."),
            ("tcp", Some(-1), Some(80), "TCP/UDP (from) port (-1) out of range"),
            ("udp", Some(80), Some(65536), "TCP/UDP (to) port (65536) out of range"),
            ("tcp", Some(443), Some(80), "Invalid TCP/UDP port range (443:80)"),
            ("icmp", Some(8), Some(65535), "ICMP code (65535) out of range"),
        ] {
            assert_eq!(ports(protocol, from, to).expect_err(message).message, message);
        }
    }

    #[test]
    fn ipv6_networks_are_canonical() {
        assert_eq!(canonical_v6("::/0").as_deref(), Some("::/0"));
        assert_eq!(canonical_v6("2001:DB8::1/64").as_deref(), Some("2001:db8::/64"));
        assert_eq!(canonical_v6("2001:db8::/129"), None);
        assert_eq!(canonical_v6("10.0.0.0/8"), None);
    }
}

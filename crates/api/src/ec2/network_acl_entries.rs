//! CreateNetworkAclEntry, ReplaceNetworkAclEntry, DeleteNetworkAclEntry.

use super::{error, network_acls, permission};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::*;
use longshore_store::Tx;
use longshore_types::ec2 as stored;
use longshore_types::ec2::AclNetwork;
use longshore_types::id::NetworkAclId;

/// EC2's largest quota of entries in one direction.
const ENTRIES_MAX: usize = 40;

const ICMP: i32 = 1;
const TCP: i32 = 6;
const UDP: i32 = 17;
const ICMP_V6: i32 = 58;

pub fn create_network_acl_entry(
    tx: &mut Tx,
    cx: &Cx,
    input: CreateNetworkAclEntryInput,
) -> Result<CreateNetworkAclEntryOutput, AwsError> {
    let acl = network_acls::find(tx, cx, &input.network_acl_id)?;
    let entry = entry(Given {
        egress: input.egress,
        number: input.rule_number,
        action: &input.rule_action,
        protocol: &input.protocol,
        cidr: input.cidr_block.as_deref(),
        cidr_v6: input.ipv6_cidr_block.as_deref(),
        ports: input.port_range,
        icmp: input.icmp_type_code,
    })?;
    if acl.entries.iter().any(|other| is_at(other, entry.egress, entry.number)) {
        let message = format!("The network acl entry identified by {} already exists.", entry.number);
        return Err(AwsError::new("NetworkAclEntryAlreadyExists", message));
    }
    if acl.entries.iter().filter(|other| other.egress == entry.egress).count() >= ENTRIES_MAX {
        let message = "The maximum number of network acl entries has been reached.";
        return Err(AwsError::new("NetworkAclEntryLimitExceeded", message));
    }
    change(tx, cx, &acl.id, |entries| entries.push(entry));
    error::finish(input.dry_run, CreateNetworkAclEntryOutput {})
}

pub fn replace_network_acl_entry(
    tx: &mut Tx,
    cx: &Cx,
    input: ReplaceNetworkAclEntryInput,
) -> Result<ReplaceNetworkAclEntryOutput, AwsError> {
    let acl = network_acls::find(tx, cx, &input.network_acl_id)?;
    let new = entry(Given {
        egress: input.egress,
        number: input.rule_number,
        action: &input.rule_action,
        protocol: &input.protocol,
        cidr: input.cidr_block.as_deref(),
        cidr_v6: input.ipv6_cidr_block.as_deref(),
        ports: input.port_range,
        icmp: input.icmp_type_code,
    })?;
    check_there(&acl, new.egress, new.number)?;
    change(tx, cx, &acl.id, |entries| {
        entries.retain(|old| !is_at(old, new.egress, new.number));
        entries.push(new);
    });
    error::finish(input.dry_run, ReplaceNetworkAclEntryOutput {})
}

pub fn delete_network_acl_entry(
    tx: &mut Tx,
    cx: &Cx,
    input: DeleteNetworkAclEntryInput,
) -> Result<DeleteNetworkAclEntryOutput, AwsError> {
    let acl = network_acls::find(tx, cx, &input.network_acl_id)?;
    check_there(&acl, input.egress, input.rule_number)?;
    change(tx, cx, &acl.id, |entries| entries.retain(|old| !is_at(old, input.egress, input.rule_number)));
    error::finish(input.dry_run, DeleteNetworkAclEntryOutput {})
}

fn is_at(entry: &stored::NetworkAclEntry, egress: bool, number: i32) -> bool {
    entry.egress == egress && entry.number == number
}

fn check_there(acl: &stored::NetworkAcl, egress: bool, number: i32) -> Result<(), AwsError> {
    if acl.entries.iter().any(|entry| is_at(entry, egress, number)) {
        return Ok(());
    }
    let way = if egress { "egress" } else { "ingress" };
    let message = format!("The {way} entry numbered {number} in network ACL {} does not exist", acl.id);
    Err(AwsError::new("InvalidNetworkAclEntry.NotFound", message))
}

fn change(tx: &mut Tx, cx: &Cx, id: &NetworkAclId, change: impl FnOnce(&mut Vec<stored::NetworkAclEntry>)) {
    tx.network_acls().update(&(cx.scope.clone(), id.clone()), |acl| {
        change(&mut acl.entries);
        acl.entries.sort_by_key(|entry| (entry.egress, entry.number));
    });
}

/// The parameters of an entry, the same in both requests that have one.
struct Given<'a> {
    egress: bool,
    number: i32,
    action: &'a str,
    protocol: &'a str,
    cidr: Option<&'a str>,
    cidr_v6: Option<&'a str>,
    ports: Option<PortRange>,
    icmp: Option<IcmpTypeCode>,
}

fn entry(given: Given<'_>) -> Result<stored::NetworkAclEntry, AwsError> {
    if !(1..stored::NetworkAcl::LAST).contains(&given.number) {
        let why = "Rule numbers are from 1 to 32766.";
        return Err(error::invalid_value(given.number, "ruleNumber", why));
    }
    let allow = match given.action {
        "allow" => true,
        "deny" => false,
        other => return Err(error::invalid_value(other, "ruleAction", "Expecting 'allow' or 'deny'.")),
    };
    let protocol = protocol(given.protocol)?;
    let network = match (given.cidr, given.cidr_v6) {
        (Some(text), None) => {
            let invalid = |_| error::invalid_value(text, "cidrBlock", "This is not a valid CIDR block.");
            AclNetwork::V4(text.parse().map_err(invalid)?)
        }
        (None, Some(text)) => {
            let network = permission::canonical_v6(text);
            let invalid = || error::invalid_value(text, "ipv6CidrBlock", "This is not a valid IPv6 CIDR block.");
            AclNetwork::V6(network.ok_or_else(invalid)?)
        }
        (None, None) => return Err(error::missing_parameter("cidrBlock or ipv6CidrBlock")),
        (Some(_), Some(_)) => {
            let message = "The parameter cidrBlock cannot be used with the parameter ipv6CidrBlock";
            return Err(error::invalid_combination(message));
        }
    };
    Ok(stored::NetworkAclEntry {
        egress: given.egress,
        number: given.number,
        allow,
        protocol,
        ports: ports(protocol, given.ports)?,
        icmp: icmp(protocol, &network, given.icmp)?,
        network,
    })
}

fn protocol(text: &str) -> Result<i32, AwsError> {
    match text.to_ascii_lowercase().as_str() {
        "-1" | "all" => Ok(-1),
        "tcp" => Ok(TCP),
        "udp" => Ok(UDP),
        "icmp" => Ok(ICMP),
        "icmpv6" => Ok(ICMP_V6),
        number => number.parse::<u8>().map(i32::from).map_err(|_| {
            error::invalid_parameter(format!("Invalid value '{text}' for IP protocol. Unknown protocol."))
        }),
    }
}

fn ports(protocol: i32, range: Option<PortRange>) -> Result<Option<(u16, u16)>, AwsError> {
    if protocol != TCP && protocol != UDP {
        return Ok(None);
    }
    let missing = || error::missing_parameter("portRange");
    let range = range.ok_or_else(missing)?;
    let port = |value: Option<i32>| {
        let value = value.ok_or_else(missing)?;
        u16::try_from(value).map_err(|_| error::invalid_parameter(format!("TCP/UDP port ({value}) out of range")))
    };
    let (from, to) = (port(range.from)?, port(range.to)?);
    match from <= to {
        true => Ok(Some((from, to))),
        false => Err(error::invalid_parameter(format!("Invalid TCP/UDP port range ({from}:{to})"))),
    }
}

fn icmp(protocol: i32, network: &AclNetwork, given: Option<IcmpTypeCode>) -> Result<Option<(i32, i32)>, AwsError> {
    let is_needed = protocol == ICMP || protocol == ICMP_V6 && matches!(network, AclNetwork::V6(_));
    if !is_needed {
        return Ok(None);
    }
    let given = given.ok_or_else(|| error::missing_parameter("icmpTypeCode"))?;
    let (kind, code) = (given.r#type.unwrap_or(-1), given.code.unwrap_or(-1));
    for (name, value) in [("type", kind), ("code", code)] {
        if !(-1..=255).contains(&value) {
            return Err(error::invalid_parameter(format!("ICMP {name} ({value}) out of range")));
        }
    }
    Ok(Some((kind, code)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::testing::{refusal, write};
    use crate::testing::Fixture;

    fn default_acl(fixture: &Fixture) -> String {
        fixture.read(|state, _| state.network_acls().all().next().expect("the default one").id.to_string())
    }

    fn web(acl: &str, number: i32) -> CreateNetworkAclEntryInput {
        CreateNetworkAclEntryInput {
            network_acl_id: acl.to_owned(),
            rule_number: number,
            protocol: "6".to_owned(),
            rule_action: "deny".to_owned(),
            cidr_block: Some("10.0.0.1/8".to_owned()),
            port_range: Some(PortRange { from: Some(80), to: Some(81) }),
            ..Default::default()
        }
    }

    #[test]
    fn entries_are_kept_by_number_and_replaced() {
        let fixture = Fixture::new();
        let acl = default_acl(&fixture);
        write(&fixture, create_network_acl_entry, web(&acl, 90)).expect("an entry");
        assert_eq!(
            refusal(write(&fixture, create_network_acl_entry, web(&acl, 90))),
            "NetworkAclEntryAlreadyExists: The network acl entry identified by 90 already exists."
        );
        let id = acl.as_str();
        fixture.read(|state, cx| {
            let acl = network_acls::find(state, cx, id).expect("the ACL");
            let numbers: Vec<_> = acl.entries.iter().map(|entry| (entry.egress, entry.number)).collect();
            assert_eq!(numbers, [(false, 90), (false, 100), (true, 100)]);
            assert!(!acl.allows_everything());
        });
        let replace = ReplaceNetworkAclEntryInput {
            network_acl_id: acl.clone(),
            rule_number: 91,
            protocol: "-1".to_owned(),
            rule_action: "allow".to_owned(),
            cidr_block: Some("0.0.0.0/0".to_owned()),
            ..Default::default()
        };
        let missing = format!(
            "InvalidNetworkAclEntry.NotFound: The ingress entry numbered 91 in network ACL {acl} does not exist"
        );
        assert_eq!(refusal(write(&fixture, replace_network_acl_entry, replace.clone())), missing);
        let replace = ReplaceNetworkAclEntryInput { rule_number: 90, ..replace };
        write(&fixture, replace_network_acl_entry, replace).expect("it is there");
        let delete = |number| DeleteNetworkAclEntryInput {
            dry_run: None,
            network_acl_id: acl.clone(),
            rule_number: number,
            egress: false,
        };
        write(&fixture, delete_network_acl_entry, delete(90)).expect("it is there");
        assert_eq!(refusal(write(&fixture, delete_network_acl_entry, delete(91))), missing);
    }

    #[test]
    fn bad_entries_are_refused_by_what_is_wrong() {
        let fixture = Fixture::new();
        let acl = default_acl(&fixture);
        let icmp = CreateNetworkAclEntryInput { protocol: "1".to_owned(), port_range: None, ..web(&acl, 1) };
        for (input, expected) in [
            (
                web(&acl, 32767),
                "InvalidParameterValue: Value (32767) for parameter ruleNumber is invalid. Rule numbers are from 1 to 32766.",
            ),
            (
                CreateNetworkAclEntryInput { port_range: None, ..web(&acl, 1) },
                "MissingParameter: The request must contain the parameter portRange",
            ),
            (icmp, "MissingParameter: The request must contain the parameter icmpTypeCode"),
            (
                CreateNetworkAclEntryInput { cidr_block: None, ..web(&acl, 1) },
                "MissingParameter: The request must contain the parameter cidrBlock or ipv6CidrBlock",
            ),
            (
                CreateNetworkAclEntryInput { rule_action: "ask".to_owned(), ..web(&acl, 1) },
                "InvalidParameterValue: Value (ask) for parameter ruleAction is invalid. Expecting 'allow' or 'deny'.",
            ),
            (
                CreateNetworkAclEntryInput { protocol: "300".to_owned(), ..web(&acl, 1) },
                "InvalidParameterValue: Invalid value '300' for IP protocol. Unknown protocol.",
            ),
            (web("acl-1", 1), "InvalidNetworkAclID.NotFound: The networkAcl ID 'acl-1' does not exist"),
        ] {
            assert_eq!(refusal(write(&fixture, create_network_acl_entry, input)), expected);
        }
    }
}

//! CreateNetworkInterface: an interface that nothing has yet; its address is kept for it.

use super::error::{self, Kind};
use super::network::{self, NewInterface, create_interface, create_interface_at};
use super::{security_groups, tags, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::{CreateNetworkInterfaceInput, CreateNetworkInterfaceOutput};
use longshore_store::{Snapshot, Tx};
use longshore_types::ec2::{EniOwner, NetworkInterface, Subnet};
use longshore_types::id::{SecurityGroupId, SubnetId};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// EC2's hard limit of groups an interface has.
const GROUPS_MAX: usize = 16;

pub fn create_network_interface(
    tx: &mut Tx,
    cx: &Cx,
    input: CreateNetworkInterfaceInput,
) -> Result<CreateNetworkInterfaceOutput, AwsError> {
    refuse_unsupported(&input)?;
    let subnet = tx.subnets().get(&(cx.scope.clone(), SubnetId::from(input.subnet_id.as_str())));
    let subnet = subnet.ok_or_else(|| Kind::Subnet.not_found(&[&input.subnet_id]))?;
    if let Some(made) = made_before(tx, cx, input.client_token.as_deref()) {
        if made.subnet != subnet.id || made.description != input.description.unwrap_or_default() {
            return Err(error::idempotent_mismatch());
        }
        return output(tx, cx, &made, input.dry_run);
    }
    let address = address(tx, cx, &subnet, &input)?;
    let new = NewInterface {
        subnet: subnet.id.clone(),
        security_groups: groups(tx, cx, &subnet, input.groups)?,
        owner: EniOwner::User,
        description: input.description.unwrap_or_default(),
        public: false,
        tags: tags::from_specifications(input.tag_specifications.as_deref(), "network-interface")?,
    };
    let mut interface = match address {
        Some(address) => create_interface_at(tx, cx, new, address)?,
        None => create_interface(tx, cx, new)?,
    };
    interface.client_token = input.client_token;
    tx.network_interfaces().put((cx.scope.clone(), interface.id.clone()), interface.clone());
    output(tx, cx, &interface, input.dry_run)
}

fn output(
    state: &Snapshot,
    cx: &Cx,
    interface: &NetworkInterface,
    dry_run: Option<bool>,
) -> Result<CreateNetworkInterfaceOutput, AwsError> {
    let output = CreateNetworkInterfaceOutput {
        network_interface: Some(view::interface(state, &cx.scope, interface)),
        client_token: interface.client_token.clone(),
    };
    error::finish(dry_run, output)
}

fn refuse_unsupported(input: &CreateNetworkInterfaceInput) -> Result<(), AwsError> {
    error::refuse("Ipv4Prefixes", &input.ipv4_prefixes)?;
    error::refuse("Ipv4PrefixCount", &input.ipv4_prefix_count)?;
    error::refuse("Ipv6Prefixes", &input.ipv6_prefixes)?;
    error::refuse("Ipv6PrefixCount", &input.ipv6_prefix_count)?;
    error::refuse("Ipv6Addresses", &input.ipv6_addresses)?;
    error::refuse("Ipv6AddressCount", &input.ipv6_address_count)?;
    error::refuse_true("EnablePrimaryIpv6", input.enable_primary_ipv6)?;
    error::refuse("ConnectionTrackingSpecification", &input.connection_tracking_specification)?;
    error::refuse("Operator", &input.operator)?;
    error::refuse("SecondaryPrivateIpAddressCount", &input.secondary_private_ip_address_count)?;
    match input.interface_type.as_deref() {
        None | Some("interface") => Ok(()),
        Some(_) => Err(error::unsupported("InterfaceType")),
    }
}

/// The interface that an earlier request with the same token made.
fn made_before(state: &Snapshot, cx: &Cx, token: Option<&str>) -> Option<Arc<NetworkInterface>> {
    let token = token?;
    state.network_interfaces().prefix(&cx.scope).find(|interface| interface.client_token.as_deref() == Some(token))
}

/// The address asked for, if one is.
fn address(
    state: &Snapshot,
    cx: &Cx,
    subnet: &Subnet,
    input: &CreateNetworkInterfaceInput,
) -> Result<Option<Ipv4Addr>, AwsError> {
    let text = match (&input.private_ip_address, input.private_ip_addresses.as_deref().unwrap_or_default()) {
        (address, []) => address.as_ref(),
        (None, [one]) if one.primary != Some(false) => one.private_ip_address.as_ref(),
        _ => return Err(error::unsupported("PrivateIpAddresses")),
    };
    text.map(|text| check_address(state, cx, subnet, text)).transpose()
}

/// An address that a request names, if an interface of the subnet may have it.
pub fn check_address(state: &Snapshot, cx: &Cx, subnet: &Subnet, text: &str) -> Result<Ipv4Addr, AwsError> {
    let invalid = |_| error::invalid_value(text, "address", "This is not a valid IPv4 address.");
    let address: Ipv4Addr = text.parse().map_err(invalid)?;
    if !subnet.cidr.contains(address) {
        return Err(error::invalid_parameter("Address does not fall within the subnet's address range"));
    }
    if !subnet.usable().any(|usable| usable == address) {
        return Err(error::invalid_parameter("Address is in subnet's reserved address range"));
    }
    if network::is_taken(state, &cx.scope, &subnet.id, address) {
        return Err(AwsError::new("InvalidIPAddress.InUse", "The specified address is already in use."));
    }
    Ok(address)
}

/// The groups asked for; the VPC's default one if none is.
pub fn groups(
    state: &Snapshot,
    cx: &Cx,
    subnet: &Subnet,
    asked: Option<Vec<String>>,
) -> Result<Vec<SecurityGroupId>, AwsError> {
    let asked = asked.unwrap_or_default();
    if asked.is_empty() {
        return Ok(network::default_security_group(state, &cx.scope, &subnet.vpc).into_iter().collect());
    }
    if asked.len() > GROUPS_MAX {
        let message = "The maximum number of security groups per interface has been reached.";
        return Err(AwsError::new("SecurityGroupsPerInterfaceLimitExceeded", message));
    }
    let mut groups = Vec::new();
    for id in &asked {
        let group = security_groups::by_id(state, cx, id)?;
        if group.vpc != subnet.vpc {
            let message = format!("Security group {id} and subnet {} belong to different networks.", subnet.id);
            return Err(AwsError::new("InvalidParameter", message));
        }
        if groups.contains(&group.id) {
            let message = format!("The same security group {id} must not be specified more than once");
            return Err(error::invalid_parameter(message));
        }
        groups.push(group.id.clone());
    }
    Ok(groups)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::create_security_group::create_security_group;
    use crate::ec2::create_vpc::create_vpc;
    use crate::ec2::testing::{default_subnet, refusal, write};
    use crate::testing::Fixture;
    use longshore_aws_model::ec2::{CreateSecurityGroupInput, CreateVpcInput};

    fn in_subnet(fixture: &Fixture) -> CreateNetworkInterfaceInput {
        CreateNetworkInterfaceInput { subnet_id: default_subnet(fixture), ..Default::default() }
    }

    #[test]
    fn an_interface_gets_an_address_and_the_default_group() {
        let fixture = Fixture::new();
        let output = write(&fixture, create_network_interface, in_subnet(&fixture)).expect("an interface");
        let interface = output.network_interface.expect("an interface");
        assert_eq!((interface.status.as_deref(), interface.attachment), (Some("available"), None));
        assert_eq!(interface.requester_managed, Some(false));
        assert_eq!(interface.groups.expect("groups")[0].group_name.as_deref(), Some("default"));
        let address: Ipv4Addr = interface.private_ip_address.expect("an address").parse().expect("an address");
        let [_, _, c, d] = address.octets();
        let name = format!("ip-172-31-{c}-{d}.ec2.internal");
        assert_eq!(interface.private_dns_name, Some(name));
        assert!(interface.mac_address.expect("an address").starts_with("0a:"));
    }

    #[test]
    fn the_same_token_makes_one_interface() {
        let fixture = Fixture::new();
        let input = CreateNetworkInterfaceInput { client_token: Some("t".to_owned()), ..in_subnet(&fixture) };
        let id = || {
            let output = write(&fixture, create_network_interface, input.clone()).expect("an interface");
            output.network_interface.and_then(|interface| interface.network_interface_id)
        };
        assert_eq!(id(), id());
        let other = CreateNetworkInterfaceInput { description: Some("b".to_owned()), ..input.clone() };
        let refused = refusal(write(&fixture, create_network_interface, other));
        assert!(refused.starts_with("IdempotentParameterMismatch"), "{refused}");
    }

    #[test]
    fn an_address_asked_for_must_be_free() {
        let fixture = Fixture::new();
        let cidr = fixture.read(|state, cx| state.subnets().prefix(&cx.scope).next().expect("a subnet").cidr);
        let at = |n: u64| CreateNetworkInterfaceInput {
            private_ip_address: cidr.nth(n).map(|address| address.to_string()),
            ..in_subnet(&fixture)
        };
        let outside =
            CreateNetworkInterfaceInput { private_ip_address: Some("10.0.0.1".to_owned()), ..in_subnet(&fixture) };
        write(&fixture, create_network_interface, at(10)).expect("it is free");
        for (input, expected) in [
            (at(10), "InvalidIPAddress.InUse: The specified address is already in use."),
            (at(3), "InvalidParameterValue: Address is in subnet's reserved address range"),
            (outside, "InvalidParameterValue: Address does not fall within the subnet's address range"),
        ] {
            assert_eq!(refusal(write(&fixture, create_network_interface, input)), expected);
        }
    }

    #[test]
    fn groups_are_of_the_subnets_vpc() {
        let fixture = Fixture::new();
        let vpc = CreateVpcInput { cidr_block: Some("10.0.0.0/16".to_owned()), ..Default::default() };
        let vpc_id = write(&fixture, create_vpc, vpc).expect("a VPC").vpc.and_then(|vpc| vpc.vpc_id);
        let group = CreateSecurityGroupInput {
            group_name: "web".to_owned(),
            description: "a".to_owned(),
            vpc_id,
            ..Default::default()
        };
        let group = write(&fixture, create_security_group, group).expect("a group").group_id.expect("an id");
        let with =
            |group: &str| CreateNetworkInterfaceInput { groups: Some(vec![group.to_owned()]), ..in_subnet(&fixture) };
        let subnet = default_subnet(&fixture);
        let elsewhere =
            format!("InvalidParameter: Security group {group} and subnet {subnet} belong to different networks.");
        assert_eq!(refusal(write(&fixture, create_network_interface, with(&group))), elsewhere);
        let unknown = "InvalidGroup.NotFound: The security group 'sg-1' does not exist";
        assert_eq!(refusal(write(&fixture, create_network_interface, with("sg-1"))), unknown);
        let no_subnet = CreateNetworkInterfaceInput { subnet_id: "subnet-1".to_owned(), ..Default::default() };
        assert_eq!(
            refusal(write(&fixture, create_network_interface, no_subnet)),
            "InvalidSubnetID.NotFound: The subnet ID 'subnet-1' does not exist"
        );
    }
}

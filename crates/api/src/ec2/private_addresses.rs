//! AssignPrivateIpAddresses, UnassignPrivateIpAddresses: addresses of an interface beside its first one.
//!
//! Interfaces that tasks and load balancers use are their service's, so these are kept for interfaces that nothing has.

use super::create_network_interface::check_address;
use super::interface_attributes::{check_owner, find};
use super::{error, network, subnets};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::*;
use longshore_store::tables::ElasticAddresses;
use longshore_store::{Snapshot, Tx};
use std::net::Ipv4Addr;

/// EC2's limit for the largest instances.
const ADDRESSES_MAX: usize = 50;

pub fn assign_private_ip_addresses(
    tx: &mut Tx,
    cx: &Cx,
    input: AssignPrivateIpAddressesInput,
) -> Result<AssignPrivateIpAddressesOutput, AwsError> {
    error::refuse_all!(input; ipv4_prefixes = "Ipv4Prefixes", ipv4_prefix_count = "Ipv4PrefixCount");
    error::refuse_true("AllowReassignment", input.allow_reassignment)?;
    let eni = find(tx, cx, &input.network_interface_id)?;
    check_owner(&eni)?;
    let subnet = subnets::find(tx, cx, eni.subnet.as_str())?;
    let mut assigned = Vec::new();
    let asked = input.private_ip_addresses.unwrap_or_default();
    let count = match (asked.is_empty(), input.secondary_private_ip_address_count) {
        (true, Some(count)) if count > 0 => usize::try_from(count).unwrap_or(0),
        (false, None) => asked.len(),
        (true, _) => return Err(error::missing_parameter("privateIpAddresses or secondaryPrivateIpAddressCount")),
        (false, Some(_)) => {
            let message =
                "The parameter privateIpAddresses cannot be used with the parameter secondaryPrivateIpAddressCount";
            return Err(error::invalid_combination(message));
        }
    };
    if 1 + eni.more_addresses.len() + count > ADDRESSES_MAX {
        let message = format!("Number of private addresses will exceed limit of {ADDRESSES_MAX}.");
        return Err(AwsError::new("PrivateIpAddressLimitExceeded", message));
    }
    for n in 0..count {
        let state: &Snapshot = tx;
        let address = match asked.get(n) {
            Some(text) => check_address(state, cx, &subnet, text)?,
            None => network::free_private_address(state, cx, &subnet.id)?,
        };
        let key = (cx.scope.clone(), eni.id.clone());
        tx.network_interfaces().update(&key, |eni| eni.more_addresses.push(address));
        assigned.push(AssignedPrivateIpAddress { private_ip_address: Some(address.to_string()) });
    }
    Ok(AssignPrivateIpAddressesOutput {
        network_interface_id: Some(eni.id.to_string()),
        assigned_private_ip_addresses: Some(assigned),
        assigned_ipv4_prefixes: None,
    })
}

pub fn unassign_private_ip_addresses(
    tx: &mut Tx,
    cx: &Cx,
    input: UnassignPrivateIpAddressesInput,
) -> Result<UnassignPrivateIpAddressesOutput, AwsError> {
    error::refuse_all!(input; ipv4_prefixes = "Ipv4Prefixes");
    let eni = find(tx, cx, &input.network_interface_id)?;
    check_owner(&eni)?;
    let asked = input.private_ip_addresses.unwrap_or_default();
    if asked.is_empty() {
        return Err(error::missing_parameter("privateIpAddresses"));
    }
    let key = (cx.scope.clone(), eni.id.clone());
    for text in asked {
        let address = text.parse::<Ipv4Addr>().ok();
        if address == Some(eni.address) {
            let message = "The primary private IP address of a network interface cannot be unassigned";
            return Err(error::invalid_parameter(message));
        }
        let Some(address) = address.filter(|address| eni.more_addresses.contains(address)) else {
            let message = format!("Some of the specified addresses are not assigned to interface {}", eni.id);
            return Err(error::invalid_parameter(message));
        };
        tx.network_interfaces().update(&key, |eni| eni.more_addresses.retain(|one| *one != address));
        let elastic: Vec<_> = tx.elastic_addresses().by_index(&ElasticAddresses::BY_INTERFACE, &key).collect();
        let is_of = |row: &&std::sync::Arc<longshore_types::ec2::ElasticAddress>| {
            row.association.as_ref().is_some_and(|association| association.private_address == address)
        };
        if let Some(row) = elastic.iter().find(is_of) {
            super::addresses::disassociate(tx, cx, row);
        }
    }
    Ok(UnassignPrivateIpAddressesOutput {})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::create_network_interface::create_network_interface;
    use crate::ec2::testing::{default_subnet, refusal, write};
    use crate::testing::Fixture;

    #[test]
    fn addresses_are_assigned_once_each_and_given_back() {
        let fixture = Fixture::new();
        let input = CreateNetworkInterfaceInput { subnet_id: default_subnet(&fixture), ..Default::default() };
        let output = write(&fixture, create_network_interface, input).expect("an interface");
        let eni = output.network_interface.expect("an interface");
        let network_interface_id = eni.network_interface_id.expect("an id");
        let input = AssignPrivateIpAddressesInput {
            network_interface_id: network_interface_id.clone(),
            secondary_private_ip_address_count: Some(2),
            ..Default::default()
        };
        let output = write(&fixture, assign_private_ip_addresses, input).expect("room");
        let assigned = output.assigned_private_ip_addresses.expect("addresses");
        assert_eq!(assigned.len(), 2);
        let taken = AssignPrivateIpAddressesInput {
            network_interface_id: network_interface_id.clone(),
            private_ip_addresses: assigned[0].private_ip_address.clone().map(|address| vec![address]),
            ..Default::default()
        };
        assert_eq!(
            refusal(write(&fixture, assign_private_ip_addresses, taken)),
            "InvalidIPAddress.InUse: The specified address is already in use."
        );
        let give_back = |address: Option<String>| UnassignPrivateIpAddressesInput {
            network_interface_id: network_interface_id.clone(),
            private_ip_addresses: address.map(|address| vec![address]),
            ipv4_prefixes: None,
        };
        let input = give_back(assigned[0].private_ip_address.clone());
        write(&fixture, unassign_private_ip_addresses, input).expect("it is assigned");
        let refused = refusal(write(&fixture, unassign_private_ip_addresses, give_back(eni.private_ip_address)));
        assert!(refused.contains("The primary private IP address"), "{refused}");
        fixture.read(|state, _| {
            assert_eq!(state.network_interfaces().all().next().expect("the interface").more_addresses.len(), 1);
        });
    }
}

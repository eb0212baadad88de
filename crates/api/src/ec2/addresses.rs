//! Elastic addresses: AllocateAddress, ReleaseAddress, AssociateAddress, DisassociateAddress, DescribeAddressesAttribute.

use super::error::{self, Kind};
use super::list::{check_exist, choice};
use super::network::{self, NoAddress};
use super::{internet_gateways, tags};
use crate::Cx;
use crate::page::page;
use longshore_aws_model::AwsError;
use longshore_aws_model::ec2::*;
use longshore_store::tables::ElasticAddresses;
use longshore_store::{Snapshot, Tx};
use longshore_types::ec2::{self as stored, AddressAssociation, ElasticAddress, EniOwner};
use longshore_types::id::{AllocationId, EniId};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// How many an account may have in a region: AWS's default.
pub const MAX: usize = 5;

pub fn find(state: &Snapshot, cx: &Cx, id: &str) -> Result<Arc<ElasticAddress>, AwsError> {
    let key = (cx.scope.clone(), AllocationId::from(id));
    state.elastic_addresses().get(&key).ok_or_else(|| Kind::Allocation.not_found(&[id]))
}

pub fn by_public_address(state: &Snapshot, cx: &Cx, text: &str) -> Result<Arc<ElasticAddress>, AwsError> {
    let found = text.parse::<Ipv4Addr>().ok().and_then(|address| {
        let index = &ElasticAddresses::BY_PUBLIC_ADDRESS;
        state.elastic_addresses().by_index(index, &u64::from(u32::from(address))).entries().next()
    });
    let own = found.filter(|((scope, _), _)| *scope == cx.scope).map(|(_, row)| row);
    own.ok_or_else(|| AwsError::new("InvalidAddress.NotFound", format!("Address '{text}' not found.")))
}

/// The address that has this association.
pub fn by_association(state: &Snapshot, cx: &Cx, id: &str) -> Option<Arc<ElasticAddress>> {
    let is_it = |row: &Arc<ElasticAddress>| row.association.as_ref().is_some_and(|one| one.id == *id);
    state.elastic_addresses().prefix(&cx.scope).find(is_it)
}

/// The address that a request names by `AllocationId` or `PublicIp`.
fn named(state: &Snapshot, cx: &Cx, id: Option<&str>, public: Option<&str>) -> Result<Arc<ElasticAddress>, AwsError> {
    match (id, public) {
        (Some(id), None) => find(state, cx, id),
        (None, Some(public)) => by_public_address(state, cx, public),
        (None, None) => Err(error::missing_parameter("AllocationId")),
        (Some(_), Some(_)) => {
            Err(error::invalid_combination("You may specify public IP or allocation id, but not both in the same call"))
        }
    }
}

pub fn allocate_address(tx: &mut Tx, cx: &Cx, input: AllocateAddressInput) -> Result<AllocateAddressOutput, AwsError> {
    error::refuse_all!(input;
        address = "Address", customer_owned_ipv4_pool = "CustomerOwnedIpv4Pool", ipam_pool_id = "IpamPoolId",
    );
    match input.domain.as_deref() {
        None | Some("vpc") => {}
        Some(_) => return Err(error::unsupported("Domain")),
    }
    if input.public_ipv4_pool.as_deref().is_some_and(|pool| pool != "amazon") {
        return Err(error::unsupported("PublicIpv4Pool"));
    }
    check_border(cx, input.network_border_group.as_deref())?;
    let tags = tags::from_specifications(input.tag_specifications.as_deref(), "elastic-ip")?;
    if tx.elastic_addresses().prefix(&cx.scope).count() >= MAX {
        return Err(error::address_limit());
    }
    let address = network::free_public_address(tx, cx).ok_or(NoAddress::PublicPool)?;
    let row = ElasticAddress { allocation: AllocationId(cx.ids().ec2("eipalloc")), address, association: None, tags };
    tx.elastic_addresses().put((cx.scope.clone(), row.allocation.clone()), row.clone());
    let output = AllocateAddressOutput {
        allocation_id: Some(row.allocation.to_string()),
        public_ip: Some(row.address.to_string()),
        public_ipv4_pool: Some("amazon".to_owned()),
        network_border_group: Some(cx.scope.region.to_string()),
        domain: Some("vpc".to_owned()),
        ..Default::default()
    };
    error::finish(input.dry_run, output)
}

/// There is one group of locations here, the region.
fn check_border(cx: &Cx, group: Option<&str>) -> Result<(), AwsError> {
    match group {
        Some(group) if group != cx.scope.region.as_str() => {
            Err(error::invalid_value(group, "networkBorderGroup", "Unknown network border group."))
        }
        _ => Ok(()),
    }
}

pub fn release_address(tx: &mut Tx, cx: &Cx, input: ReleaseAddressInput) -> Result<ReleaseAddressOutput, AwsError> {
    check_border(cx, input.network_border_group.as_deref())?;
    let row = named(tx, cx, input.allocation_id.as_deref(), input.public_ip.as_deref())?;
    if row.association.is_some() {
        return Err(AwsError::new("InvalidIPAddress.InUse", format!("Address {} is in use.", row.address)));
    }
    tx.elastic_addresses().remove(&(cx.scope.clone(), row.allocation.clone()));
    error::finish(input.dry_run, ReleaseAddressOutput {})
}

pub fn associate_address(
    tx: &mut Tx,
    cx: &Cx,
    input: AssociateAddressInput,
) -> Result<AssociateAddressOutput, AwsError> {
    let row = named(tx, cx, input.allocation_id.as_deref(), input.public_ip.as_deref())?;
    let eni = match (&input.network_interface_id, &input.instance_id) {
        (Some(id), None) => interface(tx, cx, id)?,
        (None, Some(id)) => {
            let message = format!("The instance ID '{id}' does not exist");
            return Err(AwsError::new("InvalidInstanceID.NotFound", message));
        }
        (None, None) => return Err(error::missing_parameter("InstanceId or NetworkInterfaceId")),
        (Some(_), Some(_)) => {
            let message = "You may specify instance or network interface, but not both in the same call";
            return Err(error::invalid_combination(message));
        }
    };
    if eni.owner != EniOwner::User {
        return Err(not_yours());
    }
    let private = match &input.private_ip_address {
        None => eni.address,
        Some(text) => eni.addresses().find(|address| address.to_string() == *text).ok_or_else(|| {
            error::invalid_parameter(format!("Address {text} is not assigned to network interface '{}'", eni.id))
        })?,
    };
    // What is there already is no error for addresses of a VPC, unless the request says so.
    let may_move = input.allow_reassociation.unwrap_or(true);
    let here = |association: &AddressAssociation| association.eni == eni.id && association.private_address == private;
    let key = (cx.scope.clone(), eni.id.clone());
    let present: Vec<_> = tx.elastic_addresses().by_index(&ElasticAddresses::BY_INTERFACE, &key).collect();
    let occupant = present.iter().find(|other| other.association.as_ref().is_some_and(here));
    if let Some(association) = row.association.as_ref().filter(|association| !here(association)) {
        if !may_move {
            let message =
                format!("resource {} is already associated with associate-id {}", row.allocation, association.id);
            return Err(error::already_associated(message));
        }
        disassociate(tx, cx, &row);
    }
    if let Some(occupant) = occupant.filter(|occupant| occupant.allocation != row.allocation) {
        if !may_move {
            let message = format!("the network interface {} already has an elastic address", eni.id);
            return Err(error::already_associated(message));
        }
        disassociate(tx, cx, occupant);
    }
    let association_id = associate(tx, cx, &row.allocation, &eni.id, private);
    error::finish(input.dry_run, AssociateAddressOutput { association_id: Some(association_id) })
}

fn interface(state: &Snapshot, cx: &Cx, id: &str) -> Result<Arc<stored::NetworkInterface>, AwsError> {
    let eni = state.network_interfaces().get(&(cx.scope.clone(), EniId::from(id)));
    let eni = eni.ok_or_else(|| Kind::NetworkInterface.not_found(&[id]))?;
    if !internet_gateways::is_attached(state, cx, &eni.vpc) {
        let message = format!("Network {} is not attached to any internet gateway", eni.vpc);
        return Err(AwsError::new("Gateway.NotAttached", message));
    }
    Ok(eni)
}

/// Interfaces of tasks, load balancers and NAT gateways are their service's.
fn not_yours() -> AwsError {
    AwsError::new("AuthFailure", "You do not have permission to access the specified resource.")
}

/// Gives an elastic address to an interface; returns the association's id.
pub fn associate(tx: &mut Tx, cx: &Cx, allocation: &AllocationId, eni: &EniId, private: Ipv4Addr) -> String {
    let association = AddressAssociation { id: cx.ids().ec2("eipassoc"), eni: eni.clone(), private_address: private };
    let id = association.id.clone();
    let mut address = None;
    tx.elastic_addresses().update(&(cx.scope.clone(), allocation.clone()), |row| {
        row.association = Some(association);
        address = Some(row.address);
    });
    tx.network_interfaces().update(&(cx.scope.clone(), eni.clone()), |eni| {
        if eni.address == private {
            eni.public_address = address;
        }
    });
    id
}

/// Takes an elastic address from its interface.
pub fn disassociate(tx: &mut Tx, cx: &Cx, row: &ElasticAddress) {
    let Some(association) = &row.association else { return };
    tx.network_interfaces().update(&(cx.scope.clone(), association.eni.clone()), |eni| {
        if eni.public_address == Some(row.address) {
            eni.public_address = None;
        }
    });
    tx.elastic_addresses().update(&(cx.scope.clone(), row.allocation.clone()), |row| row.association = None);
}

pub fn disassociate_address(
    tx: &mut Tx,
    cx: &Cx,
    input: DisassociateAddressInput,
) -> Result<DisassociateAddressOutput, AwsError> {
    let state: &Snapshot = tx;
    let row = match (&input.association_id, &input.public_ip) {
        (Some(id), None) => by_association(state, cx, id).ok_or_else(|| Kind::Association.not_found(&[id]))?,
        (None, Some(public)) => by_public_address(state, cx, public)?,
        (None, None) => return Err(error::missing_parameter("AssociationId")),
        (Some(_), Some(_)) => {
            let message = "You may specify public IP or association id, but not both in the same call";
            return Err(error::invalid_combination(message));
        }
    };
    let eni = row
        .association
        .as_ref()
        .and_then(|association| state.network_interfaces().get(&(cx.scope.clone(), association.eni.clone())));
    if eni.is_some_and(|eni| eni.owner != EniOwner::User) {
        return Err(not_yours());
    }
    disassociate(tx, cx, &row);
    error::finish(input.dry_run, DisassociateAddressOutput {})
}

/// No address has a reverse name: each is told with its ids alone.
pub fn describe_addresses_attribute(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeAddressesAttributeInput,
) -> Result<DescribeAddressesAttributeOutput, AwsError> {
    match input.attribute.as_deref() {
        None | Some("domain-name") => {}
        Some(other) => return Err(error::invalid_value(other, "attribute", "Unknown attribute.")),
    }
    let ids = input.allocation_ids.as_deref();
    check_exist(Kind::Allocation, ids, |id| find(state, cx, id).is_ok())?;
    let is_chosen = choice(ids);
    let rows = state.elastic_addresses().prefix(&cx.scope).filter(|row| is_chosen(row.allocation.as_str()));
    let limit = input.max_results.and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX);
    let page = page(rows, |row| row.allocation.to_string(), input.next_token.as_deref(), limit)
        .map_err(|_| error::invalid_next_token(input.next_token.as_deref().unwrap_or_default()))?;
    let addresses = page.items.iter().map(|row| AddressAttribute {
        public_ip: Some(row.address.to_string()),
        allocation_id: Some(row.allocation.to_string()),
        ..Default::default()
    });
    let output = DescribeAddressesAttributeOutput { addresses: Some(addresses.collect()), next_token: page.next_token };
    error::finish(input.dry_run, output)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::create_network_interface::create_network_interface;
    use crate::ec2::describe_network_interfaces::describe_network_interfaces;
    use crate::ec2::testing::{default_subnet, filter, read, refusal, write};
    use crate::testing::Fixture;

    fn allocate(fixture: &Fixture) -> (String, String) {
        let output = write(fixture, allocate_address, AllocateAddressInput::default()).expect("an address");
        (output.allocation_id.expect("an id"), output.public_ip.expect("an address"))
    }

    fn interface(fixture: &Fixture) -> String {
        let input = CreateNetworkInterfaceInput { subnet_id: default_subnet(fixture), ..Default::default() };
        let output = write(fixture, create_network_interface, input).expect("an interface");
        output.network_interface.and_then(|eni| eni.network_interface_id).expect("an id")
    }

    fn to(allocation: &str, eni: &str) -> AssociateAddressInput {
        AssociateAddressInput {
            allocation_id: Some(allocation.to_owned()),
            network_interface_id: Some(eni.to_owned()),
            ..Default::default()
        }
    }

    #[test]
    fn an_address_is_kept_given_to_an_interface_and_released() {
        let fixture = Fixture::new();
        let ((id, public), eni) = (allocate(&fixture), interface(&fixture));
        let association = write(&fixture, associate_address, to(&id, &eni)).expect("it is free").association_id;
        let filters = filter("association.allocation-id", &id);
        let input = DescribeNetworkInterfacesInput { filters, ..Default::default() };
        let output = read(&fixture, describe_network_interfaces, input).expect("a list").network_interfaces;
        let shown = output.expect("a list").remove(0).association.expect("an association");
        assert_eq!((shown.public_ip, shown.association_id), (Some(public.clone()), association.clone()));

        let release = ReleaseAddressInput { allocation_id: Some(id.clone()), ..Default::default() };
        let in_use = format!("InvalidIPAddress.InUse: Address {public} is in use.");
        assert_eq!(refusal(write(&fixture, release_address, release.clone())), in_use);
        let input = DisassociateAddressInput { association_id: association, ..Default::default() };
        write(&fixture, disassociate_address, input).expect("it is associated");
        fixture.read(|state, _| {
            let eni = state.network_interfaces().all().next().expect("the interface");
            assert_eq!(eni.public_address, None);
        });
        write(&fixture, release_address, release.clone()).expect("nothing has it");
        let gone = format!("InvalidAllocationID.NotFound: The allocation ID '{id}' does not exist");
        assert_eq!(refusal(write(&fixture, release_address, release)), gone);
    }

    #[test]
    fn an_account_has_so_many_addresses_in_a_region_and_no_more() {
        let fixture = Fixture::new();
        let ids: Vec<_> = (0..MAX).map(|_| allocate(&fixture).0).collect();
        let limit = "AddressLimitExceeded: The maximum number of addresses has been reached.";
        assert_eq!(refusal(write(&fixture, allocate_address, AllocateAddressInput::default())), limit);
        let release = ReleaseAddressInput { allocation_id: ids.first().cloned(), ..Default::default() };
        write(&fixture, release_address, release).expect("nothing has it");
        allocate(&fixture);
    }

    #[test]
    fn an_address_moves_only_if_it_may() {
        let fixture = Fixture::new();
        let ((id, _), one, two) = (allocate(&fixture), interface(&fixture), interface(&fixture));
        let first = write(&fixture, associate_address, to(&id, &one)).expect("free").association_id.expect("an id");
        let stay = AssociateAddressInput { allow_reassociation: Some(false), ..to(&id, &two) };
        assert_eq!(
            refusal(write(&fixture, associate_address, stay)),
            format!("Resource.AlreadyAssociated: resource {id} is already associated with associate-id {first}")
        );
        write(&fixture, associate_address, to(&id, &two)).expect("it moves");
        fixture.read(|state, _| {
            let public: Vec<_> = state.network_interfaces().all().filter_map(|eni| eni.public_address).collect();
            assert_eq!(public.len(), 1);
        });
    }

    #[test]
    fn what_cannot_have_an_address_is_told() {
        let fixture = Fixture::new();
        let (id, _) = allocate(&fixture);
        let instance = AssociateAddressInput {
            allocation_id: Some(id.clone()),
            instance_id: Some("i-1".to_owned()),
            ..Default::default()
        };
        for (input, expected) in [
            (instance, "InvalidInstanceID.NotFound: The instance ID 'i-1' does not exist"),
            (to(&id, "eni-1"), "InvalidNetworkInterfaceID.NotFound: The networkInterface ID 'eni-1' does not exist"),
            (to("eipalloc-1", "eni-1"), "InvalidAllocationID.NotFound: The allocation ID 'eipalloc-1' does not exist"),
        ] {
            assert_eq!(refusal(write(&fixture, associate_address, input)), expected);
        }
        let pool = AllocateAddressInput { public_ipv4_pool: Some("mine".to_owned()), ..Default::default() };
        assert_eq!(
            refusal(write(&fixture, allocate_address, pool)),
            "UnsupportedOperation: The parameter PublicIpv4Pool is not supported by Longshore."
        );
    }
}

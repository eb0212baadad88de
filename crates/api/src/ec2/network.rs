//! Interfaces and addresses, as ECS, ELB and EC2's own operations make and free them.
//!
//! Everything works inside the caller's transaction: a task and its interface are one write.

use crate::Cx;
use longshore_store::tables::{ElasticAddresses, NetworkInterfaces, SecurityGroups};
use longshore_store::{Snapshot, Tx};
use longshore_types::ec2::{EniOwner, NetworkInterface, Subnet};
use longshore_types::id::{EniId, SecurityGroupId, SubnetId, VpcId};
use longshore_types::{Scope, Tags};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// What is wanted of a new interface; its ids and addresses are chosen by [`create_interface`].
#[derive(Clone, Debug)]
pub struct NewInterface {
    pub subnet: SubnetId,
    pub security_groups: Vec<SecurityGroupId>,
    pub owner: EniOwner,
    pub description: String,
    /// With an address from the machine's public pool.
    pub public: bool,
    pub tags: Tags,
}

/// Why an interface got no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoAddress {
    #[error("there is no subnet {0}")]
    NoSubnet(SubnetId),
    #[error("subnet {0} has no free address")]
    Full(SubnetId),
    #[error("the pool of public addresses is used up")]
    PublicPool,
}

/// Makes an interface with a free private address of its subnet, and a public one if asked for.
pub fn create_interface(tx: &mut Tx, cx: &Cx, new: NewInterface) -> Result<NetworkInterface, NoAddress> {
    let address = free_private_address(tx, cx, &new.subnet)?;
    create_interface_at(tx, cx, new, address)
}

/// An address of a subnet that no interface has.
pub fn free_private_address(state: &Snapshot, cx: &Cx, id: &SubnetId) -> Result<Ipv4Addr, NoAddress> {
    let subnet = subnet(state, &cx.scope, id)?;
    // The network's own four addresses come first, its last one is kept too: see `Subnet::usable`.
    let usable = subnet.cidr.size().saturating_sub(Subnet::RESERVED);
    let is_free = |address: Ipv4Addr| !is_taken(state, &cx.scope, &subnet.id, address);
    let address = free_address(cx, usable, |n| subnet.cidr.nth(Subnet::FIRST_USABLE + n), is_free);
    address.ok_or_else(|| NoAddress::Full(subnet.id.clone()))
}

/// Makes an interface with a private address that the caller knows to be free and in the subnet.
pub fn create_interface_at(
    tx: &mut Tx,
    cx: &Cx,
    new: NewInterface,
    address: Ipv4Addr,
) -> Result<NetworkInterface, NoAddress> {
    let subnet = subnet(tx, &cx.scope, &new.subnet)?;
    let public_address = match new.public {
        true => Some(free_public_address(tx, cx).ok_or(NoAddress::PublicPool)?),
        false => None,
    };
    let id = EniId(cx.ids().ec2("eni"));
    let mac = mac(cx.ids().next_u64());
    let interface = NetworkInterface {
        id,
        vpc: subnet.vpc.clone(),
        subnet: subnet.id.clone(),
        zone: subnet.zone.clone(),
        address,
        mac,
        security_groups: new.security_groups,
        public_address,
        description: new.description,
        owner: new.owner,
        created_at: cx.now,
        tags: new.tags,
        client_token: None,
        more_addresses: Vec::new(),
    };
    tx.network_interfaces().put((cx.scope.clone(), interface.id.clone()), interface.clone());
    Ok(interface)
}

/// Removes an interface and frees its addresses, of which elastic ones stay their account's; `None` if there is none of
/// this id.
pub fn delete_interface(tx: &mut Tx, scope: &Scope, id: &EniId) -> Option<NetworkInterface> {
    let key = (scope.clone(), id.clone());
    let removed = tx.network_interfaces().remove(&key)?;
    let elastic: Vec<_> = tx.elastic_addresses().by_index(&ElasticAddresses::BY_INTERFACE, &key).collect();
    for address in elastic {
        tx.elastic_addresses().update(&(scope.clone(), address.allocation.clone()), |row| row.association = None);
    }
    Some(NetworkInterface::clone(&removed))
}

/// The group named `default` of a VPC; `None` if there is no such VPC.
pub fn default_security_group(state: &Snapshot, scope: &Scope, vpc: &VpcId) -> Option<SecurityGroupId> {
    state
        .security_groups()
        .by_index(&SecurityGroups::BY_VPC, &(scope.clone(), vpc.clone()))
        .find(|group| group.name == "default")
        .map(|group| group.id.clone())
}

/// Addresses of a subnet that a new interface could get; none of a subnet that does not exist.
pub fn free_addresses(state: &Snapshot, scope: &Scope, subnet: &SubnetId) -> usize {
    let Some(subnet) = state.subnets().get(&(scope.clone(), subnet.clone())) else { return 0 };
    let usable = usize::try_from(subnet.cidr.size().saturating_sub(Subnet::RESERVED)).unwrap_or(usize::MAX);
    let index = state.network_interfaces().by_index(&NetworkInterfaces::BY_SUBNET, &(scope.clone(), subnet.id.clone()));
    usable.saturating_sub(index.map(|interface| 1 + interface.more_addresses.len()).sum())
}

/// Whether an interface has this private address.
pub fn is_taken(state: &Snapshot, scope: &Scope, subnet: &SubnetId, address: Ipv4Addr) -> bool {
    let key = (scope.clone(), subnet.clone(), address);
    state.network_interfaces().find(&NetworkInterfaces::BY_ADDRESS, &key).is_some()
}

fn subnet(state: &Snapshot, scope: &Scope, id: &SubnetId) -> Result<Arc<Subnet>, NoAddress> {
    state.subnets().get(&(scope.clone(), id.clone())).ok_or_else(|| NoAddress::NoSubnet(id.clone()))
}

/// A free address of the pool, whose first and last address stay unused, because tools take them for the network itself
/// and its broadcast.
pub fn free_public_address(state: &Snapshot, cx: &Cx) -> Option<Ipv4Addr> {
    let pool = cx.settings.public_pool;
    let is_free = |address: Ipv4Addr| {
        let key = u64::from(u32::from(address));
        state.network_interfaces().find(&NetworkInterfaces::BY_PUBLIC_ADDRESS, &key).is_none()
            && state.elastic_addresses().find(&ElasticAddresses::BY_PUBLIC_ADDRESS, &key).is_none()
    };
    free_address(cx, pool.size().saturating_sub(2), |n| pool.nth(1 + n), is_free)
}

/// The first free one of `count` addresses, looking from a random one on and wrapping round: an address that was just
/// freed is seldom given out at once, which matters to peers that still hold connections to it, and no cursor has to be
/// stored. A free one is soon met unless nearly all are taken.
fn free_address(
    cx: &Cx,
    count: u64,
    nth: impl Fn(u64) -> Option<Ipv4Addr>,
    is_free: impl Fn(Ipv4Addr) -> bool,
) -> Option<Ipv4Addr> {
    let start = cx.ids().next_u64().checked_rem(count)?;
    (0..count).filter_map(|n| nth((start + n) % count)).find(|address| is_free(*address))
}

/// A locally administered, unicast hardware address.
fn mac(random: u64) -> String {
    let [a, b, c, d, e, ..] = random.to_be_bytes();
    format!("0a:{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;
    use std::collections::BTreeSet;

    fn new(subnet: &SubnetId, public: bool) -> NewInterface {
        NewInterface {
            subnet: subnet.clone(),
            security_groups: Vec::new(),
            owner: EniOwner::User,
            description: String::new(),
            public,
            tags: Tags::default(),
        }
    }

    fn a_subnet(tx: &mut Tx) -> (Scope, SubnetId) {
        tx.subnets().all().entries().next().expect("a default subnet").0
    }

    #[test]
    fn a_small_subnet_fills_up_and_frees() {
        let fixture = Fixture::new();
        fixture.write(|tx, cx| {
            let key = a_subnet(tx);
            tx.subnets().update(&key, |subnet| subnet.cidr = "172.31.0.0/28".parse().expect("a network"));
            let (scope, id) = key.clone();
            assert_eq!(free_addresses(tx, &scope, &id), 11);
            let made: Vec<_> = (0..11).map(|_| create_interface(tx, cx, new(&id, false)).expect("room")).collect();
            let addresses: BTreeSet<_> = made.iter().map(|interface| interface.address).collect();
            assert_eq!(addresses, tx.subnets().get(&key).expect("the subnet").usable().collect());
            assert_eq!(free_addresses(tx, &scope, &id), 0);
            let full = create_interface(tx, cx, new(&id, false)).expect_err("the subnet is full");
            assert_eq!(full, NoAddress::Full(id.clone()));

            assert_eq!(delete_interface(tx, &scope, &made[3].id), Some(made[3].clone()));
            assert_eq!(delete_interface(tx, &scope, &made[3].id), None);
            assert_eq!(create_interface(tx, cx, new(&id, false)).expect("room").address, made[3].address);
        });
    }

    #[test]
    fn public_addresses_come_from_the_pool_once_each() {
        let fixture = Fixture::new();
        fixture.write(|tx, cx| {
            let (_, id) = a_subnet(tx);
            let public: BTreeSet<_> = (0..50)
                .map(|_| create_interface(tx, cx, new(&id, true)).expect("room").public_address.expect("asked for"))
                .collect();
            assert_eq!(public.len(), 50);
            assert!(public.iter().all(|address| cx.settings.public_pool.contains(*address)));
        });
    }

    #[test]
    fn hardware_addresses_are_local_and_unicast() {
        assert_eq!(mac(0x0123_4567_89ab_cdef), "0a:01:23:45:67:89");
    }
}

//! Interfaces and addresses, as ECS, ELB and EC2's own operations make and free them.
//!
//! Everything works inside the caller's transaction: a task and its interface are one write.

use crate::Cx;
use longshore_planner::subnet::free_address;
use longshore_store::tables::{NetworkInterfaces, SecurityGroups};
use longshore_store::{Snapshot, Tx};
use longshore_types::ec2::{EniOwner, NetworkInterface, Subnet};
use longshore_types::id::{EniId, SecurityGroupId, SubnetId, VpcId};
use longshore_types::{Scope, Tags};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// What is wanted of a new interface; its ids and addresses are chosen by [`create_interface`].
#[derive(Clone, Debug)]
pub struct NewInterface<'a> {
    pub subnet: &'a Subnet,
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
    #[error("subnet {0} has no free address")]
    Subnet(SubnetId),
    #[error("the pool of public addresses is used up")]
    PublicPool,
}

/// Makes an interface with a free private address of its subnet, and a public one if asked for.
///
/// The search for an address starts at a random one: an address that was just freed is seldom given out at once, which
/// matters to peers that still hold connections to it, and no cursor has to be stored.
pub fn create_interface(tx: &mut Tx, cx: &Cx, new: NewInterface<'_>) -> Result<NetworkInterface, NoAddress> {
    let taken = taken_addresses(tx, &cx.scope, &new.subnet.id);
    let start = new.subnet.cidr.nth(cx.ids().next_u64() % new.subnet.cidr.size());
    let address = free_address(new.subnet.usable().collect::<Vec<_>>().into_iter(), &taken, start)
        .ok_or_else(|| NoAddress::Subnet(new.subnet.id.clone()))?;
    create_interface_at(tx, cx, new, address)
}

/// Makes an interface with a private address that the caller knows to be free and in the subnet.
pub fn create_interface_at(
    tx: &mut Tx,
    cx: &Cx,
    new: NewInterface<'_>,
    address: Ipv4Addr,
) -> Result<NetworkInterface, NoAddress> {
    let public_address = match new.public {
        true => Some(free_public_address(tx, cx).ok_or(NoAddress::PublicPool)?),
        false => None,
    };
    let interface = NetworkInterface {
        id: EniId(cx.ids().ec2("eni")),
        vpc: new.subnet.vpc.clone(),
        subnet: new.subnet.id.clone(),
        zone: new.subnet.zone.clone(),
        address,
        mac: mac(cx.ids().next_u64()),
        security_groups: new.security_groups,
        public_address,
        description: new.description,
        owner: new.owner,
        created_at: cx.now,
        tags: new.tags,
    };
    tx.network_interfaces().put((cx.scope.clone(), interface.id.clone()), interface.clone());
    Ok(interface)
}

/// Removes an interface and frees its addresses; `None` if there is none of this id.
pub fn delete_interface(tx: &mut Tx, scope: &Scope, id: &EniId) -> Option<NetworkInterface> {
    let removed = tx.network_interfaces().remove(&(scope.clone(), id.clone()))?;
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

/// Addresses of a subnet that a new interface could get.
pub fn free_addresses(state: &Snapshot, scope: &Scope, subnet: &Subnet) -> usize {
    let usable = usize::try_from(subnet.cidr.size().saturating_sub(Subnet::RESERVED)).unwrap_or(usize::MAX);
    let index = state.network_interfaces().by_index(&NetworkInterfaces::BY_SUBNET, &(scope.clone(), subnet.id.clone()));
    usable.saturating_sub(index.count())
}

/// Private addresses of a subnet's interfaces.
pub fn taken_addresses(state: &Snapshot, scope: &Scope, subnet: &SubnetId) -> BTreeSet<Ipv4Addr> {
    state
        .network_interfaces()
        .by_index(&NetworkInterfaces::BY_SUBNET, &(scope.clone(), subnet.clone()))
        .map(|interface| interface.address)
        .collect()
}

/// A free address of the pool, looking from a random one on. The pool's first and last address stay unused, because
/// tools take them for the network itself and its broadcast.
fn free_public_address(state: &Snapshot, cx: &Cx) -> Option<Ipv4Addr> {
    let pool = cx.settings.public_pool;
    let usable = pool.size().saturating_sub(2);
    let start = cx.ids().next_u64().checked_rem(usable)?;
    (0..usable).filter_map(|n| pool.nth(1 + (start + n) % usable)).find(|address| {
        let key = u64::from(u32::from(*address));
        state.network_interfaces().find(&NetworkInterfaces::BY_PUBLIC_ADDRESS, &key).is_none()
    })
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

    fn new(subnet: &Subnet, public: bool) -> NewInterface<'_> {
        NewInterface {
            subnet,
            security_groups: Vec::new(),
            owner: EniOwner::User,
            description: String::new(),
            public,
            tags: Tags::default(),
        }
    }

    #[test]
    fn a_small_subnet_fills_up_and_frees() {
        let fixture = Fixture::new();
        fixture.write(|tx, cx| {
            let mut subnet = Subnet::clone(&tx.snapshot().subnets().all().next().expect("a default subnet"));
            subnet.cidr = "172.31.0.0/28".parse().expect("a network");
            assert_eq!(free_addresses(tx, &cx.scope, &subnet), 11);
            let made: Vec<_> = (0..11).map(|_| create_interface(tx, cx, new(&subnet, false)).expect("room")).collect();
            let addresses: BTreeSet<_> = made.iter().map(|interface| interface.address).collect();
            assert_eq!(addresses, subnet.usable().collect());
            assert_eq!(free_addresses(tx, &cx.scope, &subnet), 0);
            let full = create_interface(tx, cx, new(&subnet, false)).expect_err("the subnet is full");
            assert_eq!(full, NoAddress::Subnet(subnet.id.clone()));

            assert_eq!(delete_interface(tx, &cx.scope, &made[3].id), Some(made[3].clone()));
            assert_eq!(delete_interface(tx, &cx.scope, &made[3].id), None);
            assert_eq!(create_interface(tx, cx, new(&subnet, false)).expect("room").address, made[3].address);
        });
    }

    #[test]
    fn public_addresses_come_from_the_pool_once_each() {
        let fixture = Fixture::new();
        fixture.write(|tx, cx| {
            let subnet = Subnet::clone(&tx.snapshot().subnets().all().next().expect("a default subnet"));
            let public: BTreeSet<_> = (0..50)
                .map(|_| create_interface(tx, cx, new(&subnet, true)).expect("room").public_address.expect("asked for"))
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

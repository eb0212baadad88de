//! One interface: a veth pair between a VPC and a task, and what its address may do.

use std::net::Ipv4Addr;
use std::os::fd::AsFd;

use super::Plane;
use super::vpc::{Host, VpcPlane};
use crate::cidr::Cidr;
use crate::config::{Eni, MacAddr, check_id};
use crate::error::{Doing, NetworkError};
use crate::ledger::Attached;
use crate::namespace::Namespace;
use crate::netlink::route::{self, LOOPBACK, LinkCounters, Route, VethEnd, Via};
use crate::netlink::socket::missing_is_fine;
use crate::netlink::{NetlinkError, Socket};

/// The interface's name inside the task.
const TASK_LINK: &str = "eth0";
/// The router's Ethernet address on every interface (locally administered).
const ROUTER_MAC: MacAddr = MacAddr([0x0e, 0x6c, 0x73, 0x00, 0x00, 0x01]);

/// Name of the VPC's end: `e` and the last 14 letters and digits of the id, which are random in it.
pub fn link_name(eni: &str) -> String {
    let plain: Vec<char> = eni.chars().filter(char::is_ascii_alphanumeric).collect();
    let last = &plain[plain.len().saturating_sub(14)..];
    format!("e{}", last.iter().collect::<String>())
}

impl Plane {
    /// Connects the task in `target` as `eni`. What was attached under the same id before is replaced.
    pub fn attach(&mut self, vpc: &str, eni: Eni, pid: u32) -> Result<(), NetworkError> {
        let target = Namespace::of_process(pid)?;
        if target.is_same(&self.host.namespace)? {
            // Configuring that one would take over the host's own network.
            return Err(NetworkError::NotIsolated(pid));
        }
        self.check_eni(vpc, &eni)?;
        if let Some(before) = self.vpc_of(&eni.id) {
            self.detach(&before, &eni.id)?;
            // At once: the task may be the same, where the new `eth0` needs the old one's place.
            self.remove_debris();
        }
        let plane = self.vpcs.get_mut(vpc).ok_or_else(|| NetworkError::UnknownVpc(vpc.to_owned()))?;
        if plane.debris.addresses.contains(&eni.address) {
            // The former owner's connections must not become the new one's.
            plane.remove_debris().doing(|| format!("forget the connections of {}", eni.address))?;
        }
        if let Err(error) = plane.connect_task(&eni, &target, &self.host) {
            plane
                .disconnect_task(&eni, &mut self.host)
                .unwrap_or_else(|error| tracing::warn!(eni = eni.id, %error, "left an interface behind"));
            return Err(error);
        }
        if let Some(route) = plane.public_route(&eni) {
            self.host
                .route
                .request(&[route::set_route(route)])
                .doing(|| format!("route {} to {}", route.to, eni.id))?;
        }
        self.ledger.add(&Attached { vpc: vpc.to_owned(), eni })
    }

    /// Takes the interface apart; it may be gone already, wholly or in part. Its link loses every right now and
    /// is deleted with the next [`Plane::remove_debris`].
    pub fn detach(&mut self, vpc: &str, eni: &str) -> Result<(), NetworkError> {
        check_id(eni)?;
        self.ledger.remove(eni)?;
        let Some(plane) = self.vpcs.get_mut(vpc) else {
            return Ok(());
        };
        let Some(eni) = plane.enis.get(eni).cloned() else {
            return Ok(());
        };
        plane.disconnect_task(&eni, &mut self.host)
    }

    /// Changes security groups and public address of an attached interface. Established connections stay.
    pub fn update_eni(&mut self, vpc: &str, eni: Eni) -> Result<(), NetworkError> {
        self.check_eni(vpc, &eni)?;
        let plane = self.vpcs.get_mut(vpc).ok_or_else(|| NetworkError::UnknownVpc(vpc.to_owned()))?;
        let before = plane.enis.get(&eni.id).cloned().ok_or_else(|| NetworkError::UnknownEni(eni.id.clone()))?;
        if (before.address, before.mac, &before.subnet) != (eni.address, eni.mac, &eni.subnet) {
            return Err(NetworkError::Immutable(eni.id));
        }
        self.ledger.add(&Attached { vpc: vpc.to_owned(), eni: eni.clone() })?;
        plane.admit(&eni, &self.host)?;
        let (old, new) = (plane.public_route(&before), plane.public_route(&eni));
        if old != new {
            let delete = old.map(route::delete_route).into_iter().collect::<Vec<_>>();
            let add = new.map(route::set_route).into_iter().collect::<Vec<_>>();
            missing_is_fine(self.host.route.request(&delete))
                .and_then(|()| self.host.route.request(&add))
                .doing(|| format!("route the public address of {}", eni.id))?;
        }
        Ok(())
    }

    /// What went through the interface, as the task sees it. All zero once its link is gone.
    pub fn counters(&mut self, eni: &str) -> Result<LinkCounters, NetworkError> {
        let vpc = self.vpc_of(eni).ok_or_else(|| NetworkError::UnknownEni(eni.to_owned()))?;
        let plane = self.vpcs.get_mut(&vpc).ok_or(NetworkError::UnknownVpc(vpc))?;
        let link = plane.route.link(&link_name(eni)).doing(|| format!("read the counters of {eni}"))?;
        Ok(link.map(|link| link.counters.seen_from_peer()).unwrap_or_default())
    }

    fn check_eni(&self, vpc: &str, eni: &Eni) -> Result<(), NetworkError> {
        check_id(&eni.id)?;
        let plane = self.vpcs.get(vpc).ok_or_else(|| NetworkError::UnknownVpc(vpc.to_owned()))?;
        if !plane.config.subnet(&eni.subnet).is_some_and(|subnet| subnet.cidr.contains(eni.address)) {
            return Err(NetworkError::Subnet { vpc: vpc.to_owned(), subnet: eni.subnet.clone(), address: eni.address });
        }
        for group in &eni.security_groups {
            if !plane.config.security_groups.iter().any(|known| known.id == *group) {
                return Err(NetworkError::UnknownGroup { vpc: vpc.to_owned(), group: group.clone() });
            }
        }
        let taken = |address, owner: &str| Err(NetworkError::AddressInUse { address, owner: owner.to_owned() });
        if plane.is_local(eni.address) {
            return taken(eni.address, vpc);
        }
        if let Some(other) = plane.enis.values().find(|other| other.address == eni.address && other.id != eni.id) {
            return taken(eni.address, &other.id);
        }
        if let Some(public) = eni.public_address {
            let all = self.vpcs.values().flat_map(|plane| plane.enis.values());
            if let Some(other) =
                all.into_iter().find(|other| other.public_address == Some(public) && other.id != eni.id)
            {
                return taken(public, &other.id);
            }
        }
        Ok(())
    }

    fn vpc_of(&self, eni: &str) -> Option<String> {
        self.vpcs.iter().find(|(_, plane)| plane.enis.contains_key(eni)).map(|(vpc, _)| vpc.clone())
    }
}

impl VpcPlane {
    fn is_local(&self, address: Ipv4Addr) -> bool {
        let config = &self.config;
        config.resolver() == Some(address)
            || config.subnets.iter().any(|subnet| subnet.gateway() == Some(address))
            || config.local_addresses.iter().any(|local| local.address == address)
    }

    fn connect_task(&mut self, eni: &Eni, target: &Namespace, host: &Host) -> Result<(), NetworkError> {
        self.add_link(eni, target).doing(|| format!("make the link of {}", eni.id))?;
        let mut task = target
            .inside(&host.namespace, Socket::route)?
            .doing(|| format!("open a socket in the namespace of {}", eni.id))?;
        let subnet = self.config.subnet(&eni.subnet);
        let (prefix, router) =
            subnet.and_then(|subnet| Some((subnet.cidr.prefix(), subnet.gateway()?))).unwrap_or((32, eni.address));
        set_up_task(&mut task, eni.address, prefix, router).doing(|| format!("set up {TASK_LINK} of {}", eni.id))?;
        self.route.await_running(&link_name(&eni.id)).doing(|| format!("bring up the link of {}", eni.id))?;
        self.admit(eni, host)
    }

    fn add_link(&mut self, eni: &Eni, target: &Namespace) -> Result<(), NetlinkError> {
        let name = link_name(&eni.id);
        let near = VethEnd { name: &name, mac: Some(ROUTER_MAC) };
        let far = VethEnd { name: TASK_LINK, mac: Some(eni.mac) };
        let pair = [route::add_veth(near, far, target.as_fd())];
        if let Err(error) = self.route.request(&pair) {
            // Debris of an attempt that a crash cut short, on this side; one on the task's side is the task's own.
            match self.route.link(&name)? {
                Some(old) if error.is_there_already() => self.route.request(&[route::delete_link(old.index)])?,
                _ => return Err(error),
            }
            self.route.request(&pair)?;
        }
        let link = self.route.link(&name)?.ok_or_else(no_such_link)?;
        let here = Cidr::containing(eni.address, 32).expect("32 is a prefix length");
        self.route.request(&[
            route::set_route(Route { to: here, via: Via::Link(link.index) }),
            route::add_neighbour(link.index, eni.address, eni.mac),
        ])
    }

    /// Makes the interface a member of its groups: from here on packets pass.
    fn admit(&mut self, eni: &Eni, host: &Host) -> Result<(), NetworkError> {
        self.enis.insert(eni.id.clone(), eni.clone());
        let is_new = !self.has_chains_for(&eni.security_groups);
        let elements = self.elements_of(eni);
        if is_new {
            self.sync_table(host)?;
        }
        self.set_elements(vec![(eni.address, elements)], host)
    }

    fn disconnect_task(&mut self, eni: &Eni, host: &mut Host) -> Result<(), NetworkError> {
        let doing = || format!("remove {}", eni.id);
        let public = self.public_route(eni);
        self.enis.remove(&eni.id);
        // First of all nothing more passes. Where that fails, for the table does not load, the rest goes all the same.
        let is_shut = self.set_elements(vec![(eni.address, vec![])], host);
        self.debris.addresses.insert(eni.address);
        self.debris.links.extend(self.route.link(&link_name(&eni.id)).doing(doing)?.map(|link| link.index));
        if let Some(public) = public {
            missing_is_fine(host.route.request(&[route::delete_route(public)])).doing(doing)?;
        }
        is_shut
    }
}

/// Address, routes and neighbour inside the task, in one exchange. The subnet is not on-link: the router takes
/// everything, as it would on AWS, so no neighbour has to be looked up and nobody can answer for another.
fn set_up_task(task: &mut Socket, address: Ipv4Addr, prefix: u8, router: Ipv4Addr) -> Result<(), NetlinkError> {
    let link = task.link(TASK_LINK)?.ok_or_else(no_such_link)?.index;
    let to_router = Cidr::containing(router, 32).expect("32 is a prefix length");
    task.request(&[
        route::set_up(LOOPBACK),
        route::set_up(link),
        route::add_address(link, address, prefix, false),
        route::set_route(Route { to: to_router, via: Via::Link(link) }),
        route::set_route(Route { to: Cidr::ANY, via: Via::Router(router, link) }),
        route::add_neighbour(link, router, ROUTER_MAC),
    ])
}

fn no_such_link() -> NetlinkError {
    NetlinkError::Refused { position: 0, error: std::io::Error::from_raw_os_error(libc::ENODEV) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_names_fit_and_tell_the_interface() {
        assert_eq!(link_name("eni-0123456789abcdef0"), "e3456789abcdef0");
        assert_eq!(link_name("eni-1"), "eeni1");
        assert!(link_name(&"x".repeat(64)).len() <= 15);
    }
}

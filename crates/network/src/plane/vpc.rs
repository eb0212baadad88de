//! One VPC in the kernel: its namespace, its uplink, its router's addresses and routes, its table.
//!
//! Each `sync_*` compares what is with what should be and changes the difference, so it serves first set-up,
//! a new configuration and adoption after a crash alike.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;

use crate::cidr::Cidr;
use crate::config::{Eni, Subnet, Vpc};
use crate::error::{Doing, NetworkError};
use crate::namespace::{self, Namespace};
use crate::netlink::conntrack::forget_addresses;
use crate::netlink::nftables::change_elements;
use crate::netlink::route::{self, LOOPBACK, Route, VethEnd, Via};
use crate::netlink::socket::{existing_is_fine, missing_is_fine};
use crate::netlink::{NetlinkError, Socket};
use crate::nft;
use crate::options::NetworkOptions;
use crate::ruleset::element::{self, Element};
use crate::ruleset::table::Table;
use crate::ruleset::vpc::{self, Combinations, METADATA, RESOLVER};
use crate::ruleset::{TABLE, UPLINK};
use crate::sysctl;

/// The host, seen from a VPC.
#[derive(Debug)]
pub struct Host {
    pub namespace: Namespace,
    pub route: Socket,
    pub filter: Socket,
}

/// The link between a VPC and the host.
#[derive(Clone, Copy, Debug)]
pub struct Uplink {
    /// Index of the host's end, in the host's namespace.
    pub host_index: u32,
    pub vpc_address: Ipv4Addr,
}

/// What detached interfaces leave for later: without elements it is of no use to anyone, and the kernel takes as
/// long for one as for many.
#[derive(Debug, Default)]
pub struct Debris {
    pub links: Vec<u32>,
    /// Addresses whose connections are still tracked.
    pub addresses: BTreeSet<Ipv4Addr>,
}

/// A VPC and what is in effect for it.
#[derive(Debug)]
pub struct VpcPlane {
    pub config: Vpc,
    pub namespace: Namespace,
    pub route: Socket,
    pub filter: Socket,
    pub uplink: Uplink,
    /// Interfaces by id.
    pub enis: BTreeMap<String, Eni>,
    combinations: Combinations,
    /// The table in the kernel; `None` when that is not known and must be replaced as a whole.
    table: Option<Table>,
    pub debris: Debris,
    /// Elements in the kernel, by address (of an interface or local), each list sorted.
    elements: BTreeMap<Ipv4Addr, Vec<Element>>,
}

impl VpcPlane {
    /// Makes or adopts the namespace of `config` and its uplink in `slot`. The table is loaded by the first
    /// [`VpcPlane::sync_table`]; until then nothing passes, or what passed before.
    pub fn open(config: Vpc, slot: u32, options: &NetworkOptions, host: &mut Host) -> Result<VpcPlane, NetworkError> {
        let path = namespace::path_of(&options.run_dir, &config.id);
        let namespace = if namespace::is_mounted(&path) {
            Namespace::open(&path)?
        } else {
            namespace::create(&path, &host.namespace)?
        };
        let sockets = || -> Result<_, NetlinkError> { Ok((Socket::route()?, Socket::netfilter()?)) };
        let (mut route, filter) = namespace.inside(&host.namespace, || -> Result<_, NetworkError> {
            set_router()?;
            sockets().doing(|| format!("open sockets in {}", config.id))
        })??;
        let uplink = connect(&mut route, slot, options, host).doing(|| format!("connect {} to the host", config.id))?;
        host.namespace.inside(&host.namespace, || {
            let name = options.uplink_name(slot);
            // Public addresses of one VPC reach each other by way of the host, in and out of the same link.
            sysctl::set(&format!("ipv4/conf/{name}/send_redirects"), "0")?;
            sysctl::set_if_there(&format!("ipv6/conf/{name}/disable_ipv6"), "1")
        })??;
        Ok(VpcPlane {
            config,
            namespace,
            route,
            filter,
            uplink,
            enis: BTreeMap::new(),
            debris: Debris::default(),
            combinations: Combinations::new(),
            table: None,
            elements: BTreeMap::new(),
        })
    }

    /// Makes everything but the interfaces' links as `self.config` and `self.enis` say.
    pub fn sync(&mut self, host: &Host) -> Result<(), NetworkError> {
        let id = self.config.id.clone();
        self.sync_addresses().doing(|| format!("set the router's addresses of {id}"))?;
        self.sync_routes().doing(|| format!("set the routes of {id}"))?;
        self.sync_table(host)?;
        self.sync_elements(host)?;
        // Only now: until its elements changed, an interface was still in its old combination.
        let used: BTreeSet<_> = self.groups_in_use().cloned().collect();
        self.combinations.retain(|combination, _| used.contains(combination));
        self.sync_table(host)
    }

    /// Addresses of the router, the link-local services, the load balancers: all on the loopback link, so that
    /// they answer on every interface.
    fn sync_addresses(&mut self) -> Result<(), NetlinkError> {
        let wanted = self.own_addresses();
        if !wanted.is_disjoint(&self.debris.addresses) {
            // A load balancer gets the address of a former interface, whose connections must not become its own.
            self.remove_debris()?;
        }
        let present: BTreeSet<Ipv4Addr> = self
            .route
            .addresses(LOOPBACK)?
            .into_iter()
            .filter(|(_, prefix)| *prefix == 32)
            .map(|(address, _)| address)
            .collect();
        let add = wanted.difference(&present).map(|address| route::add_address(LOOPBACK, *address, 32, true));
        let delete = present.difference(&wanted).map(|address| route::delete_address(LOOPBACK, *address, 32));
        self.route.request(&add.chain(delete).collect::<Vec<_>>())?;
        self.debris.addresses.extend(present.difference(&wanted));
        Ok(())
    }

    /// Addresses that processes answer at in the VPC's namespace.
    fn own_addresses(&self) -> BTreeSet<Ipv4Addr> {
        let config = &self.config;
        [METADATA, RESOLVER]
            .into_iter()
            .chain(config.resolver())
            .chain(config.subnets.iter().filter_map(Subnet::gateway))
            .chain(config.local_addresses.iter().map(|local| local.address))
            .collect()
    }

    /// Addresses of the VPC that nobody has lead nowhere, rather than to the internet.
    fn sync_routes(&mut self) -> Result<(), NetlinkError> {
        let wanted: BTreeSet<Route> =
            self.config.cidrs.iter().map(|cidr| Route { to: *cidr, via: Via::Blackhole }).collect();
        let present: BTreeSet<Route> =
            self.route.routes()?.into_iter().filter(|route| route.via == Via::Blackhole).collect();
        let add = wanted.difference(&present).map(|route| route::set_route(*route));
        let delete = present.difference(&wanted).map(|route| route::delete_route(*route));
        self.route.request(&add.chain(delete).collect::<Vec<_>>())
    }

    /// Brings chains and rules up to date: a process of `nft` if any differ, nothing otherwise.
    pub fn sync_table(&mut self, host: &Host) -> Result<(), NetworkError> {
        let used: Vec<_> = self.groups_in_use().cloned().collect();
        for groups in used {
            self.number_of(groups);
        }
        let wanted = vpc::table(&self.config, &self.combinations);
        let script = match &self.table {
            Some(table) => wanted.changes_from(table),
            None => {
                self.elements = self.wanted_elements();
                Some(wanted.full(self.elements.values().flatten()))
            }
        };
        if let Some(script) = script {
            // Not known until it has succeeded.
            let was_known = self.table.take().is_some();
            if let Err(error) = self.namespace.inside(&host.namespace, || nft::run(&script))? {
                if was_known {
                    tracing::warn!(vpc = self.config.id, %error, "ruleset out of step, replacing it");
                    return self.sync_table(host);
                }
                return Err(error).doing(|| format!("load the security groups of {}", self.config.id));
            }
        }
        self.table = Some(wanted);
        Ok(())
    }

    /// Brings the elements of every address up to date, in one transaction.
    fn sync_elements(&mut self, host: &Host) -> Result<(), NetworkError> {
        let wanted = self.wanted_elements();
        let addresses: BTreeSet<_> = self.elements.keys().chain(wanted.keys()).copied().collect();
        let changes =
            addresses.into_iter().map(|address| (address, wanted.get(&address).cloned().unwrap_or_default())).collect();
        self.set_elements(changes, host)
    }

    /// Makes the elements of each of these addresses exactly as given (none: an empty list), in one transaction.
    /// Rebuilds the whole table if the kernel's turns out to differ from what we know.
    pub fn set_elements(&mut self, changes: Vec<(Ipv4Addr, Vec<Element>)>, host: &Host) -> Result<(), NetworkError> {
        let (mut remove, mut add) = (vec![], vec![]);
        for (address, wanted) in changes {
            let present = self.elements.remove(&address).unwrap_or_default();
            let (gone, new) = element::difference(&present, &wanted);
            remove.extend(gone);
            add.extend(new);
            if !wanted.is_empty() {
                self.elements.insert(address, wanted);
            }
        }
        remove.sort();
        add.sort();
        if let Err(error) = change_elements(&mut self.filter, TABLE, &remove, &add) {
            tracing::warn!(vpc = self.config.id, %error, "security-group members out of step, replacing the ruleset");
            self.table = None;
            self.sync_table(host)?;
        }
        Ok(())
    }

    /// Elements of an interface. Its combination gets a number, and so the table may have to follow.
    pub fn elements_of(&mut self, eni: &Eni) -> Vec<Element> {
        let number = self.number_of(eni.security_groups.clone());
        element::of_eni(eni, &self.config, number)
    }

    /// Whether the kernel's table has the chains of that combination.
    pub fn has_chains_for(&self, groups: &BTreeSet<String>) -> bool {
        self.table.is_some() && self.combinations.contains_key(groups)
    }

    fn wanted_elements(&mut self) -> BTreeMap<Ipv4Addr, Vec<Element>> {
        let mut wanted = BTreeMap::new();
        for local in self.config.local_addresses.clone() {
            let number = self.number_of(local.security_groups.clone());
            let mut elements = element::of_member(local.address, &local.security_groups, number);
            elements.sort();
            wanted.insert(local.address, elements);
        }
        for eni in self.enis.values().cloned().collect::<Vec<_>>() {
            wanted.insert(eni.address, self.elements_of(&eni));
        }
        wanted
    }

    fn groups_in_use(&self) -> impl Iterator<Item = &BTreeSet<String>> {
        let locals = self.config.local_addresses.iter().map(|local| &local.security_groups);
        locals.chain(self.enis.values().map(|eni| &eni.security_groups))
    }

    fn number_of(&mut self, groups: BTreeSet<String>) -> u32 {
        let next = self.combinations.values().max().map_or(1, |last| last + 1);
        *self.combinations.entry(groups).or_insert(next)
    }

    /// Deletes links and connections of detached interfaces.
    pub fn remove_debris(&mut self) -> Result<(), NetlinkError> {
        let Debris { links, addresses } = std::mem::take(&mut self.debris);
        delete_links(&mut self.route, &links)?;
        if addresses.is_empty() {
            return Ok(());
        }
        forget_addresses(&mut self.filter, |address| addresses.contains(&address))
    }

    /// Forgets the connections of those addresses of the VPC that nobody has: their owners went while nobody managed
    /// the network, or just before.
    pub fn forget_former_owners(&mut self) -> Result<(), NetlinkError> {
        let mut owned = self.own_addresses();
        owned.extend(self.enis.values().map(|eni| eni.address));
        let cidrs = &self.config.cidrs;
        forget_addresses(&mut self.filter, |address| {
            !owned.contains(&address) && cidrs.iter().any(|cidr| cidr.contains(address))
        })
    }

    /// Routes of the host that lead to public addresses of this VPC: of interfaces, and of NAT gateways, for answers.
    pub fn public_routes(&self) -> impl Iterator<Item = Route> {
        let nat = self.config.nat_addresses().into_iter().filter_map(|address| self.route_to(address));
        self.enis.values().filter_map(|eni| self.public_route(eni)).chain(nat)
    }

    /// The host's route to an interface's public address, if it has one that is in effect.
    pub fn public_route(&self, eni: &Eni) -> Option<Route> {
        self.route_to(element::public_address(eni, &self.config)?)
    }

    fn route_to(&self, public: Ipv4Addr) -> Option<Route> {
        let via = Via::Router(self.uplink.vpc_address, self.uplink.host_index);
        Some(Route { to: Cidr::containing(public, 32)?, via })
    }

    /// Deletes every link of the VPC, whoever still holds the namespace, and unmounts it.
    pub fn remove(mut self, options: &NetworkOptions) -> Result<(), NetworkError> {
        delete_all_links(&mut self.route).doing(|| format!("delete the links of {}", self.config.id))?;
        Ok(namespace::remove(&namespace::path_of(&options.run_dir, &self.config.id))?)
    }
}

/// Deletes every link but the loopback one.
pub fn delete_all_links(route: &mut Socket) -> Result<(), NetlinkError> {
    let links: Vec<_> = route.links()?.into_iter().map(|link| link.index).filter(|index| *index != LOOPBACK).collect();
    delete_links(route, &links)
}

/// Deletes links of a VPC's namespace together. Some may be gone: a link dies with its peer.
fn delete_links(route: &mut Socket, links: &[u32]) -> Result<(), NetlinkError> {
    // Nobody else makes groups in our namespaces.
    const DELETED: u32 = 1;
    for links in links.chunks(256) {
        missing_is_fine(
            route.request(&links.iter().map(|index| route::set_group(*index, DELETED)).collect::<Vec<_>>()),
        )?;
        missing_is_fine(route.request(&[route::delete_group(DELETED)]))?;
    }
    Ok(())
}

/// Settings of a VPC's namespace; those of `default` are inherited by every link made later.
fn set_router() -> Result<(), NetworkError> {
    // All of them, because a new namespace starts with the host's settings, whatever these are.
    sysctl::set("ipv4/ip_forward", "1")?;
    for (name, value) in [
        // A packet must come from the link that leads to its source: no interface can use another's address.
        ("rp_filter", "1"),
        ("accept_local", "0"),
        ("accept_source_route", "0"),
        ("route_localnet", "0"),
        // For tasks that ask for a neighbour in their subnet instead of sending to the router.
        ("proxy_arp", "1"),
        ("arp_ignore", "0"),
        ("arp_filter", "0"),
        ("send_redirects", "0"),
        ("accept_redirects", "0"),
    ] {
        for scope in ["all", "default"] {
            sysctl::set(&format!("ipv4/conf/{scope}/{name}"), value)?;
        }
    }
    sysctl::set_if_there("ipv6/conf/all/disable_ipv6", "1")?;
    sysctl::set_if_there("ipv6/conf/default/disable_ipv6", "1")
}

/// Makes the uplink where it is missing, and sets its addresses and the default route.
fn connect(route: &mut Socket, slot: u32, options: &NetworkOptions, host: &mut Host) -> Result<Uplink, NetlinkError> {
    let name = options.uplink_name(slot);
    let (host_address, vpc_address) =
        options.uplink_addresses(slot).expect("slots are given out below the size of the pool");
    route.request(&[route::set_up(LOOPBACK)])?;
    let mut near = route.link(UPLINK)?;
    let mut far = host.route.link(&name)?;
    if near.is_none() || far.is_none() {
        // Half a pair, or a foreign link of our name: both ends go.
        if let Some(near) = near {
            missing_is_fine(route.request(&[route::delete_link(near.index)]))?;
        }
        if let Some(far) = far {
            missing_is_fine(host.route.request(&[route::delete_link(far.index)]))?;
        }
        let near_end = VethEnd { name: UPLINK, mac: None };
        let far_end = VethEnd { name: &name, mac: None };
        route.request(&[route::add_veth(near_end, far_end, host.namespace.as_fd())])?;
        near = route.link(UPLINK)?;
        far = host.route.link(&name)?;
    }
    let (Some(near), Some(far)) = (near, far) else {
        let error = std::io::Error::from_raw_os_error(libc::ENODEV);
        return Err(NetlinkError::Refused { position: 0, error });
    };
    host.route.request(&[route::set_up(far.index)])?;
    existing_is_fine(host.route.request(&[route::add_address(far.index, host_address, 30, true)]))?;
    existing_is_fine(route.request(&[route::add_address(near.index, vpc_address, 30, true)]))?;
    route.request(&[route::set_route(Route { to: Cidr::ANY, via: Via::Router(host_address, near.index) })])?;
    route.await_running(UPLINK)?;
    Ok(Uplink { host_index: far.index, vpc_address })
}

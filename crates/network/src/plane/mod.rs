//! The one owner of the node's network: state and sockets, on a thread of its own.
//!
//! Every method runs to its end before the next begins. That costs little, because the kernel does such work one
//! at a time anyway, and it makes each a transaction that a reader can follow.

mod host;
mod interface;
mod vpc;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::config::{NetworkConfig, Vpc};
use crate::error::{Doing, NetworkError};
use crate::ledger::{Attached, Ledger, State};
use crate::namespace::{self, Namespace};
use crate::netlink::Socket;
use crate::netlink::route::{self, Link, Route, Via};
use crate::netlink::socket::missing_is_fine;
use crate::options::NetworkOptions;
use crate::ruleset::UPLINK;
use vpc::{Host, VpcPlane};

/// State of the network of one node. Lives on a thread whose network namespace is the host's.
#[derive(Debug)]
pub struct Plane {
    options: NetworkOptions,
    host: Host,
    ledger: Ledger,
    state: State,
    /// Docker's bridge was there when we last looked.
    docker_seen: bool,
    vpcs: BTreeMap<String, VpcPlane>,
}

impl Plane {
    /// Takes over what a former process left, finishing or removing what it left half done.
    pub fn open(options: NetworkOptions) -> Result<Plane, NetworkError> {
        options.check()?;
        let ledger = Ledger::open(&options.run_dir)?;
        let doing = || "open a socket".to_owned();
        let mut host = Host {
            namespace: Namespace::current()?,
            route: Socket::route().doing(doing)?,
            filter: Socket::netfilter().doing(doing)?,
        };
        let mut state = ledger.state()?;
        state.forwarding_was_off |= host::forwarding_was_off(&mut host.filter)?;
        ledger.set_state(&state)?;
        host::set_up(&options, state.forwarding_was_off)?;
        let mut plane = Plane { options, host, ledger, state, docker_seen: false, vpcs: BTreeMap::new() };
        plane.adopt()?;
        Ok(plane)
    }

    /// Makes the kernel as the ledger says.
    fn adopt(&mut self) -> Result<(), NetworkError> {
        for vpc in self.state.config.vpcs.clone() {
            self.open_vpc(vpc)?;
        }
        self.remove_unknown_namespaces()?;
        self.free_unknown_slots()?;
        for Attached { vpc, eni } in self.ledger.attached()? {
            let there = match self.vpcs.get_mut(&vpc) {
                Some(plane) => {
                    plane.route.link(&interface::link_name(&eni.id)).doing(|| format!("look for {}", eni.id))?.is_some()
                }
                None => false,
            };
            match self.vpcs.get_mut(&vpc).filter(|_| there) {
                Some(plane) => drop(plane.enis.insert(eni.id.clone(), eni)),
                // Its task ended meanwhile, and the link with it.
                None => self.ledger.remove(&eni.id)?,
            }
        }
        for plane in self.vpcs.values_mut() {
            let known: BTreeSet<_> = plane
                .enis
                .keys()
                .map(|eni| interface::link_name(eni))
                .chain([UPLINK.to_owned(), "lo".to_owned()])
                .collect();
            let links = plane.route.links().doing(|| format!("list the links of {}", plane.config.id))?;
            plane.debris.links =
                links.into_iter().filter(|link| !known.contains(&link.name)).map(|link| link.index).collect();
            if let Err(error) = plane.sync(&self.host) {
                // The next configuration, which may be better, is tried again.
                tracing::warn!(vpc = plane.config.id, %error, "cannot bring a VPC up to date");
            }
        }
        self.remove_debris();
        for plane in self.vpcs.values_mut() {
            if let Err(error) = plane.forget_former_owners() {
                tracing::warn!(vpc = plane.config.id, %error, "cannot forget connections of former interfaces");
            }
        }
        self.sync_public_routes()
    }

    pub fn generation(&self) -> u64 {
        self.state.config.generation
    }

    /// Makes the network as `config` says. The same generation may come again; an older one is refused. Goes on after
    /// a failure and returns the first.
    pub fn apply(&mut self, config: NetworkConfig) -> Result<(), NetworkError> {
        config.check()?;
        let current = self.state.config.generation;
        if config.generation < current {
            return Err(NetworkError::Stale { current, offered: config.generation });
        }
        let wanted: BTreeSet<&String> = config.vpcs.iter().map(|vpc| &vpc.id).collect();
        let mut state = self.state.clone();
        for vpc in &wanted {
            if !state.slots.contains_key(*vpc) {
                let used: BTreeSet<_> = state.slots.values().collect();
                let free =
                    (0..self.options.slots()).find(|slot| !used.contains(slot)).ok_or(NetworkError::PoolExhausted)?;
                state.slots.insert((*vpc).clone(), free);
            }
        }
        self.repair_host()?;
        // Intent first: after a crash from here on, `adopt` finishes it.
        state.config = config.clone();
        self.ledger.set_state(&state)?;
        self.state = state;

        // What is wrong with one VPC is not to keep the others as they were.
        let mut failures = Failures::default();
        let gone: Vec<_> = self.vpcs.keys().filter(|id| !wanted.contains(id)).cloned().collect();
        for id in gone {
            failures.note(self.remove_vpc(&id));
        }
        for vpc in config.vpcs {
            match self.vpcs.get_mut(&vpc.id) {
                Some(plane) => plane.config = vpc,
                None => failures.note(self.open_vpc(vpc)),
            }
        }
        for plane in self.vpcs.values_mut() {
            failures.note(plane.sync(&self.host));
        }
        failures.note(self.sync_public_routes());
        failures.first()
    }

    /// Sets the host up again if somebody undid it, or if Docker came after us and closed its firewall.
    pub fn repair_host(&mut self) -> Result<(), NetworkError> {
        let docker = self.host.route.link("docker0").doing(|| "look for Docker".to_owned())?;
        let is_new = docker.is_some() && !std::mem::replace(&mut self.docker_seen, docker.is_some());
        if is_new || !host::is_set_up(&self.options.tag, &mut self.host.filter)? {
            tracing::info!("setting up the host's forwarding and filter again");
            host::set_up(&self.options, self.state.forwarding_was_off)?;
        }
        Ok(())
    }

    /// Deletes links and connections of detached interfaces. A failure is logged: the next [`Plane::open`] finds
    /// the links again.
    pub fn remove_debris(&mut self) {
        for plane in self.vpcs.values_mut() {
            if let Err(error) = plane.remove_debris() {
                tracing::warn!(vpc = plane.config.id, %error, "cannot delete what detached interfaces left");
            }
        }
    }

    /// Number of detached interfaces that wait for [`Plane::remove_debris`].
    pub fn debris(&self) -> usize {
        self.vpcs.values().map(|plane| plane.debris.links.len().max(plane.debris.addresses.len())).sum()
    }

    /// Every interface that is attached, with its VPC.
    pub fn attached(&self) -> Vec<Attached> {
        let of = |(vpc, plane): (&String, &VpcPlane)| {
            plane.enis.values().map(|eni| Attached { vpc: vpc.clone(), eni: eni.clone() }).collect::<Vec<_>>()
        };
        self.vpcs.iter().flat_map(of).collect()
    }

    fn open_vpc(&mut self, config: Vpc) -> Result<(), NetworkError> {
        let id = config.id.clone();
        let slot = *self.state.slots.get(&id).ok_or_else(|| NetworkError::UnknownVpc(id.clone()))?;
        let plane = VpcPlane::open(config, slot, &self.options, &mut self.host)?;
        self.vpcs.insert(id, plane);
        Ok(())
    }

    fn remove_vpc(&mut self, id: &str) -> Result<(), NetworkError> {
        if let Some(plane) = self.vpcs.remove(id) {
            for eni in plane.enis.keys() {
                self.ledger.remove(eni)?;
            }
            plane.remove(&self.options)?;
        }
        self.state.slots.remove(id);
        self.ledger.set_state(&self.state)
    }

    fn remove_unknown_namespaces(&self) -> Result<(), NetworkError> {
        for id in mounted(&self.options.run_dir)? {
            if !self.vpcs.contains_key(&id) {
                remove_namespace(&self.options.run_dir, &id, &self.host.namespace)?;
            }
        }
        Ok(())
    }

    /// Of VPCs whose removal a crash cut short.
    fn free_unknown_slots(&mut self) -> Result<(), NetworkError> {
        let before = self.state.slots.len();
        self.state.slots.retain(|id, _| self.vpcs.contains_key(id));
        if self.state.slots.len() == before { Ok(()) } else { self.ledger.set_state(&self.state) }
    }

    /// Routes of the host to public addresses: exactly those of attached interfaces.
    fn sync_public_routes(&mut self) -> Result<(), NetworkError> {
        let wanted: BTreeSet<Route> = self.vpcs.values().flat_map(VpcPlane::public_routes).collect();
        let ours: BTreeSet<u32> = self.vpcs.values().map(|plane| plane.uplink.host_index).collect();
        let host = &mut self.host.route;
        let doing = || "set the host's routes to public addresses".to_owned();
        let is_ours = |route: &Route| matches!(route.via, Via::Router(_, link) if ours.contains(&link));
        let present: BTreeSet<Route> = host.routes().doing(doing)?.into_iter().filter(is_ours).collect();
        for route in present.difference(&wanted) {
            missing_is_fine(host.request(&[route::delete_route(*route)])).doing(doing)?;
        }
        for route in wanted.difference(&present) {
            host.request(&[route::set_route(*route)]).doing(doing)?;
        }
        Ok(())
    }
}

/// Removes every trace of the network of `options`, whether or not anything is there. Goes on after a failure
/// and returns the first.
pub fn teardown(options: &NetworkOptions) -> Result<(), NetworkError> {
    options.check()?;
    if !options.run_dir.exists() {
        fs::create_dir_all(&options.run_dir).map_err(|error| NetworkError::File {
            doing: "make folder",
            path: options.run_dir.clone(),
            error,
        })?;
    }
    let ledger = Ledger::open(&options.run_dir)?;
    let home = Namespace::current()?;
    // A damaged file must not keep the rest from being removed.
    let state = ledger.state().unwrap_or_else(|error| {
        tracing::warn!(%error, "cannot tell whether forwarding was on before");
        State::default()
    });
    let mut failures = Failures::default();
    match mounted(&options.run_dir) {
        Ok(ids) => ids.iter().for_each(|id| failures.note(remove_namespace(&options.run_dir, id, &home))),
        Err(error) => failures.note(Err(error)),
    }
    failures.note(delete_uplinks(&options.tag));
    failures.note(host::take_down(&options.tag, state.forwarding_was_off));
    failures.note(ledger.destroy());
    // Other things of the instance may still be in the run directory; what is empty goes.
    let _ = fs::remove_dir(options.run_dir.join("netns"));
    let _ = fs::remove_dir(&options.run_dir);
    failures.first()
}

/// Failures of something that goes on after them: all are logged, the first is the result.
#[derive(Debug, Default)]
struct Failures(Option<NetworkError>);

impl Failures {
    fn note(&mut self, result: Result<(), NetworkError>) {
        if let Err(error) = result {
            tracing::warn!(%error, "going on after a failure");
            self.0.get_or_insert(error);
        }
    }

    fn first(self) -> Result<(), NetworkError> {
        self.0.map_or(Ok(()), Err)
    }
}

/// Whether the host has links or the table of `options`.
pub fn is_present(options: &NetworkOptions) -> Result<bool, NetworkError> {
    let mut route = Socket::route().doing(|| "open a socket".to_owned())?;
    Ok(!uplinks(&options.tag, &mut route)?.is_empty() || host::has_table_of(&options.tag)?)
}

fn delete_uplinks(tag: &str) -> Result<(), NetworkError> {
    let doing = || "delete the host's links".to_owned();
    let mut host = Socket::route().doing(doing)?;
    for link in uplinks(tag, &mut host)? {
        missing_is_fine(host.request(&[route::delete_link(link.index)])).doing(doing)?;
    }
    Ok(())
}

/// The host's ends of the links to VPCs.
fn uplinks(tag: &str, host: &mut Socket) -> Result<Vec<Link>, NetworkError> {
    let prefix = format!("{tag}-");
    let mut links = host.links().doing(|| "list the host's links".to_owned())?;
    links.retain(|link| link.name.starts_with(&prefix));
    Ok(links)
}

/// Ids of the VPCs that have a file in `<run>/netns`.
fn mounted(run_dir: &Path) -> Result<Vec<String>, NetworkError> {
    let folder = run_dir.join("netns");
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => {
            return Err(NetworkError::File { doing: "list", path: folder, error });
        }
    };
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
}

fn remove_namespace(run_dir: &Path, id: &str, home: &Namespace) -> Result<(), NetworkError> {
    let path = namespace::path_of(run_dir, id);
    if namespace::is_mounted(&path) {
        let doing = || format!("delete the links of {id}");
        let mut route = Namespace::open(&path)?.inside(home, Socket::route)?.doing(doing)?;
        vpc::delete_all_links(&mut route).doing(doing)?;
    }
    Ok(namespace::remove(&path)?)
}

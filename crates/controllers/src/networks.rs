//! The VPCs as nodes need them: subnets with their routes and network ACLs, security groups, load balancers' addresses.

use longshore_api::ec2::subnets;
use longshore_planner::routes::{self, Way};
use longshore_store::tables::*;
use longshore_store::{Changes, Snapshot};
use longshore_types::Scope;
use longshore_types::ec2::*;
use longshore_types::id::{EniId, PrefixListId, VpcId};
use longshore_types::node::*;
use std::collections::{BTreeMap, BTreeSet};

type Key = (Scope, VpcId);

/// The networks of the last revision looked at. Tasks come and go far more often than networks change: their interfaces
/// cost nothing here but the first and the last one of a VPC.
#[derive(Debug, Default)]
pub struct Networks {
    vpcs: BTreeMap<Key, VpcIntent>,
    /// Interfaces of load balancers, whose addresses are in their VPC's intent.
    balancers: BTreeSet<(Scope, EniId)>,
}

impl Networks {
    pub fn new(state: &Snapshot) -> Self {
        let mut networks = Self::default();
        networks.rebuild(state);
        networks
    }

    pub fn intents(&self) -> Vec<VpcIntent> {
        self.vpcs.values().cloned().collect()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Scope, &VpcIntent)> {
        self.vpcs.iter().map(|((scope, _), vpc)| (scope, vpc))
    }

    /// Follows the changes; whether a network is different now.
    pub fn update(&mut self, changes: &Changes) -> bool {
        let state = changes.snapshot();
        let rules_changed = [
            touched::<Vpcs>(changes),
            touched::<Subnets>(changes),
            touched::<SecurityGroups>(changes),
            touched::<RouteTables>(changes),
            touched::<InternetGateways>(changes),
            touched::<NatGateways>(changes),
            touched::<NetworkAcls>(changes),
            touched::<PrefixLists>(changes),
        ];
        match changes.keys::<NetworkInterfaces>() {
            Some(interfaces) if rules_changed == [false; 8] => self.update_interfaces(state, &interfaces),
            _ => self.rebuild(state),
        }
    }

    fn rebuild(&mut self, state: &Snapshot) -> bool {
        let used = state.vpcs().all().entries().filter(|(key, vpc)| is_used(state, key, vpc));
        let vpcs: BTreeMap<_, _> = used.map(|(key, vpc)| (key.clone(), network(state, &key.0, &vpc))).collect();
        let balancers = state.load_balancers().all().entries();
        let balancers = balancers.flat_map(|((scope, _), row)| {
            row.nodes.iter().map(|node| (scope.clone(), node.eni.clone())).collect::<Vec<_>>()
        });
        self.balancers = balancers.collect();
        let is_different = vpcs != self.vpcs;
        self.vpcs = vpcs;
        is_different
    }

    fn update_interfaces(&mut self, state: &Snapshot, interfaces: &[(Scope, EniId)]) -> bool {
        let mut stale: BTreeSet<Key> = BTreeSet::new();
        let mut is_any_gone = false;
        for key in interfaces {
            match state.network_interfaces().get(key) {
                Some(eni) => {
                    let vpc = (key.0.clone(), eni.vpc.clone());
                    let is_balancer = matches!(eni.owner, EniOwner::LoadBalancer { .. });
                    if is_balancer {
                        self.balancers.insert(key.clone());
                    }
                    if is_balancer || !self.vpcs.contains_key(&vpc) {
                        stale.insert(vpc);
                    }
                }
                // Whose it was is not known any more.
                None if self.balancers.remove(key) => stale.extend(self.vpcs.keys().cloned()),
                None => is_any_gone = true,
            }
        }
        if is_any_gone {
            let is_empty = |key: &&Key| state.vpcs().get(key).is_none_or(|vpc| !is_used(state, key, &vpc));
            stale.extend(self.vpcs.keys().filter(is_empty).cloned().collect::<Vec<_>>());
        }
        let mut is_different = false;
        for key in stale {
            let vpc = state.vpcs().get(&key).filter(|vpc| is_used(state, &key, vpc));
            let now = vpc.map(|vpc| network(state, &key.0, &vpc));
            is_different |= self.vpcs.get(&key) != now.as_ref();
            match now {
                Some(now) => drop(self.vpcs.insert(key, now)),
                None => drop(self.vpcs.remove(&key)),
            }
        }
        is_different
    }
}

fn touched<T: longshore_store::Table>(changes: &Changes) -> bool {
    changes.keys::<T>().is_none_or(|keys| !keys.is_empty())
}

/// Nothing needs a namespace for a VPC without interfaces, but the default one is about to have some.
fn is_used(state: &Snapshot, key: &Key, vpc: &Vpc) -> bool {
    vpc.is_default || state.network_interfaces().by_index(&NetworkInterfaces::BY_VPC, key).next().is_some()
}

fn network(state: &Snapshot, scope: &Scope, vpc: &Vpc) -> VpcIntent {
    let key = (scope.clone(), vpc.id.clone());
    let acls: Vec<_> = state.network_acls().by_index(&NetworkAcls::BY_VPC, &key).collect();
    let guards = |acl: &NetworkAcl| !acl.allows_everything() && !acl.associations.is_empty();
    let acl_of = |subnet: &Subnet| {
        let acl = acls.iter().find(|acl| acl.associations.iter().any(|one| one.subnet == subnet.id));
        acl.filter(|acl| guards(acl)).map(|acl| acl.id.clone())
    };
    let subnets: Vec<_> = state
        .subnets()
        .by_index(&Subnets::BY_VPC, &key)
        .map(|subnet| SubnetIntent {
            id: subnet.id.clone(),
            cidr: subnet.cidr,
            route_table: subnets::route_table(state, scope, &subnet).map(|table| table.id.clone()),
            network_acl: acl_of(&subnet),
        })
        .collect();
    let tables = state.route_tables().by_index(&RouteTables::BY_VPC, &key);
    let used = tables.filter(|table| subnets.iter().any(|subnet| subnet.route_table.as_ref() == Some(&table.id)));
    let route_tables =
        used.map(|table| RouteTableIntent { id: table.id.clone(), routes: table_routes(state, scope, &table) });
    let network_acls = acls.iter().filter(|acl| guards(acl));
    let network_acls =
        network_acls.map(|acl| NetworkAclIntent { id: acl.id.clone(), entries: acl.entries.clone() }).collect();
    let groups = state.security_groups().by_index(&SecurityGroups::BY_VPC, &key).map(|group| SecurityGroupIntent {
        id: group.id.clone(),
        rules: group.rules.iter().flat_map(|rule| expanded(state, scope, rule)).collect(),
    });
    VpcIntent {
        id: vpc.id.clone(),
        cidrs: vpc.cidrs().collect(),
        route_tables: route_tables.collect(),
        network_acls,
        security_groups: groups.collect(),
        local_addresses: balancer_addresses(state, &key),
        subnets,
    }
}

/// Addresses of load balancers, found by the load balancers: a VPC has far more interfaces than these.
fn balancer_addresses(
    state: &Snapshot,
    (scope, vpc): &Key,
) -> Vec<(std::net::Ipv4Addr, Vec<longshore_types::id::SecurityGroupId>)> {
    let balancers = state.load_balancers().prefix(scope).filter(|row| row.vpc == *vpc);
    let nodes = balancers.flat_map(|row| row.nodes.iter().map(|node| node.eni.clone()).collect::<Vec<_>>());
    let interfaces = nodes.filter_map(|eni| state.network_interfaces().get(&(scope.clone(), eni)));
    interfaces.map(|eni| (eni.address, eni.security_groups.clone())).collect()
}

/// A rule for each network of a prefix list; any other rule as it is.
pub fn expanded(state: &Snapshot, scope: &Scope, rule: &SecurityGroupRule) -> Vec<SecurityGroupRule> {
    match &rule.peer {
        RulePeer::PrefixList(id) => {
            let of = |cidr| SecurityGroupRule { peer: RulePeer::Cidr(cidr), ..rule.clone() };
            list(state, scope, id).into_iter().map(of).collect()
        }
        _ => vec![rule.clone()],
    }
}

fn list(state: &Snapshot, scope: &Scope, id: &PrefixListId) -> Vec<Cidr> {
    let list = state.prefix_lists().get(&(scope.clone(), id.clone()));
    list.iter().flat_map(|list| list.entries.iter().map(|entry| entry.cidr)).collect()
}

/// The routes of a subnet, resolved.
pub fn subnet_routes(state: &Snapshot, scope: &Scope, subnet: &Subnet) -> Vec<RouteIntent> {
    subnets::route_table(state, scope, subnet).map(|table| table_routes(state, scope, &table)).unwrap_or_default()
}

fn table_routes(state: &Snapshot, scope: &Scope, table: &RouteTable) -> Vec<RouteIntent> {
    let ways = destinations(state, scope, table).into_iter().map(|(to, target)| {
        let way = match target {
            RouteTarget::InternetGateway(_) if leads_out(state, scope, table, &target) => Way::Internet,
            RouteTarget::NatGateway(id) => {
                let gateway = state.nat_gateways().get(&(scope.clone(), id.clone()));
                let gateway = gateway.filter(|gateway| gateway.is_available());
                gateway.and_then(|gateway| through_nat(state, scope, &gateway)).unwrap_or(Way::Nowhere)
            }
            RouteTarget::InternetGateway(_) => Way::Nowhere,
        };
        (to, way)
    });
    routes::resolve(&ways.collect::<Vec<_>>())
}

/// `None` for a private gateway.
fn through_nat(state: &Snapshot, scope: &Scope, gateway: &NatGateway) -> Option<Way> {
    let address = gateway.elastic.as_ref()?.address;
    let subnet = state.subnets().get(&(scope.clone(), gateway.subnet.clone()))?;
    let table = subnets::route_table(state, scope, &subnet)?;
    let onward = destinations(state, scope, &table).into_iter();
    let onward = onward.map(|(to, target)| (to, leads_out(state, scope, &table, &target))).collect();
    Some(Way::Nat { address, subnet: gateway.subnet.clone(), onward })
}

fn leads_out(state: &Snapshot, scope: &Scope, table: &RouteTable, target: &RouteTarget) -> bool {
    let RouteTarget::InternetGateway(id) = target else { return false };
    let gateway = state.internet_gateways().get(&(scope.clone(), id.clone()));
    gateway.is_some_and(|gateway| gateway.vpc.as_ref() == Some(&table.vpc))
}

/// Every destination of a table as networks. A route to one network comes before one to a list that has it too.
fn destinations(state: &Snapshot, scope: &Scope, table: &RouteTable) -> Vec<(Cidr, RouteTarget)> {
    let mut found: BTreeMap<Cidr, RouteTarget> = BTreeMap::new();
    for route in &table.routes {
        if let Destination::PrefixList(id) = &route.destination {
            found.extend(list(state, scope, id).into_iter().map(|cidr| (cidr, route.target.clone())));
        }
    }
    for route in &table.routes {
        if let Destination::Cidr(cidr) = route.destination {
            found.insert(cidr, route.target.clone());
        }
    }
    found.into_iter().collect()
}

/// What a task's `resolv.conf` says: the name servers and domains of its VPC's DHCP options.
pub fn resolver(state: &Snapshot, scope: &Scope, vpc: &Vpc) -> ResolverIntent {
    let options = vpc.dhcp_options_id.as_ref().and_then(|id| state.dhcp_options().get(&(scope.clone(), id.clone())));
    let Some(options) = options else { return ResolverIntent::default() };
    let servers = options.name_servers.iter().filter_map(|server| match server {
        NameServer::Amazon => vpc.cidr.nth(2),
        NameServer::At(address) => Some(*address),
    });
    ResolverIntent { name_servers: servers.collect(), search: options.domain_names.clone() }
}

//! CreateLoadBalancer: an address in each subnet, and one on the host for an internet-facing load balancer. It is
//! `provisioning` until the data plane serves it. The same call again answers with the load balancer that is there.

use super::{error, find, tags, view};
use crate::Cx;
use crate::ec2::network::{NewInterface, create_interface, default_security_group};
use crate::ecs::unsupported::IsSet;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{CreateLoadBalancerInput, CreateLoadBalancerOutput, SubnetMapping};
use longshore_store::tables::LoadBalancers;
use longshore_store::{Snapshot, Tx};
use longshore_types::ec2::{EniOwner, Subnet};
use longshore_types::elbv2::{LoadBalancer, LoadBalancerNode, LoadBalancerState};
use longshore_types::id::{SecurityGroupId, SubnetId, VpcId};
use longshore_types::{Scope, Tags, arn};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

pub fn create_load_balancer(tx: &mut Tx, cx: &Cx, input: CreateLoadBalancerInput) -> Result<CreateLoadBalancerOutput, AwsError> {
    check_kind(&input)?;
    find::check_name(&input.name)?;
    let internet_facing = match input.scheme.as_deref() {
        None | Some("internet-facing") => true,
        Some("internal") => false,
        Some(other) => return Err(error::validation(format!("Load balancer scheme '{other}' must be one of '[internet-facing, internal]'"))),
    };
    let subnets = subnets(tx, &cx.scope, input.subnets, input.subnet_mappings)?;
    let vpc = subnets[0].vpc.clone();
    let groups = security_groups(tx, &cx.scope, &vpc, input.security_groups.unwrap_or_default())?;
    let tags = tags::parse(input.tags)?;
    let name = input.name;
    if let Some(existing) = tx.load_balancers().find(&LoadBalancers::BY_NAME, &(cx.scope.clone(), name.clone())) {
        let same = existing.internet_facing == internet_facing
            && existing.nodes.iter().map(|node| &node.subnet).collect::<BTreeSet<_>>() == subnets.iter().map(|s| &s.id).collect()
            && existing.security_groups.iter().collect::<BTreeSet<_>>() == groups.iter().collect();
        return match same {
            true => Ok(CreateLoadBalancerOutput { load_balancers: Some(vec![view::load_balancer(&existing)]) }),
            false => {
                let text = format!("A load balancer with the same name '{name}' exists, but with different settings");
                Err(AwsError::new("DuplicateLoadBalancerName", text))
            }
        };
    }
    let id = cx.ids().hex(16);
    let arn = arn::elbv2(&cx.scope, &format!("loadbalancer/app/{name}/{id}"));
    let number = cx.ids().next_u64() % 1_000_000_000 + 1_000_000_000;
    let prefix = if internet_facing { "" } else { "internal-" };
    let host_address = match internet_facing {
        true => Some(host_address(tx, cx)?),
        false => None,
    };
    let row = LoadBalancer {
        dns_name: format!("{prefix}{name}-{number}.{}.elb.amazonaws.com", cx.scope.region),
        hosted_zone_id: "Z35SXDOTRQ7X7K".to_owned(),
        internet_facing,
        vpc,
        nodes: nodes(tx, cx, &arn, &subnets, &groups)?,
        security_groups: groups,
        host_address,
        state: LoadBalancerState::Provisioning,
        attributes: BTreeMap::new(),
        created_at: cx.now,
        tags,
        arn: arn.clone(),
        name,
    };
    let sent = view::load_balancer(&row);
    tx.load_balancers().put((cx.scope.clone(), arn), row);
    Ok(CreateLoadBalancerOutput { load_balancers: Some(vec![sent]) })
}

fn check_kind(input: &CreateLoadBalancerInput) -> Result<(), AwsError> {
    if let Some(other) = input.r#type.as_deref().filter(|kind| *kind != "application") {
        return Err(error::unsupported(&format!("Load balancer type {other}")));
    }
    if let Some(other) = input.ip_address_type.as_deref().filter(|kind| *kind != "ipv4") {
        return Err(error::unsupported(&format!("IpAddressType {other}")));
    }
    let refused = [
        ("CustomerOwnedIpv4Pool", input.customer_owned_ipv4_pool.is_set()),
        ("EnablePrefixForIpv6SourceNat", input.enable_prefix_for_ipv6_source_nat.as_deref() == Some("on")),
        ("IpamPools", input.ipam_pools.is_set()),
    ];
    match refused.iter().find(|(_, set)| *set) {
        Some((name, _)) => Err(error::unsupported(name)),
        None => Ok(()),
    }
}

/// At least two, in different zones of one VPC.
pub fn subnets(
    state: &Snapshot,
    scope: &Scope,
    names: Option<Vec<String>>,
    mappings: Option<Vec<SubnetMapping>>,
) -> Result<Vec<Arc<Subnet>>, AwsError> {
    let mappings = mappings.unwrap_or_default();
    let mut ids = names.unwrap_or_default();
    if !ids.is_empty() && !mappings.is_empty() {
        return Err(error::validation("You can specify either subnets or subnet mappings, not both"));
    }
    for mapping in mappings {
        if mapping.allocation_id.is_some() || mapping.private_ipv4_address.is_some() || mapping.ipv6_address.is_some() {
            return Err(error::unsupported("An address in a subnet mapping"));
        }
        ids.extend(mapping.subnet_id);
    }
    let mut found: Vec<Arc<Subnet>> = Vec::new();
    for id in &ids {
        let subnet = state
            .subnets()
            .get(&(scope.clone(), SubnetId::from(id.as_str())))
            .ok_or_else(|| AwsError::new("SubnetNotFound", format!("The subnet ID '{id}' does not exist")))?;
        if found.iter().any(|other| other.zone == subnet.zone) {
            let text = "A load balancer cannot be attached to multiple subnets in the same Availability Zone";
            return Err(AwsError::new("InvalidConfigurationRequest", text));
        }
        if found.first().is_some_and(|first| first.vpc != subnet.vpc) {
            return Err(AwsError::new("InvalidConfigurationRequest", "All subnets must belong to the same VPC"));
        }
        found.push(subnet);
    }
    match found.len() {
        0 | 1 => Err(error::validation("At least two subnets in two different Availability Zones must be specified")),
        _ => Ok(found),
    }
}

/// Groups of the VPC; its default one when none is given.
pub fn security_groups(state: &Snapshot, scope: &Scope, vpc: &VpcId, given: Vec<String>) -> Result<Vec<SecurityGroupId>, AwsError> {
    if given.is_empty() {
        return Ok(default_security_group(state, scope, vpc).into_iter().collect());
    }
    let check = |id: String| {
        let id = SecurityGroupId(id);
        match state.security_groups().get(&(scope.clone(), id.clone())) {
            Some(group) if group.vpc == *vpc => Ok(id),
            Some(_) => Err(AwsError::new("InvalidConfigurationRequest", format!("One or more security groups are invalid: {id} is not in {vpc}"))),
            None => Err(AwsError::new("InvalidSecurityGroup", format!("The security group '{id}' does not exist"))),
        }
    };
    given.into_iter().map(check).collect()
}

/// An interface in each subnet.
pub fn nodes(
    tx: &mut Tx,
    cx: &Cx,
    arn: &str,
    subnets: &[Arc<Subnet>],
    security_groups: &[SecurityGroupId],
) -> Result<Vec<LoadBalancerNode>, AwsError> {
    let mut nodes = Vec::new();
    for subnet in subnets {
        let interface = NewInterface {
            subnet: subnet.id.clone(),
            security_groups: security_groups.to_vec(),
            owner: EniOwner::LoadBalancer { arn: arn.to_owned() },
            description: format!("ELB {}", find::tail(arn)),
            public: false,
            tags: Tags::default(),
        };
        let eni = create_interface(tx, cx, interface)
            .map_err(|_| AwsError::new("InvalidSubnet", format!("Not enough IP space available in {}", subnet.id)))?;
        nodes.push(LoadBalancerNode { zone: subnet.zone.clone(), subnet: subnet.id.clone(), eni: eni.id, address: eni.address });
    }
    Ok(nodes)
}

/// The lowest free address of the pool. The first two are the network's own and the registry's.
fn host_address(tx: &Tx, cx: &Cx) -> Result<Ipv4Addr, AwsError> {
    let state: &Snapshot = tx;
    let pool = cx.settings.load_balancer_pool;
    let taken = |address: &Ipv4Addr| {
        state.load_balancers().find(&LoadBalancers::BY_HOST_ADDRESS, &u64::from(u32::from(*address))).is_some()
    };
    let free = (2..pool.size().saturating_sub(1)).filter_map(|n| pool.nth(n)).find(|address| !taken(address));
    free.ok_or_else(|| AwsError::new("TooManyLoadBalancers", "No address on the host is left for another load balancer"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    fn create(fixture: &Fixture, name: &str, count: usize) -> Result<CreateLoadBalancerOutput, AwsError> {
        let subnets = fixture.read(|state, _| state.subnets().all().take(count).map(|s| s.id.to_string()).collect::<Vec<_>>());
        let input = CreateLoadBalancerInput { name: name.to_owned(), subnets: Some(subnets), ..Default::default() };
        fixture.try_write(move |tx, cx| create_load_balancer(tx, cx, input))
    }

    #[test]
    fn a_load_balancer_has_an_address_in_each_zone_and_one_on_the_host() {
        let fixture = Fixture::new();
        let made = create(&fixture, "web", 2).expect("it is new");
        assert_eq!(create(&fixture, "web", 2), Ok(made));
        assert_eq!(create(&fixture, "web", 3).map_err(|e| e.code.into_owned()), Err("DuplicateLoadBalancerName".to_owned()));
        create(&fixture, "other", 3).expect("it is new");
        let hosts = fixture.read(|state, _| state.load_balancers().all().filter_map(|lb| lb.host_address).collect::<BTreeSet<_>>());
        assert_eq!(hosts, BTreeSet::from([Ipv4Addr::new(127, 64, 0, 2), Ipv4Addr::new(127, 64, 0, 3)]));
        let enis = fixture.read(|state, _| state.network_interfaces().len());
        assert_eq!(enis, 5);
    }

    #[test]
    fn one_zone_is_not_enough() {
        let refused = create(&Fixture::new(), "web", 1).expect_err("one subnet").to_string();
        assert_eq!(refused, "ValidationError: At least two subnets in two different Availability Zones must be specified");
    }
}

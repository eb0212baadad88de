//! Where a load balancer stands: its subnets, security groups, and the interface it has in each subnet.

use super::{error, names};
use crate::Cx;
use crate::ec2::network::{NewInterface, NoAddress, create_interface, default_security_group, delete_interface};
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::SubnetMapping;
use longshore_store::{Snapshot, Tx};
use longshore_types::ec2::{EniOwner, Subnet};
use longshore_types::elbv2::{LoadBalancer, LoadBalancerNode};
use longshore_types::id::{SecurityGroupId, VpcId};
use longshore_types::{Scope, Tags};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The subnets that a request names in one of two ways: in two zones at least, one in each, all of one VPC.
pub fn subnets(
    state: &Snapshot,
    scope: &Scope,
    ids: Option<Vec<String>>,
    mappings: Option<Vec<SubnetMapping>>,
) -> Result<Vec<Arc<Subnet>>, AwsError> {
    let ids = match (ids.unwrap_or_default(), mappings.unwrap_or_default()) {
        (ids, mappings) if mappings.is_empty() => ids,
        (ids, mappings) if ids.is_empty() => mappings.into_iter().map(mapped).collect::<Result<_, _>>()?,
        _ => return Err(error::validation("You can specify subnets or subnet mappings, not both")),
    };
    let find = |id: &String| {
        state.subnets().get(&(scope.clone(), id.as_str().into())).ok_or_else(|| error::subnet_not_found(id))
    };
    let mut subnets: Vec<Arc<Subnet>> = ids.iter().map(find).collect::<Result<_, _>>()?;
    let zones: BTreeSet<_> = subnets.iter().map(|subnet| &subnet.zone).collect();
    if zones.len() < 2 {
        return Err(error::validation("At least two subnets in two different Availability Zones must be specified"));
    }
    if zones.len() < subnets.len() {
        return Err(error::invalid_configuration(
            "A load balancer cannot be attached to multiple subnets in the same Availability Zone",
        ));
    }
    if subnets.iter().any(|subnet| subnet.vpc != subnets[0].vpc) {
        return Err(error::invalid_configuration("All subnets must belong to the same VPC"));
    }
    subnets.sort_by(|a, b| a.zone.cmp(&b.zone));
    Ok(subnets)
}

fn mapped(mapping: SubnetMapping) -> Result<String, AwsError> {
    error::refuse!(mapping; allocation_id, private_ipv4_address, ipv6_address, source_nat_ipv6_prefix);
    mapping.subnet_id.ok_or_else(|| error::validation("A subnet mapping must have a subnet ID"))
}

/// The security groups that a request names, or the VPC's default one.
pub fn security_groups(
    state: &Snapshot,
    scope: &Scope,
    vpc: &VpcId,
    ids: Vec<String>,
) -> Result<Vec<SecurityGroupId>, AwsError> {
    let mut groups: Vec<SecurityGroupId> = Vec::new();
    for id in ids {
        let id = SecurityGroupId(id);
        let group = state.security_groups().get(&(scope.clone(), id.clone()));
        let group =
            group.ok_or_else(|| error::invalid_security_group(format!("The security group '{id}' does not exist")))?;
        if group.vpc != *vpc {
            return Err(error::invalid_configuration(format!(
                "The security group '{id}' does not belong to the VPC '{vpc}'"
            )));
        }
        if !groups.contains(&id) {
            groups.push(id);
        }
    }
    if groups.is_empty() {
        groups.extend(default_security_group(state, scope, vpc));
    }
    Ok(groups)
}

/// Gives a load balancer one node in each of `subnets`; nodes in other subnets go, with their interfaces.
pub fn place(tx: &mut Tx, cx: &Cx, row: &mut LoadBalancer, subnets: &[Arc<Subnet>]) -> Result<(), AwsError> {
    let (kept, gone): (Vec<_>, Vec<_>) =
        row.nodes.drain(..).partition(|node| subnets.iter().any(|subnet| subnet.id == node.subnet));
    for node in gone {
        delete_interface(tx, &cx.scope, &node.eni);
    }
    row.nodes = kept;
    for subnet in subnets {
        if row.nodes.iter().any(|node| node.subnet == subnet.id) {
            continue;
        }
        let new = NewInterface {
            subnet: subnet.id.clone(),
            security_groups: row.security_groups.clone(),
            owner: EniOwner::LoadBalancer { arn: row.arn.clone() },
            description: format!("ELB {}", names::path(&row.arn)),
            public: false,
            tags: Tags::default(),
        };
        let interface = create_interface(tx, cx, new).map_err(no_address)?;
        row.nodes.push(LoadBalancerNode {
            zone: subnet.zone.clone(),
            subnet: subnet.id.clone(),
            eni: interface.id,
            address: interface.address,
        });
    }
    row.nodes.sort_by(|a, b| a.zone.cmp(&b.zone));
    Ok(())
}

fn no_address(why: NoAddress) -> AwsError {
    match why {
        NoAddress::NoSubnet(id) => error::subnet_not_found(id.as_str()),
        NoAddress::Full(id) => AwsError::new(
            longshore_aws_model::elbv2::codes::INVALID_SUBNET,
            format!("Not enough IP space available in {id}. ELB requires at least 8 free IP addresses in each subnet."),
        ),
        NoAddress::PublicPool => error::validation(why.to_string()),
    }
}

//! `networkConfiguration`: found and checked, so that a task can be placed.

use super::error;
use longshore_aws_model::AwsError;
use longshore_aws_model::ecs as wire;
use longshore_store::Snapshot;
use longshore_types::Scope;
use longshore_types::ecs::AwsVpcConfiguration;
use longshore_types::id::{SecurityGroupId, SubnetId};

pub fn resolve(
    state: &Snapshot,
    scope: &Scope,
    given: Option<wire::NetworkConfiguration>,
) -> Result<AwsVpcConfiguration, AwsError> {
    let vpc = given.and_then(|configuration| configuration.awsvpc_configuration).ok_or_else(|| {
        error::invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
    })?;
    let subnets: Vec<SubnetId> = vpc.subnets.unwrap_or_default().into_iter().map(SubnetId).collect();
    if subnets.is_empty() || subnets.len() > 16 {
        return Err(error::invalid("subnets can have 1 to 16 items."));
    }
    let mut of_vpc = None;
    for id in &subnets {
        let subnet = state.subnets().get(&(scope.clone(), id.clone())).ok_or_else(|| {
            error::invalid(format!("Error retrieving subnet information for [{id}]: The subnet ID '{id}' does not exist (ErrorCode: InvalidSubnetID.NotFound)"))
        })?;
        if of_vpc.get_or_insert(subnet.vpc.clone()) != &subnet.vpc {
            return Err(error::invalid("All subnets must be in the same VPC."));
        }
    }
    let of_vpc = of_vpc.ok_or_else(|| error::invalid("subnets can not be empty."))?;
    let mut security_groups: Vec<SecurityGroupId> =
        vpc.security_groups.unwrap_or_default().into_iter().map(SecurityGroupId).collect();
    if security_groups.len() > 5 {
        return Err(error::invalid("securityGroups can have at most 5 items."));
    }
    for id in &security_groups {
        let group = state.security_groups().get(&(scope.clone(), id.clone())).ok_or_else(|| {
            error::invalid(format!("Error retrieving security group information for [{id}]: The security group '{id}' does not exist (ErrorCode: InvalidGroup.NotFound)"))
        })?;
        if group.vpc != of_vpc {
            return Err(error::invalid(format!(
                "Security group {id} does not appear to belong to the same VPC as the input subnets."
            )));
        }
    }
    if security_groups.is_empty() {
        security_groups.extend(crate::ec2::network::default_security_group(state, scope, &of_vpc));
    }
    let assign_public_ip = match vpc.assign_public_ip.as_deref() {
        Some("ENABLED") => true,
        None | Some("DISABLED") => false,
        Some(other) => return Err(error::invalid(format!("Invalid assignPublicIp '{other}'."))),
    };
    Ok(AwsVpcConfiguration { subnets, security_groups, assign_public_ip })
}

//! SetSecurityGroups: replaces them, on the load balancer and on its interfaces.

use super::create_load_balancer::security_groups;
use super::{error, find};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{SetSecurityGroupsInput, SetSecurityGroupsOutput};
use longshore_store::Tx;

pub fn set_security_groups(tx: &mut Tx, cx: &Cx, input: SetSecurityGroupsInput) -> Result<SetSecurityGroupsOutput, AwsError> {
    if input.enforce_security_group_inbound_rules_on_private_link_traffic.is_some() {
        return Err(error::unsupported("EnforceSecurityGroupInboundRulesOnPrivateLinkTraffic"));
    }
    let row = find::load_balancer(tx, &cx.scope, &input.load_balancer_arn)?;
    if input.security_groups.is_empty() {
        return Err(error::validation("At least one security group must be specified"));
    }
    let groups = security_groups(tx, &cx.scope, &row.vpc, input.security_groups)?;
    for node in &row.nodes {
        tx.network_interfaces().update(&(cx.scope.clone(), node.eni.clone()), |eni| eni.security_groups.clone_from(&groups));
    }
    tx.load_balancers().update(&(cx.scope.clone(), row.arn.clone()), |row| row.security_groups.clone_from(&groups));
    let ids = groups.iter().map(ToString::to_string).collect();
    Ok(SetSecurityGroupsOutput { security_group_ids: Some(ids), ..Default::default() })
}

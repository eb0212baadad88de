//! RegisterTargets and DeregisterTargets: addresses in the group's VPC. A deregistered target drains, and its row goes when
//! the data plane has drained it.

use super::{error, find};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::*;
use longshore_store::Tx;
use longshore_types::Timestamp;
use longshore_types::elbv2::{Target, TargetGroup, TargetHealth, TargetState};
use longshore_types::id::ZoneName;
use std::net::Ipv4Addr;

/// Address and port of a target as a request writes it.
pub fn address(group: &TargetGroup, target: &TargetDescription) -> Result<(Ipv4Addr, u16), AwsError> {
    let id = target.id.as_deref().unwrap_or_default();
    let invalid = |why: &str| AwsError::new("InvalidTarget", format!("The target '{id}' {why}"));
    let address = id.parse().map_err(|_| error::validation(format!("The IP address '{id}' is not a valid IPv4 address")))?;
    let port = target.port.unwrap_or(i32::from(group.port));
    let port = u16::try_from(port).ok().filter(|port| *port > 0).ok_or_else(|| invalid("must have a port between 1 and 65535"))?;
    Ok((address, port))
}

pub fn register_targets(tx: &mut Tx, cx: &Cx, input: RegisterTargetsInput) -> Result<RegisterTargetsOutput, AwsError> {
    let group = find::target_group(tx, &cx.scope, &input.target_group_arn)?;
    let vpc = tx.vpcs().get(&(cx.scope.clone(), group.vpc.clone())).ok_or_else(|| error::validation("The target group's VPC does not exist"))?;
    for given in &input.targets {
        let (address, port) = address(&group, given)?;
        if !vpc.cidr.contains(address) {
            let text = format!("The IP address '{address}' is not within the VPC '{}', the only network that its targets are reached in", group.vpc);
            return Err(AwsError::new("InvalidTarget", text));
        }
        let key = (cx.scope.clone(), group.arn.clone(), format!("{address}:{port}"));
        let old = tx.targets().get(&key);
        if old.as_ref().is_some_and(|target| target.draining_since.is_none()) {
            continue;
        }
        tx.targets().put(key, Target {
            target_group: group.arn.clone(),
            address,
            port,
            zone: given.availability_zone.clone().map(ZoneName),
            draining_since: None,
            task: old.and_then(|target| target.task.clone()),
            registered_at: cx.now,
            health: TargetHealth::registering(),
        });
    }
    Ok(RegisterTargetsOutput::default())
}

pub fn deregister_targets(tx: &mut Tx, cx: &Cx, input: DeregisterTargetsInput) -> Result<DeregisterTargetsOutput, AwsError> {
    let group = find::target_group(tx, &cx.scope, &input.target_group_arn)?;
    for given in &input.targets {
        let (address, port) = address(&group, given)?;
        let named = |row: &Target| row.address == address && (given.port.is_none() || row.port == port);
        let state = tx.snapshot();
        let rows = state.targets().prefix(&(cx.scope.clone(), group.arn.clone())).entries();
        let keys: Vec<_> = rows.filter(|(_, row)| named(row)).map(|(key, _)| key).collect();
        if keys.is_empty() {
            let text = format!("The following targets are not registered with the target group: '{address}'");
            return Err(AwsError::new("InvalidTarget", text));
        }
        for key in keys {
            tx.targets().update(&key, |target| begin_draining(target, cx.now));
        }
    }
    Ok(DeregisterTargetsOutput::default())
}

/// Marks a target as draining; one that drains already goes on.
pub fn begin_draining(target: &mut Target, now: Timestamp) {
    if target.draining_since.is_none() {
        target.draining_since = Some(now);
        target.health = TargetHealth {
            state: TargetState::Draining,
            reason: Some("Target.DeregistrationInProgress".to_owned()),
            description: Some("Target deregistration is in progress".to_owned()),
        };
    }
}

//! DescribeTargetHealth: what the data plane last saw.

use super::register_targets::address;
use super::{error, find};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2 as wire;
use longshore_store::Snapshot;
use longshore_types::elbv2::{Target, TargetState};

pub fn describe_target_health(
    state: &Snapshot,
    cx: &Cx,
    input: wire::DescribeTargetHealthInput,
) -> Result<wire::DescribeTargetHealthOutput, AwsError> {
    if input.include.is_some_and(|list| !list.is_empty()) {
        return Err(error::unsupported("Include"));
    }
    let group = find::target_group(state, &cx.scope, &input.target_group_arn)?;
    let used = !find::users(state, &cx.scope, &group.arn).is_empty();
    let check_port = |port: u16| match group.health_check.port.as_str() {
        "traffic-port" => port.to_string(),
        fixed => fixed.to_owned(),
    };
    let shown = |row: &Target| {
        let unused = !used && row.draining_since.is_none();
        let (state, reason, description) = match unused {
            true => (
                TargetState::Unused,
                Some("Target.NotInUse".to_owned()),
                Some("Target group is not configured to receive traffic from the load balancer".to_owned()),
            ),
            false => (row.health.state, row.health.reason.clone(), row.health.description.clone()),
        };
        wire::TargetHealthDescription {
            target: Some(wire::TargetDescription {
                id: Some(row.address.to_string()),
                port: Some(i32::from(row.port)),
                availability_zone: row.zone.as_ref().map(ToString::to_string),
                ..Default::default()
            }),
            health_check_port: Some(check_port(row.port)),
            target_health: Some(wire::TargetHealth { state: Some(state.as_str().to_owned()), reason, description }),
            ..Default::default()
        }
    };
    let prefix = (cx.scope.clone(), group.arn.clone());
    let descriptions = match input.targets.filter(|list| !list.is_empty()) {
        None => state.targets().prefix(&prefix).map(|row| shown(&row)).collect(),
        Some(wanted) => {
            let mut found = Vec::new();
            for target in wanted {
                let (address, port) = address(&group, &target)?;
                let key = (cx.scope.clone(), group.arn.clone(), format!("{address}:{port}"));
                found.push(state.targets().get(&key).map_or_else(|| not_registered(target, check_port(port)), |row| shown(&row)));
            }
            found
        }
    };
    Ok(wire::DescribeTargetHealthOutput { target_health_descriptions: Some(descriptions) })
}

fn not_registered(target: wire::TargetDescription, check_port: String) -> wire::TargetHealthDescription {
    wire::TargetHealthDescription {
        target: Some(target),
        health_check_port: Some(check_port),
        target_health: Some(wire::TargetHealth {
            state: Some("unused".to_owned()),
            reason: Some("Target.NotRegistered".to_owned()),
            description: Some("Target is not registered to the target group".to_owned()),
        }),
        ..Default::default()
    }
}

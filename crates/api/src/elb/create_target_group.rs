//! CreateTargetGroup: targets by address, over HTTP. The same call again answers with the group that is there.

use super::health_check::{self, Given};
use super::{error, find, tags, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::{CreateTargetGroupInput, CreateTargetGroupOutput};
use longshore_store::Tx;
use longshore_store::tables::TargetGroups;
use longshore_types::arn;
use longshore_types::elbv2::TargetGroup;
use longshore_types::id::VpcId;
use std::collections::BTreeMap;

pub fn create_target_group(tx: &mut Tx, cx: &Cx, input: CreateTargetGroupInput) -> Result<CreateTargetGroupOutput, AwsError> {
    find::check_name(&input.name)?;
    let only = |parameter: &str, given: Option<&str>, only: &str| match given {
        Some(other) if other != only => Err(error::unsupported(&format!("{parameter} {other}"))),
        _ => Ok(()),
    };
    only("TargetType", Some(input.target_type.as_deref().unwrap_or("instance (the default)")), "ip")?;
    only("Protocol", input.protocol.as_deref(), "HTTP")?;
    only("ProtocolVersion", input.protocol_version.as_deref(), "HTTP1")?;
    only("IpAddressType", input.ip_address_type.as_deref(), "ipv4")?;
    if input.target_control_port.is_some() {
        return Err(error::unsupported("TargetControlPort"));
    }
    if input.protocol.is_none() {
        return Err(error::validation("A protocol must be specified"));
    }
    let port = input.port.ok_or_else(|| error::validation("A port must be specified"))?;
    let port = u16::try_from(port).ok().filter(|port| *port > 0).ok_or_else(|| error::validation(format!("Port '{port}' must be between 1 and 65535")))?;
    let vpc = VpcId(input.vpc_id.ok_or_else(|| error::validation("A VPC ID must be specified"))?);
    if tx.vpcs().get(&(cx.scope.clone(), vpc.clone())).is_none() {
        return Err(error::validation(format!("The VPC ID '{vpc}' is not found")));
    }
    let mut check = health_check::default();
    health_check::change(&mut check, Given {
        enabled: input.health_check_enabled,
        protocol: input.health_check_protocol,
        port: input.health_check_port,
        path: input.health_check_path,
        interval: input.health_check_interval_seconds,
        timeout: input.health_check_timeout_seconds,
        healthy: input.healthy_threshold_count,
        unhealthy: input.unhealthy_threshold_count,
        matcher: input.matcher,
    })?;
    let tags = tags::parse(input.tags)?;
    let name = input.name;
    if let Some(existing) = tx.target_groups().find(&TargetGroups::BY_NAME, &(cx.scope.clone(), name.clone())) {
        return match (existing.port, &existing.vpc, &existing.health_check) == (port, &vpc, &check) {
            true => Ok(CreateTargetGroupOutput { target_groups: Some(vec![view::target_group(tx, &cx.scope, &existing)]) }),
            false => {
                let text = format!("A target group with the same name '{name}' exists, but with different settings");
                Err(AwsError::new("DuplicateTargetGroupName", text))
            }
        };
    }
    let id = cx.ids().hex(16);
    let row = TargetGroup {
        arn: arn::elbv2(&cx.scope, &format!("targetgroup/{name}/{id}")),
        protocol: "HTTP".to_owned(),
        protocol_version: "HTTP1".to_owned(),
        port,
        vpc,
        target_type: "ip".to_owned(),
        health_check: check,
        attributes: BTreeMap::new(),
        created_at: cx.now,
        tags,
        name,
    };
    let sent = view::target_group(tx, &cx.scope, &row);
    tx.target_groups().put((cx.scope.clone(), row.arn.clone()), row);
    Ok(CreateTargetGroupOutput { target_groups: Some(vec![sent]) })
}

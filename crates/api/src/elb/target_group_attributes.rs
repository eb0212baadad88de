//! ModifyTargetGroupAttributes and DescribeTargetGroupAttributes.

use super::attributes::{self, Allowed, Known};
use super::find;
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::*;
use longshore_store::{Snapshot, Tx};

/// Those of groups of type `ip` behind an application load balancer.
const KNOWN: &[Known] = &[
    ("deregistration_delay.timeout_seconds", "300", Allowed::Number(0, 3600)),
    ("stickiness.enabled", "false", Allowed::Flag),
    ("stickiness.type", "lb_cookie", Allowed::OneOf(&["lb_cookie", "app_cookie"])),
    ("stickiness.lb_cookie.duration_seconds", "86400", Allowed::Number(1, 604_800)),
    ("stickiness.app_cookie.cookie_name", "", Allowed::Text),
    ("stickiness.app_cookie.duration_seconds", "86400", Allowed::Number(1, 604_800)),
    ("load_balancing.algorithm.type", "round_robin", Allowed::OneOf(&["round_robin", "least_outstanding_requests", "weighted_random"])),
    ("load_balancing.algorithm.anomaly_mitigation", "off", Allowed::Default),
    ("load_balancing.cross_zone.enabled", "use_load_balancer_configuration", Allowed::Default),
    ("slow_start.duration_seconds", "0", Allowed::OffOr(30, 900)),
    ("target_group_health.dns_failover.minimum_healthy_targets.count", "1", Allowed::Default),
    ("target_group_health.dns_failover.minimum_healthy_targets.percentage", "off", Allowed::Default),
    ("target_group_health.unhealthy_state_routing.minimum_healthy_targets.count", "1", Allowed::Default),
    ("target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage", "off", Allowed::Default),
];

fn shown(pairs: Vec<(String, String)>) -> Option<Vec<TargetGroupAttribute>> {
    Some(pairs.into_iter().map(|(key, value)| TargetGroupAttribute { key: Some(key), value: Some(value) }).collect())
}

pub fn modify_target_group_attributes(
    tx: &mut Tx,
    cx: &Cx,
    input: ModifyTargetGroupAttributesInput,
) -> Result<ModifyTargetGroupAttributesOutput, AwsError> {
    let mut row = (*find::target_group(tx, &cx.scope, &input.target_group_arn)?).clone();
    let given = input.attributes.into_iter().map(|a| (a.key.unwrap_or_default(), a.value.unwrap_or_default())).collect();
    attributes::set(KNOWN, &mut row.attributes, given)?;
    let attributes = shown(attributes::all(KNOWN, &row.attributes));
    tx.target_groups().put((cx.scope.clone(), row.arn.clone()), row);
    Ok(ModifyTargetGroupAttributesOutput { attributes })
}

pub fn describe_target_group_attributes(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeTargetGroupAttributesInput,
) -> Result<DescribeTargetGroupAttributesOutput, AwsError> {
    let row = find::target_group(state, &cx.scope, &input.target_group_arn)?;
    Ok(DescribeTargetGroupAttributesOutput { attributes: shown(attributes::all(KNOWN, &row.attributes)) })
}

//! ModifyLoadBalancerAttributes and DescribeLoadBalancerAttributes.

use super::attributes::{self, Allowed, Known};
use super::find;
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::*;
use longshore_store::{Snapshot, Tx};

/// Those of an application load balancer. The data plane, or a handler, obeys each that may be changed.
const KNOWN: &[Known] = &[
    ("deletion_protection.enabled", "false", Allowed::Flag),
    ("access_logs.s3.enabled", "false", Allowed::Default),
    ("access_logs.s3.bucket", "", Allowed::Default),
    ("access_logs.s3.prefix", "", Allowed::Default),
    ("connection_logs.s3.enabled", "false", Allowed::Default),
    ("connection_logs.s3.bucket", "", Allowed::Default),
    ("connection_logs.s3.prefix", "", Allowed::Default),
    ("idle_timeout.timeout_seconds", "60", Allowed::Number(1, 4000)),
    ("client_keep_alive.seconds", "3600", Allowed::Number(60, 604_800)),
    ("routing.http.desync_mitigation_mode", "defensive", Allowed::OneOf(&["monitor", "defensive", "strictest"])),
    ("routing.http.drop_invalid_header_fields.enabled", "false", Allowed::Flag),
    ("routing.http.preserve_host_header.enabled", "false", Allowed::Flag),
    ("routing.http.x_amzn_tls_version_and_cipher_suite.enabled", "false", Allowed::Default),
    ("routing.http.xff_client_port.enabled", "false", Allowed::Flag),
    ("routing.http.xff_header_processing.mode", "append", Allowed::OneOf(&["append", "preserve", "remove"])),
    ("routing.http2.enabled", "true", Allowed::Default),
    ("waf.fail_open.enabled", "false", Allowed::Default),
    ("zonal_shift.config.enabled", "false", Allowed::Default),
    ("load_balancing.cross_zone.enabled", "true", Allowed::Default),
];

fn shown(pairs: Vec<(String, String)>) -> Option<Vec<LoadBalancerAttribute>> {
    Some(pairs.into_iter().map(|(key, value)| LoadBalancerAttribute { key: Some(key), value: Some(value) }).collect())
}

pub fn modify_load_balancer_attributes(
    tx: &mut Tx,
    cx: &Cx,
    input: ModifyLoadBalancerAttributesInput,
) -> Result<ModifyLoadBalancerAttributesOutput, AwsError> {
    let mut row = (*find::load_balancer(tx, &cx.scope, &input.load_balancer_arn)?).clone();
    let given = input.attributes.into_iter().map(|a| (a.key.unwrap_or_default(), a.value.unwrap_or_default())).collect();
    attributes::set(KNOWN, &mut row.attributes, given)?;
    let attributes = shown(attributes::all(KNOWN, &row.attributes));
    tx.load_balancers().put((cx.scope.clone(), row.arn.clone()), row);
    Ok(ModifyLoadBalancerAttributesOutput { attributes })
}

pub fn describe_load_balancer_attributes(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeLoadBalancerAttributesInput,
) -> Result<DescribeLoadBalancerAttributesOutput, AwsError> {
    let row = find::load_balancer(state, &cx.scope, &input.load_balancer_arn)?;
    Ok(DescribeLoadBalancerAttributesOutput { attributes: shown(attributes::all(KNOWN, &row.attributes)) })
}

//! ModifyLoadBalancerAttributes and DescribeLoadBalancerAttributes.

use super::attributes::{OF_LOAD_BALANCERS, check_load_balancer};
use super::{names, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::*;
use longshore_store::{Snapshot, Tx};
use std::collections::BTreeMap;

pub fn modify_load_balancer_attributes(
    tx: &mut Tx,
    cx: &Cx,
    input: ModifyLoadBalancerAttributesInput,
) -> Result<ModifyLoadBalancerAttributesOutput, AwsError> {
    let row = names::load_balancer(tx, &cx.scope, &input.load_balancer_arn)?;
    let mut stored = row.attributes.clone();
    let given = input.attributes.iter();
    let given = given.map(|a| (a.key.as_deref().unwrap_or_default(), a.value.as_deref().unwrap_or_default()));
    OF_LOAD_BALANCERS.set(&mut stored, given)?;
    check_load_balancer(&stored)?;
    let sent = show(&stored);
    tx.load_balancers().update(&(cx.scope.clone(), input.load_balancer_arn), |row| row.attributes = stored);
    Ok(ModifyLoadBalancerAttributesOutput { attributes: sent })
}

pub fn describe_load_balancer_attributes(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeLoadBalancerAttributesInput,
) -> Result<DescribeLoadBalancerAttributesOutput, AwsError> {
    let row = names::load_balancer(state, &cx.scope, &input.load_balancer_arn)?;
    Ok(DescribeLoadBalancerAttributesOutput { attributes: show(&row.attributes) })
}

fn show(stored: &BTreeMap<String, String>) -> Option<Vec<LoadBalancerAttribute>> {
    Some(view::attributes(&OF_LOAD_BALANCERS.all(stored), |key, value| LoadBalancerAttribute { key, value }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::testing::*;
    use crate::testing::Fixture;

    #[test]
    fn attributes_change_and_all_are_shown() {
        let fixture = Fixture::new();
        let arn = load_balancer(&fixture, "web");
        let attribute =
            |key: &str, value: &str| LoadBalancerAttribute { key: Some(key.to_owned()), value: Some(value.to_owned()) };
        let modify = |attributes| {
            let input = ModifyLoadBalancerAttributesInput { load_balancer_arn: arn.clone(), attributes };
            write(&fixture, modify_load_balancer_attributes, input)
        };
        modify(vec![attribute("idle_timeout.timeout_seconds", "120"), attribute("routing.http2.enabled", "true")])
            .expect("set");
        let input = DescribeLoadBalancerAttributesInput { load_balancer_arn: arn.clone() };
        let shown = read(&fixture, describe_load_balancer_attributes, input).expect("a list").attributes.expect("some");
        assert!(shown.contains(&attribute("idle_timeout.timeout_seconds", "120")));
        assert!(shown.contains(&attribute("deletion_protection.enabled", "false")));
        assert_eq!(
            refusal(modify(vec![attribute("waf.fail_open.enabled", "true")])),
            "ValidationError: The load balancer attribute 'waf.fail_open.enabled' with the value 'true' is not supported by Longshore yet."
        );
        assert_eq!(
            refusal(modify(vec![attribute("access_logs.s3.enabled", "true")])),
            "ValidationError: The value of 'access_logs.s3.bucket' must be specified when 'access_logs.s3.enabled' is 'true'"
        );
        for prefix in ["/a", "a/../../etc", "AWSLogs/x"] {
            let prefix = attribute("access_logs.s3.prefix", prefix);
            assert!(refusal(modify(vec![prefix])).starts_with("ValidationError: Load balancer attribute value"));
        }
        modify(vec![attribute("access_logs.s3.enabled", "true"), attribute("access_logs.s3.bucket", "logs")])
            .expect("set");
        assert_eq!(
            refusal(modify(vec![attribute("idle_timeout.timeout_seconds", "0")])),
            "ValidationError: Load balancer attribute value for key 'idle_timeout.timeout_seconds' is invalid: '0'"
        );
    }
}

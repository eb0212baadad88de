//! ModifyTargetGroupAttributes and DescribeTargetGroupAttributes.

use super::attributes::{OF_TARGET_GROUPS, check_target_group};
use super::{names, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::*;
use longshore_store::{Snapshot, Tx};
use std::collections::BTreeMap;

pub fn modify_target_group_attributes(
    tx: &mut Tx,
    cx: &Cx,
    input: ModifyTargetGroupAttributesInput,
) -> Result<ModifyTargetGroupAttributesOutput, AwsError> {
    let row = names::target_group(tx, &cx.scope, &input.target_group_arn)?;
    let mut stored = row.attributes.clone();
    let given = input.attributes.iter();
    let given = given.map(|a| (a.key.as_deref().unwrap_or_default(), a.value.as_deref().unwrap_or_default()));
    OF_TARGET_GROUPS.set(&mut stored, given)?;
    check_target_group(&stored)?;
    let sent = show(&stored);
    tx.target_groups().update(&(cx.scope.clone(), input.target_group_arn), |row| row.attributes = stored);
    Ok(ModifyTargetGroupAttributesOutput { attributes: sent })
}

pub fn describe_target_group_attributes(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeTargetGroupAttributesInput,
) -> Result<DescribeTargetGroupAttributesOutput, AwsError> {
    let row = names::target_group(state, &cx.scope, &input.target_group_arn)?;
    Ok(DescribeTargetGroupAttributesOutput { attributes: show(&row.attributes) })
}

fn show(stored: &BTreeMap<String, String>) -> Option<Vec<TargetGroupAttribute>> {
    Some(view::attributes(&OF_TARGET_GROUPS.all(stored), |key, value| TargetGroupAttribute { key, value }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::testing::*;
    use crate::testing::Fixture;

    #[test]
    fn attributes_change_and_must_fit_together() {
        let fixture = Fixture::new();
        let arn = target_group(&fixture, "web");
        let attribute =
            |key: &str, value: &str| TargetGroupAttribute { key: Some(key.to_owned()), value: Some(value.to_owned()) };
        let modify = |attributes| {
            let input = ModifyTargetGroupAttributesInput { target_group_arn: arn.clone(), attributes };
            write(&fixture, modify_target_group_attributes, input)
        };
        modify(vec![attribute("deregistration_delay.timeout_seconds", "5")]).expect("set");
        fixture.read(|state, _| {
            assert_eq!(state.target_groups().all().next().expect("a row").deregistration_delay_seconds(), 5);
        });
        let input = DescribeTargetGroupAttributesInput { target_group_arn: arn.clone() };
        let shown = read(&fixture, describe_target_group_attributes, input).expect("a list").attributes.expect("some");
        assert!(shown.contains(&attribute("deregistration_delay.timeout_seconds", "5")));
        assert!(shown.contains(&attribute("stickiness.enabled", "false")));
        modify(vec![attribute("slow_start.duration_seconds", "30")]).expect("set");
        assert_eq!(
            refusal(modify(vec![attribute("load_balancing.algorithm.type", "least_outstanding_requests")])),
            "ValidationError: Slow start mode is only supported with the 'round_robin' load balancing algorithm"
        );
        assert_eq!(
            refusal(modify(vec![attribute("stickiness.enabled", "true"), attribute("stickiness.type", "app_cookie")])),
            "ValidationError: You must specify a 'stickiness.app_cookie.cookie_name' when 'stickiness.type' is 'app_cookie'"
        );
    }
}

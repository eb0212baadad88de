//! DescribeTargetHealth: what the data plane last reported, and what needs no data plane to know.

use super::error::refuse;
use super::register_targets::parse;
use super::{names, usage, view};
use crate::Cx;
use longshore_aws_model::AwsError;
use longshore_aws_model::elbv2::*;
use longshore_store::Snapshot;
use longshore_types::elbv2::{Target, TargetState};

pub fn describe_target_health(
    state: &Snapshot,
    cx: &Cx,
    input: DescribeTargetHealthInput,
) -> Result<DescribeTargetHealthOutput, AwsError> {
    refuse!(input; include);
    let group = names::target_group(state, &cx.scope, &input.target_group_arn)?;
    let is_used = usage::is_used(state, &cx.scope, &group.arn);
    let check_port = |port: u16| match group.health_check.port.as_str() {
        "traffic-port" => port.to_string(),
        fixed => fixed.to_owned(),
    };
    let describe = |row: &Target| TargetHealthDescription {
        target: Some(view::target(row)),
        health_check_port: Some(check_port(row.port)),
        target_health: Some(health(row, is_used)),
        ..Default::default()
    };
    let Some(wanted) = input.targets.filter(|targets| !targets.is_empty()) else {
        let rows = state.targets().prefix(&(cx.scope.clone(), group.arn.clone()));
        let descriptions = rows.map(|row| describe(&row)).collect();
        return Ok(DescribeTargetHealthOutput { target_health_descriptions: Some(descriptions) });
    };
    let find = |given: &TargetDescription| {
        let (address, port) = parse(given, &group)?;
        let key = (cx.scope.clone(), group.arn.clone(), format!("{address}:{port}"));
        Ok(state.targets().get(&key).map_or_else(|| not_registered(given, port), |row| describe(&row)))
    };
    let descriptions: Result<_, AwsError> = wanted.iter().map(find).collect();
    Ok(DescribeTargetHealthOutput { target_health_descriptions: Some(descriptions?) })
}

fn health(row: &Target, is_used: bool) -> TargetHealth {
    if !is_used {
        let text = "Target group is not configured to receive traffic from the load balancer";
        return view::target_health(TargetState::Unused, Some("Target.NotInUse"), Some(text));
    }
    let health = &row.health;
    view::target_health(health.state, health.reason.as_deref(), health.description.as_deref())
}

fn not_registered(given: &TargetDescription, port: u16) -> TargetHealthDescription {
    let text = "Target is not registered to the target group";
    TargetHealthDescription {
        target: Some(TargetDescription { port: Some(port.into()), ..given.clone() }),
        health_check_port: None,
        target_health: Some(view::target_health(TargetState::Unused, Some("Target.NotRegistered"), Some(text))),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elbv2::testing::*;
    use crate::testing::Fixture;

    fn shown(fixture: &Fixture, group: &str, targets: Option<Vec<TargetDescription>>) -> Vec<(String, String)> {
        let input = DescribeTargetHealthInput { target_group_arn: group.to_owned(), targets, include: None };
        let output = read(fixture, describe_target_health, input).expect("a list");
        let health = output.target_health_descriptions.into_iter().flatten().filter_map(|d| d.target_health);
        health.map(|health| (health.state.unwrap_or_default(), health.reason.unwrap_or_default())).collect()
    }

    fn pair(state: &str, reason: &str) -> (String, String) {
        (state.to_owned(), reason.to_owned())
    }

    #[test]
    fn a_target_is_unused_until_something_forwards_to_its_group() {
        let fixture = Fixture::new();
        let unused = target_group(&fixture, "unused");
        register(&fixture, &unused, "172.31.0.10");
        assert_eq!(shown(&fixture, &unused, None), [pair("unused", "Target.NotInUse")]);
        let stack = stack(&fixture);
        register(&fixture, &stack.target_group, "172.31.0.10");
        assert_eq!(shown(&fixture, &stack.target_group, None), [pair("initial", "Elb.RegistrationInProgress")]);
    }

    #[test]
    fn a_stranger_is_told_to_be_one() {
        let fixture = Fixture::new();
        let stack = stack(&fixture);
        register(&fixture, &stack.target_group, "172.31.0.10");
        let target = |id: &str| TargetDescription { id: Some(id.to_owned()), ..Default::default() };
        let wanted = Some(vec![target("172.31.0.11"), target("172.31.0.10")]);
        assert_eq!(
            shown(&fixture, &stack.target_group, wanted),
            [pair("unused", "Target.NotRegistered"), pair("initial", "Elb.RegistrationInProgress")]
        );
    }
}

//! What the tests of load balancing share.

use super::create_listener::create_listener;
use super::create_load_balancer::create_load_balancer;
use super::create_rule::create_rule;
use super::create_target_group::create_target_group;
use super::register_targets::register_targets;
use crate::testing::Fixture;
pub use crate::testing::{read, refusal, write};
use longshore_aws_model::elbv2::*;

/// The default VPC's subnets by zone.
pub fn all_subnets(fixture: &Fixture) -> Vec<String> {
    fixture.read(|state, cx| {
        let mut subnets: Vec<_> = state.subnets().prefix(&cx.scope).collect();
        subnets.sort_by(|a, b| a.zone.cmp(&b.zone));
        subnets.iter().map(|subnet| subnet.id.to_string()).collect()
    })
}

/// Two of them.
pub fn subnets(fixture: &Fixture) -> Vec<String> {
    let mut subnets = all_subnets(fixture);
    subnets.truncate(2);
    subnets
}

pub fn load_balancer(fixture: &Fixture, name: &str) -> String {
    let input =
        CreateLoadBalancerInput { name: name.to_owned(), subnets: Some(subnets(fixture)), ..Default::default() };
    let made = write(fixture, create_load_balancer, input).expect("made").load_balancers.unwrap_or_default();
    made[0].load_balancer_arn.clone().expect("an ARN")
}

pub fn target_group_input(fixture: &Fixture, name: &str) -> CreateTargetGroupInput {
    let vpc = fixture.read(|state, cx| state.vpcs().prefix(&cx.scope).next().expect("the default one").id.to_string());
    CreateTargetGroupInput {
        name: name.to_owned(),
        protocol: Some("HTTP".to_owned()),
        port: Some(80),
        vpc_id: Some(vpc),
        target_type: Some("ip".to_owned()),
        ..Default::default()
    }
}

pub fn target_group(fixture: &Fixture, name: &str) -> String {
    let made = write(fixture, create_target_group, target_group_input(fixture, name)).expect("made");
    made.target_groups.unwrap_or_default()[0].target_group_arn.clone().expect("an ARN")
}

/// A load balancer `web` whose listener on port 80 forwards to a target group `web`.
pub struct Stack {
    pub load_balancer: String,
    pub target_group: String,
    pub listener: String,
}

pub fn stack(fixture: &Fixture) -> Stack {
    let listener = String::new();
    let mut stack =
        Stack { load_balancer: load_balancer(fixture, "web"), target_group: target_group(fixture, "web"), listener };
    let made = write(fixture, create_listener, listener_input(&stack, 80)).expect("made").listeners.unwrap_or_default();
    stack.listener = made[0].listener_arn.clone().expect("an ARN");
    stack
}

pub fn listener_input(stack: &Stack, port: i32) -> CreateListenerInput {
    CreateListenerInput {
        load_balancer_arn: stack.load_balancer.clone(),
        protocol: Some("HTTP".to_owned()),
        port: Some(port),
        default_actions: vec![forward(&stack.target_group)],
        ..Default::default()
    }
}

pub fn forward(target_group: &str) -> Action {
    Action { r#type: Some("forward".to_owned()), target_group_arn: Some(target_group.to_owned()), ..Default::default() }
}

pub fn fixed(status_code: &str) -> Action {
    let config = FixedResponseActionConfig { status_code: Some(status_code.to_owned()), ..Default::default() };
    Action { r#type: Some("fixed-response".to_owned()), fixed_response_config: Some(config), ..Default::default() }
}

pub fn rule_input(stack: &Stack, priority: i32, path: &str) -> CreateRuleInput {
    let condition = RuleCondition {
        field: Some("path-pattern".to_owned()),
        values: Some(vec![path.to_owned()]),
        ..Default::default()
    };
    CreateRuleInput {
        listener_arn: stack.listener.clone(),
        conditions: vec![condition],
        priority,
        actions: vec![forward(&stack.target_group)],
        ..Default::default()
    }
}

pub fn path_rule(fixture: &Fixture, stack: &Stack, priority: i32, path: &str) -> String {
    let made = write(fixture, create_rule, rule_input(stack, priority, path)).expect("made").rules.unwrap_or_default();
    made[0].rule_arn.clone().expect("an ARN")
}

pub fn register(fixture: &Fixture, target_group: &str, address: &str) {
    let target = TargetDescription { id: Some(address.to_owned()), ..Default::default() };
    let input = RegisterTargetsInput { target_group_arn: target_group.to_owned(), targets: vec![target] };
    write(fixture, register_targets, input).expect("registered");
}

//! Elastic Load Balancing v2: application load balancers over HTTP.

mod actions;
mod attributes;
mod conditions;
mod create_load_balancer;
mod create_target_group;
mod delete_load_balancer;
mod delete_target_group;
mod describe_load_balancers;
mod describe_target_groups;
mod describe_target_health;
mod error;
mod find;
mod health_check;
mod listeners;
mod load_balancer_attributes;
mod modify_target_group;
mod register_targets;
mod rules;
mod set_security_groups;
mod set_subnets;
mod tags;
mod target_group_attributes;
mod view;

use crate::Routes;
use longshore_aws_model::elbv2::*;

pub fn routes(routes: Routes) -> Routes {
    routes
        .write::<CreateLoadBalancer>(create_load_balancer::create_load_balancer)
        .read::<DescribeLoadBalancers>(describe_load_balancers::describe_load_balancers)
        .write::<DeleteLoadBalancer>(delete_load_balancer::delete_load_balancer)
        .write::<ModifyLoadBalancerAttributes>(load_balancer_attributes::modify_load_balancer_attributes)
        .read::<DescribeLoadBalancerAttributes>(load_balancer_attributes::describe_load_balancer_attributes)
        .write::<SetSecurityGroups>(set_security_groups::set_security_groups)
        .write::<SetSubnets>(set_subnets::set_subnets)
        .write::<CreateTargetGroup>(create_target_group::create_target_group)
        .read::<DescribeTargetGroups>(describe_target_groups::describe_target_groups)
        .write::<DeleteTargetGroup>(delete_target_group::delete_target_group)
        .write::<ModifyTargetGroup>(modify_target_group::modify_target_group)
        .write::<ModifyTargetGroupAttributes>(target_group_attributes::modify_target_group_attributes)
        .read::<DescribeTargetGroupAttributes>(target_group_attributes::describe_target_group_attributes)
        .write::<RegisterTargets>(register_targets::register_targets)
        .write::<DeregisterTargets>(register_targets::deregister_targets)
        .read::<DescribeTargetHealth>(describe_target_health::describe_target_health)
        .write::<CreateListener>(listeners::create_listener)
        .read::<DescribeListeners>(listeners::describe_listeners)
        .write::<ModifyListener>(listeners::modify_listener)
        .write::<DeleteListener>(listeners::delete_listener)
        .write::<CreateRule>(rules::create_rule)
        .read::<DescribeRules>(rules::describe_rules)
        .write::<ModifyRule>(rules::modify_rule)
        .write::<DeleteRule>(rules::delete_rule)
        .write::<SetRulePriorities>(rules::set_rule_priorities)
        .write::<AddTags>(tags::add_tags)
        .write::<RemoveTags>(tags::remove_tags)
        .read::<DescribeTags>(tags::describe_tags)
}

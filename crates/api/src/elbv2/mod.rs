//! Elastic Load Balancing: application load balancers, target groups of addresses, listeners and rules over HTTP.

mod actions;
mod attributes;
pub mod authenticate;
mod capacity_reservation;
mod conditions;
mod create_listener;
mod create_load_balancer;
mod create_rule;
mod create_target_group;
mod delete_listener;
mod delete_load_balancer;
mod delete_rule;
mod delete_target_group;
mod deregister_targets;
mod describe_listeners;
mod describe_load_balancers;
mod describe_rules;
mod describe_target_groups;
mod describe_target_health;
mod error;
mod get_resource_policy;
mod health_check;
mod limits;
mod list;
pub mod listener_attributes;
mod listener_certificates;
mod listener_tls;
mod load_balancer_attributes;
mod modify_ip_pools;
mod modify_listener;
mod modify_rule;
mod modify_target_group;
mod names;
pub mod permissions;
mod placement;
mod register_targets;
mod set_ip_address_type;
mod set_rule_priorities;
mod set_security_groups;
mod set_subnets;
pub mod ssl_policies;
pub(crate) mod tags;
mod target_group_attributes;
#[cfg(test)]
mod testing;
mod transforms;
pub mod usage;
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
        .read::<SetIpAddressType>(set_ip_address_type::set_ip_address_type)
        .read::<ModifyIpPools>(modify_ip_pools::modify_ip_pools)
        .read::<DescribeCapacityReservation>(capacity_reservation::describe_capacity_reservation)
        .read::<ModifyCapacityReservation>(capacity_reservation::modify_capacity_reservation)
        .read::<DescribeAccountLimits>(limits::describe_account_limits)
        .read::<GetResourcePolicy>(get_resource_policy::get_resource_policy)
        .write::<CreateTargetGroup>(create_target_group::create_target_group)
        .read::<DescribeTargetGroups>(describe_target_groups::describe_target_groups)
        .write::<DeleteTargetGroup>(delete_target_group::delete_target_group)
        .write::<ModifyTargetGroup>(modify_target_group::modify_target_group)
        .write::<ModifyTargetGroupAttributes>(target_group_attributes::modify_target_group_attributes)
        .read::<DescribeTargetGroupAttributes>(target_group_attributes::describe_target_group_attributes)
        .write::<RegisterTargets>(register_targets::register_targets)
        .write::<DeregisterTargets>(deregister_targets::deregister_targets)
        .read::<DescribeTargetHealth>(describe_target_health::describe_target_health)
        .write::<CreateListener>(create_listener::create_listener)
        .read::<DescribeListeners>(describe_listeners::describe_listeners)
        .write::<AddListenerCertificates>(listener_certificates::add_listener_certificates)
        .write::<RemoveListenerCertificates>(listener_certificates::remove_listener_certificates)
        .read::<DescribeListenerCertificates>(listener_certificates::describe_listener_certificates)
        .read::<DescribeSSLPolicies>(ssl_policies::describe_ssl_policies)
        .write::<ModifyListener>(modify_listener::modify_listener)
        .write::<ModifyListenerAttributes>(listener_attributes::modify_listener_attributes)
        .read::<DescribeListenerAttributes>(listener_attributes::describe_listener_attributes)
        .write::<DeleteListener>(delete_listener::delete_listener)
        .write::<CreateRule>(create_rule::create_rule)
        .read::<DescribeRules>(describe_rules::describe_rules)
        .write::<ModifyRule>(modify_rule::modify_rule)
        .write::<DeleteRule>(delete_rule::delete_rule)
        .write::<SetRulePriorities>(set_rule_priorities::set_rule_priorities)
        .write::<AddTags>(tags::add_tags)
        .write::<RemoveTags>(tags::remove_tags)
        .read::<DescribeTags>(tags::describe_tags)
}

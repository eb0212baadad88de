//! What each operation of Elastic Load Balancing needs (Service Authorization Reference, "AWS Elastic Load Balancing V2").

use crate::identity::Resources::{Any, Arns, Each};
use crate::identity::{Ask, Permission, on};
use longshore_policy::Values;
use std::borrow::Cow;

/// `elasticloadbalancing:<operation>`.
macro_rules! elb {
    ($operation:literal, $resources:expr) => {
        on($operation, concat!("elasticloadbalancing:", $operation), $resources)
    };
}

pub const PERMISSIONS: &[Permission] = &[
    elb!("AddListenerCertificates", Arns("ListenerArn")),
    elb!("AddTags", Arns("ResourceArns")),
    elb!("CreateListener", Arns("LoadBalancerArn")),
    on("CreateListener", "elasticloadbalancing:AddTags", Each(|ask| if_tagged(ask, "LoadBalancerArn"))),
    elb!("CreateLoadBalancer", Each(new_load_balancer)),
    on("CreateLoadBalancer", "elasticloadbalancing:AddTags", Each(tagged_load_balancer)),
    elb!("CreateRule", Arns("ListenerArn")),
    on("CreateRule", "elasticloadbalancing:AddTags", Each(|ask| if_tagged(ask, "ListenerArn"))),
    elb!("CreateTargetGroup", Each(new_target_group)),
    on("CreateTargetGroup", "elasticloadbalancing:AddTags", Each(tagged_target_group)),
    elb!("DeleteListener", Arns("ListenerArn")),
    elb!("DeleteLoadBalancer", Arns("LoadBalancerArn")),
    elb!("DeleteRule", Arns("RuleArn")),
    elb!("DeleteTargetGroup", Arns("TargetGroupArn")),
    elb!("DeregisterTargets", Arns("TargetGroupArn")),
    elb!("DescribeAccountLimits", Any),
    elb!("DescribeCapacityReservation", Any),
    elb!("DescribeListenerAttributes", Any),
    elb!("DescribeListenerCertificates", Any),
    elb!("DescribeListeners", Any),
    elb!("DescribeLoadBalancerAttributes", Any),
    elb!("DescribeLoadBalancers", Any),
    elb!("DescribeRules", Any),
    elb!("DescribeSSLPolicies", Any),
    elb!("DescribeTags", Any),
    elb!("DescribeTargetGroupAttributes", Any),
    elb!("DescribeTargetGroups", Any),
    elb!("DescribeTargetHealth", Any),
    elb!("DescribeTrustStores", Any),
    elb!("GetResourcePolicy", Arns("ResourceArn")),
    elb!("ModifyCapacityReservation", Arns("LoadBalancerArn")),
    elb!("ModifyIpPools", Arns("LoadBalancerArn")),
    elb!("ModifyListener", Arns("ListenerArn")),
    elb!("ModifyListenerAttributes", Arns("ListenerArn")),
    elb!("ModifyLoadBalancerAttributes", Arns("LoadBalancerArn")),
    elb!("ModifyRule", Arns("RuleArn")),
    elb!("ModifyTargetGroup", Arns("TargetGroupArn")),
    elb!("ModifyTargetGroupAttributes", Arns("TargetGroupArn")),
    elb!("RegisterTargets", Arns("TargetGroupArn")),
    elb!("RemoveListenerCertificates", Arns("ListenerArn")),
    elb!("RemoveTags", Arns("ResourceArns")),
    elb!("SetIpAddressType", Arns("LoadBalancerArn")),
    elb!("SetRulePriorities", Arns("RulePriorities.RuleArn")),
    elb!("SetSecurityGroups", Arns("LoadBalancerArn")),
    elb!("SetSubnets", Arns("LoadBalancerArn")),
];

fn if_tagged(ask: &Ask<'_>, path: &'static str) -> Vec<String> {
    let arns = ask.fields.all(path).map(str::to_owned);
    if ask.get("Tags.Key").is_some() { arns.collect() } else { Vec::new() }
}

fn new_load_balancer(ask: &Ask<'_>) -> Vec<String> {
    let kind = if ask.get("Type") == Some("network") { "net" } else { "app" };
    vec![ask.arn("elasticloadbalancing", &format!("loadbalancer/{kind}/{}/*", ask.get("Name").unwrap_or_default()))]
}

fn tagged_load_balancer(ask: &Ask<'_>) -> Vec<String> {
    if ask.get("Tags.Key").is_some() { new_load_balancer(ask) } else { Vec::new() }
}

fn new_target_group(ask: &Ask<'_>) -> Vec<String> {
    vec![ask.arn("elasticloadbalancing", &format!("targetgroup/{}/*", ask.get("Name").unwrap_or_default()))]
}

fn tagged_target_group(ask: &Ask<'_>) -> Vec<String> {
    if ask.get("Tags.Key").is_some() { new_target_group(ask) } else { Vec::new() }
}

/// `elasticloadbalancing:Scheme` and its kind.
pub fn context<'a>(ask: &Ask<'a>, name: &str) -> Option<Values<'a>> {
    let many = |path: &'static str| {
        let values: Vec<_> = ask.all(path).map(Cow::Borrowed).collect();
        (!values.is_empty()).then_some(Values::Many(values))
    };
    match name {
        "scheme" => ask.get("Scheme").map(Values::one),
        "subnet" => many("Subnets").or_else(|| many("SubnetMappings.SubnetId")),
        "securitygroup" => many("SecurityGroups"),
        "listenerprotocol" => ask.get("Protocol").map(Values::one),
        "securitypolicy" => many("SslPolicy"),
        _ => None,
    }
}

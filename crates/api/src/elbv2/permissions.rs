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
    on(
        "CreateListener",
        "elasticloadbalancing:AddTags",
        Each(|ask| tagged_below(ask, "LoadBalancerArn", "loadbalancer", "listener")),
    ),
    elb!("CreateLoadBalancer", Each(new_load_balancer)),
    on("CreateLoadBalancer", "elasticloadbalancing:AddTags", Each(tagged_load_balancer)),
    elb!("CreateRule", Arns("ListenerArn")),
    on(
        "CreateRule",
        "elasticloadbalancing:AddTags",
        Each(|ask| tagged_below(ask, "ListenerArn", "listener", "listener-rule")),
    ),
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

/// What is made below `path`'s ARN, when it is made with tags: of `…:loadbalancer/app/web/1` and the kinds `loadbalancer` and
/// `listener`, that is `…:listener/app/web/1/*`.
fn tagged_below(ask: &Ask<'_>, path: &'static str, kind: &str, new: &str) -> Vec<String> {
    if ask.get("Tags.Key").is_none() {
        return Vec::new();
    }
    let below = |arn: &str| match arn.split_once(&format!(":{kind}/")) {
        Some((head, rest)) => format!("{head}:{new}/{rest}/*"),
        // No ARN of its kind, as the handler will say.
        None => arn.to_owned(),
    };
    ask.fields.all(path).map(below).collect()
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
pub fn context<'a>(ask: &Ask<'a>, name: &str, action: &str) -> Option<Values<'a>> {
    let many = |path: &'static str| {
        let values: Vec<_> = ask.all(path).map(Cow::Borrowed).collect();
        (!values.is_empty()).then_some(Values::Many(values))
    };
    match name {
        // Of a request that creates and tags; tagging by itself has none.
        "createaction" if action == "elasticloadbalancing:AddTags" => {
            ask.operation.starts_with("Create").then(|| Values::one(ask.operation))
        }
        "scheme" => ask.get("Scheme").map(Values::one),
        "subnet" => many("Subnets").or_else(|| many("SubnetMappings.SubnetId")),
        "securitygroup" => many("SecurityGroups"),
        "listenerprotocol" => ask.get("Protocol").map(Values::one),
        "securitypolicy" => many("SslPolicy"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::identity::{self, Ask, Fields};
    use crate::testing::Fixture;
    use longshore_aws_model::Operation;
    use longshore_aws_model::elbv2::*;

    const BALANCER: &str = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/web/1";
    const LISTENER: &str = "arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/web/1/2";

    fn tags() -> Option<Vec<Tag>> {
        Some(vec![Tag { key: Some("team".to_owned()), value: None }])
    }

    #[test]
    fn tags_of_a_new_listener_or_rule_are_asked_for_on_it() {
        let fixture = Fixture::new();
        let cx = fixture.user(
            r#"{"Statement":[
                {"Effect":"Allow","Action":["elasticloadbalancing:CreateListener","elasticloadbalancing:CreateRule"],"Resource":"*"},
                {"Effect":"Allow","Action":"elasticloadbalancing:AddTags",
                 "Resource":["arn:aws:elasticloadbalancing:*:*:listener/app/web/1/*",
                             "arn:aws:elasticloadbalancing:*:*:listener-rule/app/web/1/2/*"],
                 "Condition":{"StringEquals":{"elasticloadbalancing:CreateAction":["CreateListener","CreateRule"]}}}]}"#,
        );
        let listener =
            |arn: &str| CreateListenerInput { load_balancer_arn: arn.to_owned(), tags: tags(), ..Default::default() };
        let rule = |arn: &str| CreateRuleInput { listener_arn: arn.to_owned(), tags: tags(), ..Default::default() };
        fixture.read(|state, _| {
            identity::check(state, &cx, CreateListener::SCHEMA, &listener(BALANCER)).expect("allowed on the listener");
            identity::check(state, &cx, CreateRule::SCHEMA, &rule(LISTENER)).expect("allowed on the rule");
            let other = BALANCER.replace("web/1", "web/7");
            let refused =
                identity::check(state, &cx, CreateListener::SCHEMA, &listener(&other)).expect_err("another's");
            assert!(
                refused
                    .message
                    .contains("on resource: arn:aws:elasticloadbalancing:us-east-1:123456789012:listener/app/web/7/* ")
            );
        });
    }

    #[test]
    fn tagging_by_itself_has_no_create_action() {
        let fixture = Fixture::new();
        fixture.read(|state, cx| {
            for (operation, expected) in [("AddTags", None), ("TagResources", None), ("CreateRule", Some("CreateRule"))]
            {
                let ask = Ask { state, cx, fields: &Fields::default(), operation };
                let found = super::context(&ask, "createaction", "elasticloadbalancing:AddTags");
                assert_eq!(found, expected.map(longshore_policy::Values::one), "{operation}");
            }
        });
    }
}

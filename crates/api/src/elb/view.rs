//! Stored load balancers and what belongs to them, as the API shows them.

use super::find;
use longshore_aws_model::Timestamp as WireTime;
use longshore_aws_model::elbv2 as wire;
use longshore_store::Snapshot;
use longshore_types::elbv2::*;
use longshore_types::{Scope, Tags};

pub fn load_balancer(row: &LoadBalancer) -> wire::LoadBalancer {
    let (code, reason) = match &row.state {
        LoadBalancerState::Provisioning => ("provisioning", None),
        LoadBalancerState::Active => ("active", None),
        LoadBalancerState::Failed(reason) => ("failed", Some(reason.clone())),
    };
    wire::LoadBalancer {
        load_balancer_arn: Some(row.arn.clone()),
        dns_name: Some(row.dns_name.clone()),
        canonical_hosted_zone_id: Some(row.hosted_zone_id.clone()),
        created_time: Some(WireTime(row.created_at.0)),
        load_balancer_name: Some(row.name.clone()),
        scheme: Some(if row.internet_facing { "internet-facing" } else { "internal" }.to_owned()),
        vpc_id: Some(row.vpc.to_string()),
        state: Some(wire::LoadBalancerState { code: Some(code.to_owned()), reason }),
        r#type: Some("application".to_owned()),
        availability_zones: Some(zones(row)),
        security_groups: Some(row.security_groups.iter().map(ToString::to_string).collect()),
        ip_address_type: Some("ipv4".to_owned()),
        ..Default::default()
    }
}

pub fn zones(row: &LoadBalancer) -> Vec<wire::AvailabilityZone> {
    let zone = |node: &LoadBalancerNode| wire::AvailabilityZone {
        zone_name: Some(node.zone.to_string()),
        subnet_id: Some(node.subnet.to_string()),
        load_balancer_addresses: Some(vec![]),
        ..Default::default()
    };
    row.nodes.iter().map(zone).collect()
}

pub fn target_group(state: &Snapshot, scope: &Scope, row: &TargetGroup) -> wire::TargetGroup {
    let check = &row.health_check;
    wire::TargetGroup {
        target_group_arn: Some(row.arn.clone()),
        target_group_name: Some(row.name.clone()),
        protocol: Some(row.protocol.clone()),
        port: Some(i32::from(row.port)),
        vpc_id: Some(row.vpc.to_string()),
        health_check_protocol: Some(check.protocol.clone()),
        health_check_port: Some(check.port.clone()),
        health_check_enabled: Some(check.enabled),
        health_check_interval_seconds: Some(check.interval_seconds as i32),
        health_check_timeout_seconds: Some(check.timeout_seconds as i32),
        healthy_threshold_count: Some(check.healthy_threshold as i32),
        unhealthy_threshold_count: Some(check.unhealthy_threshold as i32),
        health_check_path: Some(check.path.clone()),
        matcher: Some(wire::Matcher { http_code: Some(check.matcher.clone()), grpc_code: None }),
        load_balancer_arns: Some(find::users(state, scope, &row.arn).into_iter().collect()),
        target_type: Some(row.target_type.clone()),
        protocol_version: Some(row.protocol_version.clone()),
        ip_address_type: Some("ipv4".to_owned()),
        ..Default::default()
    }
}

pub fn listener(row: &Listener) -> wire::Listener {
    wire::Listener {
        listener_arn: Some(row.arn.clone()),
        load_balancer_arn: Some(row.load_balancer.clone()),
        port: Some(i32::from(row.port)),
        protocol: Some(row.protocol.clone()),
        default_actions: Some(row.default_actions.iter().map(action).collect()),
        ..Default::default()
    }
}

pub fn rule(row: &Rule) -> wire::Rule {
    wire::Rule {
        rule_arn: Some(row.arn.clone()),
        priority: Some(row.priority.to_string()),
        conditions: Some(row.conditions.iter().map(condition).collect()),
        actions: Some(row.actions.iter().map(action).collect()),
        is_default: Some(false),
        ..Default::default()
    }
}

/// A listener's default actions, as the rule that they are.
pub fn default_rule(row: &Listener) -> wire::Rule {
    wire::Rule {
        rule_arn: Some(default_rule_arn(&row.arn)),
        priority: Some("default".to_owned()),
        conditions: Some(vec![]),
        actions: Some(row.default_actions.iter().map(action).collect()),
        is_default: Some(true),
        ..Default::default()
    }
}

/// The listener's own id stands for the rule's.
pub fn default_rule_arn(listener: &str) -> String {
    let id = listener.rsplit('/').next().unwrap_or_default();
    format!("{}/{id}", listener.replacen(":listener/", ":listener-rule/", 1))
}

fn action(action: &Action) -> wire::Action {
    match action {
        Action::Forward { target_groups, stickiness_seconds } => {
            let tuple = |(arn, weight): &(String, u32)| wire::TargetGroupTuple {
                target_group_arn: Some(arn.clone()),
                weight: Some(*weight as i32),
            };
            wire::Action {
                r#type: Some("forward".to_owned()),
                // The short form as well, where there is one.
                target_group_arn: (target_groups.len() == 1).then(|| target_groups[0].0.clone()),
                forward_config: Some(wire::ForwardActionConfig {
                    target_groups: Some(target_groups.iter().map(tuple).collect()),
                    target_group_stickiness_config: Some(wire::TargetGroupStickinessConfig {
                        enabled: Some(stickiness_seconds.is_some()),
                        duration_seconds: stickiness_seconds.map(|seconds| seconds as i32),
                    }),
                }),
                ..Default::default()
            }
        }
        Action::Redirect { protocol, port, host, path, query, status_code } => wire::Action {
            r#type: Some("redirect".to_owned()),
            redirect_config: Some(wire::RedirectActionConfig {
                protocol: Some(protocol.clone()),
                port: Some(port.clone()),
                host: Some(host.clone()),
                path: Some(path.clone()),
                query: Some(query.clone()),
                status_code: Some(format!("HTTP_{status_code}")),
            }),
            ..Default::default()
        },
        Action::FixedResponse { status_code, content_type, body } => wire::Action {
            r#type: Some("fixed-response".to_owned()),
            fixed_response_config: Some(wire::FixedResponseActionConfig {
                message_body: body.clone(),
                status_code: Some(status_code.to_string()),
                content_type: content_type.clone(),
            }),
            ..Default::default()
        },
    }
}

fn condition(condition: &Condition) -> wire::RuleCondition {
    let mut shown = wire::RuleCondition::default();
    let field = match condition {
        Condition::PathPattern(values) => {
            shown.values = Some(values.clone());
            shown.path_pattern_config = Some(wire::PathPatternConditionConfig { values: Some(values.clone()), ..Default::default() });
            "path-pattern"
        }
        Condition::HostHeader(values) => {
            shown.values = Some(values.clone());
            shown.host_header_config = Some(wire::HostHeaderConditionConfig { values: Some(values.clone()), ..Default::default() });
            "host-header"
        }
        Condition::HttpHeader { name, values } => {
            let (http_header_name, values) = (Some(name.clone()), Some(values.clone()));
            shown.http_header_config = Some(wire::HttpHeaderConditionConfig { http_header_name, values, ..Default::default() });
            "http-header"
        }
        Condition::HttpRequestMethod(values) => {
            shown.http_request_method_config = Some(wire::HttpRequestMethodConditionConfig { values: Some(values.clone()) });
            "http-request-method"
        }
        Condition::QueryString(pairs) => {
            let pair = |(key, value): &(Option<String>, String)| wire::QueryStringKeyValuePair { key: key.clone(), value: Some(value.clone()) };
            shown.query_string_config = Some(wire::QueryStringConditionConfig { values: Some(pairs.iter().map(pair).collect()) });
            "query-string"
        }
        Condition::SourceIp(blocks) => {
            let values = Some(blocks.iter().map(ToString::to_string).collect());
            shown.source_ip_config = Some(wire::SourceIpConditionConfig { values, ..Default::default() });
            "source-ip"
        }
    };
    shown.field = Some(field.to_owned());
    shown
}

pub fn tags(tags: &Tags) -> Vec<wire::Tag> {
    tags.iter().map(|(key, value)| wire::Tag { key: Some(key.clone()), value: Some(value.clone()) }).collect()
}

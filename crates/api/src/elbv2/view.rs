//! Stored resources as the API shows them: the only bridge from one to the other.

use super::{names, transforms, usage};
use longshore_aws_model::Timestamp as WireTime;
use longshore_aws_model::elbv2 as wire;
use longshore_store::Snapshot;
use longshore_types::elbv2::*;
use longshore_types::{Scope, Tags};
use std::collections::BTreeMap;

pub fn tags(tags: &Tags) -> Vec<wire::Tag> {
    tags.iter().map(|(key, value)| wire::Tag { key: Some(key.clone()), value: Some(value.clone()) }).collect()
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn number(n: u32) -> Option<i32> {
    Some(i32::try_from(n).unwrap_or(i32::MAX))
}

pub fn load_balancer(row: &LoadBalancer) -> wire::LoadBalancer {
    let (code, reason) = match &row.state {
        LoadBalancerState::Provisioning => ("provisioning", None),
        LoadBalancerState::Active => ("active", None),
        LoadBalancerState::Failed(reason) => ("failed", Some(reason.clone())),
    };
    wire::LoadBalancer {
        load_balancer_arn: text(&row.arn),
        dns_name: text(&row.dns_name),
        canonical_hosted_zone_id: text(&row.hosted_zone_id),
        created_time: Some(WireTime(row.created_at.0)),
        load_balancer_name: text(&row.name),
        scheme: text(if row.internet_facing { "internet-facing" } else { "internal" }),
        vpc_id: text(row.vpc.as_str()),
        state: Some(wire::LoadBalancerState { code: text(code), reason }),
        r#type: text("application"),
        availability_zones: Some(zones(row)),
        security_groups: Some(row.security_groups.iter().map(ToString::to_string).collect()),
        ip_address_type: text("ipv4"),
        ..Default::default()
    }
}

pub fn zones(row: &LoadBalancer) -> Vec<wire::AvailabilityZone> {
    let zone = |node: &LoadBalancerNode| wire::AvailabilityZone {
        zone_name: text(node.zone.as_str()),
        subnet_id: text(node.subnet.as_str()),
        load_balancer_addresses: Some(vec![]),
        ..Default::default()
    };
    row.nodes.iter().map(zone).collect()
}

pub fn target_group(state: &Snapshot, scope: &Scope, row: &TargetGroup) -> wire::TargetGroup {
    let check = &row.health_check;
    wire::TargetGroup {
        target_group_arn: text(&row.arn),
        target_group_name: text(&row.name),
        protocol: text(&row.protocol),
        port: Some(row.port.into()),
        vpc_id: text(row.vpc.as_str()),
        health_check_protocol: text(&check.protocol),
        health_check_port: text(&check.port),
        health_check_enabled: Some(check.enabled),
        health_check_interval_seconds: number(check.interval_seconds),
        health_check_timeout_seconds: number(check.timeout_seconds),
        healthy_threshold_count: number(check.healthy_threshold),
        unhealthy_threshold_count: number(check.unhealthy_threshold),
        health_check_path: text(&check.path),
        matcher: Some(match row.protocol_version.as_str() {
            "GRPC" => wire::Matcher { http_code: None, grpc_code: text(&check.matcher) },
            _ => wire::Matcher { http_code: text(&check.matcher), grpc_code: None },
        }),
        load_balancer_arns: Some(usage::load_balancers(state, scope, &row.arn).into_iter().collect()),
        target_type: text(&row.target_type),
        protocol_version: text(&row.protocol_version),
        ip_address_type: text("ipv4"),
        target_control_port: None,
    }
}

/// One attribute list; the two kinds of attributes are the same but for their type.
pub fn attributes<T>(attributes: &BTreeMap<String, String>, make: fn(Option<String>, Option<String>) -> T) -> Vec<T> {
    attributes.iter().map(|(key, value)| make(Some(key.clone()), Some(value.clone()))).collect()
}

pub fn listener(row: &Listener) -> wire::Listener {
    wire::Listener {
        listener_arn: text(&row.arn),
        load_balancer_arn: text(&row.load_balancer),
        port: Some(row.port.into()),
        protocol: text(&row.protocol),
        default_actions: Some(actions(&row.default_actions, &row.action_order)),
        certificates: row
            .certificates
            .first()
            .map(|arn| vec![wire::Certificate { certificate_arn: text(arn), is_default: None }]),
        ssl_policy: row.ssl_policy.clone(),
        mutual_authentication: (row.protocol == "HTTPS")
            .then(|| wire::MutualAuthenticationAttributes { mode: text("off"), ..Default::default() }),
        ..Default::default()
    }
}

pub fn rule(row: &Rule) -> wire::Rule {
    wire::Rule {
        rule_arn: text(&row.arn),
        priority: Some(row.priority.to_string()),
        conditions: Some(row.conditions.iter().map(condition).collect()),
        actions: Some(actions(&row.actions, &row.action_order)),
        is_default: Some(false),
        transforms: transforms::view(&row.transforms),
    }
}

/// A listener's default actions as the rule that is evaluated last.
pub fn default_rule(row: &Listener) -> wire::Rule {
    wire::Rule {
        rule_arn: Some(names::default_rule_arn(&row.arn)),
        priority: text("default"),
        conditions: Some(vec![]),
        actions: Some(actions(&row.default_actions, &row.action_order)),
        is_default: Some(true),
        transforms: None,
    }
}

fn actions(actions: &[Action], order: &[i32]) -> Vec<wire::Action> {
    let order = order.iter().copied().map(Some).chain(std::iter::repeat(None));
    actions.iter().zip(order).map(|(row, order)| wire::Action { order, ..action(row) }).collect()
}

fn action(row: &Action) -> wire::Action {
    match row {
        Action::Forward { target_groups, stickiness_seconds, unused_stickiness_seconds } => {
            let single = match &target_groups[..] {
                [(arn, _)] => Some(arn.clone()),
                _ => None,
            };
            let tuples = target_groups
                .iter()
                .map(|(arn, weight)| wire::TargetGroupTuple { target_group_arn: text(arn), weight: number(*weight) });
            let stickiness = wire::TargetGroupStickinessConfig {
                enabled: Some(stickiness_seconds.is_some()),
                duration_seconds: stickiness_seconds.or(*unused_stickiness_seconds).and_then(number),
            };
            wire::Action {
                r#type: text("forward"),
                target_group_arn: single,
                forward_config: Some(wire::ForwardActionConfig {
                    target_groups: Some(tuples.collect()),
                    target_group_stickiness_config: Some(stickiness),
                }),
                ..Default::default()
            }
        }
        Action::Redirect { protocol, port, host, path, query, status_code } => wire::Action {
            r#type: text("redirect"),
            redirect_config: Some(wire::RedirectActionConfig {
                protocol: text(protocol),
                port: text(port),
                host: text(host),
                path: text(path),
                query: text(query),
                status_code: Some(format!("HTTP_{status_code}")),
            }),
            ..Default::default()
        },
        // A client secret is never shown again.
        Action::AuthenticateOidc(oidc) => wire::Action {
            r#type: text("authenticate-oidc"),
            authenticate_oidc_config: Some(wire::AuthenticateOidcActionConfig {
                issuer: text(&oidc.issuer),
                authorization_endpoint: text(&oidc.authorization_endpoint),
                token_endpoint: text(&oidc.token_endpoint),
                user_info_endpoint: text(&oidc.user_info_endpoint),
                client_id: text(&oidc.client_id),
                client_secret: None,
                session_cookie_name: text(&oidc.session_cookie_name),
                scope: text(&oidc.scope),
                session_timeout: i64::try_from(oidc.session_timeout_seconds).ok(),
                authentication_request_extra_params: Some(oidc.extra_params.clone())
                    .filter(|params| !params.is_empty()),
                on_unauthenticated_request: text(oidc.on_unauthenticated.as_str()),
                use_existing_client_secret: None,
            }),
            ..Default::default()
        },
        Action::JwtValidation { jwks_endpoint, issuer, additional_claims } => {
            let claims = additional_claims.iter().map(|claim| wire::JwtValidationActionAdditionalClaim {
                format: text(claim.format.as_str()),
                name: text(&claim.name),
                values: Some(claim.values.clone()),
            });
            wire::Action {
                r#type: text("jwt-validation"),
                jwt_validation_config: Some(wire::JwtValidationActionConfig {
                    jwks_endpoint: text(jwks_endpoint),
                    issuer: text(issuer),
                    additional_claims: Some(claims.collect::<Vec<_>>()).filter(|claims| !claims.is_empty()),
                }),
                ..Default::default()
            }
        }
        Action::FixedResponse { status_code, content_type, body } => wire::Action {
            r#type: text("fixed-response"),
            fixed_response_config: Some(wire::FixedResponseActionConfig {
                message_body: body.clone(),
                status_code: Some(status_code.to_string()),
                content_type: content_type.clone(),
            }),
            ..Default::default()
        },
    }
}

/// Path and host patterns are shown in both places where a request may give them.
fn condition(row: &Condition) -> wire::RuleCondition {
    let empty = wire::RuleCondition::default;
    let some = |values: &Vec<String>| Some(values.clone());
    match row {
        Condition::PathPattern(values) => wire::RuleCondition {
            field: text("path-pattern"),
            values: some(values),
            path_pattern_config: Some(wire::PathPatternConditionConfig { values: some(values), regex_values: None }),
            ..empty()
        },
        Condition::HostHeader(values) => wire::RuleCondition {
            field: text("host-header"),
            values: some(values),
            host_header_config: Some(wire::HostHeaderConditionConfig { values: some(values), regex_values: None }),
            ..empty()
        },
        Condition::PathRegex(values) => wire::RuleCondition {
            field: text("path-pattern"),
            regex_values: some(values),
            path_pattern_config: Some(wire::PathPatternConditionConfig { values: None, regex_values: some(values) }),
            ..empty()
        },
        Condition::HostRegex(values) => wire::RuleCondition {
            field: text("host-header"),
            regex_values: some(values),
            host_header_config: Some(wire::HostHeaderConditionConfig { values: None, regex_values: some(values) }),
            ..empty()
        },
        Condition::HttpHeaderRegex { name, values } => wire::RuleCondition {
            field: text("http-header"),
            http_header_config: Some(wire::HttpHeaderConditionConfig {
                http_header_name: text(name),
                values: None,
                regex_values: some(values),
            }),
            ..empty()
        },
        Condition::HttpHeader { name, values } => wire::RuleCondition {
            field: text("http-header"),
            http_header_config: Some(wire::HttpHeaderConditionConfig {
                http_header_name: text(name),
                values: some(values),
                regex_values: None,
            }),
            ..empty()
        },
        Condition::HttpRequestMethod(values) => wire::RuleCondition {
            field: text("http-request-method"),
            http_request_method_config: Some(wire::HttpRequestMethodConditionConfig { values: some(values) }),
            ..empty()
        },
        Condition::QueryString(pairs) => {
            let pair = |(key, value): &(Option<String>, String)| wire::QueryStringKeyValuePair {
                key: key.clone(),
                value: text(value),
            };
            let values = Some(pairs.iter().map(pair).collect());
            wire::RuleCondition {
                field: text("query-string"),
                query_string_config: Some(wire::QueryStringConditionConfig { values }),
                ..empty()
            }
        }
        Condition::SourceIp(blocks) => wire::RuleCondition {
            field: text("source-ip"),
            source_ip_config: Some(wire::SourceIpConditionConfig {
                values: Some(blocks.iter().map(ToString::to_string).collect()),
                ip_address_type: None,
            }),
            ..empty()
        },
    }
}

pub fn target(row: &Target) -> wire::TargetDescription {
    wire::TargetDescription {
        id: Some(row.address.to_string()),
        port: Some(row.port.into()),
        availability_zone: row.zone.as_ref().map(ToString::to_string),
        quic_server_id: None,
    }
}

pub fn target_health(state: TargetState, reason: Option<&str>, description: Option<&str>) -> wire::TargetHealth {
    wire::TargetHealth {
        state: text(state.as_str()),
        reason: reason.map(str::to_owned),
        description: description.map(str::to_owned),
    }
}

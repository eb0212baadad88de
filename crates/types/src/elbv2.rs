//! Load balancers, their listeners and rules, target groups and their targets.

use crate::id::*;
use crate::{Tags, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// Key: scope and ARN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadBalancer {
    pub arn: String,
    pub name: String,
    pub dns_name: String,
    pub hosted_zone_id: String,
    pub internet_facing: bool,
    pub vpc: VpcId,
    pub security_groups: Vec<SecurityGroupId>,
    /// One per zone, each with the interface that gives it a private address.
    pub nodes: Vec<LoadBalancerNode>,
    /// The loopback address on the host of an internet-facing load balancer.
    pub host_address: Option<Ipv4Addr>,
    pub state: LoadBalancerState,
    /// Attributes that differ from their defaults.
    pub attributes: BTreeMap<String, String>,
    pub created_at: Timestamp,
    pub tags: Tags,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadBalancerNode {
    pub zone: ZoneName,
    pub subnet: SubnetId,
    pub eni: EniId,
    pub address: Ipv4Addr,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadBalancerState {
    Provisioning,
    Active,
    Failed(String),
}

/// Key: scope and ARN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetGroup {
    pub arn: String,
    pub name: String,
    pub protocol: String,
    pub protocol_version: String,
    pub port: u16,
    pub vpc: VpcId,
    /// `ip`; others are refused until instances exist.
    pub target_type: String,
    pub health_check: HealthCheck,
    /// Attributes that differ from their defaults.
    pub attributes: BTreeMap<String, String>,
    pub created_at: Timestamp,
    pub tags: Tags,
}

impl TargetGroup {
    /// Seconds a deregistered target may finish its requests (0 to 3600, default 300).
    pub fn deregistration_delay_seconds(&self) -> u32 {
        self.attributes.get("deregistration_delay.timeout_seconds").and_then(|v| v.parse().ok()).unwrap_or(300)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HealthCheck {
    pub enabled: bool,
    pub protocol: String,
    /// `traffic-port` or a number.
    pub port: String,
    pub path: String,
    pub interval_seconds: u32,
    pub timeout_seconds: u32,
    pub healthy_threshold: u32,
    pub unhealthy_threshold: u32,
    /// `200`, `200-299,301`.
    pub matcher: String,
}

/// Key: scope, target group's ARN and `address:port`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    pub target_group: String,
    pub address: Ipv4Addr,
    pub port: u16,
    pub zone: Option<ZoneName>,
    /// Set when deregistration began; the row goes when the data plane has drained it.
    pub draining_since: Option<Timestamp>,
    /// The task it belongs to, where ECS registered it.
    pub task: Option<TaskId>,
    pub registered_at: Timestamp,
    pub health: TargetHealth,
}

/// What the data plane last reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetHealth {
    pub state: TargetState,
    pub reason: Option<String>,
    pub description: Option<String>,
}

impl TargetHealth {
    pub fn registering() -> Self {
        Self {
            state: TargetState::Initial,
            reason: Some("Elb.RegistrationInProgress".into()),
            description: Some("Target registration is in progress".into()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetState {
    Initial,
    Healthy,
    Unhealthy,
    Unused,
    Draining,
}

impl TargetState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Unused => "unused",
            Self::Draining => "draining",
        }
    }
}

/// Key: scope and ARN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listener {
    pub arn: String,
    pub load_balancer: String,
    pub protocol: String,
    pub port: u16,
    pub default_actions: Vec<Action>,
    /// ARNs; the default one first. Of an HTTPS listener only.
    #[serde(default)]
    pub certificates: Vec<String>,
    /// Of an HTTPS listener only.
    #[serde(default)]
    pub ssl_policy: Option<String>,
    /// Attributes that differ from their defaults.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    pub tags: Tags,
    pub created_at: Timestamp,
}

/// Key: scope and ARN.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    pub arn: String,
    pub listener: String,
    pub priority: u32,
    pub conditions: Vec<Condition>,
    pub actions: Vec<Action>,
    /// What changes about requests before they are forwarded; one of a kind at most.
    #[serde(default)]
    pub transforms: Vec<Transform>,
    pub tags: Tags,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Forward { target_groups: Vec<(String, u32)>, stickiness_seconds: Option<u32> },
    Redirect { protocol: String, port: String, host: String, path: String, query: String, status_code: u16 },
    FixedResponse { status_code: u16, content_type: Option<String>, body: Option<String> },
}

impl Action {
    /// ARNs of the target groups it forwards to.
    pub fn target_groups(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::Forward { target_groups, .. } => target_groups.as_slice(),
            _ => &[],
        }
        .iter()
        .map(|(arn, _)| arn.as_str())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transform {
    HostHeaderRewrite { regex: String, replace: String },
    UrlRewrite { regex: String, replace: String },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    PathPattern(Vec<String>),
    HostHeader(Vec<String>),
    HttpHeader {
        name: String,
        values: Vec<String>,
    },
    HttpRequestMethod(Vec<String>),
    QueryString(Vec<(Option<String>, String)>),
    SourceIp(Vec<crate::ec2::Cidr>),
    /// The same fields by regular expressions.
    PathRegex(Vec<String>),
    HostRegex(Vec<String>),
    HttpHeaderRegex {
        name: String,
        values: Vec<String>,
    },
}

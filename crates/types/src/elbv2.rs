//! Load balancers, their listeners and rules, target groups and their targets.

use crate::id::*;
use crate::sealed::Sealed;
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
    /// As clients gave it, of each action; empty where a single action has none.
    #[serde(default)]
    pub action_order: Vec<i32>,
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
    /// As clients gave it, of each action; empty where a single action has none.
    #[serde(default)]
    pub action_order: Vec<i32>,
    /// What changes about requests before they are forwarded; one of a kind at most.
    #[serde(default)]
    pub transforms: Vec<Transform>,
    pub tags: Tags,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Forward {
        target_groups: Vec<(String, u32)>,
        stickiness_seconds: Option<u32>,
        /// A duration that was given although stickiness is off.
        #[serde(default)]
        unused_stickiness_seconds: Option<u32>,
    },
    Redirect {
        protocol: String,
        port: String,
        host: String,
        path: String,
        query: String,
        status_code: u16,
    },
    FixedResponse {
        status_code: u16,
        content_type: Option<String>,
        body: Option<String>,
    },
    AuthenticateOidc(Box<AuthenticateOidc>),
    JwtValidation {
        jwks_endpoint: String,
        issuer: String,
        additional_claims: Vec<AdditionalClaim>,
    },
}

/// Log-in at an OpenID Connect provider, before another action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuthenticateOidc {
    pub issuer: String,
    pub authorization_endpoint: String,
    pub token_endpoint: String,
    pub user_info_endpoint: String,
    pub client_id: String,
    /// Sealed for the listener or rule.
    pub client_secret: Sealed,
    pub session_cookie_name: String,
    pub scope: String,
    pub session_timeout_seconds: u64,
    pub extra_params: BTreeMap<String, String>,
    pub on_unauthenticated: OnUnauthenticated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnauthenticated {
    Deny,
    Allow,
    Authenticate,
}

impl OnUnauthenticated {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Allow => "allow",
            Self::Authenticate => "authenticate",
        }
    }
}

/// What a token must say besides what all must.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdditionalClaim {
    pub name: String,
    pub format: ClaimFormat,
    pub values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimFormat {
    SingleString,
    StringArray,
    SpaceSeparatedValues,
}

impl ClaimFormat {
    pub const ALL: [Self; 3] = [Self::SingleString, Self::StringArray, Self::SpaceSeparatedValues];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::SingleString => "single-string",
            Self::StringArray => "string-array",
            Self::SpaceSeparatedValues => "space-separated-values",
        }
    }
}

impl Action {
    /// What the API calls an action that lets requests in rather than decides; `None` for one that decides.
    pub fn guard(&self) -> Option<&'static str> {
        match self {
            Self::AuthenticateOidc(_) => Some("authenticate-oidc"),
            Self::JwtValidation { .. } => Some("jwt-validation"),
            Self::Forward { .. } | Self::Redirect { .. } | Self::FixedResponse { .. } => None,
        }
    }

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

//! What the balancer tells the control plane: the state of every target and listener, and counters.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

/// The whole observed state. Sent upon connection and after each change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Generation of the configuration this describes.
    pub generation: u64,
    /// One entry for each target of each group.
    pub targets: Vec<TargetReport>,
    /// One entry for each address of each listener.
    pub listeners: Vec<ListenerReport>,
    /// Counters of each load balancer since the balancer started.
    pub load_balancers: Vec<LoadBalancerCounters>,
    /// Counters of each target group since the balancer started.
    pub target_groups: Vec<TargetGroupCounters>,
}

/// One target in one group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetReport {
    /// Target group ARN.
    pub target_group: String,
    /// Target address.
    pub id: IpAddr,
    /// Target port.
    pub port: u16,
    /// Which registration of that address this is about: [`crate::config::Target::registered_ms`]. Balancers of
    /// before there was such a field say nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered_ms: Option<u64>,
    /// Where it stands.
    pub state: TargetState,
    /// `Target.Timeout` and so on; absent for healthy and drained targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_code: Option<String>,
    /// AWS's sentence for the reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Requests in flight when the report was made. Exact for draining targets, whose last request triggers a
    /// report; otherwise as old as the report.
    pub in_flight: u32,
    /// Counters of this target since the balancer started.
    #[serde(default)]
    pub counters: ResponseCounters,
}

/// States of DescribeTargetHealth, and `drained`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetState {
    /// Not probed often enough yet.
    Initial,
    /// Gets requests.
    Healthy,
    /// Gets none, unless its whole group is unhealthy.
    Unhealthy,
    /// Its group is used by no listener.
    Unused,
    /// Deregistered; requests in flight may finish.
    Draining,
    /// The deregistration delay has passed: may be removed from the configuration.
    Drained,
}

/// One address of one listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerReport {
    /// Listener ARN.
    pub arn: String,
    /// Local address.
    pub address: Ipv4Addr,
    /// Local port.
    pub port: u16,
    /// Why it does not listen; tried again each second. Absent: it listens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why it does not offer the certificates it was told to: it goes on with those it had, or without the one that
    /// is named; tried again each second. (With `error`: it had none.)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_error: Option<String>,
}

/// Counters of one load balancer; names follow AWS/ApplicationELB.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadBalancerCounters {
    /// Load balancer ARN.
    pub arn: String,
    /// Requests answered.
    pub requests: u64,
    /// Client connections accepted.
    pub new_connections: u64,
    /// Client connections open now.
    pub active_connections: u64,
    /// Responses made by the load balancer itself with 3xx, 4xx and 5xx.
    pub elb_3xx: u64,
    /// See `elb_3xx`.
    pub elb_4xx: u64,
    /// See `elb_3xx`.
    pub elb_5xx: u64,
    /// Fixed responses.
    pub fixed_responses: u64,
    /// Redirects.
    #[serde(default)]
    pub redirects: u64,
    /// Requests refused for what they are: `DesyncMitigationMode_NonCompliant_Request_Count` counts them too.
    #[serde(default)]
    pub desync_refusals: u64,
    /// TLS handshakes with clients that failed: `ClientTLSNegotiationErrorCount`.
    #[serde(default)]
    pub tls_negotiation_errors: u64,
    /// Connections refused by the ingress rules.
    pub rejected_connections: u64,
    /// Bytes from and to clients.
    pub processed_bytes: u64,
    /// Log-ins at providers: `ELBAuthSuccess`.
    #[serde(default)]
    pub auth_successes: u64,
    /// Log-ins and sessions that were not good: `ELBAuthFailure`.
    #[serde(default)]
    pub auth_failures: u64,
    /// Providers that could not be asked, or refused: `ELBAuthError`.
    #[serde(default)]
    pub auth_errors: u64,
    /// Sessions whose access token was renewed: `ELBAuthRefreshTokenSuccess`.
    #[serde(default)]
    pub auth_refresh_successes: u64,
    /// Users of whom a provider says more than 11 KiB: `ELBAuthUserClaimsSizeExceeded`.
    #[serde(default)]
    pub auth_claims_too_large: u64,
    /// Milliseconds that providers took for tokens and claims, over all log-ins: `ELBAuthLatency` is this by
    /// their number.
    #[serde(default)]
    pub auth_latency_ms: u64,
    /// Requests whose token was good: `JwtValidationSuccessCount`.
    #[serde(default)]
    pub jwt_successes: u64,
    /// Requests whose token was not: `JwtValidationFailureCount`.
    #[serde(default)]
    pub jwt_failures: u64,
}

/// Counters of one target group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetGroupCounters {
    /// Target group ARN.
    pub arn: String,
    /// The sum over its targets.
    #[serde(flatten)]
    pub counters: ResponseCounters,
}

/// What went to targets and came from them; names follow AWS/ApplicationELB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseCounters {
    /// Requests sent to targets.
    pub requests: u64,
    /// Responses of targets by class.
    pub target_2xx: u64,
    /// See `target_2xx`.
    pub target_3xx: u64,
    /// See `target_2xx`.
    pub target_4xx: u64,
    /// See `target_2xx`.
    pub target_5xx: u64,
    /// Connections to targets that failed.
    pub connection_errors: u64,
    /// Milliseconds from sending a request to its response's head, over all responses: `TargetResponseTime` is
    /// this by their number.
    #[serde(default)]
    pub response_ms: u64,
}

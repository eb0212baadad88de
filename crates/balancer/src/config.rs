//! What the balancer is told to serve: one whole [`Config`] at a time, with a generation that only grows.
//!
//! The types are plain data with serde names in snake case. They are checked when they are compiled
//! ([`crate::compile`]), not here: a configuration that cannot be compiled is refused whole.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Everything to serve. A receiver refuses a generation older than the one it has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Grows with every change; equal generations are taken as a repetition and applied again.
    pub generation: u64,
    /// Load balancers with their listeners.
    #[serde(default)]
    pub load_balancers: Vec<LoadBalancer>,
    /// The file with the keys that seal session cookies and sign user claims, for the balancer's eyes only (see
    /// [`crate::auth::Keys`]). Needed when an action authenticates users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_keys_file: Option<PathBuf>,
    /// Target groups, referred to by ARN from actions. A group no action names is `unused` and not probed.
    #[serde(default)]
    pub target_groups: Vec<TargetGroup>,
}

/// One application load balancer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadBalancer {
    /// Identity; also the key of its counters.
    pub arn: String,
    /// Name for people.
    pub name: String,
    /// Attributes the data plane obeys.
    #[serde(default)]
    pub attributes: LoadBalancerAttributes,
    /// The zones it is enabled in: targets in others get no requests. Empty: all.
    #[serde(default)]
    pub zones: Vec<String>,
    /// Addresses every listener of this load balancer listens on.
    #[serde(default)]
    pub addresses: Vec<ListenAddress>,
    /// Peers allowed on host-namespace addresses. `None` allows everybody, an empty list nobody.
    /// (Addresses inside a VPC are guarded by the VPC's packet filter instead.)
    #[serde(default)]
    pub host_ingress: Option<Vec<IngressRule>>,
    /// Network namespace file in which targets are reached; `None` is the balancer's own namespace.
    #[serde(default)]
    pub target_namespace: Option<PathBuf>,
    /// Source addresses of connections to targets, used in turn. Empty: the kernel chooses.
    #[serde(default)]
    pub source_addresses: Vec<Ipv4Addr>,
    /// Blocks whose addresses are reached in `target_namespace` when an identity provider has one of them. All others
    /// are reached from the balancer's own namespace.
    #[serde(default)]
    pub vpc_blocks: Vec<String>,
    /// Listeners.
    #[serde(default)]
    pub listeners: Vec<Listener>,
}

/// Load balancer attributes, with AWS's defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadBalancerAttributes {
    /// `idle_timeout.timeout_seconds`: no byte in either direction for so long ends a connection or request.
    pub idle_timeout_seconds: u32,
    /// `client_keep_alive.seconds`: a client connection older than this is closed after its next response.
    pub client_keep_alive_seconds: u32,
    /// `routing.http.drop_invalid_header_fields.enabled`: drop names with anything but letters, digits, hyphen.
    pub drop_invalid_header_fields: bool,
    /// `routing.http.xff_header_processing.mode`.
    pub xff_mode: XffMode,
    /// `routing.http.xff_client_port.enabled`: add the client's port to X-Forwarded-For.
    pub xff_client_port: bool,
    /// `routing.http.preserve_host_header.enabled`: when off, a non-default listener port is appended to Host.
    pub preserve_host_header: bool,
    /// `routing.http.desync_mitigation_mode`.
    pub desync_mode: DesyncMode,
    /// `routing.http2.enabled`: HTTPS listeners offer HTTP/2.
    pub http2: bool,
    /// `routing.http.x_amzn_tls_version_and_cipher_suite.enabled`: tell targets what the handshake agreed on.
    pub tls_headers: bool,
    /// `access_logs.s3.*`; `None` is off.
    pub access_logs: Option<LogDestination>,
    /// `connection_logs.s3.*`; `None` is off.
    pub connection_logs: Option<LogDestination>,
}

impl Default for LoadBalancerAttributes {
    fn default() -> Self {
        LoadBalancerAttributes {
            idle_timeout_seconds: 60,
            client_keep_alive_seconds: 3600,
            drop_invalid_header_fields: false,
            xff_mode: XffMode::Append,
            xff_client_port: false,
            preserve_host_header: false,
            desync_mode: DesyncMode::Defensive,
            http2: true,
            tls_headers: false,
            access_logs: None,
            connection_logs: None,
        }
    }
}

/// Where logs of one kind go.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LogDestination {
    /// The directory that stands for the bucket; made when the first file is written.
    pub directory: PathBuf,
    /// Path below it, without slashes at its ends; may be empty.
    #[serde(default)]
    pub prefix: String,
}

/// What happens to X-Forwarded-For.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum XffMode {
    /// Append the peer's address.
    #[default]
    Append,
    /// Leave the header as it came.
    Preserve,
    /// Take the header away.
    Remove,
}

/// How requests with doubtful framing are treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DesyncMode {
    /// Let everything through that can be framed at all.
    Monitor,
    /// Refuse what two parsers could frame differently.
    #[default]
    Defensive,
    /// As defensive, and refuse harmless repetitions too.
    Strictest,
}

/// One address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ListenAddress {
    /// Local address.
    pub ip: Ipv4Addr,
    /// Network namespace file; `None` is the balancer's own namespace, "the host".
    #[serde(default)]
    pub namespace: Option<PathBuf>,
}

/// Peers and listener ports that are let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngressRule {
    /// `10.0.0.0/16`; a bare address means that one address.
    pub cidr: String,
    /// First listener port, inclusive.
    pub from_port: u16,
    /// Last listener port, inclusive.
    pub to_port: u16,
}

/// One listener: a port on all addresses of its load balancer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listener {
    /// Identity.
    pub arn: String,
    /// TCP port.
    pub port: u16,
    /// Protocol spoken with clients.
    #[serde(default)]
    pub protocol: Protocol,
    /// Of an HTTPS listener: the default certificate first, then those chosen by the name a client asks for.
    #[serde(default)]
    pub certificates: Vec<Certificate>,
    /// Of an HTTPS listener: the security policy; `None` is `ELBSecurityPolicy-2016-08`.
    #[serde(default)]
    pub ssl_policy: Option<String>,
    /// Attributes the data plane obeys.
    #[serde(default)]
    pub attributes: ListenerAttributes,
    /// Actions when no rule matches; the last one decides.
    pub default_actions: Vec<Action>,
    /// Rules in any order; they are evaluated by priority.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// A server certificate. The private key is not part of the configuration, which is sent and kept as text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// Identity; what the access log calls it.
    pub arn: String,
    /// The certificate, then those of its issuers, in PEM.
    pub chain_pem: String,
    /// The private key in PEM (PKCS #8, PKCS #1 or SEC 1), in a file for the balancer's eyes only. A key that
    /// changes needs another file name.
    pub private_key_file: PathBuf,
}

/// Listener attributes, with AWS's defaults. Header names and values that HTTP cannot carry are refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ListenerAttributes {
    /// `routing.http.response.server.enabled`: when off, the Server header is taken from responses.
    pub server_header: bool,
    /// `routing.http.response.*.header_value`: headers set on responses, by their names.
    pub response_headers: Vec<(String, String)>,
    /// `routing.http.request.x_amzn_tls_version.header_name`.
    pub tls_version_header: String,
    /// `routing.http.request.x_amzn_tls_cipher_suite.header_name`.
    pub tls_cipher_suite_header: String,
}

impl Default for ListenerAttributes {
    fn default() -> Self {
        ListenerAttributes {
            server_header: true,
            response_headers: Vec::new(),
            tls_version_header: "x-amzn-tls-version".to_owned(),
            tls_cipher_suite_header: "x-amzn-tls-cipher-suite".to_owned(),
        }
    }
}

/// Protocols.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Plain HTTP.
    #[default]
    Http,
    /// HTTP over TLS. Certificates of targets are not verified.
    Https,
}

/// The HTTP that is spoken with targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProtocolVersion {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2; without TLS by prior knowledge.
    Http2,
    /// HTTP/2 with gRPC health checks and POST requests only.
    Grpc,
}

/// Actions for the requests that meet all conditions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Identity.
    pub arn: String,
    /// 1 to 50000; the lowest match wins.
    pub priority: u32,
    /// All must hold.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// The last one decides.
    pub actions: Vec<Action>,
    /// Changes to the request before it is forwarded.
    #[serde(default)]
    pub transforms: Vec<Transform>,
}

/// A change to requests that match a rule. One of each kind at most.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Transform {
    /// Of the Host header.
    HostHeaderRewrite(Rewrite),
    /// Of path and query.
    UrlRewrite(Rewrite),
}

/// What a regular expression finds first is replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewrite {
    /// The expression.
    pub regex: String,
    /// The text; `$1` to `$9` stand for groups.
    pub replace: String,
}

/// A condition holds when any of its values matches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "field", rename_all = "kebab-case")]
pub enum Condition {
    /// Path without query, case-sensitive, `*` and `?`.
    PathPattern {
        /// Patterns.
        #[serde(default)]
        values: Vec<String>,
        /// Regular expressions.
        #[serde(default)]
        regex_values: Vec<String>,
    },
    /// Host without port, case-insensitive, `*` and `?`.
    HostHeader {
        /// Patterns.
        #[serde(default)]
        values: Vec<String>,
        /// Regular expressions.
        #[serde(default)]
        regex_values: Vec<String>,
    },
    /// A header's value, case-insensitive, `*` and `?`.
    HttpHeader {
        /// Header name, without wildcards.
        name: String,
        /// Patterns.
        #[serde(default)]
        values: Vec<String>,
        /// Regular expressions.
        #[serde(default)]
        regex_values: Vec<String>,
    },
    /// Method, exact.
    HttpRequestMethod {
        /// Methods.
        values: Vec<String>,
    },
    /// Query parameters, case-insensitive, `*` and `?`, a backslash escapes.
    QueryString {
        /// Patterns.
        values: Vec<QueryPattern>,
    },
    /// Address of the TCP peer.
    SourceIp {
        /// CIDR blocks.
        values: Vec<String>,
    },
}

/// Patterns for one query parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct QueryPattern {
    /// Parameter name; `None` matches any.
    #[serde(default)]
    pub key: Option<String>,
    /// Parameter value.
    pub value: String,
}

/// What to do with a request. Of a list the last one decides; before it may stand one that lets requests in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Action {
    /// Let in who has logged in at an OpenID Connect provider. HTTPS listeners only.
    AuthenticateOidc(Box<AuthenticateOidc>),
    /// Let in who brings a token that a provider has signed. HTTPS listeners only.
    JwtValidation(Box<JwtValidation>),
    /// Send it to a target of one of the groups.
    Forward {
        /// Groups and their shares.
        target_groups: Vec<WeightedTargetGroup>,
        /// Keep a client on its group for so long.
        #[serde(default)]
        stickiness_seconds: Option<u32>,
    },
    /// Answer with a redirect. Components may hold `#{protocol}`, `#{host}`, `#{port}`, `#{path}`, `#{query}`.
    Redirect {
        /// Default `#{protocol}`.
        #[serde(default)]
        protocol: Option<String>,
        /// Default `#{host}`.
        #[serde(default)]
        host: Option<String>,
        /// Default `#{port}`.
        #[serde(default)]
        port: Option<String>,
        /// Default `/#{path}`.
        #[serde(default)]
        path: Option<String>,
        /// Default `#{query}`; without the leading question mark.
        #[serde(default)]
        query: Option<String>,
        /// 301 or 302.
        status_code: u16,
    },
    /// Answer with a fixed text.
    FixedResponse {
        /// 2xx, 4xx or 5xx.
        status_code: u16,
        /// Media type, `text/plain` when absent.
        #[serde(default)]
        content_type: Option<String>,
        /// Body.
        #[serde(default)]
        message_body: Option<String>,
    },
}

impl Action {
    /// Whether it lets requests in rather than decides.
    pub(crate) fn is_guard(&self) -> bool {
        matches!(self, Action::AuthenticateOidc(_) | Action::JwtValidation(_))
    }
}

/// An OpenID Connect provider and how its users are treated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuthenticateOidc {
    /// What the provider calls itself in its tokens.
    pub issuer: String,
    /// Where browsers are sent to log in.
    pub authorization_endpoint: String,
    /// Where the balancer exchanges codes and refresh tokens.
    pub token_endpoint: String,
    /// Where the balancer asks who the user is.
    pub user_info_endpoint: String,
    /// What the provider calls this application.
    pub client_id: String,
    /// The client secret, in a file for the balancer's eyes only. A secret that changes needs another file name.
    pub client_secret_file: PathBuf,
    /// Name of the session's cookies, before `-0`, `-1`, ...
    pub session_cookie_name: String,
    /// What is asked of the provider; separated by spaces.
    pub scope: String,
    /// Seconds from log-in to the next one.
    pub session_timeout_seconds: u64,
    /// More parameters for the authorization endpoint.
    #[serde(default)]
    pub extra_params: Vec<(String, String)>,
    /// What happens to who has not logged in.
    #[serde(default)]
    pub on_unauthenticated: OnUnauthenticated,
}

/// See [`AuthenticateOidc::on_unauthenticated`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnauthenticated {
    /// To the provider, by a redirect.
    #[default]
    Authenticate,
    /// Let in without claims.
    Allow,
    /// Refused with 401.
    Deny,
}

/// A provider's signed tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JwtValidation {
    /// Where the provider publishes its keys.
    pub jwks_endpoint: String,
    /// What the tokens' `iss` has to be.
    pub issuer: String,
    /// What else has to be in them.
    #[serde(default)]
    pub claims: Vec<RequiredClaim>,
}

/// A claim that a token must have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequiredClaim {
    /// Its name.
    pub name: String,
    /// How its values stand in the token.
    pub format: ClaimFormat,
    /// All of these must be among them.
    pub values: Vec<String>,
}

/// How a claim's values stand in a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimFormat {
    /// One text.
    SingleString,
    /// A list of texts.
    StringArray,
    /// One text, separated by spaces.
    SpaceSeparatedValues,
}

/// A share of a forward action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WeightedTargetGroup {
    /// Target group ARN.
    pub arn: String,
    /// 0 to 999; with a single group the weight does not matter.
    #[serde(default = "one")]
    pub weight: u32,
}

/// A set of targets with their health check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetGroup {
    /// Identity.
    pub arn: String,
    /// Name for people.
    pub name: String,
    /// Protocol spoken with targets.
    #[serde(default)]
    pub protocol: Protocol,
    /// Its version.
    #[serde(default)]
    pub protocol_version: ProtocolVersion,
    /// Default port of its targets (information only: each target has its own).
    #[serde(default)]
    pub port: u16,
    /// How to find out whether a target works.
    #[serde(default)]
    pub health_check: HealthCheck,
    /// Attributes the data plane obeys.
    #[serde(default)]
    pub attributes: TargetGroupAttributes,
    /// Registered targets and those that are draining.
    #[serde(default)]
    pub targets: Vec<Target>,
}

/// Health check of a target group, with AWS's defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthCheck {
    /// Protocol of the probe.
    pub protocol: Protocol,
    /// Path and query of the probe.
    pub path: String,
    /// `None` is `traffic-port`.
    pub port: Option<u16>,
    /// Seconds between probes of one target.
    pub interval_seconds: u32,
    /// Seconds a probe may take.
    pub timeout_seconds: u32,
    /// Successes in a row that make an unhealthy target healthy.
    pub healthy_threshold: u32,
    /// Failures in a row that make a target unhealthy.
    pub unhealthy_threshold: u32,
    /// Codes that count as success: `200`, `200,301`, `200-299`. Of a gRPC group: gRPC codes.
    pub matcher: String,
}

impl Default for HealthCheck {
    fn default() -> Self {
        HealthCheck {
            protocol: Protocol::Http,
            path: "/".to_owned(),
            port: None,
            interval_seconds: 30,
            timeout_seconds: 5,
            healthy_threshold: 5,
            unhealthy_threshold: 2,
            matcher: "200".to_owned(),
        }
    }
}

/// Target group attributes, with AWS's defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TargetGroupAttributes {
    /// `deregistration_delay.timeout_seconds`.
    pub deregistration_delay_seconds: u32,
    /// `stickiness.*`; `None` is off.
    pub stickiness: Option<Stickiness>,
    /// `load_balancing.algorithm.type`.
    pub algorithm: Algorithm,
    /// `slow_start.duration_seconds`; 0 is off.
    pub slow_start_seconds: u32,
    /// `target_group_health.unhealthy_state_routing.minimum_healthy_targets.count`: with fewer healthy targets,
    /// requests go to all.
    pub healthy_count_min: u32,
    /// `target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage`: likewise; 0 is off.
    pub healthy_percent_min: u32,
}

impl Default for TargetGroupAttributes {
    fn default() -> Self {
        TargetGroupAttributes {
            deregistration_delay_seconds: 300,
            stickiness: None,
            algorithm: Algorithm::RoundRobin,
            slow_start_seconds: 0,
            healthy_count_min: 1,
            healthy_percent_min: 0,
        }
    }
}

/// How a client is kept on one target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Stickiness {
    /// A cookie of the load balancer's own, `AWSALB`.
    LbCookie {
        /// Seconds since the last response after which the client is free again.
        duration_seconds: u32,
    },
    /// As long as the application's cookie exists, kept in `AWSALBAPP-0`.
    AppCookie {
        /// Name of the application's cookie.
        cookie_name: String,
        /// Seconds since the last response after which the client is free again.
        duration_seconds: u32,
    },
}

/// How a target is chosen among the healthy ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// In turn.
    #[default]
    RoundRobin,
    /// The one with the fewest requests in flight.
    LeastOutstandingRequests,
    /// At random.
    WeightedRandom,
}

/// One target of a group, identified by (id, port).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Its address.
    pub id: IpAddr,
    /// Its port.
    pub port: u16,
    /// When it was registered, in milliseconds since the Unix epoch. Another moment is another registration, and what
    /// has this address now another target: nothing that is known of the former one counts.
    #[serde(default)]
    pub registered_ms: u64,
    /// Zone; absent or `all`: reached from every zone.
    #[serde(default)]
    pub availability_zone: Option<String>,
    /// Deregistered: no new requests, reported `draining`, then `drained`.
    #[serde(default)]
    pub draining: bool,
    /// When deregistration began, in milliseconds since the Unix epoch. Absent: when the balancer first
    /// sees it. Giving it keeps the delay honest across a restart of the balancer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draining_since_ms: Option<u64>,
}

fn one() -> u32 {
    1
}

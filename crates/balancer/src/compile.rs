//! From a [`Config`] to what workers evaluate: patterns compiled, groups resolved, header values rendered.
//!
//! A configuration that cannot be compiled is refused whole, so that what is served is always one
//! configuration, never a mixture.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use http::header::SERVER;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::action::fixed_response::FixedResponse;
use crate::action::redirect::{Components, Redirect};
use crate::auth::{self, Guard};
use crate::config::{self, Config, LogDestination, Protocol, ProtocolVersion};
use crate::counters::LoadBalancerCounts;
use crate::health::Matcher;
use crate::log::{Kind, LogStream};
use crate::rule::cidr::Cidr;
use crate::rule::gate::{Gate, Glance};
use crate::rule::transform::Transforms;
use crate::rule::{Condition, ConditionError, RequestView};
use crate::target::{GroupLive, TargetIds, tag};
use crate::tls::Offer;

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// A rule or listener without an action.
    #[error("`{0}` has no action")]
    NoAction(String),
    /// A guard that is the last action, is behind another one, or has an endpoint that is no HTTPS URL.
    #[error("`{0}` has an authenticating action that cannot be used there")]
    Guard(String),
    /// A guard of a listener without TLS.
    #[error("listener `{0}` authenticates without TLS")]
    GuardWithoutTls(String),
    /// A forward action without target groups.
    #[error("`{0}` forwards to no target group")]
    NoTargetGroup(String),
    /// An action names a group the configuration does not hold.
    #[error("`{of}` forwards to unknown target group `{group}`")]
    UnknownTargetGroup {
        /// Rule or listener.
        of: String,
        /// Target group ARN.
        group: String,
    },
    /// A redirect or fixed response with an impossible status, media type or body.
    #[error("`{0}` has a response HTTP cannot carry")]
    Response(String),
    /// A condition that cannot be compiled.
    #[error("`{rule}`: {message}")]
    Condition {
        /// Rule.
        rule: String,
        /// What is wrong.
        message: String,
    },
    /// An ingress block that is none.
    #[error("`{0}` is not a CIDR block")]
    Ingress(String),
    /// A matcher that is none.
    #[error("target group `{group}`: `{matcher}` is not a list of status codes")]
    Matcher {
        /// Target group ARN.
        group: String,
        /// The text.
        matcher: String,
    },
    /// A header of a listener's attributes that HTTP cannot carry.
    #[error("listener `{listener}`: `{header}` is no header HTTP can carry")]
    Header {
        /// Listener ARN.
        listener: String,
        /// Name or value.
        header: String,
    },
    /// Two of the same identity.
    #[error("`{0}` appears twice")]
    Duplicate(String),
}

/// Everything workers route by. Swapped as a whole.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    /// By listener ARN.
    pub listeners: HashMap<String, Arc<Route>>,
    /// Targets whose pooled connections are worth keeping.
    pub poolable: TargetIds,
}

/// One listener, ready to route.
#[derive(Debug)]
pub(crate) struct Route {
    pub load_balancer: Arc<LoadBalancer>,
    pub port: u16,
    /// X-Forwarded-Port.
    pub port_value: HeaderValue,
    /// What an HTTPS listener offers; `None` is plain HTTP.
    pub tls: Option<Arc<Offer>>,
    pub tls_version_header: HeaderName,
    pub tls_cipher_suite_header: HeaderName,
    keeps_server_header: bool,
    response_headers: Vec<(HeaderName, HeaderValue)>,
    rules: Vec<Rule>,
    /// Of each rule.
    gates: Vec<Gate>,
    default: Action,
    default_guard: Option<Guard>,
    /// Whether any of its actions is a guard. One that has none spends nothing on them.
    pub is_guarded: bool,
    /// Those that browsers come back to.
    pub logins: Vec<Arc<auth::Oidc>>,
}

/// The parts of a load balancer its listeners share.
#[derive(Debug)]
pub(crate) struct LoadBalancer {
    pub arn: String,
    /// `app/name/id`, what the access log calls it.
    pub resource: String,
    pub attributes: config::LoadBalancerAttributes,
    pub idle_timeout_ms: u64,
    pub client_keep_alive_ms: u64,
    pub counts: Arc<LoadBalancerCounts>,
    pub access_log: Option<LogStream>,
    pub connection_log: Option<LogStream>,
    ingress: Option<Vec<(Cidr, u16, u16)>>,
}

#[derive(Debug)]
struct Rule {
    priority: u32,
    conditions: Vec<Condition>,
    transforms: Option<Transforms>,
    action: Action,
    guard: Option<Guard>,
}

/// What a listener's rules say of a request.
#[derive(Debug)]
pub(crate) struct Decision<'a> {
    /// Of the rule; 0 is the default.
    pub priority: u32,
    pub action: &'a Action,
    pub transforms: Option<&'a Transforms>,
    /// What lets the request in before.
    pub guard: Option<&'a Guard>,
}

/// What decides.
#[derive(Debug)]
pub(crate) enum Action {
    Forward(Forward),
    Redirect(Redirect),
    FixedResponse(FixedResponse),
}

/// A forward action.
#[derive(Debug)]
pub(crate) struct Forward {
    pub groups: Vec<Share>,
    /// Grows by one with each request that has to choose among groups.
    pub turn: AtomicU64,
    pub stickiness_seconds: Option<u32>,
}

/// A group and its weight.
#[derive(Debug)]
pub(crate) struct Share {
    pub group: Arc<Group>,
    pub weight: u32,
}

/// A target group, ready to pick from.
#[derive(Debug)]
pub(crate) struct Group {
    pub arn: String,
    /// What a stickiness cookie calls it.
    pub tag: u64,
    pub is_tls: bool,
    pub version: ProtocolVersion,
    pub algorithm: config::Algorithm,
    pub slow_start_ms: u64,
    pub stickiness: Option<config::Stickiness>,
    pub live: Arc<GroupLive>,
}

impl Route {
    fn first_rule(&self, request: &RequestView<'_>) -> Option<&Rule> {
        if self.rules.is_empty() {
            return None;
        }
        let glance = Glance::at(request);
        let mut open =
            self.gates.iter().zip(&self.rules).filter(|(gate, _)| gate.passes(&glance)).map(|(_, rule)| rule);
        open.find(|rule| rule.conditions.iter().all(|condition| condition.holds(request)))
    }

    /// The action of the first rule that holds, or the default.
    pub(crate) fn decide(&self, request: &RequestView<'_>) -> Decision<'_> {
        match self.first_rule(request) {
            Some(rule) => Decision {
                priority: rule.priority,
                action: &rule.action,
                transforms: rule.transforms.as_ref(),
                guard: rule.guard.as_ref(),
            },
            None => {
                Decision { priority: 0, action: &self.default, transforms: None, guard: self.default_guard.as_ref() }
            }
        }
    }

    /// Changes a response's headers as the listener's attributes say.
    pub(crate) fn decorate(&self, headers: &mut HeaderMap) {
        if !self.keeps_server_header {
            headers.remove(SERVER);
        }
        for (name, value) in &self.response_headers {
            headers.insert(name.clone(), value.clone());
        }
    }
}

impl LoadBalancer {
    /// Whether a peer may connect to a listener port on a host address.
    pub(crate) fn admits(&self, peer: IpAddr, port: u16) -> bool {
        self.ingress.as_ref().is_none_or(|rules| {
            rules.iter().any(|(block, from, to)| (*from..=*to).contains(&port) && block.contains(peer))
        })
    }
}

/// What compiling needs from, and leaves in, the long-lived state.
pub(crate) trait Lives {
    /// The long-lived part of a target group.
    fn group(&mut self, arn: &str) -> Arc<GroupLive>;
    /// The counters of a load balancer.
    fn load_balancer(&mut self, arn: &str) -> Arc<LoadBalancerCounts>;
    /// What an HTTPS listener offers.
    fn offer(&self, listener: &str) -> Option<Arc<Offer>>;
    /// What guards are made with.
    fn means(&self) -> auth::Means;
    /// Where a load balancer's lines of a kind go.
    fn log(&self, load_balancer: &config::LoadBalancer, kind: Kind, to: &LogDestination) -> LogStream;
}

/// Compiles all listeners, by ARN.
pub(crate) fn compile(config: &Config, lives: &mut dyn Lives) -> Result<HashMap<String, Arc<Route>>, CompileError> {
    let mut groups = HashMap::new();
    for group in &config.target_groups {
        if Matcher::parse(&group.health_check.matcher).is_none() {
            let matcher = group.health_check.matcher.clone();
            return Err(CompileError::Matcher { group: group.arn.clone(), matcher });
        }
        let compiled = Arc::new(Group {
            tag: tag(&group.arn),
            arn: group.arn.clone(),
            is_tls: group.protocol == Protocol::Https,
            version: group.protocol_version,
            algorithm: group.attributes.algorithm,
            slow_start_ms: u64::from(group.attributes.slow_start_seconds) * 1000,
            stickiness: group.attributes.stickiness.clone(),
            live: lives.group(&group.arn),
        });
        if groups.insert(group.arn.as_str(), compiled).is_some() {
            return Err(CompileError::Duplicate(group.arn.clone()));
        }
    }
    let mut listeners = HashMap::new();
    for load_balancer in &config.load_balancers {
        let shared = Arc::new(compile_load_balancer(load_balancer, lives)?);
        for listener in &load_balancer.listeners {
            let offer = lives.offer(&listener.arn);
            let has_none = listener.protocol == Protocol::Https && offer.is_none();
            let means = || lives.means();
            let route = Arc::new(compile_listener(listener, &shared, &groups, offer, &means)?);
            if has_none {
                // Never plain HTTP in its place.
                continue;
            }
            if listeners.insert(listener.arn.clone(), route).is_some() {
                return Err(CompileError::Duplicate(listener.arn.clone()));
            }
        }
    }
    Ok(listeners)
}

fn compile_load_balancer(
    load_balancer: &config::LoadBalancer,
    lives: &mut dyn Lives,
) -> Result<LoadBalancer, CompileError> {
    let ingress = match &load_balancer.host_ingress {
        None => None,
        Some(rules) => Some(
            rules
                .iter()
                .map(|rule| {
                    let block = Cidr::parse(&rule.cidr).ok_or_else(|| CompileError::Ingress(rule.cidr.clone()))?;
                    Ok((block, rule.from_port, rule.to_port))
                })
                .collect::<Result<Vec<_>, CompileError>>()?,
        ),
    };
    let attributes = load_balancer.attributes.clone();
    let counts = lives.load_balancer(&load_balancer.arn);
    let lives = &*lives;
    let log = |kind, to: &Option<LogDestination>| to.as_ref().map(|to| lives.log(load_balancer, kind, to));
    Ok(LoadBalancer {
        arn: load_balancer.arn.clone(),
        resource: load_balancer
            .arn
            .split_once("loadbalancer/")
            .map_or(&load_balancer.name[..], |(_, id)| id)
            .to_owned(),
        access_log: log(Kind::Access, &attributes.access_logs),
        connection_log: log(Kind::Connection, &attributes.connection_logs),
        idle_timeout_ms: u64::from(attributes.idle_timeout_seconds) * 1000,
        client_keep_alive_ms: u64::from(attributes.client_keep_alive_seconds) * 1000,
        attributes,
        counts,
        ingress,
    })
}

fn compile_listener(
    listener: &config::Listener,
    load_balancer: &Arc<LoadBalancer>,
    groups: &HashMap<&str, Arc<Group>>,
    tls: Option<Arc<Offer>>,
    means: &dyn Fn() -> auth::Means,
) -> Result<Route, CompileError> {
    let guard = |of: &str, actions: &[config::Action]| {
        let Some(guard) = compile_guard(of, actions, load_balancer, means)? else { return Ok(None) };
        match listener.protocol {
            Protocol::Https => Ok(Some(guard)),
            Protocol::Http => Err(CompileError::GuardWithoutTls(listener.arn.clone())),
        }
    };
    let mut sorted: Vec<&config::Rule> = listener.rules.iter().collect();
    sorted.sort_by_key(|rule| rule.priority);
    let rules = sorted
        .into_iter()
        .map(|rule| {
            let conditions = rule
                .conditions
                .iter()
                .map(|condition| {
                    Condition::compile(condition).map_err(|error: ConditionError| CompileError::Condition {
                        rule: rule.arn.clone(),
                        message: error.to_string(),
                    })
                })
                .collect::<Result<Vec<_>, _>>()?;
            let transforms = Transforms::compile(&rule.transforms)
                .map_err(|error| CompileError::Condition { rule: rule.arn.clone(), message: error.to_string() })?;
            let action = compile_action(&rule.arn, &rule.actions, groups)?;
            let guard = guard(&rule.arn, &rule.actions)?;
            Ok(Rule { priority: rule.priority, conditions, transforms, action, guard })
        })
        .collect::<Result<Vec<Rule>, CompileError>>()?;
    let gates = rules.iter().map(|rule| Gate::of(&rule.conditions)).collect();
    let default_guard = guard(&listener.arn, &listener.default_actions)?;
    let guards = || rules.iter().filter_map(|rule| rule.guard.as_ref()).chain(&default_guard);
    let logins = guards().filter_map(|guard| match guard {
        Guard::Oidc(oidc) => Some(oidc.clone()),
        Guard::Jwt(_) => None,
    });
    let header_error =
        |header: &str| CompileError::Header { listener: listener.arn.clone(), header: header.to_owned() };
    let header_name = |name: &String| HeaderName::try_from(name.as_str()).map_err(|_| header_error(name));
    let attributes = &listener.attributes;
    let response_headers = attributes
        .response_headers
        .iter()
        .map(|(name, value)| {
            let value = HeaderValue::try_from(value.as_str()).map_err(|_| header_error(value))?;
            Ok((header_name(name)?, value))
        })
        .collect::<Result<_, CompileError>>()?;
    Ok(Route {
        tls,
        tls_version_header: header_name(&attributes.tls_version_header)?,
        tls_cipher_suite_header: header_name(&attributes.tls_cipher_suite_header)?,
        keeps_server_header: attributes.server_header,
        response_headers,
        load_balancer: load_balancer.clone(),
        port: listener.port,
        port_value: HeaderValue::from(listener.port),
        is_guarded: guards().next().is_some(),
        logins: logins.collect(),
        rules,
        gates,
        default_guard,
        default: compile_action(&listener.arn, &listener.default_actions, groups)?,
    })
}

/// The guard before the action that decides, if there is one.
fn compile_guard(
    of: &str,
    actions: &[config::Action],
    load_balancer: &LoadBalancer,
    means: &dyn Fn() -> auth::Means,
) -> Result<Option<Guard>, CompileError> {
    let mut guards = actions.iter().rev().skip(1).filter(|action| action.is_guard());
    let Some(action) = guards.next() else { return Ok(None) };
    let guard =
        Guard::compile(action, &load_balancer.arn, &means(), &load_balancer.counts).filter(|_| guards.next().is_none());
    guard.map(Some).ok_or_else(|| CompileError::Guard(of.to_owned()))
}

fn compile_action(
    of: &str,
    actions: &[config::Action],
    groups: &HashMap<&str, Arc<Group>>,
) -> Result<Action, CompileError> {
    let response_error = || CompileError::Response(of.to_owned());
    Ok(match actions.last().ok_or_else(|| CompileError::NoAction(of.to_owned()))? {
        config::Action::Forward { target_groups, stickiness_seconds } => {
            if target_groups.is_empty() {
                return Err(CompileError::NoTargetGroup(of.to_owned()));
            }
            let share = |weighted: &config::WeightedTargetGroup| match groups.get(weighted.arn.as_str()) {
                Some(group) => Ok(Share { group: group.clone(), weight: weighted.weight }),
                None => {
                    let group = weighted.arn.clone();
                    Err(CompileError::UnknownTargetGroup { of: of.to_owned(), group })
                }
            };
            Action::Forward(Forward {
                groups: target_groups.iter().map(share).collect::<Result<_, _>>()?,
                turn: AtomicU64::new(0),
                stickiness_seconds: *stickiness_seconds,
            })
        }
        config::Action::Redirect { protocol, host, port, path, query, status_code } => {
            let status = StatusCode::from_u16(*status_code).map_err(|_| response_error())?;
            Action::Redirect(Redirect::compile(
                status,
                Components {
                    protocol: protocol.as_deref(),
                    host: host.as_deref(),
                    port: port.as_deref(),
                    path: path.as_deref(),
                    query: query.as_deref(),
                },
            ))
        }
        config::Action::AuthenticateOidc(_) | config::Action::JwtValidation(_) => {
            return Err(CompileError::Guard(of.to_owned()));
        }
        config::Action::FixedResponse { status_code, content_type, message_body } => Action::FixedResponse(
            FixedResponse::compile(*status_code, content_type.as_deref(), message_body.as_deref())
                .ok_or_else(response_error)?,
        ),
    })
}

/// Which load balancer uses which group: the index in `load_balancers`, by group ARN.
pub(crate) fn users(config: &Config) -> HashMap<&str, usize> {
    let mut users = HashMap::new();
    for (index, load_balancer) in config.load_balancers.iter().enumerate() {
        for listener in &load_balancer.listeners {
            let of_rules = listener.rules.iter().flat_map(|rule| &rule.actions);
            for action in listener.default_actions.iter().chain(of_rules) {
                if let config::Action::Forward { target_groups, .. } = action {
                    for weighted in target_groups {
                        // AWS allows a group one load balancer only; the first one decides here.
                        users.entry(weighted.arn.as_str()).or_insert(index);
                    }
                }
            }
        }
    }
    users
}

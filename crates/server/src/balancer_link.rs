//! The link to the balancer: pushes the whole configuration, takes reports of targets.

use crate::balancer::ResolverConfig;
use crate::buckets;
use crate::config::Config;
use crate::serve::Server;
use crate::tls_keys;
use longshore_api::elbv2::listener_attributes as attributes_of_listeners;
use longshore_balancer::config as lb;
use longshore_balancer::report::{Report, TargetState as Seen};
use longshore_controllers::agent_link::{Generations, until_stored};
use longshore_controllers::networks::{Networks, expanded};
use longshore_controllers::targets;
use longshore_dns::DnsConfig;
use longshore_store::Snapshot;
use longshore_store::tables::*;
use longshore_types::ec2::{RulePeer, SecurityGroupRule};
use longshore_types::elbv2::{self, Action, ClaimFormat, Condition, OnUnauthenticated, TargetHealth, TargetState};
use longshore_types::id::VpcId;
use longshore_types::sealed::Sealed;
use longshore_types::{Scope, Timestamp};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

/// Keeps one connection, for ever.
pub async fn run(server: Server) {
    let path = server.config.run_dir.join("balancer.sock");
    let generations = Generations::starting(crate::serve::now());
    loop {
        match UnixStream::connect(&path).await {
            Ok(stream) => {
                if let Err(error) = serve(&server, stream, &generations).await {
                    tracing::warn!(%error, "lost the balancer");
                }
            }
            Err(error) => tracing::debug!(%error, "no balancer yet"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn serve(server: &Server, stream: UnixStream, generations: &Generations) -> io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    // It speaks first, and says what it has: names, then its report.
    let report = loop {
        let Some(line) = lines.next_line().await? else { return Ok(()) };
        match parse(&line) {
            Some(Heard::Names { generation }) => generations.learn(generation),
            Some(Heard::Report(report)) => break report,
            Some(Heard::Refused { .. }) | None => {}
        }
    };
    generations.learn(report.generation);
    take(server, report, &(0, vec![])).await;
    let store = &server.backend.store;
    let mut watcher = store
        .watch()
        .on::<LoadBalancers>()
        .on::<TargetGroups>()
        .on::<Targets>()
        .on::<Listeners>()
        .on::<Rules>()
        .on::<SecurityGroups>()
        .on::<Certificates>()
        .on::<Vpcs>()
        .on::<PrefixLists>()
        .on::<NetworkInterfaces>();
    let state = store.snapshot();
    let mut seen = state.revision();
    let mut networks = Networks::new(&state);
    drop(state);
    let mut sent: Option<lb::Config> = None;
    let mut sent_names = ResolverConfig::default();
    // Load balancers that were in the configuration of a generation.
    let mut known: (u64, Vec<String>) = (0, Vec::new());
    loop {
        let changes = store.changes_since(seen);
        let state = changes.snapshot();
        seen = state.revision();
        networks.update(&changes);
        let mut config = configuration(state, Places::of(&server.config));
        let generation = sent.as_ref().map_or(0, |old| old.generation);
        config.generation = generation;
        if sent.as_ref() != Some(&config) {
            provide_keys(server, state)?;
            config.generation = generations.next();
            let mut line = serde_json::to_vec(&serde_json::json!({ "config": &config }))?;
            line.push(b'\n');
            writer.write_all(&line).await?;
            known = (config.generation, config.load_balancers.iter().map(|lb| lb.arn.clone()).collect());
            sent = Some(config);
        }
        let mut names = resolvers(state, &networks);
        names.generation = sent_names.generation;
        if sent_names != names {
            names.generation = generations.next();
            let mut message = names.clone();
            message.vpcs.values_mut().for_each(|vpc| vpc.generation = names.generation);
            let mut line = serde_json::to_vec(&serde_json::json!({ "dns": &message }))?;
            line.push(b'\n');
            writer.write_all(&line).await?;
            sent_names = names;
        }
        drop(changes);
        tokio::select! {
            wake = watcher.changed() => if wake.is_none() { return Ok(()) },
            line = lines.next_line() => {
                let Some(line) = line? else { return Ok(()) };
                match parse(&line) {
                    Some(Heard::Report(report)) => take(server, report, &known).await,
                    Some(Heard::Refused { generation, reason }) => {
                        tracing::error!(generation, reason, "the balancer refuses its configuration");
                    }
                    Some(Heard::Names { .. }) | None => {}
                }
            }
        }
    }
}

/// What a balancer says: one key.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Heard {
    Report(Report),
    /// Of the names that it answers with.
    #[serde(rename = "dns")]
    Names {
        generation: u64,
    },
    Refused {
        generation: Option<u64>,
        reason: String,
    },
}

fn parse(line: &str) -> Option<Heard> {
    serde_json::from_str(line).ok()
}

async fn take(server: &Server, report: Report, known: &(u64, Vec<String>)) {
    for listener in report.listeners.iter().filter(|l| l.tls_error.is_some()) {
        tracing::warn!(
            arn = listener.arn,
            error = listener.tls_error.as_deref().unwrap_or_default(),
            "a listener does not offer its certificates yet"
        );
    }
    for listener in report.listeners.iter().filter(|l| l.error.is_some()) {
        tracing::warn!(arn = listener.arn, address = %listener.address, port = listener.port, error = listener.error.as_deref().unwrap_or_default(), "a listener does not listen yet");
    }
    let reports = report.targets.iter().map(|t| targets::Report {
        target_group: t.target_group.clone(),
        id: format!("{}:{}", t.id, t.port),
        registered_at: t.registered_ms.and_then(|at| at.try_into().ok()).map(Timestamp),
        health: health(t.state).map(|state| TargetHealth {
            state,
            reason: t.reason_code.clone(),
            description: t.description.clone(),
        }),
    });
    let active = if report.generation >= known.0 { known.1.clone() } else { vec![] };
    let store = &server.backend.store;
    until_stored("reports of the balancer", || targets::apply(store, reports.clone().collect(), active.clone())).await;
}

fn health(seen: Seen) -> Option<TargetState> {
    match seen {
        Seen::Initial => Some(TargetState::Initial),
        Seen::Healthy => Some(TargetState::Healthy),
        Seen::Unhealthy => Some(TargetState::Unhealthy),
        Seen::Unused => Some(TargetState::Unused),
        Seen::Draining => Some(TargetState::Draining),
        Seen::Drained => None,
    }
}

/// Where the balancer finds what is not part of its configuration.
#[derive(Clone, Copy)]
struct Places<'a> {
    run_dir: &'a Path,
    data_dir: &'a Path,
}

impl<'a> Places<'a> {
    fn of(config: &'a Config) -> Self {
        Self { run_dir: &config.run_dir, data_dir: &config.data_dir }
    }

    fn bucket(self, name: &str) -> PathBuf {
        buckets::directory(self.data_dir, name)
    }
}

fn configuration(state: &Snapshot, places: Places<'_>) -> lb::Config {
    let authenticates = secrets(state).next().is_some();
    lb::Config {
        generation: 0,
        auth_keys_file: authenticates.then(|| tls_keys::auth_keys_path(places.data_dir)),
        load_balancers: state
            .load_balancers()
            .all()
            .entries()
            .map(|((scope, _), row)| load_balancer(state, &scope, &row, places))
            .collect(),
        target_groups: state
            .target_groups()
            .all()
            .entries()
            .map(|((scope, _), row)| target_group(state, &scope, &row))
            .collect(),
    }
}

/// The names of every VPC that has a resolver: of load balancers, and those that EC2 gives to addresses.
fn resolvers(state: &Snapshot, networks: &Networks) -> ResolverConfig {
    let mut vpcs = BTreeMap::new();
    for (scope, network) in networks.iter() {
        let Some(vpc) = state.vpcs().get(&(scope.clone(), network.id.clone())) else { continue };
        if !vpc.enable_dns_support {
            continue;
        }
        let domain = longshore_types::ec2::private_dns_name(vpc.cidr.address(), &scope.region);
        let domain = domain.split_once('.').map_or("", |(_, domain)| domain).to_owned();
        let config = DnsConfig {
            generation: 0,
            zones: vec![],
            hosts: hosts(state, scope, &network.id),
            private_domain: domain,
            vpc_blocks: vpc
                .cidrs()
                .map(|cidr| longshore_dns::Block { address: cidr.address(), prefix: cidr.prefix() })
                .collect(),
        };
        vpcs.insert(network.id.to_string(), config);
    }
    ResolverConfig { generation: 0, vpcs }
}

/// The names of load balancers: private addresses inside their VPC, no address in the instance's others. Those are told too,
/// for what a resolver does not know it asks of the world.
fn hosts(state: &Snapshot, scope: &Scope, vpc: &VpcId) -> BTreeMap<String, longshore_dns::Host> {
    let host = |((owner, _), lb): ((Scope, String), Arc<elbv2::LoadBalancer>)| {
        let is_here = owner == *scope && lb.vpc == *vpc;
        let addresses = lb.nodes.iter().filter(|_| is_here).map(|node| node.address).collect();
        (lb.dns_name.to_lowercase(), longshore_dns::Host { addresses, ttl_seconds: 60 })
    };
    state.load_balancers().all().entries().map(host).collect()
}

fn load_balancer(state: &Snapshot, scope: &Scope, row: &elbv2::LoadBalancer, places: Places<'_>) -> lb::LoadBalancer {
    let namespace = longshore_network::namespace::path_of(places.run_dir, row.vpc.as_str());
    let inside =
        row.nodes.iter().map(|node| lb::ListenAddress { ip: node.address, namespace: Some(namespace.clone()) });
    let outside = row.host_address.map(|ip| lb::ListenAddress { ip, namespace: None });
    let key = (scope.clone(), row.arn.clone());
    lb::LoadBalancer {
        arn: row.arn.clone(),
        name: row.name.clone(),
        attributes: attributes(row, places),
        zones: row.nodes.iter().map(|node| node.zone.to_string()).collect(),
        addresses: inside.chain(outside).collect(),
        host_ingress: Some(host_ingress(state, scope, row)),
        target_namespace: Some(namespace),
        source_addresses: row.nodes.iter().map(|node| node.address).collect(),
        vpc_blocks: state
            .vpcs()
            .get(&(scope.clone(), row.vpc.clone()))
            .map_or_else(Vec::new, |vpc| vpc.cidrs().map(|cidr| cidr.to_string()).collect()),
        listeners: state
            .listeners()
            .by_index(&Listeners::BY_LOAD_BALANCER, &key)
            .map(|l| listener(state, scope, &l, places))
            .collect(),
    }
}

fn attributes(row: &elbv2::LoadBalancer, places: Places<'_>) -> lb::LoadBalancerAttributes {
    let get = |key: &str| row.attributes.get(key).map(String::as_str);
    let default = lb::LoadBalancerAttributes::default();
    let number = |key: &str, otherwise: u32| get(key).and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let flag = |key: &str| get(key) == Some("true");
    let logs = |kind: &str| {
        flag(&format!("{kind}_logs.s3.enabled")).then(|| lb::LogDestination {
            directory: places.bucket(get(&format!("{kind}_logs.s3.bucket")).unwrap_or_default()),
            prefix: get(&format!("{kind}_logs.s3.prefix")).unwrap_or_default().to_owned(),
        })
    };
    lb::LoadBalancerAttributes {
        idle_timeout_seconds: number("idle_timeout.timeout_seconds", default.idle_timeout_seconds),
        client_keep_alive_seconds: number("client_keep_alive.seconds", default.client_keep_alive_seconds),
        drop_invalid_header_fields: flag("routing.http.drop_invalid_header_fields.enabled"),
        xff_mode: match get("routing.http.xff_header_processing.mode") {
            Some("preserve") => lb::XffMode::Preserve,
            Some("remove") => lb::XffMode::Remove,
            _ => lb::XffMode::Append,
        },
        xff_client_port: flag("routing.http.xff_client_port.enabled"),
        preserve_host_header: flag("routing.http.preserve_host_header.enabled"),
        desync_mode: match get("routing.http.desync_mitigation_mode") {
            Some("monitor") => lb::DesyncMode::Monitor,
            Some("strictest") => lb::DesyncMode::Strictest,
            _ => lb::DesyncMode::Defensive,
        },
        http2: get("routing.http2.enabled") != Some("false"),
        tls_headers: flag("routing.http.x_amzn_tls_version_and_cipher_suite.enabled"),
        access_logs: logs("access"),
        connection_logs: logs("connection"),
    }
}

/// Who may connect from the host: what the security groups let in by address. The host is the internet here.
fn host_ingress(state: &Snapshot, scope: &Scope, row: &elbv2::LoadBalancer) -> Vec<lb::IngressRule> {
    let groups = row.security_groups.iter().filter_map(|id| state.security_groups().get(&(scope.clone(), id.clone())));
    groups
        .flat_map(|group| {
            group
                .rules
                .iter()
                .flat_map(|rule| expanded(state, scope, rule))
                .filter_map(|rule| ingress(&rule))
                .collect::<Vec<_>>()
        })
        .collect()
}

fn ingress(rule: &SecurityGroupRule) -> Option<lb::IngressRule> {
    let RulePeer::Cidr(cidr) = &rule.peer else { return None };
    let (from_port, to_port) = match rule.protocol.as_str() {
        "-1" => (0, u16::MAX),
        "tcp" | "6" => (u16::try_from(rule.from_port).unwrap_or(0), u16::try_from(rule.to_port).unwrap_or(u16::MAX)),
        _ => return None,
    };
    (!rule.egress).then(|| lb::IngressRule { cidr: cidr.to_string(), from_port, to_port })
}

fn listener(state: &Snapshot, scope: &Scope, row: &elbv2::Listener, places: Places<'_>) -> lb::Listener {
    let key = (scope.clone(), row.arn.clone());
    let rules = state.rules().by_index(&Rules::BY_LISTENER, &key).map(|rule| lb::Rule {
        arn: rule.arn.clone(),
        priority: rule.priority,
        conditions: rule.conditions.iter().map(condition).collect(),
        actions: rule.actions.iter().map(|row| action(&rule.arn, row, places)).collect(),
        transforms: rule.transforms.iter().map(transform).collect(),
    });
    lb::Listener {
        arn: row.arn.clone(),
        port: row.port,
        protocol: protocol(&row.protocol),
        certificates: certificates(state, scope, row)
            .map(|certificate| lb::Certificate {
                arn: certificate.arn.clone(),
                chain_pem: format!("{}\n{}", certificate.body, certificate.chain.as_deref().unwrap_or_default()),
                private_key_file: tls_keys::path_of(places.run_dir, &certificate),
            })
            .collect(),
        ssl_policy: row.ssl_policy.clone(),
        attributes: listener_attributes(row),
        default_actions: row.default_actions.iter().map(|given| action(&row.arn, given, places)).collect(),
        rules: rules.collect(),
    }
}

fn listener_attributes(row: &elbv2::Listener) -> lb::ListenerAttributes {
    let default = lb::ListenerAttributes::default();
    let name = |key: &str, otherwise: String| row.attributes.get(key).cloned().unwrap_or(otherwise);
    lb::ListenerAttributes {
        server_header: row.attributes.get(attributes_of_listeners::SERVER_ENABLED).is_none_or(|v| v == "true"),
        response_headers: attributes_of_listeners::response_headers(row).collect(),
        tls_version_header: name(attributes_of_listeners::TLS_VERSION_NAME, default.tls_version_header),
        tls_cipher_suite_header: name(attributes_of_listeners::TLS_CIPHER_SUITE_NAME, default.tls_cipher_suite_header),
    }
}

fn certificates(
    state: &Snapshot,
    scope: &Scope,
    row: &elbv2::Listener,
) -> impl Iterator<Item = Arc<longshore_types::acm::Certificate>> {
    row.certificates.iter().filter_map(|arn| state.certificates().get(&(scope.clone(), arn.clone())))
}

/// Puts the private keys where the configuration says they are.
fn provide_keys(server: &Server, state: &Snapshot) -> io::Result<()> {
    let listeners = state.listeners().all().entries();
    let used: Vec<_> =
        listeners.flat_map(|((scope, _), row)| certificates(state, &scope, &row).collect::<Vec<_>>()).collect();
    let used: Vec<_> = used.iter().map(|certificate| &**certificate).collect();
    let secrets: Vec<_> = secrets(state).collect();
    if !secrets.is_empty() {
        tls_keys::provide_auth_keys(&server.config.data_dir)?;
    }
    tls_keys::provide(&server.config.run_dir, &server.settings.vault, &used, &secrets)
}

/// Client secrets of all actions, with the ARNs of their listeners and rules.
fn secrets(state: &Snapshot) -> impl Iterator<Item = (String, Sealed)> {
    let of = |arn: &str, actions: &[Action]| -> Vec<(String, Sealed)> {
        let secret = |action: &Action| match action {
            Action::AuthenticateOidc(oidc) => Some((arn.to_owned(), oidc.client_secret.clone())),
            _ => None,
        };
        actions.iter().filter_map(secret).collect()
    };
    let of_listeners = state.listeners().all().flat_map(move |row| of(&row.arn, &row.default_actions));
    of_listeners.chain(state.rules().all().flat_map(move |row| of(&row.arn, &row.actions)))
}

fn protocol(name: &str) -> lb::Protocol {
    match name {
        "HTTPS" => lb::Protocol::Https,
        _ => lb::Protocol::Http,
    }
}

fn condition(condition: &Condition) -> lb::Condition {
    match condition {
        Condition::PathPattern(values) => lb::Condition::PathPattern { values: values.clone(), regex_values: vec![] },
        Condition::HostHeader(values) => lb::Condition::HostHeader { values: values.clone(), regex_values: vec![] },
        Condition::HttpHeader { name, values } => {
            lb::Condition::HttpHeader { name: name.clone(), values: values.clone(), regex_values: vec![] }
        }
        Condition::PathRegex(regexes) => lb::Condition::PathPattern { values: vec![], regex_values: regexes.clone() },
        Condition::HostRegex(regexes) => lb::Condition::HostHeader { values: vec![], regex_values: regexes.clone() },
        Condition::HttpHeaderRegex { name, values } => {
            lb::Condition::HttpHeader { name: name.clone(), values: vec![], regex_values: values.clone() }
        }
        Condition::HttpRequestMethod(values) => lb::Condition::HttpRequestMethod { values: values.clone() },
        Condition::QueryString(pairs) => lb::Condition::QueryString {
            values: pairs
                .iter()
                .map(|(key, value)| lb::QueryPattern { key: key.clone(), value: value.clone() })
                .collect(),
        },
        Condition::SourceIp(blocks) => {
            lb::Condition::SourceIp { values: blocks.iter().map(ToString::to_string).collect() }
        }
    }
}

fn transform(transform: &elbv2::Transform) -> lb::Transform {
    let rewrite = |regex: &String, replace: &String| lb::Rewrite { regex: regex.clone(), replace: replace.clone() };
    match transform {
        elbv2::Transform::HostHeaderRewrite { regex, replace } => {
            lb::Transform::HostHeaderRewrite(rewrite(regex, replace))
        }
        elbv2::Transform::UrlRewrite { regex, replace } => lb::Transform::UrlRewrite(rewrite(regex, replace)),
    }
}

/// `owner` is the ARN of the listener or rule.
fn action(owner: &str, action: &Action, places: Places<'_>) -> lb::Action {
    match action {
        Action::AuthenticateOidc(oidc) => lb::Action::AuthenticateOidc(Box::new(lb::AuthenticateOidc {
            issuer: oidc.issuer.clone(),
            authorization_endpoint: oidc.authorization_endpoint.clone(),
            token_endpoint: oidc.token_endpoint.clone(),
            user_info_endpoint: oidc.user_info_endpoint.clone(),
            client_id: oidc.client_id.clone(),
            client_secret_file: tls_keys::secret_path_of(places.run_dir, owner, &oidc.client_secret),
            session_cookie_name: oidc.session_cookie_name.clone(),
            scope: oidc.scope.clone(),
            session_timeout_seconds: oidc.session_timeout_seconds,
            extra_params: oidc.extra_params.clone().into_iter().collect(),
            on_unauthenticated: match oidc.on_unauthenticated {
                OnUnauthenticated::Authenticate => lb::OnUnauthenticated::Authenticate,
                OnUnauthenticated::Allow => lb::OnUnauthenticated::Allow,
                OnUnauthenticated::Deny => lb::OnUnauthenticated::Deny,
            },
        })),
        Action::JwtValidation { jwks_endpoint, issuer, additional_claims } => {
            let claims = additional_claims.iter().map(|claim| lb::RequiredClaim {
                name: claim.name.clone(),
                format: match claim.format {
                    ClaimFormat::SingleString => lb::ClaimFormat::SingleString,
                    ClaimFormat::StringArray => lb::ClaimFormat::StringArray,
                    ClaimFormat::SpaceSeparatedValues => lb::ClaimFormat::SpaceSeparatedValues,
                },
                values: claim.values.clone(),
            });
            lb::Action::JwtValidation(Box::new(lb::JwtValidation {
                jwks_endpoint: jwks_endpoint.clone(),
                issuer: issuer.clone(),
                claims: claims.collect(),
            }))
        }
        Action::Forward { target_groups, stickiness_seconds, unused_stickiness_seconds: _ } => lb::Action::Forward {
            target_groups: target_groups
                .iter()
                .map(|(arn, weight)| lb::WeightedTargetGroup { arn: arn.clone(), weight: *weight })
                .collect(),
            stickiness_seconds: *stickiness_seconds,
        },
        Action::Redirect { protocol, port, host, path, query, status_code } => lb::Action::Redirect {
            protocol: Some(protocol.clone()),
            host: Some(host.clone()),
            port: Some(port.clone()),
            path: Some(path.clone()),
            query: Some(query.clone()),
            status_code: *status_code,
        },
        Action::FixedResponse { status_code, content_type, body } => lb::Action::FixedResponse {
            status_code: *status_code,
            content_type: content_type.clone(),
            message_body: body.clone(),
        },
    }
}

fn target_group(state: &Snapshot, scope: &Scope, row: &elbv2::TargetGroup) -> lb::TargetGroup {
    let check = &row.health_check;
    let get = |key: &str| row.attributes.get(key).map(String::as_str);
    let number = |key: &str, otherwise: u32| get(key).and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let stickiness = (get("stickiness.enabled") == Some("true")).then(|| match get("stickiness.type") {
        Some("app_cookie") => lb::Stickiness::AppCookie {
            cookie_name: get("stickiness.app_cookie.cookie_name").unwrap_or_default().to_owned(),
            duration_seconds: number("stickiness.app_cookie.duration_seconds", 86_400),
        },
        _ => lb::Stickiness::LbCookie { duration_seconds: number("stickiness.lb_cookie.duration_seconds", 86_400) },
    });
    let targets = state.targets().prefix(&(scope.clone(), row.arn.clone())).map(|t| lb::Target {
        id: t.address.into(),
        port: t.port,
        registered_ms: t.registered_at.0.try_into().unwrap_or_default(),
        availability_zone: t.zone.as_ref().map(ToString::to_string),
        draining: t.draining_since.is_some(),
        draining_since_ms: t.draining_since.and_then(|at| u64::try_from(at.0).ok()),
    });
    let minimum = |unit: &str| format!("target_group_health.unhealthy_state_routing.minimum_healthy_targets.{unit}");
    lb::TargetGroup {
        arn: row.arn.clone(),
        name: row.name.clone(),
        protocol: protocol(&row.protocol),
        protocol_version: match row.protocol_version.as_str() {
            "HTTP2" => lb::ProtocolVersion::Http2,
            "GRPC" => lb::ProtocolVersion::Grpc,
            _ => lb::ProtocolVersion::Http1,
        },
        port: row.port,
        health_check: lb::HealthCheck {
            protocol: protocol(&check.protocol),
            path: check.path.clone(),
            port: check.port.parse().ok(),
            interval_seconds: check.interval_seconds,
            timeout_seconds: check.timeout_seconds,
            healthy_threshold: check.healthy_threshold,
            unhealthy_threshold: check.unhealthy_threshold,
            matcher: check.matcher.clone(),
        },
        attributes: lb::TargetGroupAttributes {
            deregistration_delay_seconds: row.deregistration_delay_seconds(),
            stickiness,
            algorithm: match get("load_balancing.algorithm.type") {
                Some("least_outstanding_requests") => lb::Algorithm::LeastOutstandingRequests,
                Some("weighted_random") => lb::Algorithm::WeightedRandom,
                _ => lb::Algorithm::RoundRobin,
            },
            slow_start_seconds: number("slow_start.duration_seconds", 0),
            healthy_count_min: number(&minimum("count"), 1),
            healthy_percent_min: number(&minimum("percentage"), 0),
        },
        targets: targets.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_api::elbv2::ssl_policies;
    use longshore_balancer::tls::policy;
    use longshore_store::Store;
    use longshore_store::engine::MemoryEngine;
    use longshore_types::Tags;
    use std::net::Ipv4Addr;

    fn load_balancer(name: &str, vpc: &str, address: Ipv4Addr) -> elbv2::LoadBalancer {
        elbv2::LoadBalancer {
            arn: name.to_owned(),
            name: name.to_owned(),
            dns_name: format!("{name}.us-east-1.elb.amazonaws.com"),
            hosted_zone_id: String::new(),
            internet_facing: true,
            vpc: vpc.into(),
            security_groups: vec![],
            nodes: vec![elbv2::LoadBalancerNode {
                zone: "us-east-1a".into(),
                subnet: "subnet-1".into(),
                eni: "eni-1".into(),
                address,
            }],
            host_address: None,
            state: elbv2::LoadBalancerState::Active,
            attributes: BTreeMap::new(),
            created_at: Timestamp(0),
            tags: Tags::default(),
        }
    }

    #[test]
    fn a_load_balancer_of_another_vpc_is_known_and_has_no_address() {
        let store = Store::with_engine(MemoryEngine::default(), schema()).unwrap();
        let (here, there) = (Scope::new("123456789012", "us-east-1"), Scope::new("210987654321", "us-east-1"));
        let rows = [(&here, "Web", "vpc-1"), (&here, "other", "vpc-2"), (&there, "theirs", "vpc-1")];
        let address = Ipv4Addr::new(10, 0, 0, 4);
        let rows = rows.map(|(scope, name, vpc)| (scope.clone(), load_balancer(name, vpc, address)));
        let stored = store.write_blocking(move |tx| {
            for (scope, row) in rows {
                tx.load_balancers().put((scope, row.arn.clone()), row);
            }
            Ok::<_, ()>(())
        });
        stored.unwrap().unwrap();
        let hosts = hosts(&store.snapshot(), &here, &"vpc-1".into());
        let found: Vec<_> = hosts.iter().map(|(name, host)| (name.as_str(), host.addresses.as_slice())).collect();
        let expected = [
            ("other.us-east-1.elb.amazonaws.com", &[][..]),
            ("theirs.us-east-1.elb.amazonaws.com", &[]),
            ("web.us-east-1.elb.amazonaws.com", &[address]),
        ];
        assert_eq!(found, expected);
    }

    /// The API and the data plane know nothing of each other: each has its own list.
    #[test]
    fn security_policies_are_shown_as_they_are_in_force() {
        let shown = ssl_policies::SERVED.iter().map(|(name, tls13, tls12)| {
            let policy = ssl_policies::view(name, *tls13, *tls12);
            let ciphers = policy.ciphers.unwrap_or_default().into_iter();
            (
                (*name).to_owned(),
                policy.ssl_protocols.unwrap_or_default(),
                ciphers.map(|cipher| cipher.name.unwrap_or_default()).collect::<Vec<_>>(),
            )
        });
        let owned = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect::<Vec<_>>();
        let in_force = policy::served().map(|p| (p.name.to_owned(), owned(p.protocols), owned(p.ciphers)));
        assert_eq!(shown.collect::<Vec<_>>(), in_force.collect::<Vec<_>>());
    }
}

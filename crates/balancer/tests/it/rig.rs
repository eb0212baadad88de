//! A balancer with one load balancer and one listener on a free loopback port, and ways to change it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use longshore_balancer::config::*;
use longshore_balancer::report::{TargetReport, TargetState};
use longshore_balancer::{Balancer, Options, Report};

use crate::backend::Backend;

pub struct Rig {
    pub balancer: Balancer,
    pub config: Config,
    pub address: SocketAddr,
}

/// A target group that checks /health each second.
pub fn group(arn: &str, backends: &[&Backend]) -> TargetGroup {
    TargetGroup {
        arn: arn.to_owned(),
        name: arn.to_owned(),
        protocol: Protocol::Http,
        protocol_version: ProtocolVersion::Http1,
        port: 80,
        health_check: HealthCheck {
            path: "/health".to_owned(),
            interval_seconds: 1,
            timeout_seconds: 1,
            healthy_threshold: 2,
            unhealthy_threshold: 2,
            ..HealthCheck::default()
        },
        attributes: TargetGroupAttributes { deregistration_delay_seconds: 1, ..TargetGroupAttributes::default() },
        targets: backends.iter().map(|backend| target(backend.address)).collect(),
    }
}

pub fn target(address: SocketAddr) -> Target {
    Target {
        id: address.ip(),
        port: address.port(),
        registered_ms: 0,
        availability_zone: None,
        draining: false,
        draining_since_ms: None,
    }
}

pub fn forward(arns: &[(&str, u32)]) -> Vec<Action> {
    let weighted = |(arn, weight): &(&str, u32)| WeightedTargetGroup { arn: (*arn).to_owned(), weight: *weight };
    vec![Action::Forward { target_groups: arns.iter().map(weighted).collect(), stickiness_seconds: None }]
}

pub fn fixed(status_code: u16, text: &str) -> Vec<Action> {
    vec![Action::FixedResponse { status_code, content_type: None, message_body: Some(text.to_owned()) }]
}

/// A port that nobody has and that no connection of another test is given meanwhile: below the kernel's ephemeral range.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % 100) as u16 * 100;
    let mut candidates = std::iter::from_fn(|| Some(15_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 15_000));
    candidates.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()).expect("candidates never end")
}

impl Rig {
    /// Forwards everything to the groups, by weight; waits until all targets are healthy.
    pub async fn forwarding(groups: Vec<TargetGroup>) -> Rig {
        let rig = Rig::unwaited(groups).await;
        rig.wait(|report| report.targets.iter().all(|target| target.state == TargetState::Healthy)).await;
        rig
    }

    pub async fn unwaited(groups: Vec<TargetGroup>) -> Rig {
        let arns: Vec<(&str, u32)> = groups.iter().map(|group| (group.arn.as_str(), 1)).collect();
        let actions = forward(&arns);
        Rig::start(groups, actions, Vec::new(), 1).await
    }

    pub async fn start(
        target_groups: Vec<TargetGroup>,
        default_actions: Vec<Action>,
        rules: Vec<Rule>,
        workers: usize,
    ) -> Rig {
        let port = free_port();
        let listener = Listener {
            arn: "listener".into(),
            port,
            protocol: Protocol::Http,
            certificates: Vec::new(),
            ssl_policy: None,
            attributes: ListenerAttributes::default(),
            default_actions,
            rules,
        };
        let load_balancer = LoadBalancer {
            arn: "lb".into(),
            name: "lb".into(),
            attributes: LoadBalancerAttributes::default(),
            zones: Vec::new(),
            addresses: vec![ListenAddress { ip: Ipv4Addr::LOCALHOST, namespace: None }],
            host_ingress: None,
            target_namespace: None,
            source_addresses: Vec::new(),
            vpc_blocks: Vec::new(),
            listeners: vec![listener],
        };
        let config = Config { generation: 1, load_balancers: vec![load_balancer], auth_keys_file: None, target_groups };
        let balancer = Balancer::start(&Options { workers, ..Options::default() }).await.unwrap();
        balancer.apply(config.clone()).await.unwrap();
        Rig { balancer, config, address: (Ipv4Addr::LOCALHOST, port).into() }
    }

    /// Ends the balancer, and starts another one with the same configuration.
    pub async fn restart(&mut self, options: &Options) {
        let fresh = Balancer::start(options).await.unwrap();
        drop(std::mem::replace(&mut self.balancer, fresh));
        self.balancer.apply(self.config.clone()).await.unwrap();
        // The former one's socket may be there a moment longer.
        self.wait(|report| !report.listeners.is_empty() && report.listeners.iter().all(|l| l.error.is_none())).await;
    }

    /// Waits until all targets are healthy.
    pub async fn healthy(&self) {
        self.wait(|report| report.targets.iter().all(|target| target.state == TargetState::Healthy)).await;
    }

    /// Changes the configuration and puts it in force.
    pub async fn change(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config);
        self.config.generation += 1;
        self.balancer.apply(self.config.clone()).await.unwrap();
    }

    pub async fn change_attributes(&mut self, change: impl FnOnce(&mut LoadBalancerAttributes)) {
        self.change(|config| change(&mut config.load_balancers[0].attributes)).await;
    }

    /// Waits for a report that meets a condition, for ten seconds at most.
    pub async fn wait(&self, condition: impl Fn(&Report) -> bool) -> Arc<Report> {
        let mut reports = self.balancer.reports();
        let met = tokio::time::timeout(Duration::from_secs(10), reports.wait_for(|report| condition(report)));
        match met.await {
            Ok(report) => report.unwrap().clone(),
            Err(_) => panic!("condition not met within 10 s; last report: {:#?}", self.balancer.reports().borrow()),
        }
    }

    pub fn target(&self, backend: &Backend) -> TargetReport {
        let report = self.balancer.reports().borrow().clone();
        report.targets.iter().find(|target| target.port == backend.address.port()).unwrap().clone()
    }
}

//! A service behind a load balancer, and requests to it.

use crate::api::Api;
use crate::aws::Aws;
use crate::calls::{Network, definition, register};
use crate::http::Connection;
use crate::instance::Instance;
use crate::{sample, wait};
use anyhow::{Context, ensure};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Two tasks of the sample application behind a load balancer.
pub struct Balanced {
    pub api: Api,
    pub dns_name: String,
    pub address: SocketAddr,
    image: String,
}

impl Balanced {
    pub fn start(instance: &Instance) -> anyhow::Result<Self> {
        let image = sample::web(instance)?;
        let aws = Aws::new(instance);
        let network = Network::default(&aws)?;
        let [subnet1, subnet2] = &network.subnets;
        let (front, back) = (network.open(&aws, "front", "80")?, network.open(&aws, "back", "8080")?);
        let lb = aws.call(&[
            "elbv2",
            "create-load-balancer",
            "--name",
            "web",
            "--subnets",
            subnet1,
            subnet2,
            "--security-groups",
            &front,
            "--query",
            "LoadBalancers[0]",
        ])?;
        let arn = lb["LoadBalancerArn"].as_str().context("an ARN")?;
        let dns_name = lb["DNSName"].as_str().context("a name")?.to_owned();
        let group = aws.text(
            &[
                "elbv2",
                "create-target-group",
                "--name",
                "web",
                "--protocol",
                "HTTP",
                "--port",
                "8080",
                "--vpc-id",
                &network.vpc,
                "--target-type",
                "ip",
                "--health-check-interval-seconds",
                "5",
                "--health-check-timeout-seconds",
                "2",
                "--healthy-threshold-count",
                "2",
            ],
            "TargetGroups[0].TargetGroupArn",
        )?;
        let action = format!("Type=forward,TargetGroupArn={group}");
        aws.call(&[
            "elbv2",
            "create-listener",
            "--load-balancer-arn",
            arn,
            "--protocol",
            "HTTP",
            "--port",
            "80",
            "--default-actions",
            &action,
        ])?;
        let delay = "Key=deregistration_delay.timeout_seconds,Value=5";
        aws.call(&["elbv2", "modify-target-group-attributes", "--target-group-arn", &group, "--attributes", delay])?;

        let mut api = Api::open(instance.listen)?;
        api.ecs("CreateCluster", &json!({}))?;
        let mut balanced = Self { api, dns_name, address: ([127, 0, 0, 1], 80).into(), image };
        let revision = balanced.register(&json!({}))?;
        balanced.api.ecs("CreateService", &json!({
            "serviceName": "web", "taskDefinition": revision, "desiredCount": 2, "launchType": "FARGATE",
            "networkConfiguration": {"awsvpcConfiguration": {"subnets": network.subnets, "securityGroups": [back], "assignPublicIp": "ENABLED"}},
            "loadBalancers": [{"targetGroupArn": group, "containerName": "app", "containerPort": 8080}],
        }))?;
        wait::until("both targets are healthy", Duration::from_secs(90), || {
            let health = aws.call(&[
                "elbv2",
                "describe-target-health",
                "--target-group-arn",
                &group,
                "--query",
                "TargetHealthDescriptions[].TargetHealth",
            ]);
            let health = health.map_err(|error| format!("{error:#}"))?;
            let healthy = health.as_array().into_iter().flatten().filter(|target| target["State"] == "healthy").count();
            if healthy == 2 { Ok(()) } else { Err(health.to_string()) }
        })?;
        balanced.address = wait::until("the load balancer has an address", Duration::from_secs(10), || {
            let found = (balanced.dns_name.as_str(), 80).to_socket_addrs().map_err(|error| error.to_string())?.next();
            found.ok_or_else(|| "none".to_owned())
        })?;
        Ok(balanced)
    }

    /// A revision of the definition; `more` is laid over the container.
    pub fn register(&mut self, more: &Value) -> anyhow::Result<String> {
        let mut container = json!({"portMappings": [{"containerPort": 8080}]});
        for (name, value) in more.as_object().into_iter().flatten() {
            container[name] = value.clone();
        }
        register(&mut self.api, &definition("web", &self.image, &container))
    }

    /// What the service says has happened, newest first: when (seconds since 1970), and what.
    pub fn events(&mut self) -> anyhow::Result<Vec<(f64, String)>> {
        let seen = self.api.ecs("DescribeServices", &json!({"services": ["web"]}))?;
        let events = seen["services"][0]["events"].as_array().cloned().unwrap_or_default();
        let text = |event: &Value| event["message"].as_str().unwrap_or_default().to_owned();
        Ok(events.iter().map(|event| (event["createdAt"].as_f64().unwrap_or_default(), text(event))).collect())
    }

    /// The running tasks: ARN, and what changes when a container is started again.
    pub fn tasks(&mut self) -> anyhow::Result<BTreeMap<String, String>> {
        let tasks = self.api.ecs("ListTasks", &json!({"serviceName": "web"}))?;
        let tasks = self.api.ecs("DescribeTasks", &json!({"tasks": tasks["taskArns"]}))?;
        let tasks = tasks["tasks"].as_array().cloned().unwrap_or_default();
        Ok(tasks
            .iter()
            .map(|task| {
                let arn = task["taskArn"].as_str().unwrap_or_default().to_owned();
                (arn, format!("{} {}", task["startedAt"], task["containers"][0]["runtimeId"]))
            })
            .collect())
    }
}

/// Requests at a steady rate, on kept and on fresh connections.
pub struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    failures: Arc<Mutex<Vec<(Instant, String)>>>,
    started: Instant,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    pub fn start(service: &Balanced, requests_per_second: u32) -> Self {
        // Enough that one slow answer delays no others much, and few connections.
        const THREADS: u32 = 16;
        let mut load = Self {
            stop: Default::default(),
            answered: Default::default(),
            failures: Default::default(),
            started: Instant::now(),
            threads: Vec::new(),
        };
        for _ in 0..THREADS {
            let (stop, answered, failures) =
                (Arc::clone(&load.stop), Arc::clone(&load.answered), Arc::clone(&load.failures));
            let (address, host) = (service.address, service.dns_name.clone());
            let pause = Duration::from_secs(1) * THREADS / requests_per_second;
            load.threads.push(std::thread::spawn(move || {
                let mut connection = None;
                let mut next = Instant::now();
                while !stop.load(Ordering::Relaxed) {
                    match ask(&mut connection, address, &host) {
                        Ok(()) => {
                            // Every fifth request is the last of its connection.
                            if answered.fetch_add(1, Ordering::Relaxed) % 5 == 4 {
                                connection = None;
                            }
                        }
                        Err(error) => {
                            connection = None;
                            failures
                                .lock()
                                .expect("no thread panics holding it")
                                .push((Instant::now(), format!("{error:#}")));
                        }
                    }
                    next += pause;
                    std::thread::sleep(next.saturating_duration_since(Instant::now()));
                }
            }));
        }
        load
    }

    /// Stops: how many requests were answered, and when which failed.
    pub fn end(mut self) -> (u64, Vec<(Instant, String)>) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("a thread of the load does not panic");
        }
        let failures = std::mem::take(&mut *self.failures.lock().expect("no thread panics holding it"));
        (self.answered.load(Ordering::Relaxed), failures)
    }

    pub fn end_without_failures(self) -> anyhow::Result<()> {
        let started = self.started;
        let (answered, failures) = self.end();
        let seconds = started.elapsed().as_secs_f64();
        println!("    {answered} requests in {seconds:.0} s, {:.0} a second", answered as f64 / seconds);
        ensure!(
            failures.is_empty(),
            "{} of {} requests failed, first: {:?}",
            failures.len(),
            answered + failures.len() as u64,
            failures.iter().take(3).map(|(_, text)| text).collect::<Vec<_>>()
        );
        ensure!(answered > 100, "only {answered} requests were made");
        Ok(())
    }
}

fn ask(connection: &mut Option<Connection>, address: SocketAddr, host: &str) -> anyhow::Result<()> {
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(Connection::open(address, host)?),
    };
    let answer = connection.get("/")?;
    ensure!(answer.status == 200, "status {}: {}", answer.status, answer.text());
    Ok(())
}

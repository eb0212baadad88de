//! What runs outlives what manages it, and what was acknowledged is there.

use crate::kit::{Kit, Network, definition, register};
use anyhow::{Context, bail, ensure};
use longshore_tests::api::{Api, Failure};
use longshore_tests::aws::Aws;
use longshore_tests::http::Connection;
use longshore_tests::instance::Instance;
use longshore_tests::{sample, wait};
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
        let open = |name: &str, port: &str| -> anyhow::Result<String> {
            let group = aws.text(
                &[
                    "ec2",
                    "create-security-group",
                    "--group-name",
                    name,
                    "--description",
                    "test",
                    "--vpc-id",
                    &network.vpc,
                ],
                "GroupId",
            )?;
            aws.call(&[
                "ec2",
                "authorize-security-group-ingress",
                "--group-id",
                &group,
                "--protocol",
                "tcp",
                "--port",
                port,
                "--cidr",
                "0.0.0.0/0",
            ])?;
            Ok(group)
        };
        let (front, back) = (open("front", "80")?, open("back", "8080")?);
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
    failures: Arc<Mutex<Vec<String>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    pub fn start(service: &Balanced, requests_per_second: u32) -> Self {
        const THREADS: u32 = 4;
        let mut load = Self {
            stop: Default::default(),
            answered: Default::default(),
            failures: Default::default(),
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
                            failures.lock().expect("no thread panics holding it").push(format!("{error:#}"));
                        }
                    }
                    next += pause;
                    std::thread::sleep(next.saturating_duration_since(Instant::now()));
                }
            }));
        }
        load
    }

    pub fn end_without_failures(mut self) -> anyhow::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("a thread of the load does not panic");
        }
        let failures = self.failures.lock().expect("no thread panics holding it");
        let answered = self.answered.load(Ordering::Relaxed);
        ensure!(
            failures.is_empty(),
            "{} of {} requests failed, first: {:?}",
            failures.len(),
            answered + failures.len() as u64,
            &failures[..failures.len().min(3)]
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

pub fn no_request_fails(kit: &Kit) -> anyhow::Result<()> {
    kit.on("builtin", |instance| {
        let mut service = Balanced::start(instance)?;
        let before = service.tasks()?;
        ensure!(before.len() == 2, "{before:?}");
        let load = Load::start(&service, 200);
        for role in ["server", "agent", "up", "agent", "server", "up"] {
            let old = instance.pid(role).with_context(|| format!("{role} runs"))?;
            instance.kill(role)?;
            std::thread::sleep(Duration::from_millis(500));
            if role == "up" {
                instance.spawn()?;
            }
            wait::until(&format!("a new {role} runs"), Duration::from_secs(20), || match instance.pid(role) {
                Some(pid) if pid != old && instance.is_ready() => Ok(()),
                seen => Err(format!("{seen:?}")),
            })?;
            std::thread::sleep(Duration::from_secs(1));
        }
        service.api = Api::open(instance.listen)?;
        let after = wait::until("both tasks are there", Duration::from_secs(10), || match service.tasks() {
            Ok(tasks) if tasks.len() == 2 => Ok(tasks),
            other => Err(format!("{other:?}")),
        })?;
        ensure!(before == after, "containers were started again: {before:?}, {after:?}");
        load.end_without_failures()
    })
}

/// Random numbers for the moments of kills: any will do, and the seed is in the failure's text.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

pub fn acknowledged_calls_survive(kit: &Kit) -> anyhow::Result<()> {
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_nanos() as u64;
    let result = kit.on("builtin", |instance| kill_between_calls(instance, seed));
    result.with_context(|| format!("seed {seed}"))
}

fn kill_between_calls(instance: &mut Instance, seed: u64) -> anyhow::Result<()> {
    const CALLS: u32 = 200;
    let mut random = Random(seed);
    let mut api = Api::open(instance.listen)?;
    // Clusters and families: acknowledged as there, acknowledged as gone; what was not answered may be either.
    let (mut clusters, mut families) = (BTreeMap::new(), BTreeMap::new());
    let (mut lost, mut kills) = (0, 0);
    let mut until_kill = 10 + random.below(30);
    for number in 0..CALLS {
        let name = format!("c{number}");
        let (operation, input) = match random.below(4) {
            0 => ("RegisterTaskDefinition", definition(&name, "web", &json!({}))),
            1 if !clusters.is_empty() => {
                let index = random.below(clusters.len() as u64) as usize;
                let name: &String = clusters.keys().nth(index).context("a cluster")?;
                ("DeleteCluster", json!({"cluster": name}))
            }
            _ => ("CreateCluster", json!({"clusterName": name})),
        };
        let killer = (until_kill == 0).then(|| {
            until_kill = 10 + random.below(30);
            (instance.pid("up"), instance.pid("server"), Duration::from_micros(random.below(3000)))
        });
        until_kill = until_kill.saturating_sub(1);
        // The kill falls somewhere between the request's first byte and its answer.
        let thread = killer.map(|(_, server, after)| {
            std::thread::spawn(move || {
                std::thread::sleep(after);
                if let Some(server) = server {
                    // SAFETY: kill has no memory effects; the number is a role's of our own instance.
                    unsafe { libc::kill(server, libc::SIGKILL) };
                }
            })
        });
        let result = api.ecs(operation, &input);
        let known = match operation {
            "RegisterTaskDefinition" => families.entry(name.clone()).or_insert(None),
            "DeleteCluster" => clusters.entry(input["cluster"].as_str().context("a name")?.to_owned()).or_insert(None),
            _ => clusters.entry(name.clone()).or_insert(None),
        };
        match result {
            Ok(_) => *known = Some(operation != "DeleteCluster"),
            Err(Failure::Lost(_)) => {
                lost += 1;
                *known = None;
            }
            Err(Failure::Refused { .. }) if operation == "DeleteCluster" => {}
            Err(error) => bail!("{operation}: {error}"),
        }
        if let Some(thread) = thread {
            thread.join().expect("the killer does not panic");
            kills += 1;
            if kills % 2 == 0 {
                // Everything at once, as when the machine's power goes.
                instance.kill("up")?;
                instance.spawn()?;
            }
            let old = killer.and_then(|(_, server, _)| server);
            wait::until("it answers again", Duration::from_secs(20), || match instance.pid("server") {
                server if server != old && instance.is_ready() => Ok(()),
                server => Err(format!("server {server:?}")),
            })?;
            api = Api::open(instance.listen)?;
        }
    }
    ensure!(kills >= 4, "only {kills} kills");
    // Once more, after the last call.
    instance.kill("up")?;
    instance.up()?;
    let mut api = Api::open(instance.listen)?;
    for (name, known) in &clusters {
        let Some(expected) = known else { continue };
        let answer = api.ecs("DescribeClusters", &json!({"clusters": [name]}))?;
        let active = answer["clusters"][0]["status"] == "ACTIVE";
        ensure!(
            active == *expected,
            "cluster {name}: acknowledged {expected}, found {answer} ({lost} calls lost, {kills} kills)"
        );
    }
    for (name, known) in &families {
        if known == &Some(true) {
            api.ecs("DescribeTaskDefinition", &json!({"taskDefinition": name}))
                .with_context(|| format!("family {name}"))?;
        }
    }
    Ok(())
}

pub fn tasks_are_found_again(kit: &Kit) -> anyhow::Result<()> {
    kit.on("builtin", |instance| {
        let mut service = Balanced::start(instance)?;
        let before = service.tasks()?;
        let load = Load::start(&service, 100);
        instance.interrupt()?;
        std::thread::sleep(Duration::from_secs(2));
        instance.up()?;
        service.api = Api::open(instance.listen)?;
        let after = service.tasks()?;
        ensure!(before == after, "containers were started again: {before:?}, {after:?}");
        load.end_without_failures()
    })
}

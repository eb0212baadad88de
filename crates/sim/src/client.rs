//! Clients: random calls, good and bad, against the API, and a model of what each call must answer.
//!
//! Each client has a cluster of its own and makes one call at a time, so that its model is exact: what it created is there,
//! what it deleted is not. An answer that was lost makes the model unsure of that one thing until somebody looks.

mod capacity;
mod images;
mod protection;
mod releases;
mod secrets;
mod settings;

use crate::behaviour::{BROKEN, SOUND};
use crate::control::{NoAnswer, call, scope};
use crate::world::World;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What a client knows for sure.
#[derive(Debug, Default, Clone)]
pub struct Model {
    pub cluster: String,
    /// Definitions by name and revision, and what they are good for.
    pub definitions: BTreeMap<String, Definition>,
    pub families: BTreeMap<String, u32>,
    pub services: BTreeMap<String, Service>,
    /// Tasks that RunTask answered.
    pub tasks: BTreeSet<String>,
    /// Tasks that StopTask was acknowledged for.
    pub stopped: BTreeSet<String>,
    /// ARN of a target group behind a listener.
    pub target_group: Option<String>,
    load_balancer: Option<String>,
    pub subnets: Vec<String>,
    role: Option<String>,
    /// Names of parameters and ARNs of secrets that definitions refer to.
    parameters: Vec<String>,
    secrets: Vec<String>,
    /// Tasks whose Spot capacity was taken back.
    interrupted: BTreeSet<String>,
    /// Its subnets have eleven addresses each.
    is_small: bool,
    counter: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Definition {
    /// A service of it can become steady.
    pub is_sound: bool,
    pub has_port: bool,
    pub is_active: bool,
    /// Its image is in the built-in registry, where it may be pruned.
    pub from_registry: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// `None` where an answer was lost.
    pub desired: Option<i64>,
    pub definition: Option<String>,
    pub rolls_back: bool,
    /// Its strategy's base on FARGATE.
    pub base: Option<usize>,
    pub deleted: Option<bool>,
}

/// A client's answer: the body, or the error's code and text.
pub type Answer = Result<Value, Failure>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    Error {
        code: String,
        message: String,
    },
    /// The store could not write: nothing is promised.
    Unavailable,
    Down,
    Lost,
}

pub struct Client {
    world: Arc<World>,
    name: String,
    pub model: Model,
    resets: u64,
}

impl Client {
    pub fn new(world: &Arc<World>, number: u64) -> Self {
        let model = Model { cluster: format!("c{number}"), ..Model::default() };
        Self { world: Arc::clone(world), name: format!("client-{number}"), model, resets: world.resets() }
    }

    fn below(&self, bound: usize) -> usize {
        self.world.draw(|rng| rng.below(bound as u64)) as usize
    }

    fn chance(&self, percent: u64) -> bool {
        self.world.draw(|rng| rng.chance(percent, 100))
    }

    fn fresh(&mut self, prefix: &str) -> String {
        self.model.counter += 1;
        format!("{prefix}{}-{}", self.model.counter, self.model.cluster)
    }

    fn pick<'a, T>(&self, from: &'a [T]) -> Option<&'a T> {
        (!from.is_empty()).then(|| &from[self.below(from.len())])
    }

    /// One call.
    pub async fn call(&self, service: &str, operation: &str, body: &Value) -> Answer {
        let answer = self.quiet(service, operation, body).await;
        let text = match &answer {
            Ok(_) => "ok".to_owned(),
            Err(Failure::Error { code, message }) => format!("{code}: {message}"),
            Err(other) => format!("{other:?}"),
        };
        let mut shown = body.to_string();
        shown.truncate(200);
        self.world.note(&self.name, format!("{operation} {shown} → {text}"));
        answer
    }

    async fn quiet(&self, service: &str, operation: &str, body: &Value) -> Answer {
        match call(&self.world, service, operation, &body.to_string()).await {
            Err(NoAnswer::Down) => Err(Failure::Down),
            Err(NoAnswer::Lost) => Err(Failure::Lost),
            Ok(response) => {
                let body: Value = serde_json::from_slice(&response.body).unwrap_or(Value::Null);
                match response.status {
                    200 => Ok(body),
                    500 => Err(Failure::Unavailable),
                    _ => {
                        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
                        let code = text("__type").rsplit('#').next().unwrap_or_default().to_owned();
                        let message = if body["message"].is_string() { text("message") } else { text("Message") };
                        Err(Failure::Error { code, message })
                    }
                }
            }
        }
    }

    /// Calls until there is an answer: for what may be asked twice.
    async fn insist(&self, service: &str, operation: &str, body: &Value) -> Answer {
        loop {
            match self.call(service, operation, body).await {
                Err(Failure::Down | Failure::Lost | Failure::Unavailable) => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                answer => return answer,
            }
        }
    }

    fn expect(&self, what: &str, answer: &Answer, codes: &[&str]) {
        if self.resets != self.world.resets() {
            return;
        }
        match answer {
            Err(Failure::Error { code, .. }) if codes.contains(&code.as_str()) => {}
            Err(Failure::Error { code, message }) => {
                self.world.violated("answers", format!("{what} of {} is refused: {code}: {message}", self.name));
            }
            Ok(_) if !codes.is_empty() => {
                self.world.violated("answers", format!("{what} of {} is accepted, not {codes:?}", self.name));
            }
            _ => {}
        }
    }

    /// Cluster, network, role, and mostly a load balancer.
    async fn set_up(&mut self) {
        self.resets = self.world.resets();
        let cluster = self.model.cluster.clone();
        self.model = Model { cluster: cluster.clone(), counter: self.model.counter, ..Model::default() };
        let providers = json!(["FARGATE", "FARGATE_SPOT"]);
        let body = json!({"clusterName": cluster, "capacityProviders": providers});
        let made = self.insist("ecs", "CreateCluster", &body).await;
        self.expect("CreateCluster", &made, &[]);
        let mut vpc = Value::Null;
        // The default VPC is made right after the start.
        for _ in 0..100 {
            if let Ok(found) = self.insist("ec2", "DescribeSubnets", &json!({})).await {
                // Others have subnets of their own.
                let mut subnets = found["subnetSet"].as_array().cloned().unwrap_or_default();
                subnets.retain(|subnet| subnet["defaultForAz"] == json!(true));
                if let Some(first) = subnets.first() {
                    vpc = first["vpcId"].clone();
                    let ids = subnets.iter().filter_map(|s| s["subnetId"].as_str().map(str::to_owned));
                    self.model.subnets = ids.take(1 + self.below(3)).collect();
                    break;
                }
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        let trust = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Allow",
            "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}]});
        let role = self.role_name();
        let body = json!({"RoleName": role, "AssumeRolePolicyDocument": trust.to_string()});
        let made = self.insist("iam", "CreateRole", &body).await;
        self.expect("CreateRole", &made, if made.is_ok() { &[] } else { &["EntityAlreadyExists"] });
        self.model.role = Some(format!("arn:aws:iam::{}:role/{role}", scope().account));
        self.allow(true).await;
        if self.chance(self.world.policy.small_networks) {
            self.small_network().await;
        }
        if self.chance(70) && !self.model.is_small {
            self.balance(&vpc).await;
        }
        if self.chance(50) {
            self.set_up_secrets().await;
        }
        self.set_up_images().await;
    }

    fn role_name(&self) -> String {
        format!("role-{}", self.model.cluster)
    }

    async fn balance(&mut self, vpc: &Value) {
        let name = self.model.cluster.clone();
        let subnets = self.model.subnets.clone();
        if subnets.len() < 2 {
            return;
        }
        let body = json!({"Name": format!("lb-{name}"), "Subnets": subnets[..2], "Scheme": "internal"});
        let Ok(made) = self.insist("elbv2", "CreateLoadBalancer", &body).await else { return };
        let load_balancer = made["LoadBalancers"][0]["LoadBalancerArn"].as_str().unwrap_or_default().to_owned();
        let body = json!({"Name": format!("tg-{name}"), "Protocol": "HTTP", "Port": 80, "VpcId": vpc, "TargetType": "ip",
            "HealthCheckIntervalSeconds": 5 + self.below(20), "HealthCheckTimeoutSeconds": 2});
        let Ok(made) = self.insist("elbv2", "CreateTargetGroup", &body).await else { return };
        let group = made["TargetGroups"][0]["TargetGroupArn"].as_str().unwrap_or_default().to_owned();
        let delay = self.below(40).to_string();
        let body = json!({"TargetGroupArn": group,
            "Attributes": [{"Key": "deregistration_delay.timeout_seconds", "Value": delay}]});
        let _ = self.insist("elbv2", "ModifyTargetGroupAttributes", &body).await;
        let body = json!({"LoadBalancerArn": load_balancer, "Protocol": "HTTP", "Port": 80,
            "DefaultActions": [{"Type": "forward", "TargetGroupArn": group}]});
        match self.insist("elbv2", "CreateListener", &body).await {
            Ok(_) => {}
            // The answer of an earlier try was lost.
            Err(Failure::Error { code, .. }) if code == "DuplicateListener" => {}
            Err(_) => return,
        }
        self.model.load_balancer = Some(load_balancer);
        self.model.target_group = Some(group);
    }

    /// Calls until faults cease.
    pub async fn run(&mut self) {
        self.set_up().await;
        while self.world.faults() {
            self.world.delay(self.world.policy.think_ms).await;
            if self.resets != self.world.resets() {
                // Nothing it knows is true any more, and the reset may be going on.
                tokio::time::sleep(Duration::from_secs(2)).await;
                self.set_up().await;
                continue;
            }
            self.act().await;
        }
    }

    async fn act(&mut self) {
        if self.model.definitions.is_empty() {
            return self.register().await;
        }
        match self.below(120) {
            0..10 => self.register().await,
            10..28 => self.run_task().await,
            28..38 => self.stop_task().await,
            38..52 => self.create_service().await,
            52..70 => self.update_service().await,
            70..72 => {
                for _ in 0..3 + self.below(5) {
                    self.update_service().await;
                }
            }
            72..77 => self.delete_service().await,
            77..80 => self.deregister().await,
            80..85 => self.describe().await,
            85..88 => self.tag().await,
            88..90 => self.refused_deletes().await,
            90..95 => self.interrupt().await,
            95..100 => self.protect().await,
            100..105 => self.stop_release().await,
            105..109 => self.change_secrets().await,
            109..113 => self.change_images().await,
            113..115 => self.change_setting().await,
            _ => self.nonsense().await,
        }
    }

    async fn register(&mut self) {
        let family = format!("f{}-{}", self.below(3), self.model.cluster);
        let is_sound = self.chance(80);
        let from: &[&str] = if is_sound { &SOUND } else { &BROKEN };
        let mut image = from[self.below(from.len())].to_owned();
        if matches!(image.as_str(), "good" | "crashy") && self.chance(40) {
            image = self.registry_image(&image);
        }
        let has_port = self.chance(85);
        let mut web = json!({"name": "web", "image": image, "essential": true, "stopTimeout": 2 + self.below(20)});
        if has_port {
            web["portMappings"] = json!([{"containerPort": 80}]);
        }
        if self.chance(40) {
            web["healthCheck"] = json!({"command": ["CMD", "true"], "interval": 5 + self.below(20), "timeout": 2, "retries": 1 + self.below(3)});
        }
        if image == "flaky" {
            web["restartPolicy"] = json!({"enabled": true, "restartAttemptPeriod": 60 + self.below(60),
                "ignoredExitCodes": if self.chance(20) { json!([2]) } else { json!([]) }});
        }
        if self.chance(10) {
            web["versionConsistency"] = json!("disabled");
        }
        if self.chance(40) {
            web["secrets"] = self.references();
        }
        let mut containers = vec![];
        if self.chance(15) {
            // A chain: init has ended, then side is healthy, then web.
            containers.push(json!({"name": "init", "image": "init", "essential": false}));
            containers.push(json!({"name": "side", "image": "good", "essential": self.chance(30), "startTimeout": 90,
                "dependsOn": [{"containerName": "init", "condition": "COMPLETE"}],
                "healthCheck": {"command": ["CMD", "true"], "interval": 5 + self.below(10), "timeout": 2}}));
            web["dependsOn"] = json!([{"containerName": "side", "condition": "HEALTHY"},
                {"containerName": "init", "condition": "START"}]);
        } else if self.chance(25) {
            web["dependsOn"] = json!([{"containerName": "init", "condition": "SUCCESS"}]);
            containers.push(json!({"name": "init", "image": "init", "essential": false}));
        }
        if containers.len() < 2 && self.chance(25) {
            containers.push(json!({"name": "side", "image": "good", "essential": self.chance(30)}));
        }
        if self.chance(50) {
            web["logConfiguration"] = json!({"logDriver": "awslogs", "options": {"awslogs-group": "/sim",
                "awslogs-region": scope().region.as_str(), "awslogs-stream-prefix": "s", "awslogs-create-group": "true"}});
        }
        containers.push(web);
        let mut body = json!({"family": family, "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"],
            "cpu": "256", "memory": "512", "containerDefinitions": containers});
        if let Some(role) = &self.model.role {
            body["executionRoleArn"] = json!(role);
            if self.chance(60) {
                body["taskRoleArn"] = json!(role);
            }
        }
        let answer = self.call("ecs", "RegisterTaskDefinition", &body).await;
        self.expect("RegisterTaskDefinition", &answer, &[]);
        let Ok(answer) = answer else {
            // It may or may not have taken a number.
            self.model.families.remove(&family);
            return;
        };
        let revision = answer["taskDefinition"]["revision"].as_u64().unwrap_or(0) as u32;
        if let Some(last) = self.model.families.get(&family)
            && revision != last + 1
            && self.resets == self.world.resets()
        {
            self.world.violated("answers", format!("{family} has revision {revision} after {last}"));
        }
        self.model.families.insert(family.clone(), revision);
        let from_registry = image.starts_with(crate::images::HOST);
        let definition = Definition { is_sound, has_port, is_active: true, from_registry };
        self.model.definitions.insert(format!("{family}:{revision}"), definition);
    }

    fn a_definition(&self) -> Option<(String, Definition)> {
        let active: Vec<_> = self.model.definitions.iter().filter(|(_, d)| d.is_active).collect();
        self.pick(&active).map(|(name, definition)| ((*name).clone(), (*definition).clone()))
    }

    fn network(&self) -> Value {
        json!({"awsvpcConfiguration": {"subnets": self.model.subnets}})
    }

    async fn run_task(&mut self) {
        let Some((definition, _)) = self.a_definition() else { return };
        let count = 1 + self.below(4);
        let token = self.fresh("token");
        let body = json!({"cluster": self.model.cluster, "taskDefinition": definition,
            "count": count, "networkConfiguration": self.network(), "clientToken": token});
        let mut body = body;
        let base = self.chance(30).then(|| self.below(3));
        self.place(&mut body, base);
        if self.world.has(crate::bug::Bug::ForgottenToken) {
            body.as_object_mut().expect("an object").remove("clientToken");
        }
        // The same call again until it is answered: the token makes it one.
        let answer = self.insist("ecs", "RunTask", &body).await;
        self.expect("RunTask", &answer, &[]);
        let Ok(answer) = answer else { return };
        let arns: Vec<String> = arns(&answer["tasks"], "taskArn");
        let failures = answer["failures"].as_array().map_or(0, Vec::len);
        // An answer that was lost told of the failures; what was started is what the token is remembered by.
        let is_short = arns.len() + failures < count && !self.model.is_small;
        if (is_short || arns.len() + failures > count) && self.resets == self.world.resets() {
            self.world
                .violated("answers", format!("RunTask of {count} answers {} tasks, {failures} failures", arns.len()));
        }
        self.model.tasks.extend(arns);
        // Where nothing was started, there is nothing to remember a token by.
        if failures < count && self.world.fault(200, 1000) {
            // A client that did not believe its answer.
            let again = self.insist("ecs", "RunTask", &body).await;
            if let Ok(again) = again {
                let same = arns_set(&again["tasks"], "taskArn").is_subset(&self.model.tasks);
                if !same && self.resets == self.world.resets() {
                    self.world
                        .violated("idempotency", format!("RunTask with token {token} ran other tasks the second time"));
                }
            }
        }
    }

    async fn stop_task(&mut self) {
        let mut known: Vec<String> = self.model.tasks.iter().cloned().collect();
        // Tasks of services too.
        if self.chance(40)
            && let Ok(listed) = self.quiet("ecs", "ListTasks", &json!({"cluster": self.model.cluster})).await
        {
            known = listed["taskArns"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect();
        }
        let Some(task) = self.pick(&known).cloned() else { return };
        let reason = self.fresh("because");
        let body = json!({"cluster": self.model.cluster, "task": task, "reason": reason});
        let answer = self.call("ecs", "StopTask", &body).await;
        self.expect("StopTask", &answer, if answer.is_ok() { &[] } else { &["InvalidParameterException"] });
        if let Ok(answer) = answer {
            if answer["task"]["desiredStatus"] != "STOPPED" {
                self.world
                    .violated("answers", format!("StopTask of {task} answers {}", answer["task"]["desiredStatus"]));
            }
            self.model.stopped.insert(task);
        }
    }

    async fn create_service(&mut self) {
        if self.model.services.values().filter(|s| s.deleted != Some(true)).count() >= 4 {
            return self.update_service().await;
        }
        let Some((definition, kind)) = self.a_definition() else { return };
        let mut name = self.fresh("s");
        let base = self.chance(40).then(|| self.below(4));
        if let Some(base) = base {
            name = format!("{name}-base{base}");
        }
        let desired = self.below(6) as i64;
        let breaker = self.chance(60);
        let rollback = self.chance(50);
        let mut body = json!({"cluster": self.model.cluster, "serviceName": name, "taskDefinition": definition,
            "desiredCount": desired, "networkConfiguration": self.network(),
            "clientToken": name, "deploymentConfiguration": self.configuration(breaker, rollback)});
        self.place(&mut body, base);
        if let Some(group) = &self.model.target_group
            && kind.has_port
            && self.chance(60)
        {
            body["loadBalancers"] = json!([{"targetGroupArn": group, "containerName": "web", "containerPort": 80}]);
            body["healthCheckGracePeriodSeconds"] = json!(self.below(60));
        }
        let answer = self.insist("ecs", "CreateService", &body).await;
        self.expect("CreateService", &answer, &[]);
        if answer.is_ok() {
            let service = Service {
                desired: Some(desired),
                definition: Some(definition),
                rolls_back: breaker && rollback,
                base,
                deleted: Some(false),
            };
            self.model.services.insert(name, service);
        }
    }

    fn configuration(&self, breaker: bool, rollback: bool) -> Value {
        const BOUNDS: [(u64, u64); 6] = [(100, 200), (50, 200), (0, 100), (50, 100), (100, 150), (75, 125)];
        let (minimum, maximum) = BOUNDS[self.below(BOUNDS.len())];
        json!({"minimumHealthyPercent": minimum, "maximumPercent": maximum,
            "deploymentCircuitBreaker": {"enable": breaker, "rollback": rollback}})
    }

    fn a_service(&self) -> Option<String> {
        let alive: Vec<_> = self.model.services.iter().filter(|(_, s)| s.deleted == Some(false)).collect();
        self.pick(&alive).map(|(name, _)| (*name).clone())
    }

    async fn update_service(&mut self) {
        let Some(name) = self.a_service() else { return };
        let mut body = json!({"cluster": self.model.cluster, "service": name});
        let mut known = self.model.services[&name].clone();
        match self.below(10) {
            0..4 => {
                let desired = self.below(7) as i64;
                body["desiredCount"] = json!(desired);
                known.desired = Some(desired);
            }
            4..8 => {
                let Some((definition, _)) = self.a_definition() else { return };
                body["taskDefinition"] = json!(definition);
                known.definition = Some(definition);
            }
            8 => {
                body["forceNewDeployment"] = json!(true);
                if let Some(base) = known.base.filter(|_| self.chance(60)) {
                    body["capacityProviderStrategy"] = self.strategy(base);
                }
            }
            _ => {
                let (breaker, rollback) = (self.chance(60), self.chance(50));
                body["deploymentConfiguration"] = self.configuration(breaker, rollback);
                known.rolls_back |= breaker && rollback;
            }
        }
        let answer = self.call("ecs", "UpdateService", &body).await;
        match &answer {
            Ok(_) => drop(self.model.services.insert(name, known)),
            // A definition without the port that a load balancer needs.
            Err(Failure::Error { code, .. })
                if code == "InvalidParameterException" && body["taskDefinition"].is_string() => {}
            Err(Failure::Error { .. }) => self.expect("UpdateService", &answer, &[]),
            Err(_) => {
                let unsure = Service { desired: None, definition: None, rolls_back: true, ..known };
                self.model.services.insert(name, unsure);
            }
        }
    }

    async fn delete_service(&mut self) {
        let Some(name) = self.a_service() else { return };
        let body = json!({"cluster": self.model.cluster, "service": name, "force": true});
        let answer = self.call("ecs", "DeleteService", &body).await;
        self.expect("DeleteService", &answer, &[]);
        if let Some(service) = self.model.services.get_mut(&name) {
            service.deleted = answer.is_ok().then_some(true);
        }
    }

    async fn deregister(&mut self) {
        let Some((definition, _)) = self.a_definition() else { return };
        let answer = self.call("ecs", "DeregisterTaskDefinition", &json!({"taskDefinition": definition})).await;
        self.expect("DeregisterTaskDefinition", &answer, &[]);
        if let Some(known) = self.model.definitions.get_mut(&definition) {
            known.is_active = false;
        }
    }

    async fn describe(&mut self) {
        let known: Vec<String> = self.model.tasks.iter().cloned().collect();
        let Some(task) = self.pick(&known).cloned() else { return };
        let answer = self.call("ecs", "DescribeTasks", &json!({"cluster": self.model.cluster, "tasks": [task]})).await;
        self.expect("DescribeTasks", &answer, &[]);
        if let Ok(answer) = answer
            && let Some(found) = answer["tasks"].as_array().and_then(|tasks| tasks.first())
            && self.model.stopped.contains(&task)
            && found["desiredStatus"] != "STOPPED"
        {
            self.world.violated("acknowledged write lost", format!("{task} was stopped, and is to run"));
        }
    }

    async fn tag(&mut self) {
        let Some(name) = self.a_service() else { return };
        let arn = longshore_types::arn::service(&scope(), &self.model.cluster.as_str().into(), &name.as_str().into());
        let value = self.fresh("v");
        let body = json!({"resourceArn": arn, "tags": [{"key": "k", "value": value}]});
        let answer = self.call("ecs", "TagResource", &body).await;
        self.expect("TagResource", &answer, &[]);
        if answer.is_err() {
            return;
        }
        let listed = self.call("ecs", "ListTagsForResource", &json!({"resourceArn": arn})).await;
        if let Ok(listed) = listed
            && self.resets == self.world.resets()
            && listed["tags"][0]["value"] != json!(value)
        {
            self.world.violated("acknowledged write lost", format!("the tags of {name} are {}", listed["tags"]));
        }
    }

    /// What is in use cannot be deleted.
    async fn refused_deletes(&mut self) {
        if self.a_service().is_some() {
            let answer = self.call("ecs", "DeleteCluster", &json!({"cluster": self.model.cluster})).await;
            self.expect("DeleteCluster with services", &answer, &["ClusterContainsServicesException"]);
        }
        if let Some(group) = &self.model.target_group {
            let answer = self.call("elbv2", "DeleteTargetGroup", &json!({"TargetGroupArn": group})).await;
            self.expect("DeleteTargetGroup in use", &answer, &["ResourceInUse"]);
        }
    }

    /// Calls that must be refused, and how.
    async fn nonsense(&mut self) {
        let cluster = &self.model.cluster;
        let definition = self.a_definition().map_or_else(|| "none".to_owned(), |(name, _)| name);
        let network = self.network();
        let (operation, body, codes): (&str, Value, &[&str]) = match self.below(10) {
            0 => (
                "RunTask",
                json!({"cluster": "nowhere", "taskDefinition": definition, "launchType": "FARGATE", "networkConfiguration": network}),
                &["ClusterNotFoundException"],
            ),
            1 => (
                "RunTask",
                json!({"cluster": cluster, "taskDefinition": "unknown", "launchType": "FARGATE", "networkConfiguration": network}),
                &["ClientException"],
            ),
            2 => (
                "RunTask",
                json!({"cluster": cluster, "taskDefinition": definition, "launchType": "FARGATE", "count": 11, "networkConfiguration": network}),
                &["InvalidParameterException", "ClientException"],
            ),
            3 => ("StopTask", json!({"cluster": cluster, "task": "0".repeat(32)}), &["InvalidParameterException"]),
            4 => (
                "UpdateService",
                json!({"cluster": cluster, "service": "unknown", "desiredCount": 1}),
                &["ServiceNotFoundException"],
            ),
            5 => ("DeleteService", json!({"cluster": cluster, "service": "unknown"}), &["ServiceNotFoundException"]),
            6 => (
                "DescribeTasks",
                json!({"cluster": "nowhere", "tasks": ["0".repeat(32)]}),
                &["ClusterNotFoundException"],
            ),
            7 => ("DescribeTasks", json!({"cluster": cluster, "tasks": ["x"]}), &["InvalidParameterException"]),
            8 => ("RegisterTaskDefinition", json!({"family": "a b", "containerDefinitions": []}), &["ClientException"]),
            _ => (
                "RunTask",
                json!({"cluster": cluster, "taskDefinition": definition, "launchType": "FARGATE",
                    "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-00000000000000000"]}}}),
                &["InvalidParameterException", "ClientException"],
            ),
        };
        let answer = self.call("ecs", operation, &body).await;
        self.expect(operation, &answer, codes);
    }

    /// Makes services that can never be steady such that can: they want no tasks, or have room for a deployment.
    pub async fn quieten(&mut self) {
        if self.resets == self.world.resets() {
            self.restore_secrets(true).await;
            self.restore_images().await;
            if self.model.is_small {
                // They would take the addresses that services need.
                for task in &self.model.tasks {
                    let _ = self.insist("ecs", "StopTask", &json!({"cluster": self.model.cluster, "task": task})).await;
                }
            }
        }
        for (name, _) in self.model.services.clone() {
            let body = json!({"cluster": self.model.cluster, "services": [name]});
            let Ok(found) = self.insist("ecs", "DescribeServices", &body).await else { continue };
            let service = &found["services"][0];
            let in_use: Vec<&Value> =
                service["deployments"].as_array().into_iter().flatten().map(|d| &d["taskDefinition"]).collect();
            let from_registry = in_use.iter().any(|arn| {
                let name = arn.as_str().and_then(|arn| arn.rsplit('/').next()).unwrap_or_default();
                self.model.definitions.get(name).is_none_or(|d| d.from_registry)
            });
            let sound = in_use.iter().all(|arn| {
                let name = arn.as_str().and_then(|arn| arn.rsplit('/').next()).unwrap_or_default();
                self.model.definitions.get(name).is_some_and(|d| d.is_sound)
            });
            if service["status"] != "ACTIVE" {
                continue;
            }
            self.unprotect(&name).await;
            // Some bounds leave a deployment no room to move, and the bytes that a deployment runs may be gone.
            let even = if self.world.has(crate::bug::Bug::UnevenZones) { "DISABLED" } else { "ENABLED" };
            let mut body = json!({"cluster": self.model.cluster, "service": name, "availabilityZoneRebalancing": even,
                "forceNewDeployment": from_registry,
                "deploymentConfiguration": {"minimumHealthyPercent": 50, "maximumPercent": 200}});
            let few = self.model.is_small && service["desiredCount"].as_u64().is_some_and(|n| n > 1);
            let wanted = if !sound { Some(0) } else { few.then_some(1) };
            if let Some(wanted) = wanted {
                body["desiredCount"] = json!(wanted);
            }
            let answer = self.insist("ecs", "UpdateService", &body).await;
            self.expect("UpdateService after the faults", &answer, &[]);
            if let (Some(known), Some(wanted)) = (self.model.services.get_mut(&name), wanted) {
                known.desired = Some(wanted);
            }
        }
    }

    /// Compares everything that is certain with what the API says.
    pub async fn compare(&self) {
        if self.resets != self.world.resets() {
            return;
        }
        for (name, known) in &self.model.services {
            let body = json!({"cluster": self.model.cluster, "services": [name]});
            let Ok(found) = self.insist("ecs", "DescribeServices", &body).await else { continue };
            let service = &found["services"][0];
            let wrong = |what: &str, is: &Value| {
                self.world
                    .violated("acknowledged write lost", format!("{what} of {name} is {is}, not as in {known:?}"));
            };
            match known.deleted {
                Some(true) if service["status"] != "INACTIVE" => wrong("the status", &service["status"]),
                Some(false) if service["status"] != "ACTIVE" => wrong("the status", &service["status"]),
                Some(false) => {
                    if known.desired.is_some_and(|desired| service["desiredCount"] != json!(desired)) {
                        wrong("the desired count", &service["desiredCount"]);
                    }
                    let definition = service["taskDefinition"].as_str().and_then(|arn| arn.rsplit('/').next());
                    if !known.rolls_back && known.definition.is_some() && known.definition.as_deref() != definition {
                        wrong("the task definition", &service["taskDefinition"]);
                    }
                }
                _ => {}
            }
        }
        for (name, known) in &self.model.definitions {
            let found = self.insist("ecs", "DescribeTaskDefinition", &json!({"taskDefinition": name})).await;
            let status = found.map(|found| found["taskDefinition"]["status"].clone()).unwrap_or_default();
            // A lost answer to DeregisterTaskDefinition leaves it ACTIVE, perhaps.
            if status != "INACTIVE" && (known.is_active && status != "ACTIVE") {
                self.world.violated("acknowledged write lost", format!("{name} is {status}"));
            }
        }
        for task in &self.model.tasks {
            let body = json!({"cluster": self.model.cluster, "tasks": [task]});
            let Ok(found) = self.insist("ecs", "DescribeTasks", &body).await else { continue };
            if found["tasks"][0].is_null() && self.world.latest().since(crate::trace::EPOCH) < Duration::from_secs(3600)
            {
                self.world.violated("acknowledged write lost", format!("{task} is not there"));
            }
        }
        self.compare_interrupted().await;
        self.compare_releases().await;
        self.refused_when_settled().await;
        self.page().await;
    }

    /// What is in use stays.
    async fn refused_when_settled(&self) {
        let cluster = json!({"cluster": self.model.cluster});
        let busy = [("ListTasks", "taskArns"), ("ListServices", "serviceArns")];
        for (operation, list) in busy {
            let listed = self.insist("ecs", operation, &cluster).await;
            if listed.is_ok_and(|listed| !listed[list][0].is_null()) {
                let answer = self.insist("ecs", "DeleteCluster", &cluster).await;
                let codes = ["ClusterContainsServicesException", "ClusterContainsTasksException"];
                self.expect("DeleteCluster in use", &answer, &codes);
            }
        }
        for (name, known) in &self.model.services {
            if known.deleted == Some(false) && known.desired.is_some_and(|desired| desired > 0) {
                let body = json!({"cluster": self.model.cluster, "service": name});
                let answer = self.insist("ecs", "DeleteService", &body).await;
                self.expect("DeleteService without force", &answer, &["InvalidParameterException"]);
            }
        }
    }

    /// Pages together hold every item once.
    async fn page(&self) {
        for (operation, list, mut body) in [
            ("ListTasks", "taskArns", json!({"cluster": self.model.cluster})),
            ("ListTasks", "taskArns", json!({"cluster": self.model.cluster, "desiredStatus": "STOPPED"})),
            ("ListServices", "serviceArns", json!({"cluster": self.model.cluster})),
            ("ListTaskDefinitions", "taskDefinitionArns", json!({})),
        ] {
            body["maxResults"] = json!(100);
            let Ok(whole) = self.quiet("ecs", operation, &body).await else { continue };
            if whole["nextToken"].is_string() {
                continue;
            }
            let size = 1 + self.below(4);
            body["maxResults"] = json!(size);
            let mut items = vec![];
            loop {
                let Ok(page) = self.quiet("ecs", operation, &body).await else { return };
                let here = page[list].as_array().cloned().unwrap_or_default();
                if here.len() > size {
                    self.world.violated("pages", format!("{operation} gives {} items of at most {size}", here.len()));
                }
                items.extend(here);
                match page["nextToken"].as_str() {
                    Some(token) => body["nextToken"] = json!(token),
                    None => break,
                }
            }
            if json!(items) != whole[list] {
                self.world.violated(
                    "pages",
                    format!("{operation} in pages of {size} gives {items:?}, whole {}", whole[list]),
                );
            }
        }
    }

    /// Takes everything away again.
    pub async fn tear_down(&self) {
        let cluster = &self.model.cluster;
        for name in self.model.services.keys() {
            let _ =
                self.insist("ecs", "DeleteService", &json!({"cluster": cluster, "service": name, "force": true})).await;
        }
        let mut body = json!({"cluster": cluster});
        loop {
            let Ok(page) = self.insist("ecs", "ListTasks", &body).await else { return };
            for task in page["taskArns"].as_array().into_iter().flatten() {
                let _ = self.insist("ecs", "StopTask", &json!({"cluster": cluster, "task": task})).await;
            }
            match page["nextToken"].as_str() {
                Some(token) => body["nextToken"] = json!(token),
                None => break,
            }
        }
    }

    /// After [`tear_down`](Self::tear_down), when everything has stopped.
    pub async fn delete(&self) {
        let answer = self.insist("ecs", "DeleteCluster", &json!({"cluster": self.model.cluster})).await;
        self.expect("DeleteCluster", &answer, &[]);
        if let Some(load_balancer) = &self.model.load_balancer {
            let answer = self.insist("elbv2", "DeleteLoadBalancer", &json!({"LoadBalancerArn": load_balancer})).await;
            self.expect("DeleteLoadBalancer", &answer, &[]);
        }
        if let Some(group) = &self.model.target_group {
            let answer = self.insist("elbv2", "DeleteTargetGroup", &json!({"TargetGroupArn": group})).await;
            self.expect("DeleteTargetGroup", &answer, &[]);
        }
    }
}

fn arns(list: &Value, name: &str) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|item| item[name].as_str().map(str::to_owned)).collect()
}

fn arns_set(list: &Value, name: &str) -> BTreeSet<String> {
    arns(list, name).into_iter().collect()
}

//! What every test here uses: an instance that must leave nothing behind, and a few calls that many make.

use anyhow::{Context, bail, ensure};
use longshore_tests::api::{Api, only};
use longshore_tests::aws::Aws;
use longshore_tests::instance::Instance;
use longshore_tests::{leftovers, wait};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub struct Kit {
    pub binary: PathBuf,
}

impl Kit {
    /// `None` where nobody has named a binary.
    pub fn new() -> Option<Self> {
        let binary = std::env::var_os("LONGSHORE_TEST_BINARY")?.into();
        Some(Self { binary })
    }

    /// Runs a test on an instance of its own, takes that down, and looks for what it left.
    pub fn on(&self, runtime: &str, test: impl FnOnce(&mut Instance) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let before = leftovers::everything();
        let mut instance = Instance::started(&self.binary, runtime)?;
        let result = test(&mut instance);
        if result.is_err() {
            return result.with_context(|| format!("the log of the instance:\n{}", instance.log_tail()));
        }
        instance.down()?;
        let limit = Duration::from_secs(5);
        wait::until("nothing is left after `longshore down`", limit, || {
            let mut left = leftovers::of(&instance);
            left.extend(leftovers::since(&before, &instance));
            if left.is_empty() { Ok(()) } else { Err(format!("{left:#?}")) }
        })?;
        ensure!(!instance.run_dir().exists(), "the run directory is left");
        Ok(())
    }
}

/// The default VPC's first two subnets and its default security group.
pub struct Network {
    pub vpc: String,
    pub subnets: [String; 2],
}

impl Network {
    pub fn default(aws: &Aws) -> anyhow::Result<Self> {
        let vpc = aws.text(&["ec2", "describe-vpcs", "--filters", "Name=is-default,Values=true"], "Vpcs[0].VpcId")?;
        let filter = format!("Name=vpc-id,Values={vpc}");
        let subnets =
            aws.call(&["ec2", "describe-subnets", "--filters", &filter, "--query", "Subnets[:2].SubnetId"])?;
        let subnet = |index: usize| {
            subnets[index].as_str().map(str::to_owned).with_context(|| format!("two subnets: {subnets}"))
        };
        Ok(Self { subnets: [subnet(0)?, subnet(1)?], vpc })
    }

    /// As `RunTask` and `CreateService` take it.
    pub fn configuration(&self) -> Value {
        json!({"awsvpcConfiguration": {"subnets": self.subnets, "assignPublicIp": "ENABLED"}})
    }
}

/// A definition of one container, 0.25 vCPU and 512 MiB; `more` is laid over the container.
pub fn definition(family: &str, image: &str, more: &Value) -> Value {
    let mut container = json!({"name": "app", "image": image, "essential": true});
    for (name, value) in more.as_object().into_iter().flatten() {
        container[name] = value.clone();
    }
    json!({
        "family": family, "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
        "containerDefinitions": [container],
    })
}

/// Registers a definition: its ARN.
pub fn register(api: &mut Api, definition: &Value) -> anyhow::Result<String> {
    let answer = api.ecs("RegisterTaskDefinition", definition)?;
    Ok(answer["taskDefinition"]["taskDefinitionArn"].as_str().context("an ARN")?.to_owned())
}

/// Starts one task: its ARN.
pub fn run_task(api: &mut Api, network: &Network, definition: &str) -> anyhow::Result<String> {
    let input =
        json!({"taskDefinition": definition, "launchType": "FARGATE", "networkConfiguration": network.configuration()});
    let answer = api.ecs("RunTask", &input)?;
    Ok(only(&answer, "tasks")?["taskArn"].as_str().context("an ARN")?.to_owned())
}

pub fn describe_task(api: &mut Api, task: &str) -> anyhow::Result<Value> {
    let answer = api.ecs("DescribeTasks", &json!({"tasks": [task]}))?;
    Ok(only(&answer, "tasks")?.clone())
}

/// Waits until a task's last status is this.
pub fn wait_status(api: &mut Api, task: &str, status: &str) -> anyhow::Result<Value> {
    wait::until(&format!("the task is {status}"), Duration::from_secs(60), || match describe_task(api, task) {
        Ok(seen) if seen["lastStatus"] == status => Ok(seen),
        Ok(seen) => Err(seen.to_string()),
        Err(error) => Err(format!("{error:#}")),
    })
}

/// A cluster `default`, the network, and a definition of the busybox image.
pub struct Busybox {
    pub aws: Aws,
    pub api: Api,
    pub network: Network,
    pub image: String,
}

impl Busybox {
    pub fn new(instance: &Instance) -> anyhow::Result<Self> {
        let image = longshore_tests::sample::busybox(instance)?;
        let aws = Aws::new(instance);
        let network = Network::default(&aws)?;
        let mut api = Api::open(instance.listen)?;
        api.ecs("CreateCluster", &json!({}))?;
        Ok(Self { aws, api, network, image })
    }

    /// Runs a task of this container and waits until it is in this status.
    pub fn task(&mut self, family: &str, container: &Value, status: &str) -> anyhow::Result<Value> {
        let definition = register(&mut self.api, &definition(family, &self.image, container))?;
        let task = run_task(&mut self.api, &self.network, &definition)?;
        wait_status(&mut self.api, &task, status)
    }
}

/// Both texts must be in what was seen.
pub fn says(seen: &str, texts: &[&str]) -> anyhow::Result<()> {
    for text in texts {
        if !seen.contains(text) {
            bail!("{text:?} is not in: {seen}");
        }
    }
    Ok(())
}

pub fn exists(path: &str) -> bool {
    Path::new(path).exists()
}

//! A few calls that many tests and measurements make.

use crate::api::{Api, only};
use crate::aws::Aws;
use crate::wait;
use anyhow::Context;
use serde_json::{Value, json};
use std::time::Duration;

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

    /// A security group that lets everybody in at these ports, such as 80 or 0-65535.
    pub fn open(&self, aws: &Aws, name: &str, ports: &str) -> anyhow::Result<String> {
        let create =
            ["ec2", "create-security-group", "--group-name", name, "--description", "test", "--vpc-id", &self.vpc];
        let group = aws.text(&create, "GroupId")?;
        let rule = ["--protocol", "tcp", "--port", ports, "--cidr", "0.0.0.0/0"];
        aws.call(&[&["ec2", "authorize-security-group-ingress", "--group-id", &group], &rule[..]].concat())?;
        Ok(group)
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

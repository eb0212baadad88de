//! A cluster, a network and a definition of the sample application, to start tasks of.

use anyhow::Context;
use longshore_tests::api::{Api, only};
use longshore_tests::aws::Aws;
use longshore_tests::instance::Instance;
use longshore_tests::{sample, wait};
use serde_json::{Value, json};
use std::time::Duration;

pub struct Longshore {
    pub aws: Aws,
    pub api: Api,
    pub vpc: String,
    pub subnets: [String; 2],
    pub group: String,
}

impl Longshore {
    pub fn new(instance: &Instance) -> anyhow::Result<Self> {
        let image = sample::web(instance)?;
        let aws = Aws::new(instance).with_program(&crate::machine::aws()?.display().to_string(), false);
        let vpc = aws.text(&["ec2", "describe-vpcs", "--filters", "Name=is-default,Values=true"], "Vpcs[0].VpcId")?;
        let filter = format!("Name=vpc-id,Values={vpc}");
        let subnet =
            |n: usize| aws.text(&["ec2", "describe-subnets", "--filters", &filter], &format!("Subnets[{n}].SubnetId"));
        let subnets = [subnet(0)?, subnet(1)?];
        let group = aws.text(
            &["ec2", "create-security-group", "--group-name", "open", "--description", "x", "--vpc-id", &vpc],
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
            "0-65535",
            "--cidr",
            "0.0.0.0/0",
        ])?;
        let mut api = Api::open(instance.listen)?;
        api.ecs("CreateCluster", &json!({}))?;
        api.ecs("RegisterTaskDefinition", &json!({
            "family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
            "containerDefinitions": [{"name": "web", "image": image, "stopTimeout": 2, "portMappings": [{"containerPort": 8080}]}],
        }))?;
        Ok(Self { aws, api, vpc, subnets, group })
    }

    /// One task: its ARN.
    pub fn run_task(&mut self) -> anyhow::Result<String> {
        self.run_tasks(1)?.pop().context("a task")
    }

    /// Up to ten tasks in one call: their ARNs.
    pub fn run_tasks(&mut self, count: usize) -> anyhow::Result<Vec<String>> {
        let network = json!({"awsvpcConfiguration": {"subnets": self.subnets, "securityGroups": [self.group], "assignPublicIp": "ENABLED"}});
        let answer = self.api.ecs(
            "RunTask",
            &json!({"taskDefinition": "web", "launchType": "FARGATE", "count": count, "networkConfiguration": network}),
        )?;
        let arns: Vec<String> = answer["tasks"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|task| Some(task["taskArn"].as_str()?.to_owned()))
            .collect();
        anyhow::ensure!(arns.len() == count, "{count} tasks were asked for: {answer}");
        Ok(arns)
    }

    pub fn describe(&mut self, task: &str) -> anyhow::Result<Value> {
        let answer = self.api.ecs("DescribeTasks", &json!({"tasks": [task]}))?;
        Ok(only(&answer, "tasks")?.clone())
    }

    pub fn wait(&mut self, task: &str, status: &str) -> anyhow::Result<Value> {
        wait::until(&format!("a task is {status}"), Duration::from_secs(30), || match self.describe(task) {
            Ok(seen) if seen["lastStatus"] == status => Ok(seen),
            Ok(seen) => Err(seen.to_string()),
            Err(error) => Err(format!("{error:#}")),
        })
    }

    pub fn stop(&mut self, task: &str) -> anyhow::Result<()> {
        self.api.ecs("StopTask", &json!({"task": task}))?;
        self.wait(task, "STOPPED").map(drop)
    }
}

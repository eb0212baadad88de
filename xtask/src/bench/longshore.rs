//! A cluster, a network and a definition of the sample application, to start tasks of.

use anyhow::Context;
use longshore_tests::api::Api;
use longshore_tests::aws::Aws;
use longshore_tests::calls::{self, Network};
use longshore_tests::instance::Instance;
use longshore_tests::sample;
use serde_json::{Value, json};

pub struct Longshore {
    pub aws: Aws,
    pub api: Api,
    pub network: Network,
    pub group: String,
}

impl Longshore {
    pub fn new(instance: &Instance) -> anyhow::Result<Self> {
        let image = sample::web(instance)?;
        let aws = Aws::new(instance).with_program(&crate::machine::aws()?.display().to_string(), false);
        let network = Network::default(&aws)?;
        let group = network.open(&aws, "open", "0-65535")?;
        let mut api = Api::open(instance.listen)?;
        api.ecs("CreateCluster", &json!({}))?;
        api.ecs("RegisterTaskDefinition", &json!({
            "family": "web", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
            "containerDefinitions": [{"name": "web", "image": image, "stopTimeout": 2, "portMappings": [{"containerPort": 8080}]}],
        }))?;
        Ok(Self { aws, api, network, group })
    }

    /// One task: its ARN.
    pub fn run_task(&mut self) -> anyhow::Result<String> {
        self.run_tasks(1)?.pop().context("a task")
    }

    /// One task that may use two cores: one with less is held up when it has used its part, for some 50 ms at a time.
    pub fn run_unbound_task(&mut self) -> anyhow::Result<String> {
        self.run(1, json!({"cpu": "2048", "memory": "4096"}))?.pop().context("a task")
    }

    /// Up to ten tasks in one call: their ARNs.
    pub fn run_tasks(&mut self, count: usize) -> anyhow::Result<Vec<String>> {
        self.run(count, json!({}))
    }

    fn run(&mut self, count: usize, overrides: Value) -> anyhow::Result<Vec<String>> {
        let network = json!({"awsvpcConfiguration": {"subnets": self.network.subnets, "securityGroups": [self.group], "assignPublicIp": "ENABLED"}});
        let answer = self.api.ecs(
            "RunTask",
            &json!({"taskDefinition": "web", "launchType": "FARGATE", "count": count, "networkConfiguration": network, "overrides": overrides}),
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
        calls::describe_task(&mut self.api, task)
    }

    pub fn wait(&mut self, task: &str, status: &str) -> anyhow::Result<Value> {
        calls::wait_status(&mut self.api, task, status)
    }

    pub fn stop(&mut self, task: &str) -> anyhow::Result<()> {
        self.api.ecs("StopTask", &json!({"task": task}))?;
        self.wait(task, "STOPPED").map(drop)
    }
}

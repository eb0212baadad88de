//! Random calls, and what was acknowledged.

use anyhow::{Context, bail, ensure};
use longshore_tests::api::{Api, Failure};
use longshore_tests::aws::Aws;
use longshore_tests::calls::{Network, definition};
use longshore_tests::instance::Instance;
use longshore_tests::random::Random;
use longshore_tests::service::Balanced;
use longshore_tests::{sample, wait};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Tasks beside the service's.
const TASKS_MAX: usize = 6;

pub struct Calls {
    api: Api,
    network: Network,
    image: String,
    /// Acknowledged as there or as gone; `None` is unknown, for the answer was lost.
    clusters: BTreeMap<String, Option<bool>>,
    tasks: Vec<String>,
    pub made: u64,
    pub lost: u64,
    /// Tasks, definitions and clusters that were made, each a row that the server keeps for an hour at least.
    pub rows: u64,
}

impl Calls {
    pub fn new(instance: &Instance) -> anyhow::Result<Self> {
        let network = Network::default(&Aws::new(instance))?;
        let mut api = Api::open(instance.listen)?;
        let image = sample::web(instance)?;
        api.ecs("RegisterTaskDefinition", &definition("extra", &image, &json!({"stopTimeout": 2})))?;
        Ok(Self { api, network, image, clusters: BTreeMap::new(), tasks: Vec::new(), made: 0, lost: 0, rows: 0 })
    }

    /// One call, and a short pause.
    pub fn make(&mut self, instance: &Instance, random: &mut Random) -> anyhow::Result<()> {
        match random.below(20) {
            0..6 => self.cluster(instance, random)?,
            6..9 if self.tasks.len() < TASKS_MAX => self.run_task(instance)?,
            9..13 if !self.tasks.is_empty() => {
                let task = self.tasks.swap_remove(random.below(self.tasks.len() as u64) as usize);
                if self.call(instance, "StopTask", &json!({"task": task}))?.is_none() {
                    self.tasks.push(task);
                }
            }
            13 if random.below(30) == 0 => {
                self.call(instance, "UpdateService", &json!({"service": "web", "forceNewDeployment": true}))?;
            }
            14..16 => {
                let input = definition(
                    "many",
                    &self.image,
                    &json!({"environment": [{"name": "A", "value": format!("{}", random.below(1000))}]}),
                );
                self.call(instance, "RegisterTaskDefinition", &input)?;
            }
            _ => {
                self.call(instance, "ListTasks", &json!({}))?;
            }
        }
        std::thread::sleep(Duration::from_millis(random.below(100)));
        Ok(())
    }

    fn cluster(&mut self, instance: &Instance, random: &mut Random) -> anyhow::Result<()> {
        let there: Vec<&String> =
            self.clusters.iter().filter(|(_, known)| **known == Some(true)).map(|(name, _)| name).collect();
        let (operation, name) = if there.len() > 20 {
            ("DeleteCluster", there[random.below(there.len() as u64) as usize].clone())
        } else {
            ("CreateCluster", format!("c{}", self.made))
        };
        let member = if operation == "DeleteCluster" { "cluster" } else { "clusterName" };
        let answer = self.call(instance, operation, &json!({member: name}))?;
        self.clusters.insert(name, answer.map(|_| operation == "CreateCluster"));
        Ok(())
    }

    fn run_task(&mut self, instance: &Instance) -> anyhow::Result<()> {
        let input = json!({"taskDefinition": "extra", "launchType": "FARGATE", "startedBy": "soak", "networkConfiguration": self.network.configuration()});
        if let Some(answer) = self.call(instance, "RunTask", &input)? {
            self.tasks
                .push(answer["tasks"][0]["taskArn"].as_str().with_context(|| format!("a task: {answer}"))?.to_owned());
        }
        Ok(())
    }

    /// `None` when nobody knows whether it happened.
    fn call(&mut self, instance: &Instance, operation: &str, input: &Value) -> anyhow::Result<Option<Value>> {
        self.made += 1;
        match self.api.ecs(operation, input) {
            Ok(answer) => {
                self.rows += u64::from(matches!(operation, "RunTask" | "RegisterTaskDefinition" | "CreateCluster"));
                Ok(Some(answer))
            }
            Err(Failure::Lost(_)) => {
                self.lost += 1;
                self.api = wait::until("it answers again", Duration::from_secs(30), || {
                    Api::open(instance.listen).map_err(|error| format!("{error:#}"))
                })?;
                Ok(None)
            }
            Err(refused) => bail!("{operation} {input}: {refused}"),
        }
    }

    /// Stops all tasks but the service's, those of lost answers among them, and waits until they are gone.
    pub fn stop_all(&mut self, instance: &Instance) -> anyhow::Result<()> {
        self.api = Api::open(instance.listen)?;
        self.tasks.clear();
        wait::until("the extra tasks are gone", Duration::from_secs(120), || {
            let listed = self.api.ecs("ListTasks", &json!({"startedBy": "soak"})).map_err(|error| error.to_string())?;
            let arns = listed["taskArns"].as_array().cloned().unwrap_or_default();
            for arn in &arns {
                self.api.ecs("StopTask", &json!({"task": arn})).map_err(|error| error.to_string())?;
            }
            if arns.is_empty() { Ok(()) } else { Err(format!("{arns:?}")) }
        })?;
        Ok(())
    }

    /// Two tasks of one deployment, and no task on its way.
    pub fn is_steady(&mut self, service: &mut Balanced) -> Result<(), String> {
        let seen =
            service.api.ecs("DescribeServices", &json!({"services": ["web"]})).map_err(|error| error.to_string())?;
        let web = &seen["services"][0];
        let ended = self.stopped(service).map_err(|error| error.to_string())?;
        let steady = web["runningCount"] == 2
            && web["pendingCount"] == 0
            && web["deployments"].as_array().map(Vec::len) == Some(1);
        if steady && ended { Ok(()) } else { Err(format!("ended {ended}: {web}")) }
    }

    /// Whether every task that shall stop has done so.
    fn stopped(&self, service: &mut Balanced) -> Result<bool, Failure> {
        let mut input = json!({"desiredStatus": "STOPPED"});
        loop {
            let listed = service.api.ecs("ListTasks", &input)?;
            let arns = listed["taskArns"].as_array().map_or(&[][..], Vec::as_slice);
            if !arns.is_empty() {
                let tasks = service.api.ecs("DescribeTasks", &json!({"tasks": arns}))?;
                if tasks["tasks"].as_array().into_iter().flatten().any(|task| task["lastStatus"] != "STOPPED") {
                    return Ok(false);
                }
            }
            match &listed["nextToken"] {
                Value::Null => return Ok(true),
                token => input["nextToken"] = token.clone(),
            }
        }
    }

    /// What was acknowledged is there.
    pub fn check(&mut self, instance: &Instance) -> anyhow::Result<()> {
        self.api = Api::open(instance.listen)?;
        for (name, known) in &self.clusters {
            let Some(expected) = known else { continue };
            let answer = self.api.ecs("DescribeClusters", &json!({"clusters": [name]}))?;
            let active = answer["clusters"][0]["status"] == "ACTIVE";
            ensure!(active == *expected, "cluster {name}: acknowledged {expected}, found {answer}");
        }
        Ok(())
    }
}

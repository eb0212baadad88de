//! Services: what is unhealthy is replaced, and a new revision takes over without a gap.

use crate::kit::{Busybox, Kit, definition, register};
use anyhow::ensure;
use longshore_tests::service::{Balanced, Load};
use longshore_tests::wait;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

pub fn health_check_that_fails(kit: &Kit) -> anyhow::Result<()> {
    kit.on("builtin", |instance| {
        let mut busybox = Busybox::new(instance)?;
        let container =
            json!({"healthCheck": {"command": ["CMD-SHELL", "exit 1"], "interval": 5, "retries": 1, "timeout": 2}});
        let definition = register(&mut busybox.api, &definition("sick", &busybox.image, &container))?;
        busybox.api.ecs(
            "CreateService",
            &json!({
                "serviceName": "sick", "taskDefinition": definition, "desiredCount": 1, "launchType": "FARGATE",
                "networkConfiguration": busybox.network.configuration(),
            }),
        )?;
        let mut seen = BTreeSet::new();
        wait::until("an unhealthy task is replaced", Duration::from_secs(90), || {
            for status in ["RUNNING", "STOPPED"] {
                let tasks = busybox
                    .api
                    .ecs("ListTasks", &json!({"serviceName": "sick", "desiredStatus": status}))
                    .map_err(|e| e.to_string())?;
                seen.extend(
                    tasks["taskArns"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned),
                );
            }
            let services =
                busybox.api.ecs("DescribeServices", &json!({"services": ["sick"]})).map_err(|e| e.to_string())?;
            let events = services["services"][0]["events"].to_string();
            let stopped: Vec<String> = seen.iter().cloned().collect();
            let tasks = busybox.api.ecs("DescribeTasks", &json!({"tasks": stopped})).map_err(|e| e.to_string())?;
            let unhealthy = tasks["tasks"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|task| task["healthStatus"] == "UNHEALTHY" && task["desiredStatus"] == "STOPPED");
            match unhealthy && seen.len() >= 2 && events.contains("failed container health checks") {
                true => Ok(()),
                false => Err(format!("{} tasks, events {events}, {tasks}", seen.len())),
            }
        })
    })
}

pub fn rolling_update(kit: &Kit) -> anyhow::Result<()> {
    kit.on("builtin", |instance| {
        let mut service = Balanced::start(instance)?;
        let load = Load::start(&service, 50);
        let old: BTreeSet<String> = service.tasks()?.into_iter().map(|(arn, _)| arn).collect();
        let revision = service.register(&json!({"environment": [{"name": "REVISION", "value": "2"}]}))?;
        service.api.ecs("UpdateService", &json!({"service": "web", "taskDefinition": revision}))?;
        wait::until("the new revision runs alone", Duration::from_secs(120), || {
            let answer =
                service.api.ecs("DescribeServices", &json!({"services": ["web"]})).map_err(|e| e.to_string())?;
            let service = &answer["services"][0];
            let deployments = service["deployments"].as_array().map_or(0, Vec::len);
            match deployments == 1
                && service["runningCount"] == 2
                && service["deployments"][0]["rolloutState"] == "COMPLETED"
            {
                true => Ok(()),
                false => Err(service.to_string()),
            }
        })?;
        let new: BTreeSet<String> = service.tasks()?.into_iter().map(|(arn, _)| arn).collect();
        ensure!(old.is_disjoint(&new), "old {old:?}, new {new:?}");
        load.end_without_failures()
    })
}

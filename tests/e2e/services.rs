//! Services: what is unhealthy is replaced, and a new revision takes over without a gap.

use crate::kit::{Busybox, Kit, definition, describe_task, register, says, wait_status};
use anyhow::{Context, ensure};
use longshore_tests::api::Api;
use longshore_tests::aws::Aws;
use longshore_tests::calls::Network;
use longshore_tests::http::Connection;
use longshore_tests::service::{Balanced, Load};
use longshore_tests::wait;
use longshore_tests::websocket::WebSockets;
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
            let unhealthy = tasks["tasks"].as_array().into_iter().flatten().any(|task| {
                task["healthStatus"] == "UNHEALTHY"
                    && task["desiredStatus"] == "STOPPED"
                    && task["stopCode"] == "ServiceSchedulerInitiated"
                    && task["stoppedReason"] == "Task failed container health checks"
            });
            match unhealthy && seen.len() >= 2 && events.contains("failed container health checks") {
                true => Ok(()),
                false => Err(format!("{} tasks, events {events}, {tasks}", seen.len())),
            }
        })
    })
}

/// Waits until a service runs so many tasks of one completed deployment: its description.
fn steady(api: &mut Api, service: &str, tasks: u64) -> anyhow::Result<Value> {
    wait::until(&format!("{service} is steady with {tasks} tasks"), Duration::from_secs(120), || {
        let answer = api.ecs("DescribeServices", &json!({"services": [service]})).map_err(|e| e.to_string())?;
        let service = &answer["services"][0];
        let event = service["events"][0]["message"].as_str().unwrap_or_default();
        let deployments = service["deployments"].as_array().map_or(0, Vec::len);
        match deployments == 1
            && service["runningCount"] == tasks
            && service["deployments"][0]["rolloutState"] == "COMPLETED"
            && event.ends_with("has reached a steady state.")
        {
            true => Ok(service.clone()),
            false => Err(service.to_string()),
        }
    })
}

/// With simulated tasks, whose targets are healthy when they are registered.
pub fn a_task_that_leaves_its_target_group_is_replaced(kit: &Kit) -> anyhow::Result<()> {
    kit.on("none", |instance| {
        let aws = Aws::new(instance);
        let elb = |arguments: &[&str], query: &str| aws.text(&[&["elbv2"], arguments].concat(), query);
        let network = Network::default(&aws)?;
        let [subnet1, subnet2] = &network.subnets;
        let create = ["create-load-balancer", "--name", "web", "--subnets", subnet1, subnet2];
        let lb = elb(&create, "LoadBalancers[0].LoadBalancerArn")?;
        let vpc = &network.vpc;
        let create =
            ["create-target-group", "--name", "web", "--protocol", "HTTP", "--port", "80", "--target-type", "ip"];
        let group = elb(&[&create[..], &["--vpc-id", vpc]].concat(), "TargetGroups[0].TargetGroupArn")?;
        let action = format!("Type=forward,TargetGroupArn={group}");
        let create = ["create-listener", "--load-balancer-arn", &lb, "--protocol", "HTTP", "--port", "80"];
        let listener = elb(&[&create[..], &["--default-actions", &action]].concat(), "Listeners[0].ListenerArn")?;
        let mut api = Api::open(instance.listen)?;
        api.ecs("CreateCluster", &json!({}))?;
        let definition =
            register(&mut api, &definition("web", "web", &json!({"portMappings": [{"containerPort": 80}]})))?;
        let service = json!({
            "serviceName": "web", "taskDefinition": definition, "desiredCount": 1, "launchType": "FARGATE",
            "networkConfiguration": network.configuration(),
            "loadBalancers": [{"targetGroupArn": group, "containerName": "app", "containerPort": 80}],
        });
        api.ecs("CreateService", &service)?;
        steady(&mut api, "web", 1)?;
        let task = api.ecs("ListTasks", &json!({"serviceName": "web"}))?["taskArns"][0].clone();
        let target = ["describe-target-health", "--target-group-arn", &group];
        let target = format!("Id={}", elb(&target, "TargetHealthDescriptions[0].Target.Id")?);
        aws.call(&["elbv2", "deregister-targets", "--target-group-arn", &group, "--targets", &target])?;
        let arn = task.as_str().context("an ARN")?;
        let stopped = wait::until("it is replaced", Duration::from_secs(60), || match describe_task(&mut api, arn) {
            Ok(task) if task["desiredStatus"] == "STOPPED" => Ok(task),
            other => Err(format!("{other:?}")),
        })?;
        says(&stopped.to_string(), &[&format!("Task failed ELB health checks in (target-group {group})")])?;
        steady(&mut api, "web", 1)?;

        aws.call(&["elbv2", "delete-listener", "--listener-arn", &listener])?;
        aws.call(&["elbv2", "delete-target-group", "--target-group-arn", &group])?;
        api.ecs("UpdateService", &json!({"service": "web", "forceNewDeployment": true}))?;
        let mut seen = |what: &str, is_so: &dyn Fn(&Value) -> bool| {
            wait::until(what, Duration::from_secs(30), || {
                let seen = api.ecs("DescribeServices", &json!({"services": ["web"]})).map_err(|e| e.to_string())?;
                let seen = &seen["services"][0];
                if is_so(seen) { Ok(()) } else { Err(seen.to_string()) }
            })
        };
        let refused = format!("failed to register targets in (target-group {group}) with (error ");
        seen("that is told", &|service| {
            service["events"].to_string().contains(&refused) && service["runningCount"] == 1
        })?;
        aws.call(&["ecs", "delete-service", "--service", "web", "--force"])?;
        seen("it is deleted", &|service| service["status"] == "INACTIVE")?;
        let mut again = service.clone();
        again["loadBalancers"] = json!([]);
        api.ecs("CreateService", &again)?;
        let releases = api.ecs("ListServiceDeployments", &json!({"service": "web"}))?;
        ensure!(releases["serviceDeployments"].as_array().is_some_and(|all| all.len() == 1), "{releases}");
        Ok(())
    })
}

/// Simulated tasks. Two in one zone are protected while the service shrinks, and evened out when they are free.
pub fn zones_are_made_even(kit: &Kit) -> anyhow::Result<()> {
    kit.on("none", |instance| {
        let network = Network::default(&Aws::new(instance))?;
        let mut api = Api::open(instance.listen)?;
        api.ecs("CreateCluster", &json!({}))?;
        let definition = register(&mut api, &definition("web", "web", &json!({})))?;
        let service = json!({
            "serviceName": "web", "taskDefinition": definition, "desiredCount": 4, "launchType": "FARGATE",
            "networkConfiguration": network.configuration(),
        });
        api.ecs("CreateService", &service)?;
        steady(&mut api, "web", 4)?;
        let listed = api.ecs("ListTasks", &json!({"serviceName": "web"}))?;
        let tasks = api.ecs("DescribeTasks", &json!({"tasks": listed["taskArns"]}))?;
        let tasks = tasks["tasks"].as_array().context("tasks")?;
        let zone = tasks[0]["availabilityZone"].as_str().context("a zone")?;
        let crowded: Vec<&Value> =
            tasks.iter().filter(|task| task["availabilityZone"] == zone).map(|task| &task["taskArn"]).collect();
        ensure!(crowded.len() == 2, "{tasks:?}");
        let protect = |api: &mut Api, on: bool| {
            let wanted = json!({"cluster": "default", "tasks": crowded, "protectionEnabled": on});
            api.ecs("UpdateTaskProtection", &wanted)
        };
        protect(&mut api, true)?;
        api.ecs("UpdateService", &json!({"service": "web", "desiredCount": 2}))?;
        steady(&mut api, "web", 2)?;
        protect(&mut api, false)?;
        let told = wait::until("zones are even", Duration::from_secs(120), || {
            let seen = api.ecs("DescribeServices", &json!({"services": ["web"]})).map_err(|e| e.to_string())?;
            let events = seen["services"][0]["events"].as_array().cloned().unwrap_or_default();
            let told: Vec<String> = events.iter().filter_map(|e| e["message"].as_str()).map(str::to_owned).collect();
            let is_even = told.iter().any(|text| text.starts_with("(service web) is AZ balanced with 1 tasks in "));
            if is_even { Ok(told) } else { Err(format!("{told:?}")) }
        })?;
        let mut newest = told.iter();
        for words in [
            "has reached a steady state.",
            "is AZ balanced with 1 tasks in ",
            &format!("has stopped 1 running tasks in {zone} due to AZ rebalancing: (task "),
            " to AZ Rebalance: (task ",
            "AZ Rebalancing in progress.",
        ] {
            ensure!(newest.any(|text| text.contains(words)), "{words} is not told in its turn: {told:#?}");
        }
        Ok(())
    })
}

/// Waits until the newest release of a service has this status: its description.
fn release(api: &mut Api, service: &str, status: &str) -> anyhow::Result<Value> {
    wait::until(&format!("the release of {service} is {status}"), Duration::from_secs(120), || {
        let list = api.ecs("ListServiceDeployments", &json!({"service": service})).map_err(|e| e.to_string())?;
        let newest = &list["serviceDeployments"][0];
        if newest["status"] != status {
            return Err(newest.to_string());
        }
        let arns = json!({"serviceDeploymentArns": [newest["serviceDeploymentArn"]]});
        let seen = api.ecs("DescribeServiceDeployments", &arns).map_err(|e| e.to_string())?;
        Ok(seen["serviceDeployments"][0].clone())
    })
}

pub fn traffic_is_kept(kit: &Kit) -> anyhow::Result<()> {
    kit.on("builtin", |instance| {
        let mut service = Balanced::start(instance)?;
        let (load, sockets) = (Load::start(&service, 500), WebSockets::start(&service, 50));
        let arns = |service: &mut Balanced| -> anyhow::Result<BTreeSet<String>> {
            Ok(service.tasks()?.into_iter().map(|(arn, _)| arn).collect())
        };

        let old = arns(&mut service)?;
        let good = service.register(&json!({"environment": [{"name": "REVISION", "value": "2"}]}))?;
        service.api.ecs("UpdateService", &json!({"service": "web", "taskDefinition": good}))?;
        steady(&mut service.api, "web", 2)?;
        let new = arns(&mut service)?;
        ensure!(old.is_disjoint(&new), "old {old:?}, new {new:?}");
        // Those of the old tasks end with the deregistration delay.
        wait::until("a WebSocket has moved to the new tasks", Duration::from_secs(60), || match sockets.closed() {
            0 => Err("none was closed".to_owned()),
            _ => Ok(()),
        })?;

        service.api.ecs("UpdateService", &json!({"service": "web", "desiredCount": 4}))?;
        steady(&mut service.api, "web", 4)?;
        service.api.ecs("UpdateService", &json!({"service": "web", "desiredCount": 2}))?;
        steady(&mut service.api, "web", 2)?;

        let gone = service.api.ecs("ListTasks", &json!({"serviceName": "web", "desiredStatus": "STOPPED"}))?;
        let gone = service.api.ecs("DescribeTasks", &json!({"tasks": gone["taskArns"]}))?;
        for task in gone["tasks"].as_array().into_iter().flatten() {
            let reason = task["stoppedReason"].as_str().unwrap_or_default();
            says(reason, &["Scaling activity initiated by (deployment ecs-svc/"])?;
            ensure!(task["stopCode"] == "ServiceSchedulerInitiated", "{task}");
        }

        let kept = arns(&mut service)?;
        let bad = service.register(&json!({"entryPoint": ["/nothing/here"]}))?;
        let breaker = json!({"deploymentCircuitBreaker": {"enable": true, "rollback": true}});
        service.api.ecs(
            "UpdateService",
            &json!({"service": "web", "taskDefinition": bad, "deploymentConfiguration": breaker}),
        )?;
        let seen = release(&mut service.api, "web", "ROLLBACK_SUCCESSFUL")?;
        ensure!(seen["deploymentCircuitBreaker"]["status"] == "TRIGGERED", "{seen}");
        let seen = steady(&mut service.api, "web", 2)?;
        ensure!(seen["taskDefinition"] == good, "not rolled back: {seen}");
        let events = seen["events"].to_string();
        says(&events, &["deployment failed: tasks failed to start.", ") rolling back to deployment ecs-svc/"])?;
        ensure!(arns(&mut service)? == kept, "a rollback keeps the tasks that serve");

        sockets.end_without_failures()?;
        load.end_without_failures()
    })
}

pub fn spot_interruption(kit: &Kit) -> anyhow::Result<()> {
    kit.on("builtin", |instance| {
        let mut busybox = Busybox::new(instance)?;
        let spot = json!([{"capacityProvider": "FARGATE_SPOT", "weight": 1}]);
        busybox.api.ecs(
            "PutClusterCapacityProviders",
            &json!({"cluster": "default", "capacityProviders": ["FARGATE_SPOT"], "defaultCapacityProviderStrategy": spot}),
        )?;
        let definition = register(&mut busybox.api, &definition("cheap", &busybox.image, &json!({"stopTimeout": 2})))?;
        busybox.api.ecs(
            "CreateService",
            &json!({
                "serviceName": "cheap", "taskDefinition": definition, "desiredCount": 1,
                "networkConfiguration": busybox.network.configuration(),
            }),
        )?;
        let running = |api: &mut Api| {
            let tasks = api.ecs("ListTasks", &json!({"serviceName": "cheap"})).map_err(|e| e.to_string())?;
            let arn = tasks["taskArns"][0].as_str().ok_or("no task")?.to_owned();
            Ok::<_, String>((tasks["taskArns"].as_array().map_or(0, Vec::len), arn))
        };
        let (_, first) =
            wait::until("a task is there", Duration::from_secs(30), || running(&mut busybox.api))?;
        let seen = wait_status(&mut busybox.api, &first, "RUNNING")?;
        ensure!(seen["capacityProviderName"] == "FARGATE_SPOT", "{seen}");
        let path = format!("/_longshore/tasks/{}/interrupt", first.rsplit('/').next().unwrap_or_default());
        let mut connection = Connection::open(instance.listen, "localhost")?;
        let answer = connection.request("POST", &path, &[], b"")?;
        ensure!(answer.status == 200, "{}", answer.text());
        let stopped = wait_status(&mut busybox.api, &first, "STOPPED")?;
        ensure!(
            stopped["stopCode"] == "SpotInterruption" && stopped["stoppedReason"] == "Your Spot Task was interrupted.",
            "{stopped}"
        );
        wait::until("its service replaces it", Duration::from_secs(30), || match running(&mut busybox.api)? {
            (1, arn) if arn != first => Ok(()),
            other => Err(format!("{other:?}")),
        })
    })
}

pub fn pinned_images(kit: &Kit) -> anyhow::Result<()> {
    kit.on("builtin", |instance| {
        let mut busybox = Busybox::new(instance)?;
        let directory = instance.dir.join("image");
        std::fs::create_dir_all(&directory)?;
        let image = busybox.image.clone();
        let build = |line: &str| -> anyhow::Result<()> {
            std::fs::write(directory.join("Dockerfile"), format!("FROM {image}\n{line}\n"))?;
            instance.command(&["image", "build", "-t", "pinned", directory.to_str().context("text")?]).map(drop)
        };
        build("ENV VERSION=1")?;
        let name = image.replace("busybox", "pinned");
        let definition = register(&mut busybox.api, &definition("pinned", &name, &json!({"stopTimeout": 2})))?;
        let service = json!({
            "serviceName": "pinned", "taskDefinition": definition, "desiredCount": 1, "launchType": "FARGATE",
            "networkConfiguration": busybox.network.configuration(),
            "deploymentConfiguration": {"minimumHealthyPercent": 0, "maximumPercent": 100},
        });
        busybox.api.ecs("CreateService", &service)?;
        let mut running = |but: &str| {
            wait::until("another task is RUNNING", Duration::from_secs(60), || {
                let list =
                    busybox.api.ecs("ListTasks", &json!({"serviceName": "pinned"})).map_err(|e| e.to_string())?;
                let task = list["taskArns"][0].as_str().ok_or("no task")?.to_owned();
                let seen = describe_task(&mut busybox.api, &task).map_err(|e| format!("{e:#}"))?;
                match task != but && seen["lastStatus"] == "RUNNING" {
                    true => Ok((task, seen["containers"][0]["imageDigest"].to_string())),
                    false => Err(seen.to_string()),
                }
            })
        };
        let (first, digest) = running("")?;
        build("ENV VERSION=2")?;
        let mut api = Api::open(instance.listen)?;
        api.ecs("StopTask", &json!({"task": first}))?;
        let (second, same) = running(&first)?;
        ensure!(same == digest, "the deployment moved with the tag from {digest} to {same}");
        api.ecs("UpdateService", &json!({"service": "pinned", "forceNewDeployment": true}))?;
        let (_, fresh) = running(&second)?;
        ensure!(fresh != digest, "a new deployment still runs {digest}");
        Ok(())
    })
}

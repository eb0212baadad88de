//! What a task definition asks for, seen from inside the containers and from the task metadata endpoint.

use crate::kit::{Busybox, Kit, definition, exists, register, run_task, says, wait_status};
use anyhow::{Context, ensure};
use longshore_tests::wait;
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;

const GROUP: &str = "/test/tasks";

/// A container of busybox that runs a line and logs.
fn shell(busybox: &Busybox, name: &str, line: &str) -> Value {
    json!({
        "name": name, "image": busybox.image, "command": ["/bin/sh", "-c", line],
        "logConfiguration": {"logDriver": "awslogs", "options": {
            "awslogs-group": GROUP, "awslogs-create-group": "true", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p",
        }},
    })
}

fn with(mut value: Value, more: Value) -> Value {
    for (name, field) in more.as_object().into_iter().flatten() {
        value[name] = field.clone();
    }
    value
}

/// Starts a task of these containers: its ARN.
fn run(busybox: &mut Busybox, family: &str, containers: Vec<Value>, more: Value) -> anyhow::Result<String> {
    let trust = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}]});
    let role = busybox.aws.text(
        &["iam", "create-role", "--role-name", family, "--assume-role-policy-document", &trust.to_string()],
        "Role.Arn",
    )?;
    let definition = json!({
        "family": family, "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
        "executionRoleArn": role, "containerDefinitions": containers,
    });
    let definition = register(&mut busybox.api, &with(definition, more))?;
    run_task(&mut busybox.api, &busybox.network, &definition)
}

/// The lines that a container has logged.
fn lines(busybox: &mut Busybox, task: &str, container: &str) -> anyhow::Result<Vec<String>> {
    let id = task.rsplit('/').next().context("an ARN")?;
    let input = json!({"logGroupName": GROUP, "logStreamName": format!("p/{container}/{id}"), "startFromHead": true});
    let answer = busybox.api.call("logs", "Logs_20140328.GetLogEvents", &input)?;
    let events = answer["events"].as_array().context("events")?;
    Ok(events.iter().filter_map(|event| event["message"].as_str().map(str::to_owned)).collect())
}

/// The JSON that a container has logged as its line that begins with `name=`.
fn document(lines: &[String], name: &str) -> anyhow::Result<Value> {
    let text = lines.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    let text = text.with_context(|| format!("{name} in {lines:?}"))?;
    serde_json::from_str(text).with_context(|| format!("{name}: {text}"))
}

pub fn a_log_group_has_to_be_there_and_a_stream_is_from_the_start(kit: &Kit) -> anyhow::Result<()> {
    kit.on("builtin", |instance| {
        let mut busybox = Busybox::new(instance)?;
        let mut quiet = shell(&busybox, "quiet", "exec sleep 1000");
        quiet["logConfiguration"]["options"]["awslogs-create-group"] = json!("false");
        let task = run(&mut busybox, "nogroup", vec![quiet], json!({}))?;
        let task = wait_status(&mut busybox.api, &task, "STOPPED")?;
        ensure!(task["stopCode"] == "TaskFailedToStart", "{task}");
        let told = task["stoppedReason"].as_str().unwrap_or_default();
        says(
            told,
            &["ResourceInitializationError: failed to validate logger args", "The specified log group does not exist"],
        )?;

        let quiet = with(shell(&busybox, "quiet", "exec sleep 1000"), json!({"stopTimeout": 2}));
        let task = run(&mut busybox, "quiet", vec![quiet], json!({}))?;
        wait_status(&mut busybox.api, &task, "RUNNING")?;
        wait::until("the stream of a container that has said nothing", Duration::from_secs(10), || {
            lines(&mut busybox, &task, "quiet").map_err(|error| format!("{error:#}"))
        })?;
        busybox.api.ecs("StopTask", &json!({"task": task}))?;
        wait_status(&mut busybox.api, &task, "STOPPED")?;
        Ok(())
    })
}

pub fn shared(kit: &Kit) -> anyhow::Result<()> {
    kit.on("builtin", |instance| {
        let mut busybox = Busybox::new(instance)?;
        let init = with(
            shell(&busybox, "init", "echo from-init > /data/file; /bin/busybox dd if=/dev/zero of=/data/big bs=1M count=4; exit 0"),
            json!({"essential": false, "mountPoints": [{"sourceVolume": "data", "containerPath": "/data"}]}),
        );
        let app = with(
            shell(&busybox, "app", "/bin/busybox cat /data/file; echo x > /data/x || echo read-only; echo x > /x || echo root-read-only;
                /bin/busybox ps -o args; /bin/busybox df -m /data | /bin/busybox tail -n 1; /bin/busybox cat /proc/sys/net/core/somaxconn;
                ulimit -n; exit 4"),
            json!({
                "dependsOn": [{"containerName": "init", "condition": "SUCCESS"}, {"containerName": "server", "condition": "START"}],
                "volumesFrom": [{"sourceContainer": "init", "readOnly": true}], "readonlyRootFilesystem": true,
                "systemControls": [{"namespace": "net.core.somaxconn", "value": "321"}],
                "ulimits": [{"name": "nofile", "softLimit": 77, "hardLimit": 99}],
            }),
        );
        let server = with(shell(&busybox, "server", "exec /bin/busybox sleep 4321"), json!({"essential": false}));
        let more = json!({"volumes": [{"name": "data"}], "pidMode": "task", "ephemeralStorage": {"sizeInGiB": 21}});
        let task = run(&mut busybox, "shared", vec![app, init, server], more)?;
        let seen = wait_status(&mut busybox.api, &task, "STOPPED")?;
        let app = seen["containers"].as_array().and_then(|list| list.iter().find(|c| c["name"] == "app")).context("app")?;
        ensure!(app["exitCode"] == 4 && seen["ephemeralStorage"]["sizeInGiB"] == 21, "{seen}");
        let lines = lines(&mut busybox, &task, "app")?;
        let text = lines.join("\n");
        says(&text, &["from-init", "read-only", "root-read-only", "/pause", "sleep 4321", "321", "77"])?;
        let mib: f64 = lines
            .iter()
            .find(|line| line.ends_with("/data"))
            .and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
            .with_context(|| format!("the volume's size in {text}"))?;
        ensure!((20_000.0..21_505.0).contains(&mib), "a disk of 21 GiB: {mib} MiB");
        Ok(())
    })
}

pub fn a_container_that_is_not_essential_may_fail_to_start(kit: &Kit) -> anyhow::Result<()> {
    kit.on("builtin", |instance| {
        let mut busybox = Busybox::new(instance)?;
        let app = with(shell(&busybox, "app", "exec sleep 1000"), json!({"stopTimeout": 2}));
        let broken = with(shell(&busybox, "broken", ""), json!({"essential": false, "command": ["/no/such"]}));
        let task = run(&mut busybox, "broken", vec![app, broken], json!({}))?;
        let seen = wait_status(&mut busybox.api, &task, "RUNNING")?;
        let broken = seen["containers"].as_array().and_then(|list| list.iter().find(|c| c["name"] == "broken"));
        let broken = broken.context("broken")?;
        ensure!(broken["lastStatus"] == "STOPPED", "{seen}");
        says(broken["reason"].as_str().unwrap_or_default(), &["CannotStartContainerError"])?;
        busybox.api.ecs("StopTask", &json!({"task": task}))?;
        wait_status(&mut busybox.api, &task, "STOPPED")?;
        Ok(())
    })
}

pub fn a_task_whose_supervisor_hangs_is_stopped(kit: &Kit) -> anyhow::Result<()> {
    kit.on("builtin", |instance| {
        let mut busybox = Busybox::new(instance)?;
        let app = with(shell(&busybox, "app", "exec sleep 1000"), json!({"stopTimeout": 2}));
        let task = run(&mut busybox, "hung", vec![app], json!({}))?;
        wait_status(&mut busybox.api, &task, "RUNNING")?;
        let id = task.rsplit('/').next().context("an ARN")?;
        let state = std::fs::read(instance.run_dir().join("tasks").join(id).join("state.json"))?;
        let supervisor = serde_json::from_slice::<Value>(&state)?["supervisor_pid"].to_string();
        ensure!(Command::new("kill").args(["-STOP", &supervisor]).status()?.success(), "SIGSTOP to {supervisor}");
        busybox.api.ecs("StopTask", &json!({"task": task, "reason": "enough"}))?;
        let seen = wait_status(&mut busybox.api, &task, "STOPPED")?;
        ensure!(seen["stopCode"] == "UserInitiated" && seen["stoppedReason"] == "enough", "{seen}");
        let app = &seen["containers"][0];
        ensure!(app["exitCode"] == 137, "{app}");
        says(app["reason"].as_str().unwrap_or_default(), &["the task's supervisor was killed"])?;
        ensure!(!exists(&format!("/proc/{supervisor}")), "the supervisor is still there");
        Ok(())
    })
}

pub fn nobody_traces_without_users_of_its_own(kit: &Kit) -> anyhow::Result<()> {
    kit.on_with("builtin", &["--user-namespaces", "off"], |instance| {
        let mut busybox = Busybox::new(instance)?;
        let capabilities = json!({"capabilities": {"add": ["SYS_PTRACE"]}});
        let tracer = with(shell(&busybox, "tracer", "exec sleep 1000"), json!({"linuxParameters": capabilities}));
        let task = run(&mut busybox, "tracer", vec![tracer], json!({}))?;
        let seen = wait_status(&mut busybox.api, &task, "STOPPED")?;
        says(seen["stoppedReason"].as_str().unwrap_or_default(), &["CannotCreateContainerError", "SYS_PTRACE"])
    })
}

pub fn statistics(kit: &Kit) -> anyhow::Result<()> {
    kit.on("builtin", |instance| {
        let mut busybox = Busybox::new(instance)?;
        let line =
            "get() { echo $1=$(/bin/busybox wget -qO- $ECS_CONTAINER_METADATA_URI_V4$2); }; /bin/busybox sleep 1;
            get first /stats; /bin/busybox sleep 1; get own; get task /task; get stats /stats; get all /task/stats;
            echo v3=$(/bin/busybox wget -qO- $ECS_CONTAINER_METADATA_URI); echo done; /bin/busybox sleep 1000";
        let app = with(
            shell(&busybox, "app", line),
            json!({"memory": 64, "cpu": 99, "stopTimeout": 2, "portMappings": [{"containerPort": 8080}],
                   "restartPolicy": {"enabled": true}, "dockerLabels": {"colour": "blue"},
                   "healthCheck": {"command": ["CMD-SHELL", "echo fine"], "interval": 5}}),
        );
        let task = run(&mut busybox, "statistics", vec![app], json!({}))?;
        wait_status(&mut busybox.api, &task, "RUNNING")?;
        let lines = wait::until("the container has asked for everything", Duration::from_secs(30), || {
            match lines(&mut busybox, &task, "app") {
                Ok(lines) if lines.iter().any(|line| line == "done") => Ok(lines),
                other => Err(format!("{other:?}")),
            }
        })?;
        let own = document(&lines, "own")?;
        let id = own["DockerId"].as_str().context("a DockerId")?.to_owned();
        let task_id = task.rsplit('/').next().unwrap_or_default();
        ensure!(id.starts_with(&format!("{task_id}-")), "as on Fargate: {id}");
        ensure!(own["Limits"] == json!({"CPU": 99, "Memory": 64}) && own["Labels"]["colour"] == "blue", "{own}");
        ensure!(own["RestartCount"] == 0 && own["Ports"][0]["ContainerPort"] == 8080, "{own}");
        ensure!(
            own["Snapshotter"] == "overlayfs" && own["StartedAt"].is_string() && own["Health"].is_object(),
            "{own}"
        );

        let whole = document(&lines, "task")?;
        ensure!(whole["Limits"] == json!({"CPU": 0.25, "Memory": 512}), "{whole}");
        ensure!(whole["EphemeralStorageMetrics"]["Reserved"] == 20 << 10, "{whole}");
        ensure!(whole["ClockDrift"]["ClockSynchronizationStatus"].is_string(), "{whole}");

        let (first, stats) = (document(&lines, "first")?, document(&lines, "stats")?);
        let cpu = |stats: &Value| stats["cpu_stats"]["cpu_usage"]["total_usage"].as_u64().unwrap_or(0);
        ensure!(cpu(&first) > 0 && cpu(&stats) > cpu(&first), "CPU time grows: {first} {stats}");
        ensure!(stats["precpu_stats"]["cpu_usage"]["total_usage"] == cpu(&first), "{stats}");
        ensure!(
            stats["memory_stats"]["limit"] == 64 << 20 && stats["memory_stats"]["usage"].as_u64() > Some(0),
            "{stats}"
        );
        ensure!(stats["networks"]["eth0"]["rx_bytes"].as_u64() > Some(0), "{stats}");
        ensure!(stats["network_rate_stats"]["rx_bytes_per_sec"].as_f64() > Some(0.0), "{stats}");
        ensure!(stats["id"] == id && document(&lines, "all")?[&id]["id"] == id, "{stats}");
        ensure!(document(&lines, "v3")?["Networks"][0].get("MACAddress").is_none(), "version 3 says less");
        Ok(())
    })
}

/// Busybox has no client that can PUT: the request is written by hand.
pub fn a_task_protects_itself(kit: &Kit) -> anyhow::Result<()> {
    kit.on("builtin", |instance| {
        let mut busybox = Busybox::new(instance)?;
        let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
        let create = ["iam", "create-role", "--role-name", "worker", "--assume-role-policy-document", trust];
        let role = busybox.aws.text(&create, "Role.Arn")?;
        let script = r#"path=${ECS_AGENT_URI#http://169.254.170.2}/task-protection/v1/state
            ask() { (printf "$1 $path HTTP/1.1\r\nHost: 169.254.170.2\r\nContent-Length: ${#2}\r\n\r\n$2"; /bin/busybox sleep 2) \
                | /bin/busybox nc 169.254.170.2 80 | /bin/busybox tail -n 1; echo; }
            ask PUT '{"ProtectionEnabled":true,"ExpiresInMinutes":60}'
            ask GET ''
            ask PUT '{"ExpiresInMinutes":60}'
            ask PUT '{"ProtectionEnabled":true,"ExpiresInMinutes":9999}'
            exec sleep 1000"#;
        let container = json!({
            "command": ["/bin/sh", "-c", script], "stopTimeout": 2,
            "logConfiguration": {"logDriver": "awslogs", "options": {
                "awslogs-group": "g", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p", "awslogs-create-group": "true"}},
        });
        let mut worker = definition("worker", &busybox.image, &container);
        worker["executionRoleArn"] = json!(role);
        worker["taskRoleArn"] = json!(role);
        let definition = register(&mut busybox.api, &worker)?;
        busybox.api.ecs(
            "CreateService",
            &json!({"serviceName": "worker", "taskDefinition": definition, "desiredCount": 1, "launchType": "FARGATE",
                "networkConfiguration": busybox.network.configuration()}),
        )?;
        let lines = wait::until("the endpoint has answered four times", Duration::from_secs(60), || {
            let events = busybox.aws.call(&["logs", "filter-log-events", "--log-group-name", "g"]);
            let events = events.map_err(|error| format!("{error:#}"))?;
            let events = events["events"].as_array().cloned().unwrap_or_default();
            let lines: Vec<Value> =
                events.iter().filter_map(|event| serde_json::from_str(event["message"].as_str()?).ok()).collect();
            if lines.len() >= 4 { Ok(lines) } else { Err(format!("{events:?}")) }
        })?;
        ensure!(lines[0]["protection"]["ProtectionEnabled"] == true, "{lines:?}");
        ensure!(lines[0]["protection"]["ExpirationDate"].is_string(), "{lines:?}");
        ensure!(lines[1] == lines[0], "{lines:?}");
        ensure!(
            lines[2]["error"]["Message"] == "Invalid request: does not contain 'ProtectionEnabled' field",
            "{lines:?}"
        );
        ensure!(lines[3]["error"]["Code"] == "InvalidParameterException", "{lines:?}");
        ensure!(lines[3]["requestID"].is_string(), "{lines:?}");
        let task = lines[0]["protection"]["TaskArn"].clone();
        let seen = busybox.api.ecs("GetTaskProtection", &json!({"cluster": "default", "tasks": [task]}))?;
        ensure!(seen["protectedTasks"][0]["protectionEnabled"] == true, "{seen}");
        Ok(())
    })
}

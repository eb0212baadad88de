//! Tasks that do as they should, and tasks that cannot: AWS's own words say why.

use crate::kit::{Busybox, Kit, definition, register, run_task, says, wait_status};
use anyhow::{Context, ensure};
use longshore_tests::wait;
use serde_json::{Value, json};
use std::time::Duration;

fn on_busybox(kit: &Kit, test: impl FnOnce(&mut Busybox) -> anyhow::Result<()>) -> anyhow::Result<()> {
    kit.on("builtin", |instance| test(&mut Busybox::new(instance)?))
}

pub fn bad_definitions_are_refused(kit: &Kit) -> anyhow::Result<()> {
    kit.on("none", |instance| {
        let aws = longshore_tests::aws::Aws::new(instance);
        let base = ["ecs", "register-task-definition", "--family", "bad", "--network-mode", "awsvpc", "--requires-compatibilities", "FARGATE"];
        let refusal = |more: &[&str]| aws.refusal(&[&base[..], more].concat());

        let one = json!([{"name": "a", "image": "web"}]).to_string();
        let seen = refusal(&["--cpu", "256", "--memory", "8192", "--container-definitions", &one])?;
        says(&seen, &["ClientException", "No Fargate configuration exists for given values"])?;

        let port = json!({"containerPort": 80, "hostPort": 8080});
        let mismatch = json!([{"name": "a", "image": "web", "portMappings": [port]}]).to_string();
        let seen = refusal(&["--cpu", "256", "--memory", "512", "--container-definitions", &mismatch])?;
        says(&seen, &["ClientException", "host ports and container ports in port mappings must match"])?;

        let port = json!({"containerPort": 80});
        let twice = json!([{"name": "a", "image": "web", "portMappings": [port]}, {"name": "b", "image": "web", "portMappings": [port]}]).to_string();
        let seen = refusal(&["--cpu", "256", "--memory", "512", "--container-definitions", &twice])?;
        says(&seen, &["ClientException", "port"])
    })
}

pub fn bad_placements_are_refused(kit: &Kit) -> anyhow::Result<()> {
    kit.on("none", |instance| {
        let aws = longshore_tests::aws::Aws::new(instance);
        let mut api = longshore_tests::api::Api::open(instance.listen)?;
        api.ecs("CreateCluster", &json!({}))?;
        register(&mut api, &definition("good", "web", &Value::Null))?;
        let run = |definition: &str, subnet: &str| {
            let network = format!("awsvpcConfiguration={{subnets=[{subnet}]}}");
            aws.refusal(&[
                "ecs",
                "run-task",
                "--task-definition",
                definition,
                "--launch-type",
                "FARGATE",
                "--network-configuration",
                &network,
            ])
        };
        says(&run("good", "subnet-00000000000000000")?, &["InvalidParameterException", "InvalidSubnetID.NotFound"])?;

        let subnet = crate::kit::Network::default(&aws)?.subnets[0].clone();
        says(&run("unknown", &subnet)?, &["ClientException", "TaskDefinition not found"])?;

        let mut with_role = definition("role", "web", &Value::Null);
        with_role["taskRoleArn"] = json!(format!("arn:aws:iam::{}:role/nobody", instance.account));
        register(&mut api, &with_role)?;
        says(&run("role", &subnet)?, &["ClientException", "unable to assume the role"])?;

        let missing = ["ecs", "describe-services", "--cluster", "nowhere", "--services", "a"];
        says(&aws.refusal(&missing)?, &["ClusterNotFoundException"])
    })
}

pub fn unknown_image(kit: &Kit) -> anyhow::Result<()> {
    on_busybox(kit, |busybox| {
        busybox.image = busybox.image.replace("/busybox:", "/no-such-image:");
        let task = busybox.task("unknown-image", &Value::Null, "STOPPED")?;
        says(&task.to_string(), &["CannotPullContainerError"])?;
        says(task["stoppedReason"].as_str().unwrap_or_default(), &["CannotPullContainerError"])?;
        ensure!(task["stopCode"] == "TaskFailedToStart", "the stop code: {task}");
        Ok(())
    })
}

pub fn unknown_command(kit: &Kit) -> anyhow::Result<()> {
    on_busybox(kit, |busybox| {
        let task = busybox.task("unknown-command", &json!({"command": ["/bin/nothing"]}), "STOPPED")?;
        says(
            task["containers"][0]["reason"].as_str().unwrap_or_default(),
            &["CannotStartContainerError", "/bin/nothing"],
        )?;
        ensure!(task["stopCode"] == "TaskFailedToStart", "the stop code: {task}");
        Ok(())
    })
}

pub fn out_of_memory(kit: &Kit) -> anyhow::Result<()> {
    on_busybox(kit, |busybox| {
        let container = json!({"command": ["/bin/busybox", "tail", "/dev/zero"], "memory": 64});
        let task = busybox.task("memory", &container, "STOPPED")?;
        ensure!(task["containers"][0]["exitCode"] == 137, "the exit code: {task}");
        says(
            task["containers"][0]["reason"].as_str().unwrap_or_default(),
            &["OutOfMemoryError: Container killed due to memory usage"],
        )?;
        ensure!(task["stopCode"] == "EssentialContainerExited", "the stop code: {task}");
        Ok(())
    })
}

/// Runs a command to its end with the log options that are added: the task, and the messages of its log stream.
fn logged(busybox: &mut Busybox, family: &str, script: &str, options: &Value) -> anyhow::Result<(Value, Value)> {
    let mut all = json!({
        "awslogs-group": "/test/log", "awslogs-create-group": "true", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p",
    });
    for (key, value) in options.as_object().into_iter().flatten() {
        all[key] = value.clone();
    }
    let container = json!({
        "command": ["/bin/sh", "-c", script],
        "logConfiguration": {"logDriver": "awslogs", "options": all},
    });
    // Writing to a group needs a role that may.
    let trust = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}]});
    let role = busybox.aws.text(
        &["iam", "create-role", "--role-name", family, "--assume-role-policy-document", &trust.to_string()],
        "Role.Arn",
    )?;
    let mut definition = definition(family, &busybox.image, &container);
    definition["executionRoleArn"] = json!(role);
    let definition = register(&mut busybox.api, &definition)?;
    let task = run_task(&mut busybox.api, &busybox.network, &definition)?;
    let task = wait_status(&mut busybox.api, &task, "STOPPED")?;

    let id = task["taskArn"].as_str().and_then(|arn| arn.rsplit('/').next()).context("an ARN")?;
    let stream = format!("p/app/{id}");
    let of_stream = ["--log-group-name", "/test/log", "--log-stream-name", &stream];
    let messages = [&["logs", "get-log-events"], &of_stream[..], &["--query", "events[].message"]].concat();
    let messages = busybox.aws.call(&messages)?;
    Ok((task, messages))
}

pub fn exit_code_and_log(kit: &Kit) -> anyhow::Result<()> {
    on_busybox(kit, |busybox| {
        let (task, lines) = logged(busybox, "log", "echo one; echo; echo two; exit 7", &Value::Null)?;
        ensure!(task["containers"][0]["exitCode"] == 7, "the exit code: {task}");
        ensure!(task["stoppedReason"] == "Essential container in task exited", "the reason: {task}");
        ensure!(lines == json!(["one", "two"]), "the log has no empty events: {lines}");
        Ok(())
    })
}

pub fn lines_are_joined(kit: &Kit) -> anyhow::Result<()> {
    on_busybox(kit, |busybox| {
        let script = "echo '[Nov 21, 2026 10:00:01] INFO start'; echo '[Nov 21, 2026 10:00:02] ERROR boom'; echo '  at a()'; echo '  at b()'";
        let options = json!({"awslogs-datetime-format": r"\[%b %d, %Y %H:%M:%S\]"});
        let (_, events) = logged(busybox, "trace", script, &options)?;
        let trace = "[Nov 21, 2026 10:00:02] ERROR boom\n  at a()\n  at b()\n";
        ensure!(events == json!(["[Nov 21, 2026 10:00:01] INFO start\n", trace]), "a trace is one event: {events}");

        let filter = ["logs", "filter-log-events", "--log-group-name", "/test/log", "--query", "events[].message"];
        let found = busybox.aws.call(&[&filter[..], &["--filter-pattern", "[day, ..., line = *b*]"]].concat())?;
        ensure!(found == json!([trace]), "found by its last field: {found}");
        Ok(())
    })
}

pub fn stop_task(kit: &Kit) -> anyhow::Result<()> {
    on_busybox(kit, |busybox| {
        let container = json!({"command": ["/bin/sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.1; done"]});
        let task = busybox.task("stop", &container, "RUNNING")?;
        let arn = task["taskArn"].as_str().context("an ARN")?.to_owned();
        busybox.aws.call(&["ecs", "stop-task", "--task", &arn, "--reason", "no longer wanted"])?;
        let task = wait_status(&mut busybox.api, &arn, "STOPPED")?;
        ensure!(task["stopCode"] == "UserInitiated" && task["stoppedReason"] == "no longer wanted", "{task}");
        ensure!(task["containers"][0]["exitCode"] == 3, "the exit code: {task}");
        Ok(())
    })
}

pub fn metadata(kit: &Kit) -> anyhow::Result<()> {
    on_busybox(kit, |busybox| {
        let trust = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}]});
        let role = busybox.aws.text(
            &["iam", "create-role", "--role-name", "application", "--assume-role-policy-document", &trust.to_string()],
            "Role.Arn",
        )?;
        let script = "/bin/busybox wget -qO- $ECS_CONTAINER_METADATA_URI_V4/task; echo; \
                      /bin/busybox wget -qO- http://169.254.170.2$AWS_CONTAINER_CREDENTIALS_RELATIVE_URI; echo";
        let container = json!({
            "command": ["/bin/sh", "-c", script],
            "logConfiguration": {"logDriver": "awslogs", "options": {
                "awslogs-group": "/test/metadata", "awslogs-create-group": "true", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p",
            }},
        });
        let mut definition = definition("metadata", &busybox.image, &container);
        definition["taskRoleArn"] = json!(role);
        definition["executionRoleArn"] = json!(role);
        let definition = register(&mut busybox.api, &definition)?;
        let task = run_task(&mut busybox.api, &busybox.network, &definition)?;
        wait_status(&mut busybox.api, &task, "STOPPED")?;
        wait::until("the task's log tells metadata and credentials", Duration::from_secs(10), || {
            let events = busybox.aws.call(&[
                "logs",
                "filter-log-events",
                "--log-group-name",
                "/test/metadata",
                "--query",
                "events[].message",
            ]);
            let text = events.map_or_else(|error| format!("{error:#}"), |events| events.to_string());
            match says(&text, &[&task, "AccessKeyId", "SecretAccessKey", "Token", "role/application"]) {
                Ok(()) => Ok(()),
                Err(error) => Err(error.to_string()),
            }
        })
    })
}

/// Exit codes, stop codes and reasons, in one table.
pub fn ends(kit: &Kit) -> anyhow::Result<()> {
    on_busybox(kit, |busybox| {
        let shell = |script: &str| json!({"command": ["/bin/sh", "-c", script], "stopTimeout": 2});
        // Beside an init, for the first process of a container is not ended by signals of its own.
        let signalled = |script: &str| {
            let mut container = shell(script);
            container["linuxParameters"] = json!({"initProcessEnabled": true});
            container
        };
        let exited = ("EssentialContainerExited", "Essential container in task exited");
        let stopped = ("UserInitiated", "Task stopped by user");
        let cases = [
            ("zero", shell("exit 0"), false, exited, 0),
            ("code", shell("exit 255"), false, exited, 255),
            ("term", signalled("kill -TERM $$"), false, exited, 143),
            ("kill", signalled("kill -KILL $$"), false, exited, 137),
            ("segv", signalled("kill -SEGV $$"), false, exited, 139),
            ("stop-term", signalled("exec sleep 1000"), true, stopped, 143),
            ("stop-kill", shell("trap '' TERM; while :; do sleep 0.1; done"), true, stopped, 137),
            ("stop-zero", shell("trap 'exit 0' TERM; while :; do sleep 0.1; done"), true, stopped, 0),
        ];
        let mut running = Vec::new();
        for (name, container, stop, reason, code) in cases {
            let definition = register(&mut busybox.api, &definition(name, &busybox.image, &container))?;
            let task = run_task(&mut busybox.api, &busybox.network, &definition)?;
            if stop {
                wait_status(&mut busybox.api, &task, "RUNNING")?;
                busybox.api.ecs("StopTask", &json!({"task": task}))?;
            }
            running.push((name, task, reason, code));
        }
        for (name, task, (code, reason), exit_code) in running {
            let task = wait_status(&mut busybox.api, &task, "STOPPED")?;
            let container = &task["containers"][0];
            ensure!(task["stopCode"] == code && task["stoppedReason"] == reason, "{name}: {task}");
            ensure!(container["exitCode"] == exit_code && container["reason"].is_null(), "{name}: {task}");
        }
        Ok(())
    })
}

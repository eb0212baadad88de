//! Secrets on their way into containers, and containers on their way to the API.

use crate::kit::{Busybox, Kit, definition, register, run_task, says, wait_status};
use anyhow::{Context, ensure};
use longshore_tests::wait;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;

fn role(busybox: &Busybox, name: &str) -> anyhow::Result<String> {
    busybox.aws.text(&["iam", "create-role", "--role-name", name, "--assume-role-policy-document", TRUST], "Role.Arn")
}

/// Registers a definition whose container has these fields, with an execution role.
fn register_with_role(busybox: &mut Busybox, family: &str, role: &str, container: &Value) -> anyhow::Result<String> {
    let mut definition = definition(family, &busybox.image, container);
    definition["executionRoleArn"] = json!(role);
    register(&mut busybox.api, &definition)
}

pub fn secrets_become_variables_and_are_written_nowhere_else(kit: &Kit) -> anyhow::Result<()> {
    kit.on("builtin", |instance| {
        let mut busybox = Busybox::new(instance)?;
        let execution = role(&busybox, "execution")?;
        busybox.aws.call(&[
            "ssm",
            "put-parameter",
            "--name",
            "/db/password",
            "--type",
            "SecureString",
            "--value",
            "hunter2",
        ])?;
        let login = r#"{"user":"ann","password":"correct horse"}"#;
        let secret = busybox
            .aws
            .text(&["secretsmanager", "create-secret", "--name", "login", "--secret-string", login], "ARN")?;
        // In two halves: the definition, which is stored, must not hold the words that the store is searched for.
        let script =
            r#"[ "$PASSWORD" = "hun""ter2" ] || exit 3; [ "$WORD" = "correct"" horse" ] || exit 4; exec sleep 1000"#;
        let container = json!({
            "command": ["/bin/sh", "-c", script],
            "secrets": [
                {"name": "PASSWORD", "valueFrom": "/db/password"},
                {"name": "WORD", "valueFrom": format!("{secret}:password::")},
            ],
        });
        let arn = register_with_role(&mut busybox, "secret", &execution, &container)?;
        let task = run_task(&mut busybox.api, &busybox.network, &arn)?;
        wait_status(&mut busybox.api, &task, "RUNNING")?;

        let id = task.rsplit('/').next().context("a task id")?;
        let directory = instance.run_dir().join("tasks").join(id);
        let mode = std::fs::metadata(directory.join("spec.json"))?.permissions().mode();
        ensure!(mode & 0o777 == 0o600, "spec.json has mode {mode:o}");
        let mode = std::fs::metadata(instance.data_dir().join("secrets.key"))?.permissions().mode();
        ensure!(mode & 0o777 == 0o600, "secrets.key has mode {mode:o}");
        let store = std::fs::read(instance.data_dir().join("store.redb"))?;
        for word in ["hunter2", "correct horse"] {
            ensure!(!store.windows(word.len()).any(|part| part == word.as_bytes()), "{word} is in the store");
        }
        let described = busybox.aws.call(&["ecs", "describe-tasks", "--tasks", &task])?.to_string();
        ensure!(!described.contains("hunter2"), "DescribeTasks tells a secret");
        busybox.api.ecs("StopTask", &json!({"task": task}))?;
        wait_status(&mut busybox.api, &task, "STOPPED")?;
        ensure!(!directory.exists(), "the task's directory is left");
        Ok(())
    })
}

pub fn a_missing_secret_stops_the_task_in_fargates_words(kit: &Kit) -> anyhow::Result<()> {
    kit.on("builtin", |instance| {
        let mut busybox = Busybox::new(instance)?;
        let execution = role(&busybox, "execution")?;
        let mut reason = |family: &str, container: Value| -> anyhow::Result<String> {
            let arn = register_with_role(&mut busybox, family, &execution, &container)?;
            let task = run_task(&mut busybox.api, &busybox.network, &arn)?;
            let task = wait_status(&mut busybox.api, &task, "STOPPED")?;
            ensure!(task["stopCode"] == "TaskFailedToStart", "{task}");
            Ok(task["stoppedReason"].as_str().unwrap_or_default().to_owned())
        };
        let begin = "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: ";
        let parameter = json!({"secrets": [{"name": "A", "valueFrom": "/none"}]});
        let seen = reason("parameter", parameter)?;
        says(&seen, &[begin, "unable to retrieve secrets from ssm: ", "invalid ssm parameters: /none"])?;
        let login = json!({"repositoryCredentials": {"credentialsParameter": "nobody"}});
        says(&reason("login", login)?, &[begin, "unable to get registry auth from asm", "ResourceNotFoundException"])
    })
}

/// Busybox has no SDK: its `wget` shows that the door is there, asks what a client asks first, and is a task's alone.
pub fn tasks_reach_the_api_and_not_what_is_behind_it(kit: &Kit) -> anyhow::Result<()> {
    kit.on("builtin", |instance| {
        let mut busybox = Busybox::new(instance)?;
        let execution = role(&busybox, "execution")?;
        let script = "cd /; api=\"$AWS_ENDPOINT_URL\"; \
            /bin/busybox wget -q -O - \"$api/?Action=GetCallerIdentity&Version=2011-06-15\" || exit 3; \
            /bin/busybox wget -q -O - \"$api/_longshore/health\" && exit 4; \
            /bin/busybox wget -q -O - \"$api/v2/\" && exit 5; \
            echo the door is narrow";
        let container = json!({
            "command": ["/bin/sh", "-c", script],
            "logConfiguration": {"logDriver": "awslogs", "options": {
                "awslogs-group": "g", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p", "awslogs-create-group": "true"}},
        });
        let arn = register_with_role(&mut busybox, "door", &execution, &container)?;
        let task = run_task(&mut busybox.api, &busybox.network, &arn)?;
        let seen = wait_status(&mut busybox.api, &task, "STOPPED")?;
        ensure!(seen["containers"][0]["exitCode"] == 0, "{seen}");
        wait::until("the container's lines are there", Duration::from_secs(10), || {
            let events = busybox.aws.call(&["logs", "filter-log-events", "--log-group-name", "g"]);
            let text = events.map_or_else(|error| format!("{error:#}"), |events| events.to_string());
            if text.contains("the door is narrow") && text.contains("GetCallerIdentityResult") { Ok(()) } else { Err(text) }
        })
    })
}

pub fn environment_files_become_variables(kit: &Kit) -> anyhow::Result<()> {
    kit.on("builtin", |instance| {
        let mut busybox = Busybox::new(instance)?;
        let execution = role(&busybox, "execution")?;
        let bucket = instance.data_dir().join("s3/settings");
        std::fs::create_dir_all(bucket.join("web"))?;
        std::fs::write(bucket.join("web/first.env"), "# both\nOWN=file\nA=\"1 2\"\nB=first\n")?;
        std::fs::write(bucket.join("second.env"), "B=second\nC=3\n")?;
        let files = |keys: &[&str]| -> Value {
            keys.iter().map(|key| json!({"type": "s3", "value": format!("arn:aws:s3:::settings/{key}")})).collect()
        };
        let container = json!({
            "command": ["/bin/sh", "-c", "[ \"$OWN/$A/$B/$C\" = \"$EXPECTED\" ] || exit 3"],
            "environment": [{"name": "OWN", "value": "own"}, {"name": "EXPECTED", "value": "own/\"1 2\"/first/3"}],
            "environmentFiles": files(&["web/first.env", "second.env"]),
        });
        let arn = register_with_role(&mut busybox, "files", &execution, &container)?;
        let mut run = |overrides: Value| -> anyhow::Result<Value> {
            let input = json!({"taskDefinition": arn, "launchType": "FARGATE", "overrides": overrides,
                "networkConfiguration": busybox.network.configuration()});
            let answer = busybox.api.ecs("RunTask", &input)?;
            let task = answer["tasks"][0]["taskArn"].as_str().context("a task")?.to_owned();
            wait_status(&mut busybox.api, &task, "STOPPED")
        };
        let seen = run(json!({}))?;
        ensure!(seen["containers"][0]["exitCode"] == 0, "{seen}");
        let expected = json!([{"name": "EXPECTED", "value": "own//second/3"}]);
        let instead = json!({"name": "app", "environment": expected, "environmentFiles": files(&["second.env"])});
        let seen = run(json!({"containerOverrides": [instead]}))?;
        ensure!(seen["containers"][0]["exitCode"] == 0, "{seen}");
        let missing = json!({"name": "app", "environmentFiles": files(&["none.env"])});
        let seen = run(json!({"containerOverrides": [missing]}))?;
        ensure!(seen["stopCode"] == "TaskFailedToStart", "{seen}");
        let reason = seen["stoppedReason"].as_str().unwrap_or_default();
        says(reason, &["ResourceInitializationError: failed to download env files: ", "NoSuchKey: "])
    })
}

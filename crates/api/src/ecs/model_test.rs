//! Walks the model of a task definition and of RunTask's overrides: every field takes effect or is refused by name.
//!
//! "Takes effect" means here that it is stored and described as given. That the node obeys what is stored is seen to by
//! `longshore_agent::spec`, which does not compile when a stored field is left out, and by the runtime's own tests.

use super::register_task_definition::register_task_definition;
use super::run_task::run_task;
use crate::testing::Fixture;
use longshore_aws_model::schema::{Kind, Schema};
use longshore_aws_model::{AwsError, Operation, Protocol, ecs};
use longshore_aws_wire::{Call, Head, decode};
use serde_json::{Value, json};

/// What becomes of a field.
enum Fate {
    /// Described as given.
    Shown(Value),
    /// The same, when this is given beside it.
    ShownWith(Value, Value),
    /// An error that contains the field's name, for this value.
    Refused(Value),
    /// The same, when this is given beside it.
    RefusedWith(Value, Value),
}
use Fate::*;

/// A field is covered by a row with its path, or by one that refuses a structure it is in.
fn task_definition() -> Vec<(&'static str, Fate)> {
    let port = json!({"containerDefinitions": [{"portMappings": [{"containerPort": 81, "name": "p"}]}]});
    let volume = json!({"volumes": [{"name": "v"}], "containerDefinitions": [
        {"mountPoints": [{"sourceVolume": "v", "containerPath": "/v"}]}]});
    let helper = json!({"containerDefinitions": [{}, {"name": "helper", "image": "i", "essential": false,
        "healthCheck": {"command": ["CMD", "true"]}}]});
    let depends = |condition: &str| {
        let mut with = helper.clone();
        with["containerDefinitions"][0]["dependsOn"] = json!([{"containerName": "helper", "condition": condition}]);
        with
    };
    let from = {
        let mut with = helper.clone();
        with["containerDefinitions"][0]["volumesFrom"] = json!([{"sourceContainer": "helper"}]);
        with
    };
    let check = json!({"containerDefinitions": [{"healthCheck": {"command": ["CMD", "true"]}}]});
    let restart = json!({"containerDefinitions": [{"restartPolicy": {"enabled": true}}]});
    let logs = json!({"executionRoleArn": ROLE, "containerDefinitions": [{"logConfiguration": {"logDriver": "awslogs",
        "options": {"awslogs-group": "g", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "p"}}}]});
    let ulimit = json!({"containerDefinitions": [{"ulimits": [{"name": "nofile", "softLimit": 10, "hardLimit": 20}]}]});
    let tmpfs = json!({"containerDefinitions": [{"linuxParameters": {"tmpfs": [{"containerPath": "/t", "size": 8}]}}]});
    let sysctl =
        json!({"containerDefinitions": [{"systemControls": [{"namespace": "net.core.somaxconn", "value": "9"}]}]});
    let variable = json!({"containerDefinitions": [{"environment": [{"name": "A", "value": "b"}]}]});
    let files = |mut with: Value| {
        with["containerDefinitions"] = json!([{"environmentFiles": [{"value": "arn:aws:s3:::b/a.env", "type": "s3"}]}]);
        with
    };
    let secret =
        json!({"executionRoleArn": ROLE, "containerDefinitions": [{"secrets": [{"name": "S", "valueFrom": "/a"}]}]});
    vec![
        ("family", Shown(json!("other"))),
        ("taskRoleArn", Shown(json!("arn:aws:iam::123456789012:role/r"))),
        ("executionRoleArn", Shown(json!("arn:aws:iam::123456789012:role/r"))),
        ("networkMode", Shown(json!("awsvpc"))),
        ("cpu", ShownWith(json!("512"), json!({"memory": "1024"}))),
        ("memory", Shown(json!("1024"))),
        ("requiresCompatibilities", Shown(json!(["FARGATE"]))),
        ("placementConstraints", Refused(json!([{"type": "memberOf", "expression": "x"}]))),
        ("pidMode", Shown(json!("task"))),
        ("ipcMode", Refused(json!("task"))),
        ("proxyConfiguration", Refused(json!({"containerName": "app"}))),
        ("inferenceAccelerators", Refused(json!([{"deviceName": "d", "deviceType": "t"}]))),
        ("ephemeralStorage.sizeInGiB", Shown(json!(21))),
        (
            "runtimePlatform.cpuArchitecture",
            Shown(json!(if cfg!(target_arch = "aarch64") { "ARM64" } else { "X86_64" })),
        ),
        ("runtimePlatform.operatingSystemFamily", Shown(json!("LINUX"))),
        ("enableFaultInjection", Refused(json!(true))),
        ("trustedExecutionConfiguration", Refused(Value::Null)),
        // Not in the described definition but beside it; see `tags`.
        ("tags", Shown(Value::Null)),
        ("volumes[].name", ShownWith(json!("v"), volume.clone())),
        ("volumes[].host", Refused(json!({"sourcePath": "/x"}))),
        ("volumes[].dockerVolumeConfiguration", Refused(json!({"scope": "task"}))),
        ("volumes[].efsVolumeConfiguration", Refused(json!({"fileSystemId": "fs-1"}))),
        ("volumes[].s3filesVolumeConfiguration", Refused(Value::Null)),
        ("volumes[].fsxWindowsFileServerVolumeConfiguration", Refused(Value::Null)),
        ("volumes[].configuredAtLaunch", Refused(json!(true))),
        ("containerDefinitions[].name", Shown(json!("web"))),
        ("containerDefinitions[].image", Shown(json!("other:1"))),
        (
            "containerDefinitions[].repositoryCredentials.credentialsParameter",
            ShownWith(json!("registry-login"), json!({"executionRoleArn": ROLE})),
        ),
        ("containerDefinitions[].cpu", Shown(json!(100))),
        ("containerDefinitions[].memory", Shown(json!(128))),
        ("containerDefinitions[].memoryReservation", Shown(json!(64))),
        ("containerDefinitions[].links", Refused(json!(["a"]))),
        ("containerDefinitions[].portMappings[].containerPort", ShownWith(json!(81), port.clone())),
        ("containerDefinitions[].portMappings[].hostPort", ShownWith(json!(81), port.clone())),
        ("containerDefinitions[].portMappings[].protocol", ShownWith(json!("udp"), port.clone())),
        ("containerDefinitions[].portMappings[].name", ShownWith(json!("q"), port.clone())),
        ("containerDefinitions[].portMappings[].appProtocol", ShownWith(json!("http2"), port)),
        ("containerDefinitions[].portMappings[].containerPortRange", Shown(json!("8000-8010"))),
        ("containerDefinitions[].essential", Shown(json!(true))),
        ("containerDefinitions[].restartPolicy.enabled", Shown(json!(true))),
        ("containerDefinitions[].restartPolicy.ignoredExitCodes", ShownWith(json!([0, 3]), restart.clone())),
        ("containerDefinitions[].restartPolicy.restartAttemptPeriod", ShownWith(json!(60), restart)),
        ("containerDefinitions[].entryPoint", Shown(json!(["/x"]))),
        ("containerDefinitions[].command", Shown(json!(["x"]))),
        ("containerDefinitions[].environment[].name", ShownWith(json!("N"), variable.clone())),
        ("containerDefinitions[].environment[].value", ShownWith(json!("V"), variable)),
        (
            "containerDefinitions[].environmentFiles[].value",
            ShownWith(json!("arn:aws:s3:::b/other.env"), files(json!({"executionRoleArn": ROLE}))),
        ),
        (
            "containerDefinitions[].environmentFiles[].type",
            ShownWith(json!("s3"), files(json!({"executionRoleArn": ROLE}))),
        ),
        ("containerDefinitions[].secrets[].name", ShownWith(json!("T"), secret.clone())),
        ("containerDefinitions[].secrets[].valueFrom", ShownWith(json!("/b"), secret)),
        ("containerDefinitions[].mountPoints[].sourceVolume", ShownWith(json!("v"), volume.clone())),
        ("containerDefinitions[].mountPoints[].containerPath", ShownWith(json!("/w"), volume.clone())),
        ("containerDefinitions[].mountPoints[].readOnly", ShownWith(json!(true), volume)),
        ("containerDefinitions[].volumesFrom[].sourceContainer", ShownWith(json!("helper"), from.clone())),
        ("containerDefinitions[].volumesFrom[].readOnly", ShownWith(json!(true), from)),
        ("containerDefinitions[].linuxParameters.capabilities.add", Shown(json!(["SYS_PTRACE"]))),
        ("containerDefinitions[].linuxParameters.capabilities.drop", Shown(json!(["NET_RAW"]))),
        ("containerDefinitions[].linuxParameters.devices", Refused(json!([{"hostPath": "/dev/fuse"}]))),
        ("containerDefinitions[].linuxParameters.initProcessEnabled", Shown(json!(true))),
        ("containerDefinitions[].linuxParameters.sharedMemorySize", Refused(json!(64))),
        ("containerDefinitions[].linuxParameters.tmpfs[].containerPath", ShownWith(json!("/u"), tmpfs.clone())),
        ("containerDefinitions[].linuxParameters.tmpfs[].size", ShownWith(json!(16), tmpfs.clone())),
        ("containerDefinitions[].linuxParameters.tmpfs[].mountOptions", ShownWith(json!(["noexec"]), tmpfs)),
        ("containerDefinitions[].linuxParameters.maxSwap", Refused(json!(1))),
        ("containerDefinitions[].linuxParameters.swappiness", Refused(json!(60))),
        ("containerDefinitions[].dependsOn[].containerName", ShownWith(json!("helper"), depends("START"))),
        ("containerDefinitions[].dependsOn[].condition", ShownWith(json!("HEALTHY"), depends("START"))),
        ("containerDefinitions[].startTimeout", Shown(json!(100))),
        ("containerDefinitions[].stopTimeout", Shown(json!(100))),
        ("containerDefinitions[].versionConsistency", Shown(json!("disabled"))),
        ("containerDefinitions[].hostname", Refused(json!("h"))),
        ("containerDefinitions[].user", Shown(json!("1000:1000"))),
        ("containerDefinitions[].workingDirectory", Shown(json!("/srv"))),
        ("containerDefinitions[].disableNetworking", Refused(json!(true))),
        ("containerDefinitions[].privileged", Refused(json!(true))),
        ("containerDefinitions[].readonlyRootFilesystem", Shown(json!(true))),
        ("containerDefinitions[].dnsServers", Refused(json!(["10.0.0.1"]))),
        ("containerDefinitions[].dnsSearchDomains", Refused(json!(["a.b"]))),
        ("containerDefinitions[].extraHosts", Refused(json!([{"hostname": "h", "ipAddress": "10.0.0.1"}]))),
        ("containerDefinitions[].dockerSecurityOptions", Refused(json!(["no-new-privileges"]))),
        ("containerDefinitions[].interactive", Shown(json!(true))),
        ("containerDefinitions[].pseudoTerminal", Shown(json!(true))),
        ("containerDefinitions[].dockerLabels", Shown(json!({"a": "b"}))),
        ("containerDefinitions[].ulimits[].name", ShownWith(json!("nofile"), ulimit.clone())),
        ("containerDefinitions[].ulimits[].softLimit", ShownWith(json!(11), ulimit.clone())),
        ("containerDefinitions[].ulimits[].hardLimit", ShownWith(json!(12), ulimit)),
        ("containerDefinitions[].logConfiguration.logDriver", ShownWith(json!("awslogs"), logs.clone())),
        ("containerDefinitions[].logConfiguration.options", ShownWith(json!({"mode": "blocking"}), logs.clone())),
        (
            "containerDefinitions[].logConfiguration.secretOptions",
            RefusedWith(json!([{"name": "S", "valueFrom": "arn"}]), logs),
        ),
        ("containerDefinitions[].healthCheck.command", Shown(json!(["CMD-SHELL", "true"]))),
        ("containerDefinitions[].healthCheck.interval", ShownWith(json!(9), check.clone())),
        ("containerDefinitions[].healthCheck.timeout", ShownWith(json!(9), check.clone())),
        ("containerDefinitions[].healthCheck.retries", ShownWith(json!(9), check.clone())),
        ("containerDefinitions[].healthCheck.startPeriod", ShownWith(json!(9), check)),
        (
            "containerDefinitions[].systemControls[].namespace",
            ShownWith(json!("net.ipv4.tcp_syncookies"), sysctl.clone()),
        ),
        ("containerDefinitions[].systemControls[].value", ShownWith(json!("10"), sysctl)),
        ("containerDefinitions[].resourceRequirements", Refused(json!([{"type": "GPU", "value": "1"}]))),
        ("containerDefinitions[].firelensConfiguration", Refused(json!({"type": "fluentbit"}))),
        ("containerDefinitions[].credentialSpecs", Refused(json!(["credentialspecdomainless:arn"]))),
    ]
}

fn overrides() -> Vec<(&'static str, Fate)> {
    let named = |more: Value| {
        let mut container = json!({"name": "app"});
        merge(&mut container, &more);
        json!({"containerOverrides": [container]})
    };
    let name = named(json!({}));
    let mut files = named(json!({"environmentFiles": [{"value": "arn:aws:s3:::b/a.env", "type": "s3"}]}));
    files["executionRoleArn"] = json!(ROLE);
    vec![
        ("containerOverrides[].name", Shown(json!("app"))),
        ("containerOverrides[].command", ShownWith(json!(["x"]), name.clone())),
        (
            "containerOverrides[].environment[].name",
            ShownWith(json!("N"), named(json!({"environment": [{"value": "v"}]}))),
        ),
        (
            "containerOverrides[].environment[].value",
            ShownWith(json!("V"), named(json!({"environment": [{"name": "n"}]}))),
        ),
        ("containerOverrides[].environmentFiles[].value", ShownWith(json!("arn:aws:s3:::b/other.env"), files.clone())),
        ("containerOverrides[].environmentFiles[].type", ShownWith(json!("s3"), files)),
        ("containerOverrides[].cpu", ShownWith(json!(99), name.clone())),
        ("containerOverrides[].memory", ShownWith(json!(99), name.clone())),
        ("containerOverrides[].memoryReservation", ShownWith(json!(99), name)),
        ("containerOverrides[].resourceRequirements", Refused(json!([{"type": "GPU", "value": "1"}]))),
        ("cpu", ShownWith(json!("512"), json!({"memory": "1024"}))),
        ("memory", Shown(json!("1024"))),
        ("inferenceAcceleratorOverrides", Refused(json!([{"deviceName": "d"}]))),
        ("executionRoleArn", Shown(json!(ROLE))),
        ("taskRoleArn", Shown(json!(ROLE))),
        ("ephemeralStorage.sizeInGiB", Shown(json!(30))),
    ]
}

/// `{"a": [{"b": value}]}` for `a[].b`.
fn at(path: &str, value: Value) -> Value {
    path.rsplit('.').fold(value, |value, part| match part.strip_suffix("[]") {
        Some(name) => json!({name: [value]}),
        None => json!({part: value}),
    })
}

/// Lays `more` over `value`; lists element by element.
fn merge(value: &mut Value, more: &Value) {
    match (value, more) {
        (Value::Object(value), Value::Object(more)) => {
            for (key, more) in more {
                merge(value.entry(key.clone()).or_insert(Value::Null), more);
            }
        }
        (Value::Array(value), Value::Array(more)) if more.iter().all(Value::is_object) => {
            value.resize(value.len().max(more.len()), json!({}));
            value.iter_mut().zip(more).for_each(|(value, more)| merge(value, more));
        }
        (value, more) => *value = more.clone(),
    }
}

fn contains(seen: &Value, wanted: &Value) -> bool {
    match (seen, wanted) {
        (Value::Object(seen), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| seen.get(key).is_some_and(|seen| contains(seen, wanted)))
        }
        (Value::Array(seen), Value::Array(wanted)) => {
            seen.len() >= wanted.len() && seen.iter().zip(wanted).all(|(seen, wanted)| contains(seen, wanted))
        }
        (seen, wanted) => seen == wanted,
    }
}

/// The paths of all scalars, lists of scalars and maps in a structure.
fn leaves(schema: &'static Schema, prefix: &str, found: &mut Vec<String>) {
    let Kind::Structure(members) = schema.kind else { return };
    for member in members {
        let (mut path, mut schema) = (format!("{prefix}{}", member.name), member.schema);
        if let Kind::List(list) = schema.kind
            && matches!(list.element.kind, Kind::Structure(_))
        {
            (path, schema) = (path + "[]", list.element);
        }
        match schema.kind {
            Kind::Structure(_) => leaves(schema, &format!("{path}."), found),
            _ => found.push(path),
        }
    }
}

/// Every field has a row, and every row is true.
fn walk(schema: &'static Schema, rows: Vec<(&str, Fate)>, send: impl Fn(&Value) -> Result<Value, AwsError>) {
    let mut fields = Vec::new();
    leaves(schema, "", &mut fields);
    let covers = |(row, fate): &(&str, Fate), field: &str| {
        let below = field.strip_prefix(row).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
        below && (field == *row || matches!(fate, Refused(_) | RefusedWith(..)) || *row == "tags")
    };
    let forgotten: Vec<_> = fields.iter().filter(|field| !rows.iter().any(|row| covers(row, field))).collect();
    assert!(forgotten.is_empty(), "what becomes of {forgotten:?}?");
    for (path, fate) in rows {
        match fate {
            // Nothing can be given for it, or it is looked at elsewhere.
            Shown(Value::Null) | Refused(Value::Null) => {}
            Refused(value) => refused(path, value, json!({}), &send),
            RefusedWith(value, with) => refused(path, value, with, &send),
            Shown(value) => shown(path, value, json!({}), &send),
            ShownWith(value, with) => shown(path, value, with, &send),
        }
    }
}

fn refused(path: &str, value: Value, with: Value, send: &impl Fn(&Value) -> Result<Value, AwsError>) {
    let name = path.rsplit('.').next().unwrap_or(path).trim_end_matches("[]");
    let mut input = with;
    merge(&mut input, &at(path, value));
    match send(&input) {
        Err(error) => {
            let known = ["ClientException", "InvalidParameterException"].contains(&error.code.as_ref());
            assert!(known && error.message.contains(name), "{path}: {error:?}")
        }
        Ok(seen) => panic!("{path} is not refused: {seen}"),
    }
}

fn shown(path: &str, value: Value, with: Value, send: &impl Fn(&Value) -> Result<Value, AwsError>) {
    let wanted = at(path, value);
    let mut input = with;
    merge(&mut input, &wanted);
    match send(&input) {
        Ok(seen) => assert!(contains(&seen, &wanted), "{path}: {wanted} is not in {seen}"),
        Err(error) => panic!("{path} is refused: {error:?}"),
    }
}

const ROLE: &str = "arn:aws:iam::123456789012:role/web";

/// A role that ECS tasks may assume.
fn make_role(fixture: &Fixture) {
    fixture.write(|tx, cx| {
        let trust_policy = r#"{"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}]}"#;
        let input = longshore_aws_model::iam::CreateRoleInput {
            role_name: "web".to_owned(),
            assume_role_policy_document: trust_policy.to_owned(),
            ..Default::default()
        };
        crate::iam::create_role::create_role(tx, cx, input).expect("a role");
    });
}

fn base() -> Value {
    json!({"family": "f", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
           "containerDefinitions": [{"name": "app", "image": "busybox"}]})
}

fn register(fixture: &Fixture, more: &Value) -> Result<Value, AwsError> {
    let mut input = base();
    merge(&mut input, more);
    let input = decode::<ecs::RegisterTaskDefinition>(Protocol::Json11, input.to_string().as_bytes())?;
    let output = fixture.try_write(|tx, cx| register_task_definition(tx, cx, input))?;
    Ok(encoded::<ecs::RegisterTaskDefinition>(&output)["taskDefinition"].clone())
}

fn encoded<O: Operation>(output: &O::Output) -> Value {
    let call = Call {
        operation: O::SCHEMA,
        protocol: Protocol::Json11,
        payload: b"",
        head: &Head::default(),
        request_id: "id",
    };
    serde_json::from_slice(&call.output::<O>(output).body).expect("JSON")
}

#[test]
fn every_field_of_a_task_definition_is_obeyed_or_refused_by_name() {
    let fixture = Fixture::new();
    walk(ecs::RegisterTaskDefinition::SCHEMA.input, task_definition(), |more| register(&fixture, more));
}

#[test]
fn every_field_of_the_overrides_is_obeyed_or_refused_by_name() {
    let fixture = Fixture::new();
    make_role(&fixture);
    register(&fixture, &json!({})).expect("it is registered");
    fixture.write(|tx, cx| {
        super::create_cluster::create_cluster(tx, cx, Default::default()).expect("a cluster");
    });
    let subnet =
        fixture.read(|state, _| state.subnets().all().next().map(|subnet| subnet.id.to_string())).expect("one");
    let run = |overrides: &Value| {
        let input = json!({"taskDefinition": "f", "launchType": "FARGATE", "overrides": overrides,
            "networkConfiguration": {"awsvpcConfiguration": {"subnets": [subnet]}}});
        let input = decode::<ecs::RunTask>(Protocol::Json11, input.to_string().as_bytes())?;
        let output = fixture.try_write(|tx, cx| run_task(tx, cx, input))?;
        Ok(encoded::<ecs::RunTask>(&output)["tasks"][0]["overrides"].clone())
    };
    let members = ecs::RunTask::SCHEMA.input.members();
    let schema = members.iter().find(|m| m.name == "overrides").expect("RunTask has overrides").schema;
    walk(schema, overrides(), run);
}

//! The JSON of a task and of a container.
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-fargate-response.html>

use crate::hub::Known;
use crate::local::StorageUse;
use crate::spec;
use longshore_runtime::protocol as rt;
use longshore_types::Timestamp;
use longshore_types::ecs::{ContainerStatus, HealthStatus};
use longshore_types::node::{ContainerIntent, RunIntent, TaskIntent, TaskPhase};
use serde_json::{Map, Value, json};

/// Version 4 says more of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    V3,
    V4,
}

pub fn task(known: &Known, storage: Option<StorageUse>, version: Version) -> Value {
    let (task, seen) = (&known.intent, known.seen.as_ref());
    let containers: Vec<Value> = task.containers.iter().map(|c| container(known, c, version)).collect();
    let mut body = json!({
        "Cluster": task.cluster_arn,
        "TaskARN": task.arn,
        "Family": task.family,
        "Revision": task.revision.to_string(),
        "DesiredStatus": desired(task),
        "KnownStatus": status(seen.map_or(TaskPhase::Pending, |seen| seen.phase)),
        "Limits": {"CPU": f64::from(task.cpu_units) / 1024.0, "Memory": task.memory_mib},
        "AvailabilityZone": task.zone,
        "AvailabilityZoneID": task.zone_id,
        "LaunchType": task.launch_type,
        "VPCID": task.network.vpc,
        "Group": task.group,
        "Containers": containers,
        "FaultInjectionEnabled": false,
    });
    let object = body.as_object_mut().expect("it is made as an object");
    insert(object, "ServiceName", task.service.as_ref().map(|name| json!(name)));
    insert(object, "PullStartedAt", seen.and_then(|s| s.pull_started_at).map(time));
    insert(object, "PullStoppedAt", seen.and_then(|s| s.pull_stopped_at).map(time));
    insert(object, "ExecutionStoppedAt", seen.and_then(|s| s.execution_stopped_at).map(time));
    insert(object, "ClockDrift", clock());
    // MiB.
    let storage = storage.map(|s| json!({"Utilized": s.used >> 20, "Reserved": s.reserved >> 20}));
    insert(object, "EphemeralStorageMetrics", storage);
    body
}

pub fn container(known: &Known, container: &ContainerIntent, version: Version) -> Value {
    let (task, definition) = (&known.intent, &container.definition);
    let observed = known.seen.as_ref().and_then(|seen| seen.containers.iter().find(|c| c.name == definition.name));
    let state = known.containers.get(&definition.name);
    let mut body = json!({
        "DockerId": spec::runtime_id(&task.id, container),
        "Name": definition.name,
        "DockerName": definition.name,
        "Image": definition.image,
        "ImageID": observed.and_then(|c| c.image_digest.clone()).unwrap_or_default(),
        "Labels": {
            "com.amazonaws.ecs.cluster": task.cluster_arn,
            "com.amazonaws.ecs.container-name": definition.name,
            "com.amazonaws.ecs.task-arn": task.arn,
            "com.amazonaws.ecs.task-definition-family": task.family,
            "com.amazonaws.ecs.task-definition-version": task.revision.to_string(),
        },
        "DesiredStatus": desired(task),
        "KnownStatus": observed.map_or(ContainerStatus::Pending, |c| c.status),
        "Limits": {"CPU": definition.cpu_units},
        "Type": "NORMAL",
        "ContainerARN": container.arn,
        "Networks": [network(task, version)],
    });
    if let Some(labels) = body["Labels"].as_object_mut() {
        labels.extend(definition.docker_labels.iter().map(|(name, value)| (name.clone(), json!(value))));
    }
    if let Some(memory) = definition.memory_mib.or(definition.memory_reservation_mib) {
        body["Limits"]["Memory"] = json!(memory);
    }
    let object = body.as_object_mut().expect("it is made as an object");
    let ports = definition.ports.iter().filter(|port| port.last_port.is_none());
    let ports: Vec<Value> = ports
        .map(|p| json!({"ContainerPort": p.container_port, "Protocol": p.protocol, "HostPort": p.container_port}))
        .collect();
    insert(object, "Ports", (!ports.is_empty()).then(|| json!(ports)));
    insert(object, "ExitCode", observed.and_then(|c| c.exit_code).map(|code| json!(code)));
    insert(object, "CreatedAt", known.seen.as_ref().and_then(|s| s.pull_stopped_at).map(time));
    if let Some((state, health_since)) = state {
        insert(object, "StartedAt", state.started_at_ms.map(time_ms));
        insert(object, "FinishedAt", state.finished_at_ms.map(time_ms));
        if definition.restart_policy.as_ref().is_some_and(|policy| policy.enabled) {
            insert(object, "RestartCount", Some(json!(state.restart_count)));
        }
        if definition.health_check.is_some() {
            insert(object, "Health", Some(health(state, *health_since)));
        }
    }
    if version == Version::V4 {
        insert(object, "Snapshotter", Some(json!("overlayfs")));
        insert(object, "LogDriver", definition.log.as_ref().map(|_| json!("awslogs")));
        insert(object, "LogOptions", definition.log.as_ref().map(|log| json!(log.options)));
    }
    body
}

fn network(task: &TaskIntent, version: Version) -> Value {
    let network = &task.network;
    if version == Version::V3 {
        return json!({"NetworkMode": "awsvpc", "IPv4Addresses": [network.address]});
    }
    let gateway = network.subnet_cidr.nth(1).map(|address| format!("{address}/{}", network.subnet_cidr.prefix()));
    json!({
        "NetworkMode": "awsvpc",
        "IPv4Addresses": [network.address],
        "AttachmentIndex": 0,
        "MACAddress": network.mac,
        "IPv4SubnetCIDRBlock": network.subnet_cidr,
        "DomainNameServers": network.resolver.name_servers,
        "DomainNameSearchList": network.resolver.search,
        "PrivateDNSName": network.private_dns_name,
        "SubnetGatewayIpv4Address": gateway,
    })
}

fn health(state: &rt::ContainerState, since: Timestamp) -> Value {
    let status = match state.health {
        rt::Health::Healthy => HealthStatus::Healthy,
        rt::Health::Unhealthy => HealthStatus::Unhealthy,
        rt::Health::Unknown => HealthStatus::Unknown,
    };
    let mut body = json!({"status": status, "statusSince": since.rfc3339()});
    let object = body.as_object_mut().expect("it is made as an object");
    insert(object, "exitCode", state.health_exit_code.map(|code| json!(code)));
    insert(object, "output", (!state.health_output.is_empty()).then(|| json!(state.health_output)));
    body
}

fn insert(object: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        object.insert(name.to_owned(), value);
    }
}

fn time(at: Timestamp) -> Value {
    json!(at.rfc3339())
}

fn time_ms(at: u64) -> Value {
    time(Timestamp(at as i64))
}

fn desired(task: &TaskIntent) -> &'static str {
    match task.run {
        RunIntent::Run => "RUNNING",
        RunIntent::Stop { .. } => "STOPPED",
    }
}

fn status(phase: TaskPhase) -> &'static str {
    match phase {
        TaskPhase::Pending | TaskPhase::Activating => "PENDING",
        TaskPhase::Running => "RUNNING",
        TaskPhase::Stopping | TaskPhase::Stopped => "STOPPED",
    }
}

/// What the kernel says of the clock: the bound of its error in milliseconds, and whether anybody disciplines it.
fn clock() -> Option<Value> {
    // SAFETY: all zero is valid for this plain struct, and asks for nothing to be changed.
    let mut state: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: the struct is valid for the call.
    if unsafe { libc::adjtimex(&mut state) } < 0 {
        return None;
    }
    let synchronized = state.status & libc::STA_UNSYNC == 0;
    let at = Timestamp(state.time.tv_sec * 1000);
    Some(json!({
        "ClockErrorBound": state.maxerror as f64 / 1000.0,
        "ReferenceTimestamp": at.rfc3339(),
        "ClockSynchronizationStatus": if synchronized { "SYNCHRONIZED" } else { "NOT_SYNCHRONIZED" },
    }))
}

//! 169.254.170.2 in each VPC: task metadata v4 and the task role's credentials.
//!
//! One listener a VPC. The VPC's reverse-path filter makes a packet's source address the task's identity, so a task can
//! only ask about itself; the paths hold ids besides, as on AWS.
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-fargate.html>

use crate::{Node, spec};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use longshore_types::ecs::ContainerStatus;
use longshore_types::node::{ContainerIntent, TaskIntent, TaskObservation, TaskPhase};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// The listeners, by VPC.
pub struct Endpoints {
    node: Arc<Node>,
    running: HashMap<String, JoinHandle<()>>,
}

impl Endpoints {
    pub fn new(node: Arc<Node>) -> Self {
        Self { node, running: HashMap::new() }
    }

    /// Listens in exactly these VPCs.
    pub fn serve(&mut self, vpcs: Vec<&str>) {
        self.running.retain(|vpc, task| {
            let stays = vpcs.contains(&vpc.as_str()) && !task.is_finished();
            if !stays {
                task.abort();
            }
            stays
        });
        for vpc in vpcs {
            if self.running.contains_key(vpc) {
                continue;
            }
            let path = longshore_network::namespace::path_of(&self.node.machine.options.run_dir, vpc);
            let address = SocketAddr::from((longshore_network::METADATA, 80));
            let listener = longshore_network::tcp_listener_in(&path, address)
                .map_err(|error| error.to_string())
                .and_then(|listener| tokio::net::TcpListener::from_std(listener).map_err(|error| error.to_string()));
            match listener {
                Ok(listener) => {
                    let task = tokio::spawn(accept(Arc::clone(&self.node), vpc.to_owned(), listener));
                    self.running.insert(vpc.to_owned(), task);
                }
                Err(error) => tracing::error!(error, vpc, "the metadata endpoint cannot listen"),
            }
        }
    }
}

async fn accept(node: Arc<Node>, vpc: String, listener: tokio::net::TcpListener) {
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        let IpAddr::V4(address) = peer.ip() else { continue };
        let (node, vpc) = (Arc::clone(&node), vpc.clone());
        tokio::spawn(async move {
            let answer = service_fn(move |request: Request<Incoming>| {
                let response = answer(&node, &vpc, address, request.uri().path());
                std::future::ready(Ok::<_, std::convert::Infallible>(response))
            });
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

fn answer(node: &Node, vpc: &str, from: Ipv4Addr, path: &str) -> Response<Full<Bytes>> {
    let found = node.find(|intent| intent.network.address == from && intent.network.vpc.as_str() == vpc);
    let Some((task, seen)) = found else {
        return reply(StatusCode::NOT_FOUND, &json!("no task has this address"));
    };
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts[..] {
        ["v2", "credentials", id] => credentials(&task, id),
        ["v4", id, ref rest @ ..] => {
            let Some(container) = task.containers.iter().find(|c| spec::runtime_id(c) == id) else {
                return reply(
                    StatusCode::BAD_REQUEST,
                    &json!(format!("V4 container metadata handler: unable to find container {id}")),
                );
            };
            match rest {
                [] => reply(StatusCode::OK, &container_metadata(&task, seen.as_ref(), container)),
                ["task"] => reply(StatusCode::OK, &task_metadata(&task, seen.as_ref(), false)),
                ["taskWithTags"] => reply(StatusCode::OK, &task_metadata(&task, seen.as_ref(), true)),
                _ => reply(StatusCode::NOT_FOUND, &json!(format!("{path} is not served by Longshore yet"))),
            }
        }
        _ => reply(StatusCode::NOT_FOUND, &json!("404 page not found")),
    }
}

fn reply(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

fn credentials(task: &TaskIntent, id: &str) -> Response<Full<Bytes>> {
    match &task.credentials {
        Some(c) if c.id == id => reply(
            StatusCode::OK,
            &json!({
                "RoleArn": c.role_arn,
                "AccessKeyId": c.access_key_id,
                "SecretAccessKey": c.secret_access_key,
                "Token": c.session_token,
                "Expiration": c.expires_at.rfc3339(),
            }),
        ),
        _ => reply(
            StatusCode::BAD_REQUEST,
            &json!({"code": "InvalidIdInRequest", "message": "CredentialsV2Request: ID not found", "HTTPErrorCode": 400}),
        ),
    }
}

fn task_metadata(task: &TaskIntent, seen: Option<&TaskObservation>, with_tags: bool) -> Value {
    let containers: Vec<Value> = task.containers.iter().map(|c| container_metadata(task, seen, c)).collect();
    let mut body = json!({
        "Cluster": task.cluster_arn,
        "TaskARN": task.arn,
        "Family": task.family,
        "Revision": task.revision.to_string(),
        "DesiredStatus": "RUNNING",
        "KnownStatus": status(seen.map_or(TaskPhase::Pending, |seen| seen.phase)),
        "Limits": {"CPU": f64::from(task.cpu_units) / 1024.0, "Memory": task.memory_mib},
        "AvailabilityZone": task.zone,
        "AvailabilityZoneID": task.zone_id,
        "LaunchType": task.launch_type,
        "VPCID": task.network.vpc,
        "Group": task.group,
        "Containers": containers,
    });
    let object = body.as_object_mut().expect("it is made as an object");
    insert(object, "ServiceName", task.service.as_ref().map(|name| json!(name)));
    insert(object, "PullStartedAt", seen.and_then(|s| s.pull_started_at).map(|at| json!(at.rfc3339())));
    insert(object, "PullStoppedAt", seen.and_then(|s| s.pull_stopped_at).map(|at| json!(at.rfc3339())));
    insert(object, "TaskTags", (with_tags && !task.tags.is_empty()).then(|| json!(task.tags)));
    body
}

fn insert(object: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        object.insert(name.to_owned(), value);
    }
}

fn status(phase: TaskPhase) -> &'static str {
    match phase {
        TaskPhase::Pending | TaskPhase::Activating => "PENDING",
        TaskPhase::Running => "RUNNING",
        TaskPhase::Stopping | TaskPhase::Stopped => "STOPPED",
    }
}

fn container_metadata(task: &TaskIntent, seen: Option<&TaskObservation>, container: &ContainerIntent) -> Value {
    let definition = &container.definition;
    let observed = seen.and_then(|seen| seen.containers.iter().find(|c| c.name == definition.name));
    let network = &task.network;
    let gateway = network.subnet_cidr.nth(1).map(|address| format!("{address}/{}", network.subnet_cidr.prefix()));
    let mut body = json!({
        "DockerId": spec::runtime_id(container),
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
        "DesiredStatus": "RUNNING",
        "KnownStatus": observed.map_or(ContainerStatus::Pending, |c| c.status),
        "Limits": {"CPU": definition.cpu_units},
        "Type": "NORMAL",
        "ContainerARN": container.arn,
        "Snapshotter": "overlayfs",
        "Networks": [{
            "NetworkMode": "awsvpc",
            "IPv4Addresses": [network.address],
            "AttachmentIndex": 0,
            "MACAddress": network.mac,
            "IPv4SubnetCIDRBlock": network.subnet_cidr,
            "DomainNameServers": network.vpc_cidr.nth(2).into_iter().collect::<Vec<_>>(),
            "PrivateDNSName": network.private_dns_name,
            "SubnetGatewayIpv4Address": gateway,
        }],
    });
    if let Some(labels) = body["Labels"].as_object_mut() {
        labels.extend(definition.docker_labels.iter().map(|(name, value)| (name.clone(), json!(value))));
    }
    if let Some(memory) = definition.memory_mib {
        body["Limits"]["Memory"] = json!(memory);
    }
    let object = body.as_object_mut().expect("it is made as an object");
    insert(object, "ExitCode", observed.and_then(|c| c.exit_code).map(|code| json!(code)));
    insert(object, "StartedAt", seen.and_then(|s| s.started_at).map(|at| json!(at.rfc3339())));
    insert(object, "CreatedAt", seen.and_then(|s| s.pull_stopped_at).map(|at| json!(at.rfc3339())));
    insert(object, "LogDriver", definition.log.as_ref().map(|_| json!("awslogs")));
    insert(object, "LogOptions", definition.log.as_ref().map(|log| json!(log.options)));
    if definition.health_check.is_some() {
        insert(object, "Health", observed.map(|c| json!({"status": c.health})));
    }
    body
}

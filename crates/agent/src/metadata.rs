//! 169.254.170.2 in each VPC: task metadata v3 and v4, statistics, and the task role's credentials.
//!
//! One listener a VPC. The VPC's reverse-path filter makes a packet's source address the task's identity, so a task can
//! only ask about itself; the paths hold ids besides, as on AWS.
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-fargate.html>

mod document;
mod stats;

use crate::hub::Known;
use crate::{Node, spec};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use longshore_types::node::TaskIntent;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// The listeners, by VPC.
pub struct Endpoints {
    node: Arc<Node>,
    samples: Arc<stats::Samples>,
    running: HashMap<String, JoinHandle<()>>,
}

impl Endpoints {
    pub fn new(node: Arc<Node>) -> Self {
        Self { node, samples: Arc::default(), running: HashMap::new() }
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
                    let task = tokio::spawn(accept(
                        Arc::clone(&self.node),
                        Arc::clone(&self.samples),
                        vpc.to_owned(),
                        listener,
                    ));
                    self.running.insert(vpc.to_owned(), task);
                }
                Err(error) => tracing::error!(error, vpc, "the metadata endpoint cannot listen"),
            }
        }
    }
}

async fn accept(node: Arc<Node>, samples: Arc<stats::Samples>, vpc: String, listener: tokio::net::TcpListener) {
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        let IpAddr::V4(address) = peer.ip() else { continue };
        let (node, samples, vpc) = (Arc::clone(&node), Arc::clone(&samples), vpc.clone());
        tokio::spawn(async move {
            let answer = service_fn(|request: Request<Incoming>| {
                let (node, samples, vpc) = (&node, &samples, &vpc);
                async move {
                    let found = node.find(|task| task.network.address == address && task.network.vpc.as_str() == vpc);
                    let response = match found {
                        Some(known) => answer(node, samples, &known, request.uri().path()).await,
                        None => reply(StatusCode::NOT_FOUND, &json!("no task has this address")),
                    };
                    Ok::<_, std::convert::Infallible>(response)
                }
            });
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

async fn answer(node: &Node, samples: &stats::Samples, known: &Known, path: &str) -> Response<Full<Bytes>> {
    let task = &known.intent;
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let (version, id, rest) = match parts[..] {
        ["v2", "credentials", id] => return credentials(task, id),
        ["v3", id, ref rest @ ..] => (document::Version::V3, id, rest),
        ["v4", id, ref rest @ ..] => (document::Version::V4, id, rest),
        _ => return reply(StatusCode::NOT_FOUND, &json!("404 page not found")),
    };
    let Some(container) = task.containers.iter().find(|c| spec::runtime_id(&task.id, c) == id) else {
        let text = format!("{version:?} container metadata handler: unable to find container {id}");
        return reply(StatusCode::BAD_REQUEST, &json!(text));
    };
    match rest {
        [] => reply(StatusCode::OK, &document::container(known, container, version)),
        ["task"] => reply(StatusCode::OK, &document::task(known, node.machine.storage(task).await, version)),
        ["taskWithTags"] => {
            let mut body = document::task(known, node.machine.storage(task).await, version);
            if !task.tags.is_empty() {
                body["TaskTags"] = json!(task.tags);
            }
            reply(StatusCode::OK, &body)
        }
        ["stats"] => {
            let of_all = samples.take(node, known).await;
            reply(StatusCode::OK, of_all.get(id).unwrap_or(&Value::Null))
        }
        ["task", "stats"] => reply(StatusCode::OK, &Value::Object(samples.take(node, known).await)),
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

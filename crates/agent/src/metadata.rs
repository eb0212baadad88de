//! 169.254.170.2:80 in each VPC: task metadata v3 and v4, statistics, the task role's credentials, task protection.
//!
//! A packet's source address is the task's identity, so a task can only ask about itself; the paths hold ids besides, as
//! on AWS.
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-fargate.html>

mod document;
mod protection;
mod stats;

pub use stats::Samples;

use crate::hub::Known;
use crate::{Node, endpoints, spec};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use longshore_types::node::TaskIntent;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use tokio::net::TcpStream;

type Reply = Response<Full<Bytes>>;

/// Bytes of a request's body: two short fields.
const BODY_MAX: usize = 4096;

/// Serves one connection from a task.
pub async fn serve(node: Arc<Node>, samples: Arc<Samples>, vpc: String, from: Ipv4Addr, stream: TcpStream) {
    let answer = service_fn(|request: Request<Incoming>| {
        let (node, samples, vpc) = (&node, &samples, &vpc);
        async move {
            let found = node.find(|task| task.network.address == from && task.network.vpc.as_str() == vpc);
            let response = match found {
                Some(known) => answer(node, samples, &known, request).await,
                None => reply(StatusCode::NOT_FOUND, &json!("no task has this address")),
            };
            Ok::<_, Infallible>(response)
        }
    });
    let _ = endpoints::http().serve_connection(TokioIo::new(stream), answer).await;
}

async fn answer(node: &Node, samples: &Samples, known: &Known, request: Request<Incoming>) -> Reply {
    let task = &known.intent;
    let (head, body) = request.into_parts();
    let parts: Vec<&str> = head.uri.path().split('/').filter(|part| !part.is_empty()).collect();
    let (version, id, rest) = match parts[..] {
        ["v2", "credentials", id] => return credentials(task, id),
        ["api", id, "task-protection", "v1", "state"] => {
            let is_its = task.containers.iter().any(|c| spec::runtime_id(&task.id, c) == id);
            // What cannot be read is no request.
            let body =
                Limited::new(body, BODY_MAX).collect().await.map_or_else(|_| Bytes::new(), |body| body.to_bytes());
            return protection::answer(node, is_its.then_some(task), &head.method, &body).await;
        }
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

fn reply(status: StatusCode, body: &Value) -> Reply {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

fn credentials(task: &TaskIntent, id: &str) -> Reply {
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

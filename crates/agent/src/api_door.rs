//! 169.254.170.2:4566 in each VPC: the AWS API, for SDKs inside tasks.
//!
//! A task cannot reach the machine's loopback addresses, where the server listens. This door hands its requests on as they
//! are, `Host` header included, so that their signatures stay good, and tells the server whose they are. It opens for tasks alone, and to the AWS API alone:
//! neither the registry nor Longshore's own paths are a container's business, but for the keys by which it verifies what load
//! balancers say of users.

use crate::{Node, endpoints};
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONNECTION, EXPECT, HOST, HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use longshore_types::link::HOP_HEADER;
use std::convert::Infallible;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::Mutex;

type Body = BoxBody<Bytes, hyper::Error>;
/// The connection to the server, kept between the requests of one client connection.
type Upstream = Arc<Mutex<Option<SendRequest<Incoming>>>>;

/// AWS publishes these at `https://public-keys.auth.elb.<region>.amazonaws.com/`.
const PUBLIC_KEYS: &str = "/_longshore/elb/public-keys/";

/// Serves one connection from a task.
pub async fn serve(node: Arc<Node>, vpc: String, from: Ipv4Addr, stream: TcpStream) {
    let upstream = Upstream::default();
    let service = service_fn(move |request: Request<Incoming>| {
        let (node, vpc, upstream) = (Arc::clone(&node), vpc.clone(), Arc::clone(&upstream));
        async move { Ok::<_, Infallible>(answer(&node, &vpc, from, &upstream, request).await) }
    });
    let _ = endpoints::http().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    node: &Node,
    vpc: &str,
    from: Ipv4Addr,
    upstream: &Upstream,
    request: Request<Incoming>,
) -> Response<Body> {
    let is_task = node.find(|task| task.network.address == from && task.network.vpc.as_str() == vpc).is_some();
    if !is_task {
        return text(StatusCode::FORBIDDEN, "No task has this address.\n");
    }
    if !is_offered(request.uri().path()) {
        return text(StatusCode::NOT_FOUND, "Tasks are offered the AWS API here, and nothing else.\n");
    }
    match forward(node, from, upstream, request).await {
        Ok(response) => response.map(BodyExt::boxed),
        Err(error) => {
            tracing::debug!(%error, vpc, %from, "a task's request could not be handed on");
            // SDKs try again: the server is being restarted, most likely.
            text(StatusCode::SERVICE_UNAVAILABLE, "The AWS API is not there at the moment.\n")
        }
    }
}

/// Whether a path is the AWS API's.
fn is_offered(path: &str) -> bool {
    let registry = path == "/v2" || path.starts_with("/v2/");
    path.starts_with(PUBLIC_KEYS) || (!registry && !path.starts_with("/_longshore"))
}

async fn forward(
    node: &Node,
    from: Ipv4Addr,
    upstream: &Upstream,
    mut request: Request<Incoming>,
) -> Result<Response<Incoming>, Box<dyn std::error::Error + Send + Sync>> {
    // These concern one connection, and there are two.
    for name in [CONNECTION, EXPECT] {
        request.headers_mut().remove(name);
    }
    if !request.headers().contains_key(HOST) {
        return Err("the request has no Host header".into());
    }
    mark(node, from, request.headers_mut());
    let mut kept = upstream.lock().await;
    let ready = match kept.as_mut() {
        Some(sender) => sender.ready().await.is_ok(),
        None => false,
    };
    if !ready {
        *kept = Some(connect(node).await?);
    }
    let sender = kept.as_mut().ok_or("there is no connection")?;
    Ok(sender.send_request(request).await?)
}

/// Says for whom the request comes; what the task itself has said of that goes.
fn mark(node: &Node, from: Ipv4Addr, headers: &mut HeaderMap) {
    headers.remove(HOP_HEADER);
    let password = node.welcome.borrow().as_ref().map(|welcome| welcome.hop_password.clone()).unwrap_or_default();
    if let Ok(mut value) = HeaderValue::from_str(&format!("{password} {from}")) {
        value.set_sensitive(true);
        headers.insert(HOP_HEADER, value);
    }
}

async fn connect(node: &Node) -> Result<SendRequest<Incoming>, Box<dyn std::error::Error + Send + Sync>> {
    let url = node.welcome.borrow().as_ref().map(|welcome| welcome.api_url.clone());
    let url = url.ok_or_else(|| io::Error::other("no control plane has been seen yet"))?;
    let stream = TcpStream::connect(url.trim_start_matches("http://")).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to the AWS API ended early");
        }
    });
    Ok(sender)
}

fn text(status: StatusCode, text: &'static str) -> Response<Body> {
    let body = Full::new(Bytes::from_static(text.as_bytes())).map_err(|never: Infallible| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_aws_api_is_offered() {
        for (path, offered) in [
            ("/", true),
            ("/clusters", true),
            ("/v2", false),
            ("/v2/app/manifests/latest", false),
            ("/_longshore/state/reset", false),
            ("/_longshore/elb/public-keys/0", true),
            ("/_longshore/elb/", false),
        ] {
            assert_eq!(is_offered(path), offered, "{path}");
        }
    }
}

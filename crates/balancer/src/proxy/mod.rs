//! What happens to one request: rules, an action, and for a forward the way to the target and back.

mod body;
mod choose;
mod exchange;
mod headers;
pub(crate) mod host;
pub(crate) mod pool;
mod respond;
mod stickiness;
mod target_io;
pub(crate) mod trace_id;
pub(crate) mod tunnel;
mod upstream;

use std::rc::Rc;

use http::header::HOST;
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;

use crate::action::redirect::Origin;
use crate::compile::{Action, Forward, Route};
use crate::rule::RequestView;
use crate::worker::client::{Client, Phase};
use body::{Body, RequestBody};

/// A target that does not take a connection in this time is answered for with 504.
pub(crate) const CONNECT_TIMEOUT_MS: u64 = 10_000;

/// The listener is gone: the connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the listener is gone")]
pub(crate) struct ListenerGone;

/// Answers one request.
pub(crate) async fn handle(client: Rc<Client>, request: Request<Incoming>) -> Result<Response<Body>, ListenerGone> {
    let refusal = client.begin_request();
    let route = client.route().ok_or(ListenerGone)?;
    let counts = &route.load_balancer.counts;
    counts.requests.add(1);
    if let Some(status) = refusal {
        counts.own_response(status);
        return Ok(respond::error(status, true));
    }
    let is_websocket = request.headers().contains_key(http::header::UPGRADE);
    let mut response = act(&client, &route, request).await;
    if is_websocket && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        client.stay_http();
    }
    if client.worker.now_ms().saturating_sub(client.opened_ms) > route.load_balancer.client_keep_alive_ms {
        respond::close_after(&mut response);
    }
    Ok(response)
}

async fn act(client: &Rc<Client>, route: &Route, request: Request<Incoming>) -> Response<Body> {
    let counts = &route.load_balancer.counts;
    let host_header = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    // A target in absolute form names the host itself.
    let host = request.uri().authority().map(|authority| authority.as_str()).or(host_header).unwrap_or("");
    let view = RequestView {
        method: request.method(),
        path: request.uri().path(),
        query: request.uri().query(),
        host: host::without_port(host),
        headers: request.headers(),
        peer: client.peer.ip(),
    };
    match route.action(&view) {
        Action::Forward(forward) => match send_on(client, route, forward, request).await {
            Ok(response) => response,
            Err(status) => {
                client.set_phase(Phase::Idle);
                counts.own_response(status);
                // After a failure of the client's, nobody knows where its next request begins.
                respond::error(status, status.is_client_error())
            }
        },
        Action::Redirect(redirect) => {
            let origin =
                Origin { protocol: "http", host: view.host, port: route.port, path: view.path, query: view.query };
            let response = respond::redirect(redirect, &origin);
            counts.own_response(response.status());
            response
        }
        Action::FixedResponse(fixed) => {
            counts.fixed_responses.add(1);
            counts.own_response(fixed.status);
            respond::fixed(fixed)
        }
    }
}

async fn send_on(
    client: &Rc<Client>,
    route: &Route,
    forward: &Forward,
    request: Request<Incoming>,
) -> Result<Response<Body>, StatusCode> {
    let choice = choose::choose(forward, request.headers(), client.worker.now_ms());
    let choice = choice.ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
    let (mut head, incoming) = request.into_parts();
    if let Some(authority) = head.uri.authority() {
        // Two parsers may disagree on what a host with user information is.
        if authority.as_str().contains('@') {
            return Err(StatusCode::BAD_REQUEST);
        }
        let host = HeaderValue::try_from(authority.as_str()).map_err(|_| StatusCode::BAD_REQUEST)?;
        head.headers.insert(HOST, host);
        head.uri = origin_form(&head.uri);
    } else if !head.headers.contains_key(HOST) {
        // HTTP/1.0 need not name a host, HTTP/1.1 must.
        let host = HeaderValue::try_from(choice.target.address.to_string());
        head.headers.insert(HOST, host.expect("an address is printable ASCII"));
    }
    headers::to_target(&mut head.headers, client, route)?;
    head.version = Version::HTTP_11;
    // Holds the engine's handle for upgrades, which go their own way here.
    head.extensions.clear();
    let body = RequestBody::new(incoming, client.clone());
    let mut response = exchange::exchange(client, &choice, Request::from_parts(head, body)).await?;
    *response.version_mut() = Version::HTTP_11;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        headers::to_client(response.headers_mut());
    }
    choice.write_cookies(response.headers_mut(), client.worker.unix_seconds());
    Ok(response)
}

fn origin_form(uri: &Uri) -> Uri {
    uri.path_and_query().map_or_else(|| Uri::from_static("/"), |path| Uri::from(path.clone()))
}

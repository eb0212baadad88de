//! The HTTP edge: one port for every service, the registry and our own paths.

use crate::body::BODY_MAX;
use crate::browser;
use crate::serve::{Server, now, seed};
use crate::threads::Threads;
use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use longshore_api::ecs::spot;
use longshore_api::identity::{self, Authority, Enforced, Source};
use longshore_api::{Caller, Cx, ec2, routes, sts};
use longshore_aws_model::AwsError;
use longshore_aws_wire::sigv4::{BadSignature, SignedRequest};
use longshore_aws_wire::{Identified, Parts, Refused, identify};
use longshore_registry::Body;
use longshore_types::{Region, Scope};
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// Accepts connections, for the threads to serve, as long as the process lives. On a thread of its own, so that no controller
/// that looks at ten thousand tasks keeps a client waiting.
pub fn accept(threads: Threads, listener: TcpListener) -> anyhow::Result<()> {
    let run = move || {
        loop {
            let accepted = match listener.accept() {
                Ok((stream, _)) => threads.serve(stream),
                Err(error) => Err(error),
            };
            if let Err(error) = accepted {
                // Out of descriptors, most likely: wait for some to close.
                tracing::warn!(%error, "a connection could not be accepted");
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    };
    std::thread::Builder::new().name("accept".to_owned()).spawn(run).context("cannot start a thread")?;
    Ok(())
}

/// Serves one connection to its end.
pub async fn serve(server: Server, stream: TcpStream) {
    let (Ok(peer), Ok(local)) = (stream.peer_addr(), stream.local_addr()) else { return };
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let server = server.clone();
        async move { Ok::<_, Infallible>(answer(server, request, peer, local).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(60))
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn answer(server: Server, mut request: Request<Incoming>, peer: SocketAddr, local: SocketAddr) -> Response<Body> {
    let path = request.uri().path();
    // Signatures keep pages out of the API; what our own paths change, nobody signs.
    let changes_ours = path.starts_with("/_longshore/") && request.method() != http::Method::GET;
    let is_signed = server.settings.authority.is_some() && !changes_ours;
    if !is_signed && let Some(refusal) = browser::refusal(request.headers()) {
        return text(StatusCode::FORBIDDEN, "text/plain", refusal);
    }
    if path == "/v2" || path.starts_with("/v2/") {
        let source = source(&server, request.headers_mut(), peer.ip());
        request.extensions_mut().insert(source);
        return server.registry.handle(request).await;
    }
    if let Some(own) = path.strip_prefix("/_longshore/") {
        if let Some(key_id) = own.strip_prefix("elb/public-keys/") {
            return public_key(&server, request.method(), key_id);
        }
        if let Some(signed) = own.strip_prefix("layers/") {
            return layer(&server, &request, signed).await;
        }
        let own = own.to_owned();
        return ours(&server, request.method(), &own, peer, local).await;
    }
    aws(server, request, peer.ip()).await
}

fn text(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(body.into()).map_err(|never: Infallible| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    response
}

async fn aws(server: Server, request: Request<Incoming>, peer: IpAddr) -> Response<Body> {
    let (mut head, body) = request.into_parts();
    let source = source(&server, &mut head.headers, peer);
    let encoding = head.headers.get(http::header::CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("unknown"));
    let whole = match server.bodies.read(body, encoding.is_some()).await {
        Ok(whole) => whole,
        Err(unread) => {
            let refused = with_parts(&head, b"", |parts| Refused::unread(parts, unread.into_error()));
            return over_http(refused.response(&longshore_types::IdSource::new(seed()).uuid()));
        }
    };
    let body = &whole.bytes;
    // Signed was what was sent; meant is what it unpacks to.
    let plain = longshore_aws_wire::inflate(encoding, body, BODY_MAX);
    let recognized = match &plain {
        Ok(plain) => recognize(&head, plain),
        Err(refusal) => {
            let error = refusal.into_error(encoding, BODY_MAX);
            Some(Err(with_parts(&head, b"", |parts| Refused::unread(parts, error))))
        }
    };
    let Some(identified) = recognized else {
        return text(
            StatusCode::NOT_FOUND,
            "text/plain",
            "This is Longshore, the AWS container stack. Point the AWS CLI here: AWS_ENDPOINT_URL\n",
        );
    };
    let response = match identified {
        Ok(identified) => call(&server, identified, &head, body, source).await,
        Err(refused) => {
            let request_id = longshore_types::IdSource::new(seed()).uuid();
            tracing::debug!(error = %refused.error, "request refused");
            refused.response(&request_id)
        }
    };
    over_http(response)
}

/// What the protocols answer, over HTTP.
fn over_http(response: longshore_aws_wire::Response) -> Response<Body> {
    let mut answer = text(StatusCode::from_u16(response.status).unwrap_or(StatusCode::OK), "text/plain", response.body);
    let headers = answer.headers_mut();
    for (name, value) in response.headers {
        if let Ok(value) = http::HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    for (name, value) in response.more {
        if let (Ok(name), Ok(value)) =
            (http::HeaderName::from_bytes(name.as_bytes()), http::HeaderValue::from_bytes(value.as_bytes()))
        {
            headers.insert(name, value);
        }
    }
    answer
}

/// Who has sent a request: the peer, or the task that the node's door says it speaks for. The header is nobody else's affair.
fn source(server: &Server, headers: &mut http::HeaderMap, peer: IpAddr) -> Source {
    let told = headers.remove(identity::hop::HEADER).and_then(|value| {
        value.to_str().ok().and_then(|value| identity::hop::source(&server.settings.registry_secret, value))
    });
    told.map_or(Source::Client(peer), Source::Task)
}

/// `None` for what is no AWS call at all.
fn recognize(head: &http::request::Parts, body: &[u8]) -> Option<Result<Identified<'static>, Refused>> {
    with_parts(head, body, |parts| {
        longshore_aws_wire::is_aws(parts).then(|| {
            let identified = identify(parts)?;
            let Identified { service, operation, protocol, credential, payload, head } = identified;
            Ok(Identified { service, operation, protocol, credential, payload: payload.into_owned().into(), head })
        })
    })
}

/// A request as the wire looks at it.
fn with_parts<T>(head: &http::request::Parts, body: &[u8], look: impl FnOnce(&Parts<'_>) -> T) -> T {
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    // Texts in headers are UTF-8 where they are not ASCII.
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = || head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    look(&Parts {
        method: head.method.as_str(),
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        header: &header,
        headers: &headers,
        body,
    })
}

async fn call(
    server: &Server,
    identified: Identified<'_>,
    head: &http::request::Parts,
    body: &[u8],
    source: Source,
) -> longshore_aws_wire::Response {
    let region = match identified.credential.as_ref().map(|credential| credential.region.as_str()) {
        None => server.settings.region.clone(),
        // As some SDKs sign for services that have no regions.
        Some("aws-global") => Region::from("us-east-1"),
        Some(region) => Region::from(region),
    };
    let scope = Scope { account: server.settings.account.clone(), region };
    let service = identified.service.name;
    let started = std::time::Instant::now();
    let caller = check_region(server, &scope.region).and_then(|()| match &server.settings.authority {
        None => anybody(server, &scope, &identified),
        Some(authority) => authenticate(server, authority, &scope, &identified, head, body),
    });
    let caller = match caller {
        Ok(caller) => caller,
        Err(bad) => {
            let refused = bad.into_error(identified.protocol);
            let request_id = longshore_types::IdSource::new(seed()).uuid();
            tracing::debug!(service, error = %refused, "credentials refused");
            return identified.call(&request_id).error(&refused);
        }
    };
    let enforced = server.settings.authority.as_ref().map(|authority| {
        let user_agent = head.headers.get(http::header::USER_AGENT).and_then(|value| value.to_str().ok());
        Arc::new(Enforced { authority: Arc::clone(authority), source, user_agent: user_agent.map(str::to_owned) })
    });
    if let Some(throttle) = &server.throttle {
        let now = started.duration_since(server.started).as_millis() as u64;
        if let Err(error) = throttle.take(&scope, identified.operation, now) {
            let request_id = longshore_types::IdSource::new(seed()).uuid();
            tracing::debug!(service, operation = identified.operation.name, "throttled");
            return identified.call(&request_id).error(&error);
        }
    }
    if matches!(service, "ec2" | "ecs" | "elbv2")
        && let Err(error) = initialize(server, scope.region.clone()).await
    {
        return identified.call("").error(&error);
    }
    let mut cx = Cx::new(scope, now(), caller, server.settings.clone(), seed());
    cx.enforced = enforced;
    let operation = identified.operation;
    let request_id = cx.request_id.clone();
    let request = routes::Request {
        operation,
        protocol: identified.protocol,
        payload: identified.payload.into_owned(),
        head: identified.head,
    };
    let response = server.routes.run(server.backend.clone(), cx, request).await;
    tracing::debug!(
        service,
        operation = operation.name,
        request_id,
        status = response.status,
        us = started.elapsed().as_micros() as u64,
        "answered"
    );
    response
}

/// AWS has no endpoint in a region that is none, and a mistyped one here would be an account without anything in it.
fn check_region(server: &Server, region: &Region) -> Result<(), BadSignature> {
    if *region == server.settings.region || ec2::zones::is_region(region) {
        return Ok(());
    }
    Err(BadSignature::Mismatch(format!(
        "Credential should be scoped to a valid region, not '{region}'. (Longshore serves AWS's commercial regions, and the \
         one that `longshore up --region` names.)"
    )))
}

/// Open mode: a session's key is its role's, any other is the account's own.
fn anybody(server: &Server, scope: &Scope, identified: &Identified<'_>) -> Result<Caller, BadSignature> {
    let access_key = identified.credential.as_ref().map_or("", |c| c.access_key.as_str());
    server.backend.store.read(|state| match state.role_sessions().get(&access_key.to_owned()) {
        Some(session) if session.expires_at <= now() => Err(BadSignature::TokenExpired),
        Some(session) => Ok(sts::session::caller(state, session)),
        None => Ok(Caller::root(scope, access_key)),
    })
}

/// Whose signature it is.
fn authenticate(
    server: &Server,
    authority: &Authority,
    scope: &Scope,
    identified: &Identified<'_>,
    head: &http::request::Parts,
    body: &[u8],
) -> Result<Caller, BadSignature> {
    // Values that are no text cannot have been signed as any.
    let headers: Vec<(&str, &str)> =
        head.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap_or_default())).collect();
    let request = SignedRequest {
        method: head.method.as_str(),
        path: head.uri.path(),
        query: head.uri.query().unwrap_or_default(),
        headers: &headers,
        body,
    };
    let signing_name = identified.service.signing_name;
    let credential = identified.credential.as_ref();
    server.backend.store.read(|state| {
        let caller = identity::authenticate(authority, state, scope, &request, credential, signing_name, now())?;
        identity::record_use(&server.backend.store, state, &caller, scope, signing_name, now());
        Ok(caller)
    })
}

/// Gives the account its default VPC in a region, the first time somebody looks.
pub async fn initialize(server: &Server, region: Region) -> Result<(), AwsError> {
    let scope = Scope { account: server.settings.account.clone(), region };
    let there = server.backend.store.read(|state| state.set_up_scopes().contains(&scope));
    if there {
        return Ok(());
    }
    let cx = server.environment.cx(scope);
    routes::write(&server.backend.store, move |tx| {
        ec2::default_vpc::ensure(tx, &cx);
        Ok(())
    })
    .await
}

/// A layer at an address that GetDownloadUrlForLayer gave out.
async fn layer(server: &Server, request: &Request<Incoming>, signed: &str) -> Response<Body> {
    let refused = |status| text(status, "text/plain", "This address of a layer is not, or no longer, good.\n");
    let head = request.method() == http::Method::HEAD;
    if !head && request.method() != http::Method::GET {
        return refused(StatusCode::METHOD_NOT_ALLOWED);
    }
    let verified = longshore_api::ecr::token::verify_layer(&server.settings.registry_secret, signed, now());
    let named = verified.and_then(|layer| {
        let repository = crate::catalogue::repository_id(&layer.scope, &layer.repository)?;
        Some((repository, longshore_registry::Digest::parse(&layer.digest).ok()?))
    });
    match named {
        Some((repository, digest)) => server.registry.serve_blob(&repository, &digest, request.headers(), head).await,
        None => refused(StatusCode::FORBIDDEN),
    }
}

/// The key by which targets verify what a load balancer tells them of a user. AWS publishes it at
/// `https://public-keys.auth.elb.<region>.amazonaws.com/<key id>`.
fn public_key(server: &Server, method: &http::Method, key_id: &str) -> Response<Body> {
    let keys = longshore_balancer::auth::Keys::load(&crate::tls_keys::auth_keys_path(&server.config.data_dir));
    match keys {
        Ok(keys) if keys.key_id() == key_id && method == http::Method::GET => {
            text(StatusCode::OK, "text/plain", keys.public_key_pem())
        }
        _ => text(StatusCode::NOT_FOUND, "text/plain", "There is no such key.\n"),
    }
}

async fn ours(
    server: &Server,
    method: &http::Method,
    path: &str,
    peer: SocketAddr,
    local: SocketAddr,
) -> Response<Body> {
    // Nobody signs these: they are for whoever runs this server.
    if server.settings.authority.is_some() && method != http::Method::GET && !is_operator(peer, local) {
        let error = "{\"error\":\"for root of this machine only\"}";
        return text(StatusCode::FORBIDDEN, "application/json", error);
    }
    match (method.as_str(), path) {
        ("GET", "health") => {
            let counts = server.backend.store.read(|state| {
                serde_json::json!({
                    "clusters": state.clusters().len(),
                    "services": state.services().len(),
                    "tasks": state.tasks().all().filter(|task| !task.is_stopped()).count(),
                    "loadBalancers": state.load_balancers().len(),
                    "repositories": state.repositories().len(),
                })
            });
            let ready = server.agent.is_connected() || server.config.runtime == crate::config::Runtime::None;
            let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            let body = serde_json::json!({
                "status": if ready { "ok" } else { "starting" }, "process": std::process::id(), "counts": counts,
            });
            text(status, "application/json", body.to_string())
        }
        ("POST", "state/reset") => match reset(server).await {
            Ok(()) => text(StatusCode::OK, "application/json", "{\"status\":\"ok\"}"),
            Err(error) => text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "application/json",
                serde_json::json!({"error": error.message}).to_string(),
            ),
        },
        ("POST", path) if interrupted_task(path).is_some() => {
            let task = interrupted_task(path).unwrap_or_default().to_owned();
            // ECS's region of requests that name none, as the rest of our own paths.
            let scope = Scope { account: server.settings.account.clone(), region: server.settings.region.clone() };
            let done = routes::write(&server.backend.store, move |tx| spot::interrupt(tx, &scope, &task)).await;
            match done {
                Ok(()) => text(StatusCode::OK, "application/json", "{\"status\":\"ok\"}"),
                Err(error) => text(
                    error.http_status.and_then(|n| StatusCode::from_u16(n).ok()).unwrap_or(StatusCode::BAD_REQUEST),
                    "application/json",
                    serde_json::json!({"error": error.message}).to_string(),
                ),
            }
        }
        _ => text(
            StatusCode::NOT_FOUND,
            "application/json",
            "{\"error\":\"GET /_longshore/health, GET /_longshore/elb/public-keys/<key id>, POST /_longshore/state/reset, POST /_longshore/tasks/<id>/interrupt\"}",
        ),
    }
}

/// Whether root or this server's own user asks, from this machine.
fn is_operator(peer: SocketAddr, local: SocketAddr) -> bool {
    let own = rustix::process::geteuid().as_raw();
    peer.ip().is_loopback() && crate::peer::user(peer, local).is_some_and(|user| user == 0 || user == own)
}

/// `tasks/<id>/interrupt`: what AWS does to Spot tasks when it needs their capacity.
fn interrupted_task(path: &str) -> Option<&str> {
    path.strip_prefix("tasks/")?.strip_suffix("/interrupt")
}

/// Everything of every account goes: rows, log events, what runs.
async fn reset(server: &Server) -> Result<(), AwsError> {
    let groups = server.backend.store.read(|state| state.log_groups().all().keys().collect());
    routes::write(&server.backend.store, |tx| {
        tx.clear();
        Ok(())
    })
    .await?;
    server.agent.reset().await;
    longshore_api::logs::forget(&server.backend, groups).await?;
    initialize(server, server.settings.region.clone()).await
}

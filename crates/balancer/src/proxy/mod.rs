//! What happens to one request: rules, an action, and for a forward the way to the target and back.

pub(crate) mod body;
mod choose;
mod exchange;
pub(crate) mod h1;
mod headers;
pub(crate) mod host;
pub(crate) mod multiplexed;
pub(crate) mod pool;
pub(crate) mod respond;
pub(crate) mod stickiness;
mod target_io;
mod target_stream;
pub(crate) mod trace_id;
pub(crate) mod tunnel;
pub(crate) mod upstream;

use std::rc::Rc;

use http::header::{CONTENT_TYPE, COOKIE, HOST, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};

use crate::action::redirect::Origin as Place;
use crate::auth::{self, Pass, Verdict};
use crate::clock;
use crate::compile::{Action, Decision, Forward, Route};
use crate::config::ProtocolVersion;
use crate::log::Record;
use crate::rule::RequestView;
use crate::worker::call::{Call, Phase};
use body::{Body, RequestBody};
use choose::Choice;
use tunnel::Tunnel;

/// A target that does not take a connection in this time is answered for with 504.
pub(crate) const CONNECT_TIMEOUT_MS: u64 = 10_000;

/// The client and the target group speak versions of HTTP that do not go together.
const INCOMPATIBLE: u16 = 464;

/// The listener is gone: the connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the listener is gone")]
pub(crate) struct ListenerGone;

/// An answer, and where the bytes after it go when it turns the connection into a tunnel. (In a box: most answers
/// have none, and it moves through every layer.)
pub(crate) type Answer = (Response<Body>, Option<Box<Tunnel>>);

/// Answers a request that was refused before anybody understood it.
pub(crate) fn refuse(call: &Rc<Call>, status: StatusCode) -> Result<Response<Body>, ListenerGone> {
    let route = call.origin.route().ok_or(ListenerGone)?;
    let counts = &route.load_balancer.counts;
    counts.requests.add(1);
    counts.own_response(status);
    if call.verdict.get().tier > crate::desync::Tier::Compliant {
        counts.desync_refusals.add(1);
    }
    let record = route.load_balancer.access_log.as_ref().map(|log| Record::of_refused(log, call, &route));
    let mut response = respond::error(status, true);
    route.decorate(response.headers_mut());
    finish(&mut response, record);
    Ok(response)
}

/// Answers one request.
pub(crate) async fn handle(call: &Rc<Call>, mut request: Box<Request<RequestBody>>) -> Result<Answer, ListenerGone> {
    let origin = &call.origin;
    let route = origin.route().ok_or(ListenerGone)?;
    route.load_balancer.counts.requests.add(1);
    // In the log, a request whose client left before the answer is told of when this future is dropped.
    let mut record = route.load_balancer.access_log.as_ref().map(|log| Record::begin(log, call, &route, &request));
    let is_http2 = request.version() == Version::HTTP_2;
    let mut pass = None;
    let decided = if route.is_guarded {
        // In a box: few listeners have guards, and every request would have room for what they wait for.
        Box::pin(let_in(call, &route, &mut request, &mut record, &mut pass)).await
    } else {
        let decision = route.decide(&view(call, &request));
        decide(call, &route, decision, &mut request, &mut record, None)
    };
    let (mut response, mut tunnel) = match decided {
        Decided::Answer(response) => (response, None),
        Decided::Forward(choice) => match send_on(call, &choice, request, &mut record).await {
            Ok(answer) => answer,
            Err(status) => (failed(call, &route, status), None),
        },
    };
    if let Some(pass) = pass {
        pass.tell_client(response.headers_mut());
    }
    route.decorate(response.headers_mut());
    if is_http2 {
        // Connections end by other means there.
        response.headers_mut().remove(http::header::CONNECTION);
    } else if tunnel.is_none() && (origin.is_old(&route) || call.ends_connections()) {
        respond::close_after(&mut response);
    }
    match &mut tunnel {
        Some(tunnel) => tunnel.record = record.map(|record| record.answered(&response)),
        None => finish(&mut response, record),
    }
    Ok((response, tunnel))
}

fn finish(response: &mut Response<Body>, record: Option<Box<Record>>) {
    if let Some(record) = record {
        let record = record.answered(response);
        response.body_mut().set_record(record);
    }
}

/// What is to be done with a request. Found out apart from doing it, so that what waits for a target holds no more
/// than it needs: a future is moved with all it may ever hold.
enum Decided {
    Answer(Response<Body>),
    Forward(Choice),
}

/// What rules see of a request.
fn view<'a>(call: &Call, request: &'a Request<RequestBody>) -> RequestView<'a> {
    let host_header = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    // A target in absolute form names the host itself, and so does HTTP/2.
    let host = request.uri().authority().map(|authority| authority.as_str()).or(host_header).unwrap_or("");
    RequestView {
        method: request.method(),
        path: request.uri().path(),
        query: request.uri().query(),
        host: host::without_port(host),
        headers: request.headers(),
        peer: call.origin.peer.ip(),
    }
}

/// Decides on a listener that has guards: who comes back from a provider is answered, who is not let in, too.
async fn let_in(
    call: &Rc<Call>,
    route: &Route,
    request: &mut Request<RequestBody>,
    record: &mut Option<Box<Record>>,
    passed: &mut Option<Box<Pass>>,
) -> Decided {
    let counts = &route.load_balancer.counts;
    // Providers have time-outs of their own; the coarse clock is not enough for a client that just slept.
    let now_s = clock::unix_seconds();
    let stop = |response: Response<Body>| {
        counts.own_response(response.status());
        Decided::Answer(response)
    };
    auth::strip(request.headers_mut());
    call.set_phase(Phase::Waiting);
    let came_back = auth::callback(&route.logins, request, counts, now_s).await;
    if let Some(Verdict::Stopped(response, reason)) = came_back {
        call.set_phase(Phase::Idle);
        if let Some(record) = record {
            record.guarded(auth::AUTHENTICATE);
            record.stopped(reason);
        }
        return stop(response);
    }
    let decision = route.decide(&view(call, request));
    if let Some(guard) = decision.guard {
        let verdict = guard.admit(request, counts, now_s).await;
        if let Some(record) = record {
            record.guarded(guard.action());
        }
        match verdict {
            Verdict::Passed(pass) => *passed = Some(pass),
            Verdict::Stopped(response, reason) => {
                call.set_phase(Phase::Idle);
                if let Some(record) = record {
                    record.decided(&decision);
                    record.stopped(reason);
                }
                return stop(response);
            }
        }
    }
    call.set_phase(Phase::Idle);
    decide(call, route, decision, request, record, passed.as_deref())
}

fn decide(
    call: &Call,
    route: &Route,
    decision: Decision<'_>,
    request: &mut Request<RequestBody>,
    record: &mut Option<Box<Record>>,
    pass: Option<&Pass>,
) -> Decided {
    let counts = &route.load_balancer.counts;
    if let Some(record) = record {
        record.decided(&decision);
    }
    match decision.action {
        Action::Forward(forward) => match prepare(call, route, forward, &decision, request, record, pass) {
            Ok(choice) => Decided::Forward(choice),
            Err(status) => Decided::Answer(failed(call, route, status)),
        },
        Action::Redirect(redirect) => {
            call.set_phase(Phase::Idle);
            let (protocol, port) = (call.origin.scheme(), route.port);
            let view = view(call, request);
            let place = Place { protocol, host: view.host, port, path: view.path, query: view.query };
            let response = respond::redirect(redirect, &place);
            if let Some(record) = record {
                record.redirected(&response);
            }
            counts.redirects.add(1);
            counts.own_response(response.status());
            Decided::Answer(response)
        }
        Action::FixedResponse(fixed) => {
            call.set_phase(Phase::Idle);
            counts.fixed_responses.add(1);
            counts.own_response(fixed.status);
            Decided::Answer(respond::fixed(fixed))
        }
    }
}

/// The answer to a request that could not be sent, or had no answer.
fn failed(call: &Call, route: &Route, status: StatusCode) -> Response<Body> {
    call.set_phase(Phase::Idle);
    route.load_balancer.counts.own_response(status);
    // After a failure of the client's, nobody knows where its next request begins.
    let is_framing = status.is_client_error() && status.as_u16() != INCOMPATIBLE;
    respond::error(status, is_framing)
}

/// Chooses a target and makes the request that it gets.
fn prepare(
    call: &Call,
    route: &Route,
    forward: &Forward,
    decision: &Decision<'_>,
    request: &mut Request<RequestBody>,
    record: &mut Option<Box<Record>>,
    pass: Option<&Pass>,
) -> Result<Choice, StatusCode> {
    let choice = choose::choose(forward, request.headers(), call.origin.worker.now_ms());
    if let Some(record) = record {
        record.chose_group(match &choice {
            Ok(choice) => Some(&choice.group),
            Err(group) => *group,
        });
    }
    let choice = choice.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let version = choice.group.version;
    if !is_compatible(request, version) {
        return Err(StatusCode::from_u16(INCOMPATIBLE).expect("three digits"));
    }
    if let Some(record) = record {
        record.chose_target(choice.target.address);
    }
    let is_http2 = request.version() == Version::HTTP_2;
    if let Some(authority) = request.uri().authority() {
        // Two parsers may disagree on what a host with user information is.
        if authority.as_str().contains('@') {
            return Err(StatusCode::BAD_REQUEST);
        }
        let host = HeaderValue::try_from(authority.as_str()).map_err(|_| StatusCode::BAD_REQUEST)?;
        request.headers_mut().insert(HOST, host);
        *request.uri_mut() = origin_form(request.uri());
    } else if !request.headers().contains_key(HOST) {
        // HTTP/1.0 need not name a host, HTTP/1.1 must.
        let host = HeaderValue::try_from(choice.target.address.to_string());
        request.headers_mut().insert(HOST, host.expect("an address is printable ASCII"));
    }
    if let Some(transforms) = decision.transforms {
        transforms.apply(request).ok_or(StatusCode::BAD_REQUEST)?;
    }
    if request.version() != Version::HTTP_11 {
        // Nobody else may ask for another protocol.
        request.headers_mut().remove(UPGRADE);
    }
    headers::to_target(request.headers_mut(), call, route)?;
    // After that: a client may have named these headers as ones that end here.
    if let Some(pass) = pass {
        pass.tell_target(request.headers_mut());
    }
    if let Some(record) = record {
        record.traced(request.headers());
    }
    // Holds what the engine that speaks HTTP/2 wants to be told of.
    request.extensions_mut().clear();
    if version == ProtocolVersion::Http1 {
        if is_http2 {
            join_cookies(request.headers_mut());
        }
        *request.version_mut() = Version::HTTP_11;
    } else {
        let uri = request.uri().clone();
        let absolute = absolute_form(&uri, request.headers_mut(), choice.group.is_tls);
        *request.uri_mut() = absolute.ok_or(StatusCode::BAD_REQUEST)?;
        *request.version_mut() = Version::HTTP_2;
    }
    Ok(choice)
}

async fn send_on(
    call: &Rc<Call>,
    choice: &Choice,
    request: Box<Request<RequestBody>>,
    record: &mut Option<Box<Record>>,
) -> Result<Answer, StatusCode> {
    let (mut response, tunnel) = if choice.group.version == ProtocolVersion::Http1 {
        exchange::exchange(call, choice, request, record).await?
    } else {
        // In a box: it is far larger than the way over HTTP/1.1, and that is moved with each request.
        (Box::pin(multiplexed::exchange(call, choice, *request, record)).await?, None)
    };
    *response.version_mut() = Version::HTTP_11;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        headers::to_client(response.headers_mut());
    }
    choice.write_cookies(response.headers_mut(), call.origin.worker.unix_seconds());
    Ok((response, tunnel))
}

/// The user guide's table of request protocols and protocol versions.
fn is_compatible<B>(request: &Request<B>, version: ProtocolVersion) -> bool {
    let is_http2 = request.version() == Version::HTTP_2;
    let is_grpc = || {
        request.headers().get(CONTENT_TYPE).is_some_and(|kind| {
            let kind = kind.as_bytes();
            kind.starts_with(b"application/grpc") && matches!(kind.get(16), None | Some(b'+' | b';' | b' '))
        })
    };
    match version {
        ProtocolVersion::Http1 => !is_http2 || !is_grpc(),
        ProtocolVersion::Http2 => is_http2,
        ProtocolVersion::Grpc => is_http2 && request.method() == Method::POST,
    }
}

/// The path and query of an absolute target, which may have a query alone.
fn origin_form(uri: &Uri) -> Uri {
    match uri.path_and_query() {
        Some(path) if path.as_str().starts_with(['/', '*']) => Uri::from(path.clone()),
        // Its text has the slash that its bytes lack.
        Some(path) => Uri::try_from(path.to_string()).unwrap_or_default(),
        None => Uri::from_static("/"),
    }
}

/// What HTTP/2's pseudo-headers are made of; the host moves there.
fn absolute_form(uri: &Uri, headers: &mut HeaderMap, is_tls: bool) -> Option<Uri> {
    let host = headers.remove(HOST)?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    Uri::builder()
        .scheme(if is_tls { "https" } else { "http" })
        .authority(host.as_bytes())
        .path_and_query(path)
        .build()
        .ok()
}

/// HTTP/2 may split the one cookie header that HTTP/1.1 has.
fn join_cookies(headers: &mut HeaderMap) {
    let mut cookies = headers.get_all(COOKIE).iter();
    if cookies.next().is_none() || cookies.next().is_none() {
        return;
    }
    let all: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

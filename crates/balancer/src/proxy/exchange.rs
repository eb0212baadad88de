//! One request sent to one target, up to the response's first bytes.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use http::header::UPGRADE;
use http::{Request, Response, StatusCode};
use hyper::body::Frame;

use super::Answer;
use super::body::{Body, RequestBody};
use super::choose::Choice;
use super::tunnel::Tunnel;
use super::upstream::{ExchangeError, Upstream};
use crate::clock;
use crate::log::Record;
use crate::target::{InFlight, Target};
use crate::worker::call::{Call, Phase};

/// Sends a request; the error is the status to answer with.
pub(super) async fn exchange(
    call: &Rc<Call>,
    choice: &Choice,
    request: Box<Request<RequestBody>>,
    record: &mut Option<Box<Record>>,
) -> Result<Answer, StatusCode> {
    let worker = &call.origin.worker;
    let in_flight = InFlight::new(choice.target.clone());
    choice.count_request();
    let started_ms = clock::coarse_ms();
    let may_upgrade = request.headers().contains_key(UPGRADE);
    let mut pooled = worker.pool.take(choice.target.id);
    // The target may have closed what waited.
    while pooled.as_mut().is_some_and(|upstream| !upstream.is_open()) {
        pooled = worker.pool.take(choice.target.id);
    }
    let mut upstream = match pooled {
        Some(mut upstream) => {
            upstream.begin_reused(request.method().is_idempotent());
            upstream.begin(request, worker);
            upstream
        }
        // In a box: the state of every request would have room for it, and is moved.
        None => Box::pin(begin_on_new(call, choice, request)).await?,
    };
    if let Some(record) = record {
        record.dispatched();
    }
    call.set_phase(Phase::Waiting);
    let response = response(call, &mut upstream).await?;
    choice.count_response(response.status(), started_ms);
    if let Some(record) = record {
        record.target_answered(response.status());
    }
    upstream.is_last |= call.ends_connections();
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        if !may_upgrade {
            return Err(StatusCode::BAD_GATEWAY);
        }
        let (target, early) = upstream.into_tunnel();
        let tunnel = Box::new(Tunnel { target, early, in_flight, record: None });
        return Ok((response.map(|()| Body::full(Bytes::new())), Some(tunnel)));
    }
    // A short body has mostly come with its head. Taking it now gives the connection back before the client
    // has read a byte, and lets head and body leave in one write.
    let broken = |error: ExchangeError| {
        tracing::debug!(%error, "a target's response broke off with its head");
        StatusCode::BAD_GATEWAY
    };
    let first = upstream.take_frame().map_err(broken)?;
    // The end of a chunked body is known only once it has been read.
    let second = if upstream.is_complete() { None } else { upstream.take_frame().map_err(broken)? };
    if upstream.is_complete() && second.is_none() && first.as_ref().is_none_or(Frame::is_data) {
        upstream.release(worker, in_flight.target());
        call.set_phase(Phase::Idle);
        let bytes = first.and_then(|frame| frame.into_data().ok()).unwrap_or_default();
        return Ok((response.map(|()| Body::full(bytes)), None));
    }
    let body = Body::alone([first, second], upstream, call.clone(), in_flight);
    Ok((response.map(|()| body), None))
}

/// Makes a connection and begins a request on it.
async fn begin_on_new(
    call: &Rc<Call>,
    choice: &Choice,
    request: Box<Request<RequestBody>>,
) -> Result<Box<Upstream>, StatusCode> {
    call.set_phase(Phase::Connecting);
    let connecting = Upstream::connect(&call.origin.worker, &choice.target, choice.group.is_tls);
    let connected = bounded(call, &choice.target, connecting).await;
    let mut upstream = connected.inspect_err(|_| choice.count_connection_error())?;
    upstream.begin(request, &call.origin.worker);
    Ok(upstream)
}

/// Waits for a connection as long as connections may take.
pub(super) async fn bounded<T>(
    call: &Rc<Call>,
    target: &Target,
    connecting: impl Future<Output = std::io::Result<T>>,
) -> Result<T, StatusCode> {
    let mut connecting = pin!(connecting);
    poll_fn(|cx| {
        call.keep_waker(cx);
        match connecting.as_mut().poll(cx) {
            Poll::Ready(Ok(connection)) => Poll::Ready(Ok(connection)),
            Poll::Ready(Err(error)) if error.kind() == std::io::ErrorKind::TimedOut => {
                Poll::Ready(Err(StatusCode::GATEWAY_TIMEOUT))
            }
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, target_address = %target.address, "cannot connect to a target");
                Poll::Ready(Err(StatusCode::BAD_GATEWAY))
            }
            Poll::Pending if call.is_expired() => Poll::Ready(Err(StatusCode::GATEWAY_TIMEOUT)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// The response's head; the error is the status to answer with.
async fn response(call: &Rc<Call>, upstream: &mut Upstream) -> Result<Response<()>, StatusCode> {
    poll_fn(|cx| {
        let polled = upstream.poll_response(&call.origin.worker, cx);
        if upstream.take_moved() {
            call.touch();
        }
        match polled {
            Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
            Poll::Ready(Err(_)) if call.body_failed.get() => Poll::Ready(Err(StatusCode::BAD_REQUEST)),
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, "target gave no response");
                Poll::Ready(Err(StatusCode::BAD_GATEWAY))
            }
            Poll::Pending if call.is_expired() => Poll::Ready(Err(late(call))),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Whoever owes the next byte is late: the client its body, or the target its answer.
pub(super) fn late(call: &Call) -> StatusCode {
    if call.body_ended.get() { StatusCode::GATEWAY_TIMEOUT } else { StatusCode::REQUEST_TIMEOUT }
}

//! One request sent to one target, up to the response's first bytes.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use http::header::UPGRADE;
use http::{Request, Response, StatusCode};
use hyper::body::{Body as HttpBody, Incoming};
use hyper::client::conn::TrySendError;

use super::Answer;
use super::body::{Body, RequestBody, Source};
use super::choose::Choice;
use super::tunnel::Tunnel;
use super::upstream::Upstream;
use crate::clock;
use crate::log::Record;
use crate::target::{InFlight, Target};
use crate::worker::call::{Call, Phase};

/// Sends a request; the error is the status to answer with.
pub(super) async fn exchange(
    call: &Rc<Call>,
    choice: &Choice,
    mut request: Request<RequestBody>,
    record: &mut Option<Box<Record>>,
) -> Result<Answer, StatusCode> {
    let worker = &call.origin.worker;
    let in_flight = InFlight::new(choice.target.clone());
    choice.count_request();
    let started_ms = clock::coarse_ms();
    let is_idempotent = request.method().is_idempotent();
    let may_upgrade = request.headers().contains_key(UPGRADE);
    let (mut upstream, response) = loop {
        let pooled = worker.pool.take(choice.target.id);
        let is_pooled = pooled.is_some();
        let mut upstream = match pooled {
            Some(upstream) => upstream,
            None => {
                call.set_phase(Phase::Connecting);
                let connecting = Upstream::connect(worker, &choice.target, choice.group.is_tls);
                let connected = bounded(call, &choice.target, connecting).await;
                connected.inspect_err(|_| choice.count_connection_error())?
            }
        };
        if let Some(record) = record {
            record.dispatched();
        }
        if is_pooled {
            upstream.begin_reused(is_idempotent);
        }
        call.set_phase(Phase::Waiting);
        match send(call, &mut upstream, request).await {
            Ok(response) => break (upstream, response),
            Err(Unsent::Again(unsent)) if is_pooled => request = *unsent,
            Err(Unsent::Again(_)) => return Err(StatusCode::BAD_GATEWAY),
            Err(Unsent::Failed(status)) => return Err(status),
        }
    };
    choice.count_response(response.status(), started_ms);
    if let Some(record) = record {
        record.target_answered(response.status());
    }
    upstream.is_last = call.ends_connections();
    let (mut head, mut incoming) = response.into_parts();
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        if !may_upgrade {
            return Err(StatusCode::BAD_GATEWAY);
        }
        // Holds the engine's handle for upgrades, which go their own way here.
        head.extensions.clear();
        let (target, early) = upstream.into_tunnel().ok_or(StatusCode::BAD_GATEWAY)?;
        let tunnel = Box::new(Tunnel { target, early, in_flight, record: None });
        return Ok((Response::from_parts(head, Body::full(bytes::Bytes::new())), Some(tunnel)));
    }
    // A short body has mostly come with its head. Taking it now gives the connection back before the client
    // has read a byte, and lets head and body leave in one write.
    let mut first = None;
    if !incoming.is_end_stream() {
        let mut polled = poll_once(&mut incoming);
        if polled.is_pending() {
            upstream.drive(&mut Context::from_waker(Waker::noop()));
            polled = poll_once(&mut incoming);
        }
        match polled {
            Poll::Ready(Some(Ok(frame))) => first = Some(frame),
            // The target sent a head and broke off: nothing has been sent to the client yet.
            Poll::Ready(Some(Err(_))) => return Err(StatusCode::BAD_GATEWAY),
            Poll::Ready(None) | Poll::Pending => {}
        }
    }
    if incoming.is_end_stream() {
        let is_data = first.as_ref().is_none_or(hyper::body::Frame::is_data);
        if is_data {
            upstream.release(worker, in_flight.target());
            call.set_phase(Phase::Idle);
            let bytes = first.and_then(|frame| frame.into_data().ok()).unwrap_or_default();
            return Ok((Response::from_parts(head, Body::full(bytes)), None));
        }
    }
    let body = Body::streamed(first, incoming, Source::Alone(Some(upstream)), call.clone(), in_flight);
    Ok((Response::from_parts(head, body), None))
}

type Polled = Poll<Option<Result<hyper::body::Frame<bytes::Bytes>, hyper::Error>>>;

fn poll_once(incoming: &mut Incoming) -> Polled {
    Pin::new(incoming).poll_frame(&mut Context::from_waker(Waker::noop()))
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

/// Why there is no response.
pub(super) enum Unsent {
    /// The connection had ended: not a byte was sent.
    Again(Box<Request<RequestBody>>),
    Failed(StatusCode),
}

type Sent = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>;

/// What has become of a request by now, over either version of HTTP.
pub(super) fn sent(call: &Call, polled: Poll<Sent>) -> Poll<Result<Response<Incoming>, Unsent>> {
    match polled {
        Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
        Poll::Ready(Err(mut error)) => Poll::Ready(Err(match error.take_message() {
            Some(request) => Unsent::Again(Box::new(request)),
            None if call.body_failed.get() => Unsent::Failed(StatusCode::BAD_REQUEST),
            None => {
                tracing::debug!(error = %error.error(), "target gave no response");
                Unsent::Failed(StatusCode::BAD_GATEWAY)
            }
        })),
        // Whoever owes the next byte is late: the client its body, or the target its answer.
        Poll::Pending if call.is_expired() => Poll::Ready(Err(Unsent::Failed(if call.body_ended.get() {
            StatusCode::GATEWAY_TIMEOUT
        } else {
            StatusCode::REQUEST_TIMEOUT
        }))),
        Poll::Pending => Poll::Pending,
    }
}

async fn send(
    call: &Rc<Call>,
    upstream: &mut Upstream,
    request: Request<RequestBody>,
) -> Result<Response<Incoming>, Unsent> {
    let mut sending = pin!(upstream.sender.try_send_request(request));
    poll_fn(|cx| {
        upstream.drive(cx);
        if upstream.take_moved() {
            call.touch();
        }
        sent(call, sending.as_mut().poll(cx))
    })
    .await
}

//! One request sent to one target, up to the response's first bytes.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use http::header::UPGRADE;
use http::{Request, Response, StatusCode};
use hyper::body::{Body as HttpBody, Incoming};

use super::body::{Body, RequestBody};
use super::choose::Choice;
use super::tunnel::Tunnel;
use super::upstream::Upstream;
use crate::target::InFlight;
use crate::worker::client::{Client, Phase};

/// Sends a request; the error is the status to answer with.
pub(super) async fn exchange(
    client: &Rc<Client>,
    choice: &Choice,
    mut request: Request<RequestBody>,
) -> Result<Response<Body>, StatusCode> {
    let worker = &client.worker;
    let counts = &choice.group.live.counts;
    let in_flight = InFlight::new(choice.target.clone());
    counts.requests.add(1);
    let is_idempotent = request.method().is_idempotent();
    let may_upgrade = request.headers().contains_key(UPGRADE);
    let (mut upstream, response) = loop {
        let pooled = worker.pool.take(choice.target.id);
        let is_pooled = pooled.is_some();
        let mut upstream = match pooled {
            Some(upstream) => upstream,
            None => connect(client, choice).await.inspect_err(|_| counts.connection_errors.add(1))?,
        };
        if is_pooled {
            upstream.begin_reused(is_idempotent);
        }
        client.set_phase(Phase::Waiting);
        match send(client, &mut upstream, request).await {
            Ok(response) => break (upstream, response),
            Err(Unsent::Again(unsent)) if is_pooled => request = *unsent,
            Err(Unsent::Again(_)) => return Err(StatusCode::BAD_GATEWAY),
            Err(Unsent::Failed(status)) => return Err(status),
        }
    };
    counts.response(response.status());
    let (mut head, mut incoming) = response.into_parts();
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        if !may_upgrade {
            return Err(StatusCode::BAD_GATEWAY);
        }
        // Holds the engine's handle for upgrades, which go their own way here.
        head.extensions.clear();
        let (target, early) = upstream.into_tunnel().ok_or(StatusCode::BAD_GATEWAY)?;
        *client.tunnel.borrow_mut() = Some(Tunnel { target, early, in_flight });
        return Ok(Response::from_parts(head, Body::full(bytes::Bytes::new())));
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
            client.set_phase(Phase::Idle);
            let bytes = first.and_then(|frame| frame.into_data().ok()).unwrap_or_default();
            return Ok(Response::from_parts(head, Body::full(bytes)));
        }
    }
    let body = Body::streamed(first, incoming, upstream, client.clone(), in_flight);
    Ok(Response::from_parts(head, body))
}

type Polled = Poll<Option<Result<hyper::body::Frame<bytes::Bytes>, hyper::Error>>>;

fn poll_once(incoming: &mut Incoming) -> Polled {
    Pin::new(incoming).poll_frame(&mut Context::from_waker(Waker::noop()))
}

async fn connect(client: &Rc<Client>, choice: &Choice) -> Result<Box<Upstream>, StatusCode> {
    client.set_phase(Phase::Connecting);
    let mut connecting = pin!(Upstream::connect(&client.worker, &choice.target));
    poll_fn(|cx| match connecting.as_mut().poll(cx) {
        Poll::Ready(Ok(upstream)) => Poll::Ready(Ok(upstream)),
        Poll::Ready(Err(error)) if error.kind() == std::io::ErrorKind::TimedOut => {
            Poll::Ready(Err(StatusCode::GATEWAY_TIMEOUT))
        }
        Poll::Ready(Err(error)) => {
            tracing::debug!(%error, target_address = %choice.target.address, "cannot connect to a target");
            Poll::Ready(Err(StatusCode::BAD_GATEWAY))
        }
        Poll::Pending if client.is_expired() => Poll::Ready(Err(StatusCode::GATEWAY_TIMEOUT)),
        Poll::Pending => Poll::Pending,
    })
    .await
}

enum Unsent {
    /// The connection had ended: not a byte was sent.
    Again(Box<Request<RequestBody>>),
    Failed(StatusCode),
}

async fn send(
    client: &Rc<Client>,
    upstream: &mut Upstream,
    request: Request<RequestBody>,
) -> Result<Response<Incoming>, Unsent> {
    let mut sending = pin!(upstream.sender.try_send_request(request));
    poll_fn(|cx| {
        upstream.drive(cx);
        if upstream.take_moved() {
            client.touch();
        }
        match sending.as_mut().poll(cx) {
            Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
            Poll::Ready(Err(mut error)) => Poll::Ready(Err(match error.take_message() {
                Some(request) => Unsent::Again(Box::new(request)),
                None if client.body_failed.get() => Unsent::Failed(StatusCode::BAD_REQUEST),
                None => {
                    tracing::debug!(error = %error.error(), "target gave no response");
                    Unsent::Failed(StatusCode::BAD_GATEWAY)
                }
            })),
            // Whoever owes the next byte is late: the client its body, or the target its answer.
            Poll::Pending if client.is_expired() => Poll::Ready(Err(Unsent::Failed(if client.body_ended.get() {
                StatusCode::GATEWAY_TIMEOUT
            } else {
                StatusCode::REQUEST_TIMEOUT
            }))),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

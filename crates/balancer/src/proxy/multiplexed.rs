//! Requests to targets over HTTP/2: many at a time share a connection.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use http::{Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http2::SendRequest;
use tokio::task::spawn_local;

use super::body::{Body, RequestBody};
use super::choose::Choice;
use super::exchange::{bounded, late};
use super::target_io::{TargetIo, Wire};
use super::target_stream;
use crate::log::Record;
use crate::target::{InFlight, Target};
use crate::worker::Worker;
use crate::worker::call::{Call, Phase};

/// Streams of one connection at most, however many the target would take.
const STREAMS_MAX: usize = 100;
/// Connections of a worker to one target at most; beyond that, streams queue.
const CONNECTIONS_MAX: usize = 64;
/// A connection without streams is closed after so long.
const IDLE_MS_MAX: u64 = 60_000;

/// A worker's HTTP/2 connections to targets.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    by_target: RefCell<HashMap<u64, Vec<Rc<Connection>>>>,
}

#[derive(Debug)]
struct Connection {
    sender: RefCell<SendRequest<RequestBody>>,
    streams: Cell<usize>,
    /// How many the target takes.
    streams_max: Rc<Cell<usize>>,
    idle_since_ms: Cell<u64>,
    /// Ends the connection's task when dropped, once its streams are done.
    worker: std::rc::Weak<Worker>,
}

/// One stream of a connection; ends when dropped.
#[derive(Debug)]
pub(crate) struct Stream(Rc<Connection>);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.streams.set(self.0.streams.get() - 1);
        if let Some(worker) = self.0.worker.upgrade() {
            self.0.idle_since_ms.set(worker.now_ms());
        }
    }
}

impl Connections {
    /// A stream of a connection that has room, or of the least busy one when no more may be made.
    fn take(&self, target: u64) -> Option<Stream> {
        let mut by_target = self.by_target.borrow_mut();
        let connections = by_target.get_mut(&target)?;
        connections.retain(|connection| !connection.sender.borrow().is_closed());
        let has_room =
            |connection: &&Rc<Connection>| connection.streams.get() < connection.streams_max.get().min(STREAMS_MAX);
        let chosen = connections.iter().find(has_room).or_else(|| {
            let is_full = connections.len() >= CONNECTIONS_MAX;
            connections.iter().filter(|_| is_full).min_by_key(|connection| connection.streams.get())
        })?;
        chosen.streams.set(chosen.streams.get() + 1);
        Some(Stream(chosen.clone()))
    }

    fn add(&self, target: u64, connection: Rc<Connection>) -> Stream {
        connection.streams.set(connection.streams.get() + 1);
        self.by_target.borrow_mut().entry(target).or_default().push(connection.clone());
        Stream(connection)
    }

    /// Closes the connections of targets that are not kept, once their streams are done.
    pub(crate) fn retain(&self, keep: impl Fn(u64) -> bool) {
        self.by_target.borrow_mut().retain(|target, _| keep(*target));
    }

    /// Closes what has been idle for long or was closed by its target.
    pub(crate) fn sweep(&self, now_ms: u64) {
        self.by_target.borrow_mut().retain(|_, connections| {
            connections.retain(|connection| {
                let is_idle = connection.streams.get() == 0;
                let is_old = now_ms.saturating_sub(connection.idle_since_ms.get()) >= IDLE_MS_MAX;
                !(connection.sender.borrow().is_closed() || (is_idle && is_old))
            });
            !connections.is_empty()
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_target.borrow().is_empty()
    }
}

/// Sends a request; the error is the status to answer with.
pub(super) async fn exchange(
    call: &Rc<Call>,
    choice: &Choice,
    mut request: Request<RequestBody>,
    record: &mut Option<Box<Record>>,
) -> Result<Response<Body>, StatusCode> {
    let in_flight = InFlight::new(choice.target.clone());
    choice.count_request();
    let started_ms = crate::clock::coarse_ms();
    let connections = &call.origin.worker.multiplexed;
    let (stream, response) = loop {
        let pooled = connections.take(choice.target.id);
        let is_pooled = pooled.is_some();
        let stream = match pooled {
            Some(stream) => stream,
            None => {
                call.set_phase(Phase::Connecting);
                let connecting = connect(&call.origin.worker, &choice.target, choice.group.is_tls);
                let connection = bounded(call, &choice.target, connecting).await;
                connections.add(choice.target.id, connection.inspect_err(|_| choice.count_connection_error())?)
            }
        };
        call.set_phase(Phase::Waiting);
        if let Some(record) = record {
            record.dispatched();
        }
        match send(call, &stream, request).await {
            Ok(response) => break (stream, response),
            // The connection had ended before: nothing was sent.
            Err(Unsent::Again(unsent)) if is_pooled => request = *unsent,
            Err(Unsent::Again(_)) => return Err(StatusCode::BAD_GATEWAY),
            Err(Unsent::Failed(status)) => return Err(status),
        }
    };
    choice.count_response(response.status(), started_ms);
    if let Some(record) = record {
        record.target_answered(response.status());
    }
    let (head, incoming) = response.into_parts();
    let body = Body::shared(incoming, stream, call.clone(), in_flight);
    Ok(Response::from_parts(head, body))
}

async fn connect(worker: &Rc<Worker>, target: &Arc<Target>, is_tls: bool) -> io::Result<Rc<Connection>> {
    let tls = is_tls.then(|| worker.target_tls[1].clone());
    let stream = target_stream::connect(target, tls.as_ref()).await?;
    let io = TargetIo::new(stream, target.clone(), tls, Rc::new(Wire::default()));
    let (sender, connection) = worker.client2.handshake(io).await.map_err(io::Error::other)?;
    let streams_max = Rc::new(Cell::new(connection.current_max_send_streams()));
    let told = streams_max.clone();
    spawn_local(async move {
        let mut connection = pin!(connection);
        poll_fn(|cx| {
            // Whoever has a stream on it learns of its end.
            let polled = connection.as_mut().poll(cx).map(|_| ());
            told.set(connection.current_max_send_streams());
            polled
        })
        .await;
    });
    Ok(Rc::new(Connection {
        sender: RefCell::new(sender),
        streams: Cell::new(0),
        streams_max,
        idle_since_ms: Cell::new(worker.now_ms()),
        worker: Rc::downgrade(worker),
    }))
}

async fn send(call: &Rc<Call>, stream: &Stream, request: Request<RequestBody>) -> Result<Response<Incoming>, Unsent> {
    if request.body().is_end_stream() {
        call.body_ended.set(true);
    }
    let mut sending = pin!(stream.0.sender.borrow_mut().try_send_request(request));
    poll_fn(|cx| {
        call.keep_waker(cx);
        sent(call, sending.as_mut().poll(cx))
    })
    .await
}

/// Why there is no response.
enum Unsent {
    /// The connection had ended: not a byte was sent.
    Again(Box<Request<RequestBody>>),
    Failed(StatusCode),
}

type Sent = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>;

/// What has become of a request by now.
fn sent(call: &Call, polled: Poll<Sent>) -> Poll<Result<Response<Incoming>, Unsent>> {
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
        Poll::Pending if call.is_expired() => Poll::Ready(Err(Unsent::Failed(late(call)))),
        Poll::Pending => Poll::Pending,
    }
}

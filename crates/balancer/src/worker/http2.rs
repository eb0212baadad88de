//! One HTTP/2 client connection. Each of its streams is a task with a call of its own.
//!
//! What a client may make us hold is bounded: streams at a time, header lists, windows, resets that are still
//! to be answered for. The engine ends connections that exceed them (rapid reset, CONTINUATION floods and
//! their kin); a stream nobody moves for the idle timeout is reset, and a connection without streams, or one
//! whose socket takes nothing, ends.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, ready};

use http::Request;
use http::header::CONNECTION;
use hyper::body::{Body as _, Incoming};
use hyper::rt::ReadBufCursor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::spawn_local;

use super::Watched;
use super::call::{Call, Phase};
use super::origin::Origin;
use super::timer::TICK;
use super::transport::Transport;
use crate::desync::Verdict;
use crate::proxy;
use crate::proxy::body::{ClientBody, RequestBody};
use crate::proxy::h1::request::judge_http2;

/// Streams at a time, as an Application Load Balancer has it.
const STREAMS_MAX: u32 = 128;
/// All headers of a request, uncompressed.
const HEADER_LIST_BYTES_MAX: u32 = 64 * 1024;
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// Of one response, waiting for the client.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// Streams that a client reset before we looked at them.
const PENDING_RESETS_MAX: usize = 20;
/// Streams that we reset because of a client's errors.
const ERROR_RESETS_MAX: usize = 64;
const HEADER_TABLE_BYTES: u32 = 4096;

/// See the module.
#[derive(Debug)]
pub(crate) struct Http2Client {
    origin: Rc<Origin>,
    /// Stands for the connection as a whole: idle or streaming.
    connection: Rc<Call>,
    calls: RefCell<Vec<Weak<Call>>>,
    /// The call the engine is about to start a task for.
    starting: RefCell<Option<Rc<Call>>>,
    is_closing: Cell<bool>,
    /// When a byte moved on the socket last.
    moved_ms: Cell<u64>,
    is_write_blocked: Cell<bool>,
    bytes: Cell<u64>,
}

impl Watched for Http2Client {
    fn check(&self) {
        self.origin.counts.processed_bytes.add(self.bytes.replace(0));
        let route = self.origin.route();
        let mut calls = self.calls.borrow_mut();
        calls.retain(|call| call.strong_count() > 0);
        for call in calls.iter().filter_map(Weak::upgrade) {
            call.check(route.as_deref());
        }
        let is_idle = calls.is_empty();
        drop(calls);
        if is_idle != (self.connection.phase() == Phase::Idle) {
            self.connection.set_phase(if is_idle { Phase::Idle } else { Phase::Streaming });
        }
        if self.is_write_blocked.get() {
            let limit_ms = route.as_ref().map_or(0, |route| route.load_balancer.idle_timeout_ms);
            let blocked_ms = self.origin.worker.now_ms().saturating_sub(self.moved_ms.get());
            if blocked_ms >= limit_ms + TICK.as_millis() as u64 {
                return self.connection.expire();
            }
        }
        match &route {
            None if is_idle => self.connection.expire(),
            Some(route) if is_idle => _ = self.connection.check(Some(route)),
            Some(route) if !self.origin.is_old(route) => {}
            // Streams may finish, new ones go to another connection.
            _ => self.close(),
        }
    }
}

impl Http2Client {
    pub(super) fn new(origin: Rc<Origin>) -> Http2Client {
        Http2Client {
            connection: Rc::new(Call::new(origin.clone(), Phase::Idle)),
            calls: RefCell::default(),
            starting: RefCell::default(),
            is_closing: Cell::new(false),
            moved_ms: Cell::new(origin.worker.now_ms()),
            is_write_blocked: Cell::new(false),
            bytes: Cell::new(0),
            origin,
        }
    }

    fn close(&self) {
        if !self.is_closing.replace(true) {
            self.connection.wake();
        }
    }

    /// Serves the connection to its end.
    pub(super) async fn serve(self: Rc<Self>, stream: Transport) {
        let client = self.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            let has_body = !request.is_end_stream();
            let judged = judge_http2(&mut request, has_body, client.origin.desync_mode());
            let call = client.start(judged.unwrap_or_else(|refusal| refusal.verdict));
            call.body_ended.set(!has_body);
            let request = Box::new(request.map(|body| RequestBody::new(ClientBody::Http2(body), call.clone())));
            async move {
                let Err(refusal) = judged else {
                    return proxy::handle(&call, request).await.map(|(response, _)| response);
                };
                call.set_phase(Phase::Idle);
                let mut response = proxy::refuse(&call, refusal.status)?;
                response.headers_mut().remove(CONNECTION);
                Ok(response)
            }
        });
        let mut builder = http2::Builder::new(StreamTasks(self.clone()));
        builder
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(HEADER_LIST_BYTES_MAX)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(SEND_BUFFER_BYTES)
            .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
            .max_local_error_reset_streams(ERROR_RESETS_MAX)
            .header_table_size(HEADER_TABLE_BYTES);
        let mut connection = pin!(builder.serve_connection(Http2Io { stream, client: self.clone() }, service));
        let mut is_closing = false;
        poll_fn(|cx| {
            // Idle for too long, or stuck.
            if self.connection.poll_expired(cx).is_ready() {
                return Poll::Ready(());
            }
            if self.is_closing.get() && !is_closing {
                is_closing = true;
                connection.as_mut().graceful_shutdown();
            }
            // Why it ended concerns the client alone.
            connection.as_mut().poll(cx).map(|_| ())
        })
        .await;
        for call in self.calls.borrow().iter().filter_map(Weak::upgrade) {
            call.set_phase(Phase::Streaming);
            call.expire();
        }
        self.origin.counts.processed_bytes.add(self.bytes.replace(0));
    }

    /// A call for a stream that begins.
    fn start(&self, verdict: Verdict) -> Rc<Call> {
        let call = Rc::new(Call::new(self.origin.clone(), Phase::Waiting));
        call.begin_request(verdict);
        self.connection.set_phase(Phase::Streaming);
        let mut calls = self.calls.borrow_mut();
        if calls.len() >= 2 * STREAMS_MAX as usize {
            calls.retain(|call| call.strong_count() > 0);
        }
        calls.push(Rc::downgrade(&call));
        drop(calls);
        *self.starting.borrow_mut() = Some(call.clone());
        call
    }
}

/// Starts the engine's tasks. It starts one right after asking for a response, which is how a task is known
/// to be a call's.
#[derive(Clone, Debug)]
struct StreamTasks(Rc<Http2Client>);

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for StreamTasks {
    fn execute(&self, task: F) {
        let Some(call) = self.0.starting.borrow_mut().take() else {
            spawn_local(task);
            return;
        };
        spawn_local(async move {
            let mut task = pin!(task);
            poll_fn(|cx| {
                call.keep_waker(cx);
                // Dropping the task resets the stream. Before the response, time-outs have answers of their own.
                if call.is_expired() && matches!(call.phase(), Phase::Idle | Phase::Streaming) {
                    return Poll::Ready(());
                }
                task.as_mut().poll(cx)
            })
            .await;
        });
    }
}

/// The engine's view of a client's socket.
#[derive(Debug)]
struct Http2Io {
    stream: Transport,
    client: Rc<Http2Client>,
}

impl Http2Io {
    fn moved(&self, count: usize) {
        self.client.bytes.set(self.client.bytes.get() + count as u64);
        self.client.moved_ms.set(self.client.origin.worker.now_ms());
    }
}

impl hyper::rt::Read for Http2Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // SAFETY: the buffer is only ever written to, by ReadBuf, which never takes back initialisation.
        let mut space = ReadBuf::uninit(unsafe { buf.as_mut() });
        ready!(Pin::new(&mut this.stream).poll_read(cx, &mut space))?;
        let count = space.filled().len();
        // SAFETY: the socket filled `count` bytes of this very buffer.
        unsafe { buf.advance(count) };
        this.moved(count);
        Poll::Ready(Ok(()))
    }
}

impl hyper::rt::Write for Http2Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = this.stream.poll_write_parts(cx, parts);
        this.client.is_write_blocked.set(polled.is_pending());
        let written = ready!(polled)?;
        this.moved(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_flush(cx);
        this.client.is_write_blocked.set(polled.is_pending());
        polled
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

//! One client connection: its socket, what it waits for, and the task that serves it.
//!
//! A request lives in the task of its client connection from head to last byte: the exchange with the target
//! is polled from inside the engine's service future and response body. One task, one waker, no hand-over.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use http::{HeaderValue, StatusCode};
use hyper::rt::ReadBufCursor;
use hyper::service::service_fn;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::Worker;
use super::intake::Intake;
use crate::compile::Route;
use crate::config::DesyncMode;
use crate::counters::LoadBalancerCounts;
use crate::proxy;
use crate::proxy::tunnel::Tunnel;
use crate::write::poll_write_parts;

/// A client that still sends after its last response is listened to for so many bytes, so that the response
/// is not lost to a reset.
const LINGER_BYTES_MAX: usize = 1024 * 1024;

/// A connection that has been quiet for so long keeps its socket and little else.
const PARK_AFTER_MS: u64 = 2_000;

/// What a connection waits for; decides what a time-out means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The next request. Time-out: close.
    Idle,
    /// The rest of a head. Time-out: 408.
    Head,
    /// A connection to a target. Time-out: 504.
    Connecting,
    /// A target's response head. Time-out: 504.
    Waiting,
    /// The rest of a response, or bytes of a tunnel. Time-out: abort.
    Streaming,
    /// The client's FIN after the last response. Time-out: abort.
    Lingering,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Client {
    pub worker: Rc<Worker>,
    pub peer: SocketAddr,
    /// The peer's address, for X-Forwarded-For.
    pub peer_value: HeaderValue,
    pub opened_ms: u64,
    listener: Rc<str>,
    counts: Arc<LoadBalancerCounts>,
    stream: RefCell<TcpStream>,
    intake: RefCell<Intake>,
    /// The route and the worker's version at which it was looked up.
    route: RefCell<(u64, Option<Arc<Route>>)>,
    phase: Cell<Phase>,
    /// When the phase began.
    since_ms: Cell<u64>,
    /// When a byte moved last, or the phase began.
    active_ms: Cell<u64>,
    is_expired: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    /// The socket took less than the engine wanted to write.
    is_write_blocked: Cell<bool>,
    /// The engine is, or is to be, let go.
    is_parked: Cell<bool>,
    requests: Cell<u64>,
    bytes: Cell<u64>,
    /// The client's part of the exchange at hand failed: its body broke or its connection ended.
    pub body_failed: Cell<bool>,
    /// The client's part of the exchange at hand has come completely.
    pub body_ended: Cell<bool>,
    pub tunnel: RefCell<Option<Tunnel>>,
}

impl Client {
    pub(crate) fn new(
        worker: Rc<Worker>,
        listener: Rc<str>,
        counts: Arc<LoadBalancerCounts>,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> Client {
        let peer_value = HeaderValue::try_from(peer.ip().to_string()).expect("an address is printable ASCII");
        let now_ms = worker.now_ms();
        Client {
            worker,
            peer,
            peer_value,
            opened_ms: now_ms,
            listener,
            counts,
            stream: RefCell::new(stream),
            intake: RefCell::new(Intake::new()),
            route: RefCell::new((0, None)),
            phase: Cell::new(Phase::Idle),
            since_ms: Cell::new(now_ms),
            active_ms: Cell::new(now_ms),
            is_expired: Cell::new(false),
            waker: RefCell::new(None),
            is_write_blocked: Cell::new(false),
            is_parked: Cell::new(false),
            requests: Cell::new(0),
            bytes: Cell::new(0),
            body_failed: Cell::new(false),
            body_ended: Cell::new(false),
            tunnel: RefCell::new(None),
        }
    }

    /// The listener's current route; `None` when the listener is gone.
    pub(crate) fn route(&self) -> Option<Arc<Route>> {
        let mut cached = self.route.borrow_mut();
        if cached.0 != self.worker.version() {
            *cached = (self.worker.version(), self.worker.route(&self.listener));
        }
        cached.1.clone()
    }

    fn desync_mode(&self) -> DesyncMode {
        self.route().map_or(DesyncMode::Defensive, |route| route.load_balancer.attributes.desync_mode)
    }

    /// Counts the engine's next request; `Some` when it stands for one the framer refused.
    pub(crate) fn begin_request(&self) -> Option<StatusCode> {
        self.requests.set(self.requests.get() + 1);
        self.body_failed.set(false);
        self.body_ended.set(false);
        self.intake.borrow().refusal(self.requests.get())
    }

    /// The exchange at hand became no tunnel.
    pub(crate) fn stay_http(&self) {
        if self.intake.borrow_mut().stay_http(self.desync_mode()) {
            self.wake();
        }
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        self.phase.set(phase);
        self.since_ms.set(self.worker.now_ms());
        self.active_ms.set(self.worker.now_ms());
        self.is_expired.set(false);
    }

    /// A byte moved somewhere.
    pub(crate) fn touch(&self) {
        self.active_ms.set(self.worker.now_ms());
    }

    /// Whether the phase at hand took too long.
    pub(crate) fn is_expired(&self) -> bool {
        self.is_expired.get()
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Finds out whether the phase at hand took too long; called at each tick and configuration.
    pub(crate) fn check(&self) {
        self.flush_bytes();
        let route = self.route();
        let phase = self.phase.get();
        let limit_ms = match (phase, &route) {
            (Phase::Idle, None) if self.is_quiet() => 0,
            (Phase::Connecting, _) => proxy::CONNECT_TIMEOUT_MS,
            (Phase::Lingering, _) => 2_000,
            (_, Some(route)) => route.load_balancer.idle_timeout_ms,
            (_, None) => 60_000,
        };
        let tick = super::timer::TICK.as_millis() as u64;
        let from_ms = match phase {
            // A trickle keeps neither a head nor a goodbye alive.
            Phase::Head | Phase::Connecting | Phase::Lingering => self.since_ms.get(),
            Phase::Idle | Phase::Waiting | Phase::Streaming => self.active_ms.get(),
        };
        let waited_ms = self.worker.now_ms().saturating_sub(from_ms);
        // The recorded time may be a tick older than the event.
        if limit_ms == 0 || waited_ms >= limit_ms + tick {
            self.is_expired.set(true);
            self.wake();
        } else if waited_ms >= PARK_AFTER_MS && !self.is_parked.get() && self.is_quiet() {
            self.is_parked.set(true);
            self.wake();
        }
    }

    /// Whether nothing is on its way in either direction: the engine holds no state worth keeping.
    fn is_quiet(&self) -> bool {
        self.phase.get() == Phase::Idle
            && !self.is_write_blocked.get()
            && self.intake.borrow().is_between_requests(self.requests.get())
    }

    fn flush_bytes(&self) {
        self.counts.processed_bytes.add(self.bytes.replace(0));
    }

    fn moved(&self, count: usize) {
        self.bytes.set(self.bytes.get() + count as u64);
        self.touch();
    }

    /// Serves the connection to its end.
    pub(crate) async fn serve(self: Rc<Self>) {
        let served = loop {
            match self.clone().serve_until_quiet().await {
                Served::Parked => self.worker.count_parked(),
                served => break served,
            }
            if self.readable().await.is_err() {
                return;
            }
            self.is_parked.set(false);
        };
        let tunnel = self.tunnel.borrow_mut().take();
        match (served, tunnel) {
            (Served::Ended, Some(tunnel)) => {
                self.set_phase(Phase::Streaming);
                let early = self.intake.borrow_mut().take_held();
                Box::pin(tunnel.run(&self, early)).await;
            }
            (Served::Ended, None) => self.linger().await,
            _ => {}
        }
        self.flush_bytes();
    }

    /// Runs an engine on the connection. An engine keeps buffers of some 15 KB, so that of a connection that
    /// has been quiet for a while is let go; the next request gets a new one.
    async fn serve_until_quiet(self: Rc<Self>) -> Served {
        let service_client = self.clone();
        let service = service_fn(move |request| proxy::handle(service_client.clone(), request));
        let mut connection = Box::pin(self.worker.server.serve_connection(ClientIo(self.clone()), service));
        poll_fn(|cx| {
            self.keep_waker(cx);
            if self.is_expired() && matches!(self.phase.get(), Phase::Idle | Phase::Streaming) {
                return Poll::Ready(Served::Expired);
            }
            if self.is_parked.get() {
                if self.is_quiet() {
                    return Poll::Ready(Served::Parked);
                }
                self.is_parked.set(false);
            }
            connection.as_mut().poll(cx).map(|result| match result {
                Ok(()) => Served::Ended,
                Err(_) => Served::Failed,
            })
        })
        .await
    }

    /// Waits for bytes on a parked connection; the error is that none came in time.
    async fn readable(&self) -> Result<(), ()> {
        poll_fn(|cx| {
            if self.poll_expired(cx).is_ready() {
                return Poll::Ready(Err(()));
            }
            // An error shows again when the engine reads.
            self.stream.borrow().poll_read_ready(cx).map(|_| Ok(()))
        })
        .await
    }

    fn keep_waker(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    /// Ready when the phase at hand took too long.
    pub(crate) fn poll_expired(&self, cx: &Context<'_>) -> Poll<()> {
        self.keep_waker(cx);
        if self.is_expired() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Waits for the client to close, so that its unread bytes do not reset the connection under the response.
    async fn linger(&self) {
        self.set_phase(Phase::Lingering);
        let mut read = 0;
        poll_fn(|cx| {
            if self.poll_expired(cx).is_ready() {
                return Poll::Ready(());
            }
            // In here, so that it is no part of the task's state.
            let mut scrap = [0; 4096];
            loop {
                let mut space = ReadBuf::new(&mut scrap);
                match ready!(Pin::new(&mut *self.stream.borrow_mut()).poll_read(cx, &mut space)) {
                    Ok(()) if !space.filled().is_empty() && read < LINGER_BYTES_MAX => {
                        read += space.filled().len();
                    }
                    _ => return Poll::Ready(()),
                }
            }
        })
        .await;
    }
}

/// How an engine's turn on a connection ended.
enum Served {
    /// By the protocol.
    Ended,
    /// By an error of the socket's or the protocol's.
    Failed,
    /// Too late.
    Expired,
    /// It was let go; the connection lives on.
    Parked,
}

/// The engine's view of a client's socket.
#[derive(Debug)]
pub(crate) struct ClientIo(Rc<Client>);

impl hyper::rt::Read for ClientIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let client = &*self.0;
        let mut intake = client.intake.borrow_mut();
        loop {
            let cleared = intake.cleared();
            if !cleared.is_empty() {
                let count = cleared.len().min(buf.remaining());
                buf.put_slice(&cleared[..count]);
                intake.consume(count);
                return Poll::Ready(Ok(()));
            }
            if intake.is_broken() {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "broken request body")));
            }
            if intake.is_full() {
                return Poll::Pending;
            }
            if client.is_expired() && client.phase.get() == Phase::Head {
                intake.refuse(StatusCode::REQUEST_TIMEOUT);
                continue;
            }
            // SAFETY: the buffer is only ever written to, by ReadBuf, which never takes back initialisation.
            let mut space = ReadBuf::uninit(unsafe { buf.as_mut() });
            ready!(Pin::new(&mut *client.stream.borrow_mut()).poll_read(cx, &mut space))?;
            let bytes = space.filled();
            if bytes.is_empty() {
                return Poll::Ready(Ok(()));
            }
            client.moved(bytes.len());
            let pass = intake.inspect_in_place(bytes, client.desync_mode());
            if matches!(client.phase.get(), Phase::Idle | Phase::Head) {
                let phase = if intake.has_partial_head() { Phase::Head } else { Phase::Idle };
                if phase != client.phase.get() {
                    client.set_phase(phase);
                }
            }
            if pass > 0 {
                // SAFETY: the socket filled at least `pass` bytes of this very buffer.
                unsafe { buf.advance(pass) };
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl hyper::rt::Write for ClientIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = poll_write_parts(&mut self.0.stream.borrow_mut(), cx, parts);
        self.0.is_write_blocked.set(polled.is_pending());
        let written = ready!(polled)?;
        self.0.moved(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.stream.borrow_mut()).poll_shutdown(cx)
    }
}

/// A client's socket without the engine: both ways of a tunnel.
#[derive(Debug)]
pub(crate) struct RawClient<'a>(pub &'a Client);

impl AsyncRead for RawClient<'_> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut *self.0.stream.borrow_mut()).poll_read(cx, buf))?;
        self.0.moved(buf.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for RawClient<'_> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut *self.0.stream.borrow_mut()).poll_write(cx, bytes))?;
        self.0.moved(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.stream.borrow_mut()).poll_shutdown(cx)
    }
}

//! One HTTP/1 client connection: its bytes, and the task that serves it.
//!
//! A request lives in the task of its client connection from head to last byte: the exchange with the target
//! is polled from inside the engine's service future and response body. One task, one waker, no hand-over.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use http::StatusCode;
use http::header::UPGRADE;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::rt::ReadBufCursor;
use hyper::service::service_fn;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Watched;
use super::call::{Call, Phase};
use super::intake::Intake;
use super::origin::Origin;
use super::transport::Transport;
use crate::proxy;
use crate::proxy::body::Body;
use crate::proxy::tunnel::Tunnel;

/// A client that still sends after its last response is listened to for so many bytes, so that the response
/// is not lost to a reset.
const LINGER_BYTES_MAX: usize = 1024 * 1024;

/// A connection that has been quiet for so long keeps its socket and little else.
const PARK_AFTER_MS: u64 = 2_000;

/// See the module.
#[derive(Debug)]
pub(crate) struct Client {
    pub origin: Rc<Origin>,
    pub call: Rc<Call>,
    stream: RefCell<Transport>,
    intake: RefCell<Intake>,
    /// The socket took less than the engine wanted to write.
    is_write_blocked: Cell<bool>,
    /// The engine is, or is to be, let go.
    is_parked: Cell<bool>,
    requests: Cell<u64>,
    bytes: Cell<u64>,
    /// Bytes that came from and went to the client since its connection became a tunnel.
    pub tunnel_bytes: Cell<(u64, u64)>,
    tunnel: RefCell<Option<Box<Tunnel>>>,
}

impl Watched for Client {
    fn check(&self) {
        self.flush_bytes();
        let route = self.origin.route();
        if route.is_none() && self.is_quiet() {
            self.call.expire();
        } else if !self.call.check(route.as_deref())
            && !self.is_parked.get()
            && self.is_quiet()
            && self.call.waited_ms() >= PARK_AFTER_MS
        {
            self.is_parked.set(true);
            self.call.wake();
        }
    }
}

impl Client {
    pub(super) fn new(origin: Rc<Origin>, stream: Transport) -> Client {
        Client {
            call: Rc::new(Call::new(origin.clone(), Phase::Idle)),
            origin,
            stream: RefCell::new(stream),
            intake: RefCell::new(Intake::new()),
            is_write_blocked: Cell::new(false),
            is_parked: Cell::new(false),
            requests: Cell::new(0),
            bytes: Cell::new(0),
            tunnel_bytes: Cell::new((0, 0)),
            tunnel: RefCell::new(None),
        }
    }

    /// Answers the engine's next request.
    async fn handle(self: Rc<Self>, request: Request<Incoming>) -> Result<Response<Body>, proxy::ListenerGone> {
        let number = self.requests.get() + 1;
        self.requests.set(number);
        let (verdict, refusal) = self.intake.borrow_mut().about(number);
        self.call.begin_request(verdict);
        if let Some(status) = refusal {
            return proxy::refuse(&self.call, status);
        }
        let wants_upgrade = request.headers().contains_key(UPGRADE);
        let (response, tunnel) = proxy::handle(&self.call, request).await?;
        if wants_upgrade {
            match tunnel {
                Some(tunnel) => *self.tunnel.borrow_mut() = Some(tunnel),
                None => self.stay_http(),
            }
        }
        Ok(response)
    }

    /// The exchange at hand became no tunnel.
    fn stay_http(&self) {
        if self.intake.borrow_mut().stay_http(self.origin.desync_mode()) {
            self.call.wake();
        }
    }

    /// Whether nothing is on its way in either direction: the engine holds no state worth keeping.
    fn is_quiet(&self) -> bool {
        self.call.phase() == Phase::Idle
            && !self.is_write_blocked.get()
            && self.intake.borrow().is_between_requests(self.requests.get())
    }

    fn flush_bytes(&self) {
        self.origin.counts.processed_bytes.add(self.bytes.replace(0));
    }

    fn moved(&self, count: usize) {
        self.bytes.set(self.bytes.get() + count as u64);
        self.call.touch();
    }

    /// Serves the connection to its end.
    pub(super) async fn serve(self: Rc<Self>) {
        let served = loop {
            match self.clone().serve_until_quiet().await {
                Served::Parked => self.origin.worker.count_parked(),
                served => break served,
            }
            if self.readable().await.is_err() {
                return self.flush_bytes();
            }
            self.is_parked.set(false);
        };
        let tunnel = self.tunnel.borrow_mut().take();
        match (served, tunnel) {
            (Served::Ended, Some(tunnel)) => {
                self.call.set_phase(Phase::Streaming);
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
        let service = service_fn(move |request| service_client.clone().handle(request));
        let server = &self.origin.worker.server;
        let mut connection = Box::pin(server.serve_connection(ClientIo(self.clone()), service));
        poll_fn(|cx| {
            self.call.keep_waker(cx);
            if self.call.is_expired() && matches!(self.call.phase(), Phase::Idle | Phase::Streaming) {
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
            if self.call.poll_expired(cx).is_ready() {
                return Poll::Ready(Err(()));
            }
            // An error shows again when the engine reads.
            self.stream.borrow().poll_read_ready(cx).map(|_| Ok(()))
        })
        .await
    }

    /// Waits for the client to close, so that its unread bytes do not reset the connection under the response.
    async fn linger(&self) {
        self.call.set_phase(Phase::Lingering);
        let mut read = 0;
        poll_fn(|cx| {
            if self.call.poll_expired(cx).is_ready() {
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
            if client.call.is_expired() && client.call.phase() == Phase::Head {
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
            let pass = intake.inspect_in_place(bytes, client.origin.desync_mode());
            if matches!(client.call.phase(), Phase::Idle | Phase::Head) {
                let phase = if intake.has_partial_head() { Phase::Head } else { Phase::Idle };
                if phase != client.call.phase() {
                    client.call.set_phase(phase);
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
        let polled = self.0.stream.borrow_mut().poll_write_parts(cx, parts);
        self.0.is_write_blocked.set(polled.is_pending());
        let written = ready!(polled)?;
        self.0.moved(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut *self.0.stream.borrow_mut()).poll_flush(cx);
        self.0.is_write_blocked.set(polled.is_pending());
        polled
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
        let count = buf.filled().len() - before;
        let (from, to) = self.0.tunnel_bytes.get();
        self.0.tunnel_bytes.set((from + count as u64, to));
        self.0.moved(count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for RawClient<'_> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut *self.0.stream.borrow_mut()).poll_write(cx, bytes))?;
        let (from, to) = self.0.tunnel_bytes.get();
        self.0.tunnel_bytes.set((from, to + written as u64));
        self.0.moved(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.stream.borrow_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0.stream.borrow_mut()).poll_shutdown(cx)
    }
}

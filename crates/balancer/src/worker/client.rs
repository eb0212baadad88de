//! One HTTP/1 client connection: its bytes, and the task that serves it.
//!
//! A request lives in the task of its client connection from head to last byte: the exchange with the target is polled
//! from here, and reads the request's body from this connection itself. One task, one waker, no hand-over. A connection
//! that waits for a request has no buffers.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::{HeaderMap, Method, Response, StatusCode, Version};
use hyper::body::{Body as HttpBody, Frame};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Watched;
use super::call::{Call, Phase};
use super::origin::Origin;
use super::transport::Transport;
use crate::desync::Verdict;
use crate::proxy;
use crate::proxy::body::{Body, ClientBody, RequestBody};
use crate::proxy::h1::encode::{self, Asked};
use crate::proxy::h1::out::{Framing, Out, PARTS_MAX};
use crate::proxy::h1::receive::{ReceiveError, Receiver};
use crate::proxy::h1::request::{self, Head, Refusal};
use crate::proxy::tunnel::Tunnel;

/// A client that still sends after its last response is listened to for so many bytes, so that the response
/// is not lost to a reset.
const LINGER_BYTES_MAX: usize = 1024 * 1024;

/// So much of a body that nobody wanted is waited for and passed over; for more, the connection ends.
const DRAINED_BYTES_MAX: u64 = 64 * 1024;

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// See the module.
#[derive(Debug)]
pub(crate) struct Client {
    pub origin: Rc<Origin>,
    pub call: Rc<Call>,
    stream: RefCell<Transport>,
    inbound: RefCell<Inbound>,
    /// A request has come whose response has not left.
    is_answering: Cell<bool>,
    bytes: Cell<u64>,
    /// Bytes that came from and went to the client since its connection became a tunnel.
    pub tunnel_bytes: Cell<(u64, u64)>,
}

/// What came from a client.
#[derive(Debug)]
struct Inbound {
    /// The start of a head.
    partial: Vec<u8>,
    /// The body of the request at hand, and what came after it.
    body: Receiver,
    /// Still to be sent before the body is read.
    interim: &'static [u8],
}

impl Inbound {
    /// Whether the next byte that comes is a request's first.
    fn is_between_requests(&self) -> bool {
        self.partial.is_empty() && self.body.input.is_empty() && self.body.is_done()
    }

    /// Reads a head, of bytes that came before or of those that came just now.
    fn head(&mut self, fresh: &[u8], client: &Rc<Client>) -> Result<Option<Head<RequestBody>>, Refusal> {
        let (mode, scraps) = (client.origin.desync_mode(), &client.origin.worker.scraps);
        let body = || RequestBody::new(ClientBody::Http1(client.clone()), client.call.clone());
        if self.partial.is_empty() {
            let is_fresh = !fresh.is_empty();
            let bytes = if is_fresh { fresh } else { &self.body.input[..] };
            return Ok(match request::parse(bytes, 0, mode, scraps, body)? {
                Some(head) => {
                    match is_fresh {
                        true if head.length == fresh.len() => {}
                        true => self.body.input = Bytes::copy_from_slice(&fresh[head.length..]),
                        false => self.body.input.advance(head.length),
                    }
                    Some(head)
                }
                None => {
                    self.partial = bytes.to_vec();
                    self.body.input = Bytes::new();
                    None
                }
            });
        }
        let seen = self.partial.len();
        self.partial.extend_from_slice(fresh);
        let Some(head) = request::parse(&self.partial, seen, mode, scraps, body)? else {
            return Ok(None);
        };
        self.body.input = Bytes::copy_from_slice(&self.partial[head.length..]);
        self.partial = Vec::new();
        Ok(Some(head))
    }
}

impl Watched for Client {
    fn check(&self) {
        self.flush_bytes();
        let route = self.origin.route();
        if route.is_none() && self.is_quiet() {
            self.call.expire();
        } else {
            self.call.check(route.as_deref());
        }
    }
}

/// What comes next on a connection.
enum Next {
    Request(Head<RequestBody>),
    Refused(Refusal),
    End(End),
}

/// How a connection ends.
enum End {
    /// In order: with a response's last byte, or the client's.
    Closed,
    /// At once.
    Aborted,
    /// As another protocol's.
    Tunnel(Box<Tunnel>),
}

impl Client {
    pub(super) fn new(origin: Rc<Origin>, stream: Transport) -> Client {
        Client {
            call: Rc::new(Call::new(origin.clone(), Phase::Idle)),
            origin,
            stream: RefCell::new(stream),
            inbound: RefCell::new(Inbound { partial: Vec::new(), body: Receiver::new(), interim: b"" }),
            is_answering: Cell::new(false),
            bytes: Cell::new(0),
            tunnel_bytes: Cell::new((0, 0)),
        }
    }

    /// Whether nothing is on its way in either direction.
    fn is_quiet(&self) -> bool {
        self.call.phase() == Phase::Idle && !self.is_answering.get() && self.inbound.borrow().is_between_requests()
    }

    fn flush_bytes(&self) {
        self.origin.counts.processed_bytes.add(self.bytes.replace(0));
    }

    fn count(&self, count: usize) {
        self.bytes.set(self.bytes.get() + count as u64);
    }

    fn moved(&self, count: usize) {
        self.count(count);
        self.call.touch();
    }

    /// Serves the connection to its end.
    pub(super) async fn serve(self: Rc<Self>) {
        let end = {
            let mut serving = pin!(self.clone().answer_all());
            poll_fn(|cx| {
                self.call.keep_waker(cx);
                if self.call.is_expired() && matches!(self.call.phase(), Phase::Idle | Phase::Streaming) {
                    return Poll::Ready(End::Aborted);
                }
                serving.as_mut().poll(cx)
            })
            .await
        };
        match end {
            End::Closed => self.linger().await,
            End::Aborted => {}
            End::Tunnel(tunnel) => {
                self.call.set_phase(Phase::Streaming);
                let early = std::mem::take(&mut self.inbound.borrow_mut().body.input);
                Box::pin(tunnel.run(&self, early)).await;
            }
        }
        self.flush_bytes();
    }

    async fn answer_all(self: Rc<Self>) -> End {
        loop {
            match poll_fn(|cx| self.poll_next(cx)).await {
                // In a box, so that a connection that waits is small.
                Next::Request(head) => match Box::pin(self.answer(head)).await {
                    None => {}
                    Some(end) => return end,
                },
                Next::Refused(refusal) => return Box::pin(self.refuse(refusal)).await,
                Next::End(end) => return end,
            }
        }
    }

    fn poll_next(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<Next> {
        let inbound = &mut *self.inbound.borrow_mut();
        let mut read = if inbound.partial.is_empty() && !inbound.body.input.is_empty() {
            inbound.head(&[], self)
        } else {
            Ok(None)
        };
        loop {
            match read {
                Ok(Some(head)) => {
                    self.call.touch();
                    return Poll::Ready(Next::Request(head));
                }
                Ok(None) => {}
                Err(refusal) => return Poll::Ready(Next::Refused(refusal)),
            }
            // Empty lines between requests are no beginning of one, nor do they keep a connection.
            let is_begun = inbound.partial.iter().any(|byte| !b"\r\n".contains(byte));
            let phase = if is_begun { Phase::Head } else { Phase::Idle };
            if phase != self.call.phase() {
                self.call.set_phase(phase);
            }
            if phase == Phase::Head && self.call.is_expired() {
                let refusal = Refusal { status: StatusCode::REQUEST_TIMEOUT, verdict: Verdict::COMPLIANT };
                return Poll::Ready(Next::Refused(refusal));
            }
            let buffer = &mut *self.origin.worker.head_buffer.borrow_mut();
            let mut space = ReadBuf::uninit(&mut buffer[..]);
            match ready!(self.poll_read_quietly(cx, &mut space)) {
                Err(_) => return Poll::Ready(Next::End(End::Aborted)),
                Ok(0) => return Poll::Ready(Next::End(End::Closed)),
                Ok(_) => read = inbound.head(space.filled(), self),
            }
        }
    }

    /// Reads what there is; nothing is the end.
    fn poll_read(&self, cx: &mut Context<'_>, space: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        let count = ready!(self.poll_read_quietly(cx, space))?;
        self.call.touch();
        Poll::Ready(Ok(count))
    }

    /// The same, and the idle time-out goes on.
    fn poll_read_quietly(&self, cx: &mut Context<'_>, space: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut *self.stream.borrow_mut()).poll_read(cx, space))?;
        let count = space.filled().len();
        self.count(count);
        Poll::Ready(Ok(count))
    }

    /// Answers a request that goes no further, and says how the connection ends.
    async fn refuse(&self, refusal: Refusal) -> End {
        self.call.begin_request(refusal.verdict);
        self.call.set_phase(Phase::Streaming);
        let asked = Asked { is_head: false, is_http_11: true, keeps_alive: false, wants_trailers: false };
        match proxy::refuse(&self.call, refusal.status) {
            Ok(response) => match self.respond(response, asked).await {
                Ok(_) => End::Closed,
                Err(Gone) => End::Aborted,
            },
            Err(_) => End::Aborted,
        }
    }

    /// Answers a request, and says how the connection ends if it does.
    async fn answer(&self, head: Head<RequestBody>) -> Option<End> {
        let Head { request, body, verdict, keeps_alive, expects_continue, wants_trailers, .. } = head;
        self.call.begin_request(verdict);
        self.is_answering.set(true);
        {
            let inbound = &mut *self.inbound.borrow_mut();
            inbound.body.begin(body);
            self.call.body_ended.set(inbound.body.is_done());
            let waits = expects_continue && !inbound.body.is_done() && inbound.body.input.is_empty();
            inbound.interim = if waits { CONTINUE } else { b"" };
        }
        let is_http_11 = request.version() == Version::HTTP_11;
        let asked = Asked { is_head: *request.method() == Method::HEAD, is_http_11, keeps_alive, wants_trailers };
        let answer = {
            let mut handling = pin!(proxy::handle(&self.call, request));
            poll_fn(|cx| match handling.as_mut().poll(cx) {
                Poll::Ready(answer) => Poll::Ready(answer.map_err(|_| Gone)),
                Poll::Pending => self.poll_gone(cx).map(Err),
            })
            .await
        };
        let Ok((response, tunnel)) = answer else { return Some(End::Aborted) };
        // A client that was not asked for its body may send it or not: nobody knows what comes next.
        let asked = Asked { keeps_alive: keeps_alive && self.inbound.borrow().interim.is_empty(), ..asked };
        others_first().await;
        let Ok(keeps_alive) = self.respond(response, asked).await else { return Some(End::Aborted) };
        self.is_answering.set(false);
        match tunnel {
            Some(tunnel) => Some(End::Tunnel(tunnel)),
            None if keeps_alive && self.drain().await => {
                self.inbound.borrow_mut().body.rest();
                self.call.set_phase(Phase::Idle);
                None
            }
            None => Some(End::Closed),
        }
    }

    /// Ready when the client has ended its connection while it is our turn to speak. What it sends instead is kept.
    fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<Gone> {
        let inbound = &mut *self.inbound.borrow_mut();
        if !inbound.is_between_requests() {
            return Poll::Pending;
        }
        let buffer = &mut *self.origin.worker.head_buffer.borrow_mut();
        let mut space = ReadBuf::uninit(&mut buffer[..]);
        match ready!(self.poll_read(cx, &mut space)) {
            Ok(0) | Err(_) => Poll::Ready(Gone),
            Ok(_) => {
                inbound.body.input = Bytes::copy_from_slice(space.filled());
                Poll::Pending
            }
        }
    }

    /// Writes a response; says whether the connection may be used again.
    async fn respond(&self, response: Response<Body>, asked: Asked) -> Result<bool, Gone> {
        let (head, body) = response.into_parts();
        let length = if body.is_end_stream() { Some(0) } else { body.size_hint().exact() };
        let worker = &self.origin.worker;
        let mut out = worker.scraps.out();
        let interim = std::mem::take(&mut self.inbound.borrow_mut().interim);
        if interim.len() < CONTINUE.len() {
            out.text().extend_from_slice(interim);
        }
        let (mut framing, keeps_alive) = encode::response(&head, length, asked, &worker.date(), out.text());
        let trailers = match framing {
            Some(Framing::Chunked) if asked.wants_trailers => encode::announced_trailers(&head.headers),
            _ => Vec::new(),
        };
        worker.scraps.give_headers(head.headers);
        let mut body = framing.is_some().then_some(body);
        let mut is_broken = false;
        let written = poll_fn(|cx| {
            loop {
                // A head leaves together with what has come of the body.
                while let (Some(source), Some(frame_as)) = (&mut body, &mut framing)
                    && out.has_room()
                {
                    let last = match source.is_end_stream() {
                        true => None,
                        false => match Pin::new(source).poll_frame(cx) {
                            Poll::Pending => break,
                            Poll::Ready(Some(Err(error))) => {
                                // What came before that is the client's.
                                tracing::debug!(%error, "a response broke off");
                                (body, is_broken) = (None, true);
                                break;
                            }
                            Poll::Ready(frame) => frame.and_then(Result::ok),
                        },
                    };
                    let is_within = match last.map(Frame::into_data) {
                        Some(Ok(data)) => out.push(frame_as, data),
                        last => {
                            let fields = last.and_then(|frame| frame.err()?.into_trailers().ok());
                            body = None;
                            out.finish(*frame_as, &fields.unwrap_or_else(HeaderMap::new), &trailers)
                        }
                    };
                    if !is_within {
                        return Poll::Ready(Err(Gone));
                    }
                }
                if out.is_empty() {
                    if body.is_some() {
                        // What a TLS session took leaves, whenever the rest comes.
                        if let Poll::Ready(Err(gone)) = self.poll_flush(cx) {
                            return Poll::Ready(Err(gone));
                        }
                        return self.poll_gone(cx).map(Err);
                    }
                    ready!(self.poll_flush(cx))?;
                    if is_broken && framing == Some(Framing::UntilClose) {
                        // An orderly end would make a whole body of it.
                        self.stream.borrow().reset_on_close();
                    }
                    return Poll::Ready(if is_broken { Err(Gone) } else { Ok(keeps_alive) });
                }
                ready!(self.poll_write(cx, &mut out))?;
            }
        })
        .await;
        worker.scraps.give_out(out);
        written
    }

    fn poll_write(&self, cx: &mut Context<'_>, out: &mut Out) -> Poll<Result<(), Gone>> {
        let mut space = [IoSlice::new(&[]); PARTS_MAX];
        match ready!(self.stream.borrow_mut().poll_write_parts(cx, out.parts(&mut space))) {
            Ok(0) | Err(_) => Poll::Ready(Err(Gone)),
            Ok(count) => {
                self.moved(count);
                out.advance(count);
                Poll::Ready(Ok(()))
            }
        }
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        Pin::new(&mut *self.stream.borrow_mut()).poll_flush(cx).map_err(|_| Gone)
    }

    /// Whether the body of the request at hand has come whole.
    pub(crate) fn has_body_ended(&self) -> bool {
        self.inbound.borrow().body.is_done()
    }

    /// Bytes of that body that are still to come, where that is known.
    pub(crate) fn body_left(&self) -> Option<u64> {
        self.inbound.borrow().body.left()
    }

    /// The next piece of that body.
    pub(crate) fn poll_body(&self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ReceiveError>>> {
        let inbound = &mut *self.inbound.borrow_mut();
        while !inbound.interim.is_empty() {
            let written = Pin::new(&mut *self.stream.borrow_mut()).poll_write(cx, inbound.interim);
            match ready!(written) {
                Ok(count) => inbound.interim = &inbound.interim[count..],
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            }
        }
        let polled = inbound.body.poll_frame(cx, |cx, space| self.poll_read(cx, &mut ReadBuf::uninit(space)));
        if polled.is_pending() {
            // The client may be waiting for what a TLS session took. An error shows when more is written or read.
            let _ = Pin::new(&mut *self.stream.borrow_mut()).poll_flush(cx);
        }
        polled
    }

    /// Passes over what is left of the request's body, if it is little and comes soon: many clients send it after the head.
    /// Says whether that was all.
    async fn drain(&self) -> bool {
        if self.has_body_ended() {
            return true;
        }
        self.call.set_phase(Phase::Lingering);
        let mut passed_over = 0;
        poll_fn(|cx| {
            loop {
                if self.has_body_ended() {
                    return Poll::Ready(true);
                }
                let is_long = self.body_left().is_some_and(|left| left > DRAINED_BYTES_MAX);
                if is_long || passed_over > DRAINED_BYTES_MAX || self.call.is_expired() {
                    return Poll::Ready(false);
                }
                match ready!(self.poll_body(cx)) {
                    Some(Ok(frame)) => passed_over += frame.data_ref().map_or(0, |data| data.len() as u64),
                    Some(Err(_)) => return Poll::Ready(false),
                    None => {}
                }
            }
        })
        .await
    }

    /// Ends our side, and waits for the client to end its own, so that its unread bytes do not reset the connection under
    /// the response.
    async fn linger(&self) {
        self.call.set_phase(Phase::Lingering);
        let (mut is_shut, mut read) = (false, 0);
        poll_fn(|cx| {
            if self.call.poll_expired(cx).is_ready() {
                return Poll::Ready(());
            }
            if !is_shut {
                let shut = ready!(Pin::new(&mut *self.stream.borrow_mut()).poll_shutdown(cx));
                if shut.is_err() {
                    return Poll::Ready(());
                }
                is_shut = true;
            }
            // In here, so that it is no part of the task's state.
            let mut scrap = [MaybeUninit::uninit(); 4096];
            loop {
                match ready!(self.poll_read(cx, &mut ReadBuf::uninit(&mut scrap))) {
                    Ok(count) if count > 0 && read < LINGER_BYTES_MAX => read += count,
                    _ => return Poll::Ready(()),
                }
            }
        })
        .await;
    }
}

/// The client has left, or cannot be told any more.
struct Gone;

/// Ready when whoever else has something to read on this worker has read it. Who writes after that writes when others do:
/// a peer of several connections wakes once for all of them, a twentieth of what a small request costs here.
async fn others_first() {
    let mut is_first = true;
    poll_fn(|cx| {
        if std::mem::take(&mut is_first) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

/// A client's socket as bytes: both ways of a tunnel.
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

//! One connection to a target, polled by whoever has a request on it: the request goes out while the response comes.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use http::{HeaderName, Method, Request, Response, StatusCode};
use hyper::body::{Body as HttpBody, Frame};
use hyper::rt::{Read, ReadBuf, Write};

use super::body::{BodyError, RequestBody};
use super::h1::decode::{BrokenChunk, Decoder};
use super::h1::encode::{self, Framing, Out};
use super::h1::response::{self, Malformed};
use super::target_io::{TargetIo, Wire};
use super::target_stream;
use crate::target::Target;
use crate::worker::Worker;

/// What is read at once while a head is awaited, into a buffer of the worker's.
pub(crate) const HEAD_READ_BYTES: usize = 8 * 1024;
/// What is read at once of a body, at most.
const BODY_READ_BYTES_MAX: usize = 64 * 1024;
/// What is read at once of a body whose length is not known, and the least that is worth a read.
const BODY_READ_BYTES: usize = 16 * 1024;
const BODY_READ_BYTES_MIN: usize = 2 * 1024;
/// Interim responses (100, 103) before one that counts.
const INTERIM_MAX: u32 = 64;

/// Why an exchange failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    #[error("the connection failed")]
    Io(#[from] io::Error),
    #[error("the target closed the connection")]
    Closed,
    #[error("the response is malformed")]
    Malformed(#[from] Malformed),
    #[error("the response is malformed")]
    Chunk(#[from] BrokenChunk),
    #[error("too many interim responses")]
    Interim,
    #[error("the request's body is not as long as it was said to be")]
    Length,
    #[error(transparent)]
    Client(#[from] Box<BodyError>),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Upstream {
    io: TargetIo,
    wire: Rc<Wire>,
    /// `None` once the request is on its way.
    sending: Option<Sending>,
    receiving: Receiving,
    /// Of the request at hand.
    method: Method,
    /// As the response says.
    keeps_alive: bool,
    /// Where the next bytes of a body go.
    space: BytesMut,
    pub(super) idle_since_ms: u64,
    /// Is to end with the exchange at hand.
    pub(super) is_last: bool,
}

/// A request on its way out.
#[derive(Debug)]
struct Sending {
    out: Out,
    /// What is still to come, and how it is framed.
    body: Option<(RequestBody, Framing)>,
    /// Names of trailers that may follow.
    trailers: Vec<HeaderName>,
}

#[derive(Debug)]
enum Receiving {
    /// A head, of which so much has come; and how many interim responses came before it.
    Head(Vec<u8>, u32),
    /// A body, and bytes of it that have come.
    Body(Decoder, Bytes),
}

impl Upstream {
    /// Connects; the caller bounds the time.
    pub(super) async fn connect(worker: &Worker, target: &Arc<Target>, is_tls: bool) -> io::Result<Box<Upstream>> {
        let tls = is_tls.then(|| worker.target_tls[0].clone());
        let stream = target_stream::connect(target, tls.as_ref()).await?;
        let wire = Rc::new(Wire::default());
        let io = TargetIo::new(stream, target.clone(), tls, wire.clone());
        Ok(Box::new(Upstream {
            io,
            wire,
            sending: None,
            receiving: Receiving::Head(Vec::new(), 0),
            method: Method::GET,
            keeps_alive: true,
            space: BytesMut::new(),
            idle_since_ms: 0,
            is_last: false,
        }))
    }

    /// A request is about to be sent over this connection, which has been used before.
    pub(super) fn begin_reused(&self, is_idempotent: bool) {
        self.wire.begin_reused(is_idempotent);
    }

    /// Takes a request; it leaves as the response is polled for.
    pub(super) fn begin(&mut self, request: Request<RequestBody>) {
        let (mut head, body) = request.into_parts();
        let length = (!body.is_end_stream()).then(|| body.size_hint().exact());
        let mut out = Out::default();
        let framing = encode::head(&mut head, length, &mut out.head);
        let trailers = match framing {
            Some(Framing::Chunked) => encode::announced_trailers(&head.headers),
            _ => Vec::new(),
        };
        self.sending = Some(Sending { out, body: framing.map(|framing| (body, framing)), trailers });
        self.receiving = Receiving::Head(Vec::new(), 0);
        self.method = head.method;
        self.keeps_alive = true;
    }

    /// Sends as much of the request as goes now.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ExchangeError>> {
        let Some(sending) = &mut self.sending else { return Poll::Ready(Ok(())) };
        loop {
            // A head leaves together with what has come of the body.
            while sending.out.has_room()
                && let Some((body, framing)) = &mut sending.body
            {
                let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) else { break };
                let frame = frame.transpose().map_err(Box::new)?;
                let is_within = match frame.map(Frame::into_data) {
                    Some(Ok(data)) => sending.out.push(framing, data),
                    last => {
                        let trailers = last.and_then(|frame| frame.err()?.into_trailers().ok()).unwrap_or_default();
                        let is_within = sending.out.finish(*framing, &trailers, &sending.trailers);
                        sending.body = None;
                        is_within
                    }
                };
                if !is_within {
                    return Poll::Ready(Err(ExchangeError::Length));
                }
            }
            if sending.out.is_empty() {
                break;
            }
            let parts = sending.out.parts();
            let mut filled = parts.iter().filter(|part| !part.is_empty());
            let io = Pin::new(&mut self.io);
            let count = match (filled.next(), filled.next()) {
                (Some(only), None) => ready!(io.poll_write(cx, only))?,
                _ => ready!(io.poll_write_vectored(cx, &parts))?,
            };
            if count == 0 {
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into()));
            }
            sending.out.advance(count);
        }
        if sending.body.is_some() {
            return Poll::Pending;
        }
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.sending = None;
        Poll::Ready(Ok(()))
    }

    /// Moves the request on beside its response. A socket that takes no more may still give the response.
    fn send_on(&mut self, cx: &mut Context<'_>) -> Result<(), ExchangeError> {
        match self.poll_send(cx) {
            Poll::Ready(Err(ExchangeError::Io(error))) => {
                tracing::debug!(%error, "a target takes no more of a request");
                self.sending = None;
                self.keeps_alive = false;
                self.is_last = true;
                Ok(())
            }
            Poll::Ready(result) => result,
            Poll::Pending => Ok(()),
        }
    }

    /// The response's head; then its body is polled for.
    pub(super) fn poll_response(
        &mut self,
        worker: &Worker,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<()>, ExchangeError>> {
        self.send_on(cx)?;
        let mut buffer = worker.head_buffer.borrow_mut();
        loop {
            let mut space = ReadBuf::uninit(&mut buffer[..]);
            ready!(Pin::new(&mut self.io).poll_read(cx, space.unfilled()))?;
            let bytes = space.filled();
            if bytes.is_empty() {
                return Poll::Ready(Err(ExchangeError::Closed));
            }
            let Receiving::Head(held, interim) = &mut self.receiving else {
                return Poll::Ready(Err(ExchangeError::Closed));
            };
            let parsed = if held.is_empty() {
                let parsed = next_head(bytes, &self.method, interim)?;
                if let Next::Partial(from) = &parsed {
                    held.extend_from_slice(&bytes[*from..]);
                }
                parsed
            } else {
                held.extend_from_slice(bytes);
                let parsed = next_head(held, &self.method, interim)?;
                if let Next::Partial(from) = &parsed {
                    held.drain(..from);
                }
                parsed
            };
            if let Next::Head(head) = parsed {
                self.receiving = Receiving::Body(head.body, head.rest);
                self.keeps_alive &= head.keeps_alive;
                return Poll::Ready(Ok(head.response));
            }
        }
    }

    /// A piece of the response's body that has come already.
    pub(super) fn take_frame(&mut self) -> Result<Option<Frame<Bytes>>, ExchangeError> {
        match &mut self.receiving {
            Receiving::Body(decoder, input) => Ok(decoder.decode(input)?),
            Receiving::Head(..) => Ok(None),
        }
    }

    /// The next piece of the response's body.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ExchangeError>>> {
        if let Err(error) = self.send_on(cx) {
            return Poll::Ready(Some(Err(error)));
        }
        loop {
            match self.take_frame() {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
            let Receiving::Body(decoder, input) = &mut self.receiving else { return Poll::Ready(None) };
            if decoder.is_done() {
                return Poll::Ready(None);
            }
            match decoder.left() {
                Some(left) => {
                    let left = usize::try_from(left).unwrap_or(usize::MAX);
                    self.space.reserve(left.clamp(BODY_READ_BYTES_MIN, BODY_READ_BYTES_MAX));
                }
                None if self.space.capacity() < BODY_READ_BYTES_MIN => self.space.reserve(BODY_READ_BYTES),
                None => {}
            }
            let mut space = ReadBuf::uninit(self.space.spare_capacity_mut());
            let read = ready!(Pin::new(&mut self.io).poll_read(cx, space.unfilled()));
            let count = space.filled().len();
            match read {
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
                Ok(()) if count == 0 => {
                    self.keeps_alive = false;
                    return Poll::Ready((!decoder.end()).then_some(Err(ExchangeError::Closed)));
                }
                Ok(()) => {
                    // SAFETY: the socket filled so many bytes of this very space.
                    unsafe { self.space.set_len(count) };
                    *input = self.space.split().freeze();
                }
            }
        }
    }

    /// Whether the response is complete.
    pub(super) fn is_complete(&self) -> bool {
        matches!(&self.receiving, Receiving::Body(decoder, _) if decoder.is_done())
    }

    /// Bytes of the response's body that are still to be taken, where that is known.
    pub(super) fn left(&self) -> Option<u64> {
        match &self.receiving {
            Receiving::Body(decoder, _) => decoder.left(),
            Receiving::Head(..) => None,
        }
    }

    /// Whether bytes moved since last asked.
    pub(super) fn take_moved(&self) -> bool {
        self.wire.take_moved()
    }

    /// The socket and what was read from it beyond the response head, after an upgrade.
    pub(super) fn into_tunnel(self: Box<Self>) -> (TargetIo, Bytes) {
        let early = match self.receiving {
            Receiving::Body(_, rest) => rest,
            Receiving::Head(..) => Bytes::new(),
        };
        (self.io, early)
    }

    /// Whether the target keeps the connection open and silent.
    pub(super) fn is_open(&mut self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        let mut space = ReadBuf::uninit(&mut byte);
        Pin::new(&mut self.io).poll_read(&mut Context::from_waker(Waker::noop()), space.unfilled()).is_pending()
    }

    /// Goes back to the pool after a complete exchange, if the connection can be used again.
    pub(super) fn release(mut self: Box<Self>, worker: &Worker, target: &Target) {
        let is_clean = match &self.receiving {
            Receiving::Body(decoder, rest) => decoder.is_done() && rest.is_empty(),
            Receiving::Head(..) => false,
        };
        let is_done = is_clean && self.sending.is_none() && self.keeps_alive && !self.is_last;
        if is_done && worker.is_poolable(target.id) && self.is_open() {
            // What waits has no buffers.
            self.receiving = Receiving::Head(Vec::new(), 0);
            self.space = BytesMut::new();
            self.idle_since_ms = worker.now_ms();
            worker.pool.put(target.id, self);
        }
    }
}

enum Next {
    /// The head begins here and is not complete.
    Partial(usize),
    Head(response::Head),
}

/// The head of the response that counts; interim ones before it are passed over.
fn next_head(bytes: &[u8], method: &Method, interim: &mut u32) -> Result<Next, ExchangeError> {
    let mut from = 0;
    loop {
        let rest = &bytes[from..];
        if rest.is_empty() {
            return Ok(Next::Partial(from));
        }
        let Some(head) = response::parse(rest, method)? else { return Ok(Next::Partial(from)) };
        let status = head.response.status();
        if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(Next::Head(head));
        }
        *interim += 1;
        if *interim > INTERIM_MAX {
            return Err(ExchangeError::Interim);
        }
        from = bytes.len() - head.rest.len();
    }
}

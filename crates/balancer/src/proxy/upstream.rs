//! One connection to a target, polled by whoever has a request on it: the request goes out while the response comes.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderName, Method, Request, Response, StatusCode};
use hyper::body::{Body as HttpBody, Frame};
use hyper::rt::{Read, ReadBuf, Write};

use super::body::{BodyError, RequestBody};
use super::h1::encode;
use super::h1::out::{Framing, Out, PARTS_MAX};
use super::h1::receive::{ReceiveError, Receiver};
use super::h1::response::{self, Malformed};
use super::h1::scraps::Scraps;
use super::target_io::{TargetIo, Wire};
use super::target_stream;
use crate::target::Target;
use crate::worker::Worker;

/// What is read at once while a head is awaited, into a buffer of the worker's. Most bodies come whole with their heads: to
/// copy one costs less than to ask for the rest of it.
pub(crate) const HEAD_READ_BYTES: usize = 32 * 1024;
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
    #[error(transparent)]
    Body(#[from] ReceiveError),
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
    /// Bytes on their way out.
    out: Out,
    /// `None` once the request is on its way.
    sending: Option<Sending>,
    receiving: Receiving,
    /// Of the request at hand.
    method: Method,
    /// As the response says.
    keeps_alive: bool,
    pub(super) idle_since_ms: u64,
    /// Is to end with the exchange at hand.
    pub(super) is_last: bool,
}

/// A request on its way out.
#[derive(Debug)]
struct Sending {
    /// What is still to come, and how it is framed.
    body: Option<(RequestBody, Framing)>,
    /// Names of trailers that may follow.
    trailers: Vec<HeaderName>,
}

#[derive(Debug)]
enum Receiving {
    /// A head, of which so much has come; and how many interim responses came before it.
    Head(Vec<u8>, u32),
    Body(Receiver),
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
            out: Out::default(),
            sending: None,
            receiving: Receiving::Head(Vec::new(), 0),
            method: Method::GET,
            keeps_alive: true,
            idle_since_ms: 0,
            is_last: false,
        }))
    }

    /// A request is about to be sent over this connection, which has been used before.
    pub(super) fn begin_reused(&self, is_idempotent: bool) {
        self.wire.begin_reused(is_idempotent);
    }

    /// Takes a request; it leaves as the response is polled for.
    pub(super) fn begin(&mut self, request: Box<Request<RequestBody>>, worker: &Worker) {
        let (mut head, body) = request.into_parts();
        let length = (!body.is_end_stream()).then(|| body.size_hint().exact());
        self.out = worker.scraps.out();
        let framing = encode::request(&mut head, length, self.out.text());
        let trailers = match framing {
            Some(Framing::Chunked) => encode::announced_trailers(&head.headers),
            _ => Vec::new(),
        };
        worker.scraps.give_headers(head.headers);
        self.sending = Some(Sending { body: framing.map(|framing| (body, framing)), trailers });
        self.receiving = Receiving::Head(Vec::new(), 0);
        self.method = head.method;
        self.keeps_alive = true;
    }

    /// Sends as much of the request as goes now.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ExchangeError>> {
        let Some(sending) = &mut self.sending else { return Poll::Ready(Ok(())) };
        loop {
            // A head leaves together with what has come of the body.
            while self.out.has_room()
                && let Some((body, framing)) = &mut sending.body
            {
                let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) else { break };
                let frame = frame.transpose().map_err(Box::new)?;
                let is_within = match frame.map(Frame::into_data) {
                    Some(Ok(data)) => self.out.push(framing, data),
                    last => {
                        let trailers = last.and_then(|frame| frame.err()?.into_trailers().ok()).unwrap_or_default();
                        let is_within = self.out.finish(*framing, &trailers, &sending.trailers);
                        sending.body = None;
                        is_within
                    }
                };
                if !is_within {
                    return Poll::Ready(Err(ExchangeError::Length));
                }
            }
            if self.out.is_empty() {
                break;
            }
            let mut space = [IoSlice::new(&[]); PARTS_MAX];
            let parts = self.out.parts(&mut space);
            let count = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, parts))?;
            if count == 0 {
                return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into()));
            }
            self.out.advance(count);
        }
        if sending.body.is_some() {
            // What a TLS session took leaves, whenever the rest comes.
            if let Poll::Ready(Err(error)) = Pin::new(&mut self.io).poll_flush(cx) {
                return Poll::Ready(Err(error.into()));
            }
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
                let parsed = next_head(bytes, &self.method, interim, &worker.scraps)?;
                if let Next::Partial(from) = &parsed {
                    held.extend_from_slice(&bytes[*from..]);
                }
                parsed
            } else {
                held.extend_from_slice(bytes);
                let parsed = next_head(held, &self.method, interim, &worker.scraps)?;
                if let Next::Partial(from) = &parsed {
                    held.drain(..from);
                }
                parsed
            };
            if let Next::Head(head) = parsed {
                self.receiving = Receiving::Body(Receiver::of(head.body, head.rest));
                self.keeps_alive &= head.keeps_alive;
                return Poll::Ready(Ok(head.response));
            }
        }
    }

    /// A piece of the response's body that has come already.
    pub(super) fn take_frame(&mut self) -> Result<Option<Frame<Bytes>>, ExchangeError> {
        match &mut self.receiving {
            Receiving::Body(receiver) => Ok(receiver.take_frame()?),
            Receiving::Head(..) => Ok(None),
        }
    }

    /// The next piece of the response's body.
    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ExchangeError>>> {
        if let Err(error) = self.send_on(cx) {
            return Poll::Ready(Some(Err(error)));
        }
        let Receiving::Body(receiver) = &mut self.receiving else { return Poll::Ready(None) };
        let io = &mut self.io;
        let polled = receiver.poll_frame(cx, |cx, space| {
            let mut space = ReadBuf::uninit(space);
            Pin::new(&mut *io).poll_read(cx, space.unfilled()).map_ok(|()| space.filled().len())
        });
        polled.map(|frame| frame.map(|frame| frame.map_err(ExchangeError::from)))
    }

    /// Whether the response is complete.
    pub(super) fn is_complete(&self) -> bool {
        matches!(&self.receiving, Receiving::Body(receiver) if receiver.is_done())
    }

    /// Bytes of the response's body that are still to be taken, where that is known.
    pub(super) fn left(&self) -> Option<u64> {
        match &self.receiving {
            Receiving::Body(receiver) => receiver.left(),
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
            Receiving::Body(receiver) => receiver.input,
            Receiving::Head(..) => Bytes::new(),
        };
        (self.io, early)
    }

    /// Whether the target keeps the connection open and silent.
    pub(super) fn is_open(&mut self) -> bool {
        self.io.is_open()
    }

    /// Goes back to the pool after a complete exchange, if the connection can be used again.
    pub(super) fn release(mut self: Box<Self>, worker: &Worker, target: &Target) {
        let is_clean = match &self.receiving {
            Receiving::Body(receiver) => receiver.is_done() && receiver.input.is_empty(),
            Receiving::Head(..) => false,
        };
        let is_done = is_clean && self.sending.is_none() && self.keeps_alive && !self.is_last;
        if is_done && worker.is_poolable(target.id) && self.is_open() {
            // What waits has no buffers.
            self.receiving = Receiving::Head(Vec::new(), 0);
            worker.scraps.give_out(std::mem::take(&mut self.out));
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
fn next_head(bytes: &[u8], method: &Method, interim: &mut u32, scraps: &Scraps) -> Result<Next, ExchangeError> {
    let mut from = 0;
    loop {
        let rest = &bytes[from..];
        if rest.is_empty() {
            return Ok(Next::Partial(from));
        }
        let Some(head) = response::parse(rest, method, scraps)? else { return Ok(Next::Partial(from)) };
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

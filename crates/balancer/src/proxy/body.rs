//! Bodies in both directions, streamed with back-pressure: nothing is read from one side before the other
//! side has room.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

use super::h1::receive::ReceiveError;
use super::multiplexed::Stream;
use super::upstream::{ExchangeError, Upstream};
use crate::auth;
use crate::log::Record;
use crate::target::InFlight;
use crate::worker::call::{Call, Phase};
use crate::worker::client::Client;

/// Why a body cannot be delivered. The connection or stream ends, which is how the receiver learns of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the client's body broke off")]
    Client(#[source] ReceiveError),
    #[error("the client's body broke off")]
    Stream(#[source] hyper::Error),
    #[error("the target's body broke off")]
    Target(#[source] hyper::Error),
    #[error("the target's body broke off")]
    Exchange(#[source] ExchangeError),
}

/// A client's body as it comes.
#[derive(Debug)]
pub(crate) enum ClientBody {
    /// From the socket of a client whose task asks for it: such requests go to targets that speak HTTP/1.1, too.
    Http1(Rc<Client>),
    Http2(Incoming),
}

/// A client's body on its way to a target.
#[derive(Debug)]
pub(crate) struct RequestBody {
    incoming: ClientBody,
    call: Rc<Call>,
}

impl RequestBody {
    pub(crate) fn new(incoming: ClientBody, call: Rc<Call>) -> RequestBody {
        RequestBody { incoming, call }
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.incoming {
            ClientBody::Http1(client) => {
                client.poll_body(cx).map(|frame| frame.map(|frame| frame.map_err(BodyError::Client)))
            }
            ClientBody::Http2(incoming) => Pin::new(incoming).poll_frame(cx).map_err(BodyError::Stream),
        }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        this.poll_incoming(cx).map(|frame| match frame {
            Some(Err(error)) => {
                this.call.body_failed.set(true);
                Some(Err(error))
            }
            Some(Ok(mut frame)) => {
                if let Some(trailers) = frame.trailers_mut() {
                    auth::strip_trailers(trailers);
                }
                if let Some(data) = frame.data_ref() {
                    this.call.body_bytes.set(this.call.body_bytes.get() + data.len() as u64);
                }
                this.call.touch();
                this.call.body_ended.set(this.is_end_stream());
                Some(Ok(frame))
            }
            None => {
                this.call.body_ended.set(true);
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.incoming {
            ClientBody::Http1(client) => client.has_body_ended(),
            ClientBody::Http2(incoming) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.incoming {
            ClientBody::Http1(client) => client.body_left().map_or_else(SizeHint::default, SizeHint::with_exact),
            ClientBody::Http2(incoming) => incoming.size_hint(),
        }
    }
}

/// A body on its way to a client.
#[derive(Debug)]
pub(crate) struct Body {
    content: Content,
    /// Told of when the body is dropped: that is when the response is complete or has broken off.
    record: Option<Box<Record>>,
}

#[derive(Debug)]
enum Content {
    /// All there is.
    Full(Bytes),
    /// What a target sends.
    Streamed(Box<Streamed>),
}

/// A target's body, with the connection it comes over.
#[derive(Debug)]
pub(crate) struct Streamed {
    source: Source,
    call: Rc<Call>,
    in_flight: InFlight,
}

/// Where a body comes from.
#[derive(Debug)]
enum Source {
    /// A connection that is this exchange's alone, until the body's end; and what came together with the head.
    Alone([Option<Frame<Bytes>>; 2], Option<Box<Upstream>>),
    /// A stream of a connection that has others.
    Shared(Incoming, #[expect(dead_code, reason = "counts as a stream of its connection until it is dropped")] Stream),
}

impl Body {
    pub(super) fn full(bytes: Bytes) -> Body {
        Body { content: Content::Full(bytes), record: None }
    }

    /// Of a target over HTTP/1.1; `held` came together with the head.
    pub(super) fn alone(
        held: [Option<Frame<Bytes>>; 2],
        upstream: Box<Upstream>,
        call: Rc<Call>,
        in_flight: InFlight,
    ) -> Body {
        Body::streamed(Source::Alone(held, Some(upstream)), call, in_flight)
    }

    /// Of a target over HTTP/2.
    pub(super) fn shared(incoming: Incoming, stream: Stream, call: Rc<Call>, in_flight: InFlight) -> Body {
        Body::streamed(Source::Shared(incoming, stream), call, in_flight)
    }

    fn streamed(source: Source, call: Rc<Call>, in_flight: InFlight) -> Body {
        call.set_phase(Phase::Streaming);
        Body { content: Content::Streamed(Box::new(Streamed { source, call, in_flight })), record: None }
    }

    pub(super) fn set_record(&mut self, record: Box<Record>) {
        self.record = Some(record);
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let polled = match &mut this.content {
            Content::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Content::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Content::Streamed(streamed) => streamed.poll_frame(cx),
        };
        if let (Some(record), Poll::Ready(Some(Ok(frame)))) = (&mut this.record, &polled)
            && let Some(data) = frame.data_ref()
        {
            record.sent(data.len());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Full(bytes) => bytes.is_empty(),
            Content::Streamed(streamed) => streamed.is_complete(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Streamed(streamed) => streamed.size_hint(),
        }
    }
}

impl Streamed {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.source {
            Source::Shared(incoming, _) => {
                let polled = Pin::new(incoming).poll_frame(cx);
                if let Poll::Ready(Some(Ok(_))) = polled {
                    self.call.touch();
                }
                polled.map_err(BodyError::Target)
            }
            Source::Alone(held, upstream) => {
                if let Some(frame) = held.iter_mut().find_map(Option::take) {
                    return Poll::Ready(Some(Ok(frame)));
                }
                let Some(connection) = upstream else { return Poll::Ready(None) };
                let polled = connection.poll_frame(cx);
                if connection.take_moved() {
                    self.call.touch();
                }
                match polled {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(frame))),
                    Poll::Ready(Some(Err(error))) => {
                        *upstream = None;
                        Poll::Ready(Some(Err(BodyError::Exchange(error))))
                    }
                    Poll::Ready(None) => {
                        self.release();
                        Poll::Ready(None)
                    }
                }
            }
        }
    }

    fn is_complete(&self) -> bool {
        match &self.source {
            Source::Shared(incoming, _) => incoming.is_end_stream(),
            Source::Alone(held, upstream) => {
                held.iter().all(Option::is_none) && upstream.as_ref().is_none_or(|upstream| upstream.is_complete())
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Shared(incoming, _) => incoming.size_hint(),
            Source::Alone(held, upstream) => {
                if held.iter().flatten().any(Frame::is_trailers) {
                    // Only chunks have room for them.
                    return SizeHint::default();
                }
                let held = held.iter().flatten().filter_map(Frame::data_ref).map(|data| data.len() as u64).sum::<u64>();
                match upstream.as_ref().map_or(Some(0), |upstream| upstream.left()) {
                    Some(left) => SizeHint::with_exact(held + left),
                    None => SizeHint::default(),
                }
            }
        }
    }

    /// Gives the connection back to its pool, if it is in a state to be used again.
    fn release(&mut self) {
        if let Source::Alone(_, upstream) = &mut self.source
            && let Some(upstream) = upstream.take()
        {
            upstream.release(&self.call.origin.worker, self.in_flight.target());
        }
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        // Whoever sends it on drops it as soon as it is complete, without asking for its end.
        if self.is_complete() {
            self.release();
        }
        self.call.set_phase(Phase::Idle);
    }
}

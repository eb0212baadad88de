//! Bodies in both directions, streamed with back-pressure: nothing is read from one side before the other
//! side has room.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

use super::multiplexed::Stream;
use super::upstream::Upstream;
use crate::log::Record;
use crate::target::InFlight;
use crate::worker::call::{Call, Phase};

/// Why a body cannot be delivered. The engine closes the connection, which is how the receiver learns of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the client's body broke off")]
    Client(#[source] hyper::Error),
    #[error("the target's body broke off")]
    Target(#[source] hyper::Error),
}

/// A client's body on its way to a target.
#[derive(Debug)]
pub(crate) struct RequestBody {
    incoming: Incoming,
    call: Rc<Call>,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, call: Rc<Call>) -> RequestBody {
        call.body_ended.set(incoming.is_end_stream());
        RequestBody { incoming, call }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        Pin::new(&mut this.incoming).poll_frame(cx).map(|frame| match frame {
            Some(Err(error)) => {
                this.call.body_failed.set(true);
                Some(Err(BodyError::Client(error)))
            }
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    this.call.body_bytes.set(this.call.body_bytes.get() + data.len() as u64);
                }
                this.call.touch();
                this.call.body_ended.set(this.incoming.is_end_stream());
                Some(Ok(frame))
            }
            None => {
                this.call.body_ended.set(true);
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
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
    /// Came together with the head.
    first: Option<Frame<Bytes>>,
    incoming: Incoming,
    source: Source,
    call: Rc<Call>,
    in_flight: InFlight,
}

/// Where a body comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// A connection that is this exchange's alone, until the body's end.
    Alone(Option<Box<Upstream>>),
    /// A stream of a connection that has others.
    Shared(#[expect(dead_code, reason = "counts as a stream of its connection until it is dropped")] Stream),
}

impl Body {
    pub(super) fn full(bytes: Bytes) -> Body {
        Body { content: Content::Full(bytes), record: None }
    }

    pub(super) fn streamed(
        first: Option<Frame<Bytes>>,
        incoming: Incoming,
        source: Source,
        call: Rc<Call>,
        in_flight: InFlight,
    ) -> Body {
        call.set_phase(Phase::Streaming);
        let streamed = Box::new(Streamed { first, incoming, source, call, in_flight });
        Body { content: Content::Streamed(streamed), record: None }
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
            Content::Streamed(streamed) => streamed.first.is_none() && streamed.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Streamed(streamed) => {
                let mut hint = streamed.incoming.size_hint();
                if let Some(first) = streamed.first.as_ref().and_then(Frame::data_ref) {
                    let held = first.len() as u64;
                    match hint.exact() {
                        Some(rest) => hint = SizeHint::with_exact(rest + held),
                        None => hint.set_lower(hint.lower() + held),
                    }
                }
                hint
            }
        }
    }
}

impl Streamed {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        let mut polled = Pin::new(&mut self.incoming).poll_frame(cx);
        if polled.is_pending()
            && let Source::Alone(Some(upstream)) = &mut self.source
        {
            upstream.drive(cx);
            if upstream.take_moved() {
                self.call.touch();
            }
            polled = Pin::new(&mut self.incoming).poll_frame(cx);
        }
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(frame))) => {
                if let Source::Shared(_) = self.source {
                    self.call.touch();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                if let Source::Alone(upstream) = &mut self.source {
                    *upstream = None;
                }
                Poll::Ready(Some(Err(BodyError::Target(error))))
            }
            Poll::Ready(None) => {
                self.release();
                Poll::Ready(None)
            }
        }
    }

    /// Gives the connection back to its pool, if it is in a state to be used again.
    fn release(&mut self) {
        if let Source::Alone(upstream) = &mut self.source
            && let Some(upstream) = upstream.take()
        {
            upstream.release(&self.call.origin.worker, self.in_flight.target());
        }
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        // The engine drops a body as soon as it knows that it is complete, without asking for its end.
        if self.first.is_none() && self.incoming.is_end_stream() {
            self.release();
        }
        self.call.set_phase(Phase::Idle);
    }
}

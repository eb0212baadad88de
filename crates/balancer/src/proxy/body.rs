//! Bodies in both directions, streamed with back-pressure: nothing is read from one side before the other
//! side has room.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

use super::upstream::Upstream;
use crate::target::InFlight;
use crate::worker::client::{Client, Phase};

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
    client: Rc<Client>,
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, client: Rc<Client>) -> RequestBody {
        client.body_ended.set(incoming.is_end_stream());
        RequestBody { incoming, client }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        Pin::new(&mut this.incoming).poll_frame(cx).map(|frame| match frame {
            Some(Err(error)) => {
                this.client.body_failed.set(true);
                Some(Err(BodyError::Client(error)))
            }
            Some(Ok(frame)) => {
                this.client.body_ended.set(this.incoming.is_end_stream());
                Some(Ok(frame))
            }
            None => {
                this.client.body_ended.set(true);
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
pub(crate) enum Body {
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
    upstream: Option<Box<Upstream>>,
    client: Rc<Client>,
    in_flight: InFlight,
}

impl Body {
    pub(super) fn full(bytes: Bytes) -> Body {
        Body::Full(bytes)
    }

    pub(super) fn streamed(
        first: Option<Frame<Bytes>>,
        incoming: Incoming,
        upstream: Box<Upstream>,
        client: Rc<Client>,
        in_flight: InFlight,
    ) -> Body {
        client.set_phase(Phase::Streaming);
        Body::Streamed(Box::new(Streamed { first, incoming, upstream: Some(upstream), client, in_flight }))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Body::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Body::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Body::Streamed(streamed) => streamed.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Body::Full(bytes) => bytes.is_empty(),
            Body::Streamed(streamed) => streamed.first.is_none() && streamed.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Body::Streamed(streamed) => {
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
            && let Some(upstream) = &mut self.upstream
        {
            upstream.drive(cx);
            if upstream.take_moved() {
                self.client.touch();
            }
            polled = Pin::new(&mut self.incoming).poll_frame(cx);
        }
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(frame))) => Poll::Ready(Some(Ok(frame))),
            Poll::Ready(Some(Err(error))) => {
                self.upstream = None;
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
        if let Some(upstream) = self.upstream.take() {
            upstream.release(&self.client.worker, self.in_flight.target());
        }
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        // The engine drops a body as soon as it knows that it is complete, without asking for its end.
        if self.first.is_none() && self.incoming.is_end_stream() {
            self.release();
        }
        self.client.set_phase(Phase::Idle);
    }
}

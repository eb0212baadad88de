//! Bodies of API calls: read whole, within bounds of size, of time and of what all of them may take together.
//!
//! Nobody has been identified while a body is read, for the signature is over the body. So whoever can connect, tasks included,
//! could otherwise fill the memory with the beginnings of large calls.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use longshore_aws_model::AwsError;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A PutLogEvents call has at most one MiB, a part of a layer 10; a task definition 64 KiB.
pub const BODY_MAX: usize = 16 << 20;
/// Bytes that all bodies under way may have: sixteen of the largest, or 256 PutLogEvents.
const TOGETHER_MAX: usize = 256 << 20;
/// What takes no share: connections are bounded elsewhere. Shares are counted in steps of it.
const FREE: usize = 64 << 10;
/// For a body to arrive, waiting for others included.
const WAIT: Duration = Duration::from_secs(60);

/// Why there is no body.
#[derive(Debug, PartialEq, Eq)]
pub enum Unread {
    /// More than [`BODY_MAX`], or it ended early.
    TooLarge,
    /// It did not arrive in time.
    TooSlow,
}

impl Unread {
    /// The error a client is answered with.
    pub fn into_error(self) -> AwsError {
        match self {
            Self::TooLarge => {
                let text = format!("The request body is larger than {BODY_MAX} bytes, or ended early.");
                AwsError::new("RequestEntityTooLargeException", text).with_status(413)
            }
            Self::TooSlow => {
                AwsError::new("RequestTimeout", "The request body did not arrive in time.").with_status(408)
            }
        }
    }
}

/// What all bodies share.
#[derive(Clone)]
pub struct Bodies(Arc<Semaphore>);

/// A body, and its share of the memory for as long as this lives.
pub struct Whole {
    pub bytes: Bytes,
    _share: Option<OwnedSemaphorePermit>,
}

impl Default for Bodies {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(TOGETHER_MAX / FREE)))
    }
}

impl Bodies {
    /// The whole body. One that is compressed takes its share for what it may unpack to.
    pub async fn read(&self, body: Incoming, is_compressed: bool) -> Result<Whole, Unread> {
        tokio::time::timeout(WAIT, self.collect(body, is_compressed)).await.unwrap_or(Err(Unread::TooSlow))
    }

    async fn collect<B: Body<Data = Bytes> + Unpin>(&self, mut body: B, is_compressed: bool) -> Result<Whole, Unread> {
        let told = body.size_hint();
        if told.lower() > BODY_MAX as u64 {
            return Err(Unread::TooLarge);
        }
        let most = told.upper().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(BODY_MAX).min(BODY_MAX);
        let mut share = None;
        if is_compressed {
            share = Some(self.share(most + BODY_MAX).await);
        }
        // Most bodies are one piece, and stay where they are.
        let mut first = Bytes::new();
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(piece) = frame.map_err(|_| Unread::TooLarge)?.into_data() else { continue };
            let length = first.len() + whole.len() + piece.len();
            if length > BODY_MAX {
                return Err(Unread::TooLarge);
            }
            if length > FREE && share.is_none() {
                // All of it at once: bodies that had a part each, and waited for the rest, would wait for one another.
                share = Some(self.share(most).await);
            }
            if length == piece.len() {
                first = piece;
                continue;
            }
            if whole.is_empty() {
                whole.reserve(if share.is_some() { most } else { FREE });
                whole.extend_from_slice(&std::mem::take(&mut first));
            }
            whole.extend_from_slice(&piece);
        }
        let bytes = if whole.is_empty() { first } else { whole.freeze() };
        Ok(Whole { bytes, _share: share })
    }

    /// Waits until there is room for so many bytes.
    async fn share(&self, bytes: usize) -> OwnedSemaphorePermit {
        let steps = u32::try_from(bytes.div_ceil(FREE)).expect("two bodies have at most 512 steps");
        Arc::clone(&self.0).acquire_many_owned(steps).await.expect("nobody closes it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use http_body_util::{Full, StreamBody};
    use hyper::body::Frame;
    use std::convert::Infallible;

    fn pieces(count: usize, size: usize) -> impl Body<Data = Bytes> + Unpin {
        let pieces = (0..count).map(move |_| Ok::<_, Infallible>(Frame::data(Bytes::from(vec![7; size]))));
        StreamBody::new(futures_util::stream::iter(pieces))
    }

    #[tokio::test]
    async fn a_body_in_pieces_is_put_together() {
        let bodies = Bodies::default();
        let whole = bodies.collect(pieces(40, 10_000), false).await.unwrap_or_else(|why| panic!("{why:?}"));
        assert_eq!(whole.bytes.len(), 400_000);
        let one = bodies.collect(Full::new(Bytes::from_static(b"Action=A")), false).await.ok();
        assert_eq!(one.map(|one| one.bytes), Some(Bytes::from_static(b"Action=A")));
        let small = bodies.collect(pieces(3, 10), false).await.ok();
        assert_eq!(small.map(|small| small.bytes), Some(Bytes::from(vec![7; 30])));
        let none = bodies.collect(Full::new(Bytes::new()), false).await.ok();
        assert_eq!(none.map(|none| none.bytes), Some(Bytes::new()));
    }

    #[tokio::test]
    async fn a_body_over_the_bound_is_refused_told_or_not() {
        let bodies = Bodies::default();
        assert_eq!(bodies.collect(pieces(17, 1 << 20), false).await.err(), Some(Unread::TooLarge));
        let told = Full::new(Bytes::from(vec![0; BODY_MAX + 1]));
        assert_eq!(bodies.collect(told, false).await.err(), Some(Unread::TooLarge));
    }

    #[tokio::test]
    async fn bodies_wait_for_memory_while_small_ones_pass() {
        let bodies = Bodies::default();
        let mut large = Vec::new();
        for _ in 0..TOGETHER_MAX / BODY_MAX {
            large.push(
                bodies.collect(Full::new(Bytes::from(vec![0; BODY_MAX])), false).await.ok().expect("there is room"),
            );
        }
        assert!(bodies.collect(pieces(1, 1000), false).await.is_ok());
        let waiting = bodies.collect(pieces(2, FREE), false);
        assert!(waiting.now_or_never().is_none(), "there is no room");
        large.pop();
        assert!(bodies.collect(pieces(2, FREE), false).await.is_ok());
    }
}

//! Bodies as they come from a socket, whichever side it is on.

use std::io;
use std::mem::MaybeUninit;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use hyper::body::Frame;

use super::decode::{BrokenChunk, Decoder};

/// What is read at once, at most.
const READ_BYTES_MAX: usize = 64 * 1024;
/// What is read at once of a body whose length is not known, and the least that is worth a read.
const READ_BYTES: usize = 16 * 1024;
const READ_BYTES_MIN: usize = 2 * 1024;

/// Why a body does not come whole.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiveError {
    #[error("the connection failed")]
    Io(#[from] io::Error),
    #[error("the connection was closed")]
    Closed,
    #[error("the body is malformed")]
    Chunk(#[from] BrokenChunk),
}

/// A body, and bytes that have come.
#[derive(Debug)]
pub(crate) struct Receiver {
    decoder: Decoder,
    /// Bytes of the body and of what comes after it.
    pub input: Bytes,
    /// Where the next bytes go.
    space: BytesMut,
    is_broken: bool,
}

impl Receiver {
    /// Nothing is to come.
    pub(crate) fn new() -> Receiver {
        Receiver::of(Decoder::Length(0), Bytes::new())
    }

    pub(crate) fn of(decoder: Decoder, input: Bytes) -> Receiver {
        Receiver { decoder, input, space: BytesMut::new(), is_broken: false }
    }

    /// A body begins; what has come already belongs to it.
    pub(crate) fn begin(&mut self, decoder: Decoder) {
        self.decoder = decoder;
    }

    /// Whether the body is complete.
    pub(crate) fn is_done(&self) -> bool {
        self.decoder.is_done() && !self.is_broken
    }

    /// Lets go of what a body needed, once it is complete: whoever waits for the next one has no buffers.
    pub(crate) fn rest(&mut self) {
        self.space = BytesMut::new();
        if self.input.is_empty() {
            // It may still hold the memory that its bytes were in.
            self.input = Bytes::new();
        }
    }

    /// Bytes still to be taken, where that is known.
    pub(crate) fn left(&self) -> Option<u64> {
        self.decoder.left()
    }

    /// The next piece, if it has come.
    pub(crate) fn take_frame(&mut self) -> Result<Option<Frame<Bytes>>, ReceiveError> {
        if self.is_broken {
            return Err(BrokenChunk.into());
        }
        // What comes after a broken chunk is not looked at again.
        self.decoder.decode(&mut self.input).inspect_err(|_| self.is_broken = true).map_err(ReceiveError::from)
    }

    /// The next piece. `read` fills a buffer; no bytes are the end of the connection.
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        mut read: impl FnMut(&mut Context<'_>, &mut [MaybeUninit<u8>]) -> Poll<io::Result<usize>>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReceiveError>>> {
        loop {
            match self.take_frame() {
                Ok(Some(frame)) => return Poll::Ready(Some(Ok(frame))),
                Ok(None) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
            if self.is_done() {
                return Poll::Ready(None);
            }
            match self.left() {
                Some(left) => {
                    // With a byte to spare: a read that fills its space is followed by one that finds nothing.
                    let space = usize::try_from(left).unwrap_or(usize::MAX).saturating_add(1);
                    self.space.reserve(space.clamp(READ_BYTES_MIN, READ_BYTES_MAX));
                }
                None if self.space.capacity() < READ_BYTES_MIN => self.space.reserve(READ_BYTES),
                None => {}
            }
            match ready!(read(cx, self.space.spare_capacity_mut())) {
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
                Ok(0) => {
                    let is_whole = self.decoder.end();
                    return Poll::Ready((!is_whole).then_some(Err(ReceiveError::Closed)));
                }
                Ok(count) => {
                    // SAFETY: the socket filled so many bytes of this very space.
                    unsafe { self.space.set_len(count) };
                    self.input = self.space.split().freeze();
                }
            }
        }
    }
}

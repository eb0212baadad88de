//! Vectored writes that are cheaper than the kernel's when little is to be written.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

/// Up to so many bytes, copying them together costs less than having the kernel read a vector, and leaves in
/// one TLS record.
const COPIED_BYTES_MAX: usize = 2048;

/// Writes parts of a message.
pub(crate) fn poll_write_parts<S: AsyncWrite + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    parts: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    let stream = Pin::new(stream);
    if let [only] = parts {
        return stream.poll_write(cx, only);
    }
    if parts.iter().map(|part| part.len()).sum::<usize>() > COPIED_BYTES_MAX {
        return stream.poll_write_vectored(cx, parts);
    }
    let mut together = [0; COPIED_BYTES_MAX];
    let mut length = 0;
    for part in parts {
        together[length..length + part.len()].copy_from_slice(part);
        length += part.len();
    }
    stream.poll_write(cx, &together[..length])
}

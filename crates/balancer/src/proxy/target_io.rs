//! A target's socket, which hides that a pooled connection had gone stale.
//!
//! A target may close an idle connection at any time, even while a request is on its way. So what is written
//! is recorded until the first byte of the response. When the connection ends before that byte, and the
//! request is safe to repeat, a new connection is made and the record sent again, unseen by whoever waits. Safe
//! is: the method is idempotent, or the target closed in order (FIN) without having acknowledged a byte of the
//! request. A FIN acknowledges all that came before the target's close, so such a request came after it. A
//! reset proves nothing: acknowledgements are delayed, and the target may have read what it did not acknowledge.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::os::fd::RawFd;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::rt::ReadBufCursor;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::target_stream::{self, TargetStream};
use crate::target::Target;
use crate::tls::target::TargetTls;

/// A longer request is not recorded, so not repeated.
const RECORD_BYTES_MAX: usize = 64 * 1024;

/// What the exchange and the socket tell each other.
#[derive(Debug, Default)]
pub(super) struct Wire {
    /// A byte moved since somebody asked.
    moved: Cell<bool>,
    /// Bytes written to the socket since it was connected.
    written: Cell<u64>,
    record: RefCell<Record>,
}

#[derive(Debug, Default)]
struct Record {
    is_on: bool,
    is_idempotent: bool,
    bytes: Vec<u8>,
    /// Bytes written to the socket before it.
    written_before: u64,
}

impl Wire {
    pub(super) fn take_moved(&self) -> bool {
        self.moved.take()
    }

    /// Starts recording: a request is about to be sent over a connection that has been used before.
    pub(super) fn begin_reused(&self, is_idempotent: bool) {
        let mut record = self.record.borrow_mut();
        record.is_on = true;
        record.is_idempotent = is_idempotent;
        record.written_before = self.written.get();
        record.bytes.clear();
    }

    fn end_record(&self) {
        let mut record = self.record.borrow_mut();
        record.is_on = false;
        if record.bytes.capacity() > 4096 {
            record.bytes = Vec::new();
        }
    }

    fn add(&self, count: usize, parts: &[IoSlice<'_>]) {
        self.moved.set(true);
        let mut record = self.record.borrow_mut();
        if !record.is_on {
            return;
        }
        if record.bytes.len() + count > RECORD_BYTES_MAX {
            drop(record);
            return self.end_record();
        }
        let mut left = count;
        for part in parts {
            let taken = left.min(part.len());
            record.bytes.extend_from_slice(&part[..taken]);
            left -= taken;
        }
    }
}

type Connecting = Pin<Box<dyn Future<Output = io::Result<TargetStream>>>>;

/// See the module.
pub(super) struct TargetIo {
    stream: TargetStream,
    target: Arc<Target>,
    tls: Option<TargetTls>,
    wire: Rc<Wire>,
    again: Option<Again>,
}

enum Again {
    Connecting(Connecting),
    /// So many bytes of the record are sent.
    Sending(usize),
}

impl std::fmt::Debug for TargetIo {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("TargetIo").field("target", &self.target.address).finish_non_exhaustive()
    }
}

impl TargetIo {
    /// `tls` is how `stream` was made: another one may have to be.
    pub(super) fn new(stream: TargetStream, target: Arc<Target>, tls: Option<TargetTls>, wire: Rc<Wire>) -> TargetIo {
        TargetIo { stream, target, tls, wire, again: None }
    }

    /// Whether the target keeps the connection open and silent; to be asked between requests.
    pub(super) fn is_open(&mut self) -> bool {
        self.stream.is_open()
    }

    /// Starts over on a new connection when that is safe after such an end.
    fn start_again(&mut self, end: End) -> bool {
        let mut record = self.wire.record.borrow_mut();
        if !record.is_on {
            return false;
        }
        if !record.is_idempotent {
            // The connection's opening counts as one byte.
            if end == End::Reset || bytes_acked(self.stream.fd()).is_none_or(|acked| acked > record.written_before + 1)
            {
                return false;
            }
        }
        // Once only: what fails on a fresh connection is the target's answer.
        record.is_on = false;
        let (target, tls) = (self.target.clone(), self.tls.clone());
        let connecting = async move { target_stream::connect(&target, tls.as_ref()).await };
        self.again = Some(Again::Connecting(Box::pin(connecting)));
        true
    }

    fn poll_again(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.again {
                None => return Poll::Ready(Ok(())),
                Some(Again::Connecting(connecting)) => {
                    self.stream = ready!(connecting.as_mut().poll(cx))?;
                    self.again = Some(Again::Sending(0));
                }
                Some(Again::Sending(sent)) => {
                    let record = self.wire.record.borrow();
                    if *sent == record.bytes.len() {
                        drop(record);
                        self.wire.end_record();
                        self.again = None;
                        continue;
                    }
                    *sent += ready!(Pin::new(&mut self.stream).poll_write(cx, &record.bytes[*sent..]))?;
                    self.wire.written.set(self.stream.written());
                    self.wire.moved.set(true);
                }
            }
        }
    }

    fn poll_write_parts(&mut self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_again(cx))?;
            match ready!(self.stream.poll_write_parts(cx, parts)) {
                Ok(count) => {
                    self.wire.written.set(self.stream.written());
                    self.wire.add(count, parts);
                    return Poll::Ready(Ok(count));
                }
                Err(error) if End::of(&error).is_some_and(|end| self.start_again(end)) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

/// How a target's connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// With a FIN.
    Closed,
    /// With a reset and nothing before it.
    Reset,
}

impl End {
    /// `None` for errors of another kind.
    fn of(error: &io::Error) -> Option<End> {
        match error.kind() {
            // A write after a FIN that was answered with a reset; a reset alone shows as such first.
            io::ErrorKind::BrokenPipe => Some(End::Closed),
            io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => Some(End::Reset),
            _ => None,
        }
    }
}

/// How many bytes the peer's kernel has acknowledged since the connection began.
fn bytes_acked(socket: RawFd) -> Option<u64> {
    // SAFETY: tcp_info is plain numbers, for which zero is a value.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the descriptor is open, and the kernel writes at most `length` bytes to `info`.
    let result =
        unsafe { libc::getsockopt(socket, libc::IPPROTO_TCP, libc::TCP_INFO, (&raw mut info).cast(), &raw mut length) };
    (result == 0 && length as usize >= size_of::<libc::tcp_info>()).then_some(info.tcpi_bytes_acked)
}

impl hyper::rt::Read for TargetIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            ready!(this.poll_again(cx))?;
            // SAFETY: the buffer is only ever written to, by ReadBuf, which never takes back initialisation.
            let mut space = ReadBuf::uninit(unsafe { buf.as_mut() });
            let result = ready!(Pin::new(&mut this.stream).poll_read(cx, &mut space));
            let count = space.filled().len();
            match result {
                Ok(()) if count > 0 => {
                    this.wire.moved.set(true);
                    if this.wire.record.borrow().is_on {
                        this.wire.end_record();
                    }
                    // SAFETY: the socket filled `count` bytes of this very buffer.
                    unsafe { buf.advance(count) };
                    return Poll::Ready(Ok(()));
                }
                Ok(()) if this.has_sent() && this.start_again(End::Closed) => {}
                Err(error) if this.has_sent() && End::of(&error).is_some_and(|end| this.start_again(end)) => {}
                other => return Poll::Ready(other),
            }
        }
    }
}

impl TargetIo {
    /// Whether a recorded request is on its way: an end before that is for the pool to notice.
    fn has_sent(&self) -> bool {
        let record = self.wire.record.borrow();
        record.is_on && !record.bytes.is_empty()
    }
}

impl hyper::rt::Write for TargetIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_parts(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_parts(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// For tunnels, where nothing is recorded or repeated.
impl AsyncRead for TargetIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for TargetIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

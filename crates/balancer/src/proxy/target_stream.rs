//! A byte stream to a target: plain TCP, or TLS over it. Counts the bytes that go out on TCP.

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::target::Target;
use crate::tls::target::TargetTls;
use crate::write::poll_write_parts;

/// See the module.
pub(super) enum TargetStream {
    Plain(Counted),
    Tls(Box<TlsStream<Counted>>),
}

/// A socket, with the bytes written to it.
pub(super) struct Counted {
    stream: TcpStream,
    written: u64,
}

/// Connects to a target; with TLS when it is given.
pub(super) async fn connect(target: &Target, tls: Option<&TargetTls>) -> io::Result<TargetStream> {
    let stream = Counted { stream: target.egress.connect(target.address).await?, written: 0 };
    let address: IpAddr = target.address.ip();
    match tls {
        None => Ok(TargetStream::Plain(stream)),
        Some(tls) => Ok(TargetStream::Tls(Box::new(tls.connect(address, stream).await?))),
    }
}

impl TargetStream {
    /// Bytes written to the socket since it was connected.
    pub(super) fn written(&self) -> u64 {
        match self {
            TargetStream::Plain(counted) => counted.written,
            TargetStream::Tls(stream) => stream.get_ref().0.written,
        }
    }

    pub(super) fn fd(&self) -> RawFd {
        match self {
            TargetStream::Plain(counted) => counted.stream.as_raw_fd(),
            TargetStream::Tls(stream) => stream.get_ref().0.stream.as_raw_fd(),
        }
    }

    /// Whether the target keeps the connection open and silent. Leaves nobody's waker behind.
    pub(super) fn is_open(&mut self) -> bool {
        let mut byte = [0];
        match self {
            TargetStream::Plain(counted) => {
                let read = counted.stream.try_read(&mut byte);
                read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
            }
            TargetStream::Tls(_) => {
                let mut cx = Context::from_waker(Waker::noop());
                Pin::new(self).poll_read(&mut cx, &mut ReadBuf::new(&mut byte)).is_pending()
            }
        }
    }

    /// Writes parts of a message.
    pub(super) fn poll_write_parts(&mut self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self {
            TargetStream::Plain(counted) => {
                let count = ready!(poll_write_parts(&mut counted.stream, cx, parts))?;
                counted.written += count as u64;
                Poll::Ready(Ok(count))
            }
            TargetStream::Tls(stream) => {
                let count = ready!(poll_write_parts(stream.as_mut(), cx, parts))?;
                // What the socket does not take now leaves with the next flush.
                if let Poll::Ready(Err(error)) = Pin::new(stream.as_mut()).poll_flush(cx) {
                    return Poll::Ready(Err(error));
                }
                Poll::Ready(Ok(count))
            }
        }
    }
}

impl AsyncRead for TargetStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            TargetStream::Plain(counted) => Pin::new(&mut counted.stream).poll_read(cx, buf),
            TargetStream::Tls(stream) => match Pin::new(stream).poll_read(cx, buf) {
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
                polled => polled,
            },
        }
    }
}

impl AsyncWrite for TargetStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_parts(cx, &[IoSlice::new(bytes)])
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            TargetStream::Plain(_) => Poll::Ready(Ok(())),
            TargetStream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            TargetStream::Plain(counted) => Pin::new(&mut counted.stream).poll_shutdown(cx),
            TargetStream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl AsyncRead for Counted {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let count = ready!(Pin::new(&mut this.stream).poll_write(cx, bytes))?;
        this.written += count as u64;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

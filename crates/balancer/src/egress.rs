//! How a load balancer reaches its targets: the namespace and the source addresses.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::TcpStream;

use crate::netns::{Namespace, start_connect};

/// A way out. The sources are used in turn.
#[derive(Debug)]
pub(crate) struct Egress {
    namespace: Arc<Namespace>,
    sources: Vec<Ipv4Addr>,
    turn: AtomicUsize,
}

impl Egress {
    pub(crate) fn new(namespace: Arc<Namespace>, sources: Vec<Ipv4Addr>) -> Egress {
        Egress { namespace, sources, turn: AtomicUsize::new(0) }
    }

    /// Connects; the caller bounds the time.
    pub(crate) async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let socket = self.namespace.stream_socket()?;
        if !self.sources.is_empty() {
            let source = self.sources[self.turn.fetch_add(1, Ordering::Relaxed) % self.sources.len()];
            // The port is chosen at connect, so that one source port can serve several targets.
            bind_address_no_port(&socket)?;
            rustix::net::bind(&socket, &SocketAddrV4::new(source, 0))?;
        }
        let stream = TcpStream::from_std(start_connect(socket, address)?)?;
        stream.writable().await?;
        match stream.take_error()? {
            Some(error) => Err(error),
            None => Ok(stream),
        }
    }
}

fn bind_address_no_port(socket: &OwnedFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open, and the value is a live c_int whose size is passed with it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

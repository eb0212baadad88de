//! A blocking netlink socket: requests go out together, every answer is awaited.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::sockopt::{self, Timeout};
use rustix::net::{self, AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::message::{Message, Reply, replies, u32_at};

const ERROR: u16 = libc::NLMSG_ERROR as u16;
const DONE: u16 = libc::NLMSG_DONE as u16;
/// The kernel answers while the request is sent; an answer that is not there after this is a kernel bug.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Room for a whole transaction and its acknowledgements.
const BUFFER_BYTES: usize = 4 << 20;

/// What the kernel, or the way to it, answered.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    #[error("open a netlink socket")]
    Open(#[source] io::Error),
    #[error("exchange with the kernel over netlink")]
    Exchange(#[source] io::Error),
    /// The kernel refused the request at that position of the list.
    #[error("the kernel refused request {position}")]
    Refused {
        position: usize,
        #[source]
        error: io::Error,
    },
}

impl NetlinkError {
    /// The error number of a refusal.
    pub fn errno(&self) -> Option<i32> {
        match self {
            NetlinkError::Refused { error, .. } => error.raw_os_error(),
            _ => None,
        }
    }

    /// Whether the thing was not there.
    pub fn is_missing(&self) -> bool {
        matches!(self.errno(), Some(libc::ENOENT | libc::ENODEV | libc::ESRCH | libc::EADDRNOTAVAIL))
    }

    /// Whether the thing was there already.
    pub fn is_there_already(&self) -> bool {
        self.errno() == Some(libc::EEXIST)
    }
}

/// Treats "was not there" as success, for deletions that must be idempotent.
pub fn missing_is_fine(result: Result<(), NetlinkError>) -> Result<(), NetlinkError> {
    result.or_else(|error| if error.is_missing() { Ok(()) } else { Err(error) })
}

/// Treats "was there already" as success, for additions that must be idempotent.
pub fn existing_is_fine(result: Result<(), NetlinkError>) -> Result<(), NetlinkError> {
    result.or_else(|error| if error.is_there_already() { Ok(()) } else { Err(error) })
}

/// A netlink socket of the namespace its creating thread was in.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

impl Socket {
    /// Links, addresses, routes, neighbours.
    pub fn route() -> Result<Socket, NetlinkError> {
        Socket::open(None)
    }

    /// nftables and connection tracking.
    pub fn netfilter() -> Result<Socket, NetlinkError> {
        Socket::open(Some(net::netlink::NETFILTER))
    }

    fn open(protocol: Option<Protocol>) -> Result<Socket, NetlinkError> {
        let open = || -> rustix::io::Result<OwnedFd> {
            let fd = net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)?;
            sockopt::set_socket_timeout(&fd, Timeout::Recv, Some(ANSWER_TIMEOUT))?;
            sockopt::set_socket_recv_buffer_size_force(&fd, BUFFER_BYTES)?;
            sockopt::set_socket_send_buffer_size_force(&fd, BUFFER_BYTES)?;
            Ok(fd)
        };
        let fd = open().map_err(|error| NetlinkError::Open(error.into()))?;
        Ok(Socket { fd, sequence: 1, buffer: vec![0; 32 << 10] })
    }

    /// Sends the requests in one system call and waits for the acknowledgement of each. The kernel goes on
    /// after a refusal; the first one is returned.
    pub fn request(&mut self, messages: &[Message]) -> Result<(), NetlinkError> {
        if messages.is_empty() {
            return Ok(());
        }
        let first = self.send(messages, libc::NLM_F_ACK as u16)?;
        self.await_acknowledgements(first, messages.len())
    }

    /// Sends a transaction: `begin` and `end` are not acknowledged, and either all of `messages` take
    /// effect or none.
    pub fn transact(&mut self, begin: &Message, messages: &[Message], end: &Message) -> Result<(), NetlinkError> {
        let mut bytes = Vec::with_capacity(4096);
        let begin_sequence = self.take_sequences(messages.len() + 2);
        begin.finish(begin_sequence, 0, &mut bytes);
        let mut sequence = begin_sequence;
        for message in messages {
            sequence = sequence.wrapping_add(1);
            message.finish(sequence, libc::NLM_F_ACK as u16, &mut bytes);
        }
        end.finish(sequence.wrapping_add(1), 0, &mut bytes);
        self.write(&bytes)?;
        self.await_acknowledgements(begin_sequence.wrapping_add(1), messages.len())
    }

    /// Sends one request that is answered by data, and collects what `read` makes of each message.
    pub fn query<T>(
        &mut self,
        message: &Message,
        dump: bool,
        mut read: impl FnMut(Reply<'_>) -> Option<T>,
    ) -> Result<Vec<T>, NetlinkError> {
        let flags = if dump { libc::NLM_F_DUMP } else { libc::NLM_F_ACK } as u16;
        let sequence = self.send(std::slice::from_ref(message), flags)?;
        let mut found = vec![];
        loop {
            let length = self.receive()?;
            for reply in replies(&self.buffer[..length]) {
                if reply.sequence != sequence {
                    continue;
                }
                match reply.kind {
                    ERROR => {
                        refusal(reply, 0)?;
                        return Ok(found);
                    }
                    DONE => return Ok(found),
                    _ => found.extend(read(reply)),
                }
            }
        }
    }

    fn send(&mut self, messages: &[Message], flags: u16) -> Result<u32, NetlinkError> {
        let mut bytes = Vec::with_capacity(1024);
        let first = self.take_sequences(messages.len());
        let mut sequence = first;
        for message in messages {
            message.finish(sequence, flags, &mut bytes);
            sequence = sequence.wrapping_add(1);
        }
        self.write(&bytes)?;
        Ok(first)
    }

    fn take_sequences(&mut self, count: usize) -> u32 {
        let first = self.sequence;
        self.sequence = first.wrapping_add(u32::try_from(count).expect("a batch has far fewer messages"));
        first
    }

    fn write(&self, bytes: &[u8]) -> Result<(), NetlinkError> {
        rustix::io::retry_on_intr(|| net::send(&self.fd, bytes, SendFlags::empty())).map_err(exchange)?;
        Ok(())
    }

    fn receive(&mut self) -> Result<usize, NetlinkError> {
        // The kernel cuts dump datagrams to the size of the reader's buffer, 32 KiB at most.
        let fd = &self.fd;
        let buffer = &mut self.buffer;
        let (length, _) =
            rustix::io::retry_on_intr(|| net::recv(fd, &mut buffer[..], RecvFlags::empty())).map_err(exchange)?;
        Ok(length)
    }

    fn await_acknowledgements(&mut self, first: u32, count: usize) -> Result<(), NetlinkError> {
        let mut pending = count;
        let mut result = Ok(());
        while pending > 0 {
            let length = self.receive()?;
            for reply in replies(&self.buffer[..length]) {
                let position = reply.sequence.wrapping_sub(first);
                if position == u32::MAX && reply.kind == ERROR {
                    // The commit itself failed: reported on the message that began the transaction, and what
                    // was acknowledged before it is skipped by its sequence number later.
                    refusal(reply, 0)?;
                }
                if position as usize >= count || reply.kind != ERROR {
                    continue;
                }
                pending -= 1;
                if result.is_ok() {
                    result = refusal(reply, position as usize);
                }
            }
        }
        result
    }
}

fn refusal(reply: Reply<'_>, position: usize) -> Result<(), NetlinkError> {
    match u32_at(reply.payload, 0).map(u32::cast_signed) {
        Some(0) => Ok(()),
        Some(number) => Err(NetlinkError::Refused { position, error: io::Error::from_raw_os_error(-number) }),
        None => Err(NetlinkError::Exchange(io::ErrorKind::UnexpectedEof.into())),
    }
}

fn exchange(error: rustix::io::Errno) -> NetlinkError {
    NetlinkError::Exchange(error.into())
}

//! The resolver at work: a loop a socket, a task a question that must be forwarded, a task a TCP connection.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use hickory_proto::op::Message;

use crate::answer::{Decision, decide};
use crate::config::DnsConfig;
use crate::forward::Forwarder;
use crate::shares::{Share, Shares};
use crate::wire::{TCP_PAYLOAD, read_query, udp_limit, write};
use crate::zone::Names;

/// How long a TCP client may be silent.
const IDLE_TIMEOUT: Duration = Duration::from_secs(10);
/// TCP clients of a listener at one time; more wait in its backlog.
const CONNECTIONS_MAX: usize = 128;
/// Of these, what one client may have; its next ones are closed.
const CONNECTIONS_OF_CLIENT_MAX: usize = 16;
/// After an error that is not about one client, such as having no descriptor left.
const ERROR_PAUSE: Duration = Duration::from_millis(50);

/// Where to answer: sockets opened in the VPC, each bound to the one address that it answers from.
#[derive(Debug, Default)]
pub struct Sockets {
    /// Non-blocking.
    pub udp: Vec<std::net::UdpSocket>,
    /// Non-blocking.
    pub tcp: Vec<std::net::TcpListener>,
}

/// Answers questions of one VPC until `shutdown` completes. Follows `config`, ignoring older generations, and
/// `upstreams`, the servers that know the other names; keeps the last of each when its sender is gone. Fails only when a
/// socket cannot be used at all.
pub async fn run(
    mut config: watch::Receiver<Arc<DnsConfig>>,
    sockets: Sockets,
    upstreams: watch::Receiver<Vec<SocketAddr>>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let resolver = Arc::new(Resolver {
        names: RwLock::default(),
        rotation: AtomicUsize::new(0),
        forwarder: Forwarder::new(upstreams),
    });
    resolver.set_config(&config.borrow_and_update().clone());
    let mut loops = JoinSet::new();
    for socket in sockets.udp {
        loops.spawn(serve_udp(resolver.clone(), UdpSocket::from_std(socket)?));
    }
    for listener in sockets.tcp {
        loops.spawn(serve_tcp(resolver.clone(), TcpListener::from_std(listener)?));
    }
    let follow = async {
        while config.changed().await.is_ok() {
            let newest = config.borrow_and_update().clone();
            resolver.set_config(&newest);
        }
        std::future::pending::<()>().await;
    };
    // Dropping the loops ends them and what they started.
    tokio::select! {
        () = shutdown => Ok(()),
        () = follow => Ok(()),
        // They have no end but a panic.
        Some(ended) = loops.join_next() => ended.map_err(io::Error::other),
    }
}

#[derive(Debug)]
struct Resolver {
    names: RwLock<Arc<Names>>,
    rotation: AtomicUsize,
    forwarder: Forwarder,
}

impl Resolver {
    fn set_config(&self, config: &DnsConfig) {
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        if config.generation < names.generation {
            tracing::warn!(current = names.generation, offered = config.generation, "older names are ignored");
            return;
        }
        let (parsed, bad) = Names::new(config);
        for name in bad {
            tracing::warn!(name = name.0, "not a domain name, left out");
        }
        *names = Arc::new(parsed);
    }

    /// What to do with a datagram's or a frame's bytes.
    fn step(&self, bytes: &[u8]) -> Step {
        let query = match read_query(bytes) {
            Ok(query) => query,
            Err(Some(refusal)) => return Step::Answer(refusal, udp_limit(&Message::query())),
            Err(None) => return Step::Nothing,
        };
        let names = self.names.read().unwrap_or_else(PoisonError::into_inner).clone();
        match decide(&names, &query, self.rotation.fetch_add(1, Ordering::Relaxed)) {
            Decision::Answer(answer) => Step::Answer(answer, udp_limit(&query)),
            Decision::Drop => Step::Nothing,
            Decision::Forward => Step::Forward(Box::new(query)),
        }
    }
}

enum Step {
    /// Send this, over UDP in at most so many bytes.
    Answer(Box<Message>, u16),
    Forward(Box<Message>),
    Nothing,
}

async fn serve_udp(resolver: Arc<Resolver>, socket: UdpSocket) {
    let socket = Arc::new(socket);
    let mut forwards = JoinSet::new();
    let mut buffer = vec![0; 4096];
    loop {
        let received = tokio::select! {
            received = socket.recv_from(&mut buffer) => received,
            Some(_) = forwards.join_next() => continue,
        };
        let (length, client) = match received {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(%error, "receiving a question failed");
                sleep(ERROR_PAUSE).await;
                continue;
            }
        };
        match resolver.step(&buffer[..length]) {
            Step::Nothing => {}
            Step::Answer(answer, limit) => send(&socket, client, &answer, limit).await,
            Step::Forward(query) => {
                let (resolver, socket) = (resolver.clone(), socket.clone());
                forwards.spawn(async move {
                    let answer = resolver.forwarder.ask(client.ip(), &query).await;
                    send(&socket, client, &answer, udp_limit(&query)).await;
                });
            }
        }
    }
}

async fn send(socket: &UdpSocket, client: SocketAddr, answer: &Message, limit: u16) {
    let Some(bytes) = write(answer, limit) else {
        tracing::debug!(%client, "an answer that cannot be written");
        return;
    };
    if let Err(error) = socket.send_to(&bytes, client).await {
        tracing::debug!(%client, %error, "sending an answer failed");
    }
}

async fn serve_tcp(resolver: Arc<Resolver>, listener: TcpListener) {
    let shares = Shares::new(CONNECTIONS_OF_CLIENT_MAX);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, client)) => {
                if let Some(share) = shares.take(client.ip()) {
                    connections.spawn(serve_connection(resolver.clone(), stream, client.ip(), share));
                }
            }
            Err(error) => {
                tracing::debug!(%error, "accepting a connection failed");
                sleep(ERROR_PAUSE).await;
            }
        }
    }
}

/// Questions of one connection, one after the other, until it is closed, silent or senseless.
async fn serve_connection(resolver: Arc<Resolver>, mut stream: TcpStream, client: IpAddr, _share: Share) {
    while let Ok(Ok(bytes)) = timeout(IDLE_TIMEOUT, read_frame(&mut stream)).await {
        let answer = match resolver.step(&bytes) {
            Step::Answer(answer, _) => *answer,
            Step::Nothing => return,
            Step::Forward(query) => resolver.forwarder.ask(client, &query).await,
        };
        let Some(bytes) = write(&answer, TCP_PAYLOAD) else {
            return;
        };
        let length = u16::try_from(bytes.len()).expect("the limit is what fits the length");
        let frame = [&length.to_be_bytes(), &bytes[..]].concat();
        if !matches!(timeout(IDLE_TIMEOUT, stream.write_all(&frame)).await, Ok(Ok(()))) {
            return;
        }
    }
}

async fn read_frame(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

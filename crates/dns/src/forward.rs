//! Asking somebody else: the upstream servers, in turn, with patience for each and an end to it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, ResponseCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::answer::{failure, response};
use crate::shares::Shares;
use crate::wire::UDP_PAYLOAD;

/// How long one server is waited for. Three times it is still less than the five seconds that clients wait for us.
const TRY_TIMEOUT: Duration = Duration::from_millis(1500);
const TRIES: usize = 3;
/// Questions that wait for an answer at one time; more are refused, so that a flood cannot exhaust the sockets.
const IN_FLIGHT_MAX: usize = 512;
/// Of these, what one client may have: one that floods leaves the others theirs.
const IN_FLIGHT_OF_CLIENT_MAX: usize = 64;

/// The way to the upstream servers.
#[derive(Debug)]
pub struct Forwarder {
    upstreams: watch::Receiver<Vec<SocketAddr>>,
    permits: Semaphore,
    shares: Arc<Shares>,
}

impl Forwarder {
    pub fn new(upstreams: watch::Receiver<Vec<SocketAddr>>) -> Forwarder {
        Forwarder { upstreams, permits: Semaphore::new(IN_FLIGHT_MAX), shares: Shares::new(IN_FLIGHT_OF_CLIENT_MAX) }
    }

    /// The answer to `query` of `client`, as an upstream server knows it; SERVFAIL when none does in time.
    pub async fn ask(&self, client: IpAddr, query: &Message) -> Message {
        let (Some(_share), Ok(_permit)) = (self.shares.take(client), self.permits.try_acquire()) else {
            // Whoever floods should not fill the log as well.
            tracing::debug!(%client, "too many forwarded questions at a time");
            return failure(query, ResponseCode::ServFail);
        };
        let mut unhelpful = None;
        let upstreams = self.upstreams.borrow().clone();
        for upstream in upstreams.iter().cycle().take(TRIES) {
            match timeout(TRY_TIMEOUT, exchange(*upstream, query)).await {
                Ok(Ok(reply)) if is_final(reply.metadata.response_code) => {
                    return relay(query, reply);
                }
                Ok(Ok(reply)) => unhelpful = Some(reply),
                Ok(Err(error)) => tracing::debug!(%upstream, %error, "upstream server failed"),
                Err(_) => tracing::debug!(%upstream, "upstream server did not answer in time"),
            }
        }
        unhelpful.map_or_else(|| failure(query, ResponseCode::ServFail), |reply| relay(query, reply))
    }
}

/// Whether another server could not know better.
fn is_final(code: ResponseCode) -> bool {
    matches!(code, ResponseCode::NoError | ResponseCode::NXDomain)
}

/// One question to one server: over UDP, and over TCP if the answer does not fit.
async fn exchange(upstream: SocketAddr, query: &Message) -> io::Result<Message> {
    let question = question(query);
    let bytes = question.to_vec().map_err(io::Error::other)?;
    let reply = exchange_udp(upstream, &question, &bytes).await?;
    if reply.metadata.truncation { exchange_tcp(upstream, &question, &bytes).await } else { Ok(reply) }
}

/// The question with an id of our own, which a forger would have to guess together with the port.
pub fn question(query: &Message) -> Message {
    let mut question = Message::query();
    question.metadata.recursion_desired = true;
    question.metadata.checking_disabled = query.metadata.checking_disabled;
    question.add_queries(query.queries.iter().cloned());
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_PAYLOAD);
    edns.set_dnssec_ok(query.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok));
    question.set_edns(edns);
    question
}

async fn exchange_udp(upstream: SocketAddr, question: &Message, bytes: &[u8]) -> io::Result<Message> {
    let any: IpAddr = if upstream.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // A socket a question: the kernel draws its port at random, and delivers only what comes from the server.
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(upstream).await?;
    socket.send(bytes).await?;
    let mut buffer = vec![0; 4096];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // Anything else is a late answer or a forgery: the right one may still come.
        if let Some(reply) = read_reply(&buffer[..length], question) {
            return Ok(reply);
        }
    }
}

async fn exchange_tcp(upstream: SocketAddr, question: &Message, bytes: &[u8]) -> io::Result<Message> {
    let mut stream = TcpStream::connect(upstream).await?;
    let length = u16::try_from(bytes.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), bytes].concat()).await?;
    let length = stream.read_u16().await?;
    let mut buffer = vec![0; usize::from(length)];
    stream.read_exact(&mut buffer).await?;
    read_reply(&buffer, question).ok_or_else(|| io::Error::other("not an answer to the question"))
}

pub fn read_reply(bytes: &[u8], question: &Message) -> Option<Message> {
    // A response repeats one question; more of them is nothing the parser should make room for.
    if bytes.get(4..6)? != [0, 1] {
        return None;
    }
    let reply = Message::from_vec(bytes).ok()?;
    let is_answer = reply.metadata.message_type == MessageType::Response;
    (is_answer && reply.metadata.id == question.metadata.id && reply.queries == question.queries).then_some(reply)
}

/// The upstream's records in a response to our client.
pub fn relay(query: &Message, reply: Message) -> Message {
    let mut answer = response(query, reply.metadata.response_code);
    answer.add_answers(reply.answers);
    answer.add_authorities(reply.authorities);
    answer.add_additionals(reply.additionals);
    answer
}

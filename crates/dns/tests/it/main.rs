//! The resolver on loopback sockets, with upstream servers that behave as badly as some do.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use longshore_dns::{Block, DnsConfig, Host, Sockets, run};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};
use tokio::sync::{oneshot, watch};

/// What an upstream server does with a question over UDP.
#[derive(Clone, Copy)]
enum Upstream {
    /// Answers with so many addresses, all of them over TCP.
    Answers(u8),
    /// Sends an answer with a wrong id and one to another question first.
    Forged,
    /// Says so.
    Fails,
    /// Says nothing.
    Silent,
}

struct Lab {
    address: SocketAddr,
    config: watch::Sender<Arc<DnsConfig>>,
    upstreams: watch::Sender<Vec<SocketAddr>>,
    _shutdown: oneshot::Sender<()>,
}

fn config(generation: u64, hosts: &[(&str, &[&str])]) -> Arc<DnsConfig> {
    let host = |addresses: &[&str]| Host {
        addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
        ttl_seconds: 60,
    };
    Arc::new(DnsConfig {
        generation,
        zones: vec!["elb.example".into()],
        hosts: hosts.iter().map(|(name, addresses)| ((*name).to_owned(), host(addresses))).collect(),
        private_domain: "ec2.internal".into(),
        vpc_blocks: vec![Block { address: Ipv4Addr::new(10, 0, 0, 0), prefix: 16 }],
    })
}

async fn lab(upstreams: &[Upstream]) -> Lab {
    let (udp, tcp) = sockets();
    let address = udp.local_addr().unwrap();
    let mut addresses = vec![];
    for upstream in upstreams {
        addresses.push(start(*upstream).await);
    }
    let (config, receiver) = watch::channel(config(5, &[("web.elb.example", &["10.0.1.4", "10.0.2.4"])]));
    let (upstreams, servers) = watch::channel(addresses);
    let (shutdown, stopped) = oneshot::channel::<()>();
    tokio::spawn(async move {
        let stopped = async move { drop(stopped.await) };
        run(receiver, Sockets { udp: vec![udp], tcp: vec![tcp] }, servers, stopped).await.unwrap();
    });
    Lab { address, config, upstreams, _shutdown: shutdown }
}

/// A UDP and a TCP socket on one port; a port that is free for the one may be taken for the other.
fn sockets() -> (std::net::UdpSocket, std::net::TcpListener) {
    loop {
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let Ok(tcp) = std::net::TcpListener::bind(udp.local_addr().unwrap()) else { continue };
        udp.set_nonblocking(true).unwrap();
        tcp.set_nonblocking(true).unwrap();
        return (udp, tcp);
    }
}

async fn start(upstream: Upstream) -> SocketAddr {
    let (udp, tcp) = sockets();
    let (udp, tcp) = (UdpSocket::from_std(udp).unwrap(), TcpListener::from_std(tcp).unwrap());
    let address = udp.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((length, client)) = udp.recv_from(&mut buffer).await {
            let query = Message::from_vec(&buffer[..length]).unwrap();
            for reply in replies(upstream, &query, false) {
                udp.send_to(&reply.to_vec().unwrap(), client).await.unwrap();
            }
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = tcp.accept().await {
            let query = Message::from_vec(&read_frame(&mut stream).await).unwrap();
            for reply in replies(upstream, &query, true) {
                write_frame(&mut stream, &reply.to_vec().unwrap()).await;
            }
        }
    });
    address
}

fn replies(upstream: Upstream, query: &Message, tcp: bool) -> Vec<Message> {
    let reply = |code| {
        let mut reply = Message::error_msg(query.metadata.id, OpCode::Query, code);
        reply.add_queries(query.queries.clone());
        reply
    };
    let with = |count: u8| {
        let mut message = reply(ResponseCode::NoError);
        let name = &query.queries[0].name;
        message.add_answers(
            (1..=count).map(|last| Record::from_rdata(name.clone(), 30, RData::from(Ipv4Addr::new(192, 0, 2, last)))),
        );
        message
    };
    match upstream {
        Upstream::Silent => vec![],
        Upstream::Fails => vec![reply(ResponseCode::ServFail)],
        Upstream::Answers(count) if count > 60 && !tcp => {
            let mut cut = reply(ResponseCode::NoError);
            cut.metadata.truncation = true;
            vec![cut]
        }
        Upstream::Answers(count) => vec![with(count)],
        Upstream::Forged => {
            let mut wrong_id = with(9);
            wrong_id.metadata.id ^= 1;
            let mut wrong_question = with(9);
            wrong_question.queries[0].name = Name::from_ascii("other.example.").unwrap();
            vec![wrong_id, wrong_question, with(1)]
        }
    }
}

fn query(name: &str) -> Message {
    let mut query = Message::query();
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
    query
}

async fn ask(lab: &Lab, query: &Message) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(&query.to_vec().unwrap(), lab.address).await.unwrap();
    let mut buffer = [0; 4096];
    let received = tokio::time::timeout(Duration::from_secs(6), socket.recv(&mut buffer)).await;
    let reply = Message::from_vec(&buffer[..received.expect("an answer").unwrap()]).unwrap();
    assert_eq!((reply.metadata.id, &reply.queries), (query.metadata.id, &query.queries));
    reply
}

async fn ask_tcp(lab: &Lab, queries: &[Message]) -> Vec<Message> {
    let mut stream = TcpStream::connect(lab.address).await.unwrap();
    for query in queries {
        write_frame(&mut stream, &query.to_vec().unwrap()).await;
    }
    let mut answers = vec![];
    for _ in queries {
        answers.push(Message::from_vec(&read_frame(&mut stream).await).unwrap());
    }
    answers
}

async fn read_frame(stream: &mut TcpStream) -> Vec<u8> {
    let length = stream.read_u16().await.unwrap();
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes).await.unwrap();
    bytes
}

async fn write_frame(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_u16(u16::try_from(bytes.len()).unwrap()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
}

fn addresses(message: &Message) -> Vec<String> {
    message.answers.iter().map(|record| record.data.to_string()).collect()
}

#[tokio::test]
async fn own_names_are_answered_in_turn_and_follow_the_configuration() {
    let lab = lab(&[]).await;
    let web = query("web.elb.example.");
    assert_eq!(addresses(&ask(&lab, &web).await), ["10.0.1.4", "10.0.2.4"]);
    assert_eq!(addresses(&ask(&lab, &web).await), ["10.0.2.4", "10.0.1.4"]);
    assert_eq!(addresses(&ask(&lab, &query("ip-10-0-9-9.ec2.internal.")).await), ["10.0.9.9"]);

    lab.config.send_replace(config(6, &[("web.elb.example", &["10.0.3.4"])]));
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(addresses(&ask(&lab, &web).await), ["10.0.3.4"]);
    lab.config.send_replace(config(4, &[]));
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(addresses(&ask(&lab, &web).await), ["10.0.3.4"], "an older generation changes nothing");
}

#[tokio::test]
async fn long_answers_are_cut_over_udp_and_whole_over_tcp() {
    let lab = lab(&[Upstream::Answers(100)]).await;
    let many: Vec<String> = (0..200).map(|last| format!("10.0.1.{last}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    lab.config.send_replace(config(6, &[("many.elb.example", &many)]));
    tokio::time::sleep(Duration::from_millis(20)).await;
    let own = query("many.elb.example.");
    let forwarded = query("many.example.com.");
    for (query, all) in [(&own, 200), (&forwarded, 100)] {
        let plain = ask(&lab, query).await;
        assert!(plain.metadata.truncation && (20..32).contains(&plain.answers.len()), "{}", plain.answers.len());
        let mut large = query.clone();
        large.set_edns(Edns::new()).edns.as_mut().unwrap().set_max_payload(4096);
        let cut = ask(&lab, &large).await;
        assert!(cut.metadata.truncation && (60..80).contains(&cut.answers.len()) && cut.edns.is_some());
        let whole = ask_tcp(&lab, &[query.clone(), query.clone()]).await;
        assert!(whole.iter().all(|answer| answer.answers.len() == all && !answer.metadata.truncation));
    }
}

#[tokio::test]
async fn the_rest_is_forwarded_past_servers_that_fail() {
    for upstreams in [
        &[Upstream::Answers(1)][..],
        &[Upstream::Fails, Upstream::Answers(1)],
        &[Upstream::Silent, Upstream::Answers(1)],
        &[Upstream::Forged],
    ] {
        let lab = lab(upstreams).await;
        let answer = ask(&lab, &query("www.example.com.")).await;
        assert_eq!(addresses(&answer), ["192.0.2.1"]);
        assert!(answer.metadata.recursion_available && !answer.metadata.authoritative);
    }
}

#[tokio::test]
async fn other_servers_are_asked_as_soon_as_they_are_given() {
    let lab = lab(&[Upstream::Fails]).await;
    let www = query("www.example.com.");
    assert_eq!(ask(&lab, &www).await.metadata.response_code, ResponseCode::ServFail);
    lab.upstreams.send_replace(vec![start(Upstream::Answers(1)).await]);
    assert_eq!(addresses(&ask(&lab, &www).await), ["192.0.2.1"]);
}

#[tokio::test]
async fn nobody_to_ask_is_said_in_time() {
    for (upstreams, at_most) in [(&[][..], 1), (&[Upstream::Fails], 1), (&[Upstream::Silent], 5)] {
        let lab = lab(upstreams).await;
        let start = Instant::now();
        let answer = ask(&lab, &query("www.example.com.")).await;
        assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
        assert!(start.elapsed() < Duration::from_secs(at_most));
    }
}

#[tokio::test]
async fn a_slow_upstream_holds_up_nobody_else() {
    let lab = lab(&[Upstream::Silent]).await;
    let slow: Vec<_> = (0..600).map(|number| query(&format!("{number}.example.com."))).collect();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for query in &slow {
        socket.send_to(&query.to_vec().unwrap(), lab.address).await.unwrap();
        tokio::task::yield_now().await;
    }
    let start = Instant::now();
    ask(&lab, &query("web.elb.example.")).await;
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_client_that_floods_leaves_the_others_their_forwarded_questions() {
    let lab = lab(&[Upstream::Silent, Upstream::Answers(1)]).await;
    let flooder = UdpSocket::bind("127.0.0.2:0").await.unwrap();
    for number in 0..600 {
        let query = query(&format!("{number}.example.com.")).to_vec().unwrap();
        flooder.send_to(&query, lab.address).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(addresses(&ask(&lab, &query("www.example.com.")).await), ["192.0.2.1"]);
}

#[tokio::test]
async fn a_client_that_opens_connections_leaves_the_others_theirs() {
    let lab = lab(&[]).await;
    let mut idle = vec![];
    for _ in 0..200 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        idle.push(socket.connect(lab.address).await.unwrap());
    }
    let web = query("web.elb.example.");
    let answers = tokio::time::timeout(Duration::from_secs(5), ask_tcp(&lab, &[web])).await.expect("a turn");
    assert_eq!(addresses(&answers[0]).len(), 2);
}

#[tokio::test]
async fn noise_is_survived() {
    let lab = lab(&[]).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut state = 7u32;
    for length in 0..2000 {
        let bytes: Vec<u8> = (0..length % 100)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        socket.send_to(&bytes, lab.address).await.unwrap();
    }
    let mut stream = TcpStream::connect(lab.address).await.unwrap();
    stream.write_all(&[0, 3, 1, 2, 3, 0xff, 0xff, 1]).await.unwrap();
    assert_eq!(addresses(&ask(&lab, &query("web.elb.example.")).await).len(), 2);
}

//! Clients that mean harm: what they may make the balancer hold is bounded, and others are served meanwhile.

use std::time::Duration;

use longshore_balancer::config::Certificate;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::backend::echo;
use crate::client::{Connection, get};
use crate::rig::{Rig, group};
use crate::secure::{BOTH, Dial, certificate, dial, secure};

const POLICY: &str = "ELBSecurityPolicy-TLS13-1-2-2021-06";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// `GET https://a.example/` in HPACK: three entries of the static table, one literal.
const REQUEST: &[u8] = b"\x82\x84\x87\x41\x09a.example";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

async fn open(rig: &Rig, trusted: &Certificate) -> TlsStream<TcpStream> {
    let dialled = Dial { trusted, name: "a.example", protocols: &["h2"], versions: BOTH };
    let mut stream = dial(rig.address, dialled).await.unwrap();
    let mut start = PREFACE.to_vec();
    start.extend(frame(SETTINGS, 0, 0, &[]));
    stream.write_all(&start).await.unwrap();
    stream
}

/// Sends until the balancer ends the connection; says how many bytes went out by then. What it answers is read.
async fn flood(stream: TlsStream<TcpStream>, mut next: impl FnMut(u32) -> Vec<u8>) -> usize {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let reading = tokio::spawn(async move {
        let mut scrap = vec![0; 64 * 1024];
        while reader.read(&mut scrap).await.is_ok_and(|count| count > 0) {}
    });
    let mut sent = 0;
    for round in 0..200_000 {
        let bytes = next(round);
        let write = async {
            writer.write_all(&bytes).await?;
            writer.flush().await
        };
        match tokio::time::timeout(Duration::from_secs(10), write).await {
            Ok(Ok(())) => sent += bytes.len(),
            Ok(Err(_)) => break,
            Err(_) => panic!("neither read nor closed after {sent} bytes"),
        }
        if reading.is_finished() {
            break;
        }
    }
    sent
}

async fn rig_with_tls(folder: &std::path::Path) -> (Rig, Certificate, crate::backend::Backend) {
    let a = echo("a").await;
    let mut rig = Rig::forwarding(vec![group("g", &[&a])]).await;
    let trusted = certificate(folder, "c", &["a.example"]);
    secure(&mut rig, vec![trusted.clone()], POLICY).await;
    (rig, trusted, a)
}

async fn is_served(rig: &Rig, trusted: &Certificate) {
    let dialled = Dial { trusted, name: "a.example", protocols: &["http/1.1"], versions: BOTH };
    let mut connection = Connection::over(dial(rig.address, dialled).await.unwrap());
    assert_eq!(connection.get("/after").await.name(), "a");
}

#[tokio::test]
async fn rapid_resets_end_their_connection() {
    let folder = tempfile::tempdir().unwrap();
    let (rig, trusted, _a) = rig_with_tls(folder.path()).await;
    let sent = flood(open(&rig, &trusted).await, |round| {
        // Some hundred at a time, so that many are reset before anybody looks at them.
        (0..200)
            .flat_map(|n| {
                let stream = (round * 200 + n) * 2 + 1;
                let mut both = frame(HEADERS, END_STREAM | END_HEADERS, stream, REQUEST);
                both.extend(frame(RST_STREAM, 0, stream, &8u32.to_be_bytes()));
                both
            })
            .collect()
    })
    .await;
    assert!(sent < 4 << 20, "{sent} bytes");
    is_served(&rig, &trusted).await;
}

#[tokio::test]
async fn endless_continuations_end_their_connection() {
    let folder = tempfile::tempdir().unwrap();
    let (rig, trusted, _a) = rig_with_tls(folder.path()).await;
    // Literal headers without indexing, never the end.
    let mut field = vec![0, 1, b'a', 0x7f, 0x81, 0x7d];
    field.extend(std::iter::repeat_n(b'b', 16_000));
    let sent = flood(open(&rig, &trusted).await, |round| match round {
        0 => frame(HEADERS, END_STREAM, 1, REQUEST),
        _ => frame(CONTINUATION, 0, 1, &field),
    })
    .await;
    assert!(sent < 8 << 20, "{sent} bytes");
    let sent = flood(open(&rig, &trusted).await, |round| match round {
        0 => frame(HEADERS, END_STREAM, 1, REQUEST),
        _ => (0..100).flat_map(|_| frame(CONTINUATION, 0, 1, &[])).collect(),
    })
    .await;
    assert!(sent < 8 << 20, "{sent} bytes of empty ones");
    is_served(&rig, &trusted).await;
}

#[tokio::test]
async fn a_client_that_asks_and_never_reads_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let (mut rig, trusted, _a) = rig_with_tls(folder.path()).await;
    rig.change_attributes(|attributes| attributes.idle_timeout_seconds = 1).await;
    let mut stream = open(&rig, &trusted).await;
    // No window for any response, and pings whose answers nobody reads.
    let mut start = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    for n in 0..100u32 {
        start.extend(frame(HEADERS, END_STREAM | END_HEADERS, n * 2 + 1, REQUEST));
    }
    stream.write_all(&start).await.unwrap();
    let pings: Vec<u8> = (0..1000).flat_map(|_| frame(PING, 0, 0, &[0; 8])).collect();
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    loop {
        assert!(std::time::Instant::now() < deadline, "the connection outlives its time-outs");
        match tokio::time::timeout(Duration::from_millis(500), stream.write_all(&pings)).await {
            Ok(Err(_)) => break,
            Ok(Ok(())) | Err(_) => {}
        }
        let active = rig.balancer.reports().borrow().load_balancers[0].active_connections;
        rig.change_attributes(|_| {}).await;
        if active == 0 && rig.balancer.reports().borrow().load_balancers[0].active_connections == 0 {
            break;
        }
    }
    is_served(&rig, &trusted).await;
}

#[tokio::test]
async fn data_beyond_the_windows_ends_the_connection() {
    let folder = tempfile::tempdir().unwrap();
    let (rig, trusted, a) = rig_with_tls(folder.path()).await;
    // A target that does not read the body, which so has nowhere to go.
    a.behaviour.delay_ms.store(60_000, std::sync::atomic::Ordering::SeqCst);
    let chunk = vec![b'x'; 16_000];
    let sent = flood(open(&rig, &trusted).await, |round| match round {
        0 => frame(HEADERS, END_HEADERS, 1, b"\x83\x84\x87\x41\x09a.example"),
        _ => frame(DATA, 0, 1, &chunk),
    })
    .await;
    assert!(sent < 16 << 20, "{sent} bytes");
}

#[tokio::test]
async fn slow_heads_are_408_and_hold_nobody_up() {
    let a = echo("a").await;
    let mut rig = Rig::forwarding(vec![group("g", &[&a])]).await;
    rig.change_attributes(|attributes| attributes.idle_timeout_seconds = 2).await;
    let mut slow = Vec::new();
    for n in 0..100 {
        let mut connection = Connection::open(rig.address).await;
        connection.send(format!("GET /{n} HTTP/1.1\r\nHost: x\r\nX-A")).await;
        slow.push(connection);
    }
    for _ in 0..10 {
        assert_eq!(get(rig.address, "/quick").await.name(), "a");
        // A byte now and then keeps no head alive.
        for connection in &mut slow {
            let _ = connection.stream.write_all(b"a").await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for connection in &mut slow {
        assert_eq!(connection.read().await.unwrap().status(), 408);
    }
}

#[tokio::test]
async fn heads_without_end_are_refused_early() {
    let a = echo("a").await;
    let rig = Rig::forwarding(vec![group("g", &[&a])]).await;
    for start in ["GET / HTTP/1.1\r\nHost: x\r\nA: ", "GET /", "GET / HTTP/1.1\r\n"] {
        let mut connection = Connection::open(rig.address).await;
        connection.send(start).await;
        let filler = if start.ends_with("\r\n") { "a: b\r\n".repeat(1000) } else { "a".repeat(8192) };
        let mut sent = 0;
        while connection.stream.write_all(filler.as_bytes()).await.is_ok() && sent < 64 << 20 {
            sent += filler.len();
            if connection.stream.try_read(&mut [0; 1]).is_ok() {
                break;
            }
        }
        assert!(sent < 8 << 20, "{sent} bytes after {start:?}");
    }
    assert_eq!(get(rig.address, "/after").await.name(), "a");
}

//! Bodies, pipelining, keep-alive and what becomes of connections to targets.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::backend::{echo, raw, read_head};
use crate::client::{Connection, get, once};
use crate::rig::{Rig, group};

#[tokio::test]
async fn bodies_of_every_framing_arrive_whole() {
    let a = echo("a").await;
    let rig = Rig::forwarding(vec![group("g", &[&a])]).await;
    let mut connection = Connection::open(rig.address).await;
    connection.send("POST /len HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello").await;
    assert!(connection.read().await.unwrap().text().ends_with("\nhello"));
    connection
        .send("POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n")
        .await;
    let chunked = connection.read().await.unwrap();
    assert!(chunked.text().ends_with("\nhello!"));
    assert_eq!(chunked.received("transfer-encoding").as_deref(), Some("chunked"));
    let answer = connection.get("/chunked").await;
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    assert!(answer.text().ends_with("abc"));
    // The target closes, the client's connection stays.
    assert_eq!(connection.get("/close").await.name(), "a");
    assert_eq!(connection.get("/204").await.status(), 204);
    assert_eq!(connection.get("/304").await.status(), 304);
    connection.send("HEAD /head HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let head = connection.read_to("HEAD").await.unwrap();
    assert!(head.header("content-length").unwrap().parse::<usize>().unwrap() > 10);
    connection.send("POST /empty HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(connection.read().await.unwrap().received("content-length").as_deref(), Some("0"));
    assert_eq!(connection.get("/last").await.name(), "a");
}

#[tokio::test]
async fn a_get_keeps_its_chunked_body() {
    let a = echo("a").await;
    let rig = Rig::forwarding(vec![group("g", &[&a])]).await;
    let request = "GET /search HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let answer = once(rig.address, request).await;
    assert_eq!(answer.received("transfer-encoding").as_deref(), Some("chunked"));
    assert!(answer.text().ends_with("\nabc"), "{}", answer.text());
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let (a, b) = (echo("a").await, echo("b").await);
    a.behaviour.delay_ms.store(30, Ordering::SeqCst);
    let rig = Rig::forwarding(vec![group("g", &[&a, &b])]).await;
    let mut connection = Connection::open(rig.address).await;
    let requests: String = (0..20)
        .map(|n| match n % 2 {
            0 => format!("GET /{n} HTTP/1.1\r\nHost: x\r\n\r\n"),
            _ => format!("POST /{n} HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"),
        })
        .collect();
    connection.send(requests).await;
    for n in 0..20 {
        let answer = connection.read().await.unwrap();
        assert!(answer.text().contains(&format!(" /{n}\n")), "{n}: {}", answer.text());
    }
}

#[tokio::test]
async fn connections_to_targets_are_used_again() {
    let a = echo("a").await;
    let rig = Rig::forwarding(vec![group("g", &[&a])]).await;
    let mut connection = Connection::open(rig.address).await;
    let before = a.behaviour.connections.load(Ordering::SeqCst) - a.behaviour.probes.load(Ordering::SeqCst);
    for _ in 0..20 {
        connection.get("/").await;
        connection.get("/chunked").await;
    }
    connection.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello").await;
    connection.read().await.unwrap();
    let after = a.behaviour.connections.load(Ordering::SeqCst) - a.behaviour.probes.load(Ordering::SeqCst);
    assert!(after - before <= 1, "{} connections", after - before);
}

#[tokio::test]
async fn a_pooled_connection_gone_stale_fails_nobody() {
    let a = echo("a").await;
    a.behaviour.closes.store(true, Ordering::SeqCst);
    let rig = Rig::forwarding(vec![group("g", &[&a])]).await;
    let mut connection = Connection::open(rig.address).await;
    // The target closes right after each response: the close races with the next request in every way.
    for round in 0..300 {
        if round % 3 == 0 {
            tokio::time::sleep(Duration::from_micros(200 * (round % 7))).await;
        }
        assert_eq!(connection.get("/").await.status(), 200, "round {round}");
    }
}

#[tokio::test]
async fn a_reset_before_the_answer_is_repeated_when_safe() {
    // Answers the first request of a connection, and resets at the second without reading it.
    let fickle = raw(|mut stream| async move {
        let Some(head) = read_head(&mut stream).await else { return };
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        if !head.contains(" /health ") {
            let mut byte = [0];
            let _ = stream.read(&mut byte).await;
        }
        let _ = stream.set_zero_linger();
    })
    .await;
    let rig = Rig::forwarding(vec![group("g", &[&fickle])]).await;
    let mut connection = Connection::open(rig.address).await;
    for round in 0..10 {
        assert_eq!(connection.get("/").await.text(), "ok", "round {round}");
    }
    // A POST that the target's kernel has taken may have been acted upon: the client must know.
    connection.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(connection.read().await.unwrap().status(), 502);
}

#[tokio::test]
async fn large_bodies_flow_both_ways_without_being_held() {
    // Sends back what it gets, as it gets it.
    let mirror = raw(|mut stream| async move {
        let Some(head) = read_head(&mut stream).await else { return };
        if head.contains(" /health ") {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            return;
        }
        let length: usize =
            head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap().parse().unwrap();
        stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes()).await.unwrap();
        let (mut reader, mut writer) = stream.split();
        let _ = tokio::io::copy(&mut (&mut reader).take(length as u64), &mut writer).await;
    })
    .await;
    let rig = Rig::forwarding(vec![group("g", &[&mirror])]).await;
    let length = 64 * 1024 * 1024;
    let mut connection = Connection::open(rig.address).await;
    connection.send(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n")).await;
    let (mut reader, mut writer) = connection.stream.into_split();
    let sending = tokio::spawn(async move {
        let piece: Vec<u8> = (0..65536u32).map(|n| (n % 251) as u8).collect();
        for _ in 0..length / piece.len() {
            writer.write_all(&piece).await.unwrap();
        }
        writer
    });
    let mut received = Vec::new();
    while received.len() < length {
        assert!(reader.read_buf(&mut received).await.unwrap() > 0);
    }
    let end = received.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    while received.len() < length + end {
        assert!(reader.read_buf(&mut received).await.unwrap() > 0);
    }
    assert!(received[end..].iter().enumerate().all(|(n, byte)| *byte == (n % 65536 % 251) as u8));
    sending.await.unwrap();
}

#[tokio::test]
async fn a_client_that_does_not_read_stops_the_target() {
    let sent = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = sent.clone();
    let flood = raw(move |mut stream| {
        let counted = counted.clone();
        async move {
            let Some(head) = read_head(&mut stream).await else { return };
            if head.contains(" /health ") {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
                return;
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").await;
            let piece = vec![0; 65536];
            while stream.write_all(&piece).await.is_ok() {
                counted.fetch_add(piece.len(), Ordering::SeqCst);
            }
        }
    })
    .await;
    let rig = Rig::forwarding(vec![group("g", &[&flood])]).await;
    let mut connection = Connection::open(rig.address).await;
    connection.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut last = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let now = sent.load(Ordering::SeqCst);
        if now == last && now > 0 {
            break;
        }
        last = now;
    }
    // What stands in socket buffers, and little more.
    assert!(last < 40_000_000, "{last} bytes on their way to nobody");
    drop(connection);
    rig.wait(|_| true).await;
}

#[tokio::test]
async fn expect_100_is_answered_before_the_body() {
    let a = echo("a").await;
    let rig = Rig::forwarding(vec![group("g", &[&a])]).await;
    let mut connection = Connection::open(rig.address).await;
    connection.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").await;
    let interim = connection.read().await.unwrap();
    assert_eq!(interim.status(), 100);
    connection.send("hello").await;
    let answer = connection.read().await.unwrap();
    assert!(answer.text().ends_with("\nhello"));
    assert_eq!(answer.received("expect"), None);
}

#[tokio::test]
async fn bad_gateways_are_told_as_such() {
    let answers: [(&[u8], u16); 5] = [
        (b"", 502),
        (b"nonsense\r\n\r\n", 502),
        (b"HTTP/1.1 200 OK\r\nContent-Le", 502),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", 502),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200),
    ];
    for (bytes, status) in answers {
        let target = raw(move |mut stream| async move {
            if let Some(head) = read_head(&mut stream).await {
                let health: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                let _ = stream.write_all(if head.contains(" /health ") { health } else { bytes }).await;
            }
        })
        .await;
        let rig = Rig::forwarding(vec![group("g", &[&target])]).await;
        assert_eq!(get(rig.address, "/").await.status(), status, "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[tokio::test]
async fn a_response_head_over_32_kib_is_a_bad_gateway() {
    let target = raw(|mut stream| async move {
        if let Some(head) = read_head(&mut stream).await {
            let size = if head.contains(" /large ") { 40_000 } else { 20_000 };
            let _ = stream
                .write_all(
                    format!("HTTP/1.1 200 OK\r\nA: {}\r\nContent-Length: 0\r\n\r\n", "a".repeat(size)).as_bytes(),
                )
                .await;
        }
    })
    .await;
    let rig = Rig::forwarding(vec![group("g", &[&target])]).await;
    assert_eq!(get(rig.address, "/large").await.status(), 502);
    assert_eq!(get(rig.address, "/small").await.status(), 200);
}

#[tokio::test]
async fn a_body_that_breaks_off_breaks_the_response_off() {
    let target = raw(|mut stream| async move {
        if let Some(head) = read_head(&mut stream).await {
            let rest: &[u8] = if head.contains(" /health ") {
                b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
            } else {
                b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
            };
            let _ = stream.write_all(rest).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let rig = Rig::forwarding(vec![group("g", &[&target])]).await;
    let mut connection = Connection::open(rig.address).await;
    connection.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(connection.read().await.is_none(), "a response of 100 bytes cannot be complete");
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_still_sends() {
    let target = raw(|mut stream| async move {
        if let Some(head) = read_head(&mut stream).await {
            let status = if head.contains(" /health ") { 200 } else { 413 };
            let _ = stream
                .write_all(
                    format!("HTTP/1.1 {status} X\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno").as_bytes(),
                )
                .await;
            let mut scrap = vec![0; 65536];
            while stream.read(&mut scrap).await.is_ok_and(|count| count > 0) {}
        }
    })
    .await;
    let rig = Rig::forwarding(vec![group("g", &[&target])]).await;
    let mut connection = Connection::open(rig.address).await;
    connection.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n").await;
    connection.send(vec![b'x'; 100_000]).await;
    let answer = connection.read().await.unwrap();
    assert_eq!((answer.status(), answer.text().as_str()), (413, "no"));
}

#[tokio::test]
async fn refused_connections_are_502() {
    let port = crate::rig::free_port();
    let mut dead = group("g", &[]);
    dead.targets.push(crate::rig::target(([127, 0, 0, 1], port).into()));
    let rig = Rig::unwaited(vec![dead]).await;
    let answer = once(rig.address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(answer.start, "HTTP/1.1 502 Bad Gateway");
}

#[tokio::test]
async fn a_body_nobody_wanted_ends_the_connection_unless_it_has_come() {
    let rig = Rig::start(vec![], crate::rig::fixed(200, "no thanks"), vec![], 1).await;
    // All there, or soon to come: passed over.
    let mut connection = Connection::open(rig.address).await;
    let whole = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    for _ in 0..2 {
        connection.send(whole).await;
        let answer = connection.read().await.unwrap();
        assert_eq!((answer.text().as_str(), answer.header("connection")), ("no thanks", None));
    }
    connection.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3000\r\n\r\n").await;
    assert_eq!(connection.read().await.unwrap().status(), 200);
    connection.send(vec![b'x'; 3000]).await;
    // A rest that is long may look like a request.
    connection.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nGET /half").await;
    assert_eq!(connection.read().await.unwrap().status(), 200);
    assert!(connection.is_closed().await);
    // Who waits to be asked is told that nobody will.
    let mut connection = Connection::open(rig.address).await;
    connection.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n").await;
    let answer = connection.read().await.unwrap();
    assert_eq!((answer.status(), answer.header("connection")), (200, Some("close")));
    assert!(connection.is_closed().await);
}

#[tokio::test]
async fn a_client_that_leaves_is_noticed_while_its_target_thinks() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let target = raw(move |mut stream| {
        let tell = tell.clone();
        async move {
            let head = read_head(&mut stream).await.unwrap_or_default();
            if head.contains(" /health ") {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
                return;
            }
            if head.contains(" /stream ") {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n").await;
            }
            tell.send("asked").unwrap();
            let mut scrap = [0; 1024];
            while stream.read(&mut scrap).await.is_ok_and(|count| count > 0) {}
            tell.send("left").unwrap();
        }
    })
    .await;
    let rig = Rig::forwarding(vec![group("g", &[&target])]).await;
    for path in ["/silent", "/stream"] {
        let mut connection = Connection::open(rig.address).await;
        connection.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        assert_eq!(told.recv().await, Some("asked"));
        drop(connection);
        let left = tokio::time::timeout(Duration::from_secs(10), told.recv());
        assert_eq!(left.await.expect("the target is let go of"), Some("left"), "{path}");
    }
}

#[tokio::test]
async fn trailers_keep_their_chunks_however_they_come() {
    let target = raw(|mut stream| async move {
        while let Some(head) = read_head(&mut stream).await {
            let rest = "3\r\nabc\r\n0\r\nX-Sum: 7\r\nSet-Cookie: a=b\r\n\r\n";
            let head_of = "HTTP/1.1 200 OK\r\nTrailer: X-Sum, Set-Cookie\r\nTransfer-Encoding: chunked\r\n\r\n";
            if head.contains(" /apart ") {
                stream.write_all(head_of.as_bytes()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(50)).await;
                stream.write_all(rest.as_bytes()).await.unwrap();
            } else {
                stream.write_all(format!("{head_of}{rest}").as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    let rig = Rig::forwarding(vec![group("g", &[&target])]).await;
    let mut connection = Connection::open(rig.address).await;
    for path in ["/apart", "/at-once"] {
        connection.send(format!("GET {path} HTTP/1.1\r\nHost: x\r\nTE: trailers\r\n\r\n")).await;
        let mut received = Vec::new();
        while !received.ends_with(b"\r\n0\r\nx-sum: 7\r\n\r\n") {
            let text = String::from_utf8_lossy(&received).into_owned();
            let read = tokio::time::timeout(Duration::from_secs(5), connection.stream.read_buf(&mut received));
            assert!(read.await.expect(&text).unwrap() > 0, "{text}");
        }
        assert!(!String::from_utf8_lossy(&received).contains("content-length"));
    }
}

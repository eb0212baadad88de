//! HTTPS listeners and HTTPS targets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use longshore_balancer::config::Protocol;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::backend::{echo, raw, read_head};
use crate::client::Connection;
use crate::rig::{Rig, free_port, group};
use crate::secure::{self, BOTH, Dial, certificate, dial, secure};

const POLICY: &str = "ELBSecurityPolicy-TLS13-1-2-2021-06";

#[tokio::test]
async fn each_name_gets_its_certificate_and_targets_learn_of_tls() {
    let folder = tempfile::tempdir().unwrap();
    let a = echo("a").await;
    let mut rig = Rig::forwarding(vec![group("g", &[&a])]).await;
    let first = certificate(folder.path(), "first", &["first.example"]);
    let second = certificate(folder.path(), "second", &["*.second.example"]);
    secure(&mut rig, vec![first.clone(), second.clone()], POLICY).await;
    rig.change_attributes(|attributes| attributes.tls_headers = true).await;
    for (trusted, name) in [(&first, "first.example"), (&second, "www.second.example")] {
        let stream = dial(rig.address, Dial { trusted, name, protocols: &["http/1.1"], versions: BOTH }).await.unwrap();
        let mut connection = Connection::over(stream);
        for _ in 0..2 {
            let answer = connection.get("/x").await;
            assert_eq!(answer.received("x-forwarded-proto").as_deref(), Some("https"));
            assert_eq!(answer.received("x-forwarded-port").unwrap(), rig.address.port().to_string());
            assert_eq!(answer.received("x-amzn-tls-version").as_deref(), Some("TLSv1.3"));
            assert_eq!(answer.received("x-amzn-tls-cipher-suite").as_deref(), Some("TLS_AES_128_GCM_SHA256"));
        }
        let big = "b".repeat(300_000);
        let request = format!("POST /big HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{big}", big.len());
        connection.send(request).await;
        assert!(connection.read().await.unwrap().text().ends_with(&big));
        assert_eq!(connection.get("/again").await.name(), "a");
    }
}

#[tokio::test]
async fn a_policy_decides_which_versions_may_come() {
    let folder = tempfile::tempdir().unwrap();
    let a = echo("a").await;
    let mut rig = Rig::forwarding(vec![group("g", &[&a])]).await;
    let trusted = certificate(folder.path(), "c", &["a.example"]);
    secure(&mut rig, vec![trusted.clone()], "ELBSecurityPolicy-TLS13-1-3-2021-06").await;
    for (versions, is_served) in [(&[&rustls::version::TLS12][..], false), (&[&rustls::version::TLS13][..], true)] {
        let dialled = Dial { trusted: &trusted, name: "a.example", protocols: &[], versions };
        assert_eq!(dial(rig.address, dialled).await.is_ok(), is_served);
    }
    secure(&mut rig, vec![trusted.clone()], "ELBSecurityPolicy-2016-08").await;
    let dialled = Dial { trusted: &trusted, name: "a.example", protocols: &[], versions: &[&rustls::version::TLS13] };
    assert!(dial(rig.address, dialled).await.is_err());
    let dialled = Dial { trusted: &trusted, name: "a.example", protocols: &[], versions: BOTH };
    let mut connection = Connection::over(dial(rig.address, dialled).await.unwrap());
    assert_eq!(connection.get("/").await.name(), "a");
}

#[tokio::test]
async fn a_configuration_with_bad_tls_settings_is_refused_whole() {
    let folder = tempfile::tempdir().unwrap();
    let a = echo("a").await;
    let mut rig = Rig::forwarding(vec![group("g", &[&a])]).await;
    let good = certificate(folder.path(), "c", &["a.example"]);
    for (certificates, policy, expected) in
        [(vec![], POLICY, "has no certificate"), (vec![good.clone()], "ELBSecurityPolicy-TLS-1-0-2015-04", "TLS 1.0")]
    {
        rig.config.generation += 1;
        let mut config = rig.config.clone();
        let listener = &mut config.load_balancers[0].listeners[0];
        (listener.protocol, listener.certificates) = (Protocol::Https, certificates);
        listener.ssl_policy = Some(policy.to_owned());
        let error = rig.balancer.apply(config).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(crate::client::get(rig.address, "/").await.name(), "a");
    }
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_concerns_its_listener_alone() {
    let folder = tempfile::tempdir().unwrap();
    let a = echo("a").await;
    let mut rig = Rig::forwarding(vec![group("g", &[&a])]).await;
    let good = certificate(folder.path(), "good", &["a.example"]);
    let bad = certificate(folder.path(), "bad", &["b.example"]);
    std::fs::write(&bad.private_key_file, "no key").unwrap();
    secure(&mut rig, vec![good.clone()], POLICY).await;
    let ports = [free_port(), free_port()];
    rig.change(|config| {
        let load_balancer = &mut config.load_balancers[0];
        let mut another = load_balancer.listeners[0].clone();
        load_balancer.listeners[0].certificates = vec![bad.clone()];
        load_balancer.listeners[0].default_actions = crate::rig::fixed(200, "moved on");
        // One that never had a certificate, and one of which another than the default is bad.
        (another.arn, another.port, another.certificates) = ("never".into(), ports[0], vec![bad.clone()]);
        load_balancer.listeners.push(another.clone());
        (another.arn, another.port, another.certificates) =
            ("partly".into(), ports[1], vec![good.clone(), bad.clone()]);
        load_balancer.listeners.push(another);
    })
    .await;
    let report = rig.wait(|report| report.listeners.len() == 3).await;
    for listener in &report.listeners {
        assert!(listener.tls_error.as_ref().unwrap().contains("`bad`"), "{listener:?}");
        assert_eq!(listener.error.is_some(), listener.arn == "never", "{listener:?}");
    }
    let ask = async |port: u16| {
        let dialled = Dial { trusted: &good, name: "a.example", protocols: &[], versions: BOTH };
        Connection::over(dial((rig.address.ip(), port).into(), dialled).await.unwrap()).get("/").await.text()
    };
    assert_eq!(ask(rig.address.port()).await, "moved on");
    assert!(ask(ports[1]).await.starts_with("a "));
    assert!(tokio::net::TcpStream::connect((rig.address.ip(), ports[0])).await.is_err());
    // It is taken as soon as it can be.
    let mended = certificate(folder.path(), "bad", &["b.example"]);
    rig.change(|config| {
        for listener in &mut config.load_balancers[0].listeners {
            listener.certificates = listener.certificates.iter().filter(|c| c.arn == "good").cloned().collect();
            listener.certificates.insert(0, mended.clone());
        }
    })
    .await;
    rig.wait(|report| report.listeners.iter().all(|l| l.tls_error.is_none() && l.error.is_none())).await;
    let dialled = Dial { trusted: &mended, name: "b.example", protocols: &[], versions: BOTH };
    Connection::over(dial((rig.address.ip(), ports[0]).into(), dialled).await.unwrap()).get("/").await;
}

#[tokio::test]
async fn a_key_that_comes_late_is_taken_without_another_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let a = echo("a").await;
    let mut rig = Rig::forwarding(vec![group("g", &[&a])]).await;
    let made = certificate(folder.path(), "late", &["a.example"]);
    let elsewhere = made.private_key_file.with_extension("moved");
    std::fs::rename(&made.private_key_file, &elsewhere).unwrap();
    secure(&mut rig, vec![made.clone()], POLICY).await;
    rig.wait(|report| report.listeners[0].error.is_some()).await;
    std::fs::rename(&elsewhere, &made.private_key_file).unwrap();
    rig.wait(|report| report.listeners[0].error.is_none() && report.listeners[0].tls_error.is_none()).await;
    let dialled = Dial { trusted: &made, name: "a.example", protocols: &[], versions: BOTH };
    let mut connection = Connection::over(dial(rig.address, dialled).await.unwrap());
    assert_eq!(connection.get("/").await.name(), "a");
}

#[tokio::test]
async fn what_is_no_handshake_is_closed_on_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let a = echo("a").await;
    let mut rig = Rig::forwarding(vec![group("g", &[&a])]).await;
    secure(&mut rig, vec![certificate(folder.path(), "c", &["a.example"])], POLICY).await;
    let mut connection = Connection::open(rig.address).await;
    connection.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut answer = Vec::new();
    let _ = connection.stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    rig.change_attributes(|_| {}).await;
    rig.wait(|report| report.load_balancers[0].tls_negotiation_errors == 1).await;
}

#[tokio::test]
async fn targets_over_tls_are_spoken_to_and_not_verified() {
    let folder = tempfile::tempdir().unwrap();
    let a = secure::echo(folder.path(), "a").await;
    let mut group = group("g", &[&a]);
    group.protocol = Protocol::Https;
    group.health_check.protocol = Protocol::Https;
    let rig = Rig::forwarding(vec![group]).await;
    let mut connection = Connection::open(rig.address).await;
    let big = "b".repeat(200_000);
    for _ in 0..3 {
        assert_eq!(connection.get("/x").await.name(), "a");
        connection.send(format!("POST /big HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{big}", big.len())).await;
        assert!(connection.read().await.unwrap().text().ends_with(&big));
    }
    // A pooled connection that its target has closed is not the client's concern, whatever the method.
    a.behaviour.closes.store(true, std::sync::atomic::Ordering::SeqCst);
    for method in ["GET", "POST", "GET", "POST"] {
        connection.send(format!("{method} / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")).await;
        assert_eq!(connection.read().await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn websockets_go_through_tls() {
    let folder = tempfile::tempdir().unwrap();
    let target = raw(|mut stream| async move {
        let Some(head) = read_head(&mut stream).await else { return };
        let answer: &[u8] = match head.contains(" /health ") {
            true => b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            false => b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhi!",
        };
        stream.write_all(answer).await.unwrap();
        let mut buffer = [0; 4096];
        while let Ok(count) = stream.read(&mut buffer).await {
            if count == 0 || stream.write_all(&buffer[..count].to_ascii_uppercase()).await.is_err() {
                return;
            }
        }
    })
    .await;
    let mut rig = Rig::forwarding(vec![group("g", &[&target])]).await;
    let trusted = certificate(folder.path(), "c", &["a.example"]);
    secure(&mut rig, vec![trusted.clone()], POLICY).await;
    let dialled = Dial { trusted: &trusted, name: "a.example", protocols: &["http/1.1"], versions: BOTH };
    let mut stream = dial(rig.address, dialled).await.unwrap();
    let upgrade = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly";
    stream.write_all(upgrade.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    while !received.ends_with(b"hi!EARLY") {
        assert!(stream.read_buf(&mut received).await.unwrap() > 0, "{}", String::from_utf8_lossy(&received));
    }
    for _ in 0..20 {
        stream.write_all(b"ping").await.unwrap();
        let mut pong = [0; 4];
        stream.read_exact(&mut pong).await.unwrap();
        assert_eq!(&pong, b"PING");
    }
}

/// Bytes of the connection from `local` to `remote` that the kernel still has to hand over.
fn unsent(local: SocketAddr, remote: SocketAddr) -> usize {
    let hex = |address: SocketAddr| match address {
        SocketAddr::V4(v4) => format!("{:08X}:{:04X}", u32::from_ne_bytes(v4.ip().octets()), v4.port()),
        SocketAddr::V6(_) => unreachable!("the rig listens on 127.0.0.1"),
    };
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let row = table.lines().find(|row| {
        let mut columns = row.split_whitespace().skip(1);
        columns.next() == Some(&hex(local)) && columns.next() == Some(&hex(remote))
    });
    let queues = row.expect("the connection is there").split_whitespace().nth(4).unwrap();
    usize::from_str_radix(queues.split(':').next().unwrap(), 16).unwrap()
}

#[tokio::test]
async fn the_end_of_a_burst_does_not_wait_for_what_comes_after_it() {
    const PIECE: usize = 8 * 1024;
    let folder = tempfile::tempdir().unwrap();
    let trusted = certificate(folder.path(), "c", &["a.example"]);
    let (pieces, wanted) = tokio::sync::mpsc::unbounded_channel::<()>();
    let wanted = Arc::new(tokio::sync::Mutex::new(wanted));
    // A response that never ends, with a piece of its body whenever it is told.
    let drip = raw(move |mut stream| {
        let wanted = wanted.clone();
        async move {
            let Some(head) = read_head(&mut stream).await else { return };
            if head.contains(" /health ") {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
                return;
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n").await;
            while wanted.lock().await.recv().await.is_some() {
                let _ = stream.write_all(&[b'x'; PIECE]).await;
            }
        }
    })
    .await;
    let mut rig = Rig::forwarding(vec![group("g", &[&drip])]).await;
    secure(&mut rig, vec![trusted.clone()], POLICY).await;
    let dialled = Dial { trusted: &trusted, name: "a.example", protocols: &["http/1.1"], versions: BOTH };
    let mut client = dial(rig.address, dialled).await.unwrap();
    let own = client.get_ref().0.local_addr().unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    // The client reads nothing until the kernel takes no more: the last piece is in the TLS session.
    let (mut sent, mut queued, mut same) = (0, 0, 0);
    while same < 4 {
        pieces.send(()).unwrap();
        sent += PIECE;
        tokio::time::sleep(Duration::from_millis(10)).await;
        let now = unsent(rig.address, own);
        same = if now > 0 && now == queued { same + 1 } else { 0 };
        queued = now;
    }
    let mut received = Vec::new();
    while received.iter().filter(|byte| **byte == b'x').count() < sent {
        let mut buffer = vec![0; 64 * 1024];
        let read = tokio::time::timeout(Duration::from_secs(5), client.read(&mut buffer)).await;
        let count = read.expect("the rest of the burst comes").unwrap();
        received.extend_from_slice(&buffer[..count]);
    }
}

//! WebSocket upgrades become tunnels; declined ones leave the connection HTTP.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::backend::{echo, raw, read_head};
use crate::client::Connection;
use crate::rig::{Rig, group};

const UPGRADE: &str = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[tokio::test]
async fn an_accepted_upgrade_carries_bytes_both_ways() {
    let target = raw(|mut stream| async move {
        let Some(head) = read_head(&mut stream).await else { return };
        if head.contains(" /health ") {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            return;
        }
        assert!(head.contains("upgrade: websocket") && head.contains("connection: upgrade"), "{head}");
        assert!(head.contains("sec-websocket-key: dGhl"), "{head}");
        // The greeting comes in the same packet as the head.
        stream
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhi!")
            .await
            .unwrap();
        let mut buffer = [0; 4096];
        while let Ok(count) = stream.read(&mut buffer).await {
            if count == 0 || stream.write_all(&buffer[..count].to_ascii_uppercase()).await.is_err() {
                return;
            }
        }
    })
    .await;
    let rig = Rig::forwarding(vec![group("g", &[&target])]).await;
    let mut connection = Connection::open(rig.address).await;
    // So does the client's first message.
    connection.send(format!("{UPGRADE}early ")).await;
    let mut received = Vec::new();
    while !received.ends_with(b"EARLY ") {
        assert!(
            connection.stream.read_buf(&mut received).await.unwrap() > 0,
            "{:?}",
            String::from_utf8_lossy(&received)
        );
    }
    let text = String::from_utf8(received).unwrap();
    assert!(text.starts_with("HTTP/1.1 101 ") && text.contains("upgrade: websocket"), "{text}");
    assert!(text.ends_with("\r\n\r\nhi!EARLY "), "{text}");
    for _ in 0..10 {
        connection.send("ping").await;
        let mut pong = [0; 4];
        connection.stream.read_exact(&mut pong).await.unwrap();
        assert_eq!(&pong, b"PING");
    }
    assert_eq!(rig.target(&target).in_flight, rig.target(&target).in_flight);
    connection.stream.shutdown().await.unwrap();
    assert!(connection.is_closed().await);
}

#[tokio::test]
async fn a_declined_upgrade_stays_http() {
    let a = echo("a").await;
    let rig = Rig::forwarding(vec![group("g", &[&a])]).await;
    let mut connection = Connection::open(rig.address).await;
    connection.send(format!("{UPGRADE}GET /second HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    assert!(connection.read().await.unwrap().text().starts_with("a GET /ws"));
    assert!(connection.read().await.unwrap().text().starts_with("a GET /second"));
    assert!(connection.get("/third").await.text().starts_with("a GET /third"));
}

#[tokio::test]
async fn an_upgrade_nobody_asked_for_is_a_bad_gateway() {
    let eager = raw(|mut stream| async move {
        let Some(head) = read_head(&mut stream).await else { return };
        let answer: &[u8] = match head.contains(" /health ") {
            true => b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            false => b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        };
        let _ = stream.write_all(answer).await;
    })
    .await;
    let rig = Rig::forwarding(vec![group("g", &[&eager])]).await;
    let mut connection = Connection::open(rig.address).await;
    assert_eq!(connection.get("/").await.status(), 502);
    // Other protocols than WebSocket are not offered to the target.
    connection.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n").await;
    assert_eq!(connection.read().await.unwrap().status(), 502);
    // Nor is WebSocket, where a client did not ask for it as it should.
    connection.send("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n").await;
    assert_eq!(connection.read().await.unwrap().status(), 502);
    connection.send("GET / HTTP/1.0\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n").await;
    assert_eq!(connection.read().await.unwrap().status(), 502);
}

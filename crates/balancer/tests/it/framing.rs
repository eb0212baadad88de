//! Requests that are refused before anybody else sees them, and those that only look odd.

use crate::backend::echo;
use crate::client::{Connection, once};
use crate::rig::{Rig, fixed, group};

async fn refused(request: impl AsRef<[u8]>) -> u16 {
    let rig = Rig::start(vec![], fixed(200, "passed"), vec![], 1).await;
    let mut connection = Connection::open(rig.address).await;
    connection.send(request).await;
    let answer = connection.read().await.expect("a response");
    if answer.status() != 200 {
        assert_eq!(answer.header("server"), Some("awselb/2.0"));
        assert!(connection.is_closed().await, "a refused connection ends");
    }
    answer.status()
}

#[tokio::test]
async fn doubtful_requests_have_their_codes() {
    let two = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n";
    assert_eq!(refused(two).await, 400);
    assert_eq!(refused("GET / HTTP/1.1\r\n\r\n").await, 400);
    assert_eq!(refused("nonsense\r\n\r\n").await, 400);
    assert_eq!(refused("TRACE / HTTP/1.1\r\nHost: x\r\n\r\n").await, 405);
    assert_eq!(refused("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n").await, 501);
    assert_eq!(refused("GET / HTTP/3.0\r\nHost: x\r\n\r\n").await, 505);
    assert_eq!(refused(format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(17_000))).await, 414);
    assert_eq!(refused(format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "a".repeat(17_000))).await, 400);
    let many: String = (0..7).map(|n| format!("h{n}: {}\r\n", "b".repeat(10_000))).collect();
    assert_eq!(refused(format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n")).await, 400);
}

#[tokio::test]
async fn large_but_permitted_heads_pass() {
    let a = echo("a").await;
    let rig = Rig::forwarding(vec![group("g", &[&a])]).await;
    let long = "a".repeat(15_000);
    let headers: String = (0..4).map(|n| format!("h{n}: {}\r\n", "b".repeat(11_000))).collect();
    let answer = once(rig.address, format!("GET /{long} HTTP/1.1\r\nHost: x\r\n{headers}\r\n")).await;
    assert_eq!(answer.status(), 200);
    assert!(answer.text().contains(&long));
}

#[tokio::test]
async fn a_refusal_keeps_its_place_among_pipelined_requests() {
    let a = echo("a").await;
    let rig = Rig::forwarding(vec![group("g", &[&a])]).await;
    let mut connection = Connection::open(rig.address).await;
    let good = "GET /one HTTP/1.1\r\nHost: x\r\n\r\n";
    let bad = "GET /two HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n";
    connection.send(format!("{good}{bad}{good}")).await;
    assert_eq!(connection.read().await.unwrap().name(), "a");
    assert_eq!(connection.read().await.unwrap().status(), 400);
    assert!(connection.is_closed().await);
}

#[tokio::test]
async fn a_head_may_trickle_in() {
    let a = echo("a").await;
    let rig = Rig::forwarding(vec![group("g", &[&a])]).await;
    let mut connection = Connection::open(rig.address).await;
    for byte in b"POST /slow HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" {
        connection.send([*byte]).await;
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let answer = connection.read().await.unwrap();
    assert!(answer.text().starts_with("a POST /slow") && answer.text().ends_with("abc"));
    assert_eq!(connection.get("/next").await.name(), "a");
}

#[tokio::test]
async fn a_broken_chunk_is_never_part_of_a_body() {
    let a = echo("a").await;
    let rig = Rig::forwarding(vec![group("g", &[&a])]).await;
    let mut connection = Connection::open(rig.address).await;
    let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    connection.send(format!("{head}3\r\nabc\r\nzz\r\n")).await;
    if let Some(answer) = connection.read().await {
        assert_eq!(answer.status(), 400);
    }
    assert!(connection.is_closed().await);
    assert_eq!(a.behaviour.requests.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[tokio::test]
async fn absolute_targets_become_origin_form() {
    let a = echo("a").await;
    let rig = Rig::forwarding(vec![group("g", &[&a])]).await;
    let answer = once(rig.address, "GET http://other.example:81/p?q HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(answer.text().starts_with("a GET /p?q\n"), "{}", answer.text());
    assert_eq!(answer.received("host").as_deref(), Some("other.example:81"));
    let answer = once(rig.address, "GET http://other.example?q HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(answer.text().starts_with("a GET /?q\n"), "{}", answer.text());
}

#[tokio::test]
async fn a_broken_trailer_ends_the_connection() {
    let rig = Rig::start(vec![], fixed(200, "passed"), vec![], 1).await;
    let mut connection = Connection::open(rig.address).await;
    let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    connection.send(format!("{head}0\r\na b\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n")).await;
    assert_eq!(connection.read().await.unwrap().status(), 200);
    assert!(connection.is_closed().await);
}

#[tokio::test]
async fn http_10_clients_are_served_and_closed_on() {
    let a = echo("a").await;
    let rig = Rig::forwarding(vec![group("g", &[&a])]).await;
    let mut connection = Connection::open(rig.address).await;
    connection.send("GET / HTTP/1.0\r\n\r\n").await;
    let answer = connection.read().await.unwrap();
    assert!(answer.start.starts_with("HTTP/1.0 200"));
    assert_eq!(
        answer.received("host").unwrap(),
        format!("{}:{}", a.address, rig.address.port()).replace(&format!(":{}", rig.address.port()), "")
    );
    assert!(connection.is_closed().await);
    // Unknown length to a client without chunked encoding: the end of the connection is the end of the body.
    let mut connection = Connection::open(rig.address).await;
    connection.send("GET /chunked HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").await;
    let answer = connection.read().await.unwrap();
    assert_eq!(answer.header("transfer-encoding"), None);
    assert!(answer.text().ends_with("abc"));
}

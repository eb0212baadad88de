//! What lateness leads to.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::backend::{echo, raw, read_head};
use crate::client::Connection;
use crate::rig::{Rig, group};

async fn rig_with_one_second(backend: &crate::backend::Backend) -> Rig {
    let mut rig = Rig::forwarding(vec![group("g", &[backend])]).await;
    rig.change_attributes(|attributes| attributes.idle_timeout_seconds = 1).await;
    rig
}

fn about_a_second(since: Instant) {
    let elapsed = since.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_millis(2500)).contains(&elapsed), "{elapsed:?}");
}

#[tokio::test]
async fn a_silent_client_is_closed_on() {
    let a = echo("a").await;
    let rig = rig_with_one_second(&a).await;
    let mut connection = Connection::open(rig.address).await;
    connection.get("/").await;
    let since = Instant::now();
    assert!(connection.is_closed().await);
    about_a_second(since);
}

#[tokio::test]
async fn an_empty_line_begins_no_request() {
    let a = echo("a").await;
    let rig = rig_with_one_second(&a).await;
    let mut connection = Connection::open(rig.address).await;
    connection.send("\r\n").await;
    assert!(connection.read().await.is_none(), "an idle connection ends without a word");
}

#[tokio::test]
async fn empty_lines_do_not_keep_a_connection() {
    let a = echo("a").await;
    let rig = rig_with_one_second(&a).await;
    let mut connection = Connection::open(rig.address).await;
    connection.get("/").await;
    let since = Instant::now();
    let (mut read, mut write) = connection.stream.split();
    let lines = async {
        while write.write_all(b"\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        std::future::pending::<()>().await;
    };
    let mut byte = [0];
    tokio::select! {
        end = tokio::time::timeout(Duration::from_secs(5), read.read(&mut byte)) => {
            assert!(matches!(end, Ok(Ok(0) | Err(_))), "{end:?}");
        }
        () = lines => {}
    }
    about_a_second(since);
}

#[tokio::test]
async fn half_a_head_is_408() {
    let a = echo("a").await;
    let rig = rig_with_one_second(&a).await;
    let mut connection = Connection::open(rig.address).await;
    connection.send("GET / HTTP/1.1\r\nHo").await;
    let since = Instant::now();
    assert_eq!(connection.read().await.unwrap().status(), 408);
    about_a_second(since);
    assert!(connection.is_closed().await);
}

#[tokio::test]
async fn half_a_body_is_408() {
    let a = echo("a").await;
    let rig = rig_with_one_second(&a).await;
    let mut connection = Connection::open(rig.address).await;
    connection.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf").await;
    assert_eq!(connection.read().await.unwrap().status(), 408);
}

#[tokio::test]
async fn a_late_answer_is_504_and_the_client_may_go_on() {
    let a = echo("a").await;
    let rig = rig_with_one_second(&a).await;
    a.behaviour.delay_ms.store(5000, std::sync::atomic::Ordering::SeqCst);
    let mut connection = Connection::open(rig.address).await;
    let since = Instant::now();
    assert_eq!(connection.get("/").await.start, "HTTP/1.1 504 Gateway Time-out");
    about_a_second(since);
    a.behaviour.delay_ms.store(0, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(connection.get("/").await.status(), 200);
}

#[tokio::test]
async fn a_slow_but_steady_response_is_not_late() {
    let drip = raw(|mut stream| async move {
        let Some(head) = read_head(&mut stream).await else { return };
        if head.contains(" /health ") {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            return;
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n").await;
        for _ in 0..6 {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let _ = stream.write_all(b"x").await;
        }
    })
    .await;
    let rig = rig_with_one_second(&drip).await;
    assert_eq!(Connection::open(rig.address).await.get("/").await.text(), "xxxxxx");
}

#[tokio::test]
async fn a_stalled_response_is_cut_off() {
    let stall = raw(|mut stream| async move {
        let Some(head) = read_head(&mut stream).await else { return };
        let length = if head.contains(" /health ") { 0 } else { 10 };
        let _ = stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes()).await;
        tokio::time::sleep(Duration::from_secs(30)).await;
    })
    .await;
    let rig = rig_with_one_second(&stall).await;
    let mut connection = Connection::open(rig.address).await;
    connection.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let since = Instant::now();
    assert!(connection.read().await.is_none());
    about_a_second(since);
}

#[tokio::test]
async fn an_old_client_connection_ends_after_its_next_response() {
    let a = echo("a").await;
    let mut rig = Rig::forwarding(vec![group("g", &[&a])]).await;
    rig.change_attributes(|attributes| attributes.client_keep_alive_seconds = 1).await;
    let mut connection = Connection::open(rig.address).await;
    assert_eq!(connection.get("/").await.header("connection"), None);
    tokio::time::sleep(Duration::from_millis(1600)).await;
    assert_eq!(connection.get("/").await.header("connection"), Some("close"));
    assert!(connection.is_closed().await);
}

#[tokio::test]
async fn a_connection_that_was_quiet_goes_on() {
    let a = echo("a").await;
    let rig = Rig::forwarding(vec![group("g", &[&a])]).await;
    let mut connection = Connection::open(rig.address).await;
    let mut fresh = Connection::open(rig.address).await;
    for _ in 0..2 {
        assert_eq!(connection.get("/").await.name(), "a");
        // Some ticks.
        tokio::time::sleep(Duration::from_millis(600)).await;
    }
    let both = "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n";
    connection.send(both).await;
    assert!(connection.read().await.unwrap().text().starts_with("a GET /1"));
    assert!(connection.read().await.unwrap().text().starts_with("a GET /2"));
    assert_eq!(fresh.get("/").await.name(), "a");
    tokio::time::sleep(Duration::from_millis(600)).await;
    connection.send("TRACE / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(connection.read().await.unwrap().status(), 405);
}

//! HTTP/2 from clients and to targets, and gRPC.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use longshore_balancer::config::{Certificate, Config, DesyncMode, Protocol, ProtocolVersion};
use longshore_balancer::report::TargetState;
use tokio::net::TcpListener;

use crate::backend::{self, Backend, echo};
use crate::client::Connection;
use crate::rig::{Rig, group};
use crate::secure::{self, BOTH, Dial, certificate, dial, secure};

const POLICY: &str = "ELBSecurityPolicy-TLS13-1-2-2021-06";

async fn secured(rig: &mut Rig, folder: &Path) -> Certificate {
    let made = certificate(folder, "c", &["a.example"]);
    secure(rig, vec![made.clone()], POLICY).await;
    made
}

async fn client(rig: &Rig, trusted: &Certificate) -> SendRequest<Full<Bytes>> {
    let dialled = Dial { trusted, name: "a.example", protocols: &["h2", "http/1.1"], versions: BOTH };
    let stream = dial(rig.address, dialled).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn ask(sender: &mut SendRequest<Full<Bytes>>, request: Request<Full<Bytes>>) -> (u16, HeaderMap, String) {
    let response = tokio::time::timeout(Duration::from_secs(20), sender.send_request(request)).await.unwrap().unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, headers, String::from_utf8_lossy(&body).into_owned())
}

#[tokio::test]
async fn a_listener_sets_headers_on_all_responses_and_renames_its_own_on_requests() {
    let folder = tempfile::tempdir().unwrap();
    let a = echo("a").await;
    let mut rig = Rig::forwarding(vec![group("g", &[&a])]).await;
    let set = |config: &mut Config| {
        config.load_balancers[0].attributes.tls_headers = true;
        let attributes = &mut config.load_balancers[0].listeners[0].attributes;
        attributes.server_header = false;
        attributes.response_headers = vec![("x-frame-options".into(), "DENY".into())];
        attributes.tls_version_header = "X-Tls".into();
    };
    rig.change(set).await;
    let answer = crate::client::get(rig.address, "/").await;
    assert_eq!((answer.header("x-frame-options"), answer.header("server")), (Some("DENY"), None));
    // What is refused before it is understood, too.
    let refused = crate::client::once(rig.address, "GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n").await;
    assert_eq!((refused.status(), refused.header("x-frame-options")), (501, Some("DENY")));
    assert_eq!(refused.header("server"), None);
    let made = secured(&mut rig, folder.path()).await;
    let (status, headers, body) = ask(&mut client(&rig, &made).await, get("/")).await;
    assert_eq!((status, headers["x-frame-options"].to_str().unwrap()), (200, "DENY"));
    assert!(
        body.to_lowercase().contains("x-tls: tlsv1.3") && !body.to_lowercase().contains("x-amzn-tls-version"),
        "{body}"
    );
}

fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(format!("https://a.example{path}")).body(Full::default()).unwrap()
}

/// A target that speaks HTTP/2: answers with the method, the authority and the body, and gRPC's trailers.
async fn http2_echo(folder: Option<&Path>) -> (Backend, Arc<AtomicUsize>) {
    let acceptor = folder.map(secure::http2_acceptor);
    let grpc_health = Arc::new(AtomicUsize::new(12));
    let shared = grpc_health.clone();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let backend = backend::custom(listener, Arc::default(), move |stream, behaviour| {
        let (acceptor, health) = (acceptor.clone(), shared.clone());
        async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let (behaviour, health) = (behaviour.clone(), health.clone());
                async move {
                    let is_grpc = request.headers().get("content-type").is_some_and(|kind| kind == "application/grpc");
                    if request.uri().path() == "/AWS.ALB/healthcheck" {
                        assert!(is_grpc && request.method() == "POST" && request.headers()["te"] == "trailers");
                    } else {
                        behaviour.requests.fetch_add(1, Ordering::SeqCst);
                    }
                    tokio::time::sleep(Duration::from_millis(behaviour.delay_ms.load(Ordering::SeqCst) as u64)).await;
                    let start = format!("{} {} ", request.method(), request.uri().authority().unwrap());
                    let mut frames = vec![Ok::<_, Infallible>(Frame::data(Bytes::from(start)))];
                    let body = request.into_body().collect().await.unwrap().to_bytes();
                    frames.push(Ok(Frame::data(body)));
                    let mut trailers = HeaderMap::new();
                    trailers.insert("grpc-status", health.load(Ordering::SeqCst).into());
                    frames.push(Ok(Frame::trailers(trailers)));
                    let body = StreamBody::new(futures(frames));
                    Ok::<_, Infallible>(
                        Response::builder().header("content-type", "application/grpc").body(body).unwrap(),
                    )
                }
            });
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            let _ = match acceptor {
                Some(acceptor) => match acceptor.accept(stream).await {
                    Ok(stream) => builder.serve_connection(TokioIo::new(stream), service).await,
                    Err(_) => return,
                },
                None => builder.serve_connection(TokioIo::new(stream), service).await,
            };
        }
    });
    (backend, grpc_health)
}

fn futures<T: Unpin>(items: Vec<T>) -> impl futures_util::Stream<Item = T> {
    futures_util::stream::iter(items)
}

#[tokio::test]
async fn http2_clients_reach_http1_targets() {
    let folder = tempfile::tempdir().unwrap();
    let a = echo("a").await;
    let mut rig = Rig::forwarding(vec![group("g", &[&a])]).await;
    let trusted = secured(&mut rig, folder.path()).await;
    let mut sender = client(&rig, &trusted).await;
    let request = Request::get("https://a.example/p?q=1")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .body(Full::default())
        .unwrap();
    let (status, headers, text) = ask(&mut sender, request).await;
    assert_eq!(status, 200);
    assert!(text.starts_with("a GET /p?q=1\n"), "{text}");
    assert!(text.contains("cookie: a=1; b=2\n") && text.contains("x-forwarded-proto: https\n"), "{text}");
    assert!(text.contains(&format!("host: a.example:{}\n", rig.address.port())), "{text}");
    assert_eq!(headers["server"], "mine");
    // Streams share the connection; bodies are larger than windows.
    a.behaviour.delay_ms.store(50, Ordering::SeqCst);
    let big = "b".repeat(400_000);
    let asked = (0..20).map(|_| {
        let mut sender = sender.clone();
        let request = Request::post("https://a.example/big").body(Full::from(big.clone())).unwrap();
        async move { ask(&mut sender, request).await }
    });
    for (status, _, text) in futures_util::future::join_all(asked).await {
        assert!(status == 200 && text.ends_with(&big), "{status} {}", text.len());
    }
    let (status, _, text) = ask(&mut sender, get("/chunked")).await;
    assert!(status == 200 && text.ends_with("abc"));
    let (status, headers, _) = ask(&mut sender, get("/204")).await;
    assert!(status == 204 && !headers.contains_key("connection"));
}

/// A target may get it as a request of HTTP/1, where it is two.
#[tokio::test]
async fn what_is_ambiguous_as_http1_is_judged_in_http2_too() {
    let folder = tempfile::tempdir().unwrap();
    let a = echo("a").await;
    let mut rig = Rig::forwarding(vec![group("g", &[&a])]).await;
    let trusted = secured(&mut rig, folder.path()).await;
    let mut sender = client(&rig, &trusted).await;
    let request = |method: &str, name: &str, body: &'static str| {
        let request = Request::builder().method(method).uri("https://a.example/").header(name, "5");
        request.body(Full::from(body)).unwrap()
    };
    for (method, name, body, status, strictest) in [
        ("POST", "x-a", "GET /", 200, 200),
        ("GET", "x-a", "", 200, 200),
        ("GET", "content-length", "GET /", 200, 400),
        ("POST", "content_length", "GET /", 200, 400),
        ("TRACE", "x-a", "", 405, 405),
    ] {
        rig.change_attributes(|attributes| attributes.desync_mode = DesyncMode::Defensive).await;
        assert_eq!(ask(&mut sender, request(method, name, body)).await.0, status, "{method} {name}");
        rig.change_attributes(|attributes| attributes.desync_mode = DesyncMode::Strictest).await;
        assert_eq!(ask(&mut sender, request(method, name, body)).await.0, strictest, "{method} {name}");
    }
}

#[tokio::test]
async fn a_client_that_takes_no_byte_of_a_short_answer_loses_its_stream() {
    let folder = tempfile::tempdir().unwrap();
    let a = echo("a").await;
    let mut rig = Rig::forwarding(vec![group("g", &[&a])]).await;
    let trusted = secured(&mut rig, folder.path()).await;
    rig.change_attributes(|attributes| attributes.idle_timeout_seconds = 1).await;
    for actions in [crate::rig::forward(&[("g", 1)]), crate::rig::fixed(200, "fixed")] {
        rig.change(|config| config.load_balancers[0].listeners[0].default_actions = actions).await;
        let dialled = Dial { trusted: &trusted, name: "a.example", protocols: &["h2"], versions: BOTH };
        let stream = TokioIo::new(dial(rig.address, dialled).await.unwrap());
        let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        let (mut sender, connection) = builder.initial_stream_window_size(0).handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let response = sender.send_request(get("/")).await.unwrap();
        let body = tokio::time::timeout(Duration::from_secs(10), response.into_body().collect());
        assert!(body.await.expect("it ends").is_err());
    }
}

#[tokio::test]
async fn http2_may_be_switched_off() {
    let folder = tempfile::tempdir().unwrap();
    let a = echo("a").await;
    let mut rig = Rig::forwarding(vec![group("g", &[&a])]).await;
    rig.change_attributes(|attributes| attributes.http2 = false).await;
    let trusted = secured(&mut rig, folder.path()).await;
    let dialled = Dial { trusted: &trusted, name: "a.example", protocols: &["h2", "http/1.1"], versions: BOTH };
    let stream = dial(rig.address, dialled).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(Connection::over(stream).get("/").await.name(), "a");
}

#[tokio::test]
async fn grpc_reaches_targets_with_and_without_tls_and_decides_their_health() {
    let folder = tempfile::tempdir().unwrap();
    for is_tls in [false, true] {
        let (target, health) = http2_echo(is_tls.then(|| folder.path())).await;
        let mut group = group("g", &[&target]);
        group.protocol_version = ProtocolVersion::Grpc;
        group.health_check.path = "/AWS.ALB/healthcheck".to_owned();
        group.health_check.matcher = "12".to_owned();
        if is_tls {
            (group.protocol, group.health_check.protocol) = (Protocol::Https, Protocol::Https);
        }
        let mut rig = Rig::forwarding(vec![group]).await;
        let trusted = secured(&mut rig, folder.path()).await;
        let mut sender = client(&rig, &trusted).await;
        let request = || {
            Request::post("https://a.example/service/Method")
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .body(Full::from("message"))
                .unwrap()
        };
        for _ in 0..3 {
            let response = sender.send_request(request()).await.unwrap();
            assert_eq!(response.status(), 200);
            let body = response.into_body().collect().await.unwrap();
            assert_eq!(body.trailers().unwrap()["grpc-status"], "12");
            let port = rig.address.port();
            assert_eq!(body.to_bytes(), format!("POST a.example:{port} message"));
        }
        // Many calls share few connections.
        target.behaviour.delay_ms.store(100, Ordering::SeqCst);
        let calls = (0..60).map(|_| sender.clone().send_request(request()));
        assert!(futures_util::future::join_all(calls).await.into_iter().all(|answer| answer.unwrap().status() == 200));
        target.behaviour.delay_ms.store(0, Ordering::SeqCst);
        assert_eq!(ask(&mut sender, get("/")).await.0, 464);
        health.store(13, Ordering::SeqCst);
        let report = rig.wait(|report| report.targets[0].state == TargetState::Unhealthy).await;
        assert_eq!(report.targets[0].description.as_deref(), Some("Health checks failed with these codes: [13]"));
    }
}

#[tokio::test]
async fn versions_that_do_not_go_together_are_464() {
    let folder = tempfile::tempdir().unwrap();
    let (target, health) = http2_echo(None).await;
    health.store(0, Ordering::SeqCst);
    let mut group2 = group("h2", &[&target]);
    group2.protocol_version = ProtocolVersion::Http2;
    let mut rig = Rig::forwarding(vec![group2]).await;
    let mut connection = Connection::open(rig.address).await;
    for _ in 0..2 {
        assert_eq!(connection.get("/").await.status(), 464);
    }
    let trusted = secured(&mut rig, folder.path()).await;
    let mut sender = client(&rig, &trusted).await;
    assert_eq!(ask(&mut sender, get("/")).await.0, 200);

    let a = echo("a").await;
    let mut rig = Rig::forwarding(vec![group("h1", &[&a])]).await;
    let trusted = secured(&mut rig, folder.path()).await;
    let mut sender = client(&rig, &trusted).await;
    let request = Request::post("https://a.example/s/M").header("content-type", "application/grpc");
    assert_eq!(ask(&mut sender, request.body(Full::default()).unwrap()).await.0, 464);
    assert_eq!(ask(&mut sender, get("/")).await.0, 200);
}

#[tokio::test]
async fn a_late_target_is_504_for_its_stream_alone() {
    let folder = tempfile::tempdir().unwrap();
    let a = echo("a").await;
    let mut rig = Rig::forwarding(vec![group("g", &[&a])]).await;
    rig.change_attributes(|attributes| attributes.idle_timeout_seconds = 1).await;
    let trusted = secured(&mut rig, folder.path()).await;
    let mut sender = client(&rig, &trusted).await;
    a.behaviour.delay_ms.store(3000, Ordering::SeqCst);
    let mut late = sender.clone();
    let late = tokio::spawn(async move { ask(&mut late, get("/late")).await.0 });
    while a.behaviour.requests.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    a.behaviour.delay_ms.store(0, Ordering::SeqCst);
    assert_eq!(ask(&mut sender, get("/soon")).await.0, 200);
    assert_eq!(late.await.unwrap(), 504);
    assert_eq!(ask(&mut sender, get("/after")).await.0, 200);
}

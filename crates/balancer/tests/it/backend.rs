//! A target: a small HTTP/1.1 server written out by hand, so that it can misbehave.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::client::{Message, read_message};

/// What a target does, changeable while it runs.
#[derive(Debug, Default)]
pub struct Behaviour {
    /// Status of health checks, 0 for 200.
    pub health: AtomicU16,
    /// Milliseconds before answering.
    pub delay_ms: AtomicUsize,
    /// Close the connection after each response without saying so.
    pub closes: AtomicBool,
    pub connections: AtomicUsize,
    pub requests: AtomicUsize,
    pub probes: AtomicUsize,
}

#[derive(Debug)]
pub struct Backend {
    pub address: SocketAddr,
    pub behaviour: Arc<Behaviour>,
    _task: JoinSet<()>,
}

/// Answers requests with `<name> <method> <target>\n<received headers>\n<body>`; health checks on /health.
pub async fn echo(name: &'static str) -> Backend {
    serve(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap(), name)
}

pub fn serve(listener: TcpListener, name: &'static str) -> Backend {
    let behaviour = Arc::new(Behaviour::default());
    custom(listener, behaviour, move |stream, behaviour| echo_on(stream, behaviour, name))
}

/// A target that does as `serve` says with each connection.
pub async fn raw<F>(serve: impl Fn(TcpStream) -> F + Send + Sync + 'static) -> Backend
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    custom(listener, Arc::default(), move |stream, _| serve(stream))
}

pub fn custom<F>(
    listener: TcpListener,
    behaviour: Arc<Behaviour>,
    serve: impl Fn(TcpStream, Arc<Behaviour>) -> F + Send + Sync + 'static,
) -> Backend
where
    F: Future<Output = ()> + Send + 'static,
{
    let address = listener.local_addr().unwrap();
    let mut task = JoinSet::new();
    let shared = behaviour.clone();
    task.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            shared.connections.fetch_add(1, Ordering::SeqCst);
            connections.spawn(serve(stream, shared.clone()));
        }
    });
    Backend { address, behaviour, _task: task }
}

pub async fn echo_on<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, behaviour: Arc<Behaviour>, name: &'static str) {
    let mut buffer = Vec::new();
    while let Some(request) = read_message(&mut stream, &mut buffer, false).await {
        if request.start.contains(" /health ") {
            behaviour.probes.fetch_add(1, Ordering::SeqCst);
            let status = match behaviour.health.load(Ordering::SeqCst) {
                0 => 200,
                status => status,
            };
            let reply = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(reply.as_bytes()).await;
            let _ = stream.shutdown().await;
            return;
        }
        behaviour.requests.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(behaviour.delay_ms.load(Ordering::SeqCst) as u64)).await;
        if stream.write_all(answer(name, &request).as_bytes()).await.is_err() || stream.flush().await.is_err() {
            return;
        }
        if behaviour.closes.load(Ordering::SeqCst) || request.start.contains(" /close ") {
            return;
        }
    }
}

fn answer(name: &str, request: &Message) -> String {
    let mut words = request.start.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let headers: String = request.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    let body = format!("{name} {method} {target}\n{headers}\n{}", String::from_utf8_lossy(&request.body));
    match target {
        "/204" => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        "/304" => "HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n".to_owned(),
        "/close" => format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{body}"),
        "/chunked" => format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n3\r\nabc\r\n0\r\n\r\n",
            body.len()
        ),
        "/cookie" => "HTTP/1.1 200 OK\r\nSet-Cookie: session=1\r\nContent-Length: 0\r\n\r\n".to_owned(),
        _ if method == "HEAD" => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()),
        _ => format!("HTTP/1.1 200 OK\r\nServer: mine\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
    }
}

/// Reads whatever comes until a request head is complete.
pub async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await.ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    Some(String::from_utf8(head).unwrap())
}

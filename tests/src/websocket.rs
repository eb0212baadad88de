//! Open WebSockets, each of which says something several times a second and wants to hear it again.

use crate::service::Balanced;
use anyhow::{Context, bail, ensure};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(200);

/// Clients that open a WebSocket again when it was closed, as browsers' scripts do.
pub struct WebSockets {
    stop: Arc<AtomicBool>,
    echoes: Arc<AtomicU64>,
    closed: Arc<AtomicU64>,
    failures: Arc<Mutex<Vec<String>>>,
    threads: Vec<JoinHandle<()>>,
}

impl WebSockets {
    pub fn start(service: &Balanced, connections: u32) -> Self {
        let mut clients = Self {
            stop: Default::default(),
            echoes: Default::default(),
            closed: Default::default(),
            failures: Default::default(),
            threads: Vec::new(),
        };
        for _ in 0..connections {
            let (address, host) = (service.address, service.dns_name.clone());
            let (stop, echoes) = (Arc::clone(&clients.stop), Arc::clone(&clients.echoes));
            let (closed, failures) = (Arc::clone(&clients.closed), Arc::clone(&clients.failures));
            clients.threads.push(std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    match talk(address, &host, &stop, &echoes) {
                        Ok(()) => _ = closed.fetch_add(1, Ordering::Relaxed),
                        Err(error) => {
                            failures.lock().expect("no thread panics holding it").push(format!("{error:#}"));
                            std::thread::sleep(PAUSE);
                        }
                    }
                }
            }));
        }
        clients
    }

    /// How many were closed by the other side so far.
    pub fn closed(&self) -> u64 {
        self.closed.load(Ordering::Relaxed)
    }

    /// Stops: no handshake failed, and nothing came back wrong.
    pub fn end_without_failures(mut self) -> anyhow::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("a client does not panic");
        }
        let failures = self.failures.lock().expect("no thread panics holding it");
        ensure!(failures.is_empty(), "{} failures of WebSockets, first: {:?}", failures.len(), failures.first());
        let echoes = self.echoes.load(Ordering::Relaxed);
        ensure!(echoes > 20, "only {echoes} messages came back");
        Ok(())
    }
}

/// One WebSocket, until it is closed or nobody wants it any more.
fn talk(address: SocketAddr, host: &str, stop: &AtomicBool, echoes: &AtomicU64) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5)).context("connect")?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    // The example of RFC 6455, whose answer is known.
    write!(
        stream,
        "GET /echo HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).context("the handshake's answer")? == 0 {
            bail!("closed in the handshake after {:?}", String::from_utf8_lossy(&head));
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    ensure!(head.starts_with("HTTP/1.1 101 "), "no handshake: {head:?}");
    ensure!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "not the accepted key: {head:?}");
    let mut number = 0u64;
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let payload = number.to_be_bytes();
        // Text of eight bytes, masked with zeroes.
        let frame = [&[0x82, 0x88, 0, 0, 0, 0][..], &payload].concat();
        if stream.write_all(&frame).is_err() {
            return Ok(());
        }
        let mut echo = [0; 10];
        match stream.read_exact(&mut echo) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => bail!("no answer on an open WebSocket"),
            // Its target had drained.
            Err(_) => return Ok(()),
        }
        ensure!(echo[..2] == [0x82, 8] && echo[2..] == payload, "something else came back: {echo:?}");
        echoes.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

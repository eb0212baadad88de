//! The sample application: an HTTP server of the standard library alone, small enough to read in a minute.
//!
//! `GET /` answers its host name, `GET /health` answers `ok`, `GET /sleep/<ms>` answers late, `GET /bytes/<n>` answers that
//! many, a WebSocket on any path echoes. Each request is one line on standard output, but for health checks and measurements. SIGTERM ends it, because a process that is the first of its container has no default handlers.

mod websocket;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn main() {
    end_on_sigterm();
    let port = std::env::var("PORT").unwrap_or_else(|_| "8080".to_owned());
    let name = host_name();
    let listener = TcpListener::bind(format!("0.0.0.0:{port}")).expect("the port is free in a container of its own");
    println!("{name} listens on port {port}");
    let name: Arc<str> = name.into();
    for stream in listener.incoming().flatten() {
        let name = Arc::clone(&name);
        std::thread::spawn(move || {
            // A client that goes away is no error of ours.
            let _ = serve(stream, &name);
        });
    }
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// Answers the requests of one connection, one after another.
fn serve(mut stream: TcpStream, name: &str) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let started = Instant::now();
        let path = line.split(' ').nth(1).unwrap_or("/").to_owned();
        let (mut body_length, mut close, mut websocket_key) = (0, false, None);
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
                break;
            }
            let header = line.trim().to_ascii_lowercase();
            if header.starts_with("sec-websocket-key:") {
                websocket_key = line.split_once(':').map(|(_, key)| key.trim().to_owned());
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                body_length = value.trim().parse().unwrap_or(0);
            }
            close |= header == "connection: close";
        }
        std::io::copy(&mut std::io::Read::take(&mut reader, body_length), &mut std::io::sink())?;

        if let Some(key) = websocket_key {
            return websocket::echo(&key, &mut reader, &mut stream);
        }
        let (status, body) = answer(&path, name);
        let closing = if close { "Connection: close\r\n" } else { "" };
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n{closing}\r\n", body.len());
        stream.write_all([head.as_bytes(), body.as_bytes()].concat().as_slice())?;
        if path != "/health" && !path.starts_with("/bytes/") {
            println!("GET {path} {status} {} us", started.elapsed().as_micros());
        }
        if close {
            return Ok(());
        }
    }
}

fn answer(path: &str, name: &str) -> (&'static str, String) {
    if let Some(milliseconds) = path.strip_prefix("/sleep/").and_then(|text| text.parse().ok()) {
        std::thread::sleep(Duration::from_millis(milliseconds));
    }
    if let Some(count) = path.strip_prefix("/bytes/").and_then(|text| text.parse::<usize>().ok()) {
        return ("200 OK", "x".repeat(count.min(1 << 20)));
    }
    match path {
        "/health" => ("200 OK", "ok\n".to_owned()),
        _ if path == "/" || path.starts_with("/sleep/") => ("200 OK", format!("hello from {name}\n")),
        _ => ("404 Not Found", "there is nothing here\n".to_owned()),
    }
}

fn end_on_sigterm() {
    unsafe extern "C" {
        fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
        fn _exit(code: i32) -> !;
    }
    extern "C" fn end(_: i32) {
        // SAFETY: _exit is async-signal-safe.
        unsafe { _exit(0) }
    }
    // SAFETY: `end` does nothing but _exit. 15 is SIGTERM on every Linux.
    unsafe { signal(15, end) };
}

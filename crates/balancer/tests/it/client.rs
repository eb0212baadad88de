//! A client written out by hand, so that it can misbehave.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request or response.
#[derive(Debug, Default)]
pub struct Message {
    pub start: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Message {
    pub fn status(&self) -> u16 {
        self.start.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The first word of an echoing target's answer: its name.
    pub fn name(&self) -> String {
        self.text().split(' ').next().unwrap_or("").to_owned()
    }

    /// A header as the echoing target received it.
    pub fn received(&self, name: &str) -> Option<String> {
        let text = self.text();
        let line = text.lines().find(|line| line.to_lowercase().starts_with(&format!("{}:", name.to_lowercase())))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    }
}

/// A connection with what was read too far.
pub struct Connection<S = TcpStream> {
    pub stream: S,
    buffer: Vec<u8>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Connection {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Connection { stream, buffer: Vec::new() }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub fn over(stream: S) -> Connection<S> {
        Connection { stream, buffer: Vec::new() }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The next response; `None` when the connection ends before it is complete.
    pub async fn read(&mut self) -> Option<Message> {
        self.read_to("GET").await
    }

    pub async fn read_to(&mut self, method: &str) -> Option<Message> {
        let read = read_message(&mut self.stream, &mut self.buffer, method == "HEAD");
        tokio::time::timeout(Duration::from_secs(20), read).await.expect("a response within 20 s")
    }

    pub async fn get(&mut self, target: &str) -> Message {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: x.example\r\n\r\n")).await;
        self.read().await.expect("a response")
    }

    /// Whether the balancer ends the connection, within two seconds.
    pub async fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        let read = tokio::time::timeout(Duration::from_secs(2), self.stream.read(&mut byte)).await;
        matches!(read, Ok(Ok(0) | Err(_)))
    }
}

/// One request on a connection of its own.
pub async fn once(address: SocketAddr, request: impl AsRef<[u8]>) -> Message {
    let mut connection = Connection::open(address).await;
    connection.send(request).await;
    connection.read().await.expect("a response")
}

pub async fn get(address: SocketAddr, target: &str) -> Message {
    Connection::open(address).await.get(target).await
}

async fn more<S: AsyncRead + Unpin>(stream: &mut S, buffer: &mut Vec<u8>) -> Option<usize> {
    stream.read_buf(buffer).await.ok().filter(|count| *count > 0)
}

async fn line<S: AsyncRead + Unpin>(stream: &mut S, buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = buffer.windows(2).position(|pair| pair == b"\r\n") {
            let line = String::from_utf8_lossy(&buffer[..end]).into_owned();
            buffer.drain(..end + 2);
            return Some(line);
        }
        more(stream, buffer).await?;
    }
}

async fn exactly<S: AsyncRead + Unpin>(stream: &mut S, buffer: &mut Vec<u8>, count: usize) -> Option<Vec<u8>> {
    while buffer.len() < count {
        more(stream, buffer).await?;
    }
    Some(buffer.drain(..count).collect())
}

/// Reads one message by its framing.
pub async fn read_message<S: AsyncRead + Unpin>(
    stream: &mut S,
    buffer: &mut Vec<u8>,
    is_head_only: bool,
) -> Option<Message> {
    let mut message = Message { start: line(stream, buffer).await?, ..Message::default() };
    loop {
        let line = line(stream, buffer).await?;
        let Some((name, value)) = line.split_once(':') else { break };
        message.headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let is_response = message.start.starts_with("HTTP/");
    if is_head_only || (is_response && matches!(message.status(), 100..200 | 204 | 304)) {
        return Some(message);
    }
    if message.header("transfer-encoding").is_some() {
        loop {
            let size = usize::from_str_radix(&line(stream, buffer).await?, 16).ok()?;
            if size == 0 {
                while !line(stream, buffer).await?.is_empty() {}
                return Some(message);
            }
            message.body.extend(exactly(stream, buffer, size).await?);
            exactly(stream, buffer, 2).await?;
        }
    }
    match message.header("content-length").map(|length| length.parse().unwrap()) {
        Some(length) => message.body = exactly(stream, buffer, length).await?,
        None if is_response => {
            while more(stream, buffer).await.is_some() {}
            message.body = std::mem::take(buffer);
        }
        None => {}
    }
    Some(message)
}

//! The control link: a Unix socket on which peers come and go, newline-delimited JSON both ways.
//!
//! Nothing here knows what messages mean. A peer that reads slowly does not hold up the others: each has a
//! queue, and a message sent with a `slot` replaces the unsent one of the same slot, so that a peer that
//! catches up reads the latest state instead of a history.

use std::collections::HashMap;
use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

/// A longer line ends the connection.
const LINE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Names a connection; never reused.
pub type PeerId = u64;

/// What happened on the link.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody connected.
    Connected(PeerId),
    /// A line came, without its newline.
    Line(PeerId, String),
    /// Gone; nothing more comes from this peer.
    Disconnected(PeerId),
}

/// Why the link cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Another process answers on the socket.
    #[error("another process serves {0}")]
    InUse(PathBuf),
    /// The socket cannot be made.
    #[error("cannot listen on {path}: {source}")]
    Listen {
        /// Socket path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// The listening side. Dropping it closes all connections and leaves the socket file.
#[derive(Debug)]
pub struct Link {
    listener: UnixListener,
    peers: HashMap<PeerId, Arc<Outbox>>,
    next_peer: PeerId,
    events: mpsc::Receiver<Event>,
    events_in: mpsc::Sender<Event>,
    tasks: JoinSet<()>,
}

#[derive(Debug, Default)]
struct Outbox {
    lines: Mutex<Vec<(Option<&'static str>, Arc<str>)>>,
    filled: Notify,
}

impl Link {
    /// Listens; a socket file nobody answers on is replaced.
    pub fn listen(path: &Path) -> Result<Link, LinkError> {
        if StdUnixStream::connect(path).is_ok() {
            return Err(LinkError::InUse(path.to_owned()));
        }
        // Absent is fine, and any other trouble shows at bind.
        let _ = std::fs::remove_file(path);
        let listener =
            UnixListener::bind(path).map_err(|source| LinkError::Listen { path: path.to_owned(), source })?;
        let (events_in, events) = mpsc::channel(64);
        Ok(Link { listener, peers: HashMap::new(), next_peer: 1, events, events_in, tasks: JoinSet::new() })
    }

    /// The next event. Cancel-safe.
    pub async fn next(&mut self) -> Event {
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => return self.connected(stream),
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept on the control link");
                        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    }
                },
                Some(event) = self.events.recv() => {
                    if let Event::Disconnected(peer) = event {
                        self.peers.remove(&peer);
                    }
                    return event;
                }
                Some(_) = self.tasks.join_next() => {}
            }
        }
    }

    /// Sends a line (without newline) to one peer; gone peers are no error.
    pub fn send(&self, peer: PeerId, slot: Option<&'static str>, line: &Arc<str>) {
        if let Some(outbox) = self.peers.get(&peer) {
            outbox.push(slot, line);
        }
    }

    /// Sends a line (without newline) to everybody.
    pub fn broadcast(&self, slot: Option<&'static str>, line: &Arc<str>) {
        for outbox in self.peers.values() {
            outbox.push(slot, line);
        }
    }

    /// Whether anybody listens.
    pub fn has_peers(&self) -> bool {
        !self.peers.is_empty()
    }

    fn connected(&mut self, stream: UnixStream) -> Event {
        let peer = self.next_peer;
        self.next_peer += 1;
        let outbox = Arc::new(Outbox::default());
        self.peers.insert(peer, outbox.clone());
        let (reader, writer) = stream.into_split();
        let events = self.events_in.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = read_lines(peer, reader, &events) => {}
                () = write_lines(writer, &outbox) => {}
            }
            // The link may be gone too; then nobody needs to know.
            let _ = events.send(Event::Disconnected(peer)).await;
        });
        Event::Connected(peer)
    }
}

impl Outbox {
    fn push(&self, slot: Option<&'static str>, line: &Arc<str>) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_some() {
            lines.retain(|(queued, _)| *queued != slot);
        }
        lines.push((slot, line.clone()));
        self.filled.notify_one();
    }
}

async fn read_lines(peer: PeerId, reader: OwnedReadHalf, events: &mpsc::Sender<Event>) {
    let mut reader = BufReader::new(reader);
    loop {
        let mut line = String::new();
        match (&mut reader).take(LINE_BYTES_MAX).read_line(&mut line).await {
            Ok(0) => return,
            Ok(_) if line.ends_with('\n') => {
                line.truncate(line.trim_end().len());
                if events.send(Event::Line(peer, line)).await.is_err() {
                    return;
                }
            }
            Ok(_) => return tracing::warn!(peer, "control link line cut short"),
            Err(error) => return tracing::warn!(peer, %error, "cannot read from the control link"),
        }
    }
}

async fn write_lines(mut writer: OwnedWriteHalf, outbox: &Outbox) {
    loop {
        let lines = std::mem::take(&mut *outbox.lines.lock().unwrap_or_else(PoisonError::into_inner));
        if lines.is_empty() {
            outbox.filled.notified().await;
            continue;
        }
        for (_, line) in lines {
            let write = async {
                writer.write_all(line.as_bytes()).await?;
                writer.write_all(b"\n").await
            };
            if write.await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_go_both_ways_and_slots_keep_the_latest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.sock");
        let mut link = Link::listen(&path).unwrap();
        assert!(matches!(Link::listen(&path), Err(LinkError::InUse(_))));
        let mut client = BufReader::new(UnixStream::connect(&path).await.unwrap());
        // Two listeners probed the socket above; their connections show up first.
        let peer = loop {
            if let Event::Connected(peer) = link.next().await {
                link.send(peer, Some("state"), &"old".into());
                link.send(peer, Some("state"), &"new".into());
                link.send(peer, None, &"one".into());
                let mut line = String::new();
                let read = tokio::time::timeout(std::time::Duration::from_millis(200), client.read_line(&mut line));
                if read.await.is_ok() {
                    assert_eq!(line, "new\n");
                    break peer;
                }
            }
        };
        let mut line = String::new();
        client.read_line(&mut line).await.unwrap();
        assert_eq!(line, "one\n");
        client.write_all(b"hello\n").await.unwrap();
        loop {
            if let Event::Line(from, line) = link.next().await {
                assert_eq!((from, line.as_str()), (peer, "hello"));
                break;
            }
        }
        drop(client);
        while link.next().await != Event::Disconnected(peer) {}
        drop(link);
        // The file is left over, and nobody answers: it is taken over.
        Link::listen(&path).unwrap();
    }
}

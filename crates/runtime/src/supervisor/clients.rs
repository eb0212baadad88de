//! Connections to the control socket. Everything is bounded: a client that does not read gets the latest values when it
//! does, and log lines stay in their own buffers until there is room.

use super::container::Container;
use crate::protocol::{Command, Event, LogLine, State, TaskState};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

/// More connections than this wait until one of them ends.
pub const CLIENTS_MAX: usize = 16;
/// No further log lines are queued for a client that has this much to read.
const OUTPUT_SOFT_MAX: usize = 64 << 10;
/// A client that has this much to read is cut off.
const OUTPUT_HARD_MAX: usize = 4 << 20;
/// Longest command.
const INPUT_MAX: usize = 1 << 20;

/// One connection.
#[derive(Debug)]
pub struct Client {
    /// Tells it from others, also after it is gone.
    pub serial: u64,
    pub stream: UnixStream,
    input: Vec<u8>,
    /// So much of the input has no line feed.
    scanned: usize,
    output: Vec<u8>,
    subscription: Option<Subscription>,
    pub gone: bool,
}

/// What a subscriber has been sent.
#[derive(Debug, Default)]
struct Subscription {
    logs: bool,
    state_sent: bool,
    task_version: u64,
    container_versions: Vec<u64>,
    log_sequences: Vec<u64>,
}

/// A line from a client.
#[derive(Debug)]
pub enum Request {
    Known(Command),
    /// Not a command of ours: its name, and why.
    Unknown {
        command: String,
        message: String,
    },
}

impl Client {
    pub fn new(serial: u64, stream: UnixStream) -> std::io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Client {
            serial,
            stream,
            input: Vec::new(),
            scanned: 0,
            output: Vec::new(),
            subscription: None,
            gone: false,
        })
    }

    /// Whether there is something to write.
    pub fn wants_write(&self) -> bool {
        !self.output.is_empty()
    }

    /// Reads what is there and returns the complete lines.
    pub fn receive(&mut self) -> Vec<Request> {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.gone = true,
                Ok(read) => {
                    self.input.extend_from_slice(&buffer[..read]);
                    if self.input.len() > INPUT_MAX {
                        self.gone = true;
                    } else if read == buffer.len() {
                        continue;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => self.gone = true,
            }
            break;
        }
        let mut requests = Vec::new();
        let mut start = 0;
        while let Some(length) = self.input[self.scanned..].iter().position(|byte| *byte == b'\n') {
            let line = &self.input[start..self.scanned + length];
            start = self.scanned + length + 1;
            self.scanned = start;
            if !line.trim_ascii().is_empty() {
                requests.push(parse(line));
            }
        }
        self.input.drain(..start);
        self.scanned = self.input.len();
        if self.input.is_empty() {
            self.input.shrink_to(0);
        }
        requests
    }

    pub fn subscribe(&mut self, logs: bool) {
        self.subscription = Some(Subscription { logs, ..Subscription::default() });
    }

    pub fn send(&mut self, event: &Event) {
        if self.output.len() > OUTPUT_HARD_MAX {
            self.gone = true;
            return;
        }
        // Writing to a vector cannot fail, and none of our types refuses to be written.
        if serde_json::to_writer(&mut self.output, event).is_ok() {
            self.output.push(b'\n');
        }
    }

    /// Queues what a subscriber has not seen yet: log lines first, as far as there is room, so that a container's end
    /// usually comes after its output.
    pub fn update(&mut self, state: &dyn Fn() -> State, task: (&TaskState, u64), containers: &[Container]) {
        let Some(mut subscription) = self.subscription.take() else { return };
        subscription.container_versions.resize(containers.len(), 0);
        subscription.log_sequences.resize(containers.len(), 0);
        if !subscription.state_sent {
            self.send(&Event::State(state()));
        }
        if subscription.logs {
            for (container, sent) in containers.iter().zip(&mut subscription.log_sequences) {
                self.send_logs(container, sent);
            }
        }
        for (container, sent) in containers.iter().zip(&mut subscription.container_versions) {
            if *sent < container.version && subscription.state_sent {
                self.send(&Event::Container(container.snapshot()));
            }
            *sent = container.version;
        }
        if subscription.task_version < task.1 && subscription.state_sent {
            self.send(&Event::Task(task.0.clone()));
        }
        subscription.task_version = task.1;
        subscription.state_sent = true;
        self.subscription = Some(subscription);
    }

    fn send_logs(&mut self, container: &Container, sent: &mut u64) {
        while self.output.len() < OUTPUT_SOFT_MAX
            && let Some(line) = container.logs.after(*sent)
        {
            *sent = line.sequence;
            self.send(&Event::Log(LogLine {
                container: container.spec.name.clone(),
                sequence: line.sequence,
                stream: line.stream,
                timestamp_ms: line.timestamp_ms,
                message: String::from_utf8_lossy(&line.message).into_owned(),
            }));
        }
    }

    /// Writes what the socket takes. Returns whether anything went out.
    pub fn flush(&mut self) -> bool {
        let mut written = 0;
        while written < self.output.len() && !self.gone {
            match self.stream.write(&self.output[written..]) {
                Ok(0) => self.gone = true,
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.gone = true,
            }
        }
        self.output.drain(..written);
        if self.output.is_empty() {
            self.output.shrink_to(0);
        }
        written > 0
    }
}

fn parse(line: &[u8]) -> Request {
    match serde_json::from_slice(line) {
        Ok(command) => Request::Known(command),
        Err(error) => {
            let value: serde_json::Value = serde_json::from_slice(line).unwrap_or_default();
            let command = value["command"].as_str().unwrap_or_default().chars().take(64).collect();
            Request::Unknown { command, message: error.to_string() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Client, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Client::new(1, ours).unwrap(), theirs)
    }

    #[test]
    fn commands_arrive_whole_however_they_were_cut() {
        let (mut client, mut theirs) = pair();
        theirs.write_all(b"{\"command\":\"go\"}\n\n{\"comm").unwrap();
        assert!(matches!(client.receive().as_slice(), [Request::Known(Command::Go)]));
        theirs.write_all(b"and\":\"dance\"}\nnonsense\n").unwrap();
        let requests = client.receive();
        assert!(matches!(&requests[0], Request::Unknown { command, .. } if command == "dance"));
        assert!(matches!(&requests[1], Request::Unknown { command, .. } if command.is_empty()));
        assert!(!client.gone);
        drop(theirs);
        client.receive();
        assert!(client.gone);
    }

    #[test]
    fn an_endless_command_ends_the_connection() {
        let (mut client, mut theirs) = pair();
        theirs.set_nonblocking(true).unwrap();
        for _ in 0..2000 {
            let _ = theirs.write(&[b'x'; 1024]);
            client.receive();
        }
        assert!(client.gone);
    }
}

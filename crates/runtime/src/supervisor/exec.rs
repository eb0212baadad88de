//! Processes run beside a container's first: health checks, and what a client asks for.

use crate::engine::{Failure, Job};
use crate::sys::{self, Pid};
use std::os::fd::{AsRawFd, OwnedFd};

/// Output kept of a command that a client asked for.
pub const OUTPUT_MAX: usize = 64 << 10;
/// Output kept of a health check, as ECS's agent does.
pub const HEALTH_OUTPUT_MAX: usize = 1024;

#[derive(Debug)]
pub struct Exec {
    /// Index of the container.
    pub container: usize,
    pub purpose: Purpose,
    pub stage: Stage,
    pub output: OwnedFd,
    pub captured: Vec<u8>,
    pub truncated: bool,
    pub output_closed: bool,
    /// Monotonic time when it is too late.
    pub deadline_ms: Option<u64>,
    pub timed_out: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Health,
    /// For this client, under this number of its own.
    Command { client: u64, id: u64 },
}

#[derive(Debug)]
pub enum Stage {
    /// The engine works on it.
    Job(Job),
    /// It runs.
    Process(Pid),
    Ended(Result<i32, Failure>),
}

impl Exec {
    fn capacity(&self) -> usize {
        match self.purpose {
            Purpose::Health => HEALTH_OUTPUT_MAX,
            Purpose::Command { .. } => OUTPUT_MAX,
        }
    }

    /// Reads what the pipe has; what is over the limit is read and forgotten, so that the process does not hang.
    pub fn read(&mut self) {
        let mut buffer = [0; 4096];
        loop {
            match sys::read_now(self.output.as_raw_fd(), &mut buffer) {
                Ok(Some(0)) | Err(_) => {
                    self.output_closed = true;
                    return;
                }
                Ok(None) => return,
                Ok(Some(read)) => {
                    let room = self.capacity() - self.captured.len();
                    self.captured.extend_from_slice(&buffer[..read.min(room)]);
                    self.truncated |= read > room;
                }
            }
        }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.captured).into_owned()
    }
}

//! The log store seen from outside.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod crash;
mod damage;
mod model;
mod pages;

use longshore_telemetry::logs::{
    Event, FilterRequest, GetRequest, LogError, LogStore, Options, Start, StoredEvent, Streams,
};
use std::path::Path;
use std::time::Duration;

/// Sizes so small that a test meets sorting, many files and many blocks.
pub const TINY: Options = Options { segment_bytes: 2_000, block_bytes: 200 };

pub fn open(dir: &Path) -> LogStore {
    open_with(dir, TINY)
}

/// Opens, waiting a little for the lock: a test beside this one that starts a process holds all locks in the moment
/// between fork and exec.
pub fn open_with(dir: &Path, options: Options) -> LogStore {
    for _ in 0..200 {
        match LogStore::open_with(dir, options) {
            Err(LogError::InUse { .. }) => std::thread::sleep(Duration::from_millis(5)),
            other => return other.unwrap(),
        }
    }
    panic!("{} stays locked", dir.display());
}

pub fn event(timestamp_ms: i64, message: &str) -> Event {
    Event { timestamp_ms, message: message.to_owned() }
}

pub fn get<'a>(group: &'a str, stream: &'a str, start: Start) -> GetRequest<'a> {
    GetRequest { group, stream, from_ms: None, to_ms: None, start, limit: 1_000_000, bytes_max: usize::MAX }
}

pub fn filter(group: &str) -> FilterRequest<'_> {
    FilterRequest {
        group,
        streams: Streams::All,
        from_ms: None,
        to_ms: None,
        pattern: None,
        start: None,
        newest_first: false,
        limit: 1_000_000,
        bytes_max: usize::MAX,
        scan_bytes_max: u64::MAX,
    }
}

pub fn messages(events: &[StoredEvent]) -> Vec<&str> {
    events.iter().map(|event| event.message.as_str()).collect()
}

/// xorshift64*; the same seed gives the same run.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % bound
    }
}

//! What happened, in lines that a person can read, and their hash, which two runs of a seed have in common.

use longshore_types::Timestamp;
use std::collections::BTreeMap;

pub struct Trace {
    hash: u64,
    events: u64,
    /// `None`: only the hash is wanted.
    lines: Option<Vec<String>>,
}

impl Trace {
    pub fn new(keep: bool) -> Self {
        Self { hash: 0xcbf2_9ce4_8422_2325, events: 0, lines: keep.then(Vec::new) }
    }

    /// `since` is the virtual time since the run began.
    pub fn note(&mut self, since_ms: i64, actor: &str, text: &str) {
        self.events += 1;
        for byte in since_ms.to_be_bytes().iter().chain(actor.as_bytes()).chain(text.as_bytes()) {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>5}.{:03}  {actor:<9} {text}", since_ms / 1000, since_ms % 1000));
        }
    }

    pub fn hash(&self) -> u64 {
        self.hash
    }

    pub fn events(&self) -> u64 {
        self.events
    }

    pub fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}

/// Short names for long identifiers, in the order in which they are first met: `task-3`.
#[derive(Default)]
pub struct Names {
    known: BTreeMap<String, String>,
    counts: BTreeMap<&'static str, u32>,
}

impl Names {
    pub fn of(&mut self, kind: &'static str, id: &str) -> String {
        if let Some(name) = self.known.get(id) {
            return name.clone();
        }
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        let name = format!("{kind}-{count}");
        self.known.insert(id.to_owned(), name.clone());
        name
    }
}

/// A time of the simulated clocks begins here.
pub const EPOCH: Timestamp = Timestamp(1_800_000_000_000);

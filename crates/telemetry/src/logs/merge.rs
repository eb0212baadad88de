//! Events of many blocks in order of time.
//!
//! Blocks overlap in time, within a stream (late events) and between streams. A block is read when its first event's turn
//! may have come, and let go with its last one, so that a query holds as many blocks as really overlap.

use super::codec::BlockEvent;
use super::error::LogError;
use super::event::EventKey;
use super::file::Reader;
use super::index::BlockRef;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A block, and which of the query's streams it belongs to.
pub(crate) struct Source {
    pub(crate) block: BlockRef,
    pub(crate) stream: usize,
    /// The block's events from before this time are gone.
    pub(crate) floor_ms: i64,
}

/// An event of a merge. It borrows the block it is in.
pub(crate) struct Merged<'a> {
    pub(crate) stream: usize,
    pub(crate) event: &'a BlockEvent,
    pub(crate) message: &'a [u8],
}

pub(crate) struct Merge {
    ascending: bool,
    /// Events from `low` to just before `high`.
    low: EventKey,
    high: EventKey,
    /// Blocks not read yet; the next one is last.
    waiting: Vec<Source>,
    open: Vec<Option<Open>>,
    free: Vec<usize>,
    /// The next event of each open block. Ranks are keys, inverted when descending.
    heads: BinaryHeap<Reverse<(EventKey, usize)>>,
    reader: Reader,
    /// Bytes of blocks read so far.
    pub(crate) scanned_bytes: u64,
}

struct Open {
    stream: usize,
    payload: Vec<u8>,
    events: Vec<BlockEvent>,
    /// Events still to come: taken from the front, or from the back when descending.
    from: usize,
    to: usize,
}

impl Merge {
    pub(crate) fn new(mut waiting: Vec<Source>, low: EventKey, high: EventKey, ascending: bool) -> Self {
        waiting.retain(|source| source.block.max_ms >= low.0 && source.block.min_ms <= high.0);
        waiting.sort_by_key(|source| Reverse(time_rank(&source.block, ascending)));
        Self {
            ascending,
            low,
            high,
            waiting,
            open: Vec::new(),
            free: Vec::new(),
            heads: BinaryHeap::new(),
            reader: Reader::default(),
            scanned_bytes: 0,
        }
    }

    /// The next event; `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<Merged<'_>>, LogError> {
        while let Some(source) = self.waiting.last()
            && self.heads.peek().is_none_or(|Reverse((rank, _))| time_rank(&source.block, self.ascending) <= rank.0)
        {
            let source = self.waiting.pop().expect("it was just looked at");
            self.open(source)?;
        }
        let Some(Reverse((_, slot))) = self.heads.pop() else { return Ok(None) };
        let open = self.open[slot].as_mut().expect("a head's block is open");
        let index = if self.ascending { open.from } else { open.to - 1 };
        if self.ascending {
            open.from += 1;
        } else {
            open.to -= 1;
        }
        if open.from < open.to {
            let next = if self.ascending { open.from } else { open.to - 1 };
            self.heads.push(Reverse((rank(open.events[next].key(), self.ascending), slot)));
        } else {
            // Its slot is used again at the earliest by the next call, when what this one returns is let go.
            self.free.push(slot);
        }
        let open = self.open[slot].as_ref().expect("a head's block is open");
        let event = &open.events[index];
        Ok(Some(Merged { stream: open.stream, event, message: &open.payload[event.message.clone()] }))
    }

    /// False when [`next`](Self::next) would return `None`.
    pub(crate) fn may_have_more(&self) -> bool {
        !self.heads.is_empty() || !self.waiting.is_empty()
    }

    fn open(&mut self, source: Source) -> Result<(), LogError> {
        for slot in &self.free {
            self.open[*slot] = None;
        }
        let BlockRef { file, offset, len, .. } = &source.block;
        let read = self.reader.block(file, *offset, *len)?;
        self.scanned_bytes += u64::from(*len);
        let events = read.block.events;
        let low = self.low.max((source.floor_ms, 0));
        let from = events.partition_point(|event| event.key() < low);
        let to = events.partition_point(|event| event.key() < self.high);
        if from >= to {
            return Ok(());
        }
        let first = if self.ascending { from } else { to - 1 };
        let head_rank = rank(events[first].key(), self.ascending);
        let open = Some(Open { stream: source.stream, payload: read.payload, events, from, to });
        let slot = match self.free.pop() {
            Some(slot) => {
                self.open[slot] = open;
                slot
            }
            None => {
                self.open.push(open);
                self.open.len() - 1
            }
        };
        self.heads.push(Reverse((head_rank, slot)));
        Ok(())
    }
}

/// What the smallest of is next. Inverting all bits inverts the order.
fn rank((timestamp_ms, sequence): EventKey, ascending: bool) -> EventKey {
    if ascending { (timestamp_ms, sequence) } else { (!timestamp_ms, !sequence) }
}

/// No event of the block has a smaller rank than this time.
fn time_rank(block: &BlockRef, ascending: bool) -> i64 {
    if ascending { block.min_ms } else { !block.max_ms }
}

//! Which blocks hold the events of a stream: all that is in memory.

use super::codec::{Block, FooterBlock, FooterStream};
use super::file::LogFile;
use super::floor::{Floor, Floors};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Where a run of events is.
#[derive(Debug, Clone)]
pub(crate) struct BlockRef {
    pub(crate) file: Arc<LogFile>,
    pub(crate) offset: u32,
    pub(crate) len: u32,
    pub(crate) count: u32,
    pub(crate) min_ms: i64,
    pub(crate) max_ms: i64,
    /// No event of the block has a greater number.
    pub(crate) sequence_max: u64,
}

impl BlockRef {
    pub(crate) fn of_block(file: &Arc<LogFile>, offset: u32, len: u32, block: &Block) -> Option<Self> {
        let times = || block.events.iter().map(|event| event.timestamp_ms);
        Some(Self {
            file: Arc::clone(file),
            offset,
            len,
            count: u32::try_from(block.events.len()).ok()?,
            min_ms: times().min()?,
            max_ms: times().max()?,
            sequence_max: block.events.iter().map(|event| event.sequence).max()?,
        })
    }

    /// All blocks of a stream in a sorted segment.
    pub(crate) fn of_stream(file: &Arc<LogFile>, stream: &FooterStream) -> Vec<Self> {
        let block = |block: &FooterBlock| {
            let FooterBlock { offset, len, count, min_ms, max_ms } = *block;
            Self { file: Arc::clone(file), offset, len, count, min_ms, max_ms, sequence_max: stream.sequence_max }
        };
        stream.blocks.iter().map(block).collect()
    }
}

/// What is known of a stream without reading its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamStats {
    /// Time of the earliest event, milliseconds since 1970; `None` without events.
    pub first_event_ms: Option<i64>,
    pub last_event_ms: Option<i64>,
    /// When the latest append was.
    pub last_ingestion_ms: Option<i64>,
    pub events: u64,
    /// Bytes on disk.
    pub stored_bytes: u64,
}

#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) id: u64,
    pub(crate) blocks: Vec<BlockRef>,
    pub(crate) stats: StreamStats,
}

impl Stream {
    fn new(id: u64) -> Self {
        Self { id, blocks: Vec::new(), stats: StreamStats::default() }
    }

    /// Adds a block, unless floors hide all of it. One that is partly pruned counts in full, but for its first time.
    fn add(&mut self, block: BlockRef, floors: &Floors) {
        let floor_ms = floors.before_ms(block.sequence_max);
        if block.max_ms < floor_ms {
            return;
        }
        block.file.add_live(block.len);
        let stats = &mut self.stats;
        let first_ms = block.min_ms.max(floor_ms);
        stats.first_event_ms = Some(stats.first_event_ms.map_or(first_ms, |first| first.min(first_ms)));
        stats.last_event_ms = stats.last_event_ms.max(Some(block.max_ms));
        stats.events += u64::from(block.count);
        stats.stored_bytes += u64::from(block.len);
        self.blocks.push(block);
    }

    /// Keeps the blocks that `keep` says, and adds `more`, both as far as floors let them.
    fn replace(&mut self, keep: impl Fn(&BlockRef) -> bool, more: Vec<BlockRef>, floors: &Floors) {
        let last_ingestion_ms = self.stats.last_ingestion_ms;
        self.stats = StreamStats { last_ingestion_ms, ..StreamStats::default() };
        for block in std::mem::take(&mut self.blocks) {
            block.file.remove_live(block.len);
            if keep(&block) {
                self.add(block, floors);
            }
        }
        more.into_iter().for_each(|block| self.add(block, floors));
    }
}

#[derive(Debug, Default)]
pub(crate) struct Group {
    pub(crate) streams: BTreeMap<Arc<str>, Stream>,
    /// Number of the latest event, for watchers.
    pub(crate) last_sequence: u64,
}

/// All groups and streams that have, or had, events.
#[derive(Default)]
pub(crate) struct Index {
    pub(crate) groups: HashMap<Arc<str>, Group>,
    names: HashMap<u64, (Arc<str>, Arc<str>)>,
    /// What was pruned of groups. It stays so until the group is deleted, whatever streams it has.
    pub(crate) floors: BTreeMap<String, Floors>,
    /// Deleted streams whose events may still be in files, with the number of the log file that says so.
    pub(crate) deleted: BTreeMap<u64, u64>,
    /// Sorted segments, with the ids of the streams in each.
    pub(crate) segments: Vec<(Arc<LogFile>, Vec<u64>)>,
}

impl Index {
    pub(crate) fn stream_id(&self, group: &str, stream: &str) -> Option<u64> {
        Some(self.groups.get(group)?.streams.get(stream)?.id)
    }

    pub(crate) fn floors(&self, group: &str) -> &Floors {
        self.floors.get(group).unwrap_or(Floors::NONE)
    }

    pub(crate) fn name(&self, id: u64) -> Option<&(Arc<str>, Arc<str>)> {
        self.names.get(&id)
    }

    /// Makes a stream known; one that was deleted stays so.
    pub(crate) fn define(&mut self, id: u64, group: &str, stream: &str) {
        if self.deleted.contains_key(&id) || self.names.contains_key(&id) {
            return;
        }
        let group = match self.groups.get_key_value(group) {
            Some((group, _)) => Arc::clone(group),
            None => Arc::from(group),
        };
        let stream: Arc<str> = Arc::from(stream);
        self.names.insert(id, (Arc::clone(&group), Arc::clone(&stream)));
        self.groups.entry(group).or_default().streams.insert(stream, Stream::new(id));
    }

    /// Adds a block of a stream that is known. Returns false, and does nothing, for one that is not.
    pub(crate) fn add(&mut self, id: u64, block: BlockRef, last_ingestion_ms: i64) -> bool {
        let Some((group, stream)) = self.names.get(&id) else { return false };
        let floors = self.floors.get(&**group).unwrap_or(Floors::NONE);
        let group = self.groups.get_mut(group).expect("a named stream's group exists");
        let stream = group.streams.get_mut(stream).expect("a named stream exists");
        group.last_sequence = group.last_sequence.max(block.sequence_max);
        stream.stats.last_ingestion_ms = stream.stats.last_ingestion_ms.max(Some(last_ingestion_ms));
        stream.add(block, floors);
        true
    }

    /// Replaces a stream's blocks in `old` by `new`, unless the stream is gone by now.
    pub(crate) fn swap(&mut self, id: u64, old: &Arc<LogFile>, new: Vec<BlockRef>) {
        let Some((group, stream)) = self.names.get(&id) else { return };
        let floors = self.floors.get(&**group).unwrap_or(Floors::NONE);
        let group = self.groups.get_mut(group).expect("a named stream's group exists");
        let stream = group.streams.get_mut(stream).expect("a named stream exists");
        stream.replace(|block| !Arc::ptr_eq(&block.file, old), new, floors);
    }

    /// Forgets streams, as the log file `wal` says. With `whole_group` these are all of its streams.
    pub(crate) fn delete(&mut self, whole_group: Option<&str>, ids: &[u64], wal: u64) {
        if let Some(group) = whole_group {
            self.floors.remove(group);
        }
        for id in ids {
            self.deleted.insert(*id, wal);
            let Some((group_name, stream_name)) = self.names.remove(id) else { continue };
            let group = self.groups.get_mut(&group_name).expect("a named stream's group exists");
            if let Some(mut stream) = group.streams.remove(&stream_name) {
                stream.replace(|_| false, Vec::new(), Floors::NONE);
            }
            if group.streams.is_empty() {
                self.groups.remove(&group_name);
            }
        }
    }

    /// Forgets a group's events before a time, of those that are stored.
    pub(crate) fn raise_floor(&mut self, group: &str, floor: Floor) {
        let floors = self.floors.entry(group.to_owned()).or_default();
        floors.add(floor);
        let Some(group) = self.groups.get_mut(group) else { return };
        for stream in group.streams.values_mut() {
            if stream.stats.first_event_ms.is_some_and(|first| first < floor.before_ms) {
                stream.replace(|_| true, Vec::new(), floors);
            }
        }
    }
}

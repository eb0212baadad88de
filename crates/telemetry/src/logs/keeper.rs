//! The keeper: one thread that sorts full log files into segments and gives space back.
//!
//! Nothing here is needed for durability or for reading. A crash at any point leaves either the old file or both, and
//! opening decides by name: a segment stands for the log file of its number, a later generation for an earlier one.
//! What the old file also said (deletions, floors) is in `state.json` before the new one gets its name.

use super::codec::{self, BlockEvent, FooterBlock, FooterStream, Record};
use super::error::LogError;
use super::file::{self, FileName, Frames, LogFile, MAGIC_LEN, SEGMENT_MAGIC};
use super::floor::Floors;
use super::index::BlockRef;
use super::state::State;
use super::store::Shared;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak, mpsc};
use std::time::Duration;

/// How long to wait after a failure, usually a full disk.
const RETRY_AFTER: Duration = Duration::from_secs(10);

pub(crate) enum Job {
    Sort(Unsorted),
    /// Something was deleted.
    Collect,
}

/// A log file that is not written to any more.
pub(crate) struct Unsorted {
    pub(crate) log_file: Arc<LogFile>,
    /// Bytes of it that count.
    pub(crate) len: u64,
}

pub(crate) struct Keeper {
    shared: Arc<Shared>,
    /// In order of their numbers.
    unsorted: VecDeque<Unsorted>,
    must_collect: bool,
    /// Files on their way out, and the streams in them. A crash now would bring them back, so deletions of their streams
    /// are remembered as long as they exist.
    leaving: Vec<(Weak<LogFile>, Vec<u64>)>,
}

impl Keeper {
    pub(crate) fn new(shared: Arc<Shared>, unsorted: VecDeque<Unsorted>) -> Self {
        Self { shared, unsorted, must_collect: true, leaving: Vec::new() }
    }

    /// Works until no more jobs can come.
    pub(crate) fn run(mut self, jobs: &mpsc::Receiver<Job>) {
        loop {
            let worked = self.work();
            let job = match worked {
                Ok(()) => jobs.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected),
                Err(error) => {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(%error, cause, "cannot tidy log files; they stay as they are for now");
                    jobs.recv_timeout(RETRY_AFTER)
                }
            };
            match job {
                Ok(Job::Sort(unsorted)) => self.unsorted.push_back(unsorted),
                Ok(Job::Collect) => self.must_collect = true,
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                // What is left is done after the next start.
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// On a full disk nothing can be sorted, but what is deleted can be removed, and makes room.
    fn work(&mut self) -> Result<(), LogError> {
        let sorted = self.sort_all();
        if self.must_collect {
            self.collect()?;
            self.must_collect = false;
        }
        sorted
    }

    fn sort_all(&mut self) -> Result<(), LogError> {
        while let Some(unsorted) = self.unsorted.front() {
            let log_file = Arc::clone(&unsorted.log_file);
            let len = unsorted.len;
            self.sort(&log_file, len)?;
            self.unsorted.pop_front();
            self.must_collect = true;
        }
        Ok(())
    }

    /// Turns a log file into a segment.
    fn sort(&mut self, log_file: &Arc<LogFile>, len: u64) -> Result<(), LogError> {
        let mut bytes = fs::read(&log_file.path).map_err(LogError::io("read", &log_file.path))?;
        bytes.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        let mut streams: BTreeMap<u64, Vec<(&[u8], BlockEvent)>> = BTreeMap::new();
        for (_, _, payload) in Frames::new(&bytes) {
            if let Ok(Record::Events(block)) = codec::read_record(payload) {
                let events = block.events.into_iter().map(|event| (&payload[event.message.clone()], event));
                streams.entry(block.stream).or_default().extend(events);
            }
        }
        let number = log_file.name.number();
        let segment = LogFile::new(&self.shared.dir, FileName::Segment { number, generation: 0 });
        let all_ids = streams.keys().copied().collect();
        let mut out = SegmentWriter::new();
        for (id, mut events) in streams {
            let Some((group, name, floors)) = self.alive(id) else { continue };
            events.retain(|(_, event)| !floors.hide(event.key()));
            events.sort_unstable_by_key(|(_, event)| event.key());
            out.stream(id, &group, &name, &events, self.shared.options.block_bytes as usize);
        }
        self.save_state(Some(number))?;
        let footer = out.finish(&segment)?;
        let mut index = self.shared.write();
        let mut ids = Vec::new();
        if let Some(footer) = footer {
            for stream in footer {
                ids.push(stream.id);
                index.swap(stream.id, log_file, BlockRef::of_stream(&segment, &stream));
            }
            index.segments.push((segment, ids));
        }
        drop(index);
        self.dismiss(log_file, all_ids);
        Ok(())
    }

    fn dismiss(&mut self, file: &Arc<LogFile>, ids: Vec<u64>) {
        self.leaving.push((Arc::downgrade(file), ids));
        file.doom();
    }

    /// Group, name and floors of a stream that is not deleted.
    fn alive(&self, id: u64) -> Option<(Arc<str>, Arc<str>, Floors)> {
        let index = self.shared.read();
        let (group, name) = index.name(id)?;
        Some((Arc::clone(group), Arc::clone(name), index.floors(group).clone()))
    }

    /// Saves the state. With `sorted`, the number of a log file that is now sorted without its deleted streams, deletions
    /// that no file needs any more are forgotten.
    fn save_state(&mut self, sorted: Option<u64>) -> Result<(), LogError> {
        self.leaving.retain(|(file, _)| file.strong_count() > 0);
        let mut index = self.shared.write();
        if let Some(sorted) = sorted {
            let leaving = self.leaving.iter().flat_map(|(_, ids)| ids);
            let stored: HashSet<u64> = index.segments.iter().flat_map(|(_, ids)| ids).chain(leaving).copied().collect();
            index.deleted.retain(|id, wal| *wal >= sorted || stored.contains(id));
        }
        // Read after the index is locked: all it holds has smaller numbers.
        let next_stream = self.shared.next_stream.load(Ordering::Relaxed);
        let next_sequence = self.shared.next_sequence.load(Ordering::Relaxed);
        let state = State::of(&index, next_stream, next_sequence);
        drop(index);
        state.save(&self.shared.dir)
    }

    /// Removes segments without live blocks, and rewrites those that are mostly dead.
    fn collect(&mut self) -> Result<(), LogError> {
        let segments = self.shared.read().segments.clone();
        let mut mostly_dead = Vec::new();
        let mut dead = Vec::new();
        for (segment, ids) in segments {
            let len = fs::metadata(&segment.path).map_err(LogError::io("look at", &segment.path))?.len();
            match segment.live_bytes() {
                0 => dead.push((segment, ids)),
                live if live < len / 2 => mostly_dead.push((segment, ids)),
                _ => {}
            }
        }
        if dead.is_empty() && mostly_dead.is_empty() {
            return Ok(());
        }
        // What the files are without was deleted by records of log files that may be sorted and gone by the next start.
        self.save_state(None)?;
        self.shared.write().segments.retain(|(file, _)| !dead.iter().any(|(dead, _)| Arc::ptr_eq(dead, file)));
        for (segment, ids) in dead {
            self.dismiss(&segment, ids);
        }
        mostly_dead.into_iter().try_for_each(|(segment, ids)| self.rewrite(&segment, ids))
    }

    fn rewrite(&mut self, old: &Arc<LogFile>, old_ids: Vec<u64>) -> Result<(), LogError> {
        let FileName::Segment { number, generation } = old.name else { return Ok(()) };
        let bytes = fs::read(&old.path).map_err(LogError::io("read", &old.path))?;
        let footer = read_footer(&old.path)?;
        let new = LogFile::new(&self.shared.dir, FileName::Segment { number, generation: generation + 1 });
        let mut out = SegmentWriter::new();
        for mut stream in footer {
            let Some((_, _, floors)) = self.alive(stream.id) else { continue };
            let floor_ms = floors.before_ms(stream.sequence_max);
            stream.blocks.retain(|block| block.max_ms >= floor_ms);
            out.copy(stream, &bytes);
        }
        let footer = out.finish(&new)?;
        let mut index = self.shared.write();
        index.segments.retain(|(file, _)| !Arc::ptr_eq(file, old));
        if let Some(footer) = footer {
            let ids = footer.iter().map(|stream| stream.id).collect();
            for stream in footer {
                index.swap(stream.id, old, BlockRef::of_stream(&new, &stream));
            }
            index.segments.push((new, ids));
        }
        drop(index);
        self.dismiss(old, old_ids);
        Ok(())
    }
}

/// A segment being made: blocks, then a footer, then the footer's offset.
struct SegmentWriter {
    bytes: Vec<u8>,
    footer: Vec<FooterStream>,
}

impl SegmentWriter {
    fn new() -> Self {
        Self { bytes: SEGMENT_MAGIC.to_vec(), footer: Vec::new() }
    }

    /// Adds a stream's sorted events.
    fn stream(&mut self, id: u64, group: &str, name: &str, events: &[(&[u8], BlockEvent)], block_bytes: usize) {
        let mut blocks = Vec::new();
        let mut rest = events;
        while !rest.is_empty() {
            let mut bytes = 0;
            let count = rest.iter().take_while(|(message, _)| {
                let had_room = bytes < block_bytes;
                bytes += message.len();
                had_room
            });
            let (chunk, more) = rest.split_at(count.count());
            rest = more;
            let offset = self.bytes.len();
            let fields =
                chunk.iter().map(|(message, event)| (event.timestamp_ms, event.sequence, event.ingestion_ms, *message));
            let len = codec::write_events(&mut self.bytes, id, chunk.len(), fields);
            blocks.push(FooterBlock {
                offset: u32::try_from(offset).expect("a segment is no longer than its log file, far below 4 GiB"),
                len: u32::try_from(len).expect("a block is shorter than its segment"),
                count: u32::try_from(chunk.len()).expect("a block has fewer events than bytes"),
                min_ms: chunk[0].1.timestamp_ms,
                max_ms: chunk[chunk.len() - 1].1.timestamp_ms,
            });
        }
        let (Some(last_ingestion_ms), Some(sequence_max)) = (
            events.iter().map(|(_, event)| event.ingestion_ms).max(),
            events.iter().map(|(_, event)| event.sequence).max(),
        ) else {
            return;
        };
        let (group, name) = (group.to_owned(), name.to_owned());
        self.footer.push(FooterStream { id, group, name, last_ingestion_ms, sequence_max, blocks });
    }

    /// Adds a stream's blocks as they are in another segment.
    fn copy(&mut self, mut stream: FooterStream, from: &[u8]) {
        for block in &mut stream.blocks {
            let start = block.offset as usize;
            block.offset = u32::try_from(self.bytes.len()).expect("a rewritten segment is shorter");
            self.bytes.extend_from_slice(&from[start..start + block.len as usize]);
        }
        if !stream.blocks.is_empty() {
            self.footer.push(stream);
        }
    }

    /// Writes the file, durable under its name, and returns what is in it. Without events there is no file.
    fn finish(mut self, segment: &LogFile) -> Result<Option<Vec<FooterStream>>, LogError> {
        if self.footer.is_empty() {
            return Ok(None);
        }
        let footer_at = self.bytes.len() as u64;
        codec::write_footer(&mut self.bytes, &self.footer);
        self.bytes.extend_from_slice(&footer_at.to_le_bytes());
        file::write_whole(&segment.path, &self.bytes)?;
        Ok(Some(self.footer))
    }
}

/// What is in a segment, checked to lie within it. Reads the file's two ends only.
pub(crate) fn read_footer(path: &Path) -> Result<Vec<FooterStream>, LogError> {
    let io = || LogError::io("read", path);
    let corrupt = |reason: &str| LogError::corrupt(path, reason);
    let file = File::open(path).map_err(io())?;
    let len = file.metadata().map_err(io())?.len();
    let trailer_at =
        len.checked_sub(8).filter(|at| *at >= MAGIC_LEN as u64).ok_or_else(|| corrupt("it is too short"))?;
    let (mut magic, mut trailer) = ([0; MAGIC_LEN], [0; 8]);
    file.read_exact_at(&mut magic, 0).and_then(|()| file.read_exact_at(&mut trailer, trailer_at)).map_err(io())?;
    if magic != *SEGMENT_MAGIC {
        return Err(corrupt("it does not start like a segment"));
    }
    let footer_at = u64::from_le_bytes(trailer);
    let frame_len = trailer_at.checked_sub(footer_at).and_then(|len| usize::try_from(len).ok());
    let mut frame = vec![0; frame_len.ok_or_else(|| corrupt("its footer's place is wrong"))?];
    file.read_exact_at(&mut frame, footer_at).map_err(io())?;
    let record = codec::payload(&frame).and_then(codec::read_record);
    let Record::Footer(streams) = record.map_err(|error| corrupt(&format!("its footer: {error}")))? else {
        return Err(corrupt("its footer is another record"));
    };
    let is_inside = |block: &FooterBlock| {
        block.offset as usize >= MAGIC_LEN && u64::from(block.offset) + u64::from(block.len) <= footer_at
    };
    if streams.iter().flat_map(|stream| &stream.blocks).all(is_inside) {
        Ok(streams)
    } else {
        Err(corrupt("its footer names blocks outside of it"))
    }
}

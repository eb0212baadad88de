//! Opening: from the files of a directory to the index.

use super::codec::{self, Record};
use super::error::LogError;
use super::file::{FileName, Frames, LogFile, WAL_MAGIC};
use super::floor::Floor;
use super::index::{BlockRef, Index};
use super::keeper::{Unsorted, read_footer};
use super::state::State;
use super::writer::Wal;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fs::{self, OpenOptions};
use std::path::Path;
use std::sync::Arc;

pub(crate) struct Recovered {
    pub(crate) index: Index,
    pub(crate) next_stream: u64,
    pub(crate) next_sequence: u64,
    pub(crate) next_file: u64,
    /// The log file to go on with.
    pub(crate) wal: Wal,
    /// Log files that were full.
    pub(crate) unsorted: VecDeque<Unsorted>,
}

pub(crate) fn recover(dir: &Path) -> Result<Recovered, LogError> {
    let state = State::load(dir)?;
    let (segments, wals) = tidy(dir)?;
    let mut index = Index::default();
    index.deleted = state.deleted;
    index.floors = state.floors;
    let mut recovery = Recovery { index, next_stream: state.next_stream, stored_sequence: 0 };
    // Deletions name the log file they are in; numbers of files are not used again while one is remembered.
    let numbers = segments.iter().chain(&wals).map(|name| name.number());
    let last_file = numbers.chain(recovery.index.deleted.values().copied()).max().unwrap_or(0);
    for name in segments {
        recovery.segment(&LogFile::new(dir, name))?;
    }
    let mut unsorted = VecDeque::new();
    let mut current = None;
    for (index, name) in wals.iter().enumerate() {
        let log_file = LogFile::new(dir, *name);
        let (good_len, defined) = recovery.wal(&log_file)?;
        if index + 1 < wals.len() {
            unsorted.push_back(Unsorted { log_file, len: good_len });
        } else {
            current = Some(reopen(log_file, good_len, defined)?);
        }
    }
    let (wal, next_file) = match current {
        Some(wal) => (wal, last_file + 1),
        None => (Wal::create(dir, last_file + 1)?, last_file + 2),
    };
    let Recovery { index, next_stream, stored_sequence } = recovery;
    let next_sequence = state.next_sequence.max(stored_sequence + 1);
    Ok(Recovered { index, next_stream, next_sequence, next_file, wal, unsorted })
}

/// Removes what a crash left over. Returns segments and log files, each in order.
fn tidy(dir: &Path) -> Result<(Vec<FileName>, Vec<FileName>), LogError> {
    let read = || LogError::io("read", dir);
    let mut segments: BTreeMap<u64, u32> = BTreeMap::new();
    let (mut names, mut leftovers) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(dir).map_err(read())? {
        let path = entry.map_err(read())?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        match FileName::parse(name) {
            Some(name) => names.push(name),
            None if name.ends_with(".tmp") => leftovers.push(path),
            None => {}
        }
    }
    for name in &names {
        if let FileName::Segment { number, generation } = *name {
            let latest = segments.entry(number).or_default();
            *latest = generation.max(*latest);
        }
    }
    names.sort_unstable();
    let (mut kept_segments, mut wals) = (Vec::new(), Vec::new());
    for name in names {
        match name {
            FileName::Segment { number, generation } if segments[&number] == generation => kept_segments.push(name),
            FileName::Wal { number } if !segments.contains_key(&number) => wals.push(name),
            _ => leftovers.push(name.path(dir)),
        }
    }
    for path in leftovers {
        fs::remove_file(&path).map_err(LogError::io("remove", &path))?;
    }
    Ok((kept_segments, wals))
}

fn reopen(log_file: Arc<LogFile>, good_len: u64, defined: HashSet<u64>) -> Result<Wal, LogError> {
    let path = &log_file.path;
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(LogError::io("open", path))?;
    let len = file.metadata().map_err(LogError::io("look at", path))?.len();
    if len != good_len {
        tracing::info!(path = %path.display(), bytes = len.saturating_sub(good_len), "cut off a write that a crash left half done");
        file.set_len(good_len).and_then(|()| file.sync_all()).map_err(LogError::io("truncate", path))?;
    }
    Ok(Wal { log_file, file, len: good_len, defined })
}

struct Recovery {
    index: Index,
    next_stream: u64,
    /// The greatest number of an event in the files so far.
    stored_sequence: u64,
}

impl Recovery {
    fn segment(&mut self, segment: &Arc<LogFile>) -> Result<(), LogError> {
        let footer = match read_footer(&segment.path) {
            Ok(footer) => footer,
            // One bad file does not hide the others. It stays for whoever wants to look.
            Err(error @ LogError::Corrupt { .. }) => {
                tracing::error!(%error, "the events of a log segment are missing");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let ids = footer.iter().map(|stream| stream.id).collect();
        for stream in footer {
            self.define(stream.id, &stream.group, &stream.name);
            self.stored_sequence = self.stored_sequence.max(stream.sequence_max);
            for block in BlockRef::of_stream(segment, &stream) {
                self.index.add(stream.id, block, stream.last_ingestion_ms);
            }
        }
        self.index.segments.push((Arc::clone(segment), ids));
        Ok(())
    }

    /// Reads a log file. Returns how much of it is good and the streams it names.
    fn wal(&mut self, log_file: &Arc<LogFile>) -> Result<(u64, HashSet<u64>), LogError> {
        let path = &log_file.path;
        let bytes = fs::read(path).map_err(LogError::io("read", path))?;
        let mut defined = HashSet::new();
        if bytes.len() < WAL_MAGIC.len() {
            // Created, but the first write did not get through.
            fs::write(path, WAL_MAGIC).map_err(LogError::io("write", path))?;
            return Ok((WAL_MAGIC.len() as u64, defined));
        }
        if !bytes.starts_with(WAL_MAGIC) {
            return Err(LogError::corrupt(path, "it does not start like a log file"));
        }
        let mut frames = Frames::new(&bytes);
        for (offset, len, payload) in frames.by_ref() {
            let record = codec::read_record(payload);
            match record.map_err(|error| LogError::corrupt(path, format!("at byte {offset}: {error}")))? {
                Record::Stream { id, group, name } => {
                    self.define(id, &group, &name);
                    defined.insert(id);
                }
                Record::Events(block) => {
                    let ingestion_ms = block.events.iter().map(|event| event.ingestion_ms).max();
                    let block_ref = BlockRef::of_block(log_file, offset, len, &block);
                    let (Some(ingestion_ms), Some(block_ref)) = (ingestion_ms, block_ref) else { continue };
                    self.stored_sequence = self.stored_sequence.max(block_ref.sequence_max);
                    self.index.add(block.stream, block_ref, ingestion_ms);
                }
                Record::Delete { group, ids } => self.index.delete(group.as_deref(), &ids, log_file.name.number()),
                Record::Floor { group, before_ms } => {
                    let below_sequence = self.stored_sequence + 1;
                    self.index.raise_floor(&group, Floor { before_ms, below_sequence });
                }
                Record::Footer(_) => {
                    return Err(LogError::corrupt(path, format!("at byte {offset}: a misplaced footer")));
                }
            }
        }
        if frames.damaged > 0 {
            tracing::error!(path = %path.display(), records = frames.damaged, "a log file is damaged; some events are missing");
        }
        Ok((frames.good_len() as u64, defined))
    }

    fn define(&mut self, id: u64, group: &str, name: &str) {
        self.next_stream = self.next_stream.max(id + 1);
        self.index.define(id, group, name);
    }
}

//! The writer: one thread that makes batches of appends durable with one fsync each.
//!
//! Readers see events after the fsync, never before. Deletions are records of the same file, so that a restart sees
//! appends and deletions in the order they were acknowledged.

use super::codec;
use super::error::LogError;
use super::event::Event;
use super::file::{self, FileName, LogFile, WAL_MAGIC};
use super::floor::Floor;
use super::index::BlockRef;
use super::keeper;
use super::store::Shared;
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use tokio::sync::{oneshot, watch};

/// Bytes of messages gathered into one batch at most: bounds memory, and the time to the first answer.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// Requests gathered into one batch at most.
const BATCH_REQUESTS_MAX: usize = 4096;
/// A larger append is several blocks.
const BLOCK_BYTES_MAX: usize = 1 << 20;

pub(crate) struct Request {
    pub(crate) change: Change,
    pub(crate) reply: oneshot::Sender<Result<(), LogError>>,
}

pub(crate) enum Change {
    Append(Append),
    /// A stream, or without one all of the group.
    Delete {
        group: String,
        stream: Option<String>,
    },
    Floor {
        group: String,
        before_ms: i64,
    },
}

pub(crate) struct Append {
    pub(crate) group: String,
    pub(crate) stream: String,
    pub(crate) events: Vec<Event>,
    pub(crate) ingestion_ms: i64,
}

/// The log file under way.
pub(crate) struct Wal {
    pub(crate) log_file: Arc<LogFile>,
    pub(crate) file: File,
    pub(crate) len: u64,
    /// Streams whose name this file holds. Each file names its streams itself, because older ones may be pruned.
    pub(crate) defined: HashSet<u64>,
}

impl Wal {
    pub(crate) fn create(dir: &std::path::Path, number: u64) -> Result<Self, LogError> {
        let log_file = LogFile::new(dir, FileName::Wal { number });
        let file = file::create(&log_file.path)?;
        let written = file.write_all_at(WAL_MAGIC, 0).and_then(|()| file.sync_all());
        written.map_err(LogError::io("write", &log_file.path))?;
        file::sync_dir(dir)?;
        Ok(Self { log_file, file, len: WAL_MAGIC.len() as u64, defined: HashSet::new() })
    }
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    wal: Wal,
    /// Number of the next log file.
    next_file: u64,
    /// The file could not be written: nothing is known of what is behind `wal.len`, so nothing is added to it.
    is_broken: bool,
    sequences: watch::Sender<u64>,
    keeper: mpsc::Sender<keeper::Job>,
}

/// A block being written.
struct NewBlock {
    stream: u64,
    block: BlockRef,
    ingestion_ms: i64,
}

impl Writer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        wal: Wal,
        next_file: u64,
        sequences: watch::Sender<u64>,
        keeper: mpsc::Sender<keeper::Job>,
    ) -> Self {
        Self { shared, wal, next_file, is_broken: false, sequences, keeper }
    }

    /// Works until no one can send requests any more.
    pub(crate) fn run(mut self, requests: &mpsc::Receiver<Request>) {
        while let Ok(first) = requests.recv() {
            let mut next = Some(first);
            let (mut appends, mut replies, mut bytes) = (Vec::new(), Vec::new(), 0);
            while let Some(Request { change, reply }) = next.take() {
                match change {
                    Change::Append(append) => {
                        bytes += append.events.iter().map(|event| event.message.len()).sum::<usize>();
                        appends.push(append);
                        replies.push(reply);
                    }
                    other => {
                        // In the order of arrival: appends before this are deleted by it, appends after it are not.
                        self.append(std::mem::take(&mut appends), std::mem::take(&mut replies));
                        let outcome = self.delete(&other);
                        // A caller that went away does not need its answer.
                        let _ = reply.send(outcome);
                    }
                }
                if bytes < BATCH_BYTES_MAX && replies.len() < BATCH_REQUESTS_MAX {
                    next = requests.try_recv().ok();
                }
            }
            self.append(appends, replies);
        }
    }

    fn append(&mut self, appends: Vec<Append>, replies: Vec<oneshot::Sender<Result<(), LogError>>>) {
        if replies.is_empty() {
            return;
        }
        let outcome = self.make_room().and_then(|()| self.write_appends(&appends));
        if let Err(error) = &outcome {
            let cause = std::error::Error::source(error).map(ToString::to_string);
            tracing::error!(%error, cause, appends = appends.len(), "log events are refused");
        }
        for reply in replies {
            let _ = reply.send(outcome.clone());
        }
    }

    fn write_appends(&mut self, appends: &[Append]) -> Result<(), LogError> {
        let mut out = Vec::new();
        let mut defined: HashMap<(&str, &str), u64> = HashMap::new();
        let mut blocks = Vec::new();
        let mut next_sequence = self.shared.next_sequence.load(Ordering::Relaxed);
        let index = self.shared.read();
        for append in appends.iter().filter(|append| !append.events.is_empty()) {
            let name = (append.group.as_str(), append.stream.as_str());
            let stream = match index.stream_id(name.0, name.1).or_else(|| defined.get(&name).copied()) {
                Some(stream) => stream,
                None => self.shared.next_stream.fetch_add(1, Ordering::Relaxed),
            };
            if !self.wal.defined.contains(&stream) && defined.insert(name, stream).is_none() {
                codec::write_stream(&mut out, stream, name.0, name.1);
            }
            for events in chunks(&append.events) {
                let offset = self.wal.len + out.len() as u64;
                let len = codec::write_appended(&mut out, stream, events, next_sequence, append.ingestion_ms);
                next_sequence += events.len() as u64;
                let times = || events.iter().map(|event| event.timestamp_ms);
                let block = BlockRef {
                    file: Arc::clone(&self.wal.log_file),
                    offset: u32::try_from(offset).expect("a log file is closed long before 4 GiB"),
                    len: u32::try_from(len).expect("a block is at most a message longer than 1 MiB"),
                    count: u32::try_from(events.len()).expect("a block is at most 1 MiB of events"),
                    min_ms: times().min().expect("a chunk has events"),
                    max_ms: times().max().expect("a chunk has events"),
                    sequence_max: next_sequence - 1,
                };
                blocks.push(NewBlock { stream, block, ingestion_ms: append.ingestion_ms });
            }
        }
        drop(index);
        // Numbers of a failed batch are not used again: some of its events may be on disk.
        self.shared.next_sequence.store(next_sequence, Ordering::Relaxed);
        if blocks.is_empty() {
            return Ok(());
        }
        self.write(&out)?;
        self.wal.defined.extend(defined.values());
        let mut index = self.shared.write();
        for ((group, stream), id) in defined {
            index.define(id, group, stream);
        }
        for new in blocks {
            index.add(new.stream, new.block, new.ingestion_ms);
        }
        drop(index);
        self.sequences.send_replace(next_sequence);
        Ok(())
    }

    fn delete(&mut self, change: &Change) -> Result<(), LogError> {
        self.make_room()?;
        let mut out = Vec::new();
        match change {
            Change::Append(_) => {}
            Change::Delete { group, stream } => {
                let index = self.shared.read();
                let ids: Vec<u64> = match (stream, index.groups.get(group.as_str())) {
                    (_, None) => Vec::new(),
                    (Some(stream), Some(group)) => {
                        group.streams.get(stream.as_str()).map(|stream| stream.id).into_iter().collect()
                    }
                    (None, Some(group)) => group.streams.values().map(|stream| stream.id).collect(),
                };
                let whole_group = stream.is_none().then_some(group.as_str());
                let has_floor = whole_group.is_some_and(|group| index.floors.contains_key(group));
                drop(index);
                if ids.is_empty() && !has_floor {
                    return Ok(());
                }
                codec::write_delete(&mut out, whole_group, &ids);
                self.write(&out)?;
                self.shared.write().delete(whole_group, &ids, self.wal.log_file.name.number());
            }
            Change::Floor { group, before_ms } => {
                let below_sequence = self.shared.next_sequence.load(Ordering::Relaxed);
                let floor = Floor { before_ms: *before_ms, below_sequence };
                let index = self.shared.read();
                let is_news = index.groups.contains_key(group.as_str()) && !index.floors(group).cover(&floor);
                drop(index);
                if !is_news {
                    return Ok(());
                }
                codec::write_floor(&mut out, group, *before_ms);
                self.write(&out)?;
                self.shared.write().raise_floor(group, floor);
            }
        }
        // The keeper ends after the writer.
        let _ = self.keeper.send(keeper::Job::Collect);
        Ok(())
    }

    /// Writes at the end of the file and waits for the disk.
    fn write(&mut self, bytes: &[u8]) -> Result<(), LogError> {
        let written = self.wal.file.write_all_at(bytes, self.wal.len).and_then(|()| self.wal.file.sync_data());
        if let Err(error) = written {
            // What may be there must not come back: cut it off, and go on in another file.
            self.is_broken = true;
            if let Err(error) = self.wal.file.set_len(self.wal.len).and_then(|()| self.wal.file.sync_data()) {
                tracing::warn!(path = %self.wal.log_file.path.display(), %error, "cannot cut off a failed write");
            }
            return Err(LogError::io("write", &self.wal.log_file.path)(error));
        }
        self.wal.len += bytes.len() as u64;
        Ok(())
    }

    /// Starts the next file when this one is long, or cannot be written.
    fn make_room(&mut self) -> Result<(), LogError> {
        let is_long = self.wal.len >= u64::from(self.shared.options.segment_bytes);
        if !is_long && !self.is_broken {
            return Ok(());
        }
        match Wal::create(&self.shared.dir, self.next_file) {
            Ok(next) => {
                self.next_file += 1;
                self.is_broken = false;
                let full = std::mem::replace(&mut self.wal, next);
                let job = keeper::Job::Sort(keeper::Unsorted { log_file: full.log_file, len: full.len });
                // The keeper ends after the writer.
                let _ = self.keeper.send(job);
                Ok(())
            }
            // A long file is still a good one, up to a limit far away.
            Err(error) if !self.is_broken && self.wal.len < u64::from(u32::MAX / 2) => {
                tracing::warn!(%error, "cannot start the next log file; this one grows on");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// Events in runs of about [`BLOCK_BYTES_MAX`].
fn chunks(mut events: &[Event]) -> impl Iterator<Item = &[Event]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = events.iter().take_while(|event| {
            let had_room = bytes < BLOCK_BYTES_MAX;
            bytes += event.message.len();
            had_room
        });
        let (chunk, rest) = events.split_at(fits.count());
        events = rest;
        (!chunk.is_empty()).then_some(chunk)
    })
}

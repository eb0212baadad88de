//! The handle to the logs: open, append, read, prune.

use super::error::LogError;
use super::event::Event;
use super::index::{Index, StreamStats};
use super::keeper::Keeper;
use super::query::{self, FilterPage, FilterRequest, GetRequest, Page};
use super::recover;
use super::watch::LogWatcher;
use super::writer::{Append, Change, Request, Writer};
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, mpsc};
use std::thread::{self, JoinHandle};
use tokio::sync::{oneshot, watch};

/// All logs, shared by all who hold a clone. The last clone's drop waits for what is being written.
#[derive(Clone)]
pub struct LogStore(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    sequences: watch::Receiver<u64>,
    /// `None` while dropping.
    requests: Option<mpsc::Sender<Request>>,
    threads: Vec<JoinHandle<()>>,
    /// Held for its lock.
    _lock: File,
}

/// What readers, writer and keeper share.
pub(crate) struct Shared {
    pub(crate) dir: PathBuf,
    pub(crate) options: Options,
    index: RwLock<Index>,
    pub(crate) next_stream: AtomicU64,
    pub(crate) next_sequence: AtomicU64,
}

impl Shared {
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Index> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sizes, for tests; the default suits everyone else.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Length from which a log file is closed and sorted: bounds memory, time to open, and how early pruning frees space.
    pub segment_bytes: u32,
    /// Length of a sorted block: what reading one event costs.
    pub block_bytes: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 8 << 20, block_bytes: 64 << 10 }
    }
}

impl LogStore {
    /// Opens the logs in `dir`, or creates it. What a crash left half written at the end is cut off: it was not
    /// acknowledged.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, LogError> {
        Self::open_with(dir, Options::default())
    }

    pub fn open_with(dir: impl AsRef<Path>, options: Options) -> Result<Self, LogError> {
        let dir = dir.as_ref();
        fs::create_dir_all(dir).map_err(LogError::io("create", dir))?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(LogError::io("restrict", dir))?;
        let lock_path = dir.join("lock");
        let lock = super::file::create(&lock_path)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LogError::InUse { path: dir.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(LogError::io("lock", &lock_path)(error)),
        }
        let recovered = recover::recover(dir)?;
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            options,
            index: RwLock::new(recovered.index),
            next_stream: AtomicU64::new(recovered.next_stream),
            next_sequence: AtomicU64::new(recovered.next_sequence),
        });
        let (sequence_sender, sequences) = watch::channel(0);
        let (requests, request_receiver) = mpsc::channel();
        let (keeper_jobs, keeper_receiver) = mpsc::channel();
        let keeper = Keeper::new(Arc::clone(&shared), recovered.unsorted);
        let writer = Writer::new(Arc::clone(&shared), recovered.wal, recovered.next_file, sequence_sender, keeper_jobs);
        let threads = vec![
            spawn("log-keeper", dir, move || keeper.run(&keeper_receiver))?,
            spawn("log-writer", dir, move || writer.run(&request_receiver))?,
        ];
        Ok(Self(Arc::new(Inner { shared, sequences, requests: Some(requests), threads, _lock: lock })))
    }

    /// Appends events and returns once they are durable. Their times need not be in order.
    pub async fn append(
        &self,
        group: &str,
        stream: &str,
        events: Vec<Event>,
        ingestion_ms: i64,
    ) -> Result<(), LogError> {
        let append = Append { group: group.to_owned(), stream: stream.to_owned(), events, ingestion_ms };
        self.send(Change::Append(append))?.await.unwrap_or(Err(LogError::Closed))
    }

    /// [`append`](Self::append) for threads outside an async runtime; inside one it panics. So do the others below.
    pub fn append_blocking(
        &self,
        group: &str,
        stream: &str,
        events: Vec<Event>,
        ingestion_ms: i64,
    ) -> Result<(), LogError> {
        let append = Append { group: group.to_owned(), stream: stream.to_owned(), events, ingestion_ms };
        self.send(Change::Append(append))?.blocking_recv().unwrap_or(Err(LogError::Closed))
    }

    /// Deletes a stream's events; a stream appended to later starts empty. Deleting what is not there is done already.
    pub async fn delete_stream(&self, group: &str, stream: &str) -> Result<(), LogError> {
        let change = Change::Delete { group: group.to_owned(), stream: Some(stream.to_owned()) };
        self.send(change)?.await.unwrap_or(Err(LogError::Closed))
    }

    /// Deletes all of a group's events.
    pub async fn delete_group(&self, group: &str) -> Result<(), LogError> {
        let change = Change::Delete { group: group.to_owned(), stream: None };
        self.send(change)?.await.unwrap_or(Err(LogError::Closed))
    }

    /// Deletes a group's events from before a time, of those stored so far: one that is appended later stays, however old.
    /// Space is freed when most of a file is gone.
    pub async fn prune(&self, group: &str, before_ms: i64) -> Result<(), LogError> {
        let change = Change::Floor { group: group.to_owned(), before_ms };
        self.send(change)?.await.unwrap_or(Err(LogError::Closed))
    }

    /// Reads a page of one stream, in order of time and, within a millisecond, of arrival. A stream without events, known
    /// or not, gives an empty page. Reads the disk: call it where blocking is fine.
    pub fn get(&self, request: &GetRequest<'_>) -> Result<Page, LogError> {
        query::get(&self.0.shared, request)
    }

    /// Reads a page of several streams' events that match a pattern, in order of time. Reads the disk: call it where
    /// blocking is fine.
    pub fn filter(&self, request: &FilterRequest<'_>) -> Result<FilterPage, LogError> {
        query::filter(&self.0.shared, request)
    }

    /// What is known of a stream; `None` when it never had events, or all were deleted.
    pub fn stream_stats(&self, group: &str, stream: &str) -> Option<StreamStats> {
        let index = self.0.shared.read();
        Some(index.groups.get(group)?.streams.get(stream)?.stats)
    }

    /// Name and stats of all streams of a group that had events, by name.
    pub fn streams(&self, group: &str) -> Vec<(Arc<str>, StreamStats)> {
        let index = self.0.shared.read();
        let Some(group) = index.groups.get(group) else { return Vec::new() };
        group.streams.iter().map(|(name, stream)| (Arc::clone(name), stream.stats)).collect()
    }

    /// All groups that had events, in any order.
    pub fn groups(&self) -> Vec<Arc<str>> {
        self.0.shared.read().groups.keys().map(Arc::clone).collect()
    }

    /// Bytes on disk of the events of some of a group's streams.
    pub fn stored_bytes<S: AsRef<str>>(&self, group: &str, streams: impl IntoIterator<Item = S>) -> u64 {
        // Before the lock, which whoever appends waits for.
        let streams: Vec<S> = streams.into_iter().collect();
        let index = self.0.shared.read();
        let Some(group) = index.groups.get(group) else { return 0 };
        let known = streams.into_iter().filter_map(|name| group.streams.get(name.as_ref()));
        known.map(|stream| stream.stats.stored_bytes).sum()
    }

    /// Wakes for events appended to a group after now. The group need not exist yet.
    pub fn watch(&self, group: &str) -> LogWatcher {
        let shared = Arc::clone(&self.0.shared);
        let seen = shared.read().groups.get(group).map_or(0, |group| group.last_sequence);
        LogWatcher { shared, sequences: self.0.sequences.clone(), group: group.to_owned(), seen }
    }

    fn send(&self, change: Change) -> Result<oneshot::Receiver<Result<(), LogError>>, LogError> {
        let (reply, answer) = oneshot::channel();
        let requests = self.0.requests.as_ref().expect("requests are taken in drop only");
        requests.send(Request { change, reply }).map_err(|_| LogError::Closed)?;
        Ok(answer)
    }
}

fn spawn(name: &str, dir: &Path, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, LogError> {
    thread::Builder::new().name(name.to_owned()).spawn(run).map_err(LogError::io("start the threads of", dir))
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Without requests the writer ends, and with it the keeper's jobs.
        self.requests = None;
        for thread in self.threads.drain(..) {
            // A panic there was reported by its own hook, and answered its callers with `Closed`.
            let _ = thread.join();
        }
    }
}

//! The handle to the store: open, read, write, watch.

use crate::change_log::{ChangeLog, Changes};
use crate::engine::{Engine, FullDisk, RedbEngine};
use crate::error::StoreError;
use crate::snapshot::{Schema, Snapshot};
use crate::table::Table;
use crate::tx::Tx;
use crate::watch::{Bell, Ringer, Watcher};
use crate::writer::{self, Job, Loaded, Step, Transaction, Writer};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, mpsc};
use std::thread::{self, JoinHandle};
use tokio::sync::{Notify, oneshot};

/// Room that is kept for when the disk is full: enough to end many thousands of tasks.
const RESERVE_BYTES: u64 = 32 << 20;

/// The tables, shared by all who hold a clone. The last clone's drop waits until what was written is durable.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    bell: Arc<Bell>,
    /// `None` once it is closed.
    jobs: RwLock<Option<mpsc::Sender<Box<dyn Job>>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Told of each job, where nobody blocks on the channel.
    sent: Option<Arc<Notify>>,
}

/// The writer of a store without a thread: its owner decides when a batch is written, and may drop it instead, as a crash
/// does. For simulations.
pub struct Stepper {
    writer: Box<dyn Step>,
    jobs: mpsc::Receiver<Box<dyn Job>>,
    first: Option<Box<dyn Job>>,
    sent: Arc<Notify>,
}

impl Stepper {
    /// Waits until a transaction is asked for; `false` when no store is left that could ask. Dropping the future loses
    /// nothing.
    pub async fn ready(&mut self) -> bool {
        loop {
            if self.first.is_some() {
                return true;
            }
            match self.jobs.try_recv() {
                Ok(job) => self.first = Some(job),
                Err(mpsc::TryRecvError::Disconnected) => return false,
                Err(mpsc::TryRecvError::Empty) => self.sent.notified().await,
            }
        }
    }

    /// Runs what was asked for, at most `limit` transactions, as one batch, makes it durable, and answers. Returns how many
    /// there were.
    pub fn step(&mut self, limit: usize) -> usize {
        let first = self.first.take();
        first.map_or(0, |first| self.writer.step(first, &self.jobs, limit))
    }
}

/// The store's failure outside, the transaction's own result inside: `store.write(..).await?` gives the latter.
pub type Answer<T, E> = Result<Result<T, E>, StoreError>;

/// What readers see: always durable.
pub(crate) struct Shared(pub(crate) RwLock<Published>);

pub(crate) struct Published {
    pub(crate) snapshot: Snapshot,
    pub(crate) log: ChangeLog,
    pub(crate) full_disk: Option<FullDisk>,
}

impl Shared {
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.lock().snapshot.clone()
    }

    fn lock(&self) -> RwLockReadGuard<'_, Published> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Opens Longshore's tables in the file at `path`, or creates it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let engine = RedbEngine::open(path.as_ref())?.with_reserve(RESERVE_BYTES);
        Self::with_engine(engine, crate::tables::schema())
    }

    /// Loads `schema`'s tables from `engine` and starts the writer's thread.
    pub fn with_engine(engine: impl Engine, schema: Schema) -> Result<Self, StoreError> {
        let (shared, bell, writer) = load(engine, schema)?;
        let (jobs, job_receiver) = mpsc::channel();
        let writer = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run(&job_receiver))
            .map_err(|error| StoreError::Io {
                action: "start the writer of",
                path: "(thread)".into(),
                source: Arc::new(error),
            })?;
        Ok(Self::new(shared, bell, jobs, Some(writer), None))
    }

    /// [`with_engine`](Self::with_engine) without a thread: transactions wait until the [`Stepper`] runs them.
    pub fn stepped(engine: impl Engine, schema: Schema) -> Result<(Self, Stepper), StoreError> {
        let (shared, bell, writer) = load(engine, schema)?;
        let (jobs, job_receiver) = mpsc::channel();
        let sent = Arc::new(Notify::new());
        let stepper = Stepper { writer: Box::new(writer), jobs: job_receiver, first: None, sent: Arc::clone(&sent) };
        Ok((Self::new(shared, bell, jobs, None, Some(sent)), stepper))
    }

    fn new(
        shared: Arc<Shared>,
        bell: Arc<Bell>,
        jobs: mpsc::Sender<Box<dyn Job>>,
        writer: Option<JoinHandle<()>>,
        sent: Option<Arc<Notify>>,
    ) -> Self {
        let (jobs, writer) = (RwLock::new(Some(jobs)), Mutex::new(writer));
        Self(Arc::new(Inner { shared, bell, jobs, writer, sent }))
    }

    /// Makes what was written durable and closes the file in order, whoever else holds a clone: the next open need not check
    /// it. Reading goes on; writing is refused with [`StoreError::Closed`]. Blocks until it is done.
    pub fn close(&self) {
        self.0.close();
    }

    /// The latest durable state. Takes no time worth naming and blocks nobody, however long it is kept.
    pub fn snapshot(&self) -> Snapshot {
        self.0.shared.snapshot()
    }

    /// Runs `read` on the latest durable state.
    pub fn read<T>(&self, read: impl FnOnce(&Snapshot) -> T) -> T {
        read(&self.snapshot())
    }

    /// Runs a transaction and returns once everything it wrote, and everything it saw, is durable.
    ///
    /// `transaction` runs on the writer's thread, one at a time, and must not block. When it returns an error, its changes
    /// are undone. The outer error is the store's: then the changes are undone too.
    pub async fn write<T, E, F>(&self, transaction: F) -> Answer<T, E>
    where
        F: FnOnce(&mut Tx) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        self.send(transaction)?.await.unwrap_or(Err(StoreError::Closed))
    }

    /// [`write`](Self::write) for threads outside an async runtime; inside one it panics.
    pub fn write_blocking<T, E, F>(&self, transaction: F) -> Answer<T, E>
    where
        F: FnOnce(&mut Tx) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        self.send(transaction)?.blocking_recv().unwrap_or(Err(StoreError::Closed))
    }

    /// The disk, while it is full: whoever is about to store something new asks first, and leaves it. What ends and removes
    /// things can be stored meanwhile.
    pub fn full_disk(&self) -> Option<FullDisk> {
        self.0.shared.lock().full_disk.clone()
    }

    /// Wakes for changes after now; see [`Watcher`].
    pub fn watch(&self) -> Watcher {
        let shared = Arc::clone(&self.0.shared);
        let seen = shared.snapshot().revision();
        Watcher { shared, bell: Arc::clone(&self.0.bell), seen, only: Vec::new() }
    }

    /// The latest state and which keys changed after revision `since`, of all tables at once.
    pub fn changes_since(&self, since: u64) -> Changes {
        let published = self.0.shared.lock();
        published.log.since(since, published.snapshot.clone())
    }

    /// Like [`changes_since`](Self::changes_since) for one table: its keys, `None` for "take it all".
    pub fn keys_since<T: Table>(&self, since: u64) -> (Snapshot, Option<Vec<T::Key>>) {
        let changes = self.changes_since(since);
        (changes.snapshot().clone(), changes.keys::<T>())
    }

    fn send<T, E, F>(&self, transaction: F) -> Result<oneshot::Receiver<Answer<T, E>>, StoreError>
    where
        F: FnOnce(&mut Tx) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Transaction::new(transaction, reply));
        let jobs = self.0.jobs.read().unwrap_or_else(PoisonError::into_inner);
        jobs.as_ref().ok_or(StoreError::Closed)?.send(job).map_err(|_| StoreError::Closed)?;
        if let Some(sent) = &self.0.sent {
            sent.notify_one();
        }
        Ok(answer)
    }
}

type Parts<E> = (Arc<Shared>, Arc<Bell>, Writer<E>);

fn load<E: Engine>(mut engine: E, schema: Schema) -> Result<Parts<E>, StoreError> {
    let Loaded { snapshot, outdated, unknown } = writer::load(&mut engine, schema)?;
    let revision = snapshot.revision();
    let bell = Arc::new(Bell::default());
    let log = ChangeLog::new(revision);
    let shared = Arc::new(Shared(RwLock::new(Published { snapshot, log, full_disk: None })));
    let mut writer = Writer::new(engine, Arc::clone(&shared), Ringer(Arc::clone(&bell)), outdated, unknown);
    writer.look_at_disk();
    Ok((shared, bell, writer))
}

impl Inner {
    fn close(&self) {
        *self.jobs.write().unwrap_or_else(PoisonError::into_inner) = None;
        if let Some(sent) = &self.sent {
            sent.notify_one();
        }
        // A transaction may hold the last clone; then this is the writer's thread, which ends by itself.
        if let Some(writer) = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take()
            && writer.thread().id() != thread::current().id()
        {
            // A panic there was reported by its own hook, and answered its callers with `Closed`.
            let _ = writer.join();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

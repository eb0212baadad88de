//! The writer: one thread that runs transactions and makes them durable in batches.
//!
//! ```text
//! wait for a job ─▶ run all that wait (at most JOBS_MAX) on `head` ─▶ one commit ─▶ publish ─▶ answer all ─┐
//!       ▲                    more jobs arrive meanwhile                                                    │
//!       └──────────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//! Transactions take microseconds and a commit takes a disk flush, so running them while a commit is under way would gain
//! nothing, and would make a failed commit undo more than its own batch.
//!
//! A job is answered after the commit even when it failed or only read: it may have seen what another job of its batch
//! wrote. A batch without changes needs no commit.

use crate::engine::{Batch, Engine, RowChange};
use crate::error::StoreError;
use crate::map::Bytes;
use crate::snapshot::{Schema, Snapshot};
use crate::store::{Answer, Shared};
use crate::tx::{Changes, RowId, Tx};
use crate::watch::Ringer;
use std::any::Any;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, PoisonError, mpsc};
use std::time::Duration;
use tokio::sync::oneshot;

/// Jobs in one batch: bounds the time until the first of them is answered.
const JOBS_MAX: usize = 1024;

/// How often an idle writer looks whether a full disk has room again.
const FULL_DISK_PERIOD: Duration = Duration::from_secs(2);

/// A transaction whose types are forgotten.
pub(crate) trait Job: Send {
    /// Runs it; true when its changes shall stay.
    fn run(&mut self, tx: &mut Tx) -> bool;
    /// Answers its caller.
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

pub(crate) struct Transaction<F, T, E> {
    transaction: Option<F>,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Answer<T, E>>,
}

impl<F, T, E> Transaction<F, T, E> {
    pub(crate) fn new(transaction: F, reply: oneshot::Sender<Answer<T, E>>) -> Self {
        Self { transaction: Some(transaction), result: None, reply }
    }
}

impl<F, T, E> Job for Transaction<F, T, E>
where
    F: FnOnce(&mut Tx) -> Result<T, E> + Send,
    T: Send,
    E: Send,
{
    fn run(&mut self, tx: &mut Tx) -> bool {
        let transaction = self.transaction.take().expect("a job runs once");
        self.result.insert(transaction(tx)).is_ok()
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { result, reply, .. } = *self;
        // A caller that went away does not need its answer.
        let _ = reply.send(outcome.and_then(|()| result.ok_or(StoreError::Closed)));
    }
}

/// What the engine's next batch must bring besides its changes.
#[derive(Default)]
pub(crate) struct Outdated {
    /// Rows that may be other on disk than in the published state: after a failed commit, or stored in an old version.
    rows: BTreeSet<RowId>,
    versions: Vec<(&'static str, u32)>,
}

impl Outdated {
    /// Everything there is.
    fn take_all(&mut self, head: &Snapshot) {
        let tables = head.tables();
        let rows = tables.iter().enumerate().flat_map(|(at, table)| table.keys().into_iter().map(move |key| (at, key)));
        self.rows.extend(rows);
        self.versions = tables.iter().map(|table| (table.name(), table.version())).collect();
    }
}

/// What is stored of tables that this release does not know, kept for a batch that must be whole.
#[derive(Default)]
pub(crate) struct Unknown {
    /// Table, key and value.
    rows: Vec<(String, Bytes, Vec<u8>)>,
    versions: Vec<(String, u32)>,
}

impl Unknown {
    fn add_to<'a>(&'a self, batch: &mut Batch<'a>) {
        let change = |(table, key, value): &'a (String, Bytes, Vec<u8>)| RowChange {
            table,
            key: Bytes::clone(key),
            value: Some(value.clone()),
        };
        batch.changes.extend(self.rows.iter().map(change));
        batch.versions.extend(self.versions.iter().map(|(table, version)| (table.as_str(), *version)));
    }
}

/// What the engine had.
pub(crate) struct Loaded {
    pub(crate) snapshot: Snapshot,
    pub(crate) outdated: Outdated,
    pub(crate) unknown: Unknown,
}

pub(crate) struct Writer<D> {
    engine: D,
    shared: Arc<Shared>,
    bell: Ringer,
    outdated: Outdated,
    unknown: Unknown,
    /// The last revision of a batch that was undone: transactions have seen it, so no other state has it.
    undone: u64,
    /// The last commit failed, which was logged.
    failing: bool,
    /// The disk is full, which was published.
    full: bool,
}

/// Reads everything the engine has.
pub(crate) fn load(engine: &mut impl Engine, schema: Schema) -> Result<Loaded, StoreError> {
    let mut snapshot = schema.empty();
    let (mut outdated, mut unknown) = (Outdated::default(), Unknown::default());
    let meta = engine.meta()?;
    let mut stored_versions = Vec::new();
    for table in snapshot.tables() {
        let stored = meta.versions.iter().find(|(name, _)| name == table.name()).map(|(_, version)| *version);
        match stored {
            Some(stored) if stored > table.version() => {
                return Err(StoreError::Newer { table: table.name().to_owned(), stored, known: table.version() });
            }
            Some(stored) if stored == table.version() => {}
            _ => outdated.versions.push((table.name(), table.version())),
        }
        stored_versions.push(stored.unwrap_or_else(|| table.version()));
    }
    let names: Vec<_> = snapshot.tables().iter().map(|table| table.name()).collect();
    unknown.versions = meta.versions.iter().filter(|(name, _)| !names.contains(&name.as_str())).cloned().collect();
    engine.load(&mut |table, key, value| {
        let Some(position) = names.iter().position(|name| *name == table) else {
            if unknown.rows.last().is_none_or(|(last, _, _)| last != table) {
                tracing::warn!(table, "the store has a table this release does not know; it is kept");
            }
            unknown.rows.push((table.to_owned(), Bytes::from(key), value.to_owned()));
            return Ok(());
        };
        snapshot.any_mut(position).load(key, value, stored_versions[position])
    })?;
    for (position, stored) in stored_versions.into_iter().enumerate() {
        snapshot.any_mut(position).set_changed_at(meta.revision);
        let table = &snapshot.tables()[position];
        if stored != table.version() {
            outdated.rows.extend(table.keys().into_iter().map(|key| (position, key)));
        }
    }
    snapshot.set_revision(meta.revision);
    Ok(Loaded { snapshot, outdated, unknown })
}

/// A [`Writer`] whose engine is forgotten.
pub(crate) trait Step: Send {
    /// One batch: this job and those that wait, at most `limit`. Returns how many there were.
    fn step(&mut self, first: Box<dyn Job>, jobs: &mpsc::Receiver<Box<dyn Job>>, limit: usize) -> usize;
}

impl<D: Engine> Step for Writer<D> {
    fn step(&mut self, first: Box<dyn Job>, jobs: &mpsc::Receiver<Box<dyn Job>>, limit: usize) -> usize {
        let more = std::iter::from_fn(|| jobs.try_recv().ok());
        self.batch(std::iter::once(first).chain(more).take(limit))
    }
}

impl<D: Engine> Writer<D> {
    pub(crate) fn new(engine: D, shared: Arc<Shared>, bell: Ringer, outdated: Outdated, unknown: Unknown) -> Self {
        Self { engine, shared, bell, outdated, unknown, undone: 0, failing: false, full: false }
    }

    /// Works until no one can send jobs any more.
    pub(crate) fn run(mut self, jobs: &mpsc::Receiver<Box<dyn Job>>) {
        loop {
            let job = match self.full {
                true => jobs.recv_timeout(FULL_DISK_PERIOD),
                false => jobs.recv().map_err(RecvTimeoutError::from),
            };
            match job {
                Ok(first) => drop(self.step(first, jobs, JOBS_MAX)),
                Err(RecvTimeoutError::Timeout) => self.look_at_disk(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Publishes whether the disk is full.
    pub(crate) fn look_at_disk(&mut self) {
        let full_disk = self.engine.full_disk();
        if full_disk.is_some() != self.full {
            self.full = full_disk.is_some();
            self.shared.0.write().unwrap_or_else(PoisonError::into_inner).full_disk = full_disk;
        }
    }

    fn batch(&mut self, jobs: impl Iterator<Item = Box<dyn Job>>) -> usize {
        let published = self.shared.snapshot();
        let mut head = published.clone();
        head.set_revision(published.revision().max(self.undone));
        let mut changes = Changes::new();
        let mut log = Vec::new();
        let mut ran = Vec::new();
        for mut job in jobs {
            let outcome = match run(&mut *job, &head) {
                Ok(None) => Ok(()),
                Ok(Some((after, written))) => {
                    head = after;
                    log.extend(written.keys().map(|row_id| (head.revision(), row_id.clone())));
                    changes.extend(written);
                    Ok(())
                }
                Err(error) => Err(error),
            };
            ran.push((job, outcome));
        }
        let committed = if changes.is_empty() { Ok(()) } else { self.commit(&head, changes) };
        if committed.is_err() {
            self.undone = head.revision();
        } else if !log.is_empty() {
            let mut published = self.shared.0.write().unwrap_or_else(PoisonError::into_inner);
            published.snapshot = head;
            published.log.extend(log);
            drop(published);
            self.bell.0.ring();
        }
        self.look_at_disk();
        let count = ran.len();
        for (job, outcome) in ran {
            job.answer(committed.clone().and(outcome));
        }
        count
    }

    fn commit(&mut self, head: &Snapshot, mut changes: Changes) -> Result<(), StoreError> {
        let whole = self.engine.is_doubtful();
        if whole {
            self.outdated.take_all(head);
        }
        for row_id in &self.outdated.rows {
            if !changes.contains_key(row_id) {
                changes.insert(row_id.clone(), head.tables()[row_id.0].encode(&row_id.1)?);
            }
        }
        let row_ids: Vec<RowId> = changes.keys().cloned().collect();
        let own = changes.into_iter().map(|((position, key), value)| RowChange {
            table: head.tables()[position].name(),
            key,
            value,
        });
        let mut batch = Batch {
            revision: head.revision(),
            changes: own.collect(),
            versions: self.outdated.versions.clone(),
            whole,
        };
        if whole {
            self.unknown.add_to(&mut batch);
        }
        let committed = self.engine.commit(&batch);
        match &committed {
            Ok(()) => {
                self.outdated = Outdated::default();
                if std::mem::take(&mut self.failing) {
                    tracing::info!("changes are stored again");
                }
            }
            Err(error) => {
                let cause = std::error::Error::source(error).map(ToString::to_string);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(%error, cause, "changes cannot be stored; each is undone until one can");
                }
                self.outdated.rows.extend(row_ids);
            }
        }
        committed
    }
}

/// Runs one job; the new state and changes when it wrote something that shall stay.
fn run(job: &mut dyn Job, head: &Snapshot) -> Result<Option<(Snapshot, Changes)>, StoreError> {
    let mut tx = Tx::new(head.clone());
    // On a panic `tx` is dropped with whatever was half done; `head` never saw it.
    match catch_unwind(AssertUnwindSafe(|| job.run(&mut tx))) {
        Ok(true) => {
            let (after, changes) = tx.finish()?;
            Ok((!changes.is_empty()).then_some((after, changes)))
        }
        Ok(false) => Ok(None),
        Err(panic) => Err(StoreError::Panicked(panic_text(&*panic))),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

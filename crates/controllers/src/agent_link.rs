//! The control plane's side of a link to a node's agent: pushes intent, takes observations and log lines, answers what a
//! starting task asks for.
//!
//! What carries messages ([`Incoming`], [`Outgoing`]) and where log lines go ([`Host`]) is the server's: a socket, or what a
//! simulator makes of one.

use crate::feed::Feed;
use crate::{Environment, observe, secrets};
use longshore_api::ecs::environment_files::ObjectError;
use longshore_store::{Store, StoreError};
use longshore_types::id::TaskId;
use longshore_types::link::{ApiAnswer, FromAgent, LogBatch, ProtectionUpdate, ToAgent, Welcome};
use longshore_types::node::TaskObservation;
use longshore_types::{Scope, Timestamp};
use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

const RETRY_PAUSE_MIN: Duration = Duration::from_millis(500);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);

/// Messages of an agent, in order.
pub trait Incoming: Send {
    /// `None` when the agent has left. Dropping the future loses nothing.
    fn next(&mut self) -> impl Future<Output = io::Result<Option<FromAgent>>> + Send;
}

/// Messages to an agent, in order.
pub trait Outgoing: Send {
    fn send(&mut self, messages: &[ToAgent]) -> impl Future<Output = io::Result<()>> + Send;
}

/// The control plane that an agent talks to. Cheap to clone.
pub trait Host: Clone + Send + Sync + 'static {
    fn store(&self) -> &Store;

    fn environment(&self) -> &Environment;

    fn welcome(&self) -> Welcome;

    /// An object of what stands for S3.
    fn read_object(&self, bucket: &str, key: &str) -> Result<Vec<u8>, ObjectError>;

    /// An API call that a task makes about itself, with its role's credentials.
    fn task_protection(
        &self,
        scope: Scope,
        task: TaskId,
        update: Option<ProtectionUpdate>,
    ) -> impl Future<Output = ApiAnswer> + Send;

    /// Stores log lines, or drops them for good.
    fn keep_lines(&self, batch: LogBatch) -> impl Future<Output = ()> + Send;

    fn observed(&self, seen: Vec<TaskObservation>) -> impl Future<Output = Result<(), StoreError>> + Send {
        observe::apply(self.store(), self.environment(), seen)
    }
}

/// Who waits until nothing runs on the node any more.
pub type Resets = mpsc::UnboundedReceiver<oneshot::Sender<()>>;

/// Generations of what one kind of receiver is told. A receiver refuses what is older than what it has, and it outlives us,
/// our store and the clock that we had then: so it is asked what it has before it is told anything, and hears only later ones.
#[derive(Default)]
pub struct Generations(AtomicU64);

impl Generations {
    /// Those of a server that starts now. The time is for receivers of an earlier version, which do not say what they have.
    pub fn starting(now: Timestamp) -> Self {
        Self(AtomicU64::new(u64::try_from(now.0).unwrap_or(0) * 1000))
    }

    /// A receiver has this one: the next is later.
    pub fn learn(&self, has: u64) {
        self.0.fetch_max(has, Ordering::SeqCst);
    }

    pub fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }
}

/// Serves one agent until it leaves. It speaks first.
pub async fn serve<H: Host>(
    host: &H,
    mut incoming: impl Incoming,
    outgoing: impl Outgoing,
    resets: &mut Resets,
    generations: &Generations,
) -> io::Result<()> {
    let first = incoming.next().await?;
    if let Some(FromAgent::Hello { network_generation, .. }) = &first {
        generations.learn(*network_generation);
    }
    let (answers, answered) = mpsc::unbounded_channel();
    let (reset_done, resets_done) = mpsc::unbounded_channel();
    tokio::select! {
        biased;
        result = read(host, first, incoming, answers, reset_done) => result,
        result = write(host, outgoing, answered, resets, resets_done, generations) => result,
    }
}

async fn read<H: Host>(
    host: &H,
    first: Option<FromAgent>,
    mut incoming: impl Incoming,
    answers: mpsc::UnboundedSender<ToAgent>,
    reset_done: mpsc::UnboundedSender<u64>,
) -> io::Result<()> {
    let mut tasks = JoinSet::new();
    let (observations, observed) = mpsc::unbounded_channel();
    tasks.spawn(store_observations(host.clone(), observed));
    let (batches, lines) = mpsc::unbounded_channel();
    tasks.spawn(store_lines(host.clone(), lines, answers.clone()));
    let mut next = first;
    while let Some(message) = next {
        match message {
            FromAgent::Observed(seen) => {
                let _ = observations.send(seen);
            }
            FromAgent::Logs(batch) => {
                let _ = batches.send(batch);
            }
            FromAgent::ResetDone { token } => {
                let _ = reset_done.send(token);
            }
            FromAgent::Secrets { scope, task } => {
                let state = host.store().snapshot();
                let read_object = |bucket: &str, key: &str| host.read_object(bucket, key);
                let values = secrets::resolve(&state, host.environment(), &scope, &task, &read_object);
                if values.is_ok() {
                    secrets::empty_streams(&state, &scope, &task)
                        .into_iter()
                        .for_each(|batch| drop(batches.send(batch)));
                }
                let _ = answers.send(ToAgent::Secrets { task, values });
            }
            FromAgent::TaskProtection { number, scope, task, update } => {
                let (host, answers) = (host.clone(), answers.clone());
                tasks.spawn(async move {
                    let answer = host.task_protection(scope, task, update).await;
                    let _ = answers.send(ToAgent::TaskProtection { number, answer });
                });
                while tasks.try_join_next().is_some() {}
            }
            FromAgent::Hello { .. } => {}
        }
        next = incoming.next().await?;
    }
    Ok(())
}

/// Writes observations in order, all that wait in one transaction. What cannot be written is written later.
async fn store_observations<H: Host>(host: H, mut observed: mpsc::UnboundedReceiver<Vec<TaskObservation>>) {
    while let Some(mut seen) = observed.recv().await {
        while let Ok(more) = observed.try_recv() {
            seen.extend(more);
        }
        until_stored("observations", || host.observed(seen.clone())).await;
    }
}

/// Tries to store something until it is stored, ever more rarely. Says once that it cannot, and that it could.
pub async fn until_stored<F>(what: &str, mut store: impl FnMut() -> F)
where
    F: Future<Output = Result<(), StoreError>>,
{
    let Err(error) = store().await else { return };
    tracing::error!(%error, "{what} could not be stored; trying again until they are");
    let mut pause = RETRY_PAUSE_MIN;
    loop {
        tokio::time::sleep(pause).await;
        if store().await.is_ok() {
            tracing::info!("{what} are stored again");
            return;
        }
        pause = (pause * 2).min(RETRY_PAUSE_MAX);
    }
}

async fn store_lines<H: Host>(
    host: H,
    mut batches: mpsc::UnboundedReceiver<LogBatch>,
    answers: mpsc::UnboundedSender<ToAgent>,
) {
    while let Some(batch) = batches.recv().await {
        let number = batch.batch;
        host.keep_lines(batch).await;
        let _ = answers.send(ToAgent::LogAck { batch: number });
    }
}

async fn write<H: Host>(
    host: &H,
    mut outgoing: impl Outgoing,
    mut answers: mpsc::UnboundedReceiver<ToAgent>,
    resets: &mut Resets,
    mut resets_done: mpsc::UnboundedReceiver<u64>,
    generations: &Generations,
) -> io::Result<()> {
    let store = host.store();
    let generation = || generations.next();
    let (mut feed, first) = Feed::start(store, &"local".into(), generation);
    let mut watcher = feed.watch(store);
    outgoing.send(&[ToAgent::Welcome(host.welcome())]).await?;
    outgoing.send(&first).await?;
    let mut waiting: HashMap<u64, oneshot::Sender<()>> = HashMap::new();
    let mut token = 0;
    loop {
        let mut messages = Vec::new();
        tokio::select! {
            biased;
            wake = watcher.changed() => {
                if wake.is_none() {
                    return Ok(());
                }
                messages.extend(feed.next(store, generation));
            }
            Some(answer) = answers.recv() => messages.push(answer),
            Some(done) = resets.recv() => {
                token += 1;
                waiting.insert(token, done);
                messages.push(ToAgent::Reset { token });
            }
            Some(token) = resets_done.recv() => {
                if let Some(done) = waiting.remove(&token) {
                    let _ = done.send(());
                }
            }
        }
        // Whatever it woke for: a busy store does not keep answers waiting.
        while let Ok(answer) = answers.try_recv() {
            messages.push(answer);
        }
        outgoing.send(&messages).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_stored_is_tried_ever_more_rarely_until_it_is() {
        let started = Instant::now();
        let mut tried = Vec::new();
        until_stored("observations", || {
            tried.push(started.elapsed().as_millis());
            std::future::ready(if tried.len() < 8 { Err(StoreError::Closed) } else { Ok(()) })
        })
        .await;
        assert_eq!(tried, [0, 500, 1500, 3500, 7500, 12_500, 17_500, 22_500]);
    }
}

//! The link to the node's agent: pushes intent, takes observations and log lines.

use crate::serve::Server;
use crate::{buckets, task_protection};
use anyhow::Context;
use longshore_api::logs;
use longshore_controllers::feed::Feed;
use longshore_controllers::observe;
use longshore_controllers::secrets;
use longshore_types::link::{FromAgent, LogBatch, ToAgent, Welcome};
use longshore_types::node::TaskObservation;
use longshore_types::{Scope, Timestamp};
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

/// What the rest of the server may ask of the link.
#[derive(Clone)]
pub struct Handle {
    connected: Arc<AtomicBool>,
    resets: mpsc::UnboundedSender<oneshot::Sender<()>>,
}

/// The link's side of a [`Handle`].
pub struct Side {
    pub connected: Arc<AtomicBool>,
    pub resets: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
}

impl Handle {
    pub fn new() -> (Self, Side) {
        let connected = Arc::new(AtomicBool::new(false));
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { connected: Arc::clone(&connected), resets: sender }, Side { connected, resets: receiver })
    }

    pub fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// Returns when nothing runs on the node any more, or after half a minute.
    pub async fn reset(&self) {
        let (done, wait) = oneshot::channel();
        if self.resets.send(done).is_ok() {
            let _ = tokio::time::timeout(Duration::from_secs(30), wait).await;
        }
    }
}

/// Generations grow with time, also over a restart with an empty store, so that a data plane never refuses a newer one.
#[derive(Default)]
pub struct Generations(AtomicU64);

impl Generations {
    pub fn next(&self, now: Timestamp) -> u64 {
        let floor = u64::try_from(now.0).unwrap_or(0) * 1000;
        let step = |old: u64| Some(floor.max(old + 1));
        let old = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, step).unwrap_or(0);
        floor.max(old + 1)
    }
}

/// Listens at once, so that an agent which is there already finds us; serves one agent after the other.
pub fn run(server: Server, mut side: Side) -> anyhow::Result<impl Future<Output = ()>> {
    let path = server.config.run_dir.join("server.sock");
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).with_context(|| format!("cannot listen on {}", path.display()))?;
    Ok(async move {
        let generations = Generations::default();
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            tracing::info!("the agent is connected");
            side.connected.store(true, Ordering::Relaxed);
            if let Err(error) = serve(&server, stream, &mut side, &generations).await {
                tracing::warn!(%error, "lost the agent");
            }
            side.connected.store(false, Ordering::Relaxed);
        }
    })
}

async fn serve(server: &Server, stream: UnixStream, side: &mut Side, generations: &Generations) -> io::Result<()> {
    let (reader, writer) = stream.into_split();
    let (answers, answered) = mpsc::unbounded_channel();
    let (reset_done, resets_done) = mpsc::unbounded_channel();
    let reading = read(server.clone(), reader, answers, reset_done);
    let writing = write(server, writer, answered, side, resets_done, generations);
    tokio::select! {
        result = reading => result,
        result = writing => result,
    }
}

async fn read(
    server: Server,
    reader: OwnedReadHalf,
    answers: mpsc::UnboundedSender<ToAgent>,
    reset_done: mpsc::UnboundedSender<u64>,
) -> io::Result<()> {
    let mut lines = BufReader::new(reader).lines();
    let (observations, observed) = mpsc::unbounded_channel();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(store_observations(server.clone(), observed));
    let (batches, logs) = mpsc::unbounded_channel();
    tasks.spawn(store_logs(server.clone(), logs, answers.clone()));
    while let Some(line) = lines.next_line().await? {
        match serde_json::from_str::<FromAgent>(&line) {
            Ok(FromAgent::Observed(seen)) => {
                let _ = observations.send(seen);
            }
            Ok(FromAgent::Logs(batch)) => {
                let _ = batches.send(batch);
            }
            Ok(FromAgent::ResetDone { token }) => {
                let _ = reset_done.send(token);
            }
            Ok(FromAgent::Secrets { scope, task }) => {
                let state = server.backend.store.snapshot();
                let values = secrets::resolve(&state, &server.environment, &scope, &task, &|bucket, key| {
                    buckets::read(&server.config.data_dir, bucket, key)
                });
                let _ = answers.send(ToAgent::Secrets { task, values });
            }
            Ok(FromAgent::TaskProtection { number, scope, task, update }) => {
                let (server, answers) = (server.clone(), answers.clone());
                tasks.spawn(async move {
                    let answer = task_protection::call(&server, &scope, &task, update).await;
                    let _ = answers.send(ToAgent::TaskProtection { number, answer });
                });
                while tasks.try_join_next().is_some() {}
            }
            Ok(FromAgent::Hello { .. }) => {}
            Err(error) => tracing::warn!(%error, "a message of the agent was not understood"),
        }
    }
    Ok(())
}

/// Writes observations in order, all that wait in one transaction. What cannot be written is written later.
async fn store_observations(server: Server, mut observed: mpsc::UnboundedReceiver<Vec<TaskObservation>>) {
    while let Some(mut seen) = observed.recv().await {
        while let Ok(more) = observed.try_recv() {
            seen.extend(more);
        }
        while let Err(error) = observe::apply(&server.backend.store, &server.environment, seen.clone()).await {
            tracing::error!(%error, "observations could not be stored; trying again");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

async fn store_logs(
    server: Server,
    mut batches: mpsc::UnboundedReceiver<LogBatch>,
    answers: mpsc::UnboundedSender<ToAgent>,
) {
    while let Some(batch) = batches.recv().await {
        let LogBatch { batch: number, scope, group, stream, create_group, events } = batch;
        let stored =
            logs::ingest(&server.backend, &scope, &group, &stream, create_group, events, crate::serve::now()).await;
        if let Err(error) = stored {
            // As on AWS: lines for a group that is not there are lost, and the container goes on.
            tracing::warn!(%error, group, stream, "log lines were refused");
        }
        let _ = answers.send(ToAgent::LogAck { batch: number });
    }
}

async fn write(
    server: &Server,
    mut writer: OwnedWriteHalf,
    mut answers: mpsc::UnboundedReceiver<ToAgent>,
    side: &mut Side,
    mut resets_done: mpsc::UnboundedReceiver<u64>,
    generations: &Generations,
) -> io::Result<()> {
    let store = &server.backend.store;
    let generation = || generations.next(crate::serve::now());
    let (mut feed, first) = Feed::start(store, &"local".into(), generation);
    let mut watcher = feed.watch(store);
    send(&mut writer, &[ToAgent::Welcome(welcome(server))]).await?;
    send(&mut writer, &first).await?;
    let mut waiting: HashMap<u64, oneshot::Sender<()>> = HashMap::new();
    let mut token = 0;
    loop {
        let mut messages = Vec::new();
        tokio::select! {
            wake = watcher.changed() => {
                if wake.is_none() {
                    return Ok(());
                }
                messages.extend(feed.next(store, generation));
            }
            Some(answer) = answers.recv() => {
                messages.push(answer);
                while let Ok(answer) = answers.try_recv() {
                    messages.push(answer);
                }
            }
            Some(done) = side.resets.recv() => {
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
        send(&mut writer, &messages).await?;
    }
}

async fn send(writer: &mut OwnedWriteHalf, messages: &[ToAgent]) -> io::Result<()> {
    let mut bytes = Vec::new();
    for message in messages {
        serde_json::to_writer(&mut bytes, message)?;
        bytes.push(b'\n');
    }
    writer.write_all(&bytes).await
}

fn welcome(server: &Server) -> Welcome {
    let settings = &server.settings;
    let scope = Scope { account: settings.account.clone(), region: settings.region.clone() };
    // Good until the agent is welcomed again, by the next server at the latest.
    let password = longshore_api::ecr::token::issue(
        &settings.registry_secret,
        &scope,
        longshore_api::ecr::token::NODE,
        crate::serve::now() + Duration::from_secs(10 * 365 * 86_400),
    );
    Welcome {
        api_url: settings.api_url.clone(),
        registry_suffixes: vec![".amazonaws.com".to_owned()],
        registry_auth: ("AWS".to_owned(), password),
        hop_password: longshore_api::identity::hop::password(&settings.registry_secret),
        ask_before_start: settings.authority.is_some(),
    }
}

//! The socket that the node's agent talks through; [`longshore_controllers::agent_link`] is what is said.

use crate::serve::Server;
use crate::{buckets, task_protection};
use anyhow::Context;
use longshore_api::ecs::environment_files::ObjectError;
use longshore_api::logs;
use longshore_controllers::Environment;
use longshore_controllers::agent_link::{self, Generations, Host, Incoming, Outgoing, Resets};
use longshore_store::Store;
use longshore_types::Scope;
use longshore_types::id::TaskId;
use longshore_types::link::{ApiAnswer, FromAgent, LogBatch, ProtectionUpdate, ToAgent, Welcome};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
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
    pub resets: Resets,
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

/// Listens at once, so that an agent which is there already finds us; serves one agent after the other.
pub fn run(server: Server, mut side: Side) -> anyhow::Result<impl Future<Output = ()>> {
    let path = server.config.run_dir.join("server.sock");
    let _ = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).with_context(|| format!("cannot listen on {}", path.display()))?;
    Ok(async move {
        let generations = Generations::starting(crate::serve::now());
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
    let reader = Reader(BufReader::new(reader).lines());
    agent_link::serve(server, reader, Writer(writer), &mut side.resets, generations).await
}

struct Reader(Lines<BufReader<OwnedReadHalf>>);

impl Incoming for Reader {
    async fn next(&mut self) -> io::Result<Option<FromAgent>> {
        while let Some(line) = self.0.next_line().await? {
            match serde_json::from_str(&line) {
                Ok(message) => return Ok(Some(message)),
                Err(error) => tracing::warn!(%error, "a message of the agent was not understood"),
            }
        }
        Ok(None)
    }
}

struct Writer(OwnedWriteHalf);

impl Outgoing for Writer {
    async fn send(&mut self, messages: &[ToAgent]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for message in messages {
            serde_json::to_writer(&mut bytes, message)?;
            bytes.push(b'\n');
        }
        self.0.write_all(&bytes).await
    }
}

impl Host for Server {
    fn store(&self) -> &Store {
        &self.backend.store
    }

    fn environment(&self) -> &Environment {
        &self.environment
    }

    fn welcome(&self) -> Welcome {
        let settings = &self.settings;
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

    fn read_object(&self, bucket: &str, key: &str) -> Result<Vec<u8>, ObjectError> {
        buckets::read(&self.config.data_dir, bucket, key)
    }

    async fn task_protection(&self, scope: Scope, task: TaskId, update: Option<ProtectionUpdate>) -> ApiAnswer {
        task_protection::call(self, &scope, &task, update).await
    }

    async fn keep_lines(&self, batch: LogBatch) {
        let LogBatch { scope, group, stream, create_group, events, .. } = batch;
        let stored =
            logs::ingest(&self.backend, &scope, &group, &stream, create_group, events, crate::serve::now()).await;
        if let Err(error) = stored {
            // As on AWS: lines for a group that is not there are lost, and the container goes on.
            tracing::warn!(%error, group, stream, "log lines were refused");
        }
    }
}

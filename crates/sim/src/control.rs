//! The control plane: the real store, handlers, controllers and feed. It can be killed between any two steps.

use crate::bug::Bug;
use crate::pipe::{self, pipe};
use crate::world::{World, lock};
use crate::{balancer, check};
use longshore_api::routes::{Later, LayerUploadError, Manifests, NewImage, PutImage, PutImageError, Request};
use longshore_api::{Backend, Caller, Cx, Routes, Settings, ec2, routes};
use longshore_aws_model::Protocol;
use longshore_aws_wire::Response;
use longshore_controllers::feed::Feed;
use longshore_controllers::{Environment, driver, observe};
use longshore_store::engine::{Batch, Engine, MemoryEngine, Meta, RowVisitor};
use longshore_store::{Stepper, Store, StoreError};
use longshore_telemetry::logs::LogStore;
use longshore_types::Scope;
use longshore_types::ecr::PullThroughRule;
use longshore_types::link::{FromAgent, LogBatch, ToAgent, Welcome};
use longshore_types::node::TaskObservation;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// The agent's end of a new connection.
pub struct Connection {
    pub up: mpsc::UnboundedReceiver<FromAgent>,
    pub down: pipe::Sender<ToAgent>,
}

/// A living control plane.
pub struct Process {
    pub store: Store,
    pub environment: Environment,
    backend: Backend,
    tasks: JoinSet<()>,
    pub agents: mpsc::UnboundedSender<Connection>,
    pub balancers: mpsc::UnboundedSender<balancer::Connection>,
    resets: mpsc::UnboundedSender<oneshot::Sender<()>>,
}

pub fn scope() -> Scope {
    Scope::new("123456789012", "us-east-1")
}

fn settings() -> Arc<Settings> {
    static SETTINGS: OnceLock<Arc<Settings>> = OnceLock::new();
    Arc::clone(SETTINGS.get_or_init(|| {
        Arc::new(Settings {
            account: "123456789012".into(),
            region: "us-east-1".into(),
            api_url: "http://127.0.0.1:4566".into(),
            load_balancer_pool: "127.64.0.0/16".parse().expect("a network"),
            public_pool: "198.18.0.0/16".parse().expect("a network"),
            authority: None,
            registry_secret: "secret".into(),
            vault: longshore_api::vault::Vault::new(&[7; 32]),
        })
    }))
}

fn all_routes() -> &'static Routes {
    static ROUTES: OnceLock<Routes> = OnceLock::new();
    ROUTES.get_or_init(longshore_api::routes)
}

/// Log segments are not part of the simulation; operations on them get an empty store.
fn logs() -> Arc<LogStore> {
    static LOGS: OnceLock<(tempfile::TempDir, Arc<LogStore>)> = OnceLock::new();
    let (_, store) = LOGS.get_or_init(|| {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let store = LogStore::open(directory.path()).expect("an empty log store");
        (directory, Arc::new(store))
    });
    Arc::clone(store)
}

/// Starts the control plane on what the disk has.
pub fn start(world: &Arc<World>) {
    let engine = Disk { world: Arc::clone(world), inner: world.engine.clone(), lie: OnceCell::new() };
    let (store, stepper) = match Store::stepped(engine, longshore_store::tables::schema()) {
        Ok(opened) => opened,
        Err(error) => return world.violated("restart", format!("the store does not open: {error}")),
    };
    world.note("control", format!("starts at revision {}", store.snapshot().revision()));
    check::restarted(world, &store.snapshot());
    let environment = Environment {
        settings: settings(),
        now: Arc::new({
            let world = Arc::clone(world);
            move || world.now()
        }),
        seed: Arc::new({
            let world = Arc::clone(world);
            move || world.seed()
        }),
    };
    let backend = Backend { store: store.clone(), logs: logs(), manifests: Arc::new(NoImages) };
    let (agents, new_agents) = mpsc::unbounded_channel();
    let (balancers, new_balancers) = mpsc::unbounded_channel();
    let (resets, wanted_resets) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    tasks.spawn(disk(Arc::clone(world), store.clone(), stepper));
    tasks.spawn(driver::run(store.clone(), environment.clone(), std::future::pending()));
    tasks.spawn(serve_agents(Arc::clone(world), store.clone(), environment.clone(), new_agents, wanted_resets));
    tasks.spawn(balancer::serve(Arc::clone(world), store.clone(), new_balancers));
    tasks.spawn(set_up(store.clone(), environment.clone()));
    if world.has(Bug::EagerScheduler) {
        tasks.spawn(crate::rogue::eager(Arc::clone(world), store.clone()));
    }
    *lock(&world.control) = Some(Process { store, environment, backend, tasks, agents, balancers, resets });
}

async fn set_up(store: Store, environment: Environment) {
    loop {
        let cx = environment.cx(scope());
        let made = routes::write(&store, move |tx| {
            ec2::default_vpc::ensure(tx, &cx);
            Ok(())
        });
        if made.await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Ends the control plane as `kill -9` does. What was not durable is gone.
pub fn crash(world: &World, why: &str) {
    if let Some(process) = lock(&world.control).take() {
        world.note("fault", format!("the control plane is killed {why}"));
        drop(process);
    }
}

/// Runs transactions, a few at a time, each after the time that a disk takes.
async fn disk(world: Arc<World>, store: Store, mut stepper: Stepper) {
    while stepper.ready().await {
        world.delay(world.policy.commit_ms).await;
        let before = store.snapshot();
        let jobs = stepper.step(usize::try_from(world.policy.commit_jobs).unwrap_or(1));
        check::committed(&world, &before, &store, jobs);
        if world.fault(world.policy.crash_at_commit, 1000) {
            crash(&world, "after a commit, before its answer");
        }
    }
}

/// The disk of the control plane.
struct Disk {
    world: Arc<World>,
    inner: MemoryEngine,
    lie: OnceCell<()>,
}

impl Engine for Disk {
    fn meta(&mut self) -> Result<Meta, StoreError> {
        self.inner.meta()
    }

    fn load(&mut self, row: &mut RowVisitor<'_>) -> Result<(), StoreError> {
        self.inner.load(row)
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        if self.world.has(Bug::LyingDisk)
            && batch.changes.iter().any(|change| change.table == "ecs-tasks")
            && self.world.fault(50, 1000)
            && self.lie.set(()).is_ok()
        {
            return Ok(());
        }
        let done = self.inner.commit(batch);
        if done.is_err() {
            self.world.note("control", "a commit fails");
        }
        done
    }
}

/// One agent after the other, as the server does.
async fn serve_agents(
    world: Arc<World>,
    store: Store,
    environment: Environment,
    mut agents: mpsc::UnboundedReceiver<Connection>,
    mut resets: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
) {
    while let Some(agent) = agents.recv().await {
        world.note("control", "the agent is connected");
        let (acks, acked) = mpsc::unbounded_channel();
        let (done, resets_done) = mpsc::unbounded_channel();
        tokio::select! {
            biased;
            () = read(&world, &store, &environment, agent.up, acks, done) => {}
            () = write(&world, &store, &agent.down, acked, &mut resets, resets_done) => {}
        }
        world.note("control", "the agent is gone");
    }
}

async fn read(
    world: &Arc<World>,
    store: &Store,
    environment: &Environment,
    mut up: mpsc::UnboundedReceiver<FromAgent>,
    acks: mpsc::UnboundedSender<u64>,
    resets_done: mpsc::UnboundedSender<u64>,
) {
    let (observations, observed) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    tasks.spawn(store_observations(Arc::clone(world), store.clone(), environment.clone(), observed));
    while let Some(message) = up.recv().await {
        match message {
            FromAgent::Observed(seen) => {
                let _ = observations.send(seen);
            }
            FromAgent::Logs(batch) => {
                let number = batch.batch;
                keep_lines(world, batch);
                let _ = acks.send(number);
            }
            FromAgent::ResetDone { token } => {
                let _ = resets_done.send(token);
            }
            // The workload has no secrets in its definitions.
            FromAgent::Hello { .. } | FromAgent::Secrets { .. } | FromAgent::TaskProtection { .. } => {}
        }
    }
}

fn keep_lines(world: &World, batch: LogBatch) {
    let mut checks = lock(&world.checks);
    let stream = checks.lines_kept.entry(batch.stream).or_default();
    stream.extend(batch.events.into_iter().map(|(_, line)| line));
}

async fn store_observations(
    world: Arc<World>,
    store: Store,
    environment: Environment,
    mut observed: mpsc::UnboundedReceiver<Vec<TaskObservation>>,
) {
    while let Some(mut seen) = observed.recv().await {
        while let Ok(more) = observed.try_recv() {
            seen.extend(more);
        }
        let raw = seen.clone();
        let kept = crate::rogue::before_observations(&world, &store, &raw);
        while observe::apply(&store, &environment, seen.clone()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        crate::rogue::after_observations(&world, &store, raw, kept).await;
    }
}

async fn write(
    world: &Arc<World>,
    store: &Store,
    down: &pipe::Sender<ToAgent>,
    mut acks: mpsc::UnboundedReceiver<u64>,
    resets: &mut mpsc::UnboundedReceiver<oneshot::Sender<()>>,
    mut resets_done: mpsc::UnboundedReceiver<u64>,
) {
    let generation = || u64::try_from(world.now().0).unwrap_or(0);
    let (mut feed, first) = Feed::start(store, &"local".into(), generation);
    let mut watcher = feed.watch(store);
    let welcome = Welcome {
        hop_password: String::new(),
        api_url: "http://127.0.0.1:4566".to_owned(),
        registry_suffixes: vec![],
        registry_auth: ("AWS".to_owned(), String::new()),
        ask_before_start: false,
    };
    down.send(ToAgent::Welcome(welcome));
    for message in first {
        down.send(message);
    }
    let mut waiting: HashMap<u64, oneshot::Sender<()>> = HashMap::new();
    let mut token = 0;
    loop {
        let mut messages = Vec::new();
        tokio::select! {
            biased;
            wake = watcher.changed() => {
                if wake.is_none() {
                    return;
                }
                messages.extend(feed.next(store, generation));
            }
            Some(batch) = acks.recv() => messages.push(ToAgent::LogAck { batch }),
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
        for message in messages {
            if !down.send(message) {
                return;
            }
        }
    }
}

/// Why a client has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAnswer {
    /// Nobody listens: nothing was done.
    Down,
    /// The request, or its answer, was lost: nobody knows.
    Lost,
}

/// An API call over a network that loses answers.
pub async fn call(world: &Arc<World>, service: &str, operation: &str, body: &str) -> Result<Response, NoAnswer> {
    world.delay((0, 10)).await;
    let (reply, answer) = oneshot::channel();
    {
        let mut control = lock(&world.control);
        let Some(process) = control.as_mut() else { return Err(NoAnswer::Down) };
        let running = run(process, service, operation, body);
        process.tasks.spawn(async move {
            let _ = reply.send(running.await);
        });
    }
    let answer = answer.await.map_err(|_| NoAnswer::Lost)?;
    world.delay((0, 10)).await;
    if world.fault(world.policy.lost_answers, 1000) {
        return Err(NoAnswer::Lost);
    }
    Ok(answer)
}

fn run(process: &Process, service: &str, operation: &str, body: &str) -> routes::Answer {
    let schema = longshore_aws_model::SERVICES
        .iter()
        .find(|s| s.name == service)
        .and_then(|s| s.operation(operation))
        .expect("the workload names operations that are served");
    let scope = scope();
    let caller = Caller::root(&scope, "test");
    let environment = &process.environment;
    let cx = Cx::new(scope, environment.now(), caller, Arc::clone(&environment.settings), (environment.seed)());
    let request = Request {
        operation: schema,
        protocol: Protocol::Json11,
        payload: body.as_bytes().to_vec(),
        head: Default::default(),
    };
    all_routes().run(process.backend.clone(), cx, request)
}

/// What `POST /_longshore/state/reset` does: every row goes, then everything on the node, and the default VPC is made again.
pub async fn reset(world: &Arc<World>) {
    let (store, environment, resets) = {
        let control = lock(&world.control);
        let Some(process) = control.as_ref() else { return };
        (process.store.clone(), process.environment.clone(), process.resets.clone())
    };
    world.note("client", "resets everything");
    world.count_reset();
    let cleared = store.write(|tx| {
        tx.clear();
        Ok::<_, ()>(())
    });
    if !matches!(cleared.await, Ok(Ok(()))) {
        world.note("client", "the reset failed");
        return;
    }
    let (done, wait) = oneshot::channel();
    if resets.send(done).is_ok() {
        let _ = tokio::time::timeout(Duration::from_secs(30), wait).await;
    }
    set_up(store, environment).await;
    world.note("client", "the reset is done");
}

/// Two pipes from an agent to the control plane that lives now.
pub fn connect(world: &Arc<World>) -> Option<(pipe::Sender<FromAgent>, mpsc::UnboundedReceiver<ToAgent>)> {
    let agents = lock(&world.control).as_ref()?.agents.clone();
    let (to_control, up) = pipe(world);
    let (down, from_control) = pipe(world);
    agents.send(Connection { up, down }).ok()?;
    Some((to_control, from_control))
}

struct NoImages;

impl Manifests for NoImages {
    fn read<'a>(&'a self, _: &'a Scope, _: &'a str, _: &'a str) -> Later<'a, std::io::Result<Option<Vec<u8>>>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn put<'a>(&'a self, _: &'a Scope, _: &'a str, _: NewImage) -> Later<'a, Result<PutImage, PutImageError>> {
        Box::pin(std::future::ready(Err(PutImageError::RepositoryNotFound)))
    }

    fn blob_size<'a>(&'a self, _: &'a Scope, _: &'a str, _: &'a str) -> Later<'a, std::io::Result<Option<u64>>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn begin_upload<'a>(&'a self, _: &'a Scope, _: &'a str) -> Later<'a, Result<String, LayerUploadError>> {
        Box::pin(std::future::ready(Err(LayerUploadError::RepositoryNotFound)))
    }

    fn append_upload<'a>(
        &'a self,
        _: &'a Scope,
        _: &'a str,
        _: &'a str,
        _: u64,
        _: Vec<u8>,
    ) -> Later<'a, Result<(), LayerUploadError>> {
        Box::pin(std::future::ready(Err(LayerUploadError::Unknown)))
    }

    fn finish_upload<'a>(
        &'a self,
        _: &'a Scope,
        _: &'a str,
        _: &'a str,
        _: &'a str,
    ) -> Later<'a, Result<(), LayerUploadError>> {
        Box::pin(std::future::ready(Err(LayerUploadError::Unknown)))
    }

    fn check_upstream<'a>(&'a self, _: &'a Scope, _: &'a PullThroughRule) -> Later<'a, Result<(), String>> {
        Box::pin(std::future::ready(Err("there is no network".to_owned())))
    }

    fn forget_repository<'a>(&'a self, _: &'a Scope, _: &'a str) -> Later<'a, std::io::Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

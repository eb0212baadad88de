//! The control plane: the real store, handlers, controllers and feed. It can be killed between any two steps.

use crate::bug::Bug;
use crate::images::Registry;
use crate::pipe::{self, pipe};
use crate::world::{World, lock};
use crate::{balancer, check};
use longshore_api::ecs::environment_files::ObjectError;
use longshore_api::ecs::spot;
use longshore_api::identity::{Authority, RootKey};
use longshore_api::routes::Request;
use longshore_api::{Backend, Caller, Cx, Routes, Settings, ec2, routes};
use longshore_aws_model::Protocol;
use longshore_aws_wire::Response;
use longshore_controllers::agent_link::{self, Generations, Incoming, Outgoing, Resets};
use longshore_controllers::{Environment, driver, observe};
use longshore_store::engine::{Batch, Engine, MemoryEngine, Meta, RowVisitor};
use longshore_store::{Stepper, Store, StoreError};
use longshore_telemetry::logs::LogStore;
use longshore_types::Scope;
use longshore_types::ecs::StopCode;
use longshore_types::id::TaskId;
use longshore_types::link::{ApiAnswer, FromAgent, LogBatch, ProtectionUpdate, ToAgent, Welcome};
use longshore_types::node::TaskObservation;
use std::cell::OnceCell;
use std::io;
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

fn settings(world: &World) -> Arc<Settings> {
    let root = || RootKey { access_key_id: "AKIAROOT".to_owned(), secret_access_key: String::new() };
    // Clients are the account itself and may do anything; what a task's role may do is asked.
    let authority = world.policy.authority.then(|| Arc::new(Authority::new(root())));
    Arc::new(Settings { authority, ..Settings::made_up() })
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
        settings: settings(world),
        now: Arc::new({
            let world = Arc::clone(world);
            move || world.now()
        }),
        seed: Arc::new({
            let world = Arc::clone(world);
            move || world.seed()
        }),
    };
    let registry = Registry { world: Arc::clone(world), store: store.clone() };
    let backend = Backend { store: store.clone(), logs: logs(), manifests: Arc::new(registry) };
    let (agents, new_agents) = mpsc::unbounded_channel();
    let (balancers, new_balancers) = mpsc::unbounded_channel();
    let (resets, wanted_resets) = mpsc::unbounded_channel();
    let mut tasks = JoinSet::new();
    tasks.spawn(disk(Arc::clone(world), store.clone(), stepper));
    tasks.spawn(driver::run(store.clone(), environment.clone(), std::future::pending()));
    let host = Host { world: Arc::clone(world), store: store.clone(), environment: environment.clone() };
    tasks.spawn(serve_agents(host, new_agents, wanted_resets));
    tasks.spawn(balancer::serve(store.clone(), new_balancers));
    tasks.spawn(set_up(store.clone(), environment.clone()));
    if let Some(bug) = world.bug {
        tasks.spawn(crate::rogue::run(bug, Arc::clone(world), store.clone(), environment.clone()));
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
        check::written(&self.world, batch);
        let done = self.inner.commit(batch);
        if done.is_err() {
            self.world.note("control", "a commit fails");
            let mut checks = lock(&self.world.checks);
            checks.doubtful |= checks.keeps_failures;
        }
        done
    }
}

/// One agent after the other, as the server does.
async fn serve_agents(host: Host, mut agents: mpsc::UnboundedReceiver<Connection>, mut resets: Resets) {
    // As one begins whose clock is wrong by all of its time.
    let generations = Generations::default();
    while let Some(agent) = agents.recv().await {
        host.world.note("control", "the agent is connected");
        let _ = agent_link::serve(&host, Up(agent.up), Down(agent.down), &mut resets, &generations).await;
        host.world.note("control", "the agent is gone");
    }
}

/// What the real conversation with an agent needs of a server.
#[derive(Clone)]
struct Host {
    world: Arc<World>,
    store: Store,
    environment: Environment,
}

impl agent_link::Host for Host {
    fn store(&self) -> &Store {
        &self.store
    }

    fn environment(&self) -> &Environment {
        &self.environment
    }

    fn welcome(&self) -> Welcome {
        Welcome {
            api_url: self.environment.settings.api_url.clone(),
            registry_suffixes: vec![".amazonaws.com".to_owned()],
            registry_auth: ("AWS".to_owned(), String::new()),
            hop_password: String::new(),
            ask_before_start: self.environment.settings.authority.is_some(),
        }
    }

    fn read_object(&self, _: &str, _: &str) -> Result<Vec<u8>, ObjectError> {
        Err(ObjectError::NoSuchBucket)
    }

    /// Containers are pretence and ask for nothing.
    async fn task_protection(&self, _: Scope, _: TaskId, _: Option<ProtectionUpdate>) -> ApiAnswer {
        ApiAnswer { status: 400, request_id: String::new(), body: String::new() }
    }

    async fn keep_lines(&self, batch: LogBatch) {
        self.world.delay((0, 3)).await;
        let mut checks = lock(&self.world.checks);
        let stream = checks.lines_kept.entry(batch.stream).or_default();
        stream.extend(batch.events.into_iter().map(|(_, line)| line));
    }

    async fn observed(&self, seen: Vec<TaskObservation>) -> Result<(), StoreError> {
        let kept = crate::rogue::before_observations(&self.world, &self.store, &seen);
        observe::apply(&self.store, &self.environment, seen.clone()).await?;
        crate::rogue::after_observations(&self.world, &self.store, seen, kept).await;
        Ok(())
    }
}

struct Up(mpsc::UnboundedReceiver<FromAgent>);

impl Incoming for Up {
    async fn next(&mut self) -> io::Result<Option<FromAgent>> {
        Ok(self.0.recv().await)
    }
}

struct Down(pipe::Sender<ToAgent>);

impl Outgoing for Down {
    async fn send(&mut self, messages: &[ToAgent]) -> io::Result<()> {
        match messages.iter().all(|message| self.0.send(message.clone())) {
            true => Ok(()),
            false => Err(io::ErrorKind::BrokenPipe.into()),
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

/// What the developer's endpoint for Spot interruptions does.
pub async fn interrupt(world: &Arc<World>, task: &str) -> Result<bool, NoAnswer> {
    let store = lock(&world.control).as_ref().map(|process| process.store.clone()).ok_or(NoAnswer::Down)?;
    let (id, bug) = (task.rsplit('/').next().unwrap_or(task).to_owned(), world.has(Bug::SilentInterruption));
    let done = async move {
        routes::write(&store, move |tx| {
            spot::interrupt(tx, &scope(), &id)?;
            if bug {
                let key = (scope(), id.as_str().into());
                tx.tasks().update(&key, |task| task.stop_code = Some(StopCode::UserInitiated));
            }
            Ok(())
        })
        .await
    };
    // Dropped with the process, as a connection is.
    let (reply, answer) = oneshot::channel();
    if let Some(process) = lock(&world.control).as_mut() {
        process.tasks.spawn(async move {
            let _ = reply.send(done.await);
        });
    }
    let done = match answer.await {
        Ok(Ok(())) => Ok(true),
        Ok(Err(error)) if error.http_status == Some(500) => Err(NoAnswer::Lost),
        Ok(Err(_)) => Ok(false),
        Err(_) => Err(NoAnswer::Lost),
    };
    world.note(
        "world",
        format!("{} is interrupted: {done:?}", world.task(&task.rsplit('/').next().unwrap_or(task).into())),
    );
    done
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
    lock(&world.checks).reset_is_due = true;
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
    lock(&world.checks).reset_is_due = false;
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

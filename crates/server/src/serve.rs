//! Role `server`: store, API, controllers, registry, and the links to agent and balancer.

use crate::config::{Auth, Config, Runtime, Throttling};
use crate::threads::Threads;
use crate::upstream::Upstream;
use crate::{agent_link, balancer_link, catalogue, credentials, edge, hosts, process, simulated};
use anyhow::Context;
use longshore_api::identity::Authority;
use longshore_api::vault::{self, Vault};
use longshore_api::{Backend, Settings, routes};
use longshore_controllers::{Environment, driver};
use longshore_registry::Registry;
use longshore_store::Store;
use longshore_store::tables::{LoadBalancers, Repositories};
use longshore_telemetry::logs::LogStore;
use longshore_types::Timestamp;
use std::cell::RefCell;
use std::fs::File;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::task::JoinSet;

/// Everything the server's tasks share.
#[derive(Clone)]
pub struct Server {
    pub config: Arc<Config>,
    pub settings: Arc<Settings>,
    pub environment: Environment,
    pub backend: Backend,
    pub routes: Arc<longshore_api::Routes>,
    pub registry: Registry,
    /// What the throttle's clock counts from.
    pub started: Instant,
    /// None unless asked for.
    pub throttle: Option<Arc<longshore_api::Throttle>>,
    pub agent: agent_link::Handle,
    /// What bodies under way may take together.
    pub bodies: crate::body::Bodies,
}

/// Threads that answer requests, beside the one for controllers and links and the store's. One answers while another computes;
/// more would cost memory and win nothing.
const EDGE_THREADS: usize = 2;

pub fn run(config: Config) -> anyhow::Result<ExitCode> {
    process::write_pid(&config.run_dir, "server")?;
    process::current_thread()?.block_on(serve(config))?;
    Ok(ExitCode::SUCCESS)
}

pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(since.as_millis() as i64)
}

/// Random numbers, of which a thread asks the kernel for many at a time: every call needs one.
pub fn seed() -> u128 {
    thread_local!(static DRAWN: RefCell<Vec<u128>> = const { RefCell::new(Vec::new()) });
    DRAWN.with_borrow_mut(|drawn| {
        if let Some(seed) = drawn.pop() {
            return seed;
        }
        let mut bytes = [0; 1024];
        getrandom::fill(&mut bytes).expect("the kernel has randomness");
        let (seeds, _) = bytes.as_chunks();
        drawn.extend(seeds[1..].iter().map(|seed| u128::from_ne_bytes(*seed)));
        u128::from_ne_bytes(seeds[0])
    })
}

async fn serve(config: Config) -> anyhow::Result<()> {
    // Made in open mode, too, so that the same key is good when the mode changes.
    let root = credentials::read_or_make(&config)?;
    let authority = (config.auth == Auth::Iam).then(|| Arc::new(Authority::new(root)));
    let settings = Arc::new(Settings {
        account: config.account.as_str().into(),
        region: config.region.as_str().into(),
        api_url: config.api_url(),
        load_balancer_pool: config.load_balancer_pool().parse()?,
        public_pool: config.public_pool().parse()?,
        authority,
        registry_secret: registry_secret(&config)?,
        vault: vault(&config.data_dir)?,
    });
    let environment = Environment { settings: Arc::clone(&settings), now: Arc::new(now), seed: Arc::new(seed) };
    // Before anything is opened that another server may have open.
    let listener = TcpListener::bind(config.listen).with_context(|| {
        format!("cannot listen on {}: is another Longshore, or LocalStack, running?", config.listen)
    })?;
    let store = Store::open(config.data_dir.join("store.redb"))?;
    let logs = Arc::new(LogStore::open(config.data_dir.join("logs"))?);
    let upstream = Upstream::new(store.clone());
    let view = catalogue::StoreCatalogue::new(store.clone(), Arc::clone(&settings), upstream.clone());
    let registry = Registry::open(&config.data_dir.join("registry"), Arc::new(view), Default::default())?;
    let backend = Backend {
        store: store.clone(),
        logs,
        manifests: Arc::new(catalogue::RegistryManifests::new(registry.clone(), upstream)),
    };
    if let Err(error) = longshore_api::logs::sweep(&backend).await {
        tracing::warn!(%error, "events of deleted log streams could not be removed");
    }
    let (agent, agent_side) = agent_link::Handle::new();
    let throttle = (config.throttle == Throttling::Aws).then(Arc::default);
    let server = Server {
        config: Arc::new(config),
        throttle,
        started: Instant::now(),
        settings,
        environment: environment.clone(),
        backend,
        routes: Arc::new(longshore_api::routes()),
        registry,
        agent,
        bodies: Default::default(),
    };

    let mut ids = longshore_types::IdSource::new((server.environment.seed)());
    let completed = routes::write(&server.backend.store, move |tx| {
        longshore_api::ec2::default_vpc::make_implied_rows(tx, &mut ids);
        Ok(())
    });
    completed.await?;
    edge::initialize(&server, server.settings.region.clone()).await?;
    let answering = server.clone();
    let threads = Threads::start(EDGE_THREADS, move |stream| edge::serve(answering.clone(), stream))?;
    edge::accept(threads.clone(), listener)?;
    if server.config.runtime != Runtime::None {
        let address = server.config.registry_address();
        match TcpListener::bind((address, 80)) {
            Ok(listener) => edge::accept(threads, listener)?,
            Err(error) => {
                tracing::warn!(%error, "the registry's own address {address}:80 is taken; use {}/<repository> instead", server.config.listen)
            }
        }
    }

    // Clients are answered from here on; what there is to do after a restart is done beside that.
    let mut tasks = JoinSet::new();
    tasks.spawn(driver::run(store.clone(), environment, std::future::pending()));
    if server.config.runtime == Runtime::None {
        tasks.spawn(simulated::run(server.clone(), agent_side));
    } else {
        tasks.spawn(agent_link::run(server.clone(), agent_side)?);
        tasks.spawn(balancer_link::run(server.clone()));
    }
    tasks.spawn(prune_logs(server.clone()));
    let registry = server.registry.clone();
    tasks.spawn(async move { registry.run(std::future::pending()).await });
    if server.config.manage_hosts {
        tasks.spawn(keep_hosts(server.clone()));
    }
    tokio::select! {
        () = process::asked_to_stop() => {}
        Some(ended) = tasks.join_next() => tracing::error!(?ended, "a part of the server ended"),
    }
    tasks.shutdown().await;
    // Threads that answer hold it, too. A file that is not closed in order is checked at the next start, which takes longer.
    store.close();
    Ok(())
}

/// A key made once per data directory.
fn registry_secret(config: &Config) -> anyhow::Result<String> {
    let path = config.data_dir.join("registry.secret");
    if let Ok(text) = std::fs::read_to_string(&path)
        && text.len() == 64
    {
        return Ok(text);
    }
    let text = format!("{:032x}{:032x}", seed(), seed());
    let temporary = path.with_extension("new");
    std::fs::write(&temporary, &text)?;
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&temporary, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&temporary, &path)?;
    Ok(text)
}

/// The key that seals secrets, made once per data directory. One that is there and is none is never replaced: what it
/// sealed would be lost.
fn vault(data_dir: &Path) -> anyhow::Result<Vault> {
    let path = data_dir.join("secrets.key");
    let key = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let mut key = vec![0; vault::KEY_BYTES];
            getrandom::fill(&mut key).expect("the kernel has randomness");
            let temporary = path.with_extension("new");
            let _ = std::fs::remove_file(&temporary);
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(&key)?;
            file.sync_all()?;
            std::fs::rename(&temporary, &path)?;
            File::open(data_dir)?.sync_all()?;
            key
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let length = key.len();
    let key: [u8; vault::KEY_BYTES] = key.try_into().map_err(|_| {
        anyhow::anyhow!(
            "{} has {length} bytes instead of {}: it is damaged, and the secrets sealed with it need it",
            path.display(),
            vault::KEY_BYTES
        )
    })?;
    Ok(Vault::new(&key))
}

/// Removes log events that are older than their group's retention.
async fn prune_logs(server: Server) {
    let mut tick = tokio::time::interval(Duration::from_secs(600));
    loop {
        tick.tick().await;
        if let Err(error) = longshore_api::logs::prune(&server.backend, now()).await {
            tracing::warn!(%error, "old log events could not be removed");
        }
    }
}

/// Keeps the names of internet-facing load balancers and of the registry in /etc/hosts.
async fn keep_hosts(server: Server) {
    let mut watcher = server.backend.store.watch().on::<LoadBalancers>().on::<Repositories>();
    loop {
        let names = server.backend.store.read(|state| {
            let registry = |account: &str, region: &str| {
                (format!("{account}.dkr.ecr.{region}.amazonaws.com"), server.config.registry_address())
            };
            let mut names = vec![registry(server.settings.account.as_str(), server.settings.region.as_str())];
            names.extend(
                state
                    .repositories()
                    .all()
                    .keys()
                    .map(|(scope, _)| registry(scope.account.as_str(), scope.region.as_str())),
            );
            names.extend(state.load_balancers().all().filter_map(|lb| Some((lb.dns_name.clone(), lb.host_address?))));
            names.sort();
            names.dedup();
            names
        });
        if let Err(error) = hosts::write(&server.config.run_dir, &names) {
            tracing::warn!(error = format!("{error:#}"), "names could not be written");
        }
        if watcher.changed().await.is_none() {
            return;
        }
    }
}

//! Role `balancer`: load balancers and VPC resolvers. It goes on when everything else stops.
//!
//! One socket, two kinds of message in: `{"config": …}` for the load balancers, `{"dns": …}` for the resolvers. Both are
//! kept in the run directory, so that a balancer that is started again serves before anybody speaks to it.

use crate::config::Config;
use crate::process;
use longshore_balancer::link::{Event, Link};
use longshore_balancer::{Balancer, REPORT_SLOT, RunOptions, answer, report_line};
use longshore_dns::{DnsConfig, Sockets};
use longshore_network::namespace::path_of;
use longshore_network::{RESOLVER, tcp_listener_in, udp_socket_in};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Names of every VPC.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ResolverConfig {
    pub generation: u64,
    /// By VPC id.
    pub vpcs: BTreeMap<String, DnsConfig>,
}

/// What concerns the resolvers in a message.
#[derive(Deserialize)]
struct Incoming {
    #[serde(default)]
    dns: Option<ResolverConfig>,
}

pub fn run(config: Config) -> anyhow::Result<ExitCode> {
    process::write_pid(&config.run_dir, "balancer")?;
    process::current_thread()?.block_on(serve(config))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let mut options = RunOptions::in_directory(&config.run_dir);
    // As other programs are told which certificates to trust.
    options.balancer.trusted_certificates = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let mut link = Link::listen(&options.socket)?;
    let balancer = Balancer::start(&options.balancer).await?;
    let mut resolvers = Resolvers::new(&config.run_dir);
    let mut reports = balancer.reports();
    let mut retry = tokio::time::interval(Duration::from_millis(250));
    let mut shutdown = std::pin::pin!(process::asked_to_stop());
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            event = link.next() => match event {
                Event::Connected(peer) => {
                    link.send(peer, None, &resolvers.line());
                    let line = report_line(&reports.borrow_and_update());
                    link.send(peer, REPORT_SLOT, &line);
                }
                Event::Line(peer, line) => {
                    if let Ok(Incoming { dns: Some(dns) }) = serde_json::from_str(&line) {
                        resolvers.apply(dns);
                    } else if let Some(refusal) = answer(&balancer, &line).await {
                        link.send(peer, None, &refusal);
                    }
                }
                Event::Disconnected(_) => {}
            },
            changed = reports.changed() => {
                if changed.is_err() {
                    break;
                }
                let line = report_line(&reports.borrow_and_update());
                link.broadcast(REPORT_SLOT, &line);
            }
            // A VPC's namespace is made by the agent, which may be slower than the names.
            _ = retry.tick(), if resolvers.are_missing() => resolvers.start_missing(),
        }
    }
    Ok(())
}

struct Resolvers {
    run_dir: PathBuf,
    config: ResolverConfig,
    running: HashMap<String, (watch::Sender<Arc<DnsConfig>>, JoinHandle<std::io::Result<()>>)>,
    upstreams: Vec<SocketAddr>,
}

impl Resolvers {
    fn new(run_dir: &Path) -> Self {
        let file = std::fs::read(run_dir.join("dns.json")).ok();
        let config = file.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        Self { run_dir: run_dir.to_owned(), config, running: HashMap::new(), upstreams: upstreams() }
    }

    /// What a control plane hears first: later names must be of a later generation.
    fn line(&self) -> Arc<str> {
        serde_json::json!({ "dns": { "generation": self.config.generation } }).to_string().into()
    }

    fn apply(&mut self, config: ResolverConfig) {
        if config.generation < self.config.generation {
            return;
        }
        let path = self.run_dir.join("dns.json");
        let temporary = path.with_extension("json.new");
        let kept = serde_json::to_vec(&config).map_err(std::io::Error::from);
        if let Err(error) =
            kept.and_then(|bytes| std::fs::write(&temporary, bytes)).and_then(|()| std::fs::rename(&temporary, &path))
        {
            tracing::warn!(%error, "the names could not be kept for a restart");
        }
        self.running.retain(|vpc, (sender, task)| match config.vpcs.get(vpc) {
            Some(names) if !task.is_finished() => {
                sender.send_replace(Arc::new(names.clone()));
                true
            }
            _ => {
                task.abort();
                false
            }
        });
        self.config = config;
        self.start_missing();
    }

    fn are_missing(&self) -> bool {
        self.running.len() < self.config.vpcs.len()
    }

    fn start_missing(&mut self) {
        for (vpc, names) in &self.config.vpcs {
            if self.running.contains_key(vpc) {
                continue;
            }
            let Some(block) = names.vpc_blocks.first() else { continue };
            let own = Ipv4Addr::from(u32::from(block.address) + 2);
            match sockets(&path_of(&self.run_dir, vpc), own) {
                Ok(sockets) => {
                    let (sender, receiver) = watch::channel(Arc::new(names.clone()));
                    let task = tokio::spawn(longshore_dns::run(
                        receiver,
                        sockets,
                        self.upstreams.clone(),
                        std::future::pending(),
                    ));
                    self.running.insert(vpc.clone(), (sender, task));
                }
                Err(error) => tracing::debug!(%error, vpc, "a resolver cannot listen yet"),
            }
        }
    }
}

fn sockets(namespace: &Path, own: Ipv4Addr) -> Result<Sockets, longshore_network::NamespaceError> {
    let mut sockets = Sockets { udp: vec![], tcp: vec![] };
    for address in [own, RESOLVER] {
        let address = SocketAddr::from((address, 53));
        sockets.udp.push(udp_socket_in(namespace, address)?);
        sockets.tcp.push(tcp_listener_in(namespace, address)?);
    }
    Ok(sockets)
}

/// The host's own resolvers.
fn upstreams() -> Vec<SocketAddr> {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let servers = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver")?.trim().parse().ok());
    servers.map(|address: std::net::IpAddr| SocketAddr::new(address, 53)).collect()
}

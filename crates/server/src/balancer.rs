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
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
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
    let mut resolvers = Resolvers::new(&config.run_dir, Path::new("/etc/resolv.conf"));
    let mut reports = balancer.reports();
    let mut tick = tokio::time::interval(Duration::from_millis(250));
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
            _ = tick.tick() => {
                resolvers.follow_host();
                resolvers.follow_namespaces();
            }
        }
    }
    Ok(())
}

struct Resolvers {
    run_dir: PathBuf,
    config: ResolverConfig,
    /// By VPC id.
    running: HashMap<String, Running>,
    /// The file that names the host's name servers.
    resolv_conf: PathBuf,
    upstreams: watch::Sender<Vec<SocketAddr>>,
}

/// A resolver at work. Ends when dropped.
struct Running {
    names: watch::Sender<Arc<DnsConfig>>,
    task: JoinHandle<std::io::Result<()>>,
    /// Of the namespace that its sockets are in.
    identity: Option<Identity>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Device and inode of a namespace: its file may be made anew for another one.
type Identity = (u64, u64);

fn identity_of(namespace: &Path) -> Option<Identity> {
    std::fs::metadata(namespace).ok().map(|file| (file.dev(), file.ino()))
}

impl Resolvers {
    fn new(run_dir: &Path, resolv_conf: &Path) -> Self {
        let file = std::fs::read(run_dir.join("dns.json")).ok();
        let config = file.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let resolvers = Self {
            run_dir: run_dir.to_owned(),
            config,
            running: HashMap::new(),
            resolv_conf: resolv_conf.to_owned(),
            upstreams: watch::Sender::default(),
        };
        resolvers.follow_host();
        resolvers
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
        self.running.retain(|vpc, running| match config.vpcs.get(vpc) {
            Some(names) => {
                running.names.send_replace(Arc::new(names.clone()));
                true
            }
            None => false,
        });
        self.config = config;
        self.follow_namespaces();
    }

    /// Asks the host's name servers as they are now: this process outlives many a change of network.
    fn follow_host(&self) {
        // One that cannot be read is being replaced: the next look finds it.
        if let Ok(text) = std::fs::read_to_string(&self.resolv_conf) {
            self.upstreams.send_replace(name_servers(&text));
        }
    }

    /// Makes every VPC's resolver answer in the VPC's namespace. The agent makes that, perhaps later than the names come,
    /// and perhaps anew while its resolver is at work.
    fn follow_namespaces(&mut self) {
        self.running.retain(|vpc, running| {
            !running.task.is_finished() && running.identity == identity_of(&path_of(&self.run_dir, vpc))
        });
        for (vpc, names) in &self.config.vpcs {
            if self.running.contains_key(vpc) {
                continue;
            }
            let Some(block) = names.vpc_blocks.first() else { continue };
            let own = Ipv4Addr::from(u32::from(block.address) + 2);
            let namespace = path_of(&self.run_dir, vpc);
            // Before the sockets are opened: they are of this namespace or a later one.
            let identity = identity_of(&namespace);
            match sockets(&namespace, own) {
                Ok(sockets) => {
                    let (sender, receiver) = watch::channel(Arc::new(names.clone()));
                    let task = tokio::spawn(longshore_dns::run(
                        receiver,
                        sockets,
                        self.upstreams.subscribe(),
                        std::future::pending(),
                    ));
                    self.running.insert(vpc.clone(), Running { names: sender, task, identity });
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

/// The name servers of a `resolv.conf`, in order.
fn name_servers(text: &str) -> Vec<SocketAddr> {
    let server = |line: &str| {
        let mut words = line.split(['#', ';']).next()?.split_whitespace();
        words.next().filter(|keyword| *keyword == "nameserver")?;
        // One with a zone is no address for this: it is passed over.
        let address: IpAddr = words.next()?.parse().ok()?;
        Some(SocketAddr::new(address, 53))
    };
    text.lines().filter_map(server).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_dns::Block;
    use std::io::ErrorKind;
    use std::process::{Child, Command};

    /// A namespace without links, in which any address can be bound; gone when dropped.
    struct Place(Child);

    impl Place {
        fn make() -> Place {
            let script = "echo 1 > /proc/sys/net/ipv4/ip_nonlocal_bind; exec sleep 60";
            Place(Command::new("unshare").args(["--net", "sh", "-c", script]).spawn().unwrap())
        }

        fn path(&self) -> PathBuf {
            PathBuf::from(format!("/proc/{}/ns/net", self.0.id()))
        }

        fn is_ready(&self) -> bool {
            let read = || std::fs::read_to_string("/proc/sys/net/ipv4/ip_nonlocal_bind").unwrap();
            identity_of(&self.path()) != identity_of(Path::new("/proc/self/ns/net"))
                && longshore_network::open_in_namespace(&self.path(), read).unwrap().trim() == "1"
        }

        /// Whether somebody has the resolver's address.
        fn is_served(&self) -> bool {
            match udp_socket_in(&self.path(), "10.0.0.2:53".parse().unwrap()) {
                Ok(_) => false,
                Err(longshore_network::NamespaceError::Socket { error, .. }) => error.kind() == ErrorKind::AddrInUse,
                Err(error) => panic!("{error}"),
            }
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    async fn eventually(condition: impl Fn() -> bool) {
        for _ in 0..500 {
            if condition() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("still not so after 5 s");
    }

    #[test]
    fn name_servers_are_read_past_comments_and_zones() {
        let text = "# nameserver 10.0.0.1\nnameserver 192.0.2.1 # ours\n nameserver\t192.0.2.2;theirs\nnameservers 10.0.0.2\n\
                    search example.com\nnameserver fe80::1%eth0\nnameserver here\nnameserver\nnameserver 192.0.2.3";
        let found: Vec<_> = name_servers(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["192.0.2.1:53", "192.0.2.2:53", "192.0.2.3:53"]);
    }

    #[test]
    fn the_name_servers_of_the_host_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("resolv.conf");
        let resolvers = Resolvers::new(folder.path(), &file);
        let upstreams = resolvers.upstreams.subscribe();
        for server in ["192.0.2.1", "192.0.2.2"] {
            std::fs::write(&file, format!("nameserver {server}\n")).unwrap();
            resolvers.follow_host();
            assert_eq!(*upstreams.borrow(), [SocketAddr::new(server.parse().unwrap(), 53)]);
        }
        std::fs::remove_file(&file).unwrap();
        resolvers.follow_host();
        assert_eq!(upstreams.borrow().len(), 1, "those it had");
    }

    #[tokio::test]
    async fn a_resolver_follows_its_vpc_into_a_new_namespace() {
        let run_dir = tempfile::tempdir().unwrap();
        let path = path_of(run_dir.path(), "vpc-1");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let (old, new) = (Place::make(), Place::make());
        eventually(|| old.is_ready() && new.is_ready()).await;
        let block = Block { address: Ipv4Addr::new(10, 0, 0, 0), prefix: 16 };
        let names = DnsConfig { vpc_blocks: vec![block], ..DnsConfig::default() };
        let config = ResolverConfig { generation: 1, vpcs: BTreeMap::from([("vpc-1".to_owned(), names)]) };
        let mut resolvers = Resolvers::new(run_dir.path(), Path::new("/none"));
        resolvers.apply(config);
        assert!(resolvers.running.is_empty(), "there is no namespace yet");

        for (place, former) in [(&old, None), (&new, Some(&old))] {
            let _ = std::fs::remove_file(&path);
            std::os::unix::fs::symlink(place.path(), &path).unwrap();
            resolvers.follow_namespaces();
            eventually(|| place.is_served() && former.is_none_or(|former| !former.is_served())).await;
        }
        resolvers.apply(ResolverConfig { generation: 2, vpcs: BTreeMap::new() });
        eventually(|| !new.is_served()).await;
    }
}

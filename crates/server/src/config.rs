//! One instance's configuration: from the command line to the roles, by a file in the run directory.

use crate::cli::Options;
use anyhow::{Context, bail};
use longshore_agent::UserNamespaces;
use longshore_network::NetworkOptions;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Config {
    pub data_dir: PathBuf,
    pub run_dir: PathBuf,
    pub listen: SocketAddr,
    pub account: String,
    pub region: String,
    pub manage_hosts: bool,
    pub runtime: Runtime,
    #[serde(default)]
    pub auth: Auth,
    #[serde(default)]
    pub user_namespaces: UserNamespaces,
    #[serde(default)]
    pub throttle: Throttling,
}

/// Whether clients are held to rates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Throttling {
    /// As fast as it goes.
    #[default]
    Off,
    /// The rates that AWS documents.
    Aws,
}

/// Whether requests are believed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// Every key is the account's own.
    #[default]
    Open,
    /// Signatures are verified, policies evaluated.
    Iam,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Runtime {
    Builtin,
    External(PathBuf),
    /// Simulated tasks.
    None,
}

const FILE: &str = "config.json";

impl Config {
    pub fn new(options: Options) -> anyhow::Result<Self> {
        let runtime = match options.runtime.as_str() {
            "builtin" => Runtime::Builtin,
            "none" => Runtime::None,
            path if path.starts_with('/') => {
                if !Path::new(path).is_file() {
                    bail!("--runtime {path}: there is no such program");
                }
                Runtime::External(path.into())
            }
            other => bail!("--runtime {other}: give builtin, none, or the absolute path of an OCI runtime"),
        };
        if !options.listen.ip().is_loopback() && options.auth == Auth::Open {
            bail!(
                "--listen {}: with --auth open Longshore obeys anybody who can connect, so it listens on loopback addresses only; give --auth iam to listen elsewhere",
                options.listen
            );
        }
        let user_namespaces = options.user_namespaces.into();
        if user_namespaces == UserNamespaces::On && runtime != Runtime::Builtin {
            bail!("--user-namespaces on needs --runtime builtin");
        }
        Ok(Self {
            user_namespaces,
            data_dir: std::path::absolute(options.data_dir)?,
            run_dir: run_dir(&options.place.run_dir)?,
            listen: options.listen,
            account: options.account,
            region: options.region,
            manage_hosts: !options.no_hosts && runtime != Runtime::None,
            runtime,
            auth: options.auth,
            throttle: options.throttle,
        })
    }

    pub fn read(run_dir: &Path) -> anyhow::Result<Self> {
        let path = run_dir.join(FILE);
        let bytes =
            std::fs::read(&path).with_context(|| format!("no Longshore has been started in {}", run_dir.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))
    }

    pub fn write(&self) -> anyhow::Result<()> {
        let (path, temporary) = (self.run_dir.join(FILE), self.run_dir.join("config.json.new"));
        // Tasks that go on are adopted by it: never half a file.
        std::fs::write(&temporary, serde_json::to_vec_pretty(self)?)
            .and_then(|()| std::fs::rename(&temporary, &path))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    pub fn api_url(&self) -> String {
        let mut address = self.listen;
        // Every address of the machine is listened on; this machine's clients take the nearest.
        if address.ip().is_unspecified() {
            address.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        format!("http://{address}")
    }

    /// The account's own access key, in the format that AWS's clients read.
    pub fn credentials_file(&self) -> PathBuf {
        self.data_dir.join("credentials")
    }

    pub fn cgroup(&self) -> String {
        cgroup(&self.run_dir)
    }

    pub fn network(&self) -> NetworkOptions {
        network(&self.run_dir)
    }

    /// Addresses on the host, for internet-facing load balancers: a loopback block of each instance's own.
    pub fn load_balancer_pool(&self) -> String {
        format!("127.{}.0.0/16", 64 + slot(&self.run_dir).unwrap_or(0))
    }

    /// Public addresses of tasks.
    pub fn public_pool(&self) -> String {
        public_pool(&self.run_dir)
    }

    /// The registry's own address on the host, the first of the pool.
    pub fn registry_address(&self) -> Ipv4Addr {
        Ipv4Addr::new(127, 64 + slot(&self.run_dir).unwrap_or(0), 0, 1)
    }

    pub fn agent_options(&self) -> anyhow::Result<longshore_agent::AgentOptions> {
        Ok(longshore_agent::AgentOptions {
            data_dir: self.data_dir.clone(),
            run_dir: self.run_dir.clone(),
            executable: crate::process::OWN_PROGRAM.into(),
            external_runtime: match &self.runtime {
                Runtime::External(path) => Some(path.clone()),
                _ => None,
            },
            network: self.network(),
            cgroup: self.cgroup(),
            user_namespaces: self.user_namespaces,
        })
    }
}

/// The absolute path of a run directory, always the same text: names of what is the instance's are made of it.
pub fn run_dir(given: &Path) -> anyhow::Result<PathBuf> {
    let path = std::path::absolute(given).with_context(|| format!("{} is no path", given.display()))?;
    Ok(path.components().collect())
}

/// Cgroups of tasks are below this.
pub fn cgroup(run_dir: &Path) -> String {
    format!("longshore{}", suffix(run_dir))
}

pub fn network(run_dir: &Path) -> NetworkOptions {
    let mut options = NetworkOptions::new(run_dir, format!("ls{}", suffix(run_dir)));
    if let Some(slot) = slot(run_dir) {
        let block = |text: String| text.parse().expect("a block of a slot below 63 is a network");
        options.uplink_pool = block(format!("169.254.{}.0/24", 192 + slot));
        options.public_pool = block(public_pool(run_dir));
    }
    options
}

fn public_pool(run_dir: &Path) -> String {
    match slot(run_dir) {
        None => "198.18.0.0/16".to_owned(),
        Some(slot) => format!("198.19.{}.0/22", slot * 4),
    }
}

/// Tells instances in other run directories apart; empty for the default one.
fn suffix(run_dir: &Path) -> String {
    hash(run_dir).map_or_else(String::new, |hash| format!("{:04x}", hash & 0xffff))
}

/// 1 to 62: which blocks of addresses an instance in another run directory has. Two of them may meet, one in 62.
fn slot(run_dir: &Path) -> Option<u8> {
    hash(run_dir).map(|hash| 1 + (hash % 62) as u8)
}

/// FNV-1a of the run directory: short, and the same for ever. `None` for the default one.
fn hash(run_dir: &Path) -> Option<u64> {
    let bytes = run_dir.as_os_str().as_encoded_bytes();
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    (run_dir != Path::new("/run/longshore")).then(|| bytes.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

//! Node agent: pulls intent, runs tasks, reports what it sees.
//!
//! ```text
//!  server ══ link ══► hub ──intent──► task (one each) ──► supervisor process
//!         ◄══════════     ◄─observed─       │──► image, network
//!                         ▲
//!                     metadata, credentials and the AWS API (169.254.170.2 in each VPC)
//! ```
//! The agent may die at any time: supervisors go on, and the next agent finds them by their directories, connects to
//! them, and reports what happened meanwhile. It keeps no state that it could not read again.

mod api_door;
mod cleanup;
mod endpoints;
pub mod hub;
mod link;
mod local;
pub mod machine;
mod metadata;
mod networks;
mod spec;
mod storage;
pub mod supervisor;
mod task;

pub use spec::registry_reference;

/// The agent on this machine.
type Node = hub::Hub<local::Local>;

use longshore_image::{ImageStore, StoreOptions};
use longshore_network::{Network, NetworkOptions};
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

/// What does not change while the agent runs.
#[derive(Clone, Debug)]
pub struct AgentOptions {
    pub data_dir: PathBuf,
    pub run_dir: PathBuf,
    /// The `longshore` binary, for `longshore task`.
    pub executable: PathBuf,
    /// `None` for the embedded runtime, else the path of an OCI runtime.
    pub external_runtime: Option<PathBuf>,
    pub network: NetworkOptions,
    /// First part of the cgroup paths of tasks.
    pub cgroup: String,
}

#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error("cannot open the node's images")]
    Images(#[from] longshore_image::StoreError),
    #[error("cannot open the node's network")]
    Network(#[from] longshore_network::NetworkError),
    #[error("cannot prepare {path}")]
    Directory { path: PathBuf, source: std::io::Error },
}

/// Runs the agent until `shutdown`. Tasks go on after it.
pub async fn run(options: AgentOptions, shutdown: impl Future<Output = ()>) -> Result<(), AgentError> {
    let tasks_dir = options.run_dir.join("tasks");
    std::fs::create_dir_all(&tasks_dir).map_err(|source| AgentError::Directory { path: tasks_dir, source })?;
    let images = ImageStore::open(&options.data_dir.join("images"), StoreOptions::default())?;
    let network = Network::open(options.network.clone()).await?;
    let cleanup = cleanup::run(images.clone());
    let storage = storage::Storage::new(&options.data_dir);
    let node = Arc::new(Node::new(local::Local { options, images, network, storage }));
    tokio::select! {
        () = link::run(Arc::clone(&node)) => {}
        () = cleanup => {}
        () = shutdown => {}
    }
    Ok(())
}

/// Removes every task of this run directory with all it holds, running or not; for `longshore down`. The network's
/// own traces are `longshore_network::teardown`'s.
pub fn remove_all(options: &AgentOptions) {
    for directory in std::fs::read_dir(options.run_dir.join("tasks")).into_iter().flatten().flatten() {
        let ended = longshore_runtime::cleanup(&directory.path());
        if let Err(error) = &ended {
            tracing::warn!(%error, directory = %directory.path().display(), "a task could not be removed");
        }
        let _ = std::fs::remove_dir_all(directory.path());
    }
    let storage = storage::Storage::new(&options.data_dir);
    storage.list().iter().for_each(|task| storage.remove(task));
    if let Err(error) = longshore_runtime::cleanup::cleanup_cgroup(&options.cgroup) {
        tracing::warn!(%error, "the cgroup could not be removed");
    }
    if let Ok(images) = ImageStore::open(&options.data_dir.join("images"), StoreOptions::default()) {
        for name in images.list_writable().unwrap_or_default() {
            let _ = images.remove_writable(&name);
        }
    }
}

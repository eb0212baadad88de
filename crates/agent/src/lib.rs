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

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "in a test a panic is the report"))]

mod api_door;
mod cleanup;
mod endpoints;
mod files;
pub mod hub;
mod link;
mod local;
pub mod machine;
mod metadata;
mod multiline;
mod networks;
mod patience;
mod ranges;
mod spec;
mod storage;
pub mod supervisor;
mod task;
mod usage;

pub use spec::registry_reference;

/// The agent on this machine.
type Node = hub::Hub<local::Local>;

use longshore_image::{ImageStore, StoreOptions};
use longshore_network::{Network, NetworkOptions};
use std::future::Future;
use std::path::{Path, PathBuf};
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
    pub user_namespaces: UserNamespaces,
}

/// Whether users of containers are others on the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserNamespaces {
    /// Where the machine can.
    #[default]
    Auto,
    On,
    Off,
}

#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error("cannot open the node's images")]
    Images(#[from] longshore_image::StoreError),
    #[error("cannot open the node's network")]
    Network(#[from] longshore_network::NetworkError),
    #[error("no user namespaces with id-mapped mounts of {path}: run with --user-namespaces off")]
    UserNamespaces { path: PathBuf, source: std::io::Error },
    #[error("cannot prepare {path}")]
    Directory { path: PathBuf, source: std::io::Error },
}

/// Runs the agent until `shutdown`. Tasks go on after it.
pub async fn run(options: AgentOptions, shutdown: impl Future<Output = ()>) -> Result<(), AgentError> {
    let tasks_dir = options.run_dir.join("tasks");
    std::fs::create_dir_all(&tasks_dir).map_err(|source| AgentError::Directory { path: tasks_dir.clone(), source })?;
    let images = ImageStore::open(&options.data_dir.join("images"), StoreOptions::default())?;
    let network = Network::open(options.network.clone()).await?;
    let cleanup = cleanup::run(images.clone());
    let ranges = ranges(&options, &tasks_dir)?;
    let files = files::Files::new(tasks_dir, images, storage::Storage::new(&options.data_dir));
    let node = Arc::new(Node::new(local::Local { options, network, files, ranges, usages: usage::Usages::default() }));
    tokio::select! {
        () = link::run(Arc::clone(&node)) => {}
        () = cleanup => {}
        () = shutdown => {}
    }
    Ok(())
}

/// Blocks of user ids for tasks, if tasks are to have users of their own.
fn ranges(options: &AgentOptions, tasks: &Path) -> Result<Option<ranges::Ranges>, AgentError> {
    let supported = || {
        use longshore_runtime::users;
        if let Some(closed) = users::closed_directory(tasks) {
            return Err(std::io::Error::other(format!("{} cannot be entered by others", closed.display())));
        }
        users::supported(&options.data_dir)
    };
    let wanted = match options.user_namespaces {
        UserNamespaces::Off => false,
        UserNamespaces::On => {
            let path = options.data_dir.clone();
            supported().map_err(|source| AgentError::UserNamespaces { path, source })?;
            true
        }
        // A matter of the embedded runtime.
        UserNamespaces::Auto if options.external_runtime.is_some() => false,
        UserNamespaces::Auto => match supported() {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "tasks have no user namespaces: root of a container is root of this machine");
                false
            }
        },
    };
    Ok(wanted.then(|| ranges::Ranges::new(tasks)))
}

/// Removes every task of `run_dir` with all it holds, running or not; for `longshore down`. `cgroup` is what
/// [`AgentOptions::cgroup`] was. Files of tasks in `data_dir` go too if it is given, which the caller must know to be no
/// other run directory's. The network's own traces are `longshore_network::teardown`'s.
pub fn remove_all(run_dir: &Path, cgroup: &str, data_dir: Option<&Path>) {
    let tasks = run_dir.join("tasks");
    for directory in std::fs::read_dir(&tasks).into_iter().flatten().flatten() {
        files::end_and_remove(&tasks, &directory.file_name().to_string_lossy());
    }
    if let Err(error) = longshore_runtime::cleanup::kill_supervisors(&tasks) {
        tracing::warn!(%error, "a task whose directory is gone could not be ended");
    }
    if let Err(error) = longshore_runtime::cleanup::cleanup_cgroup(cgroup) {
        tracing::warn!(%error, "the cgroup could not be removed");
    }
    if let Some(data_dir) = data_dir {
        remove_files(data_dir);
    }
}

/// Removes what tasks keep in the data directory. None of them may run any more.
fn remove_files(data_dir: &Path) {
    let storage = storage::Storage::new(data_dir);
    storage.list().iter().for_each(|task| storage.remove(task));
    if let Ok(images) = ImageStore::open(&data_dir.join("images"), StoreOptions::default()) {
        for name in images.list_writable().unwrap_or_default() {
            let _ = images.remove_writable(&name);
        }
    }
}

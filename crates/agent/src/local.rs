//! The machine itself: images, supervisors, interfaces and a directory for each task.

use crate::files::Files;
use crate::machine::{Keep, Machine, StartError, SupervisorLink, chain};
use crate::ranges::Ranges;
use crate::spec::{self, Ready};
use crate::storage::Place;
use crate::supervisor::{Supervisor, read_state};
use crate::usage::Usages;
use crate::{AgentOptions, networks};
use longshore_image::{Auth, Endpoint, Image, PullOptions, StoreError, Writable};
use longshore_network::Network;
use longshore_runtime::protocol as rt;
use longshore_runtime::spec::{SPEC_FILE, TaskSpec};
use longshore_types::Timestamp;
use longshore_types::ecs::Task;
use longshore_types::id::TaskId;
use longshore_types::link::Welcome;
use longshore_types::node::{ContainerIntent, EniIntent, TaskIntent, TaskObservation};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A supervisor that takes longer is in trouble.
const STATS_WAIT: Duration = Duration::from_secs(2);

/// The name of the file that says which interface a task directory holds.
const ENI_FILE: &str = "eni";

pub struct Local {
    pub options: AgentOptions,
    pub network: Network,
    pub files: Files,
    /// Where tasks have user namespaces.
    pub ranges: Option<Ranges>,
    pub usages: Usages,
}

/// Bytes of a task's ephemeral storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageUse {
    pub used: u64,
    pub reserved: u64,
}

impl Local {
    pub fn now_ms(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
    }

    /// The counters of a task that runs.
    pub async fn stats(&self, task: &TaskId) -> Option<rt::Stats> {
        let mut supervisor = Supervisor::adopt(&self.directory(task)).await?;
        supervisor.send(&rt::Command::Stats { id: 0 }).await.ok()?;
        let answer = async {
            loop {
                if let rt::Event::Stats(stats) = supervisor.next().await.ok()? {
                    return Some(stats);
                }
            }
        };
        tokio::time::timeout(STATS_WAIT, answer).await.ok().flatten()
    }

    /// How much of its ephemeral storage a task uses, or used some seconds ago.
    pub async fn storage(&self, task: &TaskIntent) -> Option<StorageUse> {
        let gib = task.ephemeral_gib.unwrap_or(Task::EPHEMERAL_GIB_DEFAULT);
        let directory = self.directory(&task.id);
        let volumes = self.files.storage.volumes(task.id.as_str());
        let count = move || {
            let spec: TaskSpec = serde_json::from_slice(&std::fs::read(directory.join(SPEC_FILE)).ok()?).ok()?;
            match &spec.disk {
                Some(disk) => crate::storage::used_of_disk(read_state(&directory)?.supervisor_pid, disk),
                None => Some(crate::storage::used_below(spec.containers.iter().map(|c| &c.upper).chain([&volumes]))),
            }
        };
        Some(StorageUse { used: self.usages.of(&task.id, count).await?, reserved: u64::from(gib) << 30 })
    }

    /// How tasks ended that the control plane has not heard of, one file each.
    fn ends(&self) -> PathBuf {
        self.options.run_dir.join("ended")
    }

    fn end_file(&self, task: &str) -> PathBuf {
        self.ends().join(format!("{task}.json"))
    }

    fn directory(&self, task: &TaskId) -> PathBuf {
        self.files.tasks.join(task.as_str())
    }

    fn write_spec(&self, intent: &TaskIntent, images: &[Arc<Image>], place: &Place) -> Result<(), StartError> {
        let failed = |error: &dyn std::error::Error| StartError::initialization(error);
        let directory = self.directory(&intent.id);
        std::fs::create_dir_all(&directory).map_err(|e| failed(&e))?;
        std::fs::write(directory.join(ENI_FILE), intent.network.id.as_str()).map_err(|e| failed(&e))?;
        let writable = |(container, image): (&ContainerIntent, &Arc<Image>)| {
            let name = writable_name(intent, container);
            let images = &self.files.images;
            let Some(layers) = &place.layers else { return images.create_writable(&name, image) };
            // The layer is made by the supervisor, which mounts the file system that it is on.
            images.hold_image(&name, image)?;
            let own = layers.join(&container.definition.name);
            Ok(Writable { upper: own.join("upper"), work: own.join("work") })
        };
        let writables: Vec<Writable> = intent
            .containers
            .iter()
            .zip(images)
            .map(writable)
            .collect::<Result<_, StoreError>>()
            .map_err(|e| failed(&e))?;
        let ready: Vec<Ready<'_>> = intent
            .containers
            .iter()
            .zip(images)
            .zip(&writables)
            .map(|((intent, image), writable)| Ready { intent, image, writable })
            .collect();
        let options = &self.options;
        let mut spec = spec::task(intent, &ready, &options.cgroup, place, options.external_runtime.as_ref())
            .map_err(|e| StartError(format!("CannotCreateContainerError: {e}")))?;
        if let Some(ranges) = &self.ranges {
            let range = ranges.take(intent.id.as_str());
            let none = || StartError("ResourceInitializationError: no block of user ids is left".to_owned());
            spec.user_namespace = Some(range.ok_or_else(none)?);
        } else if options.external_runtime.is_none()
            && let Some(container) = spec::tracer(&spec)
        {
            let why = "SYS_PTRACE takes user namespaces, which this node does not give to tasks";
            return Err(StartError(format!("CannotCreateContainerError: container {container}: {why}")));
        }
        spec.validate().map_err(|e| StartError(format!("CannotCreateContainerError: {e}")))?;
        let bytes = serde_json::to_vec(&spec).map_err(|e| failed(&e))?;
        // It holds the environment, and so secrets.
        write_private(&directory.join(SPEC_FILE), &bytes).map_err(|e| failed(&e))
    }
}

/// What Fargate says of an image that it cannot get at, and why: there is no packet that a person could look for.
fn no_route(image: &str) -> String {
    format!(
        "pull image manifest has been retried 1 time(s): failed to resolve ref {image}: failed to do request: i/o timeout: \
         the task's subnet has no route to the internet. Use a subnet with a route to an internet gateway and \
         assignPublicIp=ENABLED, a subnet with a route to a NAT gateway, or an image in Longshore's own registry"
    )
}

impl Machine for Local {
    type Image = Arc<Image>;
    type Supervisor = Supervisor;

    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(since.as_millis() as i64)
    }

    fn last_state(&self, task: &TaskId) -> Option<rt::State> {
        read_state(&self.directory(task))
    }

    fn has_traces(&self, task: &TaskId) -> bool {
        self.directory(task).exists()
    }

    async fn adopt(&self, task: &TaskId) -> Option<Supervisor> {
        Supervisor::adopt(&self.directory(task)).await
    }

    async fn pull(&self, container: &ContainerIntent, welcome: Option<Welcome>) -> Result<Arc<Image>, StartError> {
        let name = &container.definition.image;
        let failed = |error: &dyn std::error::Error| StartError(format!("CannotPullContainerError: {}", chain(error)));
        let reference = match &container.image_digest {
            Some(digest) if !name.contains('@') => format!("{name}@{digest}"),
            _ => name.clone(),
        };
        let is_ours = welcome.as_ref().is_some_and(|welcome| spec::registry_reference(name, welcome));
        if container.own_registry_only && !is_ours {
            return Err(StartError(format!("CannotPullContainerError: {}", no_route(name))));
        }
        if reference.contains("@sha256:")
            && let Some(image) = self.files.images.resolve(&reference)
        {
            return Ok(image);
        }
        let mut options = PullOptions::default();
        if let Some(welcome) = welcome.filter(|_| is_ours) {
            let (username, password) = welcome.registry_auth;
            options.auth = Auth::Basic { username, password };
            options.endpoint = Some(Endpoint::plain_http(&welcome.api_url).map_err(|e| failed(&e))?);
        }
        if let Some((username, password)) = container.secrets.registry_auth.clone() {
            options.auth = Auth::Basic { username, password };
        }
        self.files.images.pull(&reference, options).await.map_err(|e| failed(&e))
    }

    fn digest(image: &Arc<Image>) -> String {
        image.id.to_string()
    }

    async fn prepare(&self, intent: &TaskIntent, images: &[Arc<Image>]) -> Result<Supervisor, StartError> {
        let made = self.files.make(intent.id.as_str(), intent.ephemeral_gib).await;
        self.write_spec(intent, images, &made.map_err(|e| StartError::initialization(&e))?)?;
        let directory = self.directory(&intent.id);
        Supervisor::start(&self.options.executable, &directory).await.map_err(|e| StartError::initialization(&e))
    }

    async fn attach(&self, network: &EniIntent, supervisor: &Supervisor) -> Result<(), StartError> {
        let eni = networks::eni(network).map_err(|e| StartError::initialization(&e))?;
        self.network.attach(network.vpc.as_str(), &eni, supervisor.pid).await.map_err(|e| {
            StartError(format!(
                "ResourceInitializationError: the network interface could not be attached: {}",
                chain(&e)
            ))
        })
    }

    async fn update_interface(&self, task: &TaskId, network: &EniIntent) {
        match networks::eni(network) {
            Ok(eni) => {
                if let Err(error) = self.network.update_eni(network.vpc.as_str(), &eni).await {
                    tracing::warn!(%error, %task, "the interface could not be changed");
                }
            }
            Err(error) => tracing::error!(%error, %task, "the interface makes no sense"),
        }
    }

    fn write_end(&self, seen: &TaskObservation) {
        let path = self.end_file(seen.id.as_str());
        let temporary = path.with_extension("new");
        let written = serde_json::to_vec(seen)
            .map_err(std::io::Error::from)
            .and_then(|bytes| std::fs::create_dir_all(self.ends()).and_then(|()| std::fs::write(&temporary, bytes)))
            .and_then(|()| std::fs::rename(&temporary, &path));
        if let Err(error) = written {
            tracing::warn!(%error, path = %path.display(), "the end of a task could not be written down");
        }
    }

    fn end(&self, task: &TaskId) -> Option<TaskObservation> {
        serde_json::from_slice(&std::fs::read(self.end_file(task.as_str())).ok()?).ok()
    }

    fn forget_end(&self, task: &TaskId) {
        let _ = std::fs::remove_file(self.end_file(task.as_str()));
    }

    async fn clean_up(&self, intent: &TaskIntent) {
        let network = &intent.network;
        let directory = self.directory(&intent.id);
        let processes = tokio::task::spawn_blocking(move || longshore_runtime::cleanup(&directory)).await;
        if let Ok(Err(error)) = &processes {
            tracing::warn!(%error, task = %intent.id, "the task's processes could not all be ended");
        }
        if let Err(error) = self.network.detach(network.vpc.as_str(), network.id.as_str()).await {
            tracing::warn!(%error, task = %intent.id, "the interface could not be removed");
        }
        let layers = intent.containers.iter().map(|container| writable_name(intent, container)).collect();
        self.files.remove(intent.id.as_str(), layers).await;
        self.usages.forget(&intent.id);
        if let Some(ranges) = &self.ranges {
            ranges.release(intent.id.as_str());
        }
        // The lease of the directory was held until here.
        drop(processes);
    }

    async fn remove_strangers(&self, keep: Keep) {
        for entry in std::fs::read_dir(self.ends()).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.file_stem().is_none_or(|name| !keep.tasks.contains(name.to_string_lossy().as_ref())) {
                let _ = std::fs::remove_file(path);
            }
        }
        self.files.remove_strangers(keep.tasks).await;
        // Interfaces are named by their task's directory: those without one are left over.
        for attached in self.network.attached().await.unwrap_or_default() {
            let used = std::fs::read_dir(&self.files.tasks).into_iter().flatten().flatten().any(|entry| {
                std::fs::read_to_string(entry.path().join(ENI_FILE)).is_ok_and(|id| id == attached.eni.id)
            });
            if !used
                && !keep.interfaces.contains(&attached.eni.id)
                && let Err(error) = self.network.detach(&attached.vpc, &attached.eni.id).await
            {
                tracing::warn!(%error, eni = attached.eni.id, "a left-over interface could not be removed");
            }
        }
    }
}

/// Writes a new file that only root reads.
fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let _ = std::fs::remove_file(path);
    File::options().write(true).create_new(true).mode(0o600).open(path)?.write_all(bytes)
}

/// `<task id>-<container name>`: the first part says whose it is.
fn writable_name(intent: &TaskIntent, container: &ContainerIntent) -> String {
    format!("{}-{}", intent.id, container.definition.name)
}

//! What tasks have on this machine's disks. Making it may take a second, removing it minutes, as many files as a task may
//! have written: both are done beside the agent's one thread, which serves metadata and credentials to all tasks.
//!
//! A start that is given up may leave a making behind that goes on, so a removal waits for its task's. Everything here may be
//! cut off by the agent's end, and is then done again by the next one.

use crate::storage::{self, Place, Storage, StorageError};
use longshore_image::ImageStore;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// A cheap handle.
#[derive(Clone)]
pub struct Files {
    /// A directory for each task's supervisor.
    pub tasks: PathBuf,
    pub images: ImageStore,
    pub storage: Storage,
    making: Arc<Making>,
}

impl Files {
    pub fn new(tasks: PathBuf, images: ImageStore, storage: Storage) -> Self {
        Self { tasks, images, storage, making: Arc::default() }
    }

    /// Makes a task's volumes, or its file system of `gib` GiB.
    pub async fn make(&self, task: &str, gib: Option<u32>) -> Result<Place, StorageError> {
        let turn = self.making.begin(task);
        let storage = self.storage.clone();
        beside(move || storage.make(&turn.task, gib)).await
    }

    /// Removes everything of a task that does not run any more; `layers` are its writable ones. When this returns it is
    /// gone.
    pub async fn remove(&self, task: &str, layers: Vec<String>) {
        self.making.ended(task).await;
        let (files, task) = (self.clone(), task.to_owned());
        beside(move || {
            for name in layers {
                if let Err(error) = files.images.remove_writable(&name) {
                    tracing::warn!(%error, task, "a writable layer could not be removed");
                }
            }
            files.storage.remove(&task);
            storage::remove(&files.tasks.join(&task), &task);
        })
        .await;
    }

    /// Ends and removes every task but these.
    pub async fn remove_strangers(&self, keep: BTreeSet<String>) {
        let files = self.clone();
        // Now: should nobody wait any more, the removal goes on beside tasks that are started meanwhile.
        let strangers = self.strangers(&keep);
        beside(move || files.remove_these(&strangers)).await;
    }

    fn strangers(&self, keep: &BTreeSet<String>) -> Strangers {
        let is_stranger = |name: &String| !keep.contains(name.split('-').next().unwrap_or_default());
        let tasks = std::fs::read_dir(&self.tasks).into_iter().flatten().flatten();
        Strangers {
            tasks: tasks.map(|e| e.file_name().to_string_lossy().into_owned()).filter(is_stranger).collect(),
            stored: self.storage.list().into_iter().filter(is_stranger).collect(),
            layers: self.images.list_writable().unwrap_or_default().into_iter().filter(is_stranger).collect(),
        }
    }

    fn remove_these(&self, strangers: &Strangers) {
        for name in &strangers.tasks {
            tracing::info!(task = name, "removing a task that is not wanted any more");
            end_and_remove(&self.tasks, name);
        }
        for name in &strangers.stored {
            self.storage.remove(name);
        }
        for name in &strangers.layers {
            let _ = self.images.remove_writable(name);
        }
    }
}

/// Ends the processes of the task whose supervisor has the directory `name` in `tasks`, and removes that.
pub fn end_and_remove(tasks: &Path, name: &str) {
    let directory = tasks.join(name);
    // Held until the directory is gone, so that a supervisor started a moment ago never begins.
    let ended = longshore_runtime::cleanup(&directory);
    if let Err(error) = &ended {
        tracing::warn!(%error, task = name, "its processes could not be ended");
    }
    storage::remove(&directory, name);
}

/// What belongs to no task that is wanted.
struct Strangers {
    /// Of directories of supervisors, and of volumes and file systems.
    tasks: Vec<String>,
    stored: Vec<String>,
    /// `<task>-…`
    layers: Vec<String>,
}

/// The tasks whose files are being made.
#[derive(Default)]
struct Making {
    tasks: Mutex<BTreeSet<String>>,
    fewer: Notify,
}

impl Making {
    /// The making of a task's files, until the turn is dropped.
    fn begin(self: &Arc<Self>, task: &str) -> Turn {
        self.tasks().insert(task.to_owned());
        Turn { of: Arc::clone(self), task: task.to_owned() }
    }

    async fn ended(&self, task: &str) {
        loop {
            let fewer = self.fewer.notified();
            if !self.tasks().contains(task) {
                return;
            }
            fewer.await;
        }
    }

    fn tasks(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Turn {
    of: Arc<Making>,
    task: String,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.of.tasks().remove(&self.task);
        self.of.fewer.notify_waiters();
    }
}

/// Runs what blocks on a thread of its own.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The agent ends before it was begun: so will this.
            Err(_) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_image::StoreOptions;
    use std::path::Path;
    use std::sync::mpsc;
    use std::time::Duration;

    fn files(scratch: &Path) -> Files {
        let images = ImageStore::open(&scratch.join("images"), StoreOptions::default()).unwrap();
        std::fs::create_dir_all(scratch.join("run/one")).unwrap();
        Files::new(scratch.join("run"), images, Storage::new(scratch))
    }

    /// On a machine whose one thread for what blocks is busy until `release` is called.
    fn run<T>(test: impl AsyncFnOnce(mpsc::Sender<()>) -> T) -> T {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().max_blocking_threads(1).build().unwrap();
        let (release, busy) = mpsc::channel::<()>();
        runtime.spawn_blocking(move || busy.recv());
        runtime.block_on(test(release))
    }

    async fn turns() {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn files_are_removed_beside_the_thread_that_serves_tasks_and_are_gone_when_it_is_told() {
        let scratch = tempfile::tempdir().unwrap();
        let files = files(scratch.path());
        let place = files.storage.make("one", None).unwrap();
        run(async |release| {
            let mut removed = tokio::spawn({
                let files = files.clone();
                async move { files.remove("one", vec![]).await }
            });
            turns().await;
            assert!(!removed.is_finished() && place.volumes.exists() && files.tasks.join("one").exists());
            release.send(()).unwrap();
            (&mut removed).await.unwrap();
            assert!(!place.volumes.exists() && !files.tasks.join("one").exists());
        });
    }

    #[test]
    fn what_a_given_up_start_still_makes_is_removed_too() {
        let scratch = tempfile::tempdir().unwrap();
        let files = files(scratch.path());
        run(async |release| {
            let start = tokio::spawn({
                let files = files.clone();
                async move { files.make("one", None).await }
            });
            turns().await;
            start.abort();
            turns().await;
            assert!(files.making.tasks().contains("one"), "it goes on");
            release.send(()).unwrap();
            files.remove("one", vec![]).await;
            assert!(files.storage.list().is_empty());
        });
    }

    #[test]
    fn strangers_are_those_of_the_beginning() {
        let scratch = tempfile::tempdir().unwrap();
        let files = files(scratch.path());
        run(async |release| {
            let removal = tokio::spawn({
                let files = files.clone();
                async move { files.remove_strangers(BTreeSet::new()).await }
            });
            turns().await;
            std::fs::create_dir(files.tasks.join("two")).unwrap();
            release.send(()).unwrap();
            removal.await.unwrap();
            assert!(!files.tasks.join("one").exists() && files.tasks.join("two").exists());
        });
    }

    #[test]
    fn nothing_of_a_task_is_removed_while_something_of_it_is_made() {
        let scratch = tempfile::tempdir().unwrap();
        let files = files(scratch.path());
        run(async |release| {
            release.send(()).unwrap();
            let making = files.making.begin("one");
            files.remove("another", vec![]).await;
            let mut removed = std::pin::pin!(files.remove("one", vec![]));
            let early = tokio::time::timeout(Duration::from_millis(30), &mut removed).await;
            assert!(early.is_err() && files.tasks.join("one").exists());
            drop(making);
            removed.await;
            assert!(!files.tasks.join("one").exists());
        });
    }
}

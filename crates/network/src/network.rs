//! The handle: sends work to the thread that owns the network, and awaits the result.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::config::{Eni, NetworkConfig};
use crate::error::NetworkError;
use crate::ledger::Attached;
use crate::netlink::route::LinkCounters;
use crate::options::NetworkOptions;
use crate::plane::{self, Plane};

type Job = Box<dyn FnOnce(&mut Plane) + Send>;

/// How long, and how many, links of detached interfaces wait to be deleted together.
const DEBRIS_AGE: Duration = Duration::from_millis(200);
const DEBRIS_LINKS: usize = 64;

/// How often the host's side is looked at, which a firewall service that restarts may clear.
const REPAIR_EVERY: Duration = Duration::from_secs(10);

/// The network of this node. Cheap to clone; when the last handle is dropped, the thread behind it ends and everything in
/// the kernel stays, for the next [`Network::open`] to adopt.
#[derive(Clone, Debug)]
pub struct Network {
    jobs: mpsc::Sender<Job>,
}

impl Network {
    /// Opens the node's network and adopts what exists: namespaces, interfaces and rules of a former process.
    /// The host is the network namespace of the calling thread. One process at a time ([`NetworkError::Busy`]).
    pub async fn open(options: NetworkOptions) -> Result<Network, NetworkError> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let (opened, has_opened) = oneshot::channel();
        spawn(move || match Plane::open(options) {
            Ok(mut plane) => {
                if opened.send(Ok(())).is_ok() {
                    work(&mut plane, &queue);
                }
            }
            // The caller went away: nobody to tell.
            Err(error) => drop(opened.send(Err(error))),
        })?;
        has_opened.await.map_err(|_| NetworkError::Gone)??;
        Ok(Network { jobs })
    }

    /// Makes the network as `config` says: all of it, every time. Idempotent; refuses older generations
    /// ([`NetworkError::Stale`]). Repairs what others did to the host's side since, as happens every ten seconds anyway. Interfaces of VPCs that are no longer there go with them.
    pub async fn apply(&self, config: &NetworkConfig) -> Result<(), NetworkError> {
        let config = config.clone();
        self.call(move |plane| plane.apply(config)).await
    }

    /// The generation in effect: no earlier one is taken. Zero before the first.
    pub async fn generation(&self) -> Result<u64, NetworkError> {
        self.call(|plane| Ok(plane.generation())).await
    }

    /// Connects a task: `eth0` with its address, MAC and default route appears in the network namespace of process
    /// `pid`, which must be its own and without `eth0`. Its groups must be in the configuration. What was attached under the id before is replaced.
    pub async fn attach(&self, vpc: &str, eni: &Eni, pid: u32) -> Result<(), NetworkError> {
        let (vpc, eni) = (vpc.to_owned(), eni.clone());
        self.call(move |plane| plane.attach(&vpc, eni, pid)).await
    }

    /// Takes an interface away and forgets its connections; its `eth0` disappears within a fraction of a second. Fine if it, its task or its VPC is gone already.
    pub async fn detach(&self, vpc: &str, eni: &str) -> Result<(), NetworkError> {
        let (vpc, eni) = (vpc.to_owned(), eni.to_owned());
        self.call(move |plane| plane.detach(&vpc, &eni)).await
    }

    /// Changes the security groups and the public address of an attached interface; established connections stay.
    pub async fn update_eni(&self, vpc: &str, eni: &Eni) -> Result<(), NetworkError> {
        let (vpc, eni) = (vpc.to_owned(), eni.clone());
        self.call(move |plane| plane.update_eni(&vpc, eni)).await
    }

    /// Every attached interface, with its VPC: after a restart, what a former process attached and is still there.
    pub async fn attached(&self) -> Result<Vec<Attached>, NetworkError> {
        self.call(|plane| Ok(plane.attached())).await
    }

    /// Packets and bytes of an interface since it was attached, as its task sees them.
    pub async fn counters(&self, eni: &str) -> Result<LinkCounters, NetworkError> {
        let eni = eni.to_owned();
        self.call(move |plane| plane.counters(&eni)).await
    }

    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Plane) -> Result<T, NetworkError> + Send + 'static,
    ) -> Result<T, NetworkError> {
        let (done, result) = oneshot::channel();
        // A caller that stopped waiting does not stop the work: it would be half done.
        let job: Job = Box::new(move |plane| drop(done.send(work(plane))));
        self.jobs.send(job).map_err(|_| NetworkError::Gone)?;
        result.await.map_err(|_| NetworkError::Gone)?
    }
}

/// Runs jobs until the last handle is gone. Between them it deletes the links of detached interfaces a few at a time, and
/// repairs the host's side.
fn work(plane: &mut Plane, queue: &mpsc::Receiver<Job>) {
    let mut looked_at = Instant::now();
    let mut oldest_debris: Option<Instant> = None;
    loop {
        let wait = oldest_debris.map_or(Duration::MAX, |since| DEBRIS_AGE.saturating_sub(since.elapsed()));
        match queue.recv_timeout(wait.min(REPAIR_EVERY.saturating_sub(looked_at.elapsed()))) {
            Ok(job) => job(plane),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
        if looked_at.elapsed() >= REPAIR_EVERY {
            if let Err(error) = plane.repair_host() {
                tracing::warn!(%error, "cannot repair the host's forwarding and filter");
            }
            looked_at = Instant::now();
        }
        let debris = plane.debris();
        let is_due = debris >= DEBRIS_LINKS || oldest_debris.is_some_and(|since| since.elapsed() >= DEBRIS_AGE);
        oldest_debris = match (debris, is_due) {
            (0, _) => None,
            (_, false) => oldest_debris.or_else(|| Some(Instant::now())),
            (_, true) => {
                plane.remove_debris();
                None
            }
        };
    }
    plane.remove_debris();
}

/// Removes every trace of the network of `options` from the host, with or without a former [`Network`]: namespaces,
/// links, routes, tables, files, the forwarding setting. Refused while a [`Network`] has it open. The host is the
/// network namespace of the calling thread.
pub async fn teardown(options: &NetworkOptions) -> Result<(), NetworkError> {
    let options = options.clone();
    let (done, result) = oneshot::channel();
    spawn(move || drop(done.send(plane::teardown(&options))))?;
    result.await.map_err(|_| NetworkError::Gone)?
}

/// Whether a [`Network`] of `options` left links or its table on the host, which is the network namespace of the calling
/// thread: [`teardown`] would have something to remove. Who is not root may be told of no table.
pub fn is_present(options: &NetworkOptions) -> Result<bool, NetworkError> {
    plane::is_present(options)
}

/// A thread of our own: it changes its network namespace, which a runtime's worker must not.
fn spawn(work: impl FnOnce() + Send + 'static) -> Result<(), NetworkError> {
    thread::Builder::new().name("network".to_owned()).spawn(work).map_err(NetworkError::Thread)?;
    Ok(())
}

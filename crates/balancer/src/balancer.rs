//! The handle on a running balancer.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::auth::Idp;
use crate::config::Config;
use crate::control::{ApplyError, Command, Control};
use crate::log::Writer;
use crate::persist;
use crate::report::Report;
use crate::worker;

/// How to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Worker threads, at least one.
    pub workers: usize,
    /// Where the latest configuration is kept, and taken from at start; `None` keeps it nowhere.
    pub config_file: Option<PathBuf>,
    /// How often log files are finished. AWS: each five minutes.
    pub log_interval: Duration,
    /// Certificates in PEM by which identity providers are trusted; `None` is what the host trusts.
    pub trusted_certificates: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Options { workers: 1, config_file: None, log_interval: Duration::from_secs(300), trusted_certificates: None }
    }
}

/// Why the balancer cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A worker thread or its runtime cannot be made.
    #[error("cannot start a worker: {0}")]
    Worker(#[source] io::Error),
}

/// A running balancer. It ends when this is dropped, and its connections with it.
#[derive(Debug)]
pub struct Balancer {
    commands: mpsc::UnboundedSender<Command>,
    reports: watch::Receiver<Arc<Report>>,
    control: JoinHandle<()>,
}

impl Balancer {
    /// Starts workers and the control task, the latter on the current tokio runtime. A configuration file
    /// that is there is in force when this returns; one that cannot be used is logged and ignored.
    pub async fn start(options: &Options) -> Result<Balancer, StartError> {
        raise_descriptor_limit();
        let workers = (0..options.workers.max(1))
            .map(worker::start)
            .collect::<io::Result<Vec<_>>>()
            .map_err(StartError::Worker)?;
        let (reports_in, reports) = watch::channel(Arc::new(Report::default()));
        let (commands, queue) = mpsc::unbounded_channel();
        let logs = Writer::start(options.log_interval).map_err(StartError::Worker)?;
        let idp = Arc::new(Idp::new(options.trusted_certificates.clone()));
        let control = Control::new(workers, options.config_file.clone(), logs, idp, reports_in);
        let balancer = Balancer { commands, reports, control: tokio::spawn(control.run(queue)) };
        let saved = options.config_file.as_deref().map(persist::load).transpose();
        match saved.map(Option::flatten) {
            Ok(None) => {}
            Ok(Some(config)) => {
                let generation = config.generation;
                if let Err(error) = balancer.apply(config).await {
                    tracing::error!(%error, generation, "cannot serve the saved configuration");
                }
            }
            Err(error) => tracing::error!(%error, "cannot load the saved configuration"),
        }
        Ok(balancer)
    }

    /// Puts a configuration in force. When this returns, the next request is routed by it and its listeners
    /// listen (or the report says why not).
    pub async fn apply(&self, config: Config) -> Result<(), ApplyError> {
        let (done, result) = oneshot::channel();
        self.commands.send(Command::Apply(Box::new(config), done)).map_err(|_| ApplyError::Ended)?;
        result.await.map_err(|_| ApplyError::Ended)?
    }

    /// The latest report; changes show at once.
    pub fn reports(&self) -> watch::Receiver<Arc<Report>> {
        self.reports.clone()
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        // Dropping the control task drops the workers' order queues, which ends them.
        self.control.abort();
    }
}

/// Each request in flight takes two descriptors; the soft limit of 1024 is for programs that use select().
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}

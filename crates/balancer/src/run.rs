//! The balancer behind its control link.
//!
//! `{"config": {...}}` comes in; `{"report": {...}}` goes out to everybody upon connection and each change,
//! `{"refused": {"generation": n, "reason": "..."}}` to who sent a configuration that was not taken over.
//! A process that serves more over the same socket composes [`Link`] and [`Balancer`] itself, with
//! [`answer`] and [`report_line`] for its balancer part.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::balancer::{Balancer, Options, StartError};
use crate::config::Config;
use crate::link::{Event, Link, LinkError};
use crate::report::Report;

/// How to run behind a link.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// `balancer.sock`.
    pub socket: PathBuf,
    /// The balancer itself; its configuration file is `balancer.json` beside the socket.
    pub balancer: Options,
}

impl RunOptions {
    /// One worker, and the usual names in a run directory.
    pub fn in_directory(run: &std::path::Path) -> RunOptions {
        RunOptions {
            socket: run.join("balancer.sock"),
            balancer: Options { config_file: Some(run.join("balancer.json")), ..Options::default() },
        }
    }
}

/// Why the balancer does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No control link.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// No workers.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// What the control plane sends. Other keys are for other parts of the process and are ignored here.
#[derive(Debug, Deserialize)]
pub struct Incoming {
    /// A whole configuration.
    #[serde(default)]
    pub config: Option<Config>,
}

/// What the balancer sends: one key each.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outgoing<'a> {
    /// The whole observed state.
    Report(&'a Report),
    /// A configuration that was not taken over.
    Refused {
        /// Its generation; absent when it could not be read.
        generation: Option<u64>,
        /// Why.
        reason: String,
    },
}

/// Slot of reports on the link: only the latest is worth sending.
pub const REPORT_SLOT: Option<&str> = Some("report");

/// Runs until `shutdown` is ready.
pub async fn run(options: RunOptions, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
    // The link comes first: it is what tells a second balancer that it is not alone.
    let mut link = Link::listen(&options.socket)?;
    let balancer = Balancer::start(&options.balancer).await?;
    let mut reports = balancer.reports();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            event = link.next() => match event {
                Event::Connected(peer) => {
                    let line = report_line(&reports.borrow_and_update());
                    link.send(peer, REPORT_SLOT, &line);
                }
                Event::Line(peer, line) => {
                    if let Some(refusal) = answer(&balancer, &line).await {
                        link.send(peer, None, &refusal);
                    }
                }
                Event::Disconnected(_) => {}
            },
            Ok(()) = reports.changed() => {
                let report = reports.borrow_and_update().clone();
                if link.has_peers() {
                    link.broadcast(REPORT_SLOT, &report_line(&report));
                }
            }
        }
    }
    // A socket nobody answers on is only litter.
    let _ = std::fs::remove_file(&options.socket);
    Ok(())
}

/// Obeys one line of the control plane; `Some` is what to send back to it.
pub async fn answer(balancer: &Balancer, line: &str) -> Option<Arc<str>> {
    let (generation, reason) = match serde_json::from_str::<Incoming>(line) {
        Ok(Incoming { config: None }) => return None,
        Ok(Incoming { config: Some(config) }) => {
            let generation = config.generation;
            let error = balancer.apply(config).await.err()?;
            (Some(generation), error.to_string())
        }
        Err(error) => (None, error.to_string()),
    };
    tracing::warn!(generation, reason, "configuration refused");
    Some(line_of(&Outgoing::Refused { generation, reason }))
}

/// A report as a line for the link.
pub fn report_line(report: &Report) -> Arc<str> {
    line_of(&Outgoing::Report(report))
}

fn line_of(message: &Outgoing<'_>) -> Arc<str> {
    serde_json::to_string(message).expect("plain data with string keys serializes").into()
}

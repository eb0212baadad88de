//! Layer-7 load balancer data plane: an Application Load Balancer on hyper.
//!
//! ```text
//!  control plane ══ Unix socket ══► run ─► Balancer ─► control task ─── probers ──► targets
//!   (whole Config, generation)   ◄═ Report ═╝              │  routes, sockets       ▲
//!                                                          ▼                        │
//!                     clients ──► accept ─► client task (framing, hyper, rules, pool)┘   one thread a worker
//! ```
//!
//! Clients are served by hyper. HTTP/2 to targets is hyper's too; HTTP/1.1 to targets is `proxy::h1`, polled from the
//! client's own task.
//!
//! - [`config`] is what to serve, [`report`] what is observed. A configuration comes whole and swaps between
//!   two requests; sockets, connections, pools and health of what did not change stay.
//! - `compile` turns a configuration into routes; `rule`, `action`, `pick` and `health` are the decisions,
//!   functions of values without clock or socket.
//! - `auth` is what lets requests in before that: log-in at a provider, signed tokens.
//! - `control` is the one owner of changing state; `worker` the threads that serve; `proxy` the way of one
//!   request.
//! - [`link`] knows lines and peers but no message, so that other parts of the process can share the socket.
//!
//! It lacks the store and AWS's API shapes on purpose: `server` translates into [`Config`].

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test's panic is its report"))]

mod action;
pub mod auth;
mod balancer;
mod clock;
mod compile;
pub mod config;
mod control;
mod counters;
mod desync;
mod egress;
#[doc(hidden)]
pub mod fuzzing;
mod health;
pub mod link;
mod log;
mod netns;
mod persist;
mod pick;
mod probe;
mod proxy;
pub mod report;
mod rule;
mod run;
mod target;
pub mod tls;
mod worker;
mod write;

pub use balancer::{Balancer, Options, StartError};
pub use compile::CompileError;
pub use config::Config;
pub use control::ApplyError;
pub use report::Report;
pub use run::{Incoming, Outgoing, REPORT_SLOT, RunError, RunOptions, answer, report_line, run};

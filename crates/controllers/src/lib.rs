//! The hands: observe, plan, apply.
//!
//! A controller looks at a snapshot, asks `planner` what should happen, and writes it in one transaction, in which it
//! looks and asks again: a lost race is planned again. [`driver`] is the only loop. What nodes and data planes report
//! comes in through [`observe`] and [`targets`]; what they should do goes out through [`intent`] and [`feed`]; [`agent_link`] is the
//! conversation with a node.

pub mod agent_link;
pub mod driver;
pub mod events;
pub mod feed;
pub mod history;
pub mod images;
pub mod intent;
pub mod networks;
pub mod observe;
pub mod prune;
pub mod secrets;
pub mod service;
pub mod targets;
pub mod task;

use longshore_api::{Caller, Cx, Settings};
use longshore_types::{Scope, Timestamp};
use std::sync::Arc;

/// Where controllers get time and seeds from: the system's, or a simulator's.
#[derive(Clone)]
pub struct Environment {
    pub settings: Arc<Settings>,
    pub now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    pub seed: Arc<dyn Fn() -> u128 + Send + Sync>,
}

impl Environment {
    pub fn now(&self) -> Timestamp {
        (self.now)()
    }

    /// A context in which a controller acts for a scope.
    pub fn cx(&self, scope: Scope) -> Cx {
        let caller = Caller::ecs(&scope);
        Cx::new(scope, self.now(), caller, Arc::clone(&self.settings), (self.seed)())
    }
}

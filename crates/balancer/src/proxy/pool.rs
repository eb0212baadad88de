//! A worker's idle connections, by target. The one used last is used first, so that a pool shrinks to what
//! the load needs.

use std::cell::RefCell;

use super::upstream::Upstream;
use crate::target::ByTarget;

/// Idle connections kept for one target.
const IDLE_MAX: usize = 1024;
/// Idle connections are closed after so long.
const IDLE_MS_MAX: u64 = 60_000;
/// Sweeps between two looks at every idle connection.
const SWEEPS_PER_LOOK: u32 = 4;

/// See the module.
#[derive(Debug, Default)]
#[expect(clippy::vec_box, reason = "connections move between here and requests; a pointer moves cheaper")]
pub(crate) struct Pool {
    idle: RefCell<ByTarget<Vec<Box<Upstream>>>>,
    sweeps: std::cell::Cell<u32>,
}

impl Pool {
    pub(super) fn take(&self, target: u64) -> Option<Box<Upstream>> {
        self.idle.borrow_mut().get_mut(&target)?.pop()
    }

    pub(super) fn put(&self, target: u64, upstream: Box<Upstream>) {
        let mut idle = self.idle.borrow_mut();
        let connections = idle.entry(target).or_default();
        if connections.len() < IDLE_MAX {
            connections.push(upstream);
        }
    }

    /// Closes the connections of targets that are not kept.
    pub(crate) fn retain(&self, keep: impl Fn(u64) -> bool) {
        self.idle.borrow_mut().retain(|target, _| keep(*target));
    }

    /// Closes what has been idle for long or was closed by its target.
    pub(crate) fn sweep(&self, now_ms: u64) {
        self.sweeps.set(self.sweeps.get() + 1);
        if !self.sweeps.get().is_multiple_of(SWEEPS_PER_LOOK) {
            return;
        }
        self.idle.borrow_mut().retain(|_, connections| {
            connections.retain_mut(|upstream| {
                now_ms.saturating_sub(upstream.idle_since_ms) < IDLE_MS_MAX && upstream.is_open()
            });
            !connections.is_empty()
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.idle.borrow().is_empty()
    }
}

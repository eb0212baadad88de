//! Targets and groups as the data path sees them: what lives on while configurations come and go.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Notify;

use crate::counters::ResponseCounts;
use crate::egress::Egress;

/// Spreads the ids of targets, which are counted by us and need no defence.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = (self.0 ^ id).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

pub(crate) type ByTarget<V> = HashMap<u64, V, BuildHasherDefault<IdHasher>>;
pub(crate) type TargetIds = HashSet<u64, BuildHasherDefault<IdHasher>>;

/// One target of one group, shared by workers and the control task.
#[derive(Debug)]
pub(crate) struct Target {
    /// Unique among all targets that ever were; the key of connection pools.
    pub id: u64,
    pub address: SocketAddr,
    /// How to connect to it.
    pub egress: Arc<Egress>,
    /// Stable across restarts and configurations: what a stickiness cookie names.
    pub tag: u64,
    pub counts: ResponseCounts,
    in_flight: AtomicU32,
    draining: AtomicBool,
    /// Coarse milliseconds (see [`crate::clock`]) when it became healthy.
    healthy_since_ms: AtomicU64,
    /// Told when the last request of a draining target ends.
    idle: Arc<Notify>,
}

impl Target {
    pub(crate) fn new(id: u64, group: &str, address: SocketAddr, egress: Arc<Egress>, idle: Arc<Notify>) -> Target {
        Target {
            id,
            address,
            egress,
            tag: tag(&(group, address)),
            counts: ResponseCounts::default(),
            in_flight: AtomicU32::new(0),
            draining: AtomicBool::new(false),
            healthy_since_ms: AtomicU64::new(0),
            idle,
        }
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn set_draining(&self, draining: bool) {
        self.draining.store(draining, Ordering::Relaxed);
    }

    pub(crate) fn healthy_since_ms(&self) -> u64 {
        self.healthy_since_ms.load(Ordering::Relaxed)
    }

    pub(crate) fn set_healthy_since_ms(&self, ms: u64) {
        self.healthy_since_ms.store(ms, Ordering::Relaxed);
    }
}

/// A request in flight to a target; ends when dropped.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Target>);

impl InFlight {
    pub(crate) fn new(target: Arc<Target>) -> InFlight {
        target.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(target)
    }

    pub(crate) fn target(&self) -> &Arc<Target> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let before = self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
        if before == 1 && self.0.is_draining() {
            self.0.idle.notify_one();
        }
    }
}

/// The part of a target group that outlives configurations.
#[derive(Debug, Default)]
pub(crate) struct GroupLive {
    /// Grows by one with each request.
    pub turn: AtomicU64,
    pub counts: ResponseCounts,
    eligible: RwLock<Arc<[Arc<Target>]>>,
}

impl GroupLive {
    /// Lets `pick` choose among the targets that get requests now.
    pub(crate) fn with_eligible<T>(&self, pick: impl FnOnce(&[Arc<Target>]) -> T) -> T {
        pick(&self.eligible.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes which targets get requests, from the next request on.
    pub(crate) fn set_eligible(&self, targets: Vec<Arc<Target>>) {
        *self.eligible.write().unwrap_or_else(PoisonError::into_inner) = targets.into();
    }

    pub(crate) fn next_turn(&self) -> u64 {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }
}

/// A number that names a value in a cookie; equal values get equal numbers in every process.
pub(crate) fn tag(value: &impl Hash) -> u64 {
    // SipHash with fixed keys: its keys do not vary, unlike those of a RandomState.
    let mut hasher = std::hash::DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

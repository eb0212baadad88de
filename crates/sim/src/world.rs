//! What all simulated processes share: the clock, chance, the trace, the disk, the node's hardware, and who is alive.

use crate::bug::Bug;
use crate::check::Checks;
use crate::control::Process;
use crate::node::Node;
use crate::policy::{Every, Policy};
use crate::rng::Rng;
use crate::trace::{EPOCH, Names, Trace};
use longshore_store::engine::MemoryEngine;
use longshore_types::Timestamp;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The checker's name.
    pub check: &'static str,
    pub text: String,
}

pub struct World {
    pub policy: Policy,
    pub bug: Option<Bug>,
    /// The disk.
    pub engine: MemoryEngine,
    pub node: Mutex<Node>,
    /// The control plane while it lives.
    pub control: Mutex<Option<Process>>,
    pub checks: Mutex<Checks>,
    /// How often the tag of an image of other registries has moved.
    pub tags: Mutex<BTreeMap<String, u32>>,
    /// Breaks the connections between processes that are there now.
    pub breaker: Arc<Notify>,
    /// Set at the first violation.
    pub over: Notify,
    started: Instant,
    clock: Mutex<Clock>,
    rng: Mutex<Rng>,
    trace: Mutex<(Trace, Names)>,
    violation: Mutex<Option<Violation>>,
    faults: AtomicBool,
    seeds: AtomicU64,
    /// Counts resets: what a client knew before one is void.
    resets: AtomicU64,
}

/// From a look at the clock to a commit of what follows from it.
const LOOKED_WITHIN: Duration = Duration::from_secs(60);

/// How far the machine's clock is ahead of the true time.
#[derive(Default)]
struct Clock {
    ahead_ms: i64,
    /// When it was set last, and how far ahead it was until then.
    before: Option<(Instant, i64)>,
    furthest_ms: i64,
    was_set_back: bool,
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub fn new(seed: u64, bug: Option<Bug>, keep_trace: bool) -> Arc<Self> {
        let mut rng = Rng::new(seed);
        let policy = Policy::new(&mut rng);
        Arc::new(Self {
            policy,
            bug,
            engine: MemoryEngine::new(),
            node: Mutex::default(),
            control: Mutex::default(),
            checks: Mutex::default(),
            tags: Mutex::default(),
            breaker: Arc::default(),
            over: Notify::new(),
            started: Instant::now(),
            clock: Mutex::default(),
            rng: Mutex::new(rng),
            trace: Mutex::new((Trace::new(keep_trace), Names::default())),
            violation: Mutex::default(),
            faults: AtomicBool::new(true),
            seeds: AtomicU64::new(1),
            resets: AtomicU64::new(0),
        })
    }

    /// What the machine's clock shows.
    pub fn now(&self) -> Timestamp {
        self.shown(lock(&self.clock).ahead_ms)
    }

    /// What the clock showed or would have shown to who looked at it for what is written now: whether it was set meanwhile
    /// cannot be known.
    pub fn readings(&self) -> Vec<Timestamp> {
        let Clock { ahead_ms, before, .. } = *lock(&self.clock);
        let before = before.filter(|(at, _)| at.elapsed() < LOOKED_WITHIN).map(|(_, ms)| ms);
        [Some(ahead_ms), before].into_iter().flatten().map(|ms| self.shown(ms)).collect()
    }

    /// The latest time that the clock can have shown.
    pub fn latest(&self) -> Timestamp {
        self.shown(lock(&self.clock).furthest_ms)
    }

    pub fn was_set_back(&self) -> bool {
        lock(&self.clock).was_set_back
    }

    /// Sets the clock on, or back.
    pub fn set_clock(&self, by_ms: i64) {
        let mut clock = lock(&self.clock);
        clock.before = Some((Instant::now(), clock.ahead_ms));
        clock.ahead_ms += by_ms;
        clock.was_set_back |= by_ms < 0;
        clock.furthest_ms = clock.furthest_ms.max(clock.ahead_ms);
        drop(clock);
        self.note("fault", format!("the clock is set by {by_ms} ms"));
    }

    fn shown(&self, ahead_ms: i64) -> Timestamp {
        Timestamp((EPOCH + self.started.elapsed()).0 + ahead_ms)
    }

    /// Since the run began.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    pub fn faults(&self) -> bool {
        self.faults.load(Ordering::Relaxed)
    }

    pub fn end_faults(&self) {
        self.faults.store(false, Ordering::Relaxed);
        self.note("world", "no more faults");
    }

    /// A seed for a stream of identifiers.
    pub fn seed(&self) -> u128 {
        let count = self.seeds.fetch_add(1, Ordering::Relaxed);
        (u128::from(self.draw(|rng| rng.next())) << 64) | u128::from(count)
    }

    pub fn draw<T>(&self, from: impl FnOnce(&mut Rng) -> T) -> T {
        from(&mut lock(&self.rng))
    }

    /// True `part` times in `whole`, while there are faults.
    pub fn fault(&self, part: u64, whole: u64) -> bool {
        self.faults() && part > 0 && self.draw(|rng| rng.chance(part, whole))
    }

    pub fn between_ms(&self, (low, high): (u64, u64)) -> Duration {
        Duration::from_millis(self.draw(|rng| rng.between(low, high)))
    }

    pub async fn delay(&self, range_ms: (u64, u64)) {
        let time = self.between_ms(range_ms);
        if !time.is_zero() {
            tokio::time::sleep(time).await;
        }
    }

    /// Waits for the next fault of a kind; for ever where there is none.
    pub async fn until(&self, every: Every) {
        match every {
            Some(mean) => {
                let mean = u64::try_from(mean.as_millis()).unwrap_or(u64::MAX);
                self.delay((mean / 10, mean * 19 / 10)).await;
            }
            None => std::future::pending().await,
        }
    }

    pub fn note(&self, actor: &str, text: impl AsRef<str>) {
        let since = self.now().0 - EPOCH.0;
        lock(&self.trace).0.note(since, actor, text.as_ref());
    }

    /// A short name for the trace.
    pub fn name(&self, kind: &'static str, id: &str) -> String {
        lock(&self.trace).1.of(kind, id)
    }

    pub fn task(&self, id: &longshore_types::id::TaskId) -> String {
        self.name("task", id.as_str())
    }

    /// Ends the run.
    pub fn violated(&self, check: &'static str, text: impl Into<String>) {
        let text = text.into();
        self.note("CHECK", format!("{check}: {text}"));
        lock(&self.violation).get_or_insert(Violation { check, text });
        self.over.notify_one();
    }

    pub fn violation(&self) -> Option<Violation> {
        lock(&self.violation).clone()
    }

    pub fn resets(&self) -> u64 {
        self.resets.load(Ordering::Relaxed)
    }

    pub fn count_reset(&self) {
        self.resets.fetch_add(1, Ordering::Relaxed);
    }

    pub fn hash(&self) -> (u64, u64) {
        let trace = lock(&self.trace);
        (trace.0.hash(), trace.0.events())
    }

    pub fn take_lines(&self) -> Vec<String> {
        std::mem::replace(&mut lock(&self.trace).0, Trace::new(false)).into_lines()
    }
}

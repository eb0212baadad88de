//! One request from its head to its response's last byte: what it waits for, and since when.
//!
//! An HTTP/1 connection has one call that serves its requests one after the other, an HTTP/2 connection has
//! one for each stream.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::origin::Origin;
use super::timer::TICK;
use crate::compile::Route;
use crate::desync::{Tier, Verdict};
use crate::proxy;

/// What a connection or request waits for; decides what a time-out means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// A TLS handshake. Time-out: close.
    Handshake,
    /// The next request. Time-out: close.
    Idle,
    /// The rest of a head. Time-out: 408.
    Head,
    /// A connection to a target. Time-out: 504.
    Connecting,
    /// A target's response head. Time-out: 504.
    Waiting,
    /// The rest of a response, or bytes of a tunnel. Time-out: abort.
    Streaming,
    /// The client's FIN after the last response. Time-out: abort.
    Lingering,
}

/// A client that does not finish its handshake in this time is closed on.
const HANDSHAKE_TIMEOUT_MS: u64 = 10_000;
const LINGER_MS: u64 = 2_000;
/// For connections whose listener is gone.
const ORPHAN_TIMEOUT_MS: u64 = 60_000;

/// See the module.
#[derive(Debug)]
pub(crate) struct Call {
    pub origin: Rc<Origin>,
    phase: Cell<Phase>,
    /// When the phase began.
    since_ms: Cell<u64>,
    /// When a byte moved last, or the phase began.
    active_ms: Cell<u64>,
    is_expired: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    /// The client's part of the exchange at hand failed: its body broke or its connection ended.
    pub body_failed: Cell<bool>,
    /// The client's part of the exchange at hand has come completely.
    pub body_ended: Cell<bool>,
    /// Bytes of the client's body that have come.
    pub body_bytes: Cell<u64>,
    /// How well the request at hand is framed.
    pub verdict: Cell<Verdict>,
}

impl Call {
    pub(super) fn new(origin: Rc<Origin>, phase: Phase) -> Call {
        let now_ms = origin.worker.now_ms();
        Call {
            origin,
            phase: Cell::new(phase),
            since_ms: Cell::new(now_ms),
            active_ms: Cell::new(now_ms),
            is_expired: Cell::new(false),
            waker: RefCell::new(None),
            body_failed: Cell::new(false),
            body_ended: Cell::new(false),
            body_bytes: Cell::new(0),
            verdict: Cell::new(Verdict::COMPLIANT),
        }
    }

    pub(super) fn begin_request(&self, verdict: Verdict) {
        self.body_failed.set(false);
        self.body_ended.set(false);
        self.body_bytes.set(0);
        self.verdict.set(verdict);
    }

    /// Whether the connections the request came and went by must end with it.
    pub(crate) fn ends_connections(&self) -> bool {
        let verdict = self.verdict.get();
        verdict.tier >= Tier::Ambiguous && verdict.ends_connections(self.origin.desync_mode())
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase.get()
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        let now_ms = self.origin.worker.now_ms();
        self.phase.set(phase);
        self.since_ms.set(now_ms);
        self.active_ms.set(now_ms);
        self.is_expired.set(false);
    }

    /// A byte moved somewhere.
    pub(crate) fn touch(&self) {
        self.active_ms.set(self.origin.worker.now_ms());
    }

    /// Whether the phase at hand took too long.
    pub(crate) fn is_expired(&self) -> bool {
        self.is_expired.get()
    }

    /// Lets whoever serves the call look again.
    pub(super) fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    pub(crate) fn keep_waker(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        if waker.as_ref().is_none_or(|waker| !waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    /// Ready when the phase at hand took too long.
    pub(crate) fn poll_expired(&self, cx: &Context<'_>) -> Poll<()> {
        self.keep_waker(cx);
        if self.is_expired() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Milliseconds for which the phase at hand has waited.
    pub(super) fn waited_ms(&self) -> u64 {
        let from_ms = match self.phase.get() {
            // A trickle keeps neither a head nor a goodbye alive.
            Phase::Handshake | Phase::Head | Phase::Connecting | Phase::Lingering => self.since_ms.get(),
            Phase::Idle | Phase::Waiting | Phase::Streaming => self.active_ms.get(),
        };
        self.origin.worker.now_ms().saturating_sub(from_ms)
    }

    /// Finds out whether the phase at hand took too long, and says so. `route` is the listener's now.
    pub(super) fn check(&self, route: Option<&Route>) -> bool {
        let limit_ms = match (self.phase.get(), route) {
            (Phase::Handshake, _) => HANDSHAKE_TIMEOUT_MS,
            (Phase::Connecting, _) => proxy::CONNECT_TIMEOUT_MS,
            (Phase::Lingering, _) => LINGER_MS,
            (_, Some(route)) => route.load_balancer.idle_timeout_ms,
            (_, None) => ORPHAN_TIMEOUT_MS,
        };
        // The recorded time may be a tick older than the event.
        let is_late = self.waited_ms() >= limit_ms + TICK.as_millis() as u64;
        if is_late {
            self.expire();
        }
        is_late
    }

    /// Ends the phase at hand.
    pub(super) fn expire(&self) {
        self.is_expired.set(true);
        self.wake();
    }
}

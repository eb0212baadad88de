//! Wake-ups. A wake says that something changed, never what it is now: the woken reads the state.

use crate::store::Shared;
use crate::table::Table;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// Tells all watchers of a commit, and of the end. Unlike `tokio::sync::watch` it wakes them in the order in which they came
/// to wait, so that a simulation of a seed is the same each time.
#[derive(Default)]
pub(crate) struct Bell {
    notify: Notify,
    closed: AtomicBool,
}

impl Bell {
    pub(crate) fn ring(&self) {
        self.notify.notify_waiters();
    }
}

/// The ringer's end: the bell rings a last time when it goes.
pub(crate) struct Ringer(pub(crate) Arc<Bell>);

impl Drop for Ringer {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::SeqCst);
        self.0.ring();
    }
}

/// Wakes whenever tables change. Changes that come faster than they are asked for are one wake; none is lost.
pub struct Watcher {
    pub(crate) shared: Arc<Shared>,
    pub(crate) bell: Arc<Bell>,
    pub(crate) seen: u64,
    /// Names of the tables that wake; empty for all.
    pub(crate) only: Vec<&'static str>,
}

/// What a [`Watcher`] was woken for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wake {
    /// The latest revision. A snapshot read after the wake is at least this new.
    pub revision: u64,
    /// Names of the watched tables that changed since the last wake.
    pub tables: Vec<&'static str>,
}

impl Wake {
    pub fn touches<T: Table>(&self) -> bool {
        self.tables.contains(&T::NAME)
    }
}

impl Watcher {
    /// Wakes for this table, and those named by further calls, only.
    #[must_use]
    pub fn on<T: Table>(mut self) -> Self {
        self.only.push(T::NAME);
        self
    }

    /// Counts changes after `revision` as unseen: for a reader that starts from a snapshot it took earlier.
    #[must_use]
    pub fn since(mut self, revision: u64) -> Self {
        self.seen = revision;
        self
    }

    /// Waits for a change after the last wake. `None` once the store is closed. Dropping the future loses nothing.
    pub async fn changed(&mut self) -> Option<Wake> {
        let bell = Arc::clone(&self.bell);
        loop {
            // Listens before the state is read: a commit in between ends the wait below at once.
            let mut rung = std::pin::pin!(bell.notify.notified());
            rung.as_mut().enable();
            if let Some(wake) = self.unseen() {
                return Some(wake);
            }
            if bell.closed.load(Ordering::SeqCst) {
                return None;
            }
            rung.await;
        }
    }

    fn unseen(&mut self) -> Option<Wake> {
        let snapshot = self.shared.snapshot();
        let revision = snapshot.revision();
        let changed = snapshot.tables().iter().filter(|table| table.changed_at() > self.seen).map(|table| table.name());
        let tables: Vec<_> = changed.filter(|name| self.only.is_empty() || self.only.contains(name)).collect();
        self.seen = revision;
        (!tables.is_empty()).then_some(Wake { revision, tables })
    }
}

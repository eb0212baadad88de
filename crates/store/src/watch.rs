//! Wake-ups. A wake says that something changed, never what it is now: the woken reads the state.

use crate::store::Shared;
use crate::table::Table;
use std::sync::Arc;
use tokio::sync::watch;

/// Wakes whenever tables change. Changes that come faster than they are asked for are one wake; none is lost.
pub struct Watcher {
    pub(crate) shared: Arc<Shared>,
    pub(crate) revisions: watch::Receiver<u64>,
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
        loop {
            // Marked seen before the state is read: a commit in between wakes the wait below at once.
            self.revisions.borrow_and_update();
            if let Some(wake) = self.unseen() {
                return Some(wake);
            }
            self.revisions.changed().await.ok()?;
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

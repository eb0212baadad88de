//! Wake-ups for those who follow a group as it grows.

use super::store::Shared;
use std::sync::Arc;
use tokio::sync::watch;

/// Wakes when events are appended to a group. A wake carries none: the woken reads on from its position.
pub struct LogWatcher {
    pub(crate) shared: Arc<Shared>,
    pub(crate) sequences: watch::Receiver<u64>,
    pub(crate) group: String,
    pub(crate) seen: u64,
}

impl LogWatcher {
    /// Waits for events appended after the last wake. False once the store is closed. Dropping the future loses nothing.
    pub async fn changed(&mut self) -> bool {
        loop {
            // Marked seen before the index is read: an append in between wakes the wait below at once.
            self.sequences.borrow_and_update();
            let last = self.shared.read().groups.get(self.group.as_str()).map_or(0, |group| group.last_sequence);
            if last > self.seen {
                self.seen = last;
                return true;
            }
            if self.sequences.changed().await.is_err() {
                return false;
            }
        }
    }
}

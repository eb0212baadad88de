//! What changed lately, so that a pusher sends differences instead of everything.

use crate::key::Key;
use crate::map::Bytes;
use crate::snapshot::Snapshot;
use crate::table::Table;
use crate::tx::RowId;
use std::collections::{BTreeSet, HashMap, VecDeque};

/// Changes remembered. A reader further behind reads everything again.
const ENTRIES_MAX: usize = 1 << 16;

#[derive(Default)]
pub(crate) struct ChangeLog {
    /// Ascending revisions.
    entries: VecDeque<(u64, RowId)>,
    /// Everything after this revision is remembered.
    floor: u64,
}

impl ChangeLog {
    pub(crate) fn new(floor: u64) -> Self {
        Self { entries: VecDeque::new(), floor }
    }

    pub(crate) fn extend(&mut self, changes: impl IntoIterator<Item = (u64, RowId)>) {
        self.entries.extend(changes);
        while self.entries.len() > ENTRIES_MAX
            && let Some((revision, _)) = self.entries.pop_front()
        {
            self.floor = revision;
        }
    }

    /// Everything between `since` and `snapshot`, which is the state after the last entry.
    pub(crate) fn since(&self, since: u64, snapshot: Snapshot) -> Changes {
        let complete = (self.floor..=snapshot.revision()).contains(&since);
        let mut keys: HashMap<usize, BTreeSet<Bytes>> = HashMap::new();
        if complete {
            let from = self.entries.partition_point(|(revision, _)| *revision <= since);
            for (_, (table, key)) in self.entries.range(from..) {
                keys.entry(*table).or_default().insert(Bytes::clone(key));
            }
        }
        Changes { snapshot, since, complete, keys }
    }
}

/// The difference between a revision and a snapshot.
pub struct Changes {
    snapshot: Snapshot,
    since: u64,
    complete: bool,
    keys: HashMap<usize, BTreeSet<Bytes>>,
}

impl Changes {
    /// The state these changes lead to; its revision is the `since` of the next question.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Keys of one table that were written or removed, ascending; look each up in [`snapshot`](Self::snapshot). `None`
    /// when that is no longer known: then take the whole table.
    pub fn keys<T: Table>(&self) -> Option<Vec<T::Key>> {
        if !self.complete {
            // A table nobody wrote to has no changes, however little is remembered of the others.
            let changed_at = self.snapshot.table::<T>().changed_at();
            return (changed_at <= self.since && self.since <= self.snapshot.revision()).then(Vec::new);
        }
        let keys = self.keys.get(&self.snapshot.position::<T>());
        let decode = |key: &Bytes| T::Key::from_bytes(key).expect("keys in the log were encoded by their table");
        Some(keys.into_iter().flatten().map(decode).collect())
    }
}

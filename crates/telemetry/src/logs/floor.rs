//! What pruning takes away: events from before a time, of those stored so far.
//!
//! An event that arrives later stays, however old it is: it was acknowledged, and by then the group may keep events longer.

use super::event::EventKey;
use serde::{Deserialize, Serialize};

/// One pruning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Floor {
    /// Events from before this time, milliseconds since 1970, are gone ...
    pub(crate) before_ms: i64,
    /// ... if their numbers are smaller than this one.
    pub(crate) below_sequence: u64,
}

impl Floor {
    fn covers(&self, other: &Self) -> bool {
        self.before_ms >= other.before_ms && self.below_sequence >= other.below_sequence
    }
}

/// A group's prunings, without those that others cover: few, since time raises the floors of a retention.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Floors(Vec<Floor>);

impl Floors {
    pub(crate) const NONE: &Self = &Self(Vec::new());

    /// Time before which events are gone from a block whose greatest number is `sequence_max`.
    ///
    /// No floor splits a block of a log file by numbers, for it came between two appends. A sorted block is without the
    /// events that floors hid when it was sorted, and wholly subject to the later ones.
    pub(crate) fn before_ms(&self, sequence_max: u64) -> i64 {
        let above = self.0.iter().filter(|floor| sequence_max < floor.below_sequence);
        above.map(|floor| floor.before_ms).max().unwrap_or(i64::MIN)
    }

    pub(crate) fn hide(&self, (timestamp_ms, sequence): EventKey) -> bool {
        timestamp_ms < self.before_ms(sequence)
    }

    pub(crate) fn cover(&self, floor: &Floor) -> bool {
        self.0.iter().any(|known| known.covers(floor))
    }

    pub(crate) fn add(&mut self, floor: Floor) {
        if !self.cover(&floor) {
            self.0.retain(|known| !floor.covers(known));
            self.0.push(floor);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_floor_is_for_earlier_events_and_stays_until_another_covers_it() {
        let mut floors = Floors::default();
        let mut add = |before_ms, below_sequence| {
            floors.add(Floor { before_ms, below_sequence });
            (floors.before_ms(1), floors.before_ms(15), floors.before_ms(25), floors.0.len())
        };
        assert_eq!(add(100, 10), (100, i64::MIN, i64::MIN, 1));
        assert_eq!(add(50, 20), (100, 50, i64::MIN, 2));
        assert_eq!(add(40, 20), (100, 50, i64::MIN, 2));
        assert_eq!(add(70, 30), (100, 70, 70, 2));
        assert_eq!(add(100, 30), (100, 100, 100, 1));
        assert!(floors.hide((99, 29)) && !floors.hide((100, 29)) && !floors.hide((99, 30)));
    }
}

//! Events, their names, and places between them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// An event as a caller appends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Milliseconds since 1970.
    pub timestamp_ms: i64,
    pub message: String,
}

/// An event as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    pub id: EventId,
    pub stream: Arc<str>,
    /// Milliseconds since 1970, as appended.
    pub timestamp_ms: i64,
    /// Milliseconds since 1970, when it was appended.
    pub ingestion_ms: i64,
    pub message: String,
}

/// Time, then order of arrival.
pub(crate) type EventKey = (i64, u64);

/// The lasting name of an event: 56 decimal digits, which sort like the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub(crate) EventKey);

/// A place between two events: just before the event of this time and number. Written as 56 decimal digits. It stays
/// valid, and means the same, whatever is appended, sorted or pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub(crate) EventKey);

impl Position {
    /// Before all events of this time.
    pub fn before_time(timestamp_ms: i64) -> Self {
        Self((timestamp_ms, 0))
    }

    pub(crate) fn after((timestamp_ms, sequence): EventKey) -> Self {
        Self((timestamp_ms, sequence + 1))
    }
}

impl From<EventId> for Position {
    /// Just before the event.
    fn from(id: EventId) -> Self {
        Self(id.0)
    }
}

fn show((timestamp_ms, sequence): EventKey, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    // With the sign bit flipped, negative times sort before positive ones.
    let time = timestamp_ms.cast_unsigned() ^ (1 << 63);
    write!(f, "{:056}", (u128::from(time) << 64) | u128::from(sequence))
}

fn parse(text: &str) -> Result<EventKey, ParseIdError> {
    if text.len() != 56 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ParseIdError);
    }
    let number: u128 = text.parse().map_err(|_| ParseIdError)?;
    let time = u64::try_from(number >> 64).map_err(|_| ParseIdError)?;
    let sequence = u64::try_from(number & u128::from(u64::MAX)).map_err(|_| ParseIdError)?;
    Ok(((time ^ (1 << 63)).cast_signed(), sequence))
}

/// A text that is not 56 digits, or names nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an event id or position: 56 decimal digits are expected")]
pub struct ParseIdError;

macro_rules! as_text {
    ($($type:ident),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                show(self.0, f)
            }
        }

        impl FromStr for $type {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse(text).map(Self)
            }
        }
    )*};
}
as_text!(EventId, Position);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_56_digits_that_sort_like_events_and_come_back() {
        let ids: Vec<EventId> =
            [(i64::MIN, 0), (-1, 5), (0, 0), (0, 1), (1_700_000_000_000, u64::MAX), (i64::MAX, 3)].map(EventId).into();
        let texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
        assert!(texts.is_sorted() && texts.iter().all(|text| text.len() == 56), "{texts:?}");
        assert_eq!(texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<EventId>>(), ids);
        for wrong in ["", "12", "f", &"9".repeat(56), &"x".repeat(56), &format!("+{}", "1".repeat(55))] {
            assert_eq!(wrong.parse::<Position>(), Err(ParseIdError), "{wrong}");
        }
    }
}

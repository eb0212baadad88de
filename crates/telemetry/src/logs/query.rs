//! Reading: one stream forwards and backwards, and many streams through a pattern.

use super::error::LogError;
use super::event::{EventId, EventKey, Position, StoredEvent};
use super::floor::Floors;
use super::index::{Group, Stream};
use super::merge::{Merge, Merged, Source};
use super::pattern::Pattern;
use super::store::Shared;
use std::sync::Arc;

/// What an event counts besides its message, as in PutLogEvents' limits.
const EVENT_OVERHEAD_BYTES: usize = 26;

/// Events of one stream, see [`LogStore::get`](super::LogStore::get).
#[derive(Debug, Clone)]
pub struct GetRequest<'a> {
    pub group: &'a str,
    pub stream: &'a str,
    /// From this time (milliseconds since 1970, inclusive) ...
    pub from_ms: Option<i64>,
    /// ... to just before this one.
    pub to_ms: Option<i64>,
    pub start: Start,
    /// Events in the page, at least 1.
    pub limit: usize,
    /// Bytes in the page, counted as messages plus 26 each. One event is returned however large.
    pub bytes_max: usize,
}

/// Where a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The earliest events.
    Head,
    /// The latest events.
    Tail,
    /// The earliest events after a place.
    Forward(Position),
    /// The latest events before a place.
    Backward(Position),
}

/// Events in ascending order, and the places around them. Without events both places are where the reader stood, so that
/// reading on from either returns what arrives later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub events: Vec<StoredEvent>,
    pub forward: Position,
    pub backward: Position,
}

/// Events of a group's streams, see [`LogStore::filter`](super::LogStore::filter).
#[derive(Debug, Clone)]
pub struct FilterRequest<'a> {
    pub group: &'a str,
    pub streams: Streams<'a>,
    /// From this time (milliseconds since 1970, inclusive) ...
    pub from_ms: Option<i64>,
    /// ... to just before this one.
    pub to_ms: Option<i64>,
    /// `None` for all events.
    pub pattern: Option<&'a Pattern>,
    /// [`FilterPage::next`] of the page before.
    pub start: Option<Position>,
    /// Descending instead of ascending.
    pub newest_first: bool,
    /// Events in the page, at least 1.
    pub limit: usize,
    /// Bytes in the page, counted as messages plus 26 each.
    pub bytes_max: usize,
    /// Bytes to read at most before the page ends, with however few events: bounds the time of a page.
    pub scan_bytes_max: u64,
}

/// Which streams of a group.
#[derive(Debug, Clone)]
pub enum Streams<'a> {
    All,
    Named(&'a [String]),
}

/// Events in the order asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterPage {
    pub events: Vec<StoredEvent>,
    /// Where to go on; `None` when all was read.
    pub next: Option<Position>,
}

pub(crate) fn get(shared: &Shared, request: &GetRequest<'_>) -> Result<Page, LogError> {
    let mut low = (request.from_ms.unwrap_or(i64::MIN), 0);
    let mut high = end_key(request.to_ms);
    let mut sources = Vec::new();
    let name: Arc<str> = Arc::from(request.stream);
    let index = shared.read();
    let floors = index.floors(request.group);
    if let Some(stream) = index.groups.get(request.group).and_then(|group| group.streams.get(request.stream)) {
        collect(stream, 0, floors, low, high, &mut sources);
    }
    // Let go before the disk is read.
    drop(index);
    let (ascending, place) = match request.start {
        Start::Head => (true, Position(low)),
        Start::Tail => (false, Position(low)),
        Start::Forward(place) => (true, place),
        Start::Backward(place) => (false, place),
    };
    match request.start {
        Start::Forward(place) => low = low.max(place.0),
        Start::Backward(place) => high = high.min(place.0),
        Start::Head | Start::Tail => {}
    }
    let mut merge = Merge::new(sources, low, high, ascending);
    let mut page = PageLimit::new(request.limit, request.bytes_max);
    let mut events = Vec::new();
    while let Some(merged) = merge.next()? {
        if !page.takes(merged.message.len()) {
            break;
        }
        events.push(stored(&merged, &name));
        if page.is_full() {
            break;
        }
    }
    if !ascending {
        events.reverse();
    }
    let forward = events.last().map_or(place, |event| Position::after(event.id.0));
    let backward = events.first().map_or(place, |event| Position(event.id.0));
    Ok(Page { events, forward, backward })
}

pub(crate) fn filter(shared: &Shared, request: &FilterRequest<'_>) -> Result<FilterPage, LogError> {
    let ascending = !request.newest_first;
    let mut low = (request.from_ms.unwrap_or(i64::MIN), 0);
    let mut high = end_key(request.to_ms);
    match request.start {
        Some(place) if ascending => low = low.max(place.0),
        Some(place) => high = high.min(place.0),
        None => {}
    }
    let (mut names, mut sources) = (Vec::new(), Vec::new());
    let index = shared.read();
    let floors = index.floors(request.group);
    if let Some(group) = index.groups.get(request.group) {
        for (name, stream) in chosen(group, &request.streams) {
            collect(stream, names.len(), floors, low, high, &mut sources);
            names.push(Arc::clone(name));
        }
    }
    drop(index);
    let mut merge = Merge::new(sources, low, high, ascending);
    let mut page = PageLimit::new(request.limit, request.bytes_max);
    let mut events: Vec<StoredEvent> = Vec::new();
    loop {
        let over_budget = merge.scanned_bytes >= request.scan_bytes_max;
        let Some(merged) = merge.next()? else { return Ok(FilterPage { events, next: None }) };
        let key = merged.event.key();
        // The place before the event that was looked at last, or after it.
        let (before, after) =
            if ascending { (Position(key), Position::after(key)) } else { (Position::after(key), Position(key)) };
        let matches = request.pattern.is_none_or(|pattern| pattern.matches(&String::from_utf8_lossy(merged.message)));
        if matches {
            if !page.takes(merged.message.len()) {
                return Ok(FilterPage { events, next: Some(before) });
            }
            events.push(stored(&merged, &names[merged.stream]));
        }
        if page.is_full() || over_budget {
            return Ok(FilterPage { events, next: merge.may_have_more().then_some(after) });
        }
    }
}

fn end_key(to_ms: Option<i64>) -> EventKey {
    to_ms.map_or((i64::MAX, u64::MAX), |to_ms| (to_ms, 0))
}

fn chosen<'g>(group: &'g Group, streams: &Streams<'_>) -> Vec<(&'g Arc<str>, &'g Stream)> {
    match streams {
        Streams::All => group.streams.iter().collect(),
        Streams::Named(names) => names.iter().filter_map(|name| group.streams.get_key_value(name.as_str())).collect(),
    }
}

fn collect(stream: &Stream, number: usize, floors: &Floors, low: EventKey, high: EventKey, sources: &mut Vec<Source>) {
    let inside = stream.blocks.iter().filter(|block| block.max_ms >= low.0 && block.min_ms <= high.0);
    sources.extend(inside.map(|block| Source {
        block: block.clone(),
        stream: number,
        floor_ms: floors.before_ms(block.sequence_max),
    }));
}

fn stored(merged: &Merged<'_>, stream: &Arc<str>) -> StoredEvent {
    StoredEvent {
        id: EventId(merged.event.key()),
        stream: Arc::clone(stream),
        timestamp_ms: merged.event.timestamp_ms,
        ingestion_ms: merged.event.ingestion_ms,
        message: String::from_utf8_lossy(merged.message).into_owned(),
    }
}

/// How much more fits into a page.
struct PageLimit {
    events_left: usize,
    bytes_left: usize,
    is_empty: bool,
}

impl PageLimit {
    fn new(limit: usize, bytes_max: usize) -> Self {
        Self { events_left: limit.max(1), bytes_left: bytes_max, is_empty: true }
    }

    /// Makes room for an event; false when there is none. The first event always fits, or a reader would stand still.
    fn takes(&mut self, message_len: usize) -> bool {
        let bytes = message_len + EVENT_OVERHEAD_BYTES;
        if self.events_left == 0 || (bytes > self.bytes_left && !self.is_empty) {
            return false;
        }
        self.events_left -= 1;
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        self.is_empty = false;
        true
    }

    fn is_full(&self) -> bool {
        self.events_left == 0
    }
}

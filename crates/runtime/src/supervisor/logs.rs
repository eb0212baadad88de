//! Output of a container: bytes from its pipes become lines, and lines wait in a bounded buffer until somebody has
//! acknowledged them.

use crate::protocol::Stream;
use crate::spec::{LogMode, LogSpec};
use std::collections::VecDeque;

/// Longest message of one line; what is longer is split, as the `awslogs` driver does: 256 KiB less an event's overhead.
pub const LINE_MAX: usize = (256 << 10) - 26;
/// Memory of a line beside its text, roughly.
const LINE_OVERHEAD: u64 = 64;

/// A line in the buffer.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    pub sequence: u64,
    pub stream: Stream,
    pub timestamp_ms: u64,
    pub message: Box<[u8]>,
}

/// Unacknowledged lines of one container.
#[derive(Debug)]
pub struct LogBuffer {
    mode: LogMode,
    bytes_max: u64,
    bytes: u64,
    lines: VecDeque<Line>,
    /// The last one given.
    sequence: u64,
    dropped: u64,
}

impl LogBuffer {
    pub fn new(spec: &LogSpec) -> Self {
        LogBuffer {
            mode: spec.mode,
            bytes_max: spec.max_buffer_bytes,
            bytes: 0,
            lines: VecDeque::new(),
            sequence: 0,
            dropped: 0,
        }
    }

    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether the pipes should be left alone for now.
    pub fn is_full(&self) -> bool {
        self.mode == LogMode::Blocking && self.bytes >= self.bytes_max
    }

    /// Takes a line. A non-blocking buffer that has no room for it drops it, as Docker's does: what it holds stays. An
    /// empty one takes any line.
    pub fn push(&mut self, stream: Stream, timestamp_ms: u64, message: &[u8]) {
        let bytes = message.len() as u64 + LINE_OVERHEAD;
        if self.mode == LogMode::NonBlocking && self.bytes + bytes > self.bytes_max && !self.lines.is_empty() {
            self.dropped += 1;
            return;
        }
        self.sequence += 1;
        self.bytes += bytes;
        self.lines.push_back(Line { sequence: self.sequence, stream, timestamp_ms, message: message.into() });
    }

    /// Forgets lines up to and including `sequence`.
    pub fn acknowledge(&mut self, sequence: u64) {
        while self.lines.front().is_some_and(|line| line.sequence <= sequence) {
            let first = self.lines.pop_front().expect("it was just looked at");
            self.bytes -= first.message.len() as u64 + LINE_OVERHEAD;
        }
        if self.lines.is_empty() {
            self.lines.shrink_to(0);
        }
    }

    /// The first line after `sequence`.
    pub fn after(&self, sequence: u64) -> Option<&Line> {
        let first = self.lines.front()?.sequence;
        // Sequences in the buffer have no gaps.
        self.lines.get((sequence + 1).saturating_sub(first) as usize)
    }
}

/// Cuts one stream into lines.
#[derive(Debug, Default)]
pub struct LineCutter {
    partial: Vec<u8>,
}

impl LineCutter {
    /// Takes what was read and calls `emit` for each line that is complete.
    pub fn feed(&mut self, mut bytes: &[u8], emit: &mut dyn FnMut(&[u8])) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            if self.partial.is_empty() && end <= LINE_MAX {
                emit(&bytes[..end]);
            } else {
                self.add(&bytes[..end], emit);
                emit(&self.partial);
                self.partial.clear();
            }
            bytes = &bytes[end + 1..];
        }
        self.add(bytes, emit);
        if self.partial.is_empty() {
            self.partial.shrink_to(0);
        }
    }

    fn add(&mut self, mut bytes: &[u8], emit: &mut dyn FnMut(&[u8])) {
        while self.partial.len() + bytes.len() > LINE_MAX {
            let (now, later) = bytes.split_at(LINE_MAX - self.partial.len());
            self.partial.extend_from_slice(now);
            let end = end_of_character(&self.partial, later[0]);
            emit(&self.partial[..end]);
            self.partial.drain(..end);
            bytes = later;
        }
        self.partial.extend_from_slice(bytes);
    }

    /// The stream has ended: what is left is a line too.
    pub fn finish(&mut self, emit: &mut dyn FnMut(&[u8])) {
        if !self.partial.is_empty() {
            emit(&self.partial);
        }
        self.partial = Vec::new();
    }
}

/// Where to cut a text that `next` goes on, so that no character of UTF-8 is torn.
fn end_of_character(text: &[u8], next: u8) -> usize {
    let is_inside = |byte: u8| byte & 0b1100_0000 == 0b1000_0000;
    if !is_inside(next) {
        return text.len();
    }
    let tail = text.iter().rev().take(3).position(|byte| !is_inside(*byte));
    tail.map_or(text.len(), |after| text.len() - after - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&[u8]]) -> Vec<String> {
        let (mut cutter, mut lines) = (LineCutter::default(), Vec::new());
        let mut emit = |line: &[u8]| lines.push(String::from_utf8_lossy(line).into_owned());
        pieces.iter().for_each(|piece| cutter.feed(piece, &mut emit));
        cutter.finish(&mut emit);
        lines
    }

    #[test]
    fn lines_do_not_depend_on_how_they_were_read() {
        assert_eq!(cut(&[b"a\nb", b"c\n\nd"]), ["a", "bc", "", "d"]);
        assert_eq!(cut(&[b"a", b"\n"]), ["a"]);
        assert!(cut(&[]).is_empty());
    }

    #[test]
    fn long_lines_are_split() {
        let long = vec![b'x'; 2 * LINE_MAX + 5];
        let lengths: Vec<usize> = cut(&[&long, b"\ny"]).iter().map(String::len).collect();
        assert_eq!(lengths, [LINE_MAX, LINE_MAX, 5, 1]);
        assert_eq!(cut(&[&long[..LINE_MAX], b"\n"]).len(), 1, "exactly the most is one line");
    }

    #[test]
    fn no_character_is_torn() {
        for start in 0..4 {
            let text = "x".repeat(start) + &"\u{1f980}".repeat(LINE_MAX / 2);
            let pieces = cut(&[text.as_bytes()]);
            assert_eq!(pieces.concat(), text);
            assert!(pieces.iter().all(|piece| piece.len() <= LINE_MAX) && pieces.len() == 3);
        }
    }

    fn buffer(mode: LogMode, lines: u64) -> LogBuffer {
        LogBuffer::new(&LogSpec { mode, max_buffer_bytes: lines * (LINE_OVERHEAD + 1) })
    }

    fn sequences(buffer: &LogBuffer) -> Vec<u64> {
        let mut seen = vec![];
        while let Some(line) = buffer.after(seen.last().copied().unwrap_or(0)) {
            seen.push(line.sequence);
        }
        seen
    }

    #[test]
    fn a_full_non_blocking_buffer_drops_what_comes_and_says_so() {
        let mut logs = buffer(LogMode::NonBlocking, 3);
        (0..5).for_each(|_| logs.push(Stream::Stdout, 0, b"x"));
        assert_eq!((sequences(&logs), logs.dropped(), logs.is_full()), (vec![1, 2, 3], 2, false));
        logs.acknowledge(2);
        logs.push(Stream::Stdout, 0, b"x");
        assert_eq!((sequences(&logs), logs.dropped()), (vec![3, 4], 2), "numbers have no gaps");
    }

    #[test]
    fn a_blocking_buffer_fills_up_and_drains_by_acknowledgement() {
        let mut logs = buffer(LogMode::Blocking, 3);
        (0..3).for_each(|_| logs.push(Stream::Stderr, 0, b"x"));
        assert!(logs.is_full());
        logs.acknowledge(1);
        assert!(!logs.is_full());
        assert_eq!((sequences(&logs), logs.dropped()), (vec![2, 3], 0));
        logs.acknowledge(99);
        assert_eq!(logs.after(0), None);
        logs.push(Stream::Stdout, 0, b"x");
        assert_eq!(sequences(&logs), [4]);
    }
}

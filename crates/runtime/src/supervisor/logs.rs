//! Output of a container: bytes from its pipes become lines, and lines wait in a bounded buffer until somebody has
//! acknowledged them.

use crate::protocol::Stream;
use crate::spec::{LogMode, LogSpec};
use std::collections::VecDeque;

/// Longest message of one line; what is longer is split.
pub const LINE_MAX: usize = 256 << 10;
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

    pub fn push(&mut self, stream: Stream, timestamp_ms: u64, message: &[u8]) {
        self.sequence += 1;
        self.bytes += message.len() as u64 + LINE_OVERHEAD;
        self.lines.push_back(Line { sequence: self.sequence, stream, timestamp_ms, message: message.into() });
        if self.mode == LogMode::NonBlocking {
            while self.bytes > self.bytes_max && self.forget_first() {
                self.dropped += 1;
            }
        }
    }

    /// Forgets lines up to and including `sequence`.
    pub fn acknowledge(&mut self, sequence: u64) {
        while self.lines.front().is_some_and(|line| line.sequence <= sequence) {
            self.forget_first();
        }
        if self.lines.is_empty() {
            self.lines.shrink_to(0);
        }
    }

    fn forget_first(&mut self) -> bool {
        let Some(line) = self.lines.pop_front() else { return false };
        self.bytes -= line.message.len() as u64 + LINE_OVERHEAD;
        true
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
            emit(&self.partial);
            self.partial.clear();
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
    fn a_non_blocking_buffer_loses_the_oldest_and_says_so() {
        let mut logs = buffer(LogMode::NonBlocking, 3);
        (0..5).for_each(|_| logs.push(Stream::Stdout, 0, b"x"));
        assert_eq!((sequences(&logs), logs.dropped(), logs.is_full()), (vec![3, 4, 5], 2, false));
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

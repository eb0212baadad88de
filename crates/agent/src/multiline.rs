//! Lines joined into events, as the `awslogs` driver joins them: a line that matches the pattern begins an event, and lines
//! that do not go on with it. Standard output and error are one sequence.

use longshore_runtime::protocol::LogLine;
use regex::Regex;
use std::time::Duration;
use tokio::time::Instant;

/// Longest event: 256 KiB less an event's overhead.
const EVENT_BYTES_MAX: usize = (256 << 10) - 26;
/// How long an event waits for its next line.
const WAIT: Duration = Duration::from_secs(5);

/// Joins the lines of one container. An event is a line, with the time of its first and the sequence of its last.
pub(crate) struct Joiner {
    pattern: Regex,
    open: Option<LogLine>,
    since: Option<Instant>,
}

impl Joiner {
    /// `None` for what is no pattern: the control plane has looked.
    pub(crate) fn new(pattern: &str) -> Option<Self> {
        Some(Self { pattern: Regex::new(pattern).ok()?, open: None, since: None })
    }

    /// Takes a line, and returns the event that is complete with it.
    pub(crate) fn add(&mut self, mut line: LogLine, now: Instant) -> Option<LogLine> {
        let is_first = self.pattern.is_match(&line.message);
        line.message.push('\n');
        if let Some(open) = &mut self.open
            && !is_first
            && open.message.len() + line.message.len() <= EVENT_BYTES_MAX
        {
            open.message.push_str(&line.message);
            open.sequence = line.sequence;
            return None;
        }
        self.since = Some(now);
        self.open.replace(line)
    }

    /// When the event that is open will have waited long enough.
    pub(crate) fn due_at(&self) -> Option<Instant> {
        self.since.map(|since| since + WAIT)
    }

    /// The event that is open: no line will come, or it has waited long enough.
    pub(crate) fn take(&mut self) -> Option<LogLine> {
        self.since = None;
        self.open.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use longshore_runtime::protocol::Stream;

    fn line(sequence: u64, message: &str) -> LogLine {
        let (container, stream, message) = ("app".to_owned(), Stream::Stdout, message.to_owned());
        LogLine { container, sequence, stream, timestamp_ms: sequence * 10, message }
    }

    /// Messages, times and sequences of the events of some lines.
    fn join(lines: &[&str]) -> Vec<(String, u64, u64)> {
        let mut joiner = Joiner::new("^[A-Z]+ ").unwrap();
        let now = Instant::now();
        let lines = (1..).zip(lines).map(|(sequence, message)| line(sequence, message));
        let mut events: Vec<_> = lines.filter_map(|line| joiner.add(line, now)).collect();
        events.extend(joiner.take());
        events.into_iter().map(|event| (event.message, event.timestamp_ms, event.sequence)).collect()
    }

    #[test]
    fn lines_go_on_with_the_event_that_a_match_began() {
        let event = |message: &str, at, sequence| (message.to_owned(), at, sequence);
        assert_eq!(
            join(&["INFO a", "ERROR b", "  at c", "", "  at d", "INFO e"]),
            [event("INFO a\n", 10, 1), event("ERROR b\n  at c\n\n  at d\n", 20, 5), event("INFO e\n", 60, 6)]
        );
        assert_eq!(join(&["  tail of something", "more"]), [event("  tail of something\nmore\n", 10, 2)]);
        assert!(join(&[]).is_empty());
    }

    #[test]
    fn an_event_that_would_be_too_long_is_cut_between_lines() {
        let long = "x".repeat(100_000);
        let events = join(&["INFO a", &long, &long, &long]);
        assert_eq!(events.iter().map(|(_, _, sequence)| *sequence).collect::<Vec<_>>(), [3, 4]);
        assert!(events.iter().all(|(message, ..)| message.len() <= EVENT_BYTES_MAX));
    }

    #[test]
    fn an_open_event_is_due_some_seconds_after_its_first_line() {
        let mut joiner = Joiner::new("^A").unwrap();
        let now = Instant::now();
        assert_eq!(joiner.due_at(), None);
        joiner.add(line(1, "A"), now);
        joiner.add(line(2, "b"), now + Duration::from_secs(1));
        assert_eq!(joiner.due_at(), Some(now + WAIT));
        assert_eq!(joiner.take().map(|event| event.message).as_deref(), Some("A\nb\n"));
        assert_eq!((joiner.due_at(), joiner.take()), (None, None));
    }
}

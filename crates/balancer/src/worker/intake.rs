//! Bytes between a client's socket and the HTTP engine: what the framer has cleared, and what it holds back.

use bytes::{Buf, BytesMut};
use http::StatusCode;

use super::framing::{Framer, Step, Stop};
use crate::config::DesyncMode;
use crate::desync::Verdict;

/// What the engine reads in place of a refused request. It is answered by the recorded status, and the
/// connection ends with it.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";
/// Bytes held while a tunnel is undecided.
const HELD_BYTES_MAX: usize = 64 * 1024;

/// See the module.
#[derive(Debug)]
pub(crate) struct Intake {
    framer: Framer,
    /// First `cleared` bytes for the engine, then bytes the framer has not passed.
    held: BytesMut,
    cleared: usize,
    heads: u64,
    /// What the framer said of heads, by their number; most have no remark.
    remarks: Vec<(u64, Verdict)>,
    refusal: Option<StatusCode>,
    is_broken: bool,
    is_stopped: bool,
}

impl Intake {
    pub(crate) fn new() -> Intake {
        Intake {
            framer: Framer::new(),
            held: BytesMut::new(),
            cleared: 0,
            heads: 0,
            remarks: Vec::new(),
            refusal: None,
            is_broken: false,
            is_stopped: false,
        }
    }

    /// Bytes the engine may have now.
    pub(crate) fn cleared(&self) -> &[u8] {
        &self.held[..self.cleared]
    }

    /// Forgets bytes the engine has taken.
    pub(crate) fn consume(&mut self, count: usize) {
        self.held.advance(count);
        self.cleared -= count;
        if self.held.is_empty() {
            // A buffer that was needed once is not kept for the connection's life.
            self.held = BytesMut::new();
        }
    }

    /// Looks at bytes that lie in the engine's buffer already. Says how many may stay; the others are kept here.
    pub(crate) fn inspect_in_place(&mut self, bytes: &[u8], mode: DesyncMode) -> usize {
        if !self.held.is_empty() {
            self.held.extend_from_slice(bytes);
            self.inspect_held(mode);
            return 0;
        }
        let step = self.framer.advance(bytes, mode);
        self.take_heads(&step);
        if step.pass < bytes.len() {
            self.held.extend_from_slice(&bytes[step.pass..]);
        }
        if let Some(stop) = step.stop {
            self.stop(stop);
        }
        step.pass
    }

    fn inspect_held(&mut self, mode: DesyncMode) {
        let step = self.framer.advance(&self.held[self.cleared..], mode);
        self.take_heads(&step);
        self.cleared += step.pass;
        if let Some(stop) = step.stop {
            self.stop(stop);
        }
    }

    fn take_heads(&mut self, step: &Step) {
        self.remarks.extend(step.remarks.iter().map(|(number, verdict)| (self.heads + number, *verdict)));
        self.heads += step.heads;
    }

    fn stop(&mut self, stop: Stop) {
        match stop {
            Stop::Refused(status) => self.refuse(status),
            Stop::BrokenBody => {
                self.is_broken = true;
                self.is_stopped = true;
            }
        }
    }

    /// Refuses the head at hand and everything after it.
    pub(crate) fn refuse(&mut self, status: StatusCode) {
        self.framer.stop();
        self.is_stopped = true;
        self.refusal = Some(status);
        self.held.truncate(self.cleared);
        self.held.extend_from_slice(STAND_IN);
        self.cleared = self.held.len();
        self.heads += 1;
    }

    /// What is to be known of the engine's `number`th request (from 1): how well it is framed and, when it
    /// stands for a refused one, the status to answer with. To be asked once for each request, in order.
    pub(crate) fn about(&mut self, number: u64) -> (Verdict, Option<StatusCode>) {
        let refusal = self.refusal.filter(|_| number == self.heads);
        if self.remarks.is_empty() {
            return (Verdict::COMPLIANT, refusal);
        }
        let of_this = self.remarks.iter().find(|(of, _)| *of == number).map(|(_, verdict)| *verdict);
        self.remarks.retain(|(of, _)| *of > number);
        (of_this.unwrap_or(Verdict::COMPLIANT), refusal)
    }

    /// Whether the body at hand broke: the engine must fail it.
    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Whether reading on makes no sense (for now).
    pub(crate) fn is_full(&self) -> bool {
        self.is_stopped || (self.framer.is_undecided() && self.held.len() > HELD_BYTES_MAX)
    }

    /// Whether everything that came has been passed on, up to the end of the engine's `number`th request.
    pub(crate) fn is_between_requests(&self, number: u64) -> bool {
        self.held.is_empty() && self.framer.is_in_head() && self.heads == number
    }

    /// Whether part of a head has come.
    pub(crate) fn has_partial_head(&self) -> bool {
        self.framer.is_in_head() && self.held.len() > self.cleared
    }

    /// Ends the wait for a tunnel's decision in favour of HTTP. Says whether the engine should read again.
    pub(crate) fn stay_http(&mut self, mode: DesyncMode) -> bool {
        if !self.framer.is_undecided() {
            return false;
        }
        self.framer.stay_http();
        self.inspect_held(mode);
        true
    }

    /// The bytes that came before the tunnel opened.
    pub(crate) fn take_held(&mut self) -> BytesMut {
        self.cleared = 0;
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desync::Tier;

    const GOOD: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

    #[test]
    fn a_split_head_reaches_the_engine_whole() {
        let mut intake = Intake::new();
        assert_eq!(intake.inspect_in_place(&GOOD[..10], DesyncMode::Defensive), 0);
        assert!(intake.cleared().is_empty() && intake.has_partial_head());
        assert_eq!(intake.inspect_in_place(&GOOD[10..], DesyncMode::Defensive), 0);
        assert_eq!(intake.cleared(), GOOD);
        intake.consume(GOOD.len());
        assert!(!intake.has_partial_head());
        assert_eq!(intake.inspect_in_place(GOOD, DesyncMode::Defensive), GOOD.len());
    }

    #[test]
    fn a_refused_head_is_replaced_and_counted() {
        let mut intake = Intake::new();
        let mut stream = GOOD.to_vec();
        stream.extend_from_slice(b"BAD\r\n\r\nrest");
        assert_eq!(intake.inspect_in_place(&stream, DesyncMode::Defensive), GOOD.len());
        assert_eq!(intake.cleared(), STAND_IN);
        assert_eq!(intake.about(1), (Verdict::COMPLIANT, None));
        assert_eq!(intake.about(2), (Verdict::new(Tier::Severe, "BadHeader"), Some(StatusCode::BAD_REQUEST)));
        assert!(intake.is_full());
    }
}

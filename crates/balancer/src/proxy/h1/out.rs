//! Bytes on their way out: text (heads, the lines around chunks) with pieces of bodies between.

use std::io::{IoSlice, Write as _};

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName};

use super::encode::{self, NEWLINE};

/// How a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes are still to come.
    Length(u64),
    Chunked,
    /// The end of the connection ends it.
    UntilClose,
}

/// More than so many pieces and bytes do not wait for the socket.
const PIECES_MAX: usize = 8;
const BYTES_MAX: usize = 64 * 1024;
/// The most parts that one write has.
pub(crate) const PARTS_MAX: usize = 2 * PIECES_MAX + 1;
/// Up to this size, copying a piece costs less than a part of its own.
const COPIED_BYTES_MAX: usize = 1024;

/// Text beyond this is not kept for the next message.
const TEXT_KEPT_MAX: usize = 16 * 1024;

const LAST_CHUNK: &[u8] = b"0\r\n";

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Out {
    text: Vec<u8>,
    /// Bytes of `text` that are gone.
    written: usize,
    /// What comes after so many bytes of `text`.
    pieces: Vec<(usize, Bytes)>,
}

impl Out {
    /// Where heads are written.
    pub(crate) fn text(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.written == self.text.len() && self.pieces.is_empty()
    }

    /// Whether it is empty, and has room for a usual head and no more than that.
    pub(super) fn is_worth_keeping(&self) -> bool {
        self.is_empty() && (1..=TEXT_KEPT_MAX).contains(&self.text.capacity())
    }

    /// Whether another piece fits.
    pub(crate) fn has_room(&self) -> bool {
        let waiting = self.pieces.iter().map(|(_, data)| data.len()).sum::<usize>() + self.text.len() - self.written;
        self.pieces.len() < PIECES_MAX && waiting < BYTES_MAX
    }

    /// Adds a piece of a body; to be called when there is room. Says whether the framing allows it.
    pub(crate) fn push(&mut self, framing: &mut Framing, data: Bytes) -> bool {
        match framing {
            Framing::Length(left) => match left.checked_sub(data.len() as u64) {
                Some(rest) => *left = rest,
                None => return false,
            },
            // An empty chunk would be the last.
            Framing::Chunked if data.is_empty() => return true,
            Framing::Chunked => {
                write!(self.text, "{:x}\r\n", data.len()).expect("writing to memory does not fail");
            }
            Framing::UntilClose => {}
        }
        if data.len() <= COPIED_BYTES_MAX {
            self.text.extend_from_slice(&data);
        } else {
            self.pieces.push((self.text.len(), data));
        }
        if *framing == Framing::Chunked {
            self.text.extend_from_slice(NEWLINE);
        }
        true
    }

    /// Ends the body; to be called when there is room. Says whether it may end here.
    pub(crate) fn finish(&mut self, framing: Framing, trailers: &HeaderMap, announced: &[HeaderName]) -> bool {
        match framing {
            Framing::Length(left) => left == 0,
            Framing::Chunked => {
                self.text.extend_from_slice(LAST_CHUNK);
                for (name, value) in trailers.iter().filter(|(name, _)| announced.contains(name)) {
                    encode::field(name, value, &mut self.text);
                }
                self.text.extend_from_slice(NEWLINE);
                true
            }
            Framing::UntilClose => true,
        }
    }

    /// What is to be written, in order.
    pub(crate) fn parts<'a>(&'a self, space: &'a mut [IoSlice<'a>; PARTS_MAX]) -> &'a [IoSlice<'a>] {
        let (mut count, mut from) = (0, self.written);
        let mut add = |bytes: &'a [u8]| {
            if !bytes.is_empty() {
                space[count] = IoSlice::new(bytes);
                count += 1;
            }
        };
        for (at, data) in &self.pieces {
            add(&self.text[from..*at]);
            add(data);
            from = *at;
        }
        add(&self.text[from..]);
        &space[..count]
    }

    /// Forgets bytes that have been written.
    pub(crate) fn advance(&mut self, mut count: usize) {
        while count > 0 {
            let text_to = self.pieces.first().map_or(self.text.len(), |(at, _)| *at);
            let of_text = count.min(text_to - self.written);
            self.written += of_text;
            count -= of_text;
            let Some((_, data)) = self.pieces.first_mut() else { break };
            let of_data = count.min(data.len());
            data.advance(of_data);
            count -= of_data;
            if data.is_empty() && self.written == text_to {
                self.pieces.remove(0);
            }
        }
        if self.is_empty() {
            self.text.clear();
            self.written = 0;
        } else if self.written >= BYTES_MAX {
            // A body that never lets it become empty does not pile up what is gone.
            self.text.drain(..self.written);
            for (at, _) in &mut self.pieces {
                *at -= self.written;
            }
            self.written = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    /// All bytes, taken in steps of a size.
    fn drain(out: &mut Out, step: usize) -> String {
        let mut all = Vec::new();
        while !out.is_empty() {
            let mut space = [IoSlice::new(&[]); PARTS_MAX];
            let bytes: Vec<u8> = out.parts(&mut space).iter().flat_map(|part| part.to_vec()).take(step).collect();
            out.advance(bytes.len());
            all.extend(bytes);
        }
        String::from_utf8(all).unwrap()
    }

    #[test]
    fn bodies_are_framed_whatever_the_socket_takes_at_a_time() {
        let long = "l".repeat(COPIED_BYTES_MAX + 1);
        for step in [1, 3, 7, 1000, 10_000] {
            let (mut out, mut framing) = (Out::default(), Framing::Chunked);
            out.text().extend_from_slice(b"head\r\n");
            assert!(out.push(&mut framing, Bytes::from_static(b"hello")));
            assert!(out.push(&mut framing, Bytes::from(long.clone())) && out.has_room());
            let mut text = drain(&mut out, step);
            assert!(out.push(&mut framing, Bytes::new()) && out.is_empty());
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sum", HeaderValue::from_static("1"));
            trailers.insert("x-other", HeaderValue::from_static("2"));
            assert!(out.finish(framing, &trailers, &[HeaderName::from_static("x-sum")]));
            text += &drain(&mut out, step);
            assert_eq!(text, format!("head\r\n5\r\nhello\r\n401\r\n{long}\r\n0\r\nx-sum: 1\r\n\r\n"));
        }
    }

    #[test]
    fn a_body_is_as_long_as_it_was_said_to_be() {
        let (mut out, mut framing) = (Out::default(), Framing::Length(3));
        assert!(out.push(&mut framing, Bytes::from_static(b"ab")) && drain(&mut out, 1) == "ab");
        assert!(!out.finish(framing, &HeaderMap::new(), &[]));
        assert!(!out.push(&mut framing, Bytes::from_static(b"cd")));
        assert!(out.push(&mut framing, Bytes::from_static(b"c")));
        drain(&mut out, 1);
        assert!(out.finish(framing, &HeaderMap::new(), &[]) && out.is_empty());
    }

    #[test]
    fn what_is_gone_does_not_pile_up() {
        let (mut out, mut framing, mut all) = (Out::default(), Framing::UntilClose, 0);
        for _ in 0..1000 {
            while out.has_room() {
                assert!(out.push(&mut framing, Bytes::from(vec![b'a'; 700])));
                assert!(out.push(&mut framing, Bytes::from(vec![b'b'; 1100])));
                all += 1800;
            }
            let mut space = [IoSlice::new(&[]); PARTS_MAX];
            let parts = out.parts(&mut space);
            assert!(
                parts.iter().all(|part| part.iter().all(|byte| *byte == part[0])),
                "texts and pieces keep their places"
            );
            out.advance(5000);
        }
        assert!(all > 4_000_000 && out.text.len() < 4 * BYTES_MAX, "{} of {all}", out.text.len());
    }

    #[test]
    fn only_so_much_waits_for_the_socket() {
        let (mut out, mut framing) = (Out::default(), Framing::UntilClose);
        for _ in 0..PIECES_MAX {
            assert!(out.has_room() && out.push(&mut framing, Bytes::from(vec![b'a'; 2000])));
        }
        assert!(!out.has_room());
        out.advance(2001);
        assert!(out.has_room() && out.push(&mut framing, Bytes::from(vec![b'a'; BYTES_MAX])) && !out.has_room());
    }
}

//! Bodies, taken out of their framing.

use bytes::{Buf, Bytes};
use http::{HeaderMap, HeaderName, HeaderValue};
use hyper::body::Frame;

/// Longest line with a chunk's size, longest trailer section, and most that all extensions of chunks may have.
const LINE_BYTES_MAX: usize = 16 * 1024;
const TRAILERS_MAX: usize = 100;

/// A body that is not framed as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its chunks are malformed")]
pub(crate) struct BrokenChunk;

/// What is still to come of a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decoder {
    Length(u64),
    Chunked(Box<Chunked>),
    /// Until the sender closes; `Length(0)` after that.
    UntilClose,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Chunked {
    part: Part,
    /// Of the chunk at hand.
    left: u64,
    /// Bytes of the line at hand, and of all extensions.
    line: usize,
    extensions: usize,
    trailers: Vec<u8>,
}

/// Where in a chunked body the next byte is. Lines end with CRLF: a lone newline is where readers disagree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    SizeStart,
    Size,
    Extension,
    SizeNewline,
    Data,
    DataReturn,
    DataNewline,
    TrailerStart,
    Trailer,
    TrailerNewline,
    EndNewline,
    Done,
}

impl Decoder {
    pub(crate) fn chunked() -> Decoder {
        Decoder::Chunked(Box::new(Chunked {
            part: Part::SizeStart,
            left: 0,
            line: 0,
            extensions: 0,
            trailers: Vec::new(),
        }))
    }

    /// Whether the body is complete.
    pub(crate) fn is_done(&self) -> bool {
        match self {
            Decoder::Length(left) => *left == 0,
            Decoder::Chunked(chunked) => chunked.part == Part::Done,
            Decoder::UntilClose => false,
        }
    }

    /// Bytes still to come, where that is known.
    pub(crate) fn left(&self) -> Option<u64> {
        match self {
            Decoder::Length(left) => Some(*left),
            Decoder::Chunked(chunked) if chunked.part == Part::Done => Some(0),
            Decoder::Chunked(_) | Decoder::UntilClose => None,
        }
    }

    /// The sender has closed. Says whether that completes the body.
    pub(crate) fn end(&mut self) -> bool {
        if *self == Decoder::UntilClose {
            *self = Decoder::Length(0);
        }
        self.is_done()
    }

    /// Takes the next piece of the body off the bytes that came. `None`: more have to come, or it is complete.
    pub(crate) fn decode(&mut self, input: &mut Bytes) -> Result<Option<Frame<Bytes>>, BrokenChunk> {
        let data = match self {
            _ if input.is_empty() => return Ok(None),
            Decoder::Length(0) => return Ok(None),
            Decoder::Length(left) => {
                let data = input.split_to(input.len().min(usize::try_from(*left).unwrap_or(usize::MAX)));
                *left -= data.len() as u64;
                data
            }
            Decoder::Chunked(chunked) => return chunked.decode(input),
            Decoder::UntilClose => std::mem::take(input),
        };
        Ok(Some(Frame::data(data)))
    }
}

impl Chunked {
    fn decode(&mut self, input: &mut Bytes) -> Result<Option<Frame<Bytes>>, BrokenChunk> {
        while self.part != Part::Done && !input.is_empty() {
            if self.part == Part::Data {
                let data = input.split_to(input.len().min(usize::try_from(self.left).unwrap_or(usize::MAX)));
                self.left -= data.len() as u64;
                if self.left == 0 {
                    self.part = Part::DataReturn;
                }
                return Ok(Some(Frame::data(data)));
            }
            let byte = input.get_u8();
            self.line += 1;
            self.extensions += usize::from(self.part == Part::Extension);
            if self.line > LINE_BYTES_MAX || self.extensions > LINE_BYTES_MAX {
                return Err(BrokenChunk);
            }
            if matches!(self.part, Part::TrailerStart | Part::Trailer | Part::TrailerNewline | Part::EndNewline) {
                self.trailers.push(byte);
            }
            self.part = match (self.part, byte) {
                (Part::SizeStart | Part::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                    let digit = char::from(byte).to_digit(16).ok_or(BrokenChunk)?;
                    self.left = self.left.checked_mul(16).ok_or(BrokenChunk)? + u64::from(digit);
                    Part::Size
                }
                (Part::Size | Part::Extension, b'\r') => Part::SizeNewline,
                (Part::Size, b';' | b' ' | b'\t') => Part::Extension,
                (Part::Extension, other) if other != b'\n' => Part::Extension,
                (Part::SizeNewline, b'\n') => {
                    self.line = 0;
                    if self.left == 0 { Part::TrailerStart } else { Part::Data }
                }
                (Part::DataReturn, b'\r') => Part::DataNewline,
                (Part::DataNewline, b'\n') => {
                    self.line = 0;
                    Part::SizeStart
                }
                (Part::TrailerStart, b'\r') => Part::EndNewline,
                (Part::EndNewline, b'\n') => Part::Done,
                (Part::Trailer, b'\r') => Part::TrailerNewline,
                (Part::TrailerNewline, b'\n') => Part::TrailerStart,
                (Part::TrailerStart | Part::Trailer, other) if other != b'\n' => Part::Trailer,
                _ => return Err(BrokenChunk),
            };
        }
        if self.part == Part::Done && self.trailers.len() > 2 {
            return Ok(Some(Frame::trailers(trailers(&std::mem::take(&mut self.trailers))?)));
        }
        Ok(None)
    }
}

fn trailers(bytes: &[u8]) -> Result<HeaderMap, BrokenChunk> {
    let mut fields = [httparse::EMPTY_HEADER; TRAILERS_MAX];
    let Ok(httparse::Status::Complete((_, fields))) = httparse::parse_headers(bytes, &mut fields) else {
        return Err(BrokenChunk);
    };
    let pairs = fields.iter().map(|field| {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| BrokenChunk)?;
        Ok((name, HeaderValue::from_bytes(field.value).map_err(|_| BrokenChunk)?))
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes a stream that comes in pieces of a size: the data, the trailers, and what is left over.
    fn decode(stream: &str, step: usize) -> Result<(String, Option<HeaderMap>, bool, usize), BrokenChunk> {
        let (mut decoder, mut data, mut trailers, mut over) = (Decoder::chunked(), Vec::new(), None, 0);
        for piece in stream.as_bytes().chunks(step) {
            let mut input = Bytes::copy_from_slice(piece);
            while let Some(frame) = decoder.decode(&mut input)? {
                match frame.into_data() {
                    Ok(bytes) => data.extend_from_slice(&bytes),
                    Err(frame) => trailers = frame.into_trailers().ok(),
                }
            }
            over += input.len();
        }
        Ok((String::from_utf8(data).unwrap(), trailers, decoder.is_done(), over))
    }

    #[test]
    fn chunks_are_put_together_however_they_come() {
        let stream = "5;ext=\"a\"\r\nhello\r\n1 \r\n,\r\n00a\r\n0123456789\r\n0\r\nX-Sum: 7\r\n\r\nnext";
        for step in 1..=stream.len() {
            let (data, trailers, is_done, over) = decode(stream, step).unwrap();
            assert_eq!((data.as_str(), is_done, over), ("hello,0123456789", true, 4), "{step}");
            assert_eq!(trailers.unwrap()["x-sum"], "7");
        }
        assert_eq!(decode("0\r\n\r\n", 1), Ok((String::new(), None, true, 0)));
        assert!(!decode("5\r\nhel", 3).unwrap().2);
    }

    #[test]
    fn what_two_readers_may_chunk_differently_is_broken() {
        for stream in [
            "x\r\n",
            "\r\n",
            "5\nhello",
            "1\r\nabc\r\n",
            "11111111111111111\r\n",
            "-1\r\n",
            "0\r\na b\r\n\r\n",
            "1;\n\r\na",
            "0\r\n\n",
            "0\r\na: b\n\r\n",
            "0\r\na: b\r\n\n",
        ] {
            for step in [1, 100] {
                assert_eq!(decode(stream, step), Err(BrokenChunk), "{stream:?}");
            }
        }
        assert_eq!(decode(&format!("1;{}\r\n", "e".repeat(LINE_BYTES_MAX)), 4096), Err(BrokenChunk));
        let many = format!("1;{}\r\na\r\n", "e".repeat(LINE_BYTES_MAX / 2)).repeat(3);
        assert_eq!(decode(&many, 4096), Err(BrokenChunk));
        assert_eq!(decode(&format!("0\r\na: {}\r\n\r\n", "e".repeat(LINE_BYTES_MAX)), 4096), Err(BrokenChunk));
    }

    #[test]
    fn lengths_count_down_and_an_end_completes_only_what_has_none() {
        let mut decoder = Decoder::Length(3);
        let mut input = Bytes::from_static(b"abcd");
        assert_eq!(decoder.decode(&mut input).unwrap().unwrap().into_data().unwrap(), "abc");
        assert!(decoder.is_done() && decoder.decode(&mut input).unwrap().is_none() && input == "d");
        assert!(!Decoder::Length(1).end() && !Decoder::chunked().end());
        let mut decoder = Decoder::UntilClose;
        assert!(!decoder.is_done() && decoder.end() && decoder.is_done());
    }
}

//! Looks at what clients send before the HTTP engine does, and lets only well-framed requests through.
//!
//! The engine normalises: of a request with both Content-Length and Transfer-Encoding it shows only one, and
//! nobody after it can tell. So the framer follows the byte stream, head by head and body by body, with the
//! same head parser as the engine, and stops at the first request that two parsers could understand
//! differently or that exceeds a limit. What is only ambiguous passes with a remark, as the mode has it. Since a head is passed on only when it is complete, a refused one
//! never reaches the engine. No I/O here.

use std::mem::MaybeUninit;

use http::StatusCode;

use crate::config::DesyncMode;
use crate::desync::{Tier, Verdict};

/// Longest request target; longer ones are answered 414.
const TARGET_BYTES_MAX: usize = 16 * 1024;
/// Longest header line; longer ones are answered 400.
const HEADER_BYTES_MAX: usize = 16 * 1024;
/// Longest head; longer ones are answered 400.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// The engine's own limit, answered 400.
const HEADERS_MAX: usize = 100;
/// Longest chunk-size line or trailer section.
const CHUNK_LINE_BYTES_MAX: u32 = 16 * 1024;

/// How far the bytes at hand may go.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// So many bytes from the front may be passed on.
    pub pass: usize,
    /// Complete heads among them.
    pub heads: u64,
    /// What is to be said of heads, counted from 1: of those that pass and of the one that stands in the way.
    pub remarks: Vec<(u64, Verdict)>,
    /// What stands in the way of the rest, for good.
    pub stop: Option<Stop>,
}

/// Why a stream ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The next head is refused with this status.
    Refused(StatusCode),
    /// The chunked body is broken.
    BrokenBody,
}

/// Follows one connection's bytes.
#[derive(Debug)]
pub(crate) struct Framer {
    state: State,
}

#[derive(Debug)]
enum State {
    /// Before or inside a head, of which `seen` bytes are known to be incomplete.
    Head {
        seen: usize,
    },
    Body {
        left: u64,
    },
    Chunked(Chunked),
    /// After a request that may turn the connection into a tunnel: nothing passes until that is decided.
    Undecided,
    Stopped,
}

#[derive(Debug)]
struct Chunked {
    part: Part,
    /// Of the chunk at hand.
    left: u64,
    /// Bytes in the line or trailer section at hand.
    line: u32,
}

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
}

enum Head {
    Partial,
    Complete(usize, State, Verdict),
    Refused(StatusCode, Verdict),
}

impl Framer {
    pub(crate) fn new() -> Framer {
        Framer { state: State::Head { seen: 0 } }
    }

    /// Whether the next byte belongs to a head.
    pub(crate) fn is_in_head(&self) -> bool {
        matches!(self.state, State::Head { .. })
    }

    /// Whether bytes wait for the decision about a tunnel.
    pub(crate) fn is_undecided(&self) -> bool {
        matches!(self.state, State::Undecided)
    }

    /// The connection stays HTTP.
    pub(crate) fn stay_http(&mut self) {
        if self.is_undecided() {
            self.state = State::Head { seen: 0 };
        }
    }

    /// Stops for good.
    pub(crate) fn stop(&mut self) {
        self.state = State::Stopped;
    }

    /// Looks at all bytes that have not been passed on yet. Bytes that `pass` does not cover are shown again,
    /// with more behind them.
    pub(crate) fn advance(&mut self, bytes: &[u8], mode: DesyncMode) -> Step {
        let mut step = Step { pass: 0, heads: 0, remarks: Vec::new(), stop: None };
        while step.pass < bytes.len() {
            let rest = &bytes[step.pass..];
            match &mut self.state {
                State::Head { seen } => {
                    let known_partial = *seen;
                    match read_head(rest, known_partial, mode) {
                        Head::Partial => {
                            *seen = rest.len();
                            return step;
                        }
                        Head::Complete(length, next, verdict) => {
                            step.pass += length;
                            step.heads += 1;
                            self.state = next;
                            if verdict.tier > Tier::Compliant {
                                step.remarks.push((step.heads, verdict));
                            }
                        }
                        Head::Refused(status, verdict) => {
                            step.remarks.push((step.heads + 1, verdict));
                            self.state = State::Stopped;
                            step.stop = Some(Stop::Refused(status));
                            return step;
                        }
                    }
                }
                State::Body { left } => {
                    let taken = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= taken as u64;
                    step.pass += taken;
                    if *left == 0 {
                        self.state = State::Head { seen: 0 };
                    }
                }
                State::Chunked(chunked) => match chunked.advance(rest) {
                    Ok((taken, is_complete)) => {
                        step.pass += taken;
                        if is_complete {
                            self.state = State::Head { seen: 0 };
                        }
                    }
                    Err(()) => {
                        self.state = State::Stopped;
                        step.stop = Some(Stop::BrokenBody);
                        return step;
                    }
                },
                State::Undecided | State::Stopped => return step,
            }
        }
        step
    }
}

fn read_head(bytes: &[u8], known_partial: usize, mode: DesyncMode) -> Head {
    // A head that trickles in is parsed again only when its end may have come.
    if known_partial > 0 && bytes.len() < HEAD_BYTES_MAX && !may_be_complete(bytes, known_partial) {
        return Head::Partial;
    }
    // Not initialised: that would cost more than reading a usual head.
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(httparse::Status::Complete(length)) => {
            let head = judge(&request, length, mode);
            // Bare newlines are looked for only where they matter.
            match head {
                Head::Complete(..) if mode == DesyncMode::Strictest && has_bare_newline(&bytes[..length]) => {
                    Head::Refused(StatusCode::BAD_REQUEST, Verdict::new(Tier::Acceptable, "NonCompliantHeader"))
                }
                head => head,
            }
        }
        Ok(httparse::Status::Partial) => {
            if bytes.len() > TARGET_BYTES_MAX + 64 && request.path.is_none() {
                malformed(StatusCode::URI_TOO_LONG, "BadUri")
            } else if bytes.len() > HEAD_BYTES_MAX {
                malformed(StatusCode::BAD_REQUEST, "BadHeader")
            } else {
                Head::Partial
            }
        }
        Err(httparse::Error::Version) => malformed(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "BadVersion"),
        Err(_) => malformed(StatusCode::BAD_REQUEST, "BadHeader"),
    }
}

/// A refusal in every mode.
fn malformed(status: StatusCode, reason: &'static str) -> Head {
    Head::Refused(status, Verdict::new(Tier::Severe, reason))
}

fn has_bare_newline(head: &[u8]) -> bool {
    head.iter().enumerate().any(|(at, byte)| *byte == b'\n' && (at == 0 || head[at - 1] != b'\r'))
}

/// Whether an empty line ends among the bytes after `known_partial`.
fn may_be_complete(bytes: &[u8], known_partial: usize) -> bool {
    let window = &bytes[known_partial.saturating_sub(3)..];
    window.windows(2).any(|pair| pair == b"\n\n") || window.windows(3).any(|three| three == b"\n\r\n")
}

fn judge(request: &httparse::Request<'_, '_>, length: usize, mode: DesyncMode) -> Head {
    let (method, target) = (request.method.unwrap_or(""), request.path.unwrap_or(""));
    if target.len() > TARGET_BYTES_MAX {
        return malformed(StatusCode::URI_TOO_LONG, "BadUri");
    }
    if length > HEAD_BYTES_MAX {
        return malformed(StatusCode::BAD_REQUEST, "BadHeader");
    }
    if method == "TRACE" || method == "CONNECT" {
        return malformed(StatusCode::METHOD_NOT_ALLOWED, "BadMethod");
    }
    // Anything else would be read as a host.
    let is_absolute = |scheme: &str| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    if !(target.starts_with('/') || target == "*" || is_absolute("http://") || is_absolute("https://")) {
        return malformed(StatusCode::BAD_REQUEST, "BadUri");
    }
    let is_http_11 = request.version == Some(1);
    let mut verdict = Verdict::COMPLIANT;
    if !target.is_ascii() {
        verdict = Verdict::new(Tier::Ambiguous, "AmbiguousUri");
    }
    let mut content_length: Option<u64> = None;
    let mut is_chunked = false;
    let mut hosts = 0;
    let mut wants_tunnel = false;
    for header in request.headers.iter() {
        let (name, value) = (header.name, header.value);
        if name.len() + value.len() > HEADER_BYTES_MAX {
            return malformed(StatusCode::BAD_REQUEST, "BadHeader");
        }
        // The length rules out most headers without looking at a letter.
        match name.len() {
            4 if name.eq_ignore_ascii_case("host") => hosts += 1,
            7 if name.eq_ignore_ascii_case("upgrade") => {
                wants_tunnel |= is_http_11 && value.trim_ascii().eq_ignore_ascii_case(b"websocket");
            }
            14 if name.eq_ignore_ascii_case("content-length") => {
                let Some(bytes) = parse_length(value) else {
                    return malformed(StatusCode::BAD_REQUEST, "BadContentLength");
                };
                match content_length.replace(bytes) {
                    Some(before) if before != bytes => {
                        return malformed(StatusCode::BAD_REQUEST, "MultipleContentLength");
                    }
                    Some(_) => verdict = verdict.or(Verdict::new(Tier::Ambiguous, "DuplicateContentLength")),
                    None => {}
                }
            }
            17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                if is_chunked {
                    return malformed(StatusCode::BAD_REQUEST, "MultipleTransferEncodingChunked");
                }
                if !is_http_11 {
                    return malformed(StatusCode::BAD_REQUEST, "UndefinedTransferEncodingSemantics");
                }
                if !value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    return malformed(StatusCode::NOT_IMPLEMENTED, "BadTransferEncoding");
                }
                is_chunked = true;
            }
            13.. if resembles(name, "contentlength") || resembles(name, "transferencoding") => {
                verdict = verdict.or(Verdict::new(Tier::Ambiguous, "SuspiciousHeader"));
            }
            _ => {}
        }
    }
    if hosts > 1 || (hosts == 0 && is_http_11) {
        return malformed(StatusCode::BAD_REQUEST, "BadHeader");
    }
    if is_chunked && content_length.is_some() {
        verdict = verdict.or(Verdict::new(Tier::Ambiguous, "BothTeClPresent"));
    }
    if method == "GET" || method == "HEAD" {
        verdict = verdict.or(match content_length {
            _ if is_chunked => Verdict::new(Tier::Ambiguous, "UndefinedTransferEncodingSemantics"),
            None => Verdict::COMPLIANT,
            Some(0) => Verdict::new(Tier::Acceptable, "GetHeadZeroContentLength"),
            Some(_) => Verdict::new(Tier::Ambiguous, "UndefinedContentLengthSemantics"),
        });
    }
    if !verdict.tier.passes(mode) {
        return Head::Refused(StatusCode::BAD_REQUEST, verdict);
    }
    let next = match (is_chunked, content_length) {
        (true, _) => State::Chunked(Chunked { part: Part::SizeStart, left: 0, line: 0 }),
        (false, Some(left)) if left > 0 => State::Body { left },
        _ if wants_tunnel => State::Undecided,
        _ => State::Head { seen: 0 },
    };
    Head::Complete(length, next, verdict)
}

/// Whether a name has the letters of another and differs in the rest.
fn resembles(name: &str, letters: &str) -> bool {
    let first = name.bytes().find(u8::is_ascii_alphabetic).map(|byte| byte.to_ascii_lowercase());
    first == letters.bytes().next()
        && name.bytes().filter(u8::is_ascii_alphabetic).map(|byte| byte.to_ascii_lowercase()).eq(letters.bytes())
}

fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // The engine keeps the two largest numbers for itself.
    std::str::from_utf8(value).ok()?.parse().ok().filter(|length| *length < u64::MAX - 1)
}

impl Chunked {
    /// Takes bytes of the body; says how many, and whether it is complete. Line ends must be CRLF: a lone
    /// newline is where parsers disagree.
    fn advance(&mut self, bytes: &[u8]) -> Result<(usize, bool), ()> {
        let mut at = 0;
        while at < bytes.len() {
            if self.part == Part::Data {
                let taken = (bytes.len() - at).min(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= taken as u64;
                at += taken;
                if self.left == 0 {
                    self.part = Part::DataReturn;
                }
                continue;
            }
            let byte = bytes[at];
            at += 1;
            self.line += 1;
            if self.line > CHUNK_LINE_BYTES_MAX {
                return Err(());
            }
            self.part = match (self.part, byte) {
                (Part::SizeStart | Part::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                    let digit = char::from(byte).to_digit(16).ok_or(())?;
                    self.left = self.left.checked_mul(16).ok_or(())? + u64::from(digit);
                    Part::Size
                }
                (Part::Size, b'\r') | (Part::Extension, b'\r') => Part::SizeNewline,
                (Part::Size, b';' | b' ' | b'\t') => Part::Extension,
                (Part::Extension, b'\n') => return Err(()),
                (Part::Extension, _) => Part::Extension,
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
                (Part::EndNewline, b'\n') => return Ok((at, true)),
                (Part::TrailerStart | Part::Trailer, b'\n') => return Err(()),
                (Part::Trailer, b'\r') => Part::TrailerNewline,
                (Part::TrailerStart | Part::Trailer, _) => Part::Trailer,
                (Part::TrailerNewline, b'\n') => Part::TrailerStart,
                _ => return Err(()),
            };
        }
        Ok((at, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds a stream whole and byte by byte; both must pass the same bytes and stop for the same reason.
    fn check(stream: &str, passed: usize, stop: Option<Stop>) {
        check_mode(stream, passed, stop, DesyncMode::Defensive);
    }

    fn check_mode(stream: &str, passed: usize, stop: Option<Stop>, mode: DesyncMode) {
        let whole = Framer::new().advance(stream.as_bytes(), mode);
        assert_eq!((whole.pass, whole.stop), (passed, stop), "whole: {stream:?}");
        let mut framer = Framer::new();
        let (mut start, mut stopped) = (0, None);
        for end in 1..=stream.len() {
            let step = framer.advance(&stream.as_bytes()[start..end], mode);
            start += step.pass;
            stopped = stopped.or(step.stop);
        }
        if !matches!(stop, Some(Stop::BrokenBody)) {
            assert_eq!(start, passed, "by byte: {stream:?}");
        }
        assert_eq!(stopped, stop, "by byte: {stream:?}");
    }

    fn refused(code: u16) -> Option<Stop> {
        Some(Stop::Refused(StatusCode::from_u16(code).unwrap()))
    }

    #[test]
    fn pipelined_requests_with_bodies_pass() {
        let stream = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello\
                      POST /b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
                      5;ext=1\r\nhello\r\n0\r\nTrailer: y\r\n\r\n\
                      GET /c HTTP/1.1\r\nHost: x\r\n\r\n";
        check(stream, stream.len(), None);
        assert_eq!(Framer::new().advance(stream.as_bytes(), DesyncMode::Defensive).heads, 3);
    }

    #[test]
    fn an_incomplete_head_is_held_back() {
        check("GET / HTTP/1.1\r\nHost: x\r\nCont", 0, None);
        let body = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        check(&format!("{body}GET /sec"), body.len(), None);
    }

    #[test]
    fn doubtful_framing_is_refused() {
        let both = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n";
        check_mode(both, 0, refused(400), DesyncMode::Strictest);
        // The engine takes the transfer encoding and forgets the length; both connections end.
        check(both, both.len(), None);
        let remarks = Framer::new().advance(both.as_bytes(), DesyncMode::Defensive).remarks;
        assert_eq!(remarks, [(1, Verdict::new(Tier::Ambiguous, "BothTeClPresent"))]);
        check("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n", 0, refused(400));
        check("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +4\r\n\r\n", 0, refused(400));
        check("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4, 4\r\n\r\n", 0, refused(400));
        check("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 0, refused(501));
        check("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 0, refused(400));
        check("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n", 0, refused(400));
        check("GET / HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n", 0, refused(400));
        check("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 0, refused(400));
        let same = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n";
        check(&format!("{same}a"), same.len() + 1, None);
        check_mode(same, 0, refused(400), DesyncMode::Strictest);
    }

    #[test]
    fn broken_chunks_stop_the_stream() {
        let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        for body in ["x\r\n", "\r\n", "5\nhello", "1\r\nabc", "0\r\n\n", "11111111111111111\r\n", "-1\r\n"] {
            check(&format!("{head}{body}"), head.len(), Some(Stop::BrokenBody));
        }
    }

    #[test]
    fn a_refused_request_lets_the_ones_before_it_through() {
        let good = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        check(&format!("{good}TRACE / HTTP/1.1\r\nHost: x\r\n\r\n{good}"), good.len(), refused(405));
    }

    #[test]
    fn limits_and_versions_have_their_codes() {
        let long = "a".repeat(17 * 1024);
        check(&format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"), 0, refused(414));
        check(&format!("GET / HTTP/1.1\r\nHost: x\r\nA: {long}\r\n\r\n"), 0, refused(400));
        let many: String = (0..6).map(|n| format!("h{n}: {}\r\n", "b".repeat(12 * 1024))).collect();
        check(&format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n"), 0, refused(400));
        check("GET / HTTP/2.0\r\nHost: x\r\n\r\n", 0, refused(505));
        check("GET / HTTP/1.1\r\n\r\n", 0, refused(400));
        check("GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\n\r\n".len(), None);
        check("\u{16}\u{3}\u{1}", 0, refused(400));
        check("GET other.example HTTP/1.1\r\nHost: x\r\n\r\n", 0, refused(400));
    }

    #[test]
    fn nothing_passes_while_a_tunnel_is_undecided() {
        let upgrade = "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
        let next = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
        let mut framer = Framer::new();
        let step = framer.advance(format!("{upgrade}{next}").as_bytes(), DesyncMode::Defensive);
        assert_eq!((step.pass, step.heads), (upgrade.len(), 1));
        assert!(framer.is_undecided());
        framer.stay_http();
        assert_eq!(framer.advance(next.as_bytes(), DesyncMode::Defensive).pass, next.len());
    }
}

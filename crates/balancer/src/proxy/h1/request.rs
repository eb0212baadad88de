//! Heads of clients' requests.
//!
//! Nobody after us can tell what we made of a head. So a request that two readers could understand differently, or that
//! exceeds a limit, is refused here; what is only ambiguous passes in one form and with a remark, as the mode has it.

use std::mem::MaybeUninit;

use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version};

use super::decode::Decoder;
use super::scraps::Scraps;
use super::{has_token, read_length, read_value};
use crate::config::DesyncMode;
use crate::desync::{Tier, Verdict};

/// Longest request target; longer ones are answered 414.
const TARGET_BYTES_MAX: usize = 16 * 1024;
/// Longest header line; longer ones are answered 400.
const HEADER_BYTES_MAX: usize = 16 * 1024;
/// Longest head; longer ones are answered 400.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// More headers are answered 400.
const HEADERS_MAX: usize = 100;

/// A head.
#[derive(Debug)]
pub(crate) struct Head<B> {
    pub request: Box<Request<B>>,
    pub body: Decoder,
    pub verdict: Verdict,
    /// Its bytes.
    pub length: usize,
    /// The client wants to use the connection again.
    pub keeps_alive: bool,
    /// The client waits for 100 Continue before it sends the body.
    pub expects_continue: bool,
    /// The client takes trailers.
    pub wants_trailers: bool,
}

/// A head that goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub status: StatusCode,
    pub verdict: Verdict,
}

/// Reads a head, of a request with this body; `None` when it is not complete. Of the bytes, the first `known_partial` are known to hold no whole head.
pub(crate) fn parse<B>(
    bytes: &[u8],
    known_partial: usize,
    mode: DesyncMode,
    scraps: &Scraps,
    body: impl FnOnce() -> B,
) -> Result<Option<Head<B>>, Refusal> {
    // A head that trickles in is parsed again only when its end may have come.
    if known_partial > 0 && bytes.len() < HEAD_BYTES_MAX && !may_be_complete(bytes, known_partial) {
        return Ok(None);
    }
    // Not initialised: that would cost more than reading a usual head.
    let mut fields = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut []);
    let length = match parsed.parse_with_uninit_headers(bytes, &mut fields) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() > TARGET_BYTES_MAX + 64 && parsed.path.is_none() => {
            return Err(malformed(StatusCode::URI_TOO_LONG, "BadUri"));
        }
        Ok(httparse::Status::Partial) if bytes.len() > HEAD_BYTES_MAX => return Err(bad("BadHeader")),
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::Version) => {
            return Err(malformed(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "BadVersion"));
        }
        Err(_) => return Err(bad("BadHeader")),
    };
    let facts = judge(&parsed, length, mode)?;
    // Bare newlines are looked for only where they matter.
    if mode == DesyncMode::Strictest && has_bare_newline(&bytes[..length]) {
        let verdict = Verdict::new(Tier::Acceptable, "NonCompliantHeader");
        return Err(Refusal { status: StatusCode::BAD_REQUEST, verdict });
    }
    let mut request = Box::new(Request::new(body()));
    let body = build(&parsed, &bytes[..length], &facts, scraps, &mut request)?;
    Ok(Some(Head {
        request,
        body,
        verdict: facts.verdict,
        length,
        keeps_alive: facts.keeps_alive,
        expects_continue: facts.expects_continue,
        wants_trailers: facts.wants_trailers,
    }))
}

/// A refusal in every mode.
fn malformed(status: StatusCode, reason: &'static str) -> Refusal {
    Refusal { status, verdict: Verdict::new(Tier::Severe, reason) }
}

fn bad(reason: &'static str) -> Refusal {
    malformed(StatusCode::BAD_REQUEST, reason)
}

fn has_bare_newline(head: &[u8]) -> bool {
    head.iter().enumerate().any(|(at, byte)| *byte == b'\n' && (at == 0 || head[at - 1] != b'\r'))
}

/// Whether an empty line ends among the bytes after `known_partial`.
fn may_be_complete(bytes: &[u8], known_partial: usize) -> bool {
    let window = &bytes[known_partial.saturating_sub(3)..];
    window.windows(2).any(|pair| pair == b"\n\n") || window.windows(3).any(|three| three == b"\n\r\n")
}

/// What one look at the headers finds.
struct Facts {
    verdict: Verdict,
    content_length: Option<u64>,
    /// It is given more than once, or with zeros before it.
    is_length_odd: bool,
    is_chunked: bool,
    keeps_alive: bool,
    expects_continue: bool,
    wants_trailers: bool,
}

fn judge(request: &httparse::Request<'_, '_>, length: usize, mode: DesyncMode) -> Result<Facts, Refusal> {
    let (method, target) = (request.method.unwrap_or(""), request.path.unwrap_or(""));
    if target.len() > TARGET_BYTES_MAX {
        return Err(malformed(StatusCode::URI_TOO_LONG, "BadUri"));
    }
    if length > HEAD_BYTES_MAX {
        return Err(bad("BadHeader"));
    }
    if method == "TRACE" || method == "CONNECT" {
        return Err(malformed(StatusCode::METHOD_NOT_ALLOWED, "BadMethod"));
    }
    // Anything else would be read as a host.
    let is_absolute = |scheme: &str| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    if !(target.starts_with('/') || target == "*" || is_absolute("http://") || is_absolute("https://")) {
        return Err(bad("BadUri"));
    }
    let is_http_11 = request.version == Some(1);
    let mut verdict = Verdict::COMPLIANT;
    if !target.is_ascii() {
        verdict = Verdict::new(Tier::Ambiguous, "AmbiguousUri");
    }
    let mut content_length: Option<u64> = None;
    let mut is_length_odd = false;
    let (mut is_chunked, mut hosts) = (false, 0);
    let (mut says_close, mut says_keep_alive) = (false, false);
    let (mut expects_continue, mut wants_trailers) = (false, false);
    for header in request.headers.iter() {
        let (name, value) = (header.name, header.value);
        if name.len() + value.len() > HEADER_BYTES_MAX {
            return Err(bad("BadHeader"));
        }
        // The length rules out most headers without looking at a letter.
        match name.len() {
            2 if name.eq_ignore_ascii_case("te") => wants_trailers |= has_token(value, b"trailers"),
            4 if name.eq_ignore_ascii_case("host") => hosts += 1,
            6 if name.eq_ignore_ascii_case("expect") => {
                expects_continue = is_http_11 && value.eq_ignore_ascii_case(b"100-continue");
            }
            10 if name.eq_ignore_ascii_case("connection") => {
                says_close |= has_token(value, b"close");
                says_keep_alive |= has_token(value, b"keep-alive");
            }
            14 if name.eq_ignore_ascii_case("content-length") => {
                let Some(bytes) = read_length(value) else { return Err(bad("BadContentLength")) };
                is_length_odd |= content_length.is_some() || (value.len() > 1 && value[0] == b'0');
                match content_length.replace(bytes) {
                    Some(before) if before != bytes => return Err(bad("MultipleContentLength")),
                    Some(_) => verdict = verdict.or(Verdict::new(Tier::Ambiguous, "DuplicateContentLength")),
                    None => {}
                }
            }
            17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                if is_chunked {
                    return Err(bad("MultipleTransferEncodingChunked"));
                }
                if !is_http_11 {
                    return Err(bad("UndefinedTransferEncodingSemantics"));
                }
                if !value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    return Err(malformed(StatusCode::NOT_IMPLEMENTED, "BadTransferEncoding"));
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
        return Err(bad("BadHeader"));
    }
    if is_chunked && content_length.is_some() {
        verdict = verdict.or(Verdict::new(Tier::Ambiguous, "BothTeClPresent"));
        says_close = true;
    }
    verdict = verdict.or(judge_body(method, is_chunked, content_length));
    if !verdict.tier.passes(mode) {
        return Err(Refusal { status: StatusCode::BAD_REQUEST, verdict });
    }
    let keeps_alive = !says_close && (is_http_11 || says_keep_alive);
    Ok(Facts { verdict, content_length, is_length_odd, is_chunked, keeps_alive, expects_continue, wants_trailers })
}

/// GET and HEAD have no use for a body, and readers differ on whether there is one.
fn judge_body(method: &str, is_chunked: bool, content_length: Option<u64>) -> Verdict {
    match content_length {
        _ if !matches!(method, "GET" | "HEAD") => Verdict::COMPLIANT,
        _ if is_chunked => Verdict::new(Tier::Ambiguous, "UndefinedTransferEncodingSemantics"),
        None => Verdict::COMPLIANT,
        Some(0) => Verdict::new(Tier::Acceptable, "GetHeadZeroContentLength"),
        Some(_) => Verdict::new(Tier::Ambiguous, "UndefinedContentLengthSemantics"),
    }
}

/// Judges a request that came by HTTP/2, where its engine has seen to the framing, as one of HTTP/1: a target may get it as
/// one, and take what is ambiguous there for two.
pub(crate) fn judge_http2<B>(request: &mut Request<B>, has_body: bool, mode: DesyncMode) -> Result<Verdict, Refusal> {
    let (method, uri) = (request.method(), request.uri());
    if matches!(*method, Method::TRACE | Method::CONNECT) {
        return Err(malformed(StatusCode::METHOD_NOT_ALLOWED, "BadMethod"));
    }
    let target = uri.path_and_query().map_or("", |target| target.as_str());
    if target.len() > TARGET_BYTES_MAX {
        return Err(malformed(StatusCode::URI_TOO_LONG, "BadUri"));
    }
    if !(target.starts_with('/') || target == "*") {
        return Err(bad("BadUri"));
    }
    let headers = request.headers();
    // Without an authority, rules and the target could go by different ones.
    if uri.authority().is_none() && headers.get_all(HOST).iter().count() != 1 {
        return Err(bad("BadHeader"));
    }
    let mut verdict = Verdict::COMPLIANT;
    if !target.is_ascii() {
        verdict = Verdict::new(Tier::Ambiguous, "AmbiguousUri");
    }
    let lengths = headers.get_all(CONTENT_LENGTH).iter().map(|value| read_length(value.as_bytes()));
    let lengths: Option<Vec<u64>> = lengths.collect();
    let Some(lengths) = lengths else { return Err(bad("BadContentLength")) };
    if lengths.windows(2).any(|pair| pair[0] != pair[1]) {
        return Err(bad("MultipleContentLength"));
    }
    if lengths.len() > 1 {
        verdict = verdict.or(Verdict::new(Tier::Ambiguous, "DuplicateContentLength"));
    }
    let is_suspicious = |name: &HeaderName| {
        let text = name.as_str();
        *name != CONTENT_LENGTH && (resembles(text, "contentlength") || resembles(text, "transferencoding"))
    };
    if headers.keys().any(is_suspicious) {
        verdict = verdict.or(Verdict::new(Tier::Ambiguous, "SuspiciousHeader"));
    }
    // Without a length, a target of HTTP/1 gets it in chunks.
    let is_chunked = has_body && lengths.is_empty();
    verdict = verdict.or(judge_body(method.as_str(), is_chunked, lengths.first().copied()));
    if !verdict.tier.passes(mode) {
        return Err(Refusal { status: StatusCode::BAD_REQUEST, verdict });
    }
    if lengths.len() > 1 {
        request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(lengths[0]));
    }
    Ok(verdict)
}

/// Makes a request of a head that was found to be good; says how its body is framed.
fn build<B>(
    parsed: &httparse::Request<'_, '_>,
    head: &[u8],
    facts: &Facts,
    scraps: &Scraps,
    request: &mut Request<B>,
) -> Result<Decoder, Refusal> {
    // One copy holds the target and all values.
    let all = scraps.copy(head);
    let place = |part: &[u8]| {
        let start = part.as_ptr().addr() - head.as_ptr().addr();
        all.slice(start..start + part.len())
    };
    let method = Method::from_bytes(parsed.method.unwrap_or("").as_bytes());
    *request.method_mut() = method.map_err(|_| bad("BadMethod"))?;
    let target = place(parsed.path.unwrap_or("").as_bytes());
    *request.uri_mut() = Uri::from_maybe_shared(target).map_err(|_| bad("BadUri"))?;
    *request.version_mut() = if parsed.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    *request.headers_mut() = scraps.headers();
    let headers = request.headers_mut();
    for field in parsed.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| bad("BadHeader"))?;
        headers.append(name, read_value(place(field.value)));
    }
    Ok(match (facts.is_chunked, facts.content_length) {
        (true, length) => {
            if length.is_some() {
                headers.remove(CONTENT_LENGTH);
            }
            Decoder::chunked()
        }
        (false, Some(length)) => {
            // Several are made one, and all are written alike.
            if facts.is_length_odd {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
            }
            Decoder::Length(length)
        }
        (false, None) => Decoder::Length(0),
    })
}

/// Whether a name has the letters of another and differs in the rest.
fn resembles(name: &str, letters: &str) -> bool {
    let first = name.bytes().find(u8::is_ascii_alphabetic).map(|byte| byte.to_ascii_lowercase());
    first == letters.bytes().next()
        && name.bytes().filter(u8::is_ascii_alphabetic).map(|byte| byte.to_ascii_lowercase()).eq(letters.bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a head whole and byte by byte, which must come to the same.
    fn check(text: &str, mode: DesyncMode) -> Result<Option<Head<()>>, Refusal> {
        let whole = parse(text.as_bytes(), 0, mode, &Scraps::default(), || ());
        let end = whole.as_ref().map_or(0, |head| head.as_ref().map_or(text.len(), |head| head.length));
        for length in 1..end {
            assert!(
                matches!(parse(&text.as_bytes()[..length], length - 1, mode, &Scraps::default(), || ()), Ok(None)),
                "{:?}",
                &text[..length]
            );
        }
        if let Ok(Some(head)) = &whole {
            let again = parse(&text.as_bytes()[..end], end - 1, mode, &Scraps::default(), || ()).unwrap().unwrap();
            assert_eq!((again.length, &again.body, again.verdict), (head.length, &head.body, head.verdict));
        }
        whole
    }

    fn good(text: &str) -> Head<()> {
        check(text, DesyncMode::Defensive).unwrap().unwrap()
    }

    fn refused(text: &str, mode: DesyncMode) -> (u16, &'static str) {
        let refusal = check(text, mode).unwrap_err();
        (refusal.status.as_u16(), refusal.verdict.reason)
    }

    fn status(text: &str) -> u16 {
        refused(text, DesyncMode::Defensive).0
    }

    #[test]
    fn a_head_ends_where_its_body_begins() {
        let head = good("POST /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!((head.length, &head.body, head.verdict), (50, &Decoder::Length(5), Verdict::COMPLIANT));
        assert_eq!((head.request.uri().path(), head.request.headers()["host"].as_bytes()), ("/a", &b"x"[..]));
        let head = good("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: Chunked\r\n\r\n");
        assert_eq!(head.body, Decoder::chunked());
        assert_eq!(good("GET / HTTP/1.0\r\n\r\n").request.version(), Version::HTTP_10);
        assert!(
            parse(b"GET / HTTP/1.1\r\nHost: x\r\nCont", 0, DesyncMode::Defensive, &Scraps::default(), || ())
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn what_a_client_wants_of_the_connection_is_found() {
        let wants = |headers: &str| {
            let head = good(&format!("GET / HTTP/1.1\r\nHost: x\r\n{headers}\r\n"));
            (head.keeps_alive, head.expects_continue, head.wants_trailers)
        };
        assert_eq!(wants(""), (true, false, false));
        assert_eq!(wants("Connection: x, Close\r\nConnection: keep-alive\r\n"), (false, false, false));
        assert_eq!(wants("Expect: 100-Continue\r\nTE: gzip, trailers\r\n"), (true, true, true));
        assert!(!good("GET / HTTP/1.0\r\n\r\n").keeps_alive);
        assert!(good("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keeps_alive);
    }

    #[test]
    fn doubtful_framing_is_refused_or_passes_in_one_form() {
        let both = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(refused(both, DesyncMode::Strictest), (400, "BothTeClPresent"));
        let head = good(both);
        assert_eq!(
            (head.verdict.reason, &head.body, head.keeps_alive),
            ("BothTeClPresent", &Decoder::chunked(), false)
        );
        assert!(!head.request.headers().contains_key("content-length"));
        let same = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n";
        assert_eq!(refused(same, DesyncMode::Strictest), (400, "DuplicateContentLength"));
        assert_eq!(good(same).request.headers().get_all("content-length").iter().count(), 1);
        let zeros = good("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0003\r\n\r\nabc");
        assert_eq!(zeros.request.headers()["content-length"].as_bytes(), b"3");
        for (headers, code) in [
            ("Content-Length: 4\r\nContent-Length: 5", 400),
            ("Content-Length: +4", 400),
            ("Content-Length: 4, 4", 400),
            ("Transfer-Encoding: gzip", 501),
            ("Transfer-Encoding : chunked", 400),
            (" folded: y", 400),
            ("Host: y", 400),
        ] {
            assert_eq!(status(&format!("POST / HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n")), code, "{headers}");
        }
        assert_eq!(status("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
        assert_eq!(refused("GET / HTTP/1.1\nHost: x\n\n", DesyncMode::Strictest), (400, "NonCompliantHeader"));
    }

    #[test]
    fn limits_and_versions_have_their_codes() {
        let long = "a".repeat(17 * 1024);
        let of = |text: &str| {
            parse(text.as_bytes(), 0, DesyncMode::Defensive, &Scraps::default(), || ()).unwrap_err().status.as_u16()
        };
        assert_eq!(of(&format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n")), 414);
        assert_eq!(of(&format!("GET /{long}")), 414);
        assert_eq!(of(&format!("GET / HTTP/1.1\r\nHost: x\r\nA: {long}\r\n\r\n")), 400);
        let many: String = (0..6).map(|n| format!("h{n}: {}\r\n", "b".repeat(12 * 1024))).collect();
        assert_eq!(of(&format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n")), 400);
        assert_eq!(of(&format!("GET / HTTP/1.1\r\nHost: x\r\n{many}")), 400);
        assert_eq!(of(&format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "a: b\r\n".repeat(HEADERS_MAX))), 400);
        for (text, code) in [
            ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
            ("\u{16}\u{3}\u{1}", 400),
            ("GET other.example HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ] {
            assert_eq!(of(text), code, "{text}");
        }
    }
}

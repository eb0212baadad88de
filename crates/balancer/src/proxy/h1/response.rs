//! Heads of responses.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use hyper::ext::ReasonPhrase;

use super::decode::Decoder;
use super::scraps::Scraps;
use super::{encode, has_token, read_length, read_value};
use crate::worker::RESPONSE_HEAD_BYTES_MAX;

const HEADERS_MAX: usize = 100;

/// Why a response cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("its head is malformed: {0}")]
    Head(httparse::Error),
    #[error("its head is too long")]
    TooLong,
    #[error("its length is not clear")]
    Length,
    #[error("its transfer encoding is not understood")]
    Encoding,
}

/// A head.
#[derive(Debug)]
pub(crate) struct Head {
    pub response: Response<()>,
    pub body: Decoder,
    /// Bytes that came after it.
    pub rest: Bytes,
    /// The connection may be used again once the body has ended.
    pub keeps_alive: bool,
}

/// Reads a response's head; `None` when it is not complete.
pub(crate) fn parse(bytes: &[u8], method: &Method, scraps: &Scraps) -> Result<Option<Head>, Malformed> {
    // Not initialised: that would cost more than reading a usual head.
    let mut fields = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let status = config.parse_response_with_uninit_headers(&mut parsed, bytes, &mut fields);
    let length = match status.map_err(Malformed::Head)? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial if bytes.len() > RESPONSE_HEAD_BYTES_MAX => return Err(Malformed::TooLong),
        httparse::Status::Partial => return Ok(None),
    };
    if length > RESPONSE_HEAD_BYTES_MAX {
        return Err(Malformed::TooLong);
    }
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(Malformed::Head(httparse::Error::Status))?;
    let is_http_11 = parsed.version == Some(1);
    // One copy holds all values and what has come of the body.
    let all = scraps.copy(bytes);
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = scraps.headers();
    let headers = response.headers_mut();
    let mut present = Present::default();
    for field in parsed.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let name = name.map_err(|_| Malformed::Head(httparse::Error::HeaderName))?;
        let start = field.value.as_ptr().addr() - bytes.as_ptr().addr();
        let value = read_value(all.slice(start..start + field.value.len()));
        present.note(&name, &value);
        headers.append(name, value);
    }
    let body = framing(headers, &present, status, is_http_11, method)?;
    let stays_open = !present.says_close && (is_http_11 || present.says_keep_alive);
    let keeps_alive = body != Decoder::UntilClose && stays_open;
    if let Some(reason) = parsed.reason.filter(|reason| Some(*reason) != status.canonical_reason())
        && let Ok(reason) = ReasonPhrase::try_from(reason.as_bytes())
    {
        response.extensions_mut().insert(reason);
    }
    Ok(Some(Head { response, body, rest: all.slice(length..), keeps_alive }))
}

/// What is there of the headers that say how a response ends.
#[derive(Default)]
struct Present {
    length: bool,
    encoding: bool,
    says_close: bool,
    says_keep_alive: bool,
}

impl Present {
    fn note(&mut self, name: &HeaderName, value: &HeaderValue) {
        match *name {
            CONTENT_LENGTH => self.length = true,
            TRANSFER_ENCODING => self.encoding = true,
            CONNECTION => {
                self.says_close |= has_token(value.as_bytes(), b"close");
                self.says_keep_alive |= has_token(value.as_bytes(), b"keep-alive");
            }
            _ => {}
        }
    }
}

/// RFC 9112, section 6.3. What one reader may frame differently from another is refused, or taken away.
fn framing(
    headers: &mut HeaderMap,
    present: &Present,
    status: StatusCode,
    is_http_11: bool,
    method: &Method,
) -> Result<Decoder, Malformed> {
    let is_bodiless = encode::has_no_body(status) || *method == Method::HEAD;
    if present.encoding {
        let mut encodings = headers.get_all(TRANSFER_ENCODING).iter();
        let only = encodings.next().filter(|_| encodings.next().is_none()).map(|value| value.as_bytes().trim_ascii());
        if only.is_some_and(|only| only.eq_ignore_ascii_case(b"identity")) {
            // An old word for none.
            headers.remove(TRANSFER_ENCODING);
        } else if is_bodiless {
            headers.remove(CONTENT_LENGTH);
            return Ok(Decoder::Length(0));
        } else if is_http_11 && only.is_some_and(|only| only.eq_ignore_ascii_case(b"chunked")) {
            headers.remove(CONTENT_LENGTH);
            return Ok(Decoder::chunked());
        } else {
            return Err(Malformed::Encoding);
        }
    }
    let length = if present.length { content_length(headers)? } else { None };
    Ok(match length {
        _ if is_bodiless => Decoder::Length(0),
        Some(length) => Decoder::Length(length),
        None => Decoder::UntilClose,
    })
}

/// The one length that all Content-Length headers name; several are made one.
fn content_length(headers: &mut HeaderMap) -> Result<Option<u64>, Malformed> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter().peekable();
    let Some(first) = values.next() else { return Ok(None) };
    let is_single = values.peek().is_none() && !first.as_bytes().contains(&b',');
    let mut numbers = std::iter::once(first)
        .chain(values)
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(|number| read_length(number.trim_ascii()));
    let length = numbers.next().flatten().ok_or(Malformed::Length)?;
    if numbers.any(|other| other != Some(length)) {
        return Err(Malformed::Length);
    }
    if !is_single {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Ok(Some(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(head: &str, method: Method) -> Result<(Decoder, bool), Malformed> {
        for end in 0..head.len() {
            assert!(
                matches!(parse(&head.as_bytes()[..end], &method, &Scraps::default()), Ok(None)),
                "{:?}",
                &head[..end]
            );
        }
        parse(format!("{head}rest").as_bytes(), &method, &Scraps::default()).map(|head| {
            let head = head.unwrap();
            assert_eq!(&head.rest[..], b"rest");
            (head.body, head.keeps_alive)
        })
    }

    #[test]
    fn bodies_are_framed_by_one_header_or_by_the_end() {
        for (head, expected) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", (Decoder::Length(5), true)),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5, 5\r\n\r\n", (Decoder::Length(5), true)),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\nContent-Length: 5\r\n\r\n", (Decoder::chunked(), true)),
            ("HTTP/1.1 200 OK\r\n\r\n", (Decoder::UntilClose, false)),
            ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", (Decoder::Length(0), true)),
            ("HTTP/1.1 304 Not Modified\r\n\r\n", (Decoder::Length(0), true)),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x, Close\r\n\r\n", (Decoder::Length(0), false)),
            ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", (Decoder::Length(0), false)),
            ("HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", (Decoder::Length(0), true)),
        ] {
            assert_eq!(check(head, Method::GET), Ok(expected), "{head:?}");
        }
        assert_eq!(check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Method::HEAD), Ok((Decoder::Length(0), true)));
    }

    #[test]
    fn what_is_not_clear_is_malformed() {
        let parse = |text: &str| parse(text.as_bytes(), &Method::GET, &Scraps::default()).map(|_| ()).unwrap_err();
        for (headers, expected) in [
            ("Content-Length: 5\r\nContent-Length: 6", Malformed::Length),
            ("Content-Length: +5", Malformed::Length),
            ("Content-Length: ", Malformed::Length),
            ("Content-Length: 18446744073709551616", Malformed::Length),
            ("Transfer-Encoding: gzip", Malformed::Encoding),
            ("Transfer-Encoding: gzip, chunked", Malformed::Encoding),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", Malformed::Encoding),
            ("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", Malformed::Encoding),
            ("a b: c", Malformed::Head(httparse::Error::HeaderName)),
            ("a: b\r\n folded: c", Malformed::Head(httparse::Error::HeaderName)),
        ] {
            assert_eq!(parse(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n")), expected, "{headers:?}");
        }
        assert_eq!(parse("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), Malformed::Encoding);
        let long = "a".repeat(RESPONSE_HEAD_BYTES_MAX);
        assert_eq!(parse(&format!("HTTP/1.1 200 OK\r\na: {long}\r\n\r\n")), Malformed::TooLong);
        assert_eq!(parse(&format!("HTTP/1.1 200 OK\r\na: {long}")), Malformed::TooLong);
        assert!(matches!(parse("SSH-2.0-OpenSSH\r\n"), Malformed::Head(_)));
    }

    #[test]
    fn words_of_a_status_are_kept_where_they_are_its_own() {
        let head =
            parse(b"HTTP/1.1 299 Quite Fine\r\ncontent-length: 0\r\nx: \x80\r\n\r\n", &Method::GET, &Scraps::default());
        let head = head.unwrap().unwrap();
        assert_eq!(head.response.extensions().get::<ReasonPhrase>().unwrap().as_bytes(), b"Quite Fine");
        assert_eq!(head.response.headers()["x"].as_bytes(), b"\x80");
    }
}

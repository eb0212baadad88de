//! Heads as bytes: of requests to targets and of responses to clients.

use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderName, TRAILER, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, StatusCode, request, response};
use hyper::ext::ReasonPhrase;

use super::has_token;
use super::out::Framing;

pub(super) const NEWLINE: &[u8] = b"\r\n";

/// Fields that say how a message is framed, routed or understood are no trailers.
const NEVER_TRAILERS: [&str; 15] = [
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "forwarded",
    "host",
    "location",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
];

/// Writes a request's head. `length` is the body's where it is known; `None` for a request without one.
pub(crate) fn request(head: &mut request::Parts, body: Option<Option<u64>>, out: &mut Vec<u8>) -> Option<Framing> {
    let framing = body.map(|length| match length {
        Some(length) => {
            if !head.headers.contains_key(CONTENT_LENGTH) {
                head.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
            }
            Framing::Length(length)
        }
        None => {
            head.headers.remove(CONTENT_LENGTH);
            head.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
            Framing::Chunked
        }
    });
    let target = head.uri.path_and_query().map_or("/", |path| path.as_str());
    out.reserve(64 + target.len() + 48 * head.headers.len());
    for part in [head.method.as_str().as_bytes(), b" ", target.as_bytes(), b" HTTP/1.1\r\n"] {
        out.extend_from_slice(part);
    }
    for (name, value) in &head.headers {
        field(name, value, out);
    }
    out.extend_from_slice(NEWLINE);
    framing
}

/// What a response has to know of its request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub is_head: bool,
    pub is_http_11: bool,
    /// The client wants to use the connection again.
    pub keeps_alive: bool,
    /// The client takes trailers.
    pub wants_trailers: bool,
}

/// Writes a response's head. `length` is the body's where it is known; `date` is for responses that have none.
/// Says how the body is framed, where there is to be one, and whether the connection may be used again.
pub(crate) fn response(
    head: &response::Parts,
    length: Option<u64>,
    asked: Asked,
    date: &[u8],
    out: &mut Vec<u8>,
) -> (Option<Framing>, bool) {
    let status = head.status;
    let is_bodiless = asked.is_head || has_no_body(status);
    let framing = match length {
        _ if is_bodiless => None,
        Some(length) => Some(Framing::Length(length)),
        None if asked.is_http_11 => Some(Framing::Chunked),
        None => Some(Framing::UntilClose),
    };
    out.reserve(160 + 48 * head.headers.len());
    out.extend_from_slice(if asked.is_http_11 { b"HTTP/1.1 " } else { b"HTTP/1.0 " });
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    match head.extensions.get::<ReasonPhrase>() {
        Some(reason) => out.extend_from_slice(reason.as_bytes()),
        None => out.extend_from_slice(status.canonical_reason().unwrap_or("").as_bytes()),
    }
    out.extend_from_slice(NEWLINE);
    let (mut keeps_alive, mut has_connection, mut has_date) = (asked.keeps_alive, false, false);
    let mut has_length = false;
    for (name, value) in &head.headers {
        match *name {
            // Where there is a body, its framing is ours to tell.
            CONTENT_LENGTH if (asked.is_head || status == StatusCode::NOT_MODIFIED) && !has_length => has_length = true,
            CONTENT_LENGTH | TRANSFER_ENCODING => continue,
            CONNECTION => {
                has_connection = true;
                keeps_alive &= !has_token(value.as_bytes(), b"close");
            }
            DATE => has_date = true,
            _ => {}
        }
        field(name, value, out);
    }
    match (framing, length) {
        (Some(Framing::Length(length)), _) => length_field(length, out),
        (Some(Framing::Chunked), _) => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        // What a GET would have had; nobody knows that of an empty body.
        (None, Some(length)) if asked.is_head && !has_length && length > 0 => length_field(length, out),
        _ => {}
    }
    keeps_alive &= framing != Some(Framing::UntilClose) && status != StatusCode::SWITCHING_PROTOCOLS;
    if !has_connection && keeps_alive != asked.is_http_11 {
        out.extend_from_slice(if keeps_alive { b"connection: keep-alive\r\n" } else { b"connection: close\r\n" });
    }
    if !has_date {
        out.extend_from_slice(b"date: ");
        out.extend_from_slice(date);
        out.extend_from_slice(NEWLINE);
    }
    out.extend_from_slice(NEWLINE);
    (framing, keeps_alive)
}

/// Whether responses with this status have none, whatever was asked.
pub(super) fn has_no_body(status: StatusCode) -> bool {
    status.is_informational() || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

fn length_field(length: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"content-length: ");
    out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
    out.extend_from_slice(NEWLINE);
}

pub(super) fn field(name: &HeaderName, value: &HeaderValue, out: &mut Vec<u8>) {
    let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
    out.reserve(name.len() + value.len() + 4);
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(NEWLINE);
}

/// Nor are those that we vouch for.
fn may_follow(name: &str) -> bool {
    !NEVER_TRAILERS.contains(&name) && !name.starts_with("x-forwarded-") && !name.starts_with("x-amzn-")
}

/// The names of a message's trailers that may be sent.
pub(crate) fn announced_trailers(headers: &HeaderMap) -> Vec<HeaderName> {
    let lists = headers.get_all(TRAILER).iter();
    let names = lists.flat_map(|list| list.as_bytes().split(|byte| *byte == b','));
    let names = names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok());
    names.filter(|name| may_follow(name.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Method, Request, Response};

    fn parts(method: Method, headers: &[(&str, &str)]) -> request::Parts {
        let mut request = Request::builder().method(method).uri("/a?b=c");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn write_request(mut head: request::Parts, body: Option<Option<u64>>) -> (Option<Framing>, String) {
        let mut out = Vec::new();
        (request(&mut head, body, &mut out), String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_request_says_of_its_body_what_there_is_to_say() {
        let head = parts(Method::GET, &[("host", "x"), ("a", "1"), ("a", "2")]);
        let expected = "GET /a?b=c HTTP/1.1\r\nhost: x\r\na: 1\r\na: 2\r\n\r\n".to_owned();
        assert_eq!(write_request(head, None), (None, expected));
        let head = parts(Method::POST, &[("content-length", "9"), ("trailer", "X-Sum, Host, X-Forwarded-For")]);
        assert_eq!(announced_trailers(&head.headers), ["x-sum"]);
        let expected =
            "POST /a?b=c HTTP/1.1\r\ntrailer: X-Sum, Host, X-Forwarded-For\r\ntransfer-encoding: chunked\r\n\r\n"
                .to_owned();
        assert_eq!(write_request(head, Some(None)), (Some(Framing::Chunked), expected));
        let (framing, text) = write_request(parts(Method::POST, &[]), Some(Some(3)));
        assert_eq!(framing, Some(Framing::Length(3)));
        assert!(text.ends_with("content-length: 3\r\n\r\n"));
    }

    const GET: Asked = Asked { is_head: false, is_http_11: true, keeps_alive: true, wants_trailers: false };

    /// The framing, whether the connection lives on, and the head without its date.
    fn write(
        status: u16,
        headers: &[(&str, &str)],
        length: Option<u64>,
        asked: Asked,
    ) -> (Option<Framing>, bool, String) {
        let mut head = Response::builder().status(status);
        for (name, value) in headers {
            head = head.header(*name, *value);
        }
        let (head, mut out) = (head.body(()).unwrap().into_parts().0, Vec::new());
        let (framing, keeps_alive) = response(&head, length, asked, b"now", &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.ends_with("\r\n\r\n"));
        (framing, keeps_alive, text.trim_end().replace("\r\ndate: now", "").replace("\r\n", "|"))
    }

    #[test]
    fn a_response_is_framed_by_what_it_has_and_what_the_client_understands() {
        let old = Asked { is_http_11: false, ..GET };
        let length = [("content-length", "7"), ("a", "1")];
        for (status, headers, body, asked, framing, keeps_alive, text) in [
            (200, &length[..], Some(5), GET, Some(Framing::Length(5)), true, "HTTP/1.1 200 OK|a: 1|content-length: 5"),
            (200, &[], Some(0), GET, Some(Framing::Length(0)), true, "HTTP/1.1 200 OK|content-length: 0"),
            (200, &[], None, GET, Some(Framing::Chunked), true, "HTTP/1.1 200 OK|transfer-encoding: chunked"),
            (200, &[], None, old, Some(Framing::UntilClose), false, "HTTP/1.0 200 OK"),
            (
                200,
                &[],
                Some(1),
                old,
                Some(Framing::Length(1)),
                true,
                "HTTP/1.0 200 OK|content-length: 1|connection: keep-alive",
            ),
            (204, &length[..], Some(0), GET, None, true, "HTTP/1.1 204 No Content|a: 1"),
            (304, &length[..], Some(0), GET, None, true, "HTTP/1.1 304 Not Modified|content-length: 7|a: 1"),
            (299, &[], Some(0), GET, Some(Framing::Length(0)), true, "HTTP/1.1 299 |content-length: 0"),
            (
                101,
                &[("connection", "upgrade")],
                Some(0),
                GET,
                None,
                false,
                "HTTP/1.1 101 Switching Protocols|connection: upgrade",
            ),
        ] {
            assert_eq!(write(status, headers, body, asked), (framing, keeps_alive, text.to_owned()), "{status} {text}");
        }
        let has_date = write(200, &[("date", "then")], Some(0), GET).2;
        assert_eq!(has_date, "HTTP/1.1 200 OK|date: then|content-length: 0");
    }

    #[test]
    fn head_is_told_the_length_it_would_have_had_and_no_other() {
        let head = Asked { is_head: true, ..GET };
        assert_eq!(write(200, &[("content-length", "7")], Some(0), head).2, "HTTP/1.1 200 OK|content-length: 7");
        assert_eq!(
            write(503, &[], Some(9), head),
            (None, true, "HTTP/1.1 503 Service Unavailable|content-length: 9".into())
        );
        assert_eq!(write(200, &[], Some(0), head).2, "HTTP/1.1 200 OK");
    }

    #[test]
    fn either_side_may_end_the_connection() {
        let (_, keeps_alive, text) = write(200, &[("connection", "x, Close")], Some(0), GET);
        assert_eq!((keeps_alive, text.as_str()), (false, "HTTP/1.1 200 OK|connection: x, Close|content-length: 0"));
        let last = Asked { keeps_alive: false, ..GET };
        let (_, keeps_alive, text) = write(200, &[], Some(0), last);
        assert_eq!((keeps_alive, text.as_str()), (false, "HTTP/1.1 200 OK|content-length: 0|connection: close"));
    }
}

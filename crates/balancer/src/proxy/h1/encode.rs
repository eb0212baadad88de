//! Requests as bytes.

use std::io::{IoSlice, Write as _};

use bytes::{Buf, Bytes};
use http::header::{CONTENT_LENGTH, HeaderName, TRAILER, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, request};

/// How a body is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes are still to come.
    Length(u64),
    Chunked,
}

/// Of the request's end.
const LAST_CHUNK: &[u8] = b"0\r\n";
const NEWLINE: &[u8] = b"\r\n";

/// Fields that say how a message is framed, routed or understood are no trailers.
const NEVER_TRAILERS: [&str; 12] = [
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
];

/// Writes a request's head. `length` is the body's where it is known; `None` for a request without one.
pub(crate) fn head(head: &mut request::Parts, body: Option<Option<u64>>, out: &mut Vec<u8>) -> Option<Framing> {
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
    fields(&head.headers, |_| true, out);
    out.extend_from_slice(NEWLINE);
    framing
}

fn fields(headers: &HeaderMap, may_go: impl Fn(&HeaderName) -> bool, out: &mut Vec<u8>) {
    for (name, value) in headers.iter().filter(|(name, _)| may_go(name)) {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(NEWLINE);
    }
}

/// The names of a request's trailers that may be sent.
pub(crate) fn announced_trailers(headers: &HeaderMap) -> Vec<HeaderName> {
    let lists = headers.get_all(TRAILER).iter();
    let names = lists.flat_map(|list| list.as_bytes().split(|byte| *byte == b','));
    let names = names.filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok());
    names.filter(|name| !NEVER_TRAILERS.contains(&name.as_str())).collect()
}

/// Bytes on their way out: text, then a piece of a body, then text.
#[derive(Debug, Default)]
pub(crate) struct Out {
    pub head: Vec<u8>,
    data: Bytes,
    tail: &'static [u8],
    /// Bytes of `head` that are gone.
    written: usize,
}

impl Out {
    pub(crate) fn is_empty(&self) -> bool {
        self.written == self.head.len() && self.data.is_empty() && self.tail.is_empty()
    }

    /// Whether another piece fits.
    pub(crate) fn has_room(&self) -> bool {
        self.data.is_empty() && self.tail.is_empty()
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
                write!(self.head, "{:x}\r\n", data.len()).expect("writing to memory does not fail");
                self.tail = NEWLINE;
            }
        }
        self.data = data;
        true
    }

    /// Ends the body; to be called when there is room. Says whether it may end here.
    pub(crate) fn finish(&mut self, framing: Framing, trailers: &HeaderMap, announced: &[HeaderName]) -> bool {
        match framing {
            Framing::Length(left) => left == 0,
            Framing::Chunked => {
                self.head.extend_from_slice(LAST_CHUNK);
                fields(trailers, |name| announced.contains(name), &mut self.head);
                self.tail = NEWLINE;
                true
            }
        }
    }

    pub(crate) fn parts(&self) -> [IoSlice<'_>; 3] {
        [IoSlice::new(&self.head[self.written..]), IoSlice::new(&self.data), IoSlice::new(self.tail)]
    }

    /// Forgets bytes that have been written.
    pub(crate) fn advance(&mut self, mut count: usize) {
        let of_head = count.min(self.head.len() - self.written);
        self.written += of_head;
        count -= of_head;
        let of_data = count.min(self.data.len());
        self.data.advance(of_data);
        self.tail = &self.tail[count - of_data..];
        if self.written == self.head.len() {
            self.head.clear();
            self.written = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{Method, Request};

    fn parts(method: Method, headers: &[(&str, &str)]) -> request::Parts {
        let mut request = Request::builder().method(method).uri("/a?b=c");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    /// All bytes, taken in steps of a size.
    fn drain(out: &mut Out, step: usize) -> String {
        let mut all = Vec::new();
        while !out.is_empty() {
            let bytes: Vec<u8> = out.parts().iter().flat_map(|part| part.to_vec()).take(step).collect();
            out.advance(bytes.len());
            all.extend(bytes);
        }
        String::from_utf8(all).unwrap()
    }

    #[test]
    fn a_request_without_a_body_says_nothing_about_one() {
        let mut out = Out::default();
        let framing = head(&mut parts(Method::GET, &[("host", "x"), ("a", "1"), ("a", "2")]), None, &mut out.head);
        assert_eq!(
            (framing, drain(&mut out, 1000).as_str()),
            (None, "GET /a?b=c HTTP/1.1\r\nhost: x\r\na: 1\r\na: 2\r\n\r\n")
        );
    }

    #[test]
    fn bodies_are_framed_whatever_the_socket_takes_at_a_time() {
        for step in [1, 3, 7, 1000] {
            let mut out = Out::default();
            let mut request = parts(Method::POST, &[("content-length", "9"), ("trailer", "X-Sum, Host")]);
            let mut framing = head(&mut request, Some(None), &mut out.head).unwrap();
            assert!(out.push(&mut framing, Bytes::from_static(b"hello")) && !out.has_room());
            let mut text = drain(&mut out, step);
            assert!(out.push(&mut framing, Bytes::new()) && out.has_room());
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sum", HeaderValue::from_static("1"));
            trailers.insert("host", HeaderValue::from_static("evil"));
            trailers.insert("x-other", HeaderValue::from_static("2"));
            assert!(out.finish(framing, &trailers, &announced_trailers(&request.headers)));
            text += &drain(&mut out, step);
            assert_eq!(
                text,
                "POST /a?b=c HTTP/1.1\r\ntrailer: X-Sum, Host\r\ntransfer-encoding: chunked\r\n\r\n\
                 5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n"
            );
        }
    }

    #[test]
    fn a_body_is_as_long_as_it_was_said_to_be() {
        let mut out = Out::default();
        let mut framing = head(&mut parts(Method::POST, &[]), Some(Some(3)), &mut out.head).unwrap();
        assert!(drain(&mut out, 1000).ends_with("content-length: 3\r\n\r\n"));
        assert!(out.push(&mut framing, Bytes::from_static(b"ab")) && drain(&mut out, 1) == "ab");
        assert!(!out.finish(framing, &HeaderMap::new(), &[]));
        assert!(!out.push(&mut framing, Bytes::from_static(b"cd")));
        assert!(out.push(&mut framing, Bytes::from_static(b"c")));
        drain(&mut out, 1);
        assert!(out.finish(framing, &HeaderMap::new(), &[]) && out.is_empty());
    }
}

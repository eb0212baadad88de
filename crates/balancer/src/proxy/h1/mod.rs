//! HTTP/1.1 on both sides: what of it needs no socket.
//!
//! A request and its response live in the task of the client's connection, so nothing is handed over between tasks, each
//! head is read once, and a connection that waits has no buffers. That is why this is not an engine of somebody else's.

pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod out;
pub(crate) mod receive;
pub(crate) mod request;
pub(super) mod response;
pub(crate) mod scraps;

use bytes::Bytes;
use http::HeaderValue;

use crate::config::DesyncMode;

/// Whether a list of tokens has one, however it is written.
pub(super) fn has_token(list: &[u8], token: &[u8]) -> bool {
    list.split(|byte| *byte == b',').any(|part| part.trim_ascii().eq_ignore_ascii_case(token))
}

/// What a Content-Length says. `None` for anything but digits.
fn read_length(digits: &[u8]) -> Option<u64> {
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // The engine that speaks HTTP/2 keeps the two largest numbers for itself.
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|length| *length < u64::MAX - 1)
}

/// A header's value out of a head that was parsed.
fn read_value(bytes: Bytes) -> HeaderValue {
    // SAFETY: the parser lets through what a value may have, no control characters but tabs, and nothing else.
    unsafe { HeaderValue::from_maybe_shared_unchecked(bytes) }
}

/// What comes of a stream of requests.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// The bytes that were understood.
    pub taken: Vec<u8>,
    /// The target of each request, and as much of its body as came.
    pub requests: Vec<(String, Vec<u8>)>,
    /// Nothing after `taken` is looked at.
    pub is_refused: bool,
}

/// The requests in a stream that comes in these parts. For the fuzz targets.
pub(crate) fn read_requests(parts: &[&[u8]], mode: DesyncMode) -> Requests {
    let (mut read, mut held, mut seen) = (Requests::default(), Bytes::new(), 0);
    let scraps = scraps::Scraps::default();
    let mut body = decode::Decoder::Length(0);
    for part in parts {
        held = [&held[..], part].concat().into();
        loop {
            if !body.is_done() {
                let before = held.clone();
                let Ok(frame) = body.decode(&mut held) else {
                    read.is_refused = true;
                    return read;
                };
                read.taken.extend_from_slice(&before[..before.len() - held.len()]);
                match (frame, read.requests.last_mut()) {
                    (Some(frame), Some((_, body))) => {
                        body.extend_from_slice(frame.data_ref().map_or(&[][..], |data| &data[..]));
                    }
                    _ if body.is_done() => {}
                    _ => break,
                }
                continue;
            }
            match request::parse(&held, seen, mode, &scraps, || ()) {
                Ok(Some(head)) => {
                    read.taken.extend_from_slice(&held.split_to(head.length));
                    seen = 0;
                    read.requests.push((head.request.uri().to_string(), Vec::new()));
                    body = head.body;
                }
                Ok(None) => {
                    seen = held.len();
                    break;
                }
                Err(_) => {
                    read.is_refused = true;
                    return read;
                }
            }
        }
    }
    read
}

/// A response to `method` that comes in these parts and then ends: its status, its body, whether it is whole, and whether only
/// the end of the connection says so. `None` where it is refused. For the fuzz targets.
pub(crate) fn read_response(parts: &[&[u8]], method: &http::Method) -> Option<(u16, Vec<u8>, bool, bool)> {
    let mut parts = parts.iter();
    let (mut held, scraps) = (Vec::new(), scraps::Scraps::default());
    let mut head = loop {
        held.extend_from_slice(parts.next()?);
        if let Some(head) = response::parse(&held, method, &scraps).ok()? {
            break head;
        }
    };
    let (mut body, mut rest) = (Vec::new(), head.rest);
    let is_until_close = head.body == decode::Decoder::UntilClose;
    loop {
        while let Some(frame) = head.body.decode(&mut rest).ok()? {
            body.extend_from_slice(frame.data_ref().map_or(&[][..], |data| &data[..]));
        }
        match parts.next() {
            Some(part) => rest = [&rest[..], part].concat().into(),
            None => return Some((head.response.status().as_u16(), body, head.body.end(), is_until_close)),
        }
    }
}

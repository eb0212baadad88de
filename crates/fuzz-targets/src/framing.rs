//! The balancer's look at HTTP/1 streams, against a second, strict reader.

use longshore_balancer::config::DesyncMode;
use longshore_balancer::fuzzing::{requests, response as read};

use crate::input::Input;
use crate::strict;

/// A mode, a place to cut, and the stream.
///
/// Holds: however the stream is cut, the same requests come of it; and a strict reader finds in what was understood exactly
/// these, the last of which may lack the end of its body.
pub fn framing(data: &[u8]) {
    let mut input = Input::new(data);
    let mode = match input.byte() % 3 {
        0 => DesyncMode::Defensive,
        1 => DesyncMode::Strictest,
        _ => DesyncMode::Monitor,
    };
    let cut = usize::from(input.number());
    let stream = input.rest();
    let whole = requests(&[stream], mode);
    let (first, second) = stream.split_at(cut.min(stream.len()));
    let halves = requests(&[first, second], mode);
    let bytes: Vec<&[u8]> = stream.chunks(1).take(4096).collect();
    let single = requests(&bytes, mode);
    for (how, other) in [("two parts", &halves), ("bytes", &single)] {
        if stream.len() > 4096 && how == "bytes" {
            continue;
        }
        // A head that comes slowly is judged when its end may have come, so that the refusal may be yet to come.
        assert_eq!(whole.requests.len(), other.requests.len(), "in {how}: heads");
        assert!(whole.is_refused || !other.is_refused, "in {how}: the end");
        // Bytes of a chunk that turns out broken may have passed before that was seen; the body fails all the same.
        if !whole.is_refused {
            assert_eq!(whole, *other, "in {how}");
        }
    }
    let read = strict::requests(&whole.taken).unwrap_or_else(|why| panic!("what was understood is ambiguous: {why}"));
    assert_eq!(read.len(), whole.requests.len(), "requests in what was understood");
    for (message, (target, body)) in read.iter().zip(&whole.requests) {
        // Of a chunk that broke, what came before may have been taken.
        if message.is_complete || !whole.is_refused {
            assert_eq!(message.body, *body, "the body of {target}");
        }
    }
}

/// Whether the request was a HEAD, a place to cut, and a target's answer.
///
/// Holds: however the answer is cut, it is the same; and where a strict reader finds a length or chunks, so do we, the same body.
pub fn response(data: &[u8]) {
    let mut input = Input::new(data);
    let method = if input.byte() & 7 == 7 { http::Method::HEAD } else { http::Method::GET };
    let cut = usize::from(input.number());
    let bytes = input.rest();
    let whole = read(&[bytes], &method);
    let (first, second) = bytes.split_at(cut.min(bytes.len()));
    let halves = read(&[first, second], &method);
    assert_eq!(whole, halves, "in two parts");
    let Some((status, body, is_whole, is_until_close)) = whole else { return };
    if method == http::Method::HEAD || status < 200 || [204, 304].contains(&status) {
        return;
    }
    // Empty lines before a status line are skipped.
    let start = bytes.iter().position(|byte| !b"\r\n".contains(byte)).unwrap_or(bytes.len());
    match strict::message(&bytes[start..]) {
        Ok((message, _)) => {
            let has_length =
                message.values("content-length").chain(message.values("transfer-encoding")).next().is_some();
            assert_eq!(has_length, !is_until_close, "whether the end of the connection ends it");
            if has_length {
                assert_eq!((message.is_complete, message.body), (is_whole, body));
            }
        }
        Err(why) => {
            let is_framing = why.starts_with("content length") || why.starts_with("transfer encodings");
            assert!(!is_framing || why.eq_ignore_ascii_case("transfer encodings `identity`"), "taken: {why}");
        }
    }
}

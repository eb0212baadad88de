//! X-Amzn-Trace-Id: `Root=1-<8 hex time>-<24 hex>` where there is none; `Self=` before a `Root=` that came along.

use std::cell::{Cell, RefCell};

use bytes::BytesMut;
use http::HeaderValue;

/// Ids are cut from blocks of this size, so that most requests allocate nothing for theirs.
const BLOCK_BYTES: usize = 4096;
const HEX: &[u8; 16] = b"0123456789abcdef";

/// A worker's source of trace ids.
#[derive(Debug)]
pub(crate) struct TraceIds {
    state: Cell<u64>,
    block: RefCell<BytesMut>,
}

impl TraceIds {
    pub(crate) fn new() -> TraceIds {
        // A RandomState is the standard library's way to the system's randomness. Ids must differ, not be secret.
        let seed = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), "trace ids");
        TraceIds { state: Cell::new(seed), block: RefCell::default() }
    }

    /// The header to forward for a request that came with `incoming`.
    pub(crate) fn header(&self, incoming: Option<&HeaderValue>, unix_seconds: u64) -> HeaderValue {
        let mut block = self.block.borrow_mut();
        let needed = 96 + incoming.map_or(0, HeaderValue::len);
        if block.capacity() < needed {
            *block = BytesMut::with_capacity(BLOCK_BYTES.max(needed));
        }
        match incoming.map(HeaderValue::as_bytes).filter(|bytes| !bytes.is_empty()) {
            None => self.put_field(&mut block, b"Root=", unix_seconds),
            Some(fields) if field(fields, b"Root=").is_some() => {
                self.put_field(&mut block, b"Self=", unix_seconds);
                let kept = fields.split(|byte| *byte == b';').filter(|field| !starts_with(field, b"Self="));
                for field in kept {
                    block.extend_from_slice(b";");
                    block.extend_from_slice(field.trim_ascii());
                }
            }
            Some(fields) => {
                self.put_field(&mut block, b"Root=", unix_seconds);
                block.extend_from_slice(b";");
                block.extend_from_slice(fields);
            }
        }
        HeaderValue::from_maybe_shared(block.split().freeze()).expect("hex and a former header value are valid")
    }

    fn put_field(&self, block: &mut BytesMut, name: &[u8], unix_seconds: u64) {
        block.extend_from_slice(name);
        block.extend_from_slice(b"1-");
        put_hex(block, unix_seconds, 8);
        block.extend_from_slice(b"-");
        put_hex(block, self.random(), 16);
        put_hex(block, self.random(), 8);
    }

    /// SplitMix64: passes the usual tests and costs three multiplications.
    fn random(&self) -> u64 {
        let state = self.state.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.state.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

fn field<'a>(fields: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    fields.split(|byte| *byte == b';').find(|field| starts_with(field, name))
}

fn starts_with(field: &[u8], name: &[u8]) -> bool {
    let field = field.trim_ascii_start();
    field.len() >= name.len() && field[..name.len()].eq_ignore_ascii_case(name)
}

fn put_hex(block: &mut BytesMut, number: u64, digits: u32) {
    let mut text = [0; 16];
    for (place, digit) in text[..digits as usize].iter_mut().enumerate() {
        let shift = 4 * (digits - 1 - place as u32);
        *digit = HEX[(number >> shift & 15) as usize];
    }
    block.extend_from_slice(&text[..digits as usize]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(incoming: Option<&str>) -> String {
        let ids = TraceIds::new();
        let incoming = incoming.map(|text| HeaderValue::from_str(text).unwrap());
        let header = ids.header(incoming.as_ref(), 0x6789_1234).to_str().unwrap().to_owned();
        // Random digits become x, so that the shape can be compared.
        let mut shape = String::new();
        for (index, part) in header.split("1-67891234-").enumerate() {
            if index > 0 {
                assert!(part[..24].bytes().all(|byte| byte.is_ascii_hexdigit()), "{header}");
                shape.push_str("1-67891234-x");
                shape.push_str(&part[24..]);
            } else {
                shape.push_str(part);
            }
        }
        shape
    }

    #[test]
    fn root_is_added_when_absent_and_self_when_present() {
        assert_eq!(check(None), "Root=1-67891234-x");
        assert_eq!(check(Some("Root=1-5-a")), "Self=1-67891234-x;Root=1-5-a");
        assert_eq!(check(Some("Self=1-6-b;Root=1-5-a;CalledFrom=app")), "Self=1-67891234-x;Root=1-5-a;CalledFrom=app");
        assert_eq!(check(Some("CalledFrom=app")), "Root=1-67891234-x;CalledFrom=app");
    }

    #[test]
    fn ids_differ() {
        let ids = TraceIds::new();
        let made: std::collections::HashSet<_> = (0..1000).map(|_| ids.header(None, 1)).collect();
        assert_eq!(made.len(), 1000);
    }
}

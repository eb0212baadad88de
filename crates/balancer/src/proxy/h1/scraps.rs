//! What heads are made of, used again and again: a request costs few allocations, and one that waits holds none of these.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use super::out::Out;

/// Heads are copied into blocks of this size; those beyond the limit have memory of their own.
const BLOCK_BYTES: usize = 8 * 1024;
const COPIED_BYTES_MAX: usize = 2 * 1024;
/// No more of each is kept, and none that grew beyond the usual.
const KEPT_MAX: usize = 64;
const HEADERS_MAX: usize = 64;
/// Room for the headers of a usual message and those that are added to it: growing would cost more than asking.
const HEADERS: usize = 24;

/// See the module. Of one worker.
#[derive(Debug, Default)]
pub(crate) struct Scraps {
    block: RefCell<BytesMut>,
    headers: RefCell<Vec<HeaderMap>>,
    outs: RefCell<Vec<Out>>,
}

impl Scraps {
    pub(crate) fn copy(&self, bytes: &[u8]) -> Bytes {
        if bytes.len() > COPIED_BYTES_MAX {
            return Bytes::copy_from_slice(bytes);
        }
        let mut block = self.block.borrow_mut();
        if block.capacity() < bytes.len() {
            // The same memory, when nothing of it is in use any more.
            block.reserve(BLOCK_BYTES);
        }
        block.extend_from_slice(bytes);
        block.split().freeze()
    }

    /// An empty map.
    pub(crate) fn headers(&self) -> HeaderMap {
        self.headers.borrow_mut().pop().unwrap_or_else(|| HeaderMap::with_capacity(HEADERS))
    }

    /// Takes a map that nobody needs any more.
    pub(crate) fn give_headers(&self, mut headers: HeaderMap) {
        let mut kept = self.headers.borrow_mut();
        if kept.len() < KEPT_MAX && (HEADERS..=HEADERS_MAX).contains(&headers.capacity()) {
            headers.clear();
            kept.push(headers);
        }
    }

    pub(crate) fn out(&self) -> Out {
        self.outs.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes what is written out.
    pub(crate) fn give_out(&self, out: Out) {
        let mut kept = self.outs.borrow_mut();
        if kept.len() < KEPT_MAX && out.is_worth_keeping() {
            kept.push(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_apart_and_memory_comes_back() {
        let scraps = Scraps::default();
        let copies: Vec<Bytes> = (0..100u8).map(|n| scraps.copy(&[n; 200])).collect();
        assert!(copies.iter().zip(0..).all(|(copy, n)| copy[..] == [n; 200]));
        assert_eq!(scraps.copy(&[1; 5000]).len(), 5000);
        drop(copies);
        let mut headers = scraps.headers();
        headers.insert("a", http::HeaderValue::from_static("1"));
        scraps.give_headers(headers);
        assert!(scraps.headers().is_empty() && scraps.headers.borrow().is_empty());
        // One that grew is let go.
        scraps.give_headers(HeaderMap::with_capacity(1000));
        assert!(scraps.headers.borrow().is_empty());
    }
}

//! Bodies that clients compress.

use std::io::Write as _;

use longshore_aws_wire::inflate;

use crate::input::{FIELD, Input};

/// A limit, how often we compress the body first, its content codings, and the body.
///
/// Holds: what comes out is within the limit, and so is the memory it takes; what we compress comes back if it is.
pub fn inflated(data: &[u8]) {
    let mut input = Input::new(data);
    let max = usize::from(input.number() & 0x3fff);
    let times = input.byte() % 4;
    let codings = input.text(FIELD);
    let plain = input.rest();
    if let Ok(out) = inflate(Some(&codings), plain, max)
        && let std::borrow::Cow::Owned(out) = out
    {
        assert!(out.len() <= max && out.capacity() <= 2 * max + 64, "{} of {max}", out.capacity());
    }
    let (mut packed, mut largest) = (plain.to_vec(), plain.len());
    for _ in 0..times {
        largest = largest.max(packed.len());
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&packed).expect("memory takes it");
        packed = encoder.finish().expect("memory takes it");
    }
    let codings = vec!["gzip"; usize::from(times)].join(", ");
    match inflate(Some(&codings), &packed, max) {
        Ok(out) => assert!(times <= 2 && out == plain && (times == 0 || largest <= max)),
        Err(_) => assert!(times > 2 || largest > max),
    }
}

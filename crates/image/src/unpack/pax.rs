//! PAX extended headers: `LENGTH KEY=VALUE\n`, where VALUE is any bytes, newlines included.
//!
//! The `tar` crate splits records at newlines, which breaks binary values: a file capability
//! (`SCHILY.xattr.security.capability`) may well hold the byte 10. So records are cut by their length here.

/// One record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub key: &'a [u8],
    pub value: &'a [u8],
}

/// The records of a header's payload, or what is wrong with it.
pub(super) fn records(mut payload: &[u8]) -> Result<Vec<Record<'_>>, &'static str> {
    let mut found = Vec::new();
    // Some writers pad with NULs up to the block.
    while !payload.is_empty() && payload[0] != 0 {
        let space = payload.iter().take(20).position(|b| *b == b' ').ok_or("PAX record without a length")?;
        let length: usize = std::str::from_utf8(&payload[..space])
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or("PAX record with a malformed length")?;
        if length <= space + 2 || length > payload.len() || payload[length - 1] != b'\n' {
            return Err("PAX record with a wrong length");
        }
        let body = &payload[space + 1..length - 1];
        let equals = body.iter().position(|b| *b == b'=').ok_or("PAX record without a key")?;
        found.push(Record { key: &body[..equals], value: &body[equals + 1..] });
        payload = &payload[length..];
    }
    Ok(found)
}

/// A decimal integer.
pub(super) fn integer(value: &[u8]) -> Result<u64, &'static str> {
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).ok_or("PAX record with a malformed number")
}

/// Seconds and nanoseconds of a time such as `1700000000.25` or `-1.5`.
pub(super) fn time(value: &[u8]) -> Result<(i64, u32), &'static str> {
    const WRONG: &str = "PAX record with a malformed time";
    let text = std::str::from_utf8(value).map_err(|_| WRONG)?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().map_err(|_| WRONG)?;
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return Err(WRONG);
    }
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds: u32 = digits.parse().map_err(|_| WRONG)?;
    match (whole.starts_with('-'), nanoseconds) {
        (true, 1..) => Ok((seconds.checked_sub(1).ok_or(WRONG)?, 1_000_000_000 - nanoseconds)),
        _ => Ok((seconds, nanoseconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_may_hold_newlines_and_equals() {
        let payload = b"13 path=a\nb=c\n10 x=\n\n\n\n\n\n";
        assert!(records(payload).is_err(), "the second length is wrong on purpose");
        let payload = b"14 path=a\nb=c\n8 x=\n\n\n\n";
        let found = records(payload).expect("well formed");
        assert_eq!(found[0], Record { key: b"path", value: b"a\nb=c" });
        assert_eq!(found[1], Record { key: b"x", value: b"\n\n\n" });
    }

    #[test]
    fn malformed_records_are_errors_and_never_panics() {
        for wrong in [
            &b"x"[..],
            b"5",
            b"99999999999999999999 a=b\n",
            b"0 a=b\n",
            b"3 a\n",
            b"6 a=b",
            b" =\n",
            b"4 ab\n",
            b"5 ab\n",
        ] {
            assert!(records(wrong).is_err(), "{:?}", String::from_utf8_lossy(wrong));
        }
        assert_eq!(records(b"\0\0").expect("padding"), []);
    }

    #[test]
    fn times_may_be_fractional_and_negative() {
        assert_eq!(time(b"12.5"), Ok((12, 500_000_000)));
        assert_eq!(time(b"-1.25"), Ok((-2, 750_000_000)));
        assert_eq!(time(b"7.0000000019"), Ok((7, 1)));
        assert!(time(b"1.x").is_err() && time(b"").is_err() && time(b"nan").is_err());
    }
}

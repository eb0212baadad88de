//! `application/x-www-form-urlencoded`: the query protocols' inputs, and the query strings of URLs.

/// Decoded key and value.
pub(crate) type Pair = (String, String);

/// The pairs in the order sent; a key without `=` has an empty value, bytes that are not UTF-8 become U+FFFD.
pub(crate) fn pairs(encoded: &[u8]) -> Vec<Pair> {
    encoded
        .split(|b| *b == b'&')
        .filter(|piece| !piece.is_empty())
        .map(|piece| {
            let eq = piece.iter().position(|b| *b == b'=');
            let (key, value) = eq.map_or((piece, &[][..]), |i| (&piece[..i], &piece[i + 1..]));
            (decode(key), decode(value))
        })
        .collect()
}

/// The first value of a key.
pub(crate) fn get<'a>(pairs: &'a [Pair], key: &str) -> Option<&'a str> {
    pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
}

fn decode(piece: &[u8]) -> String {
    percent_decode(piece, true)
}

/// Decodes a segment of a path, where a plus sign is itself.
pub(crate) fn decode_path(segment: &str) -> String {
    percent_decode(segment.as_bytes(), false)
}

fn percent_decode(piece: &[u8], form: bool) -> String {
    let mut out = Vec::with_capacity(piece.len());
    let mut i = 0;
    while let Some(&b) = piece.get(i) {
        i += 1;
        match b {
            b'+' if form => out.push(b' '),
            b'%' => match piece.get(i..i + 2).and_then(hex_pair) {
                Some(byte) => {
                    out.push(byte);
                    i += 2;
                }
                // A stray percent sign stands for itself.
                None => out.push(b'%'),
            },
            _ => out.push(b),
        }
    }
    String::from_utf8(out).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

fn hex_pair(digits: &[u8]) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16);
    Some((digit(digits[0])? * 16 + digit(digits[1])?) as u8)
}

/// Percent-encodes everything but RFC 3986's unreserved characters; IAM sends policy documents so.
pub fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(b)),
            _ => {
                out.push('%');
                for digit in [b >> 4, b & 15] {
                    out.push(char::from(b"0123456789ABCDEF"[usize::from(digit)]));
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded_and_keep_their_order() {
        let got = pairs(b"b=1&a=x+y%2Fz%C3%A4&&flag&c=%zz%4&d=a=b");
        let want = [("b", "1"), ("a", "x y/zä"), ("flag", ""), ("c", "%zz%4"), ("d", "a=b")];
        assert_eq!(got.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>(), want);
    }

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        let text = "{\"Version\":\"2012-10-17\"} ä+%~";
        assert_eq!(pairs(format!("k={}", percent_encode(text)).as_bytes())[0].1, text);
        assert_eq!(percent_encode("a b~"), "a%20b~");
    }
}

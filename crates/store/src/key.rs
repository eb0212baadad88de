//! Keys as bytes that sort like the values they stand for.
//!
//! Each encoding ends itself: no encoded value is a proper prefix of another value of its type. So tuples are plain
//! concatenations, and "all keys that start with this scope" is a range of byte strings.

/// A value usable as a table's key, as part of one, or as an index key.
pub trait Key: Ord + Clone + Send + Sync + 'static {
    /// Appends the order-preserving, self-ending encoding to `out`.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads one value from the front of `input` and moves `input` past it.
    fn decode(input: &mut &[u8]) -> Result<Self, KeyError>;

    /// The encoding alone.
    fn to_bytes(&self) -> Vec<u8> {
        // As long as an account, a region and a name, so that few keys are moved while they are written.
        let mut out = Vec::with_capacity(96);
        self.encode(&mut out);
        out
    }

    /// Reads a value that fills all of `input`.
    fn from_bytes(mut input: &[u8]) -> Result<Self, KeyError> {
        let key = Self::decode(&mut input)?;
        if input.is_empty() { Ok(key) } else { Err(KeyError::TrailingBytes(input.len())) }
    }
}

/// Bytes that are not the encoding of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("the key ends early")]
    Truncated,
    #[error("the key is followed by {0} more bytes")]
    TrailingBytes(usize),
    #[error("the key holds an invalid value: {0}")]
    Invalid(String),
}

/// `Self` is what a key of type `K` starts with: the key itself, or the first parts of a tuple.
pub trait PrefixOf<K>: Key {}
impl<K: Key> PrefixOf<K> for K {}
impl<A: Key, B: Key> PrefixOf<(A, B)> for A {}
impl<A: Key, B: Key, C: Key> PrefixOf<(A, B, C)> for A {}
impl<A: Key, B: Key, C: Key> PrefixOf<(A, B, C)> for (A, B) {}
impl<A: Key, B: Key, C: Key, D: Key> PrefixOf<(A, B, C, D)> for A {}
impl<A: Key, B: Key, C: Key, D: Key> PrefixOf<(A, B, C, D)> for (A, B) {}
impl<A: Key, B: Key, C: Key, D: Key> PrefixOf<(A, B, C, D)> for (A, B, C) {}

const ZERO: u8 = 0;
/// After a zero byte: the string ends / the zero belongs to the string. The end sorts first.
const END: u8 = 1;
const ESCAPED: u8 = 255;

impl Key for String {
    fn encode(&self, out: &mut Vec<u8>) {
        encode_str(self, out);
    }

    fn decode(input: &mut &[u8]) -> Result<Self, KeyError> {
        let mut text = Vec::new();
        loop {
            let zero = input.iter().position(|byte| *byte == ZERO).ok_or(KeyError::Truncated)?;
            text.extend_from_slice(&input[..zero]);
            let mark = *input.get(zero + 1).ok_or(KeyError::Truncated)?;
            *input = &input[zero + 2..];
            match mark {
                END => return String::from_utf8(text).map_err(|error| KeyError::Invalid(error.to_string())),
                ESCAPED => text.push(ZERO),
                other => return Err(KeyError::Invalid(format!("byte {other} after a zero"))),
            }
        }
    }
}

/// Appends the encoding of a text, for [`Key`] implementations of types that wrap one.
pub fn encode_str(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    for byte in text.bytes() {
        out.push(byte);
        if byte == ZERO {
            out.push(ESCAPED);
        }
    }
    out.extend_from_slice(&[ZERO, END]);
}

macro_rules! unsigned_keys {
    ($($type:ty),*) => {$(
        impl Key for $type {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }

            fn decode(input: &mut &[u8]) -> Result<Self, KeyError> {
                let (bytes, rest) = input.split_first_chunk().ok_or(KeyError::Truncated)?;
                *input = rest;
                Ok(Self::from_be_bytes(*bytes))
            }
        }
    )*};
}
unsigned_keys!(u8, u16, u32, u64, u128);

impl Key for i64 {
    fn encode(&self, out: &mut Vec<u8>) {
        // With the sign bit flipped, negative numbers sort before positive ones.
        (self.cast_unsigned() ^ (1 << 63)).encode(out);
    }

    fn decode(input: &mut &[u8]) -> Result<Self, KeyError> {
        Ok((u64::decode(input)? ^ (1 << 63)).cast_signed())
    }
}

impl Key for std::net::Ipv4Addr {
    fn encode(&self, out: &mut Vec<u8>) {
        self.to_bits().encode(out);
    }

    fn decode(input: &mut &[u8]) -> Result<Self, KeyError> {
        Ok(Self::from_bits(u32::decode(input)?))
    }
}

/// The only row of a table that has one row.
impl Key for () {
    fn encode(&self, _: &mut Vec<u8>) {}

    fn decode(_: &mut &[u8]) -> Result<Self, KeyError> {
        Ok(())
    }
}

macro_rules! tuple_keys {
    ($($part:ident),*) => {
        impl<$($part: Key),*> Key for ($($part,)*) {
            #[expect(non_snake_case, reason = "the type's letter names its value in this macro")]
            fn encode(&self, out: &mut Vec<u8>) {
                let ($($part,)*) = self;
                $($part.encode(out);)*
            }

            fn decode(input: &mut &[u8]) -> Result<Self, KeyError> {
                Ok(($($part::decode(input)?,)*))
            }
        }
    };
}
tuple_keys!(A, B);
tuple_keys!(A, B, C);
tuple_keys!(A, B, C, D);

#[cfg(test)]
mod tests {
    use super::*;

    fn check<K: Key + std::fmt::Debug>(mut keys: Vec<K>) {
        for key in &keys {
            assert_eq!(K::from_bytes(&key.to_bytes()).as_ref(), Ok(key));
        }
        keys.sort();
        let bytes: Vec<_> = keys.iter().map(Key::to_bytes).collect();
        assert!(bytes.windows(2).all(|pair| pair[0] <= pair[1]), "{keys:?} encoded as {bytes:?}");
        for (i, one) in bytes.iter().enumerate() {
            assert!(bytes.iter().skip(i + 1).all(|other| other == one || !other.starts_with(one)), "{keys:?}");
        }
    }

    #[test]
    fn encodings_keep_order_and_come_back() {
        let texts =
            ["", "\0", "\0\0", "\0a", "a", "a\0", "a\0b", "a\u{1}", "aa", "b", "é", "\u{10ffff}"].map(String::from);
        check(texts.to_vec());
        check(vec![0u64, 1, 255, 256, u64::MAX]);
        check(vec![i64::MIN, -256, -1, 0, 1, i64::MAX]);
        check(texts.iter().flat_map(|a| texts.iter().map(move |b| (a.clone(), b.clone()))).collect());
        check(texts.iter().flat_map(|a| [0u32, 7, 1 << 20].map(|n| (a.clone(), n, a.clone()))).collect());
    }

    #[test]
    fn foreign_bytes_are_refused_with_a_reason() {
        assert_eq!(String::from_bytes(b"abc"), Err(KeyError::Truncated));
        assert_eq!(String::from_bytes(b"a\0"), Err(KeyError::Truncated));
        assert_eq!(u64::from_bytes(&[1, 2]), Err(KeyError::Truncated));
        assert_eq!(u32::from_bytes(&[0, 0, 0, 1, 9]), Err(KeyError::TrailingBytes(1)));
        assert!(matches!(String::from_bytes(&[0xff, 0, 1]), Err(KeyError::Invalid(_))));
        assert!(matches!(String::from_bytes(&[0, 2]), Err(KeyError::Invalid(_))));
    }
}

//! Content digests. Only SHA-256, as in ECR; parsed strictly, so that a digest is always safe in a file name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

/// A SHA-256 content digest, written `sha256:<64 lowercase hex digits>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// The algorithm is well-formed, but not one we store by.
    #[error("digest algorithm is not supported: only sha256 is")]
    Algorithm,
    /// Not `sha256:` and 64 lowercase hex digits.
    #[error("digest is not 'sha256:' followed by 64 lowercase hexadecimal digits")]
    Malformed,
}

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }

    /// Parses `sha256:<hex>`; anything else, uppercase included, is refused.
    pub fn parse(text: &str) -> Result<Digest, DigestError> {
        let (algorithm, hex) = text.split_once(':').ok_or(DigestError::Malformed)?;
        if algorithm != "sha256" {
            let known_shape = !algorithm.is_empty() && algorithm.bytes().all(|b| b.is_ascii_alphanumeric());
            return Err(if known_shape { DigestError::Algorithm } else { DigestError::Malformed });
        }
        Digest::from_hex(hex).ok_or(DigestError::Malformed)
    }

    /// Parses the 64 hex digits alone: the name of a blob's file.
    pub(crate) fn from_hex(hex: &str) -> Option<Digest> {
        parse_hex(hex).map(Digest)
    }

    pub(crate) fn finish(hasher: Sha256) -> Digest {
        Digest(hasher.finalize().into())
    }

    /// The 64 hex digits alone.
    pub fn hex(&self) -> String {
        hex(&self.0)
    }
}

/// Lowercase hexadecimal text of some bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [b >> 4, b & 15]).map(|nibble| char::from(DIGITS[usize::from(nibble)])).collect()
}

/// Exactly `2 * N` lowercase hex digits.
pub(crate) fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let text = text.as_bytes();
    if text.len() != N * 2 {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;
    fn from_str(text: &str) -> Result<Digest, DigestError> {
        Digest::parse(text)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        let text = String::deserialize(deserializer)?;
        Digest::parse(&text).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_back_as_written() {
        let digest = Digest::of(b"");
        assert_eq!(digest.to_string(), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(Digest::parse(&digest.to_string()), Ok(digest));
    }

    #[test]
    fn whatever_is_not_a_plain_sha256_is_refused() {
        let good = Digest::of(b"x").hex();
        for text in [
            "",
            ":",
            "sha256",
            "sha256:",
            &good,
            &format!("sha256:{}", good.to_uppercase()),
            &format!("sha256:{good}0"),
            &format!("sha256:{}", &good[1..]),
            &format!("sha256:../../{}", &good[6..]),
            &format!(" sha256:{good}"),
            &format!("sha256:{}é", &good[2..]),
            "sha256:\0",
        ] {
            assert_eq!(Digest::parse(text), Err(DigestError::Malformed), "{text}");
        }
        assert_eq!(Digest::parse(&format!("sha512:{good}{good}")), Err(DigestError::Algorithm));
    }
}

//! Content codings of request bodies: clients compress large ones.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::MultiGzDecoder;
use longshore_aws_model::AwsError;

/// Why a body was not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No gzip, or cut short.
    Malformed,
    /// More than the limit: perhaps a bomb.
    TooLarge,
    /// Another coding.
    Unknown,
}

impl Refusal {
    /// The error a client is answered with.
    pub fn into_error(self, encoding: Option<&str>, max: usize) -> AwsError {
        let encoding = encoding.unwrap_or_default();
        match self {
            Self::Malformed => {
                let text = format!("The request body is not of the Content-Encoding {encoding}.");
                AwsError::new("SerializationException", text)
            }
            Self::TooLarge => {
                let text = format!("The request body is larger than {max} bytes when decompressed.");
                AwsError::new("RequestEntityTooLargeException", text).with_status(413)
            }
            Self::Unknown => {
                let text = format!("The Content-Encoding {encoding} is not supported: send gzip, or none.");
                AwsError::new("UnsupportedMediaTypeException", text).with_status(415)
            }
        }
    }
}

/// The body under its `content-encoding`: gzip, perhaps twice over, of at most `max` bytes when all is undone.
pub fn inflate<'a>(encoding: Option<&str>, body: &'a [u8], max: usize) -> Result<Cow<'a, [u8]>, Refusal> {
    let mut body = Cow::Borrowed(body);
    let mut times = 0;
    // The last coding was applied last.
    for coding in encoding.unwrap_or_default().rsplit(',').map(str::trim) {
        match coding.to_ascii_lowercase().as_str() {
            "" | "identity" => {}
            // A body can be made that unpacks to itself for ever.
            "gzip" | "x-gzip" if times < 2 => {
                body = Cow::Owned(gunzip(&body, max)?);
                times += 1;
            }
            _ => return Err(Refusal::Unknown),
        }
    }
    Ok(body)
}

fn gunzip(body: &[u8], max: usize) -> Result<Vec<u8>, Refusal> {
    let mut out = Vec::new();
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    MultiGzDecoder::new(body).take(limit).read_to_end(&mut out).map_err(|_| Refusal::Malformed)?;
    if out.len() > max { Err(Refusal::TooLarge) } else { Ok(out) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).expect("compresses");
        encoder.finish().expect("compresses")
    }

    #[test]
    fn bodies_are_unpacked_as_their_header_says() {
        let body = b"Action=ListUsers";
        assert_eq!(inflate(None, body, 100), Ok(Cow::Borrowed(&body[..])));
        assert_eq!(inflate(Some("identity"), body, 100), Ok(Cow::Borrowed(&body[..])));
        assert_eq!(inflate(Some("GZIP"), &gzip(body), 16).as_deref(), Ok(&body[..]));
        assert_eq!(inflate(Some("gzip, gzip"), &gzip(&gzip(body)), 100).as_deref(), Ok(&body[..]));
        assert_eq!(inflate(Some("br"), body, 100), Err(Refusal::Unknown));
        assert_eq!(inflate(Some("gzip"), body, 100), Err(Refusal::Malformed));
        assert_eq!(inflate(Some("gzip"), &gzip(body)[..20], 100), Err(Refusal::Malformed));
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_large() {
        let bomb = gzip(&vec![0; 4 << 20]);
        assert_eq!(inflate(Some("gzip"), &bomb, 1 << 18), Err(Refusal::TooLarge));
        assert_eq!(inflate(Some("gzip,gzip"), &gzip(&bomb), 1 << 18), Err(Refusal::TooLarge));
        assert_eq!(inflate(Some("gzip"), &gzip(&[7; 17]), 16), Err(Refusal::TooLarge));
    }
}

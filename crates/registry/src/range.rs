//! `Range` of a download and `Content-Range` of an upload, parsed. Pure.

/// What part of a blob a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    All,
    /// Both inclusive, inside the blob.
    Part {
        first: u64,
        last: u64,
    },
    Unsatisfiable,
}

/// Reads a `Range` header against a blob's size. A header we do not understand, or one with several ranges, is
/// ignored, as RFC 9110 permits: the client gets the whole blob.
pub(crate) fn wanted(header: Option<&str>, size_bytes: u64) -> Wanted {
    let Some(spec) = header.and_then(|text| text.trim().strip_prefix("bytes=")) else { return Wanted::All };
    let Some((first, last)) = spec.split_once('-') else { return Wanted::All };
    let (first, last) = (first.trim(), last.trim());
    let part = match (first.is_empty(), last.is_empty()) {
        (true, true) => return Wanted::All,
        (true, false) => {
            let Some(length) = decimal(last) else { return Wanted::All };
            if length == 0 || size_bytes == 0 {
                return Wanted::Unsatisfiable;
            }
            (size_bytes.saturating_sub(length), size_bytes - 1)
        }
        (false, open_ended) => {
            let Some(first) = decimal(first) else { return Wanted::All };
            let last = if open_ended { Some(u64::MAX) } else { decimal(last) };
            let Some(last) = last.filter(|last| *last >= first) else { return Wanted::All };
            if first >= size_bytes {
                return Wanted::Unsatisfiable;
            }
            (first, last.min(size_bytes - 1))
        }
    };
    Wanted::Part { first: part.0, last: part.1 }
}

/// The place of a chunk in its upload; both ends inclusive, `first <= last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkRange {
    pub first: u64,
    pub last: u64,
}

impl ChunkRange {
    /// Parses `<first>-<last>`, the registry form, or `bytes <first>-<last>/<any>`, the HTTP form.
    pub(crate) fn parse(header: &str) -> Option<ChunkRange> {
        let text = header.trim();
        let text = text.strip_prefix("bytes ").unwrap_or(text);
        let text = text.split_once('/').map_or(text, |(range, _total)| range);
        let (first, last) = text.split_once('-')?;
        let (first, last) = (decimal(first)?, decimal(last)?);
        // The length must be a number, too: `last - first + 1` is computed elsewhere.
        (first <= last && last < u64::MAX).then_some(ChunkRange { first, last })
    }

    pub(crate) fn length(&self) -> u64 {
        self.last - self.first + 1
    }
}

/// Digits only: `str::parse` would take a sign.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn download_ranges() {
        let part = |first, last| Wanted::Part { first, last };
        for (header, expected) in [
            ("bytes=0-4", part(0, 4)),
            ("bytes=2-", part(2, 9)),
            ("bytes=-3", part(7, 9)),
            ("bytes=-99", part(0, 9)),
            ("bytes=9-99", part(9, 9)),
            ("bytes=10-", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=5-4", Wanted::All),
            ("bytes=0-1,3-4", Wanted::All),
            ("bytes=+1-2", Wanted::All),
            ("bytes=99999999999999999999-", Wanted::All),
            ("lines=1-2", Wanted::All),
            ("bytes=-", Wanted::All),
        ] {
            assert_eq!(wanted(Some(header), 10), expected, "{header}");
        }
        assert_eq!(wanted(None, 10), Wanted::All);
        assert_eq!(wanted(Some("bytes=0-0"), 0), Wanted::Unsatisfiable);
        assert_eq!(wanted(Some("bytes=-5"), 0), Wanted::Unsatisfiable);
    }

    #[test]
    fn upload_ranges() {
        let range = |first, last| Some(ChunkRange { first, last });
        assert_eq!(ChunkRange::parse("0-1023"), range(0, 1023));
        assert_eq!(ChunkRange::parse("bytes 5-5/*"), range(5, 5));
        for bad in ["", "-", "5", "5-", "-5", "6-5", "a-b", "0-18446744073709551615", "0 - 1"] {
            assert_eq!(ChunkRange::parse(bad), None, "{bad}");
        }
        assert_eq!(ChunkRange { first: 3, last: 3 }.length(), 1);
    }
}

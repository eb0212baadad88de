//! Finds out how a layer is compressed, by its first bytes.
//!
//! Media types are not trusted here: registries and tools mislabel layers, and the magic numbers never lie.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use super::UnpackError;

/// How an archive was compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

/// A reader of the uncompressed bytes of `source`.
pub(crate) fn decoder<'a>(mut source: impl BufRead + 'a) -> Result<(Compression, Box<dyn Read + 'a>), UnpackError> {
    let mut head = [0; 6];
    let mut len = 0;
    while len < head.len() {
        match source.read(&mut head[len..]) {
            Ok(0) => break,
            Ok(n) => len += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(UnpackError::Read(e)),
        }
    }
    let head = &head[..len];
    let whole = Cursor::new(head.to_vec()).chain(source);
    if head.starts_with(&[0x1f, 0x8b]) {
        Ok((Compression::Gzip, Box::new(flate2::bufread::MultiGzDecoder::new(whole))))
    } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) || is_zstd_skippable(head) {
        // The default window limit (128 MiB) stays: it is zstd's own promise of what decoders accept.
        let decoder = zstd::stream::read::Decoder::with_buffer(whole).map_err(UnpackError::Read)?;
        Ok((Compression::Zstd, Box::new(decoder)))
    } else if head.starts_with(b"BZh") {
        Err(UnpackError::Unsupported("bzip2 compression".to_owned()))
    } else if head.starts_with(&[0xfd, b'7', b'z', b'X', b'Z', 0]) {
        Err(UnpackError::Unsupported("xz compression".to_owned()))
    } else {
        // Header by header is 512 bytes at a time: too small for a system call or a channel each.
        Ok((Compression::None, Box::new(BufReader::with_capacity(64 << 10, whole))))
    }
}

/// zstd frames may start with metadata frames of magic 0x184D2A50 to 0x184D2A5F (zstd:chunked, pzstd).
fn is_zstd_skippable(head: &[u8]) -> bool {
    head.len() >= 4 && head[0] & 0xf0 == 0x50 && head[1..4] == [0x2a, 0x4d, 0x18]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn decoded(bytes: &[u8]) -> (Compression, Vec<u8>) {
        // One byte at a time, as a slow network would deliver.
        let (kind, mut reader) = decoder(BufReader::with_capacity(1, bytes)).expect("known");
        let mut out = Vec::new();
        reader.read_to_end(&mut out).expect("readable");
        (kind, out)
    }

    #[test]
    fn compression_is_told_by_the_first_bytes() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"hello hello").expect("memory");
        assert_eq!(decoded(&gzip.finish().expect("memory")), (Compression::Gzip, b"hello hello".to_vec()));
        let zstd = zstd::encode_all(&b"hello hello"[..], 1).expect("memory");
        assert_eq!(decoded(&zstd), (Compression::Zstd, b"hello hello".to_vec()));
        assert_eq!(decoded(b"plain"), (Compression::None, b"plain".to_vec()));
        assert_eq!(decoded(b""), (Compression::None, Vec::new()));
        assert!(matches!(decoder(&b"BZh9...."[..]), Err(UnpackError::Unsupported(_))));
    }
}

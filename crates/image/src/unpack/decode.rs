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

const BZIP2: &[u8] = b"BZh";
const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];

/// Memory for decoding xz, in KiB: twice what `xz -9` makes necessary.
const XZ_MEMORY_KIB_MAX: u32 = 130 << 10;

/// A reader of the uncompressed bytes of `source`, a layer.
pub(crate) fn decoder<'a>(source: impl BufRead + 'a) -> Result<(Compression, Box<dyn Read + 'a>), UnpackError> {
    let (head, whole) = peek(source)?;
    if head.starts_with(&[0x1f, 0x8b]) {
        Ok((Compression::Gzip, Box::new(flate2::bufread::MultiGzDecoder::new(whole))))
    } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) || is_zstd_skippable(&head) {
        // The default window limit (128 MiB) stays: it is zstd's own promise of what decoders accept.
        let decoder = zstd::stream::read::Decoder::with_buffer(whole).map_err(UnpackError::Read)?;
        Ok((Compression::Zstd, Box::new(decoder)))
    } else if head.starts_with(BZIP2) {
        Err(UnpackError::Unsupported("bzip2 compression".to_owned()))
    } else if head.starts_with(XZ) {
        Err(UnpackError::Unsupported("xz compression".to_owned()))
    } else {
        // Header by header is 512 bytes at a time: too small for a system call or a channel each.
        Ok((Compression::None, Box::new(BufReader::with_capacity(64 << 10, whole))))
    }
}

/// As [`decoder`], of an archive that is no layer: bzip2 and xz are decoded too.
pub(crate) fn archive_decoder<'a>(source: impl BufRead + 'a) -> Result<Box<dyn Read + 'a>, UnpackError> {
    let (head, whole) = peek(source)?;
    if head.starts_with(BZIP2) {
        Ok(Box::new(BufReader::with_capacity(64 << 10, bzip2::bufread::MultiBzDecoder::new(whole))))
    } else if head.starts_with(XZ) {
        let decoder = lzma_rust2::XzReader::new_mem_limit(whole, true, XZ_MEMORY_KIB_MAX);
        Ok(Box::new(BufReader::with_capacity(64 << 10, decoder)))
    } else {
        decoder(whole).map(|(_, decoder)| decoder)
    }
}

/// The first bytes of `source`, and all of it.
fn peek<'a>(mut source: impl BufRead + 'a) -> Result<(Vec<u8>, impl BufRead + 'a), UnpackError> {
    let mut head = vec![0; 6];
    let mut len = 0;
    while len < head.len() {
        match source.read(&mut head[len..]) {
            Ok(0) => break,
            Ok(n) => len += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(UnpackError::Read(e)),
        }
    }
    head.truncate(len);
    Ok((head.clone(), Cursor::new(head).chain(source)))
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

    #[test]
    fn xz_cannot_ask_for_any_amount_of_memory() {
        // A stream's header, and that of a block whose dictionary is to have 3 GiB.
        let stream = [0xfd, b'7', b'z', b'X', b'Z', 0, 0, 0, 0xff, 0x12, 0xd9, 0x41];
        let mut block = vec![0x02, 0x00, 0x21, 0x01, 39, 0, 0, 0];
        let mut crc = flate2::Crc::new();
        crc.update(&block);
        block.extend(crc.sum().to_le_bytes());
        let bytes = [stream.as_slice(), &block].concat();
        let error = archive_decoder(&bytes[..]).expect("xz").read(&mut [0; 1]).expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory, "{error}");
    }
}

//! Makes a layer of an upper directory: the archive for registries, and the directory itself as the unpacked layer.

use std::fs::{self, File};
use std::io::{self, Write};

use flate2::{Compression, GzBuilder};

use super::BuildError;
use crate::digest::{ChainId, Hasher};
use crate::manifest::{Descriptor, OCI_LAYER_GZIP};
use crate::pack::pack;
use crate::store::layers::{self, Marker, boot_id};
use crate::store::record::LayerRecord;
use crate::store::session::TempPath;
use crate::store::{Inner, StoreError, blobs};

/// Makes a layer of `staged`, whose `fs` is the upper directory, on top of `below`. `None` when nothing changed. Blocking.
///
/// The directory becomes the unpacked layer as it is: packing it and unpacking it again would give the same.
pub(super) fn commit(
    inner: &Inner,
    staged: TempPath,
    below: Option<ChainId>,
    newest: Option<i64>,
) -> Result<Option<LayerRecord>, BuildError> {
    let root = staged.as_path().join("fs");
    if fs::read_dir(&root).map_err(StoreError::io("list", &root))?.next().is_none() {
        return Ok(None);
    }
    let temp = inner.session.path("blob");
    let file = File::create_new(temp.as_path()).map_err(StoreError::io("make", temp.as_path()))?;
    let blob = Hashing { inner: io::BufWriter::with_capacity(128 << 10, file), hasher: Hasher::default() };
    // No name and no time in the header, or the same content would not be the same bytes.
    let gzip = GzBuilder::new().mtime(0).write(blob, Compression::default());
    let mut archive = Hashing { inner: gzip, hasher: Hasher::default() };
    pack(&root, &mut archive, newest)?;
    let finish = || -> io::Result<_> {
        let mut blob = archive.inner.finish()?;
        blob.inner.flush()?;
        Ok(blob.hasher)
    };
    let blob = finish().map_err(StoreError::io("write", temp.as_path()))?;
    let (archive_bytes, diff_id) = (archive.hasher.bytes(), archive.hasher.finish());
    let (size, digest) = (blob.bytes(), blob.finish());
    blobs::adopt(&inner.layout, temp, digest)?;
    let chain = ChainId::on(below, diff_id);
    let marker = Marker { chain, diff_id, archive_bytes, boot: boot_id(), durable: false };
    layers::commit(&inner.layout, &inner.session, staged, &marker)?;
    let blob = Descriptor::new(OCI_LAYER_GZIP, digest, size);
    Ok(Some(LayerRecord { chain, diff_id, blob, archive_bytes }))
}

/// Hashes what is written.
struct Hashing<W> {
    inner: W,
    hasher: Hasher,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// `2024-05-06T07:08:09Z` of seconds since 1970.
pub(super) fn rfc3339(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days in the proleptic Gregorian calendar, counted from a 1st of March so that leap days come last.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (4_102_444_800, "2100-01-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), text);
        }
    }
}

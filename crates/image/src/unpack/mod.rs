//! Unpacks one layer's archive into a directory that overlayfs can use as a lower directory.
//!
//! ```text
//! source ──► hash (compressed) ──► gunzip / unzstd ──► hash (diff id), bound ──► tar headers ──► the layer's root
//!            [`decode`]                                                         [`tar_reader`]  [`entry`], [`root`]
//! ```
//! The archive is foreign: names may climb, links may point outside, sizes may lie. Two rules hold whatever it says:
//! every name is resolved by the kernel within the layer's root (`openat2`, [`root`]), and every byte and entry is
//! counted against [`Limits`] before it is written. Nothing is believed until both digests were compared by the caller.

mod decode;
mod entry;
mod pax;
mod root;
mod tar_reader;

use std::ffi::OsStr;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};

pub(crate) use decode::{Compression, archive_decoder, decoder};
pub(crate) use entry::xattr_is_kept;
pub(crate) use root::XATTR_OPAQUE;
pub(crate) use tar_reader::{Kind, TarReader};

use crate::digest::{Digest, Hasher};
use crate::limits::Limits;

/// What an archive turned into.
#[derive(Debug, Clone)]
pub struct Unpacked {
    /// The digest of the uncompressed archive.
    pub diff_id: Digest,
    /// Uncompressed bytes of the archive.
    pub archive_bytes: u64,
    /// Entries that were applied.
    pub entries: u64,
    /// Device nodes that were left out: containers get theirs from the runtime.
    pub devices_skipped: u64,
    /// Directories that no entry described: made with default metadata, to be adjusted to the layers below.
    pub implicit_dirs: Vec<PathBuf>,
}

/// Why an archive was refused.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    #[error("malformed layer archive: {0}")]
    Malformed(String),
    #[error("unsupported layer archive: {0}")]
    Unsupported(String),
    #[error("layer archive exceeds the limit of {max} {unit}")]
    TooLarge { max: u64, unit: &'static str },
    #[error("refused archive entry `{path}`: {why}")]
    Refused { path: String, why: String },
    #[error("cannot {doing} `{path}`: {source}")]
    Write { doing: &'static str, path: String, source: io::Error },
    #[error("cannot read layer archive: {0}")]
    Read(#[source] io::Error),
}

impl UnpackError {
    /// True when the machine's disk is full, which no retry and no other registry cures.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Write { source, .. } if source.kind() == io::ErrorKind::StorageFull)
    }
}

/// Makes the directories that entries lie in, where an archive is no layer but is extracted into a tree.
pub(crate) trait Parents {
    /// The directory `dir`, relative to where the archive is extracted, made where it is missing: its real path, free of links.
    fn make(&mut self, dir: &Path) -> io::Result<PathBuf>;

    /// An entry describes the directory `name` in `dir`: whoever made it has no more say in its metadata.
    fn described(&mut self, dir: &Path, name: &OsStr);
}

/// Unpacks the archive `source` (plain, gzip or zstd, told apart by its first bytes) into the existing directory `dest`.
///
/// Reads `source` to its end, so that a hashing reader has seen every byte. Blocking.
pub fn unpack(source: impl BufRead, dest: &Path, limits: &Limits) -> Result<Unpacked, UnpackError> {
    let (_, decoded) = decoder(source)?;
    apply_counted(decoded, dest, limits, None)
}

/// As [`unpack`], into a tree that `parents` knows and `dest` may be only the uppermost part of. Decodes bzip2 and xz too.
///
/// As with `tar`, an entry goes through the links that are in its way, and the directory that all is extracted into keeps its
/// metadata, whatever the archive says of its own root.
pub(crate) fn extract(
    source: impl BufRead,
    dest: &Path,
    limits: &Limits,
    parents: &mut dyn Parents,
) -> Result<(), UnpackError> {
    apply_counted(archive_decoder(source)?, dest, limits, Some(parents)).map(drop)
}

fn apply_counted(
    decoded: impl Read,
    dest: &Path,
    limits: &Limits,
    parents: Option<&mut dyn Parents>,
) -> Result<Unpacked, UnpackError> {
    let mut counted =
        Counted { inner: decoded, hasher: Hasher::default(), max: limits.layer_bytes_max, exceeded: false };
    let result = apply_all(&mut counted, dest, limits, parents);
    if counted.exceeded {
        return Err(UnpackError::TooLarge { max: limits.layer_bytes_max, unit: "uncompressed bytes" });
    }
    let applied = result?;
    // The archive's end marker is not the stream's end: what follows counts towards the digest.
    match io::copy(&mut counted, &mut io::sink()) {
        Err(_) if counted.exceeded => {
            return Err(UnpackError::TooLarge { max: limits.layer_bytes_max, unit: "uncompressed bytes" });
        }
        other => other.map_err(UnpackError::Read)?,
    };
    let archive_bytes = counted.hasher.bytes();
    Ok(Unpacked {
        diff_id: counted.hasher.finish(),
        archive_bytes,
        entries: applied.entries,
        devices_skipped: applied.devices_skipped,
        implicit_dirs: applied.implicit_dirs,
    })
}

fn apply_all(
    source: &mut impl Read,
    dest: &Path,
    limits: &Limits,
    parents: Option<&mut dyn Parents>,
) -> Result<entry::Applied, UnpackError> {
    let mut tar = TarReader::new(source);
    let mut applier = entry::Applier::new(dest, parents)?;
    let mut count = 0;
    while let Some(entry) = tar.next()? {
        count += 1;
        if count > limits.layer_entries_max {
            return Err(UnpackError::TooLarge { max: limits.layer_entries_max, unit: "entries" });
        }
        applier.apply(&entry, &mut tar)?;
    }
    applier.finish(count)
}

/// Hashes and bounds what passes.
struct Counted<R> {
    inner: R,
    hasher: Hasher,
    max: u64,
    exceeded: bool,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.hasher.update(&buf[..n]);
        if self.hasher.bytes() > self.max {
            self.exceeded = true;
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "layer exceeds its limit"));
        }
        Ok(n)
    }
}

//! Turns one compressed layer, from the network or from a blob, into a staged directory: in one pass, on one thread.

use std::fs::{self, File};
use std::io::{self, BufRead, Read, Write};

use bytes::{Buf, Bytes};
use tokio::sync::mpsc;

use crate::digest::{ChainId, Digest, Hasher};
use crate::manifest::Descriptor;
use crate::store::layers::{Marker, boot_id};
use crate::store::session::TempPath;
use crate::store::{Inner, StoreError, blobs};
use crate::unpack::{UnpackError, Unpacked, unpack};

/// A part of a download.
pub(crate) enum Chunk {
    Data(Bytes),
    /// All bytes were sent. Without it, a closed channel means that the download failed.
    End,
}

/// A layer that is unpacked and verified, but not yet in its place.
pub(crate) struct Staged {
    pub dir: TempPath,
    pub unpacked: Unpacked,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum IngestError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// The blob itself is not what it should be; fetching it again may help.
    #[error("content of blob {expected} has digest {actual} and {bytes} bytes")]
    Blob { expected: Digest, actual: Digest, bytes: u64 },
}

/// Unpacks a download, and stores it as a blob. Blocking.
pub(crate) fn ingest_download(
    inner: &Inner,
    blob: &Descriptor,
    diff_id: Digest,
    chunks: mpsc::Receiver<Chunk>,
) -> Result<Staged, IngestError> {
    let temp = inner.session.path("blob");
    let file = File::create_new(temp.as_path()).map_err(StoreError::io("make", temp.as_path()))?;
    let staged = ingest(inner, blob, diff_id, ChunkReader { chunks, current: Bytes::new(), ended: false }, Some(file))?;
    blobs::adopt(&inner.layout, temp, blob.digest)?;
    Ok(staged)
}

/// Stores a download as a blob and leaves it packed. Blocking.
pub(crate) fn store_download(
    inner: &Inner,
    blob: &Descriptor,
    chunks: mpsc::Receiver<Chunk>,
) -> Result<(), IngestError> {
    let temp = inner.session.path("blob");
    let io = |doing| StoreError::io(doing, temp.as_path());
    let file = File::create_new(temp.as_path()).map_err(io("make"))?;
    let mut tee = Tee::new(ChunkReader { chunks, current: Bytes::new(), ended: false }, Some(file));
    tee.drain().map_err(io("write"))?;
    tee.check(blob)?;
    Ok(blobs::adopt(&inner.layout, temp, blob.digest)?)
}

/// Unpacks a blob that is in the store. Blocking. A damaged blob is removed.
pub(crate) fn ingest_blob(inner: &Inner, blob: &Descriptor, diff_id: Digest) -> Result<Option<Staged>, IngestError> {
    if blobs::size(&inner.layout, blob.digest) != Some(blob.size) {
        return Ok(None);
    }
    let Some(file) = blobs::open(&inner.layout, blob.digest)? else { return Ok(None) };
    match ingest(inner, blob, diff_id, file, None) {
        Err(IngestError::Blob { .. }) => {
            tracing::warn!(digest = %blob.digest, "removing a damaged blob");
            blobs::remove(&inner.layout, blob.digest)?;
            Ok(None)
        }
        other => other.map(Some),
    }
}

fn ingest(
    inner: &Inner,
    blob: &Descriptor,
    diff_id: Digest,
    source: impl Read,
    copy: Option<File>,
) -> Result<Staged, IngestError> {
    let dir = inner.session.dir("layer")?;
    let root = dir.as_path().join("fs");
    fs::create_dir(&root).map_err(StoreError::io("make", &root))?;
    let mut tee = Tee::new(source, copy);
    let unpacked = unpack(&mut tee, &root, &inner.options.limits);
    // A blob that is damaged makes a malformed archive: which of the two it is, only its digest tells.
    if matches!(unpacked, Ok(_) | Err(UnpackError::Malformed(_) | UnpackError::Read(_))) && tee.drain().is_ok() {
        tee.check(blob)?;
    }
    let unpacked = unpacked?;
    if unpacked.diff_id != diff_id {
        let wrong = format!("uncompressed digest is {}, the image's configuration says {diff_id}", unpacked.diff_id);
        return Err(UnpackError::Malformed(wrong).into());
    }
    Ok(Staged { dir, unpacked })
}

/// Puts a staged layer in its place. `below` are the layers under it, top first, which are in place already. Blocking.
pub(crate) fn commit(inner: &Inner, staged: Staged, chain: ChainId, below: &[ChainId]) -> Result<u64, StoreError> {
    let below = below.iter().map(|chain| inner.layout.layer_fs(*chain)).collect();
    crate::store::layers::adopt_metadata(&staged.dir.as_path().join("fs"), &staged.unpacked.implicit_dirs, below)?;
    let Unpacked { diff_id, archive_bytes, .. } = staged.unpacked;
    let marker = Marker { chain, diff_id, archive_bytes, boot: boot_id(), durable: false };
    crate::store::layers::commit(&inner.layout, &inner.session, staged.dir, &marker)?;
    Ok(archive_bytes)
}

/// Reads a download, waiting for its parts.
struct ChunkReader {
    chunks: mpsc::Receiver<Chunk>,
    current: Bytes,
    ended: bool,
}

impl Read for ChunkReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            if self.ended {
                return Ok(0);
            }
            match self.chunks.blocking_recv() {
                Some(Chunk::Data(bytes)) => self.current = bytes,
                Some(Chunk::End) => self.ended = true,
                None => return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the download was given up")),
            }
        }
        let n = buf.len().min(self.current.len());
        self.current.copy_to_slice(&mut buf[..n]);
        Ok(n)
    }
}

/// Hashes what is read, and writes it to a file too.
struct Tee<R> {
    source: R,
    copy: Option<File>,
    hasher: Hasher,
    buffer: Vec<u8>,
    filled: std::ops::Range<usize>,
}

impl<R: Read> Tee<R> {
    fn new(source: R, copy: Option<File>) -> Self {
        Self { source, copy, hasher: Hasher::default(), buffer: vec![0; 128 << 10], filled: 0..0 }
    }

    fn drain(&mut self) -> io::Result<()> {
        loop {
            let n = self.fill_buf()?.len();
            if n == 0 {
                return Ok(());
            }
            self.consume(n);
        }
    }

    /// Whether what was read, all of it by now, is this blob.
    fn check(&mut self, blob: &Descriptor) -> Result<(), IngestError> {
        let bytes = self.hasher.bytes();
        let actual = std::mem::take(&mut self.hasher).finish();
        if actual == blob.digest {
            return Ok(());
        }
        Err(IngestError::Blob { expected: blob.digest, actual, bytes })
    }
}

impl<R: Read> BufRead for Tee<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.filled.is_empty() {
            let n = loop {
                match self.source.read(&mut self.buffer) {
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    other => break other?,
                }
            };
            self.hasher.update(&self.buffer[..n]);
            if let Some(copy) = &mut self.copy {
                copy.write_all(&self.buffer[..n])?;
            }
            self.filled = 0..n;
        }
        Ok(&self.buffer[self.filled.clone()])
    }

    fn consume(&mut self, n: usize) {
        self.filled.start = (self.filled.start + n).min(self.filled.end);
    }
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.len().min(buf.len());
        buf[..n].copy_from_slice(&self.buffer[self.filled.start..self.filled.start + n]);
        self.consume(n);
        Ok(n)
    }
}

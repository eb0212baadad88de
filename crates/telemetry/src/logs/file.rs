//! Files of events: names, creation, and reading a block of one.

use super::codec::{self, Block, FRAME_HEADER_LEN, Record};
use super::error::LogError;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub(crate) const WAL_MAGIC: &[u8; 8] = b"LSLOGW01";
pub(crate) const SEGMENT_MAGIC: &[u8; 8] = b"LSLOGS01";
pub(crate) const MAGIC_LEN: usize = 8;

/// Bytes read around a small block, for its neighbours: blocks under way are often one line.
const WINDOW_LEN: u64 = 64 << 10;

/// What a file is, as its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FileName {
    /// Arrival order.
    Wal { number: u64 },
    /// Sorted. A rewritten segment has the next generation.
    Segment { number: u64, generation: u32 },
}

impl FileName {
    pub(crate) fn path(self, dir: &Path) -> PathBuf {
        match self {
            Self::Wal { number } => dir.join(format!("wal-{number:08}.log")),
            Self::Segment { number, generation } => dir.join(format!("seg-{number:08}-{generation}.log")),
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        let stem = name.strip_suffix(".log")?;
        if let Some(number) = stem.strip_prefix("wal-") {
            return Some(Self::Wal { number: number.parse().ok()? });
        }
        let (number, generation) = stem.strip_prefix("seg-")?.split_once('-')?;
        Some(Self::Segment { number: number.parse().ok()?, generation: generation.parse().ok()? })
    }

    pub(crate) fn number(self) -> u64 {
        match self {
            Self::Wal { number } | Self::Segment { number, .. } => number,
        }
    }
}

/// A file that blocks refer to. The last reference to a doomed one removes it, so readers never lose a file.
#[derive(Debug)]
pub(crate) struct LogFile {
    pub(crate) name: FileName,
    pub(crate) path: PathBuf,
    /// Bytes of blocks that the index still refers to.
    live_bytes: AtomicU64,
    doomed: AtomicBool,
}

impl LogFile {
    pub(crate) fn new(dir: &Path, name: FileName) -> Arc<Self> {
        let path = name.path(dir);
        Arc::new(Self { name, path, live_bytes: AtomicU64::new(0), doomed: AtomicBool::new(false) })
    }

    pub(crate) fn live_bytes(&self) -> u64 {
        self.live_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn add_live(&self, len: u32) {
        self.live_bytes.fetch_add(len.into(), Ordering::Relaxed);
    }

    pub(crate) fn remove_live(&self, len: u32) {
        self.live_bytes.fetch_sub(len.into(), Ordering::Relaxed);
    }

    /// Lets the file go once nobody reads it.
    pub(crate) fn doom(&self) {
        self.doomed.store(true, Ordering::Relaxed);
    }
}

impl Drop for LogFile {
    fn drop(&mut self) {
        if self.doomed.load(Ordering::Relaxed)
            && let Err(error) = fs::remove_file(&self.path)
        {
            // It is removed when the store is opened next.
            tracing::warn!(path = %self.path.display(), %error, "cannot remove a log file that is no longer needed");
        }
    }
}

/// Creates a file readable by its owner only: logs hold what programs print.
pub(crate) fn create(path: &Path) -> Result<File, LogError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true).mode(0o600);
    options.open(path).map_err(LogError::io("create", path))
}

/// Makes names in `dir` durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), LogError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(LogError::io("sync", dir))
}

/// Writes a whole file: `bytes` are all there under the final name, or the name is not.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), LogError> {
    let temporary = path.with_extension("tmp");
    let mut file = create(&temporary)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(LogError::io("write", &temporary))?;
    fs::rename(&temporary, path).map_err(LogError::io("rename", &temporary))?;
    sync_dir(path.parent().expect("log files are in the log directory"))
}

/// A block with the bytes its messages are in, events in order.
pub(crate) struct OpenBlock {
    pub(crate) payload: Vec<u8>,
    pub(crate) block: Block,
}

/// Reads blocks of files. One per query: it keeps files open and the neighbourhood of the last block.
#[derive(Default)]
pub(crate) struct Reader {
    files: Vec<(Arc<LogFile>, File, Window)>,
}

#[derive(Default)]
struct Window {
    start: u64,
    bytes: Vec<u8>,
}

/// Open files of one reader. A query over more files opens them again.
const OPEN_FILES_MAX: usize = 64;

impl Reader {
    pub(crate) fn block(&mut self, log_file: &Arc<LogFile>, offset: u32, len: u32) -> Result<OpenBlock, LogError> {
        let index = match self.files.iter().position(|(known, ..)| Arc::ptr_eq(known, log_file)) {
            Some(index) => index,
            None => {
                if self.files.len() == OPEN_FILES_MAX {
                    self.files.clear();
                }
                let file = File::open(&log_file.path).map_err(LogError::io("open", &log_file.path))?;
                self.files.push((Arc::clone(log_file), file, Window::default()));
                self.files.len() - 1
            }
        };
        let (_, file, window) = &mut self.files[index];
        let frame = window.read(file, offset.into(), len as usize).map_err(LogError::io("read", &log_file.path))?;
        let damaged = |error| LogError::corrupt(&log_file.path, format!("at byte {offset}: {error}"));
        let payload = codec::payload(frame).map_err(damaged)?.to_vec();
        let Record::Events(mut block) = codec::read_record(&payload).map_err(damaged)? else {
            return Err(damaged(codec::CodecError::Malformed));
        };
        // As they arrived, which need not be in order of time.
        if !block.events.is_sorted_by_key(codec::BlockEvent::key) {
            block.events.sort_unstable_by_key(codec::BlockEvent::key);
        }
        Ok(OpenBlock { payload, block })
    }
}

impl Window {
    fn read(&mut self, file: &File, offset: u64, len: usize) -> io::Result<&[u8]> {
        let end = offset + len as u64;
        let holds = offset >= self.start && end <= self.start + self.bytes.len() as u64;
        if !holds {
            let start = offset - offset % WINDOW_LEN;
            let wanted = (end - start).max(WINDOW_LEN) as usize;
            self.bytes.resize(wanted, 0);
            self.start = start;
            let mut read = 0;
            // The end of the file may come before the end of the window.
            while read < wanted {
                match file.read_at(&mut self.bytes[read..], start + read as u64) {
                    Ok(0) => break,
                    Ok(more) => read += more,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => {
                        self.bytes.clear();
                        return Err(error);
                    }
                }
            }
            self.bytes.truncate(read);
        }
        let from = (offset - self.start) as usize;
        self.bytes.get(from..from + len).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// Frames of a whole file's bytes, with their offsets, until the end or until no frame follows.
///
/// A frame with a wrong checksum is skipped when a good one comes after it: that is damage to one batch, and what was
/// acknowledged later shall not be lost with it. Without a good one after it, it is the write that a crash cut short.
pub(crate) struct Frames<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Frames skipped so far.
    pub(crate) damaged: usize,
}

impl<'a> Frames<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: MAGIC_LEN.min(bytes.len()), damaged: 0 }
    }

    /// Where the last good frame so far ended.
    pub(crate) fn good_len(&self) -> usize {
        self.at
    }
}

impl<'a> Iterator for Frames<'a> {
    /// Offset of the frame, its length, and its payload.
    type Item = (u32, u32, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let mut at = self.at;
        let mut skipped = 0;
        loop {
            let rest = self.bytes.get(at..).filter(|rest| !rest.is_empty())?;
            match codec::payload(rest) {
                Ok(payload) => {
                    let len = FRAME_HEADER_LEN + payload.len();
                    self.at = at + len;
                    self.damaged += skipped;
                    return Some((u32::try_from(at).ok()?, u32::try_from(len).ok()?, payload));
                }
                Err(codec::CodecError::Checksum) => {
                    let [a, b, c, d, ..] = *rest else { return None };
                    at += FRAME_HEADER_LEN + u32::from_le_bytes([a, b, c, d]) as usize;
                    skipped += 1;
                }
                Err(codec::CodecError::Truncated | codec::CodecError::Malformed) => return None,
            }
        }
    }
}

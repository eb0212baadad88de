//! Reads a tar archive entry by entry: old, ustar, GNU and PAX headers, as Go's `archive/tar` reads them, since that is
//! what wrote and will read most layers.
//!
//! Header fields are decoded by the `tar` crate. Its own iteration is not used: it buffers extension headers of any
//! size, and it cannot carry binary PAX values.

use std::io::{self, Read};

use tar::{EntryType, Header};

use super::{UnpackError, pax};

const BLOCK: usize = 512;
/// Bytes of one extension header (long name, PAX records). Go refuses more as well.
const EXTENSION_MAX: u64 = 1 << 20;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    Symlink,
    HardLink,
    Fifo,
    CharDevice,
    BlockDevice,
}

/// One entry, with its extension headers applied. `path` and `link` are as written: not to be trusted.
#[derive(Debug, Clone)]
pub(crate) struct TarEntry {
    pub kind: Kind,
    pub path: Vec<u8>,
    pub link: Vec<u8>,
    /// Bytes of content that follow; 0 for all but files.
    pub size: u64,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Seconds since 1970, and nanoseconds.
    pub mtime: (i64, u32),
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The archive. After [`TarReader::next`] gave an entry, reading gives its content.
pub(crate) struct TarReader<R> {
    inner: R,
    /// Content bytes of the current entry not yet read.
    remaining: u64,
    /// Bytes after the content up to the next block.
    padding: u64,
}

/// What extension headers said about the entry that follows them.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<(i64, u32)>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<R: Read> TarReader<R> {
    pub fn new(inner: R) -> Self {
        Self { inner, remaining: 0, padding: 0 }
    }

    /// The next entry; `None` at the end marker, or where the stream ends between two entries.
    pub fn next(&mut self) -> Result<Option<TarEntry>, UnpackError> {
        let mut extensions = Extensions::default();
        let mut extended = false;
        loop {
            self.skip_rest()?;
            let mut block = [0; BLOCK];
            let got = self.fill(&mut block)?;
            if got == 0 || block == [0; BLOCK] {
                if extended {
                    return Err(malformed("an extension header is followed by no entry"));
                }
                return Ok(None);
            }
            if got < BLOCK {
                return Err(malformed("the archive ends within a header"));
            }
            let header = Header::from_byte_slice(&block);
            check_sum(header, &block)?;
            match header.entry_type() {
                EntryType::GNULongName => extensions.path = Some(until_nul(self.extension(header)?)),
                EntryType::GNULongLink => extensions.link = Some(until_nul(self.extension(header)?)),
                EntryType::XHeader => {
                    let payload = self.extension(header)?;
                    extensions.read_pax(&payload)?;
                }
                // Global headers carry comments (git archive); nothing in a layer may depend on them.
                EntryType::XGlobalHeader => {
                    self.extension(header)?;
                    continue;
                }
                kind => return self.entry(header, kind, extensions).map(Some),
            }
            extended = true;
        }
    }

    fn entry(&mut self, header: &Header, kind: EntryType, ext: Extensions) -> Result<TarEntry, UnpackError> {
        let path = ext.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let kind = match kind {
            // Before ustar a directory was a file whose name ends in a slash.
            EntryType::Regular | EntryType::Continuous if path.ends_with(b"/") => Kind::Directory,
            EntryType::Regular | EntryType::Continuous => Kind::File,
            EntryType::Directory => Kind::Directory,
            EntryType::Symlink => Kind::Symlink,
            EntryType::Link => Kind::HardLink,
            EntryType::Fifo => Kind::Fifo,
            EntryType::Char => Kind::CharDevice,
            EntryType::Block => Kind::BlockDevice,
            EntryType::GNUSparse => return Err(UnpackError::Unsupported(format!("sparse entry `{}`", show(&path)))),
            other => {
                let what = format!("entry `{}` of type {:#04x}", show(&path), other.as_byte());
                return Err(UnpackError::Unsupported(what));
            }
        };
        let old = header.as_old();
        // Whatever a link or directory claims as its size, no content follows it.
        let size = match (kind, ext.size) {
            (Kind::File, Some(size)) => size,
            (Kind::File, None) => number(&old.size, || header.entry_size())?,
            _ => 0,
        };
        self.remaining = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
        let id = |ext: Option<u64>, from_header: u64, what| {
            u32::try_from(ext.unwrap_or(from_header)).map_err(|_| malformed(&format!("{what} out of range")))
        };
        Ok(TarEntry {
            kind,
            link: ext.link.unwrap_or_else(|| header.link_name_bytes().map(|b| b.into_owned()).unwrap_or_default()),
            size,
            mode: (number(&old.mode, || header.mode().map(u64::from))? & 0o7777) as u32,
            uid: id(ext.uid, number(&old.uid, || header.uid())?, "user id")?,
            gid: id(ext.gid, number(&old.gid, || header.gid())?, "group id")?,
            mtime: ext.mtime.unwrap_or((number(&old.mtime, || header.mtime())? as i64, 0)),
            xattrs: ext.xattrs,
            path,
        })
    }

    /// Reads an extension header's payload, bounded.
    fn extension(&mut self, header: &Header) -> Result<Vec<u8>, UnpackError> {
        let size = number(&header.as_old().size, || header.entry_size())?;
        if size > EXTENSION_MAX {
            return Err(malformed("an extension header exceeds 1 MiB"));
        }
        let mut payload = vec![0; size as usize];
        if self.fill(&mut payload)? < payload.len() {
            return Err(malformed("the archive ends within an extension header"));
        }
        self.padding = size.wrapping_neg() % BLOCK as u64;
        Ok(payload)
    }

    /// Skips what the caller did not read of the current entry.
    fn skip_rest(&mut self) -> Result<(), UnpackError> {
        let rest = self.remaining.checked_add(self.padding).ok_or_else(|| malformed("entry size out of range"))?;
        (self.remaining, self.padding) = (0, 0);
        let skipped = io::copy(&mut (&mut self.inner).take(rest), &mut io::sink()).map_err(UnpackError::Read)?;
        if skipped < rest {
            return Err(malformed("the archive ends within an entry"));
        }
        Ok(())
    }

    /// Fills `buf`, or as much of it as the stream has.
    fn fill(&mut self, buf: &mut [u8]) -> Result<usize, UnpackError> {
        let mut len = 0;
        while len < buf.len() {
            match self.inner.read(&mut buf[len..]) {
                Ok(0) => break,
                Ok(n) => len += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(UnpackError::Read(e)),
            }
        }
        Ok(len)
    }
}

impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let max = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(buf.len());
        if max == 0 {
            return Ok(0);
        }
        let n = self.inner.read(&mut buf[..max])?;
        if n == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends within an entry"));
        }
        self.remaining -= n as u64;
        Ok(n)
    }
}

impl Extensions {
    fn read_pax(&mut self, payload: &[u8]) -> Result<(), UnpackError> {
        for record in pax::records(payload).map_err(malformed)? {
            match record.key {
                b"path" => self.path = Some(record.value.to_vec()),
                b"linkpath" => self.link = Some(record.value.to_vec()),
                b"size" => self.size = Some(pax::integer(record.value).map_err(malformed)?),
                b"uid" => self.uid = Some(pax::integer(record.value).map_err(malformed)?),
                b"gid" => self.gid = Some(pax::integer(record.value).map_err(malformed)?),
                b"mtime" => self.mtime = Some(pax::time(record.value).map_err(malformed)?),
                key if key.starts_with(b"GNU.sparse.") => {
                    return Err(UnpackError::Unsupported("sparse entries".to_owned()));
                }
                key => {
                    if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                        self.xattrs.push((name.to_vec(), record.value.to_vec()));
                    }
                }
            }
        }
        Ok(())
    }
}

/// A numeric field. Writers leave fields they have no use for blank, which the `tar` crate takes for an error.
fn number(field: &[u8], parse: impl FnOnce() -> io::Result<u64>) -> Result<u64, UnpackError> {
    if field.iter().all(|b| matches!(b, 0 | b' ')) {
        return Ok(0);
    }
    parse().map_err(|e| malformed(&e.to_string()))
}

fn check_sum(header: &Header, block: &[u8; BLOCK]) -> Result<(), UnpackError> {
    let stated = header.cksum().map_err(|e| malformed(&e.to_string()))?;
    let sum: u32 =
        block.iter().enumerate().map(|(i, b)| if (148..156).contains(&i) { 32 } else { u32::from(*b) }).sum();
    if sum == stated { Ok(()) } else { Err(malformed("header checksum mismatch")) }
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|b| *b == 0) {
        bytes.truncate(end);
    }
    bytes
}

fn malformed(what: &str) -> UnpackError {
    UnpackError::Malformed(what.to_owned())
}

/// A foreign name, made fit for a message: short and printable.
pub(super) fn show(path: &[u8]) -> String {
    String::from_utf8_lossy(&path[..path.len().min(200)]).escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(build: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        build(&mut builder);
        builder.into_inner().expect("memory")
    }

    fn file(path: &str, content: &[u8]) -> Vec<u8> {
        archive(|b| {
            let mut header = Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o640);
            b.append_data(&mut header, path, content).expect("memory");
        })
    }

    #[test]
    fn long_names_of_both_dialects_are_read() {
        let long = "d/".repeat(120) + "file";
        let gnu = file(&long, b"x");
        let mut reader = TarReader::new(&gnu[..]);
        assert_eq!(reader.next().expect("ok").expect("entry").path, long.as_bytes());

        let pax = archive(|b| {
            b.append_pax_extensions([("path", long.as_bytes()), ("mtime", b"5.5"), ("uid", b"70000")]).expect("memory");
            let mut header = Header::new_ustar();
            header.set_entry_type(EntryType::Directory);
            header.set_mode(0o755);
            header.set_cksum();
            b.append(&header, io::empty()).expect("memory");
        });
        let entry = TarReader::new(&pax[..]).next().expect("ok").expect("entry");
        assert_eq!((entry.path, entry.mtime, entry.uid), (long.into_bytes(), (5, 500_000_000), 70_000));
    }

    #[test]
    fn content_is_bounded_by_its_entry_and_skipped_when_unread() {
        let mut bytes = file("a", &[7; 700]);
        bytes.truncate(512 + 1024);
        bytes.extend(file("b", b"second"));
        let mut reader = TarReader::new(&bytes[..]);
        assert_eq!(reader.next().expect("ok").expect("entry").size, 700);
        let entry = reader.next().expect("ok").expect("entry");
        let mut content = String::new();
        reader.read_to_string(&mut content).expect("ok");
        assert_eq!((entry.path, content.as_str()), (b"b".to_vec(), "second"));
        assert!(reader.next().expect("ok").is_none());
    }

    #[test]
    fn any_truncation_or_flipped_byte_is_an_error_or_an_end_but_never_a_panic() {
        let bytes = file(&("d/".repeat(120) + "f"), &[1; 600]);
        let walk = |bytes: &[u8]| -> Result<(), UnpackError> {
            let mut reader = TarReader::new(bytes);
            while reader.next()?.is_some() {
                io::copy(&mut reader, &mut io::sink()).map_err(UnpackError::Read)?;
            }
            Ok(())
        };
        walk(&bytes).expect("whole");
        for cut in 0..bytes.len() {
            let _ = walk(&bytes[..cut]);
        }
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0xff;
            let _ = walk(&flipped);
        }
        assert!(walk(&bytes[..700]).is_err());
    }

    #[test]
    fn an_extension_header_of_gigabytes_is_refused_before_it_is_read() {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::XHeader);
        header.set_size(4 << 30);
        header.set_cksum();
        let error = TarReader::new(&header.as_bytes()[..]).next().expect_err("too long");
        assert!(error.to_string().contains("1 MiB"), "{error}");
    }
}

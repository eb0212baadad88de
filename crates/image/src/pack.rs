//! Writes a directory as a layer's archive: the reverse of [`crate::unpack`], and always the same bytes for the same tree.
//!
//! Entries are sorted by name; times are whole seconds, at most `newest`; names of users are left out. overlayfs' marks turn
//! into the archive's: a character device 0/0 into `.wh.<name>`, an opaque directory into `.wh..wh..opq`.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use tar::{EntryType, Header};

use crate::unpack::{XATTR_OPAQUE, xattr_is_kept};

/// Why a directory cannot become a layer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackError {
    #[error("cannot {doing} {}: {source}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("{} was moved by overlayfs ({attribute}), which a layer cannot express: mount with redirect_dir=off,metacopy=off", path.display())]
    Redirected { path: PathBuf, attribute: &'static str },
    #[error("{} cannot be in a layer: names that start with .wh. mark deleted files", path.display())]
    Reserved { path: PathBuf },
    #[error("{} changed while it was read", path.display())]
    Changed { path: PathBuf },
}

impl PackError {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { doing, path, source }
    }
}

/// Writes the tree below `root`, without the root itself. Modification times later than `newest` (seconds since 1970) are
/// written as `newest`.
pub(crate) fn pack(root: &Path, out: &mut impl Write, newest: Option<i64>) -> Result<(), PackError> {
    let mut packer = Packer { out, newest, links: HashMap::new() };
    packer.children(root, Path::new(""))?;
    // Two blocks of zeros end an archive.
    packer.out.write_all(&[0; 1024]).map_err(PackError::io("write the archive of", root))
}

struct Packer<'a, W> {
    out: &'a mut W,
    newest: Option<i64>,
    /// Files with several names, by device and inode: the name that was written first.
    links: HashMap<(u64, u64), PathBuf>,
}

impl<W: Write> Packer<'_, W> {
    fn children(&mut self, dir: &Path, name: &Path) -> Result<(), PackError> {
        let entries = fs::read_dir(dir).and_then(|entries| entries.map(|e| e.map(|e| e.file_name())).collect());
        let mut names: Vec<OsString> = entries.map_err(PackError::io("list", dir))?;
        names.sort();
        for child in names {
            if child.as_bytes().starts_with(b".wh.") {
                return Err(PackError::Reserved { path: Path::new("/").join(name).join(child) });
            }
            self.entry(&dir.join(&child), &name.join(&child))?;
        }
        Ok(())
    }

    fn entry(&mut self, path: &Path, name: &Path) -> Result<(), PackError> {
        let meta = fs::symlink_metadata(path).map_err(PackError::io("look at", path))?;
        let kind = meta.file_type();
        if kind.is_dir() {
            for attribute in ["trusted.overlay.redirect", "trusted.overlay.metacopy"] {
                if xattr(path, attribute)?.is_some() {
                    return Err(PackError::Redirected { path: path.to_owned(), attribute });
                }
            }
            self.header(path, name, &meta, EntryType::Directory, 0, None)?;
            if xattr(path, XATTR_OPAQUE)?.is_some_and(|value| value == b"y") {
                self.mark(path, &name.join(".wh..wh..opq"))?;
            }
            return self.children(path, name);
        }
        if kind.is_char_device() && meta.rdev() == 0 {
            let mut mark = OsString::from(".wh.");
            mark.push(name.file_name().unwrap_or_default());
            return self.mark(path, &name.with_file_name(mark));
        }
        if kind.is_socket() {
            // Archives have no sockets; nobody would listen to one from an image.
            return Ok(());
        }
        if meta.nlink() > 1 {
            let first = self.links.get(&(meta.dev(), meta.ino())).cloned();
            match first {
                Some(first) => return self.header(path, name, &meta, EntryType::Link, 0, Some(&first)),
                None => drop(self.links.insert((meta.dev(), meta.ino()), name.to_owned())),
            }
        }
        if kind.is_symlink() {
            let target = fs::read_link(path).map_err(PackError::io("read", path))?;
            self.header(path, name, &meta, EntryType::Symlink, 0, Some(&target))
        } else if kind.is_file() {
            if xattr(path, "trusted.overlay.metacopy")?.is_some() {
                return Err(PackError::Redirected { path: path.to_owned(), attribute: "trusted.overlay.metacopy" });
            }
            self.header(path, name, &meta, EntryType::Regular, meta.len(), None)?;
            self.content(path, meta.len())
        } else {
            let kind = if kind.is_fifo() {
                EntryType::Fifo
            } else if kind.is_char_device() {
                EntryType::Char
            } else {
                EntryType::Block
            };
            self.header(path, name, &meta, kind, 0, None)
        }
    }

    fn content(&mut self, path: &Path, size: u64) -> Result<(), PackError> {
        let file = File::open(path).map_err(PackError::io("open", path))?;
        let copied = io::copy(&mut file.take(size), self.out).map_err(PackError::io("archive", path))?;
        if copied != size {
            return Err(PackError::Changed { path: path.to_owned() });
        }
        let padding = size.wrapping_neg() as usize % 512;
        self.out.write_all(&[0; 512][..padding]).map_err(PackError::io("archive", path))
    }

    /// An empty file with a name that means something.
    fn mark(&mut self, path: &Path, name: &Path) -> Result<(), PackError> {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_size(0);
        header.set_mode(0);
        header.set_mtime(0);
        self.write(path, header, name, None, Vec::new())
    }

    fn header(
        &mut self,
        path: &Path,
        name: &Path,
        meta: &Metadata,
        kind: EntryType,
        size: u64,
        link: Option<&Path>,
    ) -> Result<(), PackError> {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(meta.mode() & 0o7777);
        let mtime = self.newest.map_or(meta.mtime(), |newest| newest.min(meta.mtime()));
        header.set_mtime(mtime.max(0) as u64);
        let mut pax: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        let mut number = |field: &str, value: u64, max: u64, set: &mut dyn FnMut(u64)| {
            if value > max {
                pax.push((field.into(), value.to_string().into_bytes()));
            }
            set(value.min(max));
        };
        // What the octal fields of ustar hold: 11 and 7 digits.
        number("size", size, 0o77777777777, &mut |v| header.set_size(v));
        number("uid", meta.uid().into(), 0o7777777, &mut |v| header.set_uid(v));
        number("gid", meta.gid().into(), 0o7777777, &mut |v| header.set_gid(v));
        if matches!(kind, EntryType::Char | EntryType::Block) {
            let (major, minor) = (rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()));
            header.set_device_major(major).map_err(PackError::io("archive", path))?;
            header.set_device_minor(minor).map_err(PackError::io("archive", path))?;
        }
        if matches!(kind, EntryType::Regular | EntryType::Directory) {
            for attribute in xattrs(path)? {
                if let Some(value) = xattr(path, std::ffi::OsStr::from_bytes(&attribute))? {
                    pax.push(([b"SCHILY.xattr.", attribute.as_slice()].concat(), value));
                }
            }
        }
        self.write(path, header, name, link, pax)
    }

    /// Writes the header with its names, preceded by a PAX header for what does not fit.
    fn write(
        &mut self,
        path: &Path,
        mut header: Header,
        name: &Path,
        link: Option<&Path>,
        mut pax: Vec<(Vec<u8>, Vec<u8>)>,
    ) -> Result<(), PackError> {
        let mut name = name.as_os_str().as_bytes().to_vec();
        if header.entry_type() == EntryType::Directory {
            name.push(b'/');
        }
        let link = link.map(|link| link.as_os_str().as_bytes());
        let mut put = |key: &str, value: &[u8], field: &mut [u8]| {
            let fits = value.len() <= field.len();
            if !fits || !value.is_ascii() {
                pax.push((key.into(), value.to_vec()));
            }
            let len = value.len().min(field.len());
            field[..len].copy_from_slice(&value[..len]);
        };
        let fields = header.as_old_mut();
        put("path", &name, &mut fields.name);
        if let Some(link) = link {
            put("linkpath", link, &mut fields.linkname);
        }
        header.set_cksum();
        if !pax.is_empty() {
            pax.sort();
            let records: Vec<u8> = pax.iter().flat_map(|(key, value)| record(key, value)).collect();
            let mut extension = Header::new_ustar();
            extension.set_entry_type(EntryType::XHeader);
            extension.set_size(records.len() as u64);
            extension.set_mode(0o644);
            extension.set_mtime(0);
            extension.as_old_mut().name[..9].copy_from_slice(b"PaxHeader");
            extension.set_cksum();
            let padding = records.len().wrapping_neg() % 512;
            let parts = [&extension.as_bytes()[..], &records, &[0; 512][..padding]].concat();
            self.out.write_all(&parts).map_err(PackError::io("archive", path))?;
        }
        self.out.write_all(header.as_bytes()).map_err(PackError::io("archive", path))
    }
}

/// `LENGTH KEY=VALUE\n`, where the length counts its own digits.
fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

/// The names of the attributes that belong to the content, sorted.
fn xattrs(path: &Path) -> Result<Vec<Vec<u8>>, PackError> {
    let mut buffer = vec![0; 64 << 10];
    let len = match rustix::fs::llistxattr(path, &mut buffer) {
        Ok(len) => len,
        Err(rustix::io::Errno::NOTSUP) => 0,
        Err(e) => return Err(PackError::io("list attributes of", path)(e.into())),
    };
    let names = buffer[..len].split(|b| *b == 0).filter(|name| !name.is_empty() && xattr_is_kept(name));
    let mut names: Vec<Vec<u8>> = names.map(<[u8]>::to_vec).collect();
    names.sort();
    Ok(names)
}

fn xattr(path: &Path, name: impl rustix::path::Arg) -> Result<Option<Vec<u8>>, PackError> {
    // The kernel's limit on a value.
    let mut value = vec![0; 64 << 10];
    match rustix::fs::lgetxattr(path, name, &mut value) {
        Ok(len) => {
            value.truncate(len);
            Ok(Some(value))
        }
        Err(rustix::io::Errno::NODATA | rustix::io::Errno::NOTSUP) => Ok(None),
        Err(e) => Err(PackError::io("read attributes of", path)(e.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::unpack::unpack;
    use rustix::fs::{CWD, FileType, Mode, XattrFlags, mknodat, setxattr};
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn packed(root: &Path) -> Vec<u8> {
        let mut out = Vec::new();
        pack(root, &mut out, Some(100)).expect("packable");
        out
    }

    #[test]
    fn a_tree_survives_packing_and_unpacking_with_overlayfs_marks_and_attributes() {
        let from = tempfile::tempdir().expect("tmp");
        let dir = from.path().join("d");
        fs::create_dir(&dir).expect("dir");
        let long = dir.join("ü".repeat(100));
        fs::write(&long, b"content").expect("file");
        fs::hard_link(&long, from.path().join("zz-second-name")).expect("link");
        symlink("/some/where", from.path().join("link")).expect("link");
        fs::set_permissions(&long, fs::Permissions::from_mode(0o4755)).expect("mode");
        // Capability values contain any byte, newlines too.
        let capability = [1, 0, 0, 2, 0, 4, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        setxattr(&long, "security.capability", &capability, XattrFlags::empty()).expect("root");
        setxattr(&dir, XATTR_OPAQUE, b"y", XattrFlags::empty()).expect("root");
        mknodat(CWD, from.path().join("gone"), FileType::CharacterDevice, Mode::empty(), 0).expect("root");
        std::os::unix::fs::lchown(from.path().join("link"), Some(3_000_000), Some(7)).expect("root");

        let archive = packed(from.path());
        let to = tempfile::tempdir().expect("tmp");
        unpack(&archive[..], to.path(), &Limits::default()).expect("unpackable");
        assert_eq!(packed(to.path()), archive, "packing is the reverse of unpacking");

        let copy = to.path().join("d").join("ü".repeat(100));
        let meta = fs::metadata(&copy).expect("there");
        assert_eq!((meta.mode() & 0o7777, meta.nlink(), meta.mtime()), (0o4755, 2, 100));
        assert_eq!(xattr(&copy, "security.capability").expect("ok").expect("there"), capability);
        assert_eq!(xattr(&to.path().join("d"), XATTR_OPAQUE).expect("ok").expect("there"), b"y");
        assert_eq!(fs::symlink_metadata(to.path().join("link")).expect("there").uid(), 3_000_000);
        assert_eq!(fs::symlink_metadata(to.path().join("gone")).expect("there").rdev(), 0);
    }

    #[test]
    fn a_record_counts_its_own_length() {
        assert_eq!(record(b"a", b"b"), b"6 a=b\n");
        assert_eq!(record(b"path", &[b'x'; 91]).len(), 100 + 1);
        assert!(record(b"path", &[b'x'; 91]).starts_with(b"101 "));
    }
}

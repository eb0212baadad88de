//! COPY and ADD: what is copied where, the digest of it, and the copying itself.
//!
//! Three steps, so that the cache can be asked between them: [`Plan::make`] reads names and metadata of the sources,
//! [`Plan::digest`] their content, [`Plan::apply`] writes an upper directory. Paths on both sides are walked in a
//! [`LayerStack`], so a link in an image or in the context cannot lead out of it.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::BuildError;
use super::ignore::Ignore;
use super::pattern::Pattern;
use crate::digest::{Digest, Hasher};
use crate::limits::Limits;
use crate::stack::{DirNode, LayerStack, Node};
use crate::unpack::{self, Parents, TarReader, archive_decoder};

/// Where files come from.
pub(super) struct Origin<'a> {
    pub tree: &'a LayerStack,
    pub ignore: &'a Ignore,
    /// What an error calls it.
    pub name: &'a str,
    /// Files of another image keep their owners; those of the context have root's.
    pub keep_owner: bool,
}

impl Origin<'_> {
    /// True if `node`, whose path is `path`, is ignored, with all that may be below it.
    fn hides(&self, path: &Path, node: &Node) -> bool {
        // An ignored directory may hold exceptions.
        self.ignore.ignores(path) && !matches!(node, Node::Dir(_) if self.ignore.has_exceptions())
    }
}

/// How files arrive.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rights {
    pub owner: Option<(u32, u32)>,
    /// For files and directories alike.
    pub mode: Option<u32>,
}

/// What an instruction names as its sources, with variables put in.
#[derive(Debug)]
pub(super) struct Sources {
    /// Paths and patterns.
    pub paths: Vec<String>,
    /// Names and contents of here-documents.
    pub inline: Vec<(String, Vec<u8>)>,
    /// When these were written.
    pub inline_time: SystemTime,
    /// Names and places of downloads.
    pub downloads: Vec<(String, PathBuf)>,
    /// ADD: archives are extracted.
    pub extract: bool,
}

impl Default for Sources {
    fn default() -> Self {
        let (paths, inline, downloads) = (Vec::new(), Vec::new(), Vec::new());
        Self { paths, inline, inline_time: SystemTime::UNIX_EPOCH, downloads, extract: false }
    }
}

/// What an instruction copies, sources first come first.
pub(super) struct Plan {
    line: usize,
    rights: Rights,
    items: Vec<Item>,
}

struct Item {
    /// Relative to the image's root, as far as possible free of links.
    dest: PathBuf,
    what: What,
    attributes: Attributes,
}

/// What a file or directory is given.
#[derive(Debug, Clone, Copy)]
struct Attributes {
    mode: u32,
    owner: (u32, u32),
    /// When it was modified.
    time: SystemTime,
}

impl Attributes {
    /// Those of a directory that nothing describes.
    fn implied(owner: (u32, u32)) -> Self {
        Self { mode: 0o755, owner, time: SystemTime::UNIX_EPOCH }
    }

    /// Those that a file or directory has.
    fn of(meta: &fs::Metadata) -> Self {
        // Whole seconds, which are what a layer's archive has.
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(meta.mtime().max(0) as u64);
        Self { mode: meta.mode() & 0o7777, owner: (meta.uid(), meta.gid()), time }
    }
}

enum What {
    /// Made if it is not there. The uppermost one's metadata count only then; those of the `nested` ones always.
    Dir {
        nested: bool,
    },
    File(PathBuf),
    Inline(Vec<u8>),
    Symlink(PathBuf),
    /// To be extracted into `dest`.
    Archive(PathBuf),
}

impl What {
    /// Tells the kinds apart in a digest.
    fn tag(&self) -> u8 {
        match self {
            Self::Dir { nested: false } => b'd',
            Self::Dir { nested: true } => b'n',
            Self::File(_) => b'f',
            Self::Inline(_) => b'i',
            Self::Symlink(_) => b'l',
            Self::Archive(_) => b'a',
        }
    }
}

impl Plan {
    /// Finds the sources and where each goes. `dest` is absolute.
    pub fn make(
        line: usize,
        from: &Origin<'_>,
        to: &LayerStack,
        sources: Sources,
        dest: &str,
        rights: Rights,
    ) -> Result<Self, BuildError> {
        let mut plan = Self { line, rights, items: Vec::new() };
        let Sources { paths, inline, inline_time, downloads, extract } = sources;
        let mut found = Vec::new();
        for source in &paths {
            found.push((source, plan.sources(from, source)?));
        }
        let special = paths.iter().any(|source| Pattern::is_special(source));
        let found_count: usize = found.iter().map(|(_, matches)| matches.len()).sum();
        let several = found_count + inline.len() + downloads.len() > 1;
        let names_dir = dest.ends_with('/') || dest.ends_with("/.");
        if several && !names_dir && !special {
            return Err(plan.wrong(format!(
                "with several sources the destination must be a directory and end in a slash, not `{dest}`"
            )));
        }
        let walk = to.walk(Path::new(dest), true).map_err(|e| plan.walk_error(Path::new(dest), e))?;
        let dest = walk.resolved.join(&walk.missing);
        let is_dir = walk.missing.as_os_str().is_empty() && matches!(walk.node, Node::Dir(_));
        let into_dir = names_dir || is_dir || several;
        for (source, matches) in found {
            let mut is_there = false;
            for (path, node) in matches {
                is_there |= plan.source(from, &path, &node, &dest, into_dir, extract)?;
            }
            if !is_there {
                return Err(plan.wrong(format!("`{source}` is not in {} (or is ignored by .dockerignore)", from.name)));
            }
        }
        for (name, content) in inline {
            let dest = if into_dir { dest.join(name) } else { dest.clone() };
            let attributes = Attributes {
                mode: rights.mode.unwrap_or(0o644),
                owner: rights.owner.unwrap_or((0, 0)),
                time: inline_time,
            };
            plan.items.push(Item { dest, what: What::Inline(content), attributes });
        }
        for (name, file) in downloads {
            let dest = if into_dir { dest.join(name) } else { dest.clone() };
            let attributes = Attributes {
                mode: rights.mode.unwrap_or(0o600),
                owner: rights.owner.unwrap_or((0, 0)),
                time: SystemTime::UNIX_EPOCH,
            };
            plan.items.push(Item { dest, what: What::File(file), attributes });
        }
        Ok(plan)
    }

    /// A plan that only makes a directory (WORKDIR), and the parents it lacks, for `owner`.
    pub fn directory(line: usize, dest: &Path, owner: (u32, u32)) -> Self {
        let attributes = Attributes::implied(owner);
        let item = Item { dest: dest.to_owned(), what: What::Dir { nested: false }, attributes };
        Self { line, rights: Rights::default(), items: vec![item] }
    }

    /// What `source` names, a path or a pattern.
    fn sources(&self, from: &Origin<'_>, source: &str) -> Result<Vec<(PathBuf, Node)>, BuildError> {
        let clean = clean(Path::new(source));
        let failed = |e: io::Error| self.io("look at", Path::new(source))(e);
        if !Pattern::is_special(source) {
            let walk = match from.tree.walk(&clean, true) {
                Ok(walk) => walk,
                Err(e) if e.kind() == io::ErrorKind::NotADirectory => return Ok(Vec::new()),
                Err(e) => return Err(failed(e)),
            };
            let there = walk.missing.as_os_str().is_empty() && !from.hides(&walk.resolved, &walk.node);
            // The name that was asked for counts, even when it is a link to another.
            return Ok(if there { vec![(clean, walk.node)] } else { Vec::new() });
        }
        let mut found = vec![(PathBuf::new(), from.tree.get(Path::new(""), true).map_err(failed)?)];
        for part in clean.components() {
            let text = part.as_os_str().to_string_lossy();
            let pattern = Pattern::new(&text).map_err(|e| self.wrong(e))?;
            let mut next = Vec::new();
            for (path, node) in found {
                let Some(Node::Dir(dir)) = node else { continue };
                for (name, _) in dir.entries().map_err(failed)? {
                    if name.to_str().is_some_and(|name| pattern.matches(name)) {
                        let path = path.join(name);
                        let node = from.tree.get(&path, true).map_err(failed)?;
                        next.push((path, node));
                    }
                }
            }
            found = next;
        }
        let seen = found.into_iter().filter_map(|(path, node)| node.map(|node| (path, node)));
        Ok(seen.filter(|(path, node)| !from.hides(path, node)).collect())
    }

    /// One source, whose path is `path`. False if it turns out to be ignored.
    fn source(
        &mut self,
        from: &Origin<'_>,
        path: &Path,
        node: &Node,
        dest: &Path,
        into_dir: bool,
        extract: bool,
    ) -> Result<bool, BuildError> {
        match node {
            // A directory's content is copied, not the directory.
            Node::Dir(dir) => return self.dir(from, path, dir, dest, false),
            Node::File(file) if extract && is_archive(file) => {
                let what = What::Archive(file.clone());
                self.items.push(Item { dest: dest.to_owned(), what, attributes: Attributes::implied((0, 0)) });
            }
            node => {
                let name = path.file_name().filter(|_| into_dir).unwrap_or_default();
                // Joining an empty name would add a slash.
                let dest = if name.is_empty() { dest.to_owned() } else { dest.join(name) };
                self.leaf(path, node, dest, from.keep_owner)?;
            }
        }
        Ok(true)
    }

    /// `dir`, whose path in the source tree is `path`, and everything below it. An ignored directory is there only for what
    /// was brought back: false if that is nothing.
    fn dir(
        &mut self,
        from: &Origin<'_>,
        path: &Path,
        dir: &DirNode,
        dest: &Path,
        nested: bool,
    ) -> Result<bool, BuildError> {
        let before = self.items.len();
        let meta = dir.metadata().map_err(self.io("look at", path))?;
        let attributes = self.attributes(&meta, from.keep_owner);
        self.items.push(Item { dest: dest.to_owned(), what: What::Dir { nested }, attributes });
        self.tree(from, path, dir, dest)?;
        let is_wanted = self.items.len() > before + 1 || !from.ignore.ignores(path);
        if !is_wanted {
            self.items.pop();
        }
        Ok(is_wanted)
    }

    /// Everything below `dir`, whose path in the source tree is `path`.
    fn tree(&mut self, from: &Origin<'_>, path: &Path, dir: &DirNode, dest: &Path) -> Result<(), BuildError> {
        for (name, node) in dir.entries().map_err(self.io("list", path))? {
            let (path, dest) = (path.join(&name), dest.join(&name));
            match node {
                node if from.hides(&path, &node) => {}
                Node::Dir(dir) => drop(self.dir(from, &path, &dir, &dest, true)?),
                node => self.leaf(&path, &node, dest, from.keep_owner)?,
            }
        }
        Ok(())
    }

    fn leaf(&mut self, path: &Path, node: &Node, dest: PathBuf, keep_owner: bool) -> Result<(), BuildError> {
        let meta = node.metadata().map_err(self.io("look at", path))?;
        let attributes = self.attributes(&meta, keep_owner);
        let what = match node {
            Node::File(file) => What::File(file.clone()),
            Node::Symlink { target, .. } => What::Symlink(target.clone()),
            _ => return Err(self.wrong(format!("`{}` is neither a file, a directory nor a link", path.display()))),
        };
        self.items.push(Item { dest, what, attributes });
        Ok(())
    }

    fn attributes(&self, meta: &fs::Metadata, keep_owner: bool) -> Attributes {
        let own = Attributes::of(meta);
        let owner = if keep_owner { own.owner } else { (0, 0) };
        Attributes { mode: self.rights.mode.unwrap_or(own.mode), owner: self.rights.owner.unwrap_or(owner), ..own }
    }

    /// A digest of all that the result depends on, except times: those of a checkout say nothing. Reads every file.
    pub fn digest(&self) -> Result<Digest, BuildError> {
        let mut all = Hasher::default();
        let mut add = |bytes: &[u8]| {
            all.update(&(bytes.len() as u64).to_le_bytes());
            all.update(bytes);
        };
        // Of the parents that are missing.
        add(format!("{:?}", self.rights.owner).as_bytes());
        for item in &self.items {
            add(item.dest.as_os_str().as_bytes());
            let Attributes { mode, owner, .. } = item.attributes;
            add(format!("{mode:o} {}:{}", owner.0, owner.1).as_bytes());
            // An archive to extract is not the file it is in.
            add(&[item.what.tag()]);
            match &item.what {
                What::Dir { .. } => {}
                What::Symlink(target) => add(target.as_os_str().as_bytes()),
                What::Inline(content) => add(content),
                What::File(path) | What::Archive(path) => {
                    let mut file = File::open(path).map_err(self.io("open", path))?;
                    let mut hasher = Hasher::default();
                    let mut buffer = vec![0; 128 << 10];
                    loop {
                        let n = file.read(&mut buffer).map_err(self.io("read", path))?;
                        if n == 0 {
                            break;
                        }
                        hasher.update(&buffer[..n]);
                    }
                    add(hasher.finish().to_string().as_bytes());
                    for (name, value) in capability(path) {
                        add(name.as_bytes());
                        add(&value);
                    }
                }
            }
        }
        Ok(all.finish())
    }

    /// Writes what the plan says into `upper`, to be laid over `below` (top first). New files are dated `epoch` if that is
    /// given, in seconds since 1970, and else as their sources.
    pub fn apply(
        &self,
        upper: &Path,
        below: &[PathBuf],
        epoch: Option<i64>,
        limits: &Limits,
    ) -> Result<(), BuildError> {
        let mut writer = Writer {
            plan: self,
            upper,
            stack: LayerStack::new([&[upper.to_owned()], below].concat()),
            parents: HashMap::new(),
            dir_times: HashMap::new(),
            time: epoch.map(|seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.max(0) as u64)),
        };
        for item in &self.items {
            writer.item(item, limits)?;
        }
        writer.date_dirs()
    }

    fn walk_error(&self, dest: &Path, error: io::Error) -> BuildError {
        match error.kind() {
            io::ErrorKind::NotADirectory => self.wrong(format!(
                "`{}` leads through something that is no directory",
                Path::new("/").join(dest).display()
            )),
            _ => self.io("look at", dest)(error),
        }
    }

    fn wrong(&self, message: String) -> BuildError {
        BuildError::Copy { line: self.line, message }
    }

    fn io(&self, doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> BuildError + use<> {
        let (line, path) = (self.line, path.to_owned());
        move |source| BuildError::Io { line, doing, path, source }
    }
}

/// Writes into an upper directory, as overlayfs would when told to in the merged tree.
struct Writer<'a> {
    plan: &'a Plan,
    upper: &'a Path,
    /// The upper directory on top of the image.
    stack: LayerStack,
    /// Directories that exist in `upper`, by the path they were asked for.
    parents: HashMap<PathBuf, PathBuf>,
    /// Times to set at the end: each entry made in a directory changes them.
    dir_times: HashMap<PathBuf, SystemTime>,
    /// The date of all that is new, in place of its own.
    time: Option<SystemTime>,
}

impl Writer<'_> {
    fn item(&mut self, item: &Item, limits: &Limits) -> Result<(), BuildError> {
        let attributes = self.dated(item.attributes);
        if let What::Dir { nested } = item.what {
            let path = self.dir(&item.dest, attributes)?;
            return if nested { self.describe(path, attributes) } else { Ok(()) };
        }
        if let What::Archive(archive) = &item.what {
            let dir = self.dir(&item.dest, attributes)?;
            return self.extract(archive, &item.dest, &dir, limits);
        }
        let parent = item.dest.parent().unwrap_or(Path::new(""));
        let name =
            item.dest.file_name().ok_or_else(|| self.plan.wrong("the destination of a file is the root".to_owned()))?;
        let owner = self.plan.rights.owner.unwrap_or((0, 0));
        let parent = self.dir(parent, self.dated(Attributes::implied(owner)))?;
        let path = parent.join(name);
        let io = |doing| self.plan.io(doing, &path);
        let below = self.stack.get(path.strip_prefix(self.upper).unwrap_or(&path), false).map_err(io("look at"))?;
        if matches!(below, Some(Node::Dir(_))) {
            return Err(self.plan.wrong(format!("cannot copy over the directory `/{}`", item.dest.display())));
        }
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(io("replace")(e)),
            _ => {}
        }
        let mut capabilities = Vec::new();
        match &item.what {
            What::Symlink(target) => {
                symlink(target, &path).map_err(io("link"))?;
                lchown(&path, Some(attributes.owner.0), Some(attributes.owner.1)).map_err(io("own"))?;
                let since = attributes.time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
                let time = rustix::fs::Timespec { tv_sec: since as i64, tv_nsec: 0 };
                let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
                rustix::fs::utimensat(rustix::fs::CWD, &path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
                    .map_err(|e| io("date")(e.into()))?;
                // The link may be what a path that was looked up before leads through.
                self.parents.clear();
                return Ok(());
            }
            What::File(source) => {
                let mut source_file = File::open(source).map_err(self.plan.io("open", source))?;
                let mut file = self.create(&path)?;
                io::copy(&mut source_file, &mut file).map_err(io("write"))?;
                capabilities = capability(source);
            }
            What::Inline(content) => {
                let mut file = self.create(&path)?;
                io::Write::write_all(&mut file, content).map_err(io("write"))?;
            }
            What::Dir { .. } | What::Archive(_) => {}
        }
        chown(&path, Some(attributes.owner.0), Some(attributes.owner.1)).map_err(io("own"))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(attributes.mode)).map_err(io("set the mode of"))?;
        for (name, value) in capabilities {
            rustix::fs::setxattr(&path, name, &value, rustix::fs::XattrFlags::empty())
                .map_err(|e| io("set attributes of")(e.into()))?;
        }
        File::open(&path).and_then(|file| file.set_modified(attributes.time)).map_err(io("date"))
    }

    fn dated(&self, own: Attributes) -> Attributes {
        Attributes { time: self.time.unwrap_or(own.time), ..own }
    }

    fn create(&self, path: &Path) -> Result<File, BuildError> {
        let mut options = File::options();
        options.write(true).create_new(true).mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32);
        options.open(path).map_err(self.plan.io("make", path))
    }

    /// The directory `dest` in the upper directory, made where it is missing in the image with these attributes.
    fn dir(&mut self, dest: &Path, attributes: Attributes) -> Result<PathBuf, BuildError> {
        if let Some(known) = self.parents.get(dest) {
            return Ok(known.clone());
        }
        let walk = self.stack.walk(dest, true).map_err(|e| self.plan.walk_error(dest, e))?;
        if !matches!(walk.node, Node::Dir(_)) {
            return Err(self.plan.wrong(format!("cannot copy into `/{}`: it is no directory", dest.display())));
        }
        // What exists in the merged tree gets a copy of itself in the upper directory, as overlayfs does ("copy up").
        let mut path = self.upper.to_owned();
        let mut resolved = PathBuf::new();
        for part in walk.resolved.components() {
            path.push(part);
            resolved.push(part);
            if fs::symlink_metadata(&path).is_ok() {
                continue;
            }
            let Some(node) = self.stack.get(&resolved, false).map_err(self.plan.io("look at", &resolved))? else {
                break;
            };
            let meta = node.metadata().map_err(self.plan.io("look at", &resolved))?;
            self.make(path.clone(), Attributes::of(&meta))?;
        }
        let missing: Vec<_> = walk.missing.components().collect();
        for (i, part) in missing.iter().enumerate() {
            path.push(part);
            // Parents that the instruction only implies are ordinary directories.
            let is_last = i + 1 == missing.len();
            let implied = self.dated(Attributes::implied(attributes.owner));
            self.make(path.clone(), if is_last { attributes } else { implied })?;
        }
        self.parents.insert(dest.to_owned(), path.clone());
        Ok(path)
    }

    fn make(&mut self, path: PathBuf, attributes: Attributes) -> Result<(), BuildError> {
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(self.plan.io("make", &path))?;
        self.describe(path, attributes)
    }

    /// Gives a directory of the upper one these attributes.
    fn describe(&mut self, path: PathBuf, Attributes { mode, owner, time }: Attributes) -> Result<(), BuildError> {
        chown(&path, Some(owner.0), Some(owner.1)).map_err(self.plan.io("own", &path))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(self.plan.io("set the mode of", &path))?;
        self.dir_times.insert(path, time);
        Ok(())
    }

    /// Sets the directories' times. One that an archive replaced by something else is passed over, and no link followed: it
    /// would lead out of the image.
    fn date_dirs(&self) -> Result<(), BuildError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let upper = rustix::fs::open(self.upper, flags, Mode::empty());
        let upper = upper.map_err(|e| self.plan.io("open", self.upper)(e.into()))?;
        for (path, time) in &self.dir_times {
            let inner = path.strip_prefix(self.upper).unwrap_or(path);
            match rustix::fs::openat2(&upper, inner, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(()),
                opened => opened.map_err(io::Error::from).and_then(|dir| File::from(dir).set_modified(*time)),
            }
            .map_err(self.plan.io("date", path))?;
        }
        Ok(())
    }

    fn extract(&mut self, archive: &Path, dest: &Path, dir: &Path, limits: &Limits) -> Result<(), BuildError> {
        let file = File::open(archive).map_err(self.plan.io("open", archive))?;
        let source = io::BufReader::with_capacity(128 << 10, file);
        let line = self.plan.line;
        unpack::extract(source, dir, limits, &mut Image { writer: self, dest })
            .map_err(|source| BuildError::Archive { line, path: archive.display().to_string(), source })?;
        self.parents.clear();
        Ok(())
    }
}

/// The image as an archive is extracted into it, at `dest`: a directory that is there keeps what it has unless the archive
/// describes it, and a link to one is one.
struct Image<'a, 'b> {
    writer: &'a mut Writer<'b>,
    dest: &'a Path,
}

impl Parents for Image<'_, '_> {
    fn make(&mut self, dir: &Path) -> io::Result<PathBuf> {
        // Any entry may have replaced what a path led through.
        self.writer.parents.clear();
        let implied = self.writer.dated(Attributes::implied((0, 0)));
        self.writer.dir(&self.dest.join(dir), implied).map_err(io::Error::other)
    }

    fn described(&mut self, dir: &Path, name: &OsStr) {
        if let Ok(parent) = self.make(dir) {
            self.writer.dir_times.remove(&parent.join(name));
        }
    }
}

/// A relative path without `.` and `..`; what climbs ends at the root.
pub(super) fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => drop(clean.pop()),
            _ => {}
        }
    }
    clean
}

/// The file's capabilities, which are content.
fn capability(path: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let mut value = [0; 64];
    match rustix::fs::lgetxattr(path, "security.capability", &mut value) {
        Ok(len) => vec![("security.capability", value[..len].to_vec())],
        Err(_) => Vec::new(),
    }
}

/// True if the file is a tar archive, compressed or not, as far as its first header tells.
fn is_archive(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    match archive_decoder(io::BufReader::new(file)) {
        Ok(decoded) => matches!(TarReader::new(decoded).next(), Ok(Some(_))),
        Err(_) => false,
    }
}

//! `RUN --mount`: what a command sees that the image does not keep.
//!
//! A bind mount is a copy of what it shows: the context and other stages are trees of layers and ignore rules, not
//! directories one could mount, and whatever the command writes there is to be forgotten anyway. A cache is a
//! directory of the store, locked while a command uses it. Mount points that the image lacks leave no trace in the layer.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::FlockOperation;

use super::BuildError;
use super::settings::join_workdir;
use crate::digest::Digest;
use crate::stack::{LayerStack, Node};
use crate::store::session::TempPath;
use crate::store::{Inner, StoreError};

/// A flag as written: its values may hold variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flag {
    /// A stage or an image. Final.
    pub from: Option<String>,
    /// All others, in the order given.
    values: Vec<(String, String)>,
}

/// A flag with its variables put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    pub kind: Kind,
    /// Absolute.
    pub target: String,
    pub from: Option<String>,
    /// What `from`, or the context, gives.
    pub source: String,
    pub readonly: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Bind,
    Cache { id: String, sharing: Sharing, mode: u32, owner: (u32, u32) },
    Tmpfs { size_bytes: Option<u64> },
    Secret { id: String, required: bool, mode: u32, owner: (u32, u32), env: Option<String>, is_file: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sharing {
    Shared,
    Private,
    Locked,
}

impl Flag {
    /// Reads `type=cache,target=/x`. What holds no variable is checked at once.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut flag = Flag { from: None, values: Vec::new() };
        for part in text.split(',') {
            let (key, value) = part.trim().trim_matches('"').split_once('=').unwrap_or((part.trim(), "true"));
            match key.to_ascii_lowercase().as_str() {
                "from" if value.contains('$') => {
                    return Err("variables are not supported in from: name a stage `FROM $IMAGE AS name`".to_owned());
                }
                "from" => flag.from = Some(value.to_owned()),
                key => flag.values.push((key.to_owned(), value.to_owned())),
            }
        }
        if !text.contains('$') {
            flag.read("/", &|value| Ok(value.to_owned()))?;
        }
        Ok(flag)
    }

    /// Puts variables in; a relative target starts at `cwd`.
    pub fn read(&self, cwd: &str, expand: &dyn Fn(&str) -> Result<String, String>) -> Result<Mount, String> {
        let mut values = BTreeMap::new();
        for (key, value) in &self.values {
            let key = match key.as_str() {
                "dst" | "destination" => "target",
                "src" => "source",
                "ro" => "readonly",
                "rw" => "readwrite",
                other => other,
            };
            values.insert(key.to_owned(), expand(value)?);
        }
        let kind = values.remove("type").unwrap_or_else(|| "bind".to_owned());
        let mut take = |key: &str| values.remove(key);
        let flag = |value: Option<String>, default: bool| match value.as_deref() {
            None => Ok(default),
            Some("true" | "1" | "") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(other) => Err(format!("`{other}` is neither true nor false")),
        };
        let octal = |value: Option<String>, default: u32| match value {
            None => Ok(default),
            Some(text) => u32::from_str_radix(&text, 8).map_err(|_| format!("invalid mode `{text}`")),
        };
        let number = |value: Option<String>| match value {
            None => Ok(0),
            Some(text) => text.parse().map_err(|_| format!("invalid id `{text}`: a number is expected")),
        };
        let target = take("target");
        let source = take("source");
        let (readonly, readwrite) = (take("readonly"), take("readwrite"));
        let writable = match (&readonly, &readwrite) {
            (_, Some(_)) => flag(readwrite, true)?,
            (Some(_), None) => !flag(readonly, true)?,
            (None, None) => kind != "bind",
        };
        let mount = |kind: Kind, target: Option<String>, source: Option<String>| {
            let target = target.filter(|path| !path.is_empty()).ok_or("--mount needs a target")?;
            let target = join_workdir(cwd, &target);
            match target.as_str() {
                "/" => Err("the target of --mount cannot be /".to_owned()),
                _ => Ok(Mount {
                    kind,
                    target,
                    from: self.from.clone(),
                    source: source.unwrap_or_else(|| "/".to_owned()),
                    readonly: !writable,
                }),
            }
        };
        let read = match kind.as_str() {
            "bind" => mount(Kind::Bind, target, source)?,
            "cache" => {
                let id = take("id").filter(|id| !id.is_empty()).or_else(|| target.clone()).unwrap_or_default();
                let sharing = match take("sharing").as_deref() {
                    None | Some("shared") => Sharing::Shared,
                    Some("private") => Sharing::Private,
                    Some("locked") => Sharing::Locked,
                    Some(other) => return Err(format!("unknown sharing `{other}`: shared, private or locked")),
                };
                let mode = octal(take("mode"), 0o755)?;
                let owner = (number(take("uid"))?, number(take("gid"))?);
                mount(Kind::Cache { id, sharing, mode, owner }, target, source)?
            }
            "tmpfs" => {
                let size_bytes = take("size").map(|text| size(&text)).transpose()?;
                mount(Kind::Tmpfs { size_bytes }, target, None)?
            }
            "secret" => {
                let id = take("id").filter(|id| !id.is_empty());
                let id = id.or_else(|| target.as_deref().and_then(|t| t.rsplit('/').next()).map(str::to_owned));
                let id = id.ok_or("--mount=type=secret needs an id or a target")?;
                let env = take("env").filter(|name| !name.is_empty());
                // With a variable the file is there only if it was asked for.
                let is_file = env.is_none() || target.is_some();
                let target = target.unwrap_or_else(|| format!("/run/secrets/{id}"));
                let required = flag(take("required"), false)?;
                let mode = octal(take("mode"), 0o400)?;
                let owner = (number(take("uid"))?, number(take("gid"))?);
                mount(Kind::Secret { id, required, mode, owner, env, is_file }, Some(target), None)?
            }
            other => return Err(format!("--mount=type={other} is not supported: bind, cache, tmpfs or secret")),
        };
        match values.keys().next() {
            Some(unknown) => Err(format!("--mount=type={kind} does not know `{unknown}`")),
            None => Ok(read),
        }
    }
}

/// `64m`, or bytes.
fn size(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let (digits, shift) = match lower.strip_suffix(['k', 'm', 'g']) {
        Some(digits) => (
            digits,
            [("k", 10), ("m", 20), ("g", 30)]
                .iter()
                .find(|(unit, _)| lower.ends_with(unit))
                .map_or(0, |(_, shift)| *shift),
        ),
        None => (lower.as_str(), 0),
    };
    let bytes = digits.parse::<u64>().ok().and_then(|n| n.checked_mul(1 << shift));
    bytes.ok_or_else(|| format!("invalid size `{text}`"))
}

/// A cache directory in a command's hands.
pub(super) struct Cache {
    /// Its place in the store; `None` if it is this command's alone.
    place: Option<PathBuf>,
    /// What is to be the cache, while nobody has used it before.
    fresh: Option<TempPath>,
    _lock: File,
}

impl Cache {
    /// The directory to be filled with what the cache begins with, if it is new.
    pub fn to_fill(&self) -> Option<&Path> {
        self.fresh.as_ref().map(TempPath::as_path)
    }

    /// The directory that the command is to see. A new one is put into its place only now that it is filled, so that a build
    /// which is cut off leaves none that only looks like it; if another build was faster, it is that one's.
    pub fn settle(&mut self) -> Result<PathBuf, StoreError> {
        let Some(place) = self.place.clone() else {
            return Ok(self.to_fill().expect("a cache without a place is fresh").to_owned());
        };
        if let Some(fresh) = self.fresh.take() {
            match fresh.rename_new(&place) {
                Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
                    return Err(StoreError::io("rename into", &place)(e));
                }
                _ => {}
            }
        }
        Ok(place)
    }
}

/// The directory of the cache `id`; waits while another build has it to itself.
pub(super) async fn cache(
    inner: &Inner,
    id: &str,
    sharing: Sharing,
    mode: u32,
    owner: (u32, u32),
) -> Result<Cache, StoreError> {
    let hex = Digest::of(id.as_bytes()).hex();
    let dir = inner.layout.root.join("mounts");
    fs::create_dir_all(&dir).map_err(StoreError::io("make", &dir))?;
    let path = dir.join(format!("{hex}.lock"));
    // Its time says when the cache was last used.
    let lock = File::create(&path).map_err(StoreError::io("open", &path))?;
    let operation = match sharing {
        Sharing::Shared => FlockOperation::NonBlockingLockShared,
        Sharing::Private | Sharing::Locked => FlockOperation::NonBlockingLockExclusive,
    };
    loop {
        match rustix::fs::flock(&lock, operation) {
            Ok(()) => break,
            Err(rustix::io::Errno::WOULDBLOCK) if sharing == Sharing::Private => {
                return Ok(Cache { place: None, fresh: Some(fresh(inner, mode, owner)?), _lock: lock });
            }
            Err(rustix::io::Errno::WOULDBLOCK) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(e) => return Err(StoreError::io("lock", &path)(e.into())),
        }
    }
    let place = dir.join(&hex);
    let fresh = if place.exists() { None } else { Some(fresh(inner, mode, owner)?) };
    Ok(Cache { place: Some(place), fresh, _lock: lock })
}

/// A directory that is no cache yet.
fn fresh(inner: &Inner, mode: u32, owner: (u32, u32)) -> Result<TempPath, StoreError> {
    let dir = inner.session.dir("cache")?;
    let path = dir.as_path();
    chown(path, Some(owner.0), Some(owner.1)).map_err(StoreError::io("own", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(StoreError::io("set the mode of", path))?;
    Ok(dir)
}

/// A secret as a file that only its mount shows.
pub(super) fn secret(inner: &Inner, value: &[u8], mode: u32, owner: (u32, u32)) -> Result<TempPath, StoreError> {
    let file = inner.session.path("secret");
    let path = file.as_path();
    let write = || -> std::io::Result<()> {
        use std::os::unix::fs::OpenOptionsExt;
        let mut made = File::options().write(true).create_new(true).mode(0o600).open(path)?;
        std::io::Write::write_all(&mut made, value)?;
        chown(path, Some(owner.0), Some(owner.1))?;
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    };
    write().map_err(StoreError::io("write", path))?;
    Ok(file)
}

/// Mount points that the image has not: the runtime makes them in the upper directory.
pub(super) struct Stubs(Vec<PathBuf>);

impl Stubs {
    /// Those of `targets` in the image `tree`.
    pub fn find(tree: &LayerStack, targets: impl Iterator<Item = String>) -> Self {
        let missing = |target: String| {
            let walk = tree.walk(Path::new(&target), true).ok()?;
            Some((walk.resolved, walk.missing))
        };
        let mut stubs = Vec::new();
        for (resolved, missing) in targets.filter_map(missing) {
            let mut path = resolved;
            for part in missing.components() {
                path.push(part);
                stubs.push(path.clone());
            }
        }
        // Deepest first.
        stubs.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
        stubs.dedup();
        Self(stubs)
    }

    /// Takes away what is still empty, and directories that were copied up for nothing else.
    pub fn remove(&self, tree: &LayerStack, upper: &Path) -> Result<(), BuildError> {
        for stub in &self.0 {
            let path = upper.join(stub);
            let Ok(meta) = fs::symlink_metadata(&path) else { continue };
            let removed = match meta.is_dir() {
                true => fs::remove_dir(&path).is_ok(),
                false => meta.is_file() && meta.len() == 0 && fs::remove_file(&path).is_ok(),
            };
            let mut parent = stub.parent();
            while let Some(dir) = parent.filter(|dir| removed && !dir.as_os_str().is_empty()) {
                if !is_untouched(tree, upper, dir) || fs::remove_dir(upper.join(dir)).is_err() {
                    break;
                }
                parent = dir.parent();
            }
        }
        Ok(())
    }
}

/// Whether the upper directory says of `dir` what the image says.
fn is_untouched(tree: &LayerStack, upper: &Path, dir: &Path) -> bool {
    let Ok(Some(Node::Dir(below))) = tree.get(dir, false) else { return false };
    let (Ok(below), Ok(above)) = (below.metadata(), fs::symlink_metadata(upper.join(dir))) else { return false };
    let rights = |meta: &fs::Metadata| (meta.mode(), meta.uid(), meta.gid());
    rights(&below) == rights(&above)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{ImageStore, StoreOptions};

    fn read(text: &str) -> Result<Mount, String> {
        Flag::parse(text)?.read("/app", &|value| Ok(value.replace("$x", "y")))
    }

    #[test]
    fn flags_are_read() {
        let cache = read("type=cache,target=cache/$x,sharing=locked,uid=7,mode=0700").expect("valid");
        let kind = Kind::Cache { id: "cache/y".into(), sharing: Sharing::Locked, mode: 0o700, owner: (7, 0) };
        assert_eq!((cache.kind, cache.target.as_str(), cache.readonly), (kind, "/app/cache/y", false));
        let bind = read("from=build,source=/out,dst=/in").expect("valid");
        assert_eq!(
            (bind.kind, bind.from.as_deref(), bind.source.as_str(), bind.readonly),
            (Kind::Bind, Some("build"), "/out", true)
        );
        assert!(!read("target=/x,rw").expect("valid").readonly);
        let Kind::Secret { id, required, env, is_file, .. } =
            read("type=secret,id=token,required").expect("valid").kind
        else {
            panic!()
        };
        assert_eq!((id.as_str(), required, env, is_file), ("token", true, None, true));
        assert_eq!(
            read("type=tmpfs,target=/t,size=2m").expect("valid").kind,
            Kind::Tmpfs { size_bytes: Some(2 << 20) }
        );
        for wrong in [
            "type=ssh",
            "type=cache",
            "type=bind",
            "target=/",
            "target=/x,colour=red",
            "type=cache,target=/x,sharing=no",
            "type=tmpfs,target=/x,size=big",
            "type=secret",
            "from=$x,target=/y",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn a_cache_is_there_once_it_was_filled() {
        let tmp = tempfile::tempdir().expect("tmp");
        let store = ImageStore::open(tmp.path(), StoreOptions::default()).expect("a store");
        let cache = || cache(&store.inner, "/cache", Sharing::Shared, 0o755, (0, 0));
        let cut_off = cache().await.expect("a cache");
        fs::write(cut_off.to_fill().expect("new").join("half"), "1").expect("file");
        drop(cut_off);

        let (mut first, mut second) = (cache().await.expect("a cache"), cache().await.expect("a cache"));
        assert_eq!(fs::read_dir(first.to_fill().expect("still new")).expect("dir").count(), 0);
        fs::write(first.to_fill().expect("new").join("of the first"), "1").expect("file");
        assert!(second.to_fill().is_some());
        let place = first.settle().expect("settled");
        assert_eq!(second.settle().expect("settled"), place);
        assert!(place.join("of the first").exists());
        assert!(cache().await.expect("a cache").to_fill().is_none());
    }
}

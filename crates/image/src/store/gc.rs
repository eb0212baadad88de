//! Garbage collection: everything that no reference and no caller keeps.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::SystemTime;

use super::error::StoreError;
use super::session::TempPath;
use super::{ImageStore, Inner, layers, read_json};
use crate::build::CachedStep;
use crate::digest::{ChainId, Digest, ImageId};

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GcReport {
    pub images: usize,
    pub layers: usize,
    pub blobs: usize,
    /// Bytes of the removed blobs and of the removed layers' archives.
    pub bytes: u64,
}

impl ImageStore {
    /// Removes images that no reference names, that no container runs from and that are not in `keep`, with the layers and
    /// blobs that only they use.
    ///
    /// [`StoreError::Busy`] while a pull, build or import is under way in any process. Blocking; the lock is held for
    /// milliseconds, the deletion takes longer.
    pub fn gc(&self, keep: &[ImageId]) -> Result<GcReport, StoreError> {
        let lock = self.inner.lock_exclusively()?;
        let mut ids: HashSet<ImageId> = keep.iter().copied().collect();
        ids.extend(self.inner.refs_on_disk()?.into_iter().map(|reference| reference.image));
        ids.extend(self.inner.images_in_use()?.unwrap_or_default());
        self.collect(lock, |id, _| ids.contains(&id), None)
    }

    /// Removes the images for which `stays`, told the id and when it was last used, is false, and then all that nothing
    /// refers to. Results of build steps stay if their image does, or they were used after `steps_since`.
    ///
    /// The order makes a crash harmless: first an image's record goes, by which it ceases to be, then what only it used.
    pub(super) fn collect(
        &self,
        lock: fs::File,
        stays: impl Fn(ImageId, Option<SystemTime>) -> bool,
        steps_since: Option<SystemTime>,
    ) -> Result<GcReport, StoreError> {
        let mut report = GcReport::default();
        let mut live = self.live(stays, &mut report)?;
        self.collect_steps(&mut live, steps_since)?;
        let mut graves = self.bury_layers(&live.chains, &mut report)?;
        if let Some(since) = steps_since {
            graves.extend(self.bury_mounts(since)?);
        }
        self.remove_blobs(&live.blobs, &mut report)?;
        drop(lock);
        drop(graves);
        Ok(report)
    }

    /// What is reachable. Removes the records of images that are not, and the references that lead to none.
    fn live(
        &self,
        stays: impl Fn(ImageId, Option<SystemTime>) -> bool,
        report: &mut GcReport,
    ) -> Result<Live, StoreError> {
        let inner = &*self.inner;
        let mut live = Live::default();
        let mut ids = HashSet::new();
        for id in inner.ids_on_disk()? {
            let record = inner.record(id)?;
            match record {
                Some(record) if stays(id, used_at(&inner.layout.image(id))) || !self.bury_record(id, &stays)? => {
                    live.blobs.extend([id.0, record.config.digest]);
                    live.blobs.extend(record.layers.iter().map(|layer| layer.blob.digest));
                    live.chains.extend(record.layers.iter().map(|layer| layer.chain));
                    ids.insert(id);
                }
                Some(_) => report.images += 1,
                None => {
                    remove(&inner.layout.image(id))?;
                    report.images += 1;
                }
            }
        }
        inner.index.write().unwrap_or_else(PoisonError::into_inner).images.retain(|id, _| ids.contains(id));
        for reference in inner.refs_on_disk()? {
            if ids.contains(&reference.image) {
                live.blobs.insert(reference.digest);
            } else {
                inner.index.write().unwrap_or_else(PoisonError::into_inner).refs.remove(&reference.reference);
                remove(&inner.layout.reference(&reference.reference))?;
            }
        }
        Ok(live)
    }

    /// Takes an image's record away; false, and it stays, if the image was used just now. Who marks an image as used
    /// learns by the record's absence that it is gone; so after the rename nobody can mark it any more, and a mark that
    /// came before is seen here.
    fn bury_record(
        &self,
        id: ImageId,
        stays: &impl Fn(ImageId, Option<SystemTime>) -> bool,
    ) -> Result<bool, StoreError> {
        let path = self.inner.layout.image(id);
        let grave = self.inner.session.path("record");
        fs::rename(&path, grave.as_path()).map_err(StoreError::io("remove", &path))?;
        if !stays(id, used_at(grave.as_path())) {
            return Ok(true);
        }
        grave.rename(&path).map_err(StoreError::io("put back", &path))?;
        Ok(false)
    }

    /// Takes unreachable layers out of the store. They are deleted when the returned paths are dropped.
    fn bury_layers(&self, live: &HashSet<ChainId>, report: &mut GcReport) -> Result<Vec<TempPath>, StoreError> {
        let inner = &*self.inner;
        let mut graves = Vec::new();
        for path in list(&inner.layout.root.join("layers"))? {
            let chain = name(&path).and_then(|hex| Digest::from_hex(hex).ok()).map(ChainId);
            if chain.is_some_and(|chain| live.contains(&chain)) {
                continue;
            }
            if let Some(chain) = chain {
                report.bytes += layers::find(&inner.layout, chain)?.map_or(0, |marker| marker.archive_bytes);
                remove(&inner.layout.short(chain))?;
            }
            let grave = inner.session.path("collected");
            fs::rename(&path, grave.as_path()).map_err(StoreError::io("remove", &path))?;
            graves.push(grave);
            report.layers += 1;
        }
        Ok(graves)
    }

    /// Takes the caches of commands away that were last used before `since`.
    fn bury_mounts(&self, since: SystemTime) -> Result<Vec<TempPath>, StoreError> {
        let mut graves = Vec::new();
        let dir = self.inner.layout.root.join("mounts");
        if !dir.exists() {
            return Ok(graves);
        }
        for lock in list(&dir)?.into_iter().filter(|path| path.extension().is_some_and(|ext| ext == "lock")) {
            if used_at(&lock).is_some_and(|at| at < since) {
                let (cache, grave) = (lock.with_extension(""), self.inner.session.path("collected"));
                match fs::rename(&cache, grave.as_path()) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(StoreError::io("remove", &cache)(e)),
                    _ => graves.push(grave),
                }
                remove(&lock)?;
            }
        }
        Ok(graves)
    }

    fn remove_blobs(&self, live: &HashSet<Digest>, report: &mut GcReport) -> Result<(), StoreError> {
        for path in list(&self.inner.layout.root.join("blobs/sha256"))? {
            if name(&path).and_then(|hex| Digest::from_hex(hex).ok()).is_some_and(|digest| live.contains(&digest)) {
                continue;
            }
            report.bytes += fs::metadata(&path).map_or(0, |meta| meta.len());
            remove(&path)?;
            report.blobs += 1;
        }
        Ok(())
    }

    /// Keeps what the results of build steps need that were used lately; removes the others.
    fn collect_steps(&self, live: &mut Live, since: Option<SystemTime>) -> Result<(), StoreError> {
        let mut steps = Vec::new();
        for path in list(&self.inner.layout.root.join("cache"))? {
            match read_json::<CachedStep>(&path)? {
                Some(step) => steps.push((path, step)),
                None => remove(&path)?,
            }
        }
        for (path, step) in &steps {
            if let (Some(since), Some(layer)) = (since, &step.layer)
                && used_at(path).is_some_and(|at| at >= since)
            {
                live.chains.insert(layer.chain);
                live.blobs.insert(layer.blob.digest);
            }
        }
        for (path, step) in steps {
            if step.layer.is_some_and(|layer| !live.chains.contains(&layer.chain)) {
                remove(&path)?;
            }
        }
        Ok(())
    }
}

impl Inner {
    /// Keeps every pull, build and import out while the file is open.
    pub(super) fn lock_exclusively(&self) -> Result<fs::File, StoreError> {
        let path = self.layout.lock();
        let lock = fs::File::create(&path).map_err(StoreError::io("open", &path))?;
        match rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(lock),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::Busy),
            Err(e) => Err(StoreError::io("lock", &path)(e.into())),
        }
    }
}

fn used_at(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

#[derive(Default)]
struct Live {
    chains: HashSet<ChainId>,
    blobs: HashSet<Digest>,
}

fn list(dir: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = fs::read_dir(dir).and_then(|entries| entries.map(|e| e.map(|e| e.path())).collect::<io::Result<_>>());
    entries.map_err(StoreError::io("list", dir))
}

fn name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove", path)(e)),
        _ => Ok(()),
    }
}

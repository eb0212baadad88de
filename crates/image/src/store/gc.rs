//! Garbage collection: everything that no reference and no caller keeps.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use super::error::StoreError;
use super::session::TempPath;
use super::{ImageStore, layers, read_json};
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
    /// Removes images that no reference names and that are not in `keep`, with the layers and blobs that only they use.
    ///
    /// `keep` is for images that tasks run from although their tag has moved on. [`StoreError::Busy`] while a pull, build or
    /// import is under way in any process. Blocking; the lock is held for milliseconds, the deletion takes longer.
    pub fn gc(&self, keep: &[ImageId]) -> Result<GcReport, StoreError> {
        let inner = &*self.inner;
        let path = inner.layout.lock();
        let lock = fs::File::create(&path).map_err(StoreError::io("open", &path))?;
        match rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(StoreError::Busy),
            Err(e) => return Err(StoreError::io("lock", &path)(e.into())),
        }
        let mut report = GcReport::default();
        let live = self.live(keep, &mut report)?;
        let graves = self.bury_layers(&live.chains, &mut report)?;
        self.remove_blobs(&live.blobs, &mut report)?;
        self.remove_cache(&live.chains)?;
        drop(lock);
        drop(graves);
        Ok(report)
    }

    /// What is reachable. Removes the records of images that are not.
    fn live(&self, keep: &[ImageId], report: &mut GcReport) -> Result<Live, StoreError> {
        let inner = &*self.inner;
        let mut ids: HashSet<ImageId> = keep.iter().copied().collect();
        let mut live = Live::default();
        for reference in inner.refs_on_disk()? {
            ids.insert(reference.image);
            live.blobs.insert(reference.digest);
        }
        for id in inner.ids_on_disk()? {
            match inner.record(id)? {
                Some(record) if ids.contains(&id) => {
                    live.blobs.extend([id.0, record.config.digest]);
                    live.blobs.extend(record.layers.iter().map(|layer| layer.blob.digest));
                    live.chains.extend(record.layers.iter().map(|layer| layer.chain));
                }
                _ => {
                    remove(&inner.layout.image(id))?;
                    inner.index.write().unwrap_or_else(PoisonError::into_inner).images.remove(&id);
                    report.images += 1;
                }
            }
        }
        Ok(live)
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

    fn remove_cache(&self, live: &HashSet<ChainId>) -> Result<(), StoreError> {
        for path in list(&self.inner.layout.root.join("cache"))? {
            if !read_json::<CachedStep>(&path)?.is_some_and(|step| step.layer.is_none_or(|l| live.contains(&l.chain))) {
                remove(&path)?;
            }
        }
        Ok(())
    }
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

//! The node's content store: blobs, unpacked layers, images and the names that lead to them.
//!
//! The disk is the truth and several processes may use it at once (the agent, `longshore image …`); the index in memory makes
//! the warm path cheap. A reference that is known costs one `stat`, which tells whether another process moved it.
//!
//! Order of writing makes crashes harmless: blobs and layers first (each renamed into place whole), then the image's
//! record, then the reference. What a crash leaves without a name is garbage, and [`ImageStore::gc`] collects it.

mod cleanup;
mod error;
mod files;
mod gc;
mod layout;
mod locks;

pub(crate) mod blobs;
pub(crate) mod layers;
pub(crate) mod record;
pub(crate) mod session;
pub(crate) mod writable;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::Semaphore;

pub use cleanup::{CleanupPolicy, Disk};
pub use error::StoreError;
pub(crate) use files::{read_json, write_json};
pub use gc::GcReport;
pub(crate) use layout::Layout;
pub use writable::Writable;

use crate::digest::{ChainId, Digest, ImageId};
use crate::image::Image;
use crate::limits::Limits;
use crate::manifest::Platform;
use crate::reference::ImageRef;
use locks::KeyedLocks;
use record::{Record, RefRecord};
use session::Session;

/// How a store works. `Default` is right for a node.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Bounds on what is pulled and unpacked.
    pub limits: Limits,
    /// Layers downloaded and unpacked at a time, over all pulls.
    pub parallel_layers: usize,
    /// How often a transient failure is tried again.
    pub retry: RetryPolicy,
    /// Which image of an index is taken.
    pub platform: Platform,
}

/// Retries of transient failures (connection, timeout, 429, 5xx).
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// Tries in all, at least 1.
    pub attempts: u32,
    /// Wait before the second try; doubles each time, up to 10 seconds.
    pub backoff: Duration,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            parallel_layers: 4,
            retry: RetryPolicy { attempts: 5, backoff: Duration::from_millis(250) },
            platform: Platform::host(),
        }
    }
}

/// One image as `longshore image ls` shows it.
#[derive(Debug, Clone)]
pub struct ImageSummary {
    pub image: Arc<Image>,
    /// The references that lead to it, sorted; with the digest each had in its registry.
    pub references: Vec<(String, Digest)>,
}

/// The store. A cheap handle.
#[derive(Clone)]
pub struct ImageStore {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub layout: Layout,
    pub session: Session,
    pub options: StoreOptions,
    pub chain_locks: KeyedLocks<ChainId>,
    pub blob_locks: KeyedLocks<Digest>,
    pub transfers: Semaphore,
    pub clients: crate::registry::Clients,
    index: RwLock<Index>,
    flush: Mutex<Flush>,
    flushed: Condvar,
}

#[derive(Default)]
struct Index {
    images: HashMap<ImageId, Arc<Image>>,
    refs: HashMap<String, KnownRef>,
}

struct KnownRef {
    record: RefRecord,
    path: PathBuf,
    stamp: Stamp,
}

/// Changes whenever the file is replaced.
#[derive(PartialEq, Eq, Clone, Copy)]
struct Stamp {
    inode: u64,
    modified: (i64, i64),
}

/// Layers that are waiting to be flushed to the disk.
#[derive(Default)]
struct Flush {
    pending: HashSet<ChainId>,
    running: bool,
}

/// Held while adding to the store; [`ImageStore::gc`] waits for none of these to be held.
pub(crate) struct Activity {
    _lock: fs::File,
}

impl ImageStore {
    /// Opens the store below `root` (`<data>/images`), making it if need be. Blocking: a few reads an image.
    pub fn open(root: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        let layout = Layout { root: root.to_owned() };
        fs::create_dir_all(root).map_err(StoreError::io("make", root))?;
        // Images hold set-uid programs: no user of the host may reach them by this path.
        fs::set_permissions(root, fs::Permissions::from_mode(0o700)).map_err(StoreError::io("protect", root))?;
        for dir in layout.dirs() {
            fs::create_dir_all(&dir).map_err(StoreError::io("make", &dir))?;
        }
        let empty = layout.empty_layer();
        fs::create_dir_all(&empty).map_err(StoreError::io("make", &empty))?;
        let session = Session::start(&layout.tmp())?;
        let unflushed = layers::recover(&layout, &session)?;
        let inner = Arc::new(Inner {
            layout,
            session,
            chain_locks: KeyedLocks::default(),
            blob_locks: KeyedLocks::default(),
            transfers: Semaphore::new(options.parallel_layers.max(1)),
            clients: crate::registry::Clients::default(),
            index: RwLock::default(),
            flush: Mutex::default(),
            flushed: Condvar::new(),
            options,
        });
        inner.reload()?;
        inner.flush_later(unflushed);
        Ok(Self { inner })
    }

    /// The image that `reference` (a tag or a digest) names, if it is here and unpacked. Takes microseconds.
    pub fn resolve(&self, reference: &str) -> Option<Arc<Image>> {
        self.resolve_ref(&reference.parse().ok()?)
    }

    /// As [`ImageStore::resolve`], for a reference that is parsed already.
    pub fn resolve_ref(&self, reference: &ImageRef) -> Option<Arc<Image>> {
        match self.inner.find_ref(reference.as_str()) {
            Ok(Some((_, image))) => return self.used(image),
            Ok(None) => {}
            Err(error) => tracing::warn!(%reference, %error, "cannot look up an image"),
        }
        // A digest names the same content under any repository.
        self.get(ImageId(reference.digest()?))
    }

    /// The image with this id, if it is here and unpacked.
    pub fn get(&self, id: ImageId) -> Option<Arc<Image>> {
        let image = self.inner.image(id).unwrap_or_else(|error| {
            tracing::warn!(%id, %error, "cannot load an image");
            None
        });
        self.used(image?)
    }

    /// The image, which from now on counts as used, unless another process has just removed it.
    fn used(&self, image: Arc<Image>) -> Option<Arc<Image>> {
        if self.inner.mark_used(image.id) {
            return Some(image);
        }
        self.inner.index_mut().images.remove(&image.id);
        None
    }

    /// Every image with its references, sorted by reference. Blocking: reads the references anew.
    pub fn list(&self) -> Result<Vec<ImageSummary>, StoreError> {
        self.inner.reload()?;
        let index = self.inner.index.read().unwrap_or_else(PoisonError::into_inner);
        let mut names: BTreeMap<ImageId, Vec<(String, Digest)>> = BTreeMap::new();
        for known in index.refs.values() {
            let name = (known.record.reference.clone(), known.record.digest);
            names.entry(known.record.image).or_default().push(name);
        }
        let summary = |image: &Arc<Image>| {
            let mut references = names.get(&image.id).cloned().unwrap_or_default();
            references.sort();
            ImageSummary { image: image.clone(), references }
        };
        let mut all: Vec<_> = index.images.values().map(summary).collect();
        // Nameless images last.
        all.sort_by_key(|s| (s.references.is_empty(), s.references.first().cloned(), s.image.id));
        Ok(all)
    }

    /// Lets `reference` name the image `id`, which must be here.
    pub fn tag(&self, reference: &ImageRef, id: ImageId) -> Result<(), StoreError> {
        if self.inner.image(id)?.is_none() {
            return Err(StoreError::NoImage(id.to_string()));
        }
        self.inner.put_ref(reference, id.0, id)
    }

    /// Waits until all that was pulled, built or imported so far would survive a power cut.
    pub async fn flush(&self) {
        let inner = self.inner.clone();
        let wait = move || {
            let mut flush = inner.flush_state();
            while flush.running {
                flush = inner.flushed.wait(flush).unwrap_or_else(PoisonError::into_inner);
            }
            Ok::<_, std::convert::Infallible>(())
        };
        let Ok(()) = crate::registry::blocking(wait).await;
    }

    /// Removes a reference; true if it was there. The image goes with the next [`ImageStore::gc`], unless it is kept.
    pub fn untag(&self, reference: &ImageRef) -> Result<bool, StoreError> {
        let path = self.inner.layout.reference(reference.as_str());
        self.inner.index_mut().refs.remove(reference.as_str());
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(StoreError::io("remove", &path)(e)),
        }
    }
}

impl Inner {
    fn index_mut(&self) -> std::sync::RwLockWriteGuard<'_, Index> {
        // A panic elsewhere cannot leave the index half changed: every change is one insertion or removal.
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The reference's record and image, from memory if the file did not change since.
    pub fn find_ref(&self, canonical: &str) -> Result<Option<(RefRecord, Arc<Image>)>, StoreError> {
        {
            let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(known) = index.refs.get(canonical)
                && stamp(&known.path) == Some(known.stamp)
                && let Some(image) = index.images.get(&known.record.image)
            {
                return Ok(Some((known.record.clone(), image.clone())));
            }
        }
        let path = self.layout.reference(canonical);
        let Some(stamp) = stamp(&path) else {
            self.index_mut().refs.remove(canonical);
            return Ok(None);
        };
        // The stamp is taken first: if the file is replaced now, the next look sees a newer stamp and reads again.
        let Some(record) = read_json::<RefRecord>(&path)?.filter(|r| r.reference == canonical) else { return Ok(None) };
        let Some(image) = self.image(record.image)? else { return Ok(None) };
        let known = KnownRef { record: record.clone(), path, stamp };
        self.index_mut().refs.insert(canonical.to_owned(), known);
        Ok(Some((record, image)))
    }

    /// The image, from memory or else from its record.
    pub fn image(&self, id: ImageId) -> Result<Option<Arc<Image>>, StoreError> {
        if let Some(image) = self.index.read().unwrap_or_else(PoisonError::into_inner).images.get(&id) {
            return Ok(Some(image.clone()));
        }
        let Some(record) = self.record(id)? else { return Ok(None) };
        let Some(image) = record::load(&self.layout, &record, self.options.limits.config_bytes_max)? else {
            return Ok(None);
        };
        let image = Arc::new(image);
        self.index_mut().images.insert(id, image.clone());
        Ok(Some(image))
    }

    /// The image's record on disk.
    pub fn record(&self, id: ImageId) -> Result<Option<Record>, StoreError> {
        Ok(read_json::<Record>(&self.layout.image(id))?.filter(|record| record.id == id))
    }

    /// Makes an image known whose blobs and layers are all in place.
    pub fn put_image(&self, record: &Record, config: crate::config::ConfigFile) -> Result<Arc<Image>, StoreError> {
        write_json(&self.session, &self.layout.image(record.id), record)?;
        let image = Arc::new(record::assemble(&self.layout, record, config));
        self.index_mut().images.insert(record.id, image.clone());
        Ok(image)
    }

    /// Lets `reference` name `image`; `digest` is what the registry said it is.
    pub fn put_ref(&self, reference: &ImageRef, digest: Digest, image: ImageId) -> Result<(), StoreError> {
        let record = RefRecord { reference: reference.as_str().to_owned(), digest, image };
        if self.find_ref(reference.as_str())?.is_some_and(|(known, _)| known == record) {
            return Ok(());
        }
        let path = self.layout.reference(reference.as_str());
        write_json(&self.session, &path, &record)?;
        if let Some(stamp) = stamp(&path) {
            let known = KnownRef { record, path, stamp };
            self.index_mut().refs.insert(reference.as_str().to_owned(), known);
        }
        Ok(())
    }

    /// Reads every reference and image record.
    fn reload(&self) -> Result<(), StoreError> {
        for id in self.ids_on_disk()? {
            if let Err(error) = self.image(id) {
                tracing::warn!(%id, %error, "ignoring an image that cannot be loaded");
            }
        }
        let on_disk = self.refs_on_disk()?;
        self.index_mut().refs.retain(|name, _| on_disk.iter().any(|r| r.reference == *name));
        for record in on_disk {
            if let Err(error) = self.find_ref(&record.reference) {
                tracing::warn!(reference = record.reference, %error, "ignoring a reference that cannot be read");
            }
        }
        Ok(())
    }

    fn refs_on_disk(&self) -> Result<Vec<RefRecord>, StoreError> {
        let dir = self.layout.root.join("refs");
        let mut records = Vec::new();
        for entry in fs::read_dir(&dir).map_err(StoreError::io("list", &dir))? {
            let path = entry.map_err(StoreError::io("list", &dir))?.path();
            records.extend(read_json::<RefRecord>(&path)?);
        }
        Ok(records)
    }

    fn ids_on_disk(&self) -> Result<Vec<ImageId>, StoreError> {
        let dir = self.layout.root.join("images");
        let mut ids = Vec::new();
        for entry in fs::read_dir(&dir).map_err(StoreError::io("list", &dir))? {
            let path = entry.map_err(StoreError::io("list", &dir))?.path();
            let hex = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            ids.extend(Digest::from_hex(hex).ok().map(ImageId));
        }
        Ok(ids)
    }

    /// Waits until nobody collects garbage (milliseconds), and keeps anybody from starting to.
    pub async fn enter(&self) -> Result<Activity, StoreError> {
        let path = self.layout.lock();
        loop {
            let file = fs::File::create(&path).map_err(StoreError::io("open", &path))?;
            match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockShared) {
                Ok(()) => return Ok(Activity { _lock: file }),
                Err(rustix::io::Errno::WOULDBLOCK) => tokio::time::sleep(Duration::from_millis(10)).await,
                Err(e) => return Err(StoreError::io("lock", &path)(e.into())),
            }
        }
    }

    /// Has a thread flush these layers to the disk and mark them durable.
    ///
    /// A plain thread: the runtime would wait for it when it shuts down, and there is no need to. What was not marked is
    /// flushed by the next process that opens the store in this boot.
    pub fn flush_later(self: &Arc<Self>, chains: impl IntoIterator<Item = ChainId>) {
        let mut flush = self.flush_state();
        flush.pending.extend(chains);
        if flush.running || flush.pending.is_empty() {
            return;
        }
        flush.running = true;
        let weak = Arc::downgrade(self);
        let thread = std::thread::Builder::new().name("image-flush".to_owned()).spawn(move || {
            while let Some(inner) = weak.upgrade() {
                let chains = {
                    let mut flush = inner.flush_state();
                    flush.running = !flush.pending.is_empty();
                    std::mem::take(&mut flush.pending)
                };
                if chains.is_empty() {
                    inner.flushed.notify_all();
                    return;
                }
                if let Err(error) = layers::make_durable(&inner.layout, &inner.session, &chains) {
                    tracing::warn!(%error, "cannot flush layers to the disk");
                }
            }
        });
        if let Err(error) = thread {
            flush.running = false;
            self.flushed.notify_all();
            tracing::warn!(%error, "cannot start the thread that flushes layers");
        }
    }

    fn flush_state(&self) -> MutexGuard<'_, Flush> {
        self.flush.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let meta = fs::metadata(path).ok()?;
    Some(Stamp { inode: meta.ino(), modified: (meta.mtime(), meta.mtime_nsec()) })
}

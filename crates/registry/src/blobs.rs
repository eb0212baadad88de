//! Blobs on disk, and which repository has which.
//!
//! ```text
//! blobs/sha256/<2 hex>/<64 hex>              content of blobs and manifests, shared by all repositories
//! links/<account>/<region>/<a+b>/<64 hex>    empty file: repository a/b has this blob
//! staging/                                   unfinished small files; emptied at start
//! trash/                                     unlinked blobs on their way out; emptied at start
//! ```
//! A blob appears by rename after fsync, a link after its blob, and each directory is synced before the caller
//! hears of it. So whatever a crash leaves is whole, and at worst unreferenced.
//!
//! **Deleting.** Only `gc` deletes. It may not take what a request is about to build on, which three rules ensure:
//! 1. A request takes a [`Hold`] before it looks at blobs and keeps it until what it built (a link, a catalogue entry)
//!    is durable. A collection begins by waiting for all holds once, so all it reads later is there to be read.
//! 2. Under a hold, a blob is [`Blobs::renew`]ed before it is looked at. The collector deletes under the same lock and
//!    skips whatever was renewed since it began.
//! 3. What nothing refers to yet (pushed blobs whose manifest is still to come) is left alone for a grace time after
//!    it was last renewed.
//!
//! Rule 3 also covers a request that is given up while its catalogue entry is on the way: its hold ends early, but what
//! it refers to was renewed just before.
//!
//! A clock that jumps can only break rule 3: it can fail a push that is under way, never lose an acknowledged image.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock};

use crate::digest::Digest;
use crate::name::{RepositoryId, RepositoryName, Scope};
use crate::room::Room;
use crate::storage::{At as _, StorageError, create_directory, if_there, names_in, sync_directory};

/// A link's time is written anew only when it is older than this: a push asks for the same blob several times.
const RENEW_AFTER: Duration = Duration::from_secs(300);

/// No manifest is longer. Not the limit for new ones, which may be lowered while longer ones are stored.
const MANIFEST_BYTES_MAX: u64 = 64 << 20;

pub(crate) struct Blobs {
    root: PathBuf,
    room: Arc<Room>,
    gate: Arc<RwLock<()>>,
    /// While a collection runs: what requests renewed since it began.
    renewed: Mutex<Option<HashSet<Digest>>>,
}

/// Keeps a collection from beginning. Never take a second one while holding one: a waiting collection is in between.
pub(crate) struct Hold(#[expect(dead_code, reason = "held, not read")] OwnedRwLockReadGuard<()>);

impl Blobs {
    /// Prepares the directories below `root`. No manifest is stored without room for it.
    pub(crate) fn open(root: &Path, room: Arc<Room>) -> Result<Blobs, StorageError> {
        let blobs = root.join("blobs/sha256");
        create_directory(root, &blobs)?;
        for first in 0..=255u8 {
            let shard = blobs.join(crate::digest::hex(&[first]));
            if !shard.is_dir() {
                fs::create_dir(&shard).at("create directory", &shard)?;
            }
        }
        sync_directory(&blobs)?;
        create_directory(root, &root.join("links"))?;
        for passing in ["staging", "trash"] {
            let directory = root.join(passing);
            create_directory(root, &directory)?;
            for name in names_in(&directory)? {
                let path = directory.join(name);
                fs::remove_file(&path).at("remove", &path)?;
            }
        }
        Ok(Blobs { root: root.to_owned(), room, gate: Arc::default(), renewed: Mutex::new(None) })
    }

    pub(crate) async fn hold(&self) -> Hold {
        Hold(self.gate.clone().read_owned().await)
    }

    /// Waits until no hold is left, and keeps new ones waiting while the guard lives.
    pub(crate) async fn all_holds_released(&self) -> OwnedRwLockWriteGuard<()> {
        self.gate.clone().write_owned().await
    }

    fn blob_path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.root.join("blobs/sha256").join(&hex[..2]).join(hex)
    }

    fn links_path(&self, repository: &RepositoryId) -> PathBuf {
        let scope = self.root.join("links").join(repository.scope.account()).join(repository.scope.region());
        scope.join(repository.name.file_name())
    }

    fn link_path(&self, repository: &RepositoryId, digest: &Digest) -> PathBuf {
        self.links_path(repository).join(digest.hex())
    }

    fn renewed(&self) -> MutexGuard<'_, Option<HashSet<Digest>>> {
        self.renewed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on, a running collection leaves this blob and its links alone.
    pub(crate) fn renew(&self, _hold: &Hold, digest: &Digest) {
        if let Some(renewed) = self.renewed().as_mut() {
            renewed.insert(*digest);
        }
    }

    /// Bytes of the blob, if it is stored at all. Says nothing about who may see it.
    pub(crate) fn stored_size(&self, digest: &Digest) -> Result<Option<u64>, StorageError> {
        let path = self.blob_path(digest);
        Ok(if_there(fs::metadata(&path), "examine", &path)?.map(|metadata| metadata.len()))
    }

    /// Bytes of the blob, if this repository has it.
    pub(crate) fn size(&self, repository: &RepositoryId, digest: &Digest) -> Result<Option<u64>, StorageError> {
        let link = self.link_path(repository, digest);
        if if_there(fs::metadata(&link), "examine", &link)?.is_none() {
            return Ok(None);
        }
        self.stored_size(digest)
    }

    /// Like [`Blobs::size`], and the grace time begins anew: the asker is about to refer to it.
    pub(crate) fn size_renewed(
        &self,
        hold: &Hold,
        repository: &RepositoryId,
        digest: &Digest,
    ) -> Result<Option<u64>, StorageError> {
        self.renew(hold, digest);
        let size = self.size(repository, digest)?;
        if size.is_some() {
            self.touch(&self.link_path(repository, digest))?;
        }
        Ok(size)
    }

    fn touch(&self, path: &Path) -> Result<(), StorageError> {
        let now = SystemTime::now();
        let modified = fs::metadata(path).and_then(|metadata| metadata.modified()).at("examine", path)?;
        if now.duration_since(modified).is_ok_and(|age| age < RENEW_AFTER) {
            return Ok(());
        }
        File::options().write(true).open(path).and_then(|file| file.set_modified(now)).at("touch", path)
    }

    /// Opens a blob that this repository has; its size comes with it.
    pub(crate) fn open_blob(
        &self,
        repository: &RepositoryId,
        digest: &Digest,
    ) -> Result<Option<(File, u64)>, StorageError> {
        let link = self.link_path(repository, digest);
        if if_there(fs::metadata(&link), "examine", &link)?.is_none() {
            return Ok(None);
        }
        self.open_stored(digest)
    }

    fn open_stored(&self, digest: &Digest) -> Result<Option<(File, u64)>, StorageError> {
        let path = self.blob_path(digest);
        let Some(file) = if_there(File::open(&path), "open", &path)? else { return Ok(None) };
        let size_bytes = file.metadata().at("examine", &path)?.len();
        Ok(Some((file, size_bytes)))
    }

    /// Reads a whole manifest by digest and checks it. `None` if it is missing, or is not what its name says.
    pub(crate) fn read_manifest(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StorageError> {
        let Some((file, size_bytes)) = self.open_stored(digest)? else { return Ok(None) };
        let mut bytes = Vec::with_capacity(size_bytes.min(MANIFEST_BYTES_MAX) as usize);
        let path = self.blob_path(digest);
        file.take(MANIFEST_BYTES_MAX).read_to_end(&mut bytes).at("read", &path)?;
        if Digest::of(&bytes) != *digest {
            tracing::error!(path = %path.display(), "stored manifest does not match its digest");
            return Ok(None);
        }
        Ok(Some(bytes))
    }

    /// Stores a manifest under its digest, durably.
    pub(crate) fn store_manifest(&self, hold: &Hold, digest: &Digest, bytes: &[u8]) -> Result<(), StorageError> {
        self.renew(hold, digest);
        if self.read_manifest(digest)?.is_some() {
            return self.touch(&self.blob_path(digest));
        }
        let staged = self.root.join("staging").join(crate::uploads::UploadId::draw().to_string());
        let write = || {
            let mut file = File::create_new(&staged).at("create", &staged)?;
            self.room.check(&file, &staged, bytes.len() as u64)?;
            file.write_all(bytes).and_then(|()| file.sync_data()).at("write", &staged)?;
            self.adopt(hold, digest, &staged)
        };
        write().inspect_err(|_| drop(fs::remove_file(&staged)))
    }

    /// Makes a complete, synced file the blob of this digest. It takes the place of one that is there, which may have
    /// been damaged since: who pushes an image again gets a good one.
    pub(crate) fn adopt(&self, hold: &Hold, digest: &Digest, staged: &Path) -> Result<(), StorageError> {
        self.renew(hold, digest);
        let path = self.blob_path(digest);
        fs::rename(staged, &path).at("rename", staged)?;
        sync_directory(path.parent().expect("a blob's path has a shard"))
    }

    /// Gives a repository a blob that is stored, durably.
    pub(crate) fn link(&self, hold: &Hold, repository: &RepositoryId, digest: &Digest) -> Result<(), StorageError> {
        self.renew(hold, digest);
        let directory = self.links_path(repository);
        create_directory(&self.root, &directory)?;
        let link = directory.join(digest.hex());
        let created = File::create_new(&link);
        if created.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::AlreadyExists) {
            return self.touch(&link);
        }
        created.at("create", &link)?;
        sync_directory(&directory)
    }

    /// Takes all blobs from a repository.
    pub(crate) fn unlink_all(&self, repository: &RepositoryId) -> Result<(), StorageError> {
        let directory = self.links_path(repository);
        if_there(fs::remove_dir_all(&directory), "remove", &directory)?;
        Ok(())
    }

    // What follows is for the collector alone.

    /// Starts or ends the record of renewals.
    pub(crate) fn record_renewals(&self, on: bool) {
        *self.renewed() = on.then(HashSet::new);
    }

    /// All repositories that have links.
    pub(crate) fn linked_repositories(&self) -> Result<Vec<RepositoryId>, StorageError> {
        let links = self.root.join("links");
        let mut repositories = Vec::new();
        for account in names_in(&links)? {
            for region in names_in(&links.join(&account))? {
                let Ok(scope) = Scope::new(&account, &region) else { continue };
                for file_name in names_in(&links.join(&account).join(&region))? {
                    let name = RepositoryName::from_file_name(&file_name);
                    repositories.extend(name.map(|name| RepositoryId { scope: scope.clone(), name }));
                }
            }
        }
        Ok(repositories)
    }

    pub(crate) fn links(&self, repository: &RepositoryId) -> Result<Vec<Digest>, StorageError> {
        Ok(names_in(&self.links_path(repository))?.iter().filter_map(|name| Digest::from_hex(name)).collect())
    }

    /// All stored blobs of one shard (first byte of the digest).
    pub(crate) fn shard(&self, first: u8) -> Result<Vec<Digest>, StorageError> {
        let shard = self.root.join("blobs/sha256").join(crate::digest::hex(&[first]));
        Ok(names_in(&shard)?.iter().filter_map(|name| Digest::from_hex(name)).collect())
    }

    /// Removes a link nobody renewed for `grace`; whether it did.
    pub(crate) fn collect_link(
        &self,
        repository: &RepositoryId,
        digest: &Digest,
        grace: Duration,
    ) -> Result<bool, StorageError> {
        let link = self.link_path(repository, digest);
        let renewed = self.renewed();
        if is_renewed(&renewed, digest) || !is_older(&link, grace)? {
            return Ok(false);
        }
        fs::remove_file(&link).at("remove", &link)?;
        Ok(true)
    }

    /// Removes a blob nobody renewed for `grace`; how many bytes it freed. Unlinking a large file takes long, so under
    /// the lock it only leaves its place.
    pub(crate) fn collect_blob(&self, digest: &Digest, grace: Duration) -> Result<Option<u64>, StorageError> {
        let path = self.blob_path(digest);
        let trash = self.root.join("trash").join(digest.hex());
        {
            let renewed = self.renewed();
            if is_renewed(&renewed, digest) || !is_older(&path, grace)? {
                return Ok(None);
            }
            fs::rename(&path, &trash).at("rename", &path)?;
        }
        let size_bytes = fs::metadata(&trash).at("examine", &trash)?.len();
        fs::remove_file(&trash).at("remove", &trash)?;
        Ok(Some(size_bytes))
    }
}

/// Without a record no collection runs, and nothing may be deleted.
fn is_renewed(renewed: &Option<HashSet<Digest>>, digest: &Digest) -> bool {
    renewed.as_ref().is_none_or(|renewed| renewed.contains(digest))
}

fn is_older(path: &Path, grace: Duration) -> Result<bool, StorageError> {
    let Some(metadata) = if_there(fs::metadata(path), "examine", path)? else { return Ok(false) };
    let modified = metadata.modified().at("examine", path)?;
    Ok(SystemTime::now().duration_since(modified).is_ok_and(|age| age >= grace))
}

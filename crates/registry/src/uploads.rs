//! Uploads under way.
//!
//! ```text
//! uploads/<32 hex>.json    whose it is; written once
//! uploads/<32 hex>         the bytes so far: the file's size is the offset
//! ```
//! The index of uploads is in memory and complete: an id that is not in it touches no file. The running SHA-256 is in
//! memory, too; after a restart it is computed again from the file by the first request that needs it.
//!
//! One request at a time works on an upload. Its session is locked for it, and the lock travels with the bytes onto
//! the thread that writes them, so that a client that goes away in the middle leaves offset, hash and file agreeing.

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::OwnedMutexGuard;

use crate::digest::{self, Digest};
use crate::name::{RepositoryId, RepositoryName, Scope};
use crate::room::Room;
use crate::storage::{At as _, StorageError, create_directory, if_there, names_in};

/// How long a request waits for an earlier one on the same upload, which may be a connection about to break.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(10);
/// In a registry with as many uploads as it may have, who has not written for this long makes room.
const CROWDED_IDLE_MAX: Duration = Duration::from_secs(3600);
const REHASH_BUFFER_BYTES: usize = 1 << 20;

/// Names an upload; 128 random bits, so that it cannot be guessed. Written as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct UploadId([u8; 16]);

impl UploadId {
    pub(crate) fn draw() -> UploadId {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the kernel has randomness on every system we run on");
        UploadId(bytes)
    }

    pub fn parse(text: &str) -> Option<UploadId> {
        digest::parse_hex(text).map(UploadId)
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&digest::hex(&self.0))
    }
}

impl fmt::Debug for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why an upload does not go on.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    #[error("the repository does not exist")]
    RepositoryNotFound,
    /// No such upload in this repository: never begun, finished, cancelled or expired.
    #[error("the upload does not exist")]
    Unknown,
    #[error("another request is writing to the upload")]
    Busy,
    #[error("too many uploads are under way")]
    TooMany,
    /// The chunk does not begin where the upload stands.
    #[error("the chunk does not begin at byte {offset}")]
    OutOfOrder { offset: u64 },
    #[error("the chunk has another length than its range says")]
    LengthMismatch,
    #[error("the blob is larger than {max} bytes")]
    TooLarge { max: u64 },
    /// The upload is gone with this answer: its bytes are not what the client meant to send.
    #[error("the content has digest {actual}, not {expected}")]
    DigestMismatch { expected: Digest, actual: Digest },
    /// What arrived before is kept.
    #[error("the request body ended early")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the request body stalled")]
    BodyStalled,
    #[error(transparent)]
    Storage(#[from] StorageError),
}

#[derive(Serialize, Deserialize)]
struct OwnerFile {
    account: String,
    region: String,
    repository: String,
}

pub(crate) struct Uploads {
    directory: PathBuf,
    open_max: usize,
    room: Arc<Room>,
    index: Mutex<HashMap<UploadId, Arc<Upload>>>,
}

struct Upload {
    owner: RepositoryId,
    session: Arc<tokio::sync::Mutex<Session>>,
}

/// The moving part of an upload.
struct Session {
    offset: u64,
    /// Over the first `offset` bytes; `None` when it must be computed from the file.
    hasher: Option<Sha256>,
    /// Finished or cancelled while others waited for the lock.
    closed: bool,
}

impl Uploads {
    /// Finds the uploads of the last run. `open_max` limits those of one registry; none goes on without room.
    pub(crate) fn open(root: &Path, open_max: usize, room: Arc<Room>) -> Result<Uploads, StorageError> {
        let directory = root.join("uploads");
        create_directory(root, &directory)?;
        let mut index = HashMap::new();
        for name in names_in(&directory)? {
            let id = UploadId::parse(name.trim_end_matches(".json"));
            let found = id.and_then(|id| Some((id, read_upload(&directory, id)?)));
            match found {
                Some((id, upload)) => {
                    index.insert(id, Arc::new(upload));
                }
                None => {
                    // Half of a pair, as a crash between the two files leaves it.
                    let path = directory.join(&name);
                    if_there(fs::remove_file(&path), "remove", &path)?;
                }
            }
        }
        Ok(Uploads { directory, open_max, room, index: Mutex::new(index) })
    }

    fn index(&self) -> MutexGuard<'_, HashMap<UploadId, Arc<Upload>>> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn data_path(&self, id: UploadId) -> PathBuf {
        self.directory.join(id.to_string())
    }

    fn owner_path(&self, id: UploadId) -> PathBuf {
        self.directory.join(format!("{id}.json"))
    }

    /// Begins an upload.
    pub(crate) fn begin(&self, owner: &RepositoryId) -> Result<UploadId, UploadError> {
        let id = UploadId::draw();
        let session = Session { offset: 0, hasher: Some(Sha256::new()), closed: false };
        let session = Arc::new(tokio::sync::Mutex::new(session));
        // Locked until its files are there, lest it be taken for an expired one.
        let _locked = session.clone().try_lock_owned().expect("nobody else knows it yet");
        let upload = Upload { owner: owner.clone(), session };
        {
            let is_full = |index: &HashMap<UploadId, Arc<Upload>>| {
                index.values().filter(|upload| upload.owner.scope == owner.scope).count() >= self.open_max
            };
            let crowded = is_full(&self.index());
            if crowded {
                self.expire(CROWDED_IDLE_MAX, Some(&owner.scope));
            }
            // Counted and entered under one lock, so that the limit holds for simultaneous requests.
            let mut index = self.index();
            if is_full(&index) {
                return Err(UploadError::TooMany);
            }
            index.insert(id, Arc::new(upload));
        }
        self.create_files(id, owner).inspect_err(|_| self.forget(id))?;
        Ok(id)
    }

    fn create_files(&self, id: UploadId, owner: &RepositoryId) -> Result<(), StorageError> {
        let file = OwnerFile {
            account: owner.scope.account().to_owned(),
            region: owner.scope.region().to_owned(),
            repository: owner.name.to_string(),
        };
        let text = serde_json::to_vec(&file).expect("an owner is plain text");
        let path = self.owner_path(id);
        fs::write(&path, text).at("write", &path)?;
        let path = self.data_path(id);
        File::create_new(&path).map(drop).at("create", &path)
    }

    /// Locks an upload of this repository for one request.
    pub(crate) async fn lock(self: &Arc<Self>, owner: &RepositoryId, id: UploadId) -> Result<Locked, UploadError> {
        let upload = self.index().get(&id).filter(|upload| upload.owner == *owner).cloned();
        let upload = upload.ok_or(UploadError::Unknown)?;
        let waited = tokio::time::timeout(LOCK_WAIT_MAX, upload.session.clone().lock_owned()).await;
        let session = waited.map_err(|_elapsed| UploadError::Busy)?;
        if session.closed {
            return Err(UploadError::Unknown);
        }
        Ok(Locked { uploads: self.clone(), id, session })
    }

    /// Removes an upload and its files; what fails stays for the next start to remove.
    fn forget(&self, id: UploadId) {
        self.index().remove(&id);
        for path in [self.data_path(id), self.owner_path(id)] {
            if let Err(error) = if_there(fs::remove_file(&path), "remove", &path) {
                tracing::warn!(path = %path.display(), error = %error.source, "cannot remove an upload's file");
            }
        }
    }

    /// Removes uploads (of all registries, or of one) that nothing was written to for `idle_max`, except those a request
    /// works on. Returns how many.
    pub(crate) fn expire(&self, idle_max: Duration, only: Option<&Scope>) -> usize {
        let uploads: Vec<_> = self.index().iter().map(|(id, upload)| (*id, upload.clone())).collect();
        let mut expired = 0;
        for (id, upload) in uploads {
            if only.is_some_and(|scope| upload.owner.scope != *scope) {
                continue;
            }
            let Ok(mut session) = upload.session.clone().try_lock_owned() else { continue };
            let written = fs::metadata(self.data_path(id)).and_then(|metadata| metadata.modified());
            let fresh = written.is_ok_and(|at| SystemTime::now().duration_since(at).unwrap_or_default() < idle_max);
            if !session.closed && !fresh {
                session.closed = true;
                self.forget(id);
                expired += 1;
            }
        }
        expired
    }

    /// Removes all uploads into a repository that no request works on.
    pub(crate) fn forget_repository(&self, owner: &RepositoryId) {
        let uploads: Vec<_> = self.index().iter().map(|(id, upload)| (*id, upload.clone())).collect();
        for (id, upload) in uploads.into_iter().filter(|(_, upload)| upload.owner == *owner) {
            let Ok(mut session) = upload.session.clone().try_lock_owned() else { continue };
            session.closed = true;
            self.forget(id);
        }
    }
}

fn read_upload(directory: &Path, id: UploadId) -> Option<Upload> {
    let owner: OwnerFile = serde_json::from_slice(&fs::read(directory.join(format!("{id}.json"))).ok()?).ok()?;
    let scope = Scope::new(&owner.account, &owner.region).ok()?;
    let name = RepositoryName::parse(&owner.repository).ok()?;
    let offset = fs::metadata(directory.join(id.to_string())).ok()?.len();
    let session = Session { offset, hasher: None, closed: false };
    Some(Upload { owner: RepositoryId { scope, name }, session: Arc::new(tokio::sync::Mutex::new(session)) })
}

/// An upload in the hands of one request.
pub(crate) struct Locked {
    uploads: Arc<Uploads>,
    id: UploadId,
    session: OwnedMutexGuard<Session>,
}

impl Locked {
    /// Bytes received so far.
    pub(crate) fn offset(&self) -> u64 {
        self.session.offset
    }

    /// Opens the file for writing; blocks. Also brings the hash up to date, after a restart.
    pub(crate) fn writer(mut self) -> Result<Writer, UploadError> {
        let path = self.uploads.data_path(self.id);
        let file = File::options().read(true).write(true).open(&path).at("open", &path)?;
        let hasher = match self.session.hasher.take() {
            Some(hasher) => hasher,
            None => hash_of(&file, self.session.offset).at("read", &path)?,
        };
        self.session.hasher = Some(hasher);
        Ok(Writer { locked: self, file, path })
    }

    /// Gives the upload up; blocks.
    pub(crate) fn cancel(mut self) {
        self.give_up();
    }

    fn give_up(&mut self) {
        self.session.closed = true;
        self.uploads.forget(self.id);
    }
}

fn hash_of(file: &File, length: u64) -> io::Result<Sha256> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; REHASH_BUFFER_BYTES];
    let mut left = file.take(length);
    let mut read = 0;
    loop {
        match left.read(&mut buffer)? {
            0 if read == length => return Ok(hasher),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => {
                hasher.update(&buffer[..count]);
                read += count as u64;
            }
        }
    }
}

/// Appends to an upload; every method blocks.
pub(crate) struct Writer {
    locked: Locked,
    file: File,
    path: PathBuf,
}

/// A point in an upload to go back to.
pub(crate) struct Mark {
    offset: u64,
    hasher: Option<Sha256>,
}

impl Writer {
    pub(crate) fn offset(&self) -> u64 {
        self.locked.session.offset
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark { offset: self.locked.session.offset, hasher: self.locked.session.hasher.clone() }
    }

    /// An upload that the disk has no room for is given up: clients begin another one, and this one would take the room.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.write(bytes).inspect_err(|error| {
            if error.is_full() {
                self.locked.give_up();
            }
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.locked.uploads.room.check(&self.file, &self.path, bytes.len() as u64)?;
        let session = &mut *self.locked.session;
        let written = self.file.write_all_at(bytes, session.offset);
        if written.is_err() {
            // The size is the offset: take back what a full disk let through.
            self.file.set_len(session.offset).at("truncate", &self.path)?;
        }
        written.at("write", &self.path)?;
        session.offset += bytes.len() as u64;
        if let Some(hasher) = &mut session.hasher {
            hasher.update(bytes);
        }
        Ok(())
    }

    /// Forgets what came after the mark.
    pub(crate) fn roll_back(&mut self, mark: Mark) -> Result<(), StorageError> {
        self.file.set_len(mark.offset).at("truncate", &self.path)?;
        self.locked.session.offset = mark.offset;
        self.locked.session.hasher = mark.hasher;
        Ok(())
    }

    /// Compares the content with a digest and syncs it. If it is another, the upload is given up.
    pub(crate) fn seal(mut self, expected: Digest) -> Result<Sealed, UploadError> {
        let session = &mut *self.locked.session;
        let hasher = match session.hasher.clone() {
            Some(hasher) => hasher,
            None => hash_of(&self.file, session.offset).at("read", &self.path)?,
        };
        let actual = Digest::finish(hasher);
        if actual != expected {
            self.locked.cancel();
            return Err(UploadError::DigestMismatch { expected, actual });
        }
        // Only what was hashed may become the blob, whatever a failed write has left behind it.
        self.file.set_len(session.offset).at("truncate", &self.path)?;
        self.file.sync_all().at("sync", &self.path)?;
        Ok(Sealed { digest: expected, locked: self.locked, path: self.path })
    }
}

/// A complete upload: its content is durable and has the digest.
pub(crate) struct Sealed {
    digest: Digest,
    locked: Locked,
    path: PathBuf,
}

impl Sealed {
    /// Ends the upload: `keep` (digest, path) moves the file away. When that fails, the upload stays as it was; when what
    /// comes after it fails, the upload is gone with its file, and its client begins another one. Returns the size.
    pub(crate) fn keep(
        self,
        keep: impl FnOnce(&Digest, &Path) -> Result<(), StorageError>,
    ) -> Result<u64, StorageError> {
        let kept = keep(&self.digest, &self.path);
        let size_bytes = self.locked.session.offset;
        if kept.is_ok() || !self.path.exists() {
            self.locked.cancel();
        }
        kept.map(|()| size_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::room::KeptFree;

    fn open(root: &Path, open_max: usize) -> Result<Uploads, StorageError> {
        Uploads::open(root, open_max, Arc::new(Room::new(root, KeptFree::NOTHING)))
    }

    fn owner(name: &str) -> RepositoryId {
        let scope = Scope::new("123456789012", "eu-west-1").unwrap();
        RepositoryId { scope, name: RepositoryName::parse(name).unwrap() }
    }

    #[tokio::test]
    async fn an_upload_is_known_in_its_repository_only() {
        let root = tempfile::tempdir().unwrap();
        let uploads = Arc::new(open(root.path(), 10).unwrap());
        let id = uploads.begin(&owner("a")).unwrap();
        assert!(uploads.lock(&owner("a"), id).await.is_ok());
        assert!(matches!(uploads.lock(&owner("b"), id).await, Err(UploadError::Unknown)));
        assert!(matches!(uploads.lock(&owner("a"), UploadId::draw()).await, Err(UploadError::Unknown)));
    }

    #[tokio::test]
    async fn an_upload_goes_on_after_a_restart() {
        let root = tempfile::tempdir().unwrap();
        let uploads = Arc::new(open(root.path(), 10).unwrap());
        let id = uploads.begin(&owner("a")).unwrap();
        uploads.lock(&owner("a"), id).await.unwrap().writer().unwrap().append(b"hello ").unwrap();
        let uploads = Arc::new(open(root.path(), 10).unwrap());
        let mut writer = uploads.lock(&owner("a"), id).await.unwrap().writer().unwrap();
        assert_eq!(writer.offset(), 6);
        writer.append(b"world").unwrap();
        let kept = root.path().join("kept");
        let sealed = writer.seal(Digest::of(b"hello world")).unwrap();
        let size = sealed.keep(|_, path| fs::rename(path, &kept).at("rename", path)).unwrap();
        assert_eq!((size, fs::read(&kept).unwrap()), (11, b"hello world".to_vec()));
        assert!(matches!(uploads.lock(&owner("a"), id).await, Err(UploadError::Unknown)));
        assert_eq!(names_in(&uploads.directory).unwrap(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn an_upload_whose_file_became_a_blob_in_vain_is_gone() {
        let root = tempfile::tempdir().unwrap();
        let uploads = Arc::new(open(root.path(), 10).unwrap());
        let id = uploads.begin(&owner("a")).unwrap();
        uploads.lock(&owner("a"), id).await.unwrap().writer().unwrap().append(b"hello").unwrap();
        let seal =
            async || uploads.lock(&owner("a"), id).await.unwrap().writer().unwrap().seal(Digest::of(b"hello")).unwrap();
        let failure = |path: &Path| Err(io::Error::from(io::ErrorKind::StorageFull)).at("link", path);
        assert!(seal().await.keep(|_, path| failure(path)).is_err());
        assert_eq!(uploads.lock(&owner("a"), id).await.unwrap().offset(), 5);
        let moved = |path: &Path| fs::rename(path, root.path().join("kept")).at("rename", path);
        assert!(seal().await.keep(|_, path| moved(path).and_then(|()| failure(path))).is_err());
        assert!(matches!(uploads.lock(&owner("a"), id).await, Err(UploadError::Unknown)));
        assert_eq!(names_in(&uploads.directory).unwrap(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn half_an_upload_is_swept_at_start() {
        let root = tempfile::tempdir().unwrap();
        let uploads = open(root.path(), 10).unwrap();
        let (no_data, no_owner) = (uploads.begin(&owner("a")).unwrap(), uploads.begin(&owner("a")).unwrap());
        fs::remove_file(uploads.data_path(no_data)).unwrap();
        fs::remove_file(uploads.owner_path(no_owner)).unwrap();
        let uploads = open(root.path(), 10).unwrap();
        assert!(uploads.index().is_empty());
        assert_eq!(names_in(&uploads.directory).unwrap(), Vec::<String>::new());
    }

    #[tokio::test]
    async fn the_number_of_uploads_is_limited_by_registry_and_idle_ones_expire() {
        let root = tempfile::tempdir().unwrap();
        let uploads = Arc::new(open(root.path(), 2).unwrap());
        let held = uploads.begin(&owner("a")).unwrap();
        uploads.begin(&owner("b")).unwrap();
        assert!(matches!(uploads.begin(&owner("a")), Err(UploadError::TooMany)));
        let other = RepositoryId { scope: Scope::new("210987654321", "eu-west-1").unwrap(), ..owner("a") };
        uploads.begin(&other).unwrap();
        assert_eq!(uploads.expire(Duration::from_secs(60), None), 0);
        let locked = uploads.lock(&owner("a"), held).await.unwrap();
        assert_eq!(uploads.expire(Duration::ZERO, None), 2);
        drop(locked);
        assert_eq!(uploads.expire(Duration::ZERO, None), 1);
    }

    #[tokio::test]
    async fn a_crowded_registry_gives_up_its_own_idle_uploads_first() {
        let root = tempfile::tempdir().unwrap();
        let uploads = Arc::new(open(root.path(), 1).unwrap());
        let other = RepositoryId { scope: Scope::new("210987654321", "eu-west-1").unwrap(), ..owner("a") };
        let (mine, theirs) = (uploads.begin(&owner("a")).unwrap(), uploads.begin(&other).unwrap());
        let old = SystemTime::now() - CROWDED_IDLE_MAX;
        for id in [mine, theirs] {
            File::options().write(true).open(uploads.data_path(id)).unwrap().set_modified(old).unwrap();
        }
        assert!(uploads.begin(&owner("b")).is_ok());
        assert!(uploads.lock(&owner("a"), mine).await.is_err());
        assert!(uploads.lock(&other, theirs).await.is_ok());
    }

    #[tokio::test]
    async fn a_mark_can_be_returned_to() {
        let root = tempfile::tempdir().unwrap();
        let uploads = Arc::new(open(root.path(), 2).unwrap());
        let id = uploads.begin(&owner("a")).unwrap();
        let mut writer = uploads.lock(&owner("a"), id).await.unwrap().writer().unwrap();
        writer.append(b"one").unwrap();
        let mark = writer.mark();
        writer.append(b"two").unwrap();
        writer.roll_back(mark).unwrap();
        writer.append(b"three").unwrap();
        assert_eq!(writer.seal(Digest::of(b"onethree")).unwrap().keep(|_, _| Ok(())).unwrap(), 8);
    }
}

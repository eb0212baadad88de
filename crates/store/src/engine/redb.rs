//! The embedded engine: one redb file.
//!
//! Each table is a redb table from key bytes to JSON, so that a person can read it and a newer release can change it. The
//! table `longshore/meta` holds the file's format, the revision and the version of each table's rows.
//!
//! **Durability.** A batch is one redb transaction with `Durability::Immediate` and one-phase commit: pages and the new
//! root are written together, guarded by checksums, and one fsync ends it. Two-phase commit would add a second fsync
//! against an attacker who controls both contents and the order of a crash's writes; quick-repair implies it. Without
//! quick-repair, opening after a crash walks the file once. That is little next to reading all of it, which we do anyway.
//!
//! **A full disk.** redb refuses everything after an I/O error until the file is opened again. So an error closes it, and
//! each later commit first tries to open it. The lock stays with us meanwhile. What a commit finds no room for is tried once
//! more with the room of a reserve (see `reserve`).
//!
//! **A failing disk.** After any other error nobody knows what the file holds (see `file`), and all rows are in memory: the
//! next commit writes them to a new file beside the old one, which takes its place once it is durable.
//!
//! **A damaged file.** Some damage makes redb panic instead of returning an error. No byte on disk may do that to us, so
//! each call into it is guarded.

use super::file::{self, Flush, FlushToDisk, StoreFile};
use super::reserve::Reserve;
use super::{Batch, Engine, FullDisk, Meta, RowVisitor};
use crate::StoreError;
use redb::{Database, ReadableDatabase, ReadableTable, StorageError, TableDefinition, TableHandle};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;

type Rows<'a> = TableDefinition<'a, &'static [u8], &'static [u8]>;
const META: TableDefinition<'static, &str, u64> = TableDefinition::new("longshore/meta");
const META_FORMAT: &str = "format";
const META_REVISION: &str = "revision";
const META_VERSION_PREFIX: &str = "version/";
/// Layout of the file. Another number is refused.
const FORMAT: u64 = 1;
/// All rows are in memory above; redb needs its cache for the inner pages of what is written only.
const CACHE_BYTES: usize = 16 << 20;
/// What a thread reads at the start goes to the one that parses in batches of about this size.
const READ_BATCH_BYTES: usize = 64 << 10;
/// Batches that wait to be parsed.
const READ_AHEAD: usize = 8;

/// Rows in a redb file.
pub struct RedbEngine {
    path: PathBuf,
    file: StoreFile,
    /// `None` after an I/O error, until the file opens again or another is in its place.
    database: Option<Database>,
    reserve: Option<Reserve>,
}

impl RedbEngine {
    /// Opens the file, or creates it readable by its owner only (it holds secrets). The directory must exist.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        Self::open_flushing(path.into(), Arc::new(FlushToDisk))
    }

    fn open_flushing(path: PathBuf, flush: Arc<dyn Flush>) -> Result<Self, StoreError> {
        let failed = |action, error: io::Error| redb_error(&path, action, error.into());
        let is_new = !path.exists();
        let file = StoreFile::open(&path, flush).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => StoreError::InUse { path: path.clone() },
            _ => failed("open", error),
        })?;
        // One that was not finished; it takes room.
        let _ = file::remove_if_there(&beside(&path));
        let database = guarded(&path, || open_database(&path, file.clone()))?;
        if is_new {
            // Without this the file itself, not only its contents, could be gone after a power failure.
            file::sync_directory_of(&path).map_err(|error| failed("create", error))?;
        }
        Ok(Self { path, file, database: Some(database), reserve: None })
    }

    /// Keeps a file of this size named `reserve` beside the store's, for when the disk is full.
    #[must_use]
    pub fn with_reserve(mut self, bytes: u64) -> Self {
        self.reserve = Some(Reserve::open(self.path.with_file_name("reserve"), bytes));
        self
    }

    fn io(&self, action: &'static str, error: impl Into<redb::Error>) -> StoreError {
        redb_error(&self.path, action, error.into())
    }

    fn database(&self) -> Result<&Database, StoreError> {
        self.database.as_ref().ok_or_else(|| self.io("read", redb::Error::PreviousIo))
    }
}

impl Engine for RedbEngine {
    fn meta(&mut self) -> Result<Meta, StoreError> {
        let database = self.database()?;
        let read = || read_meta(database).map_err(|error| self.io("read", error));
        let (format, meta) = guarded(&self.path, read)?;
        if format != FORMAT {
            let reason = format!("its format is {format}, this release reads format {FORMAT}");
            return Err(StoreError::Corrupt { path: self.path.clone(), reason });
        }
        Ok(meta)
    }

    fn load(&mut self, row: &mut RowVisitor<'_>) -> Result<(), StoreError> {
        let engine = &*self;
        let database = engine.database()?;
        let (batches, read) = mpsc::sync_channel(READ_AHEAD);
        thread::scope(|scope| {
            let reader = scope.spawn(move || {
                guarded(&engine.path, || read_rows(database, &batches).map_err(|error| engine.io("read", error)))
            });
            for batch in read {
                batch.rows().try_for_each(|(key, value)| row(&batch.table, key, value))?;
            }
            reader.join().expect("its panics are caught")
        })
    }

    fn commit(&mut self, batch: &Batch<'_>) -> Result<(), StoreError> {
        let mut committed = self.attempt(batch);
        if committed.as_ref().is_err_and(StoreError::is_full)
            && self.reserve.as_mut().is_some_and(|reserve| reserve.release((!batch.whole).then_some(&self.file)))
            // A flush may fail for want of room, too. Then the next batch has to be whole.
            && (batch.whole || !self.file.is_doubtful())
        {
            committed = self.attempt(batch);
        }
        if let Err(StoreError::Corrupt { .. }) = &committed {
            self.file.doubt();
        }
        committed
    }

    fn is_doubtful(&self) -> bool {
        self.file.is_doubtful()
    }

    fn full_disk(&mut self) -> Option<FullDisk> {
        self.reserve.as_mut()?.look()
    }
}

impl RedbEngine {
    fn attempt(&mut self, batch: &Batch<'_>) -> Result<(), StoreError> {
        if batch.whole { self.replace(batch) } else { self.change(batch) }
    }

    fn change(&mut self, batch: &Batch<'_>) -> Result<(), StoreError> {
        let before = self.database.take();
        let database = guarded(&self.path, || {
            let database = match before {
                Some(database) => database,
                None => open_database(&self.path, self.file.clone())?,
            };
            // On an error the database is dropped here, which closes the file; the next commit opens it again.
            write(&database, batch).map_err(|error| self.io("write", error))?;
            Ok(database)
        })?;
        self.database = Some(database);
        Ok(())
    }

    /// Writes a new file and puts it in the place of this one.
    fn replace(&mut self, batch: &Batch<'_>) -> Result<(), StoreError> {
        self.database = None;
        let new = beside(&self.path);
        let made = guarded(&new, || {
            let file = self.file.create(&new).map_err(|error| redb_error(&new, "create", error.into()))?;
            let database = open_database(&new, file.clone())?;
            write(&database, batch).map_err(|error| redb_error(&new, "write", error))?;
            std::fs::rename(&new, &self.path).map_err(|error| self.io("replace", error))?;
            Ok((file, database))
        });
        let (file, database) = made.inspect_err(|_| drop(file::remove_if_there(&new)))?;
        self.file = file;
        // Until the name is durable as well, a power failure may bring the old file back.
        file::sync_directory_of(&self.path).map_err(|error| {
            self.file.doubt();
            self.io("replace", error)
        })?;
        tracing::info!(path = %self.path.display(), "the store was written anew after an error of the disk");
        self.database = Some(database);
        Ok(())
    }
}

/// Where the file that is to replace the one at `path` is written.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// Turns a panic of redb over what it finds in the file into an error that says so.
fn guarded<T>(path: &Path, call: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    // Nothing of what `call` captured is used after a panic: a database it held is dropped with it.
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| {
        let reason = "its pages contradict each other".to_owned();
        Err(StoreError::Corrupt { path: path.to_owned(), reason })
    })
}

fn read_meta(database: &Database) -> Result<(u64, Meta), redb::Error> {
    let (mut format, mut meta) = (FORMAT, Meta::default());
    let tx = database.begin_read()?;
    let table = match tx.open_table(META) {
        Ok(table) => table,
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok((format, meta)),
        Err(error) => return Err(error.into()),
    };
    for entry in table.iter()? {
        let (key, value) = entry?;
        let (key, value) = (key.value(), value.value());
        match key.strip_prefix(META_VERSION_PREFIX) {
            Some(name) => meta.versions.push((name.to_owned(), u32::try_from(value).unwrap_or(u32::MAX))),
            None if key == META_REVISION => meta.revision = value,
            None if key == META_FORMAT => format = value,
            None => {}
        }
    }
    Ok((format, meta))
}

/// Rows of one table, end to end.
struct ReadBatch {
    table: Arc<str>,
    bytes: Vec<u8>,
    /// Where the key and the value of each end.
    ends: Vec<(usize, usize)>,
}

impl ReadBatch {
    fn of(table: &Arc<str>) -> Self {
        Self { table: Arc::clone(table), bytes: Vec::with_capacity(2 * READ_BATCH_BYTES), ends: Vec::new() }
    }

    fn add(&mut self, key: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.ends.push((key_end, self.bytes.len()));
    }

    fn rows(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(_, end)| *end));
        starts.zip(&self.ends).map(|(start, (key, end))| (&self.bytes[start..*key], &self.bytes[*key..*end]))
    }
}

/// Sends all rows, until nobody wants them.
fn read_rows(database: &Database, batches: &mpsc::SyncSender<ReadBatch>) -> Result<(), redb::Error> {
    let tx = database.begin_read()?;
    for table in tx.list_tables()?.filter(|table| table.name() != META.name()) {
        let name = Arc::from(table.name());
        let mut batch = ReadBatch::of(&name);
        for entry in tx.open_table(Rows::new(&name))?.iter()? {
            let (key, value) = entry?;
            batch.add(key.value(), value.value());
            if batch.bytes.len() > READ_BATCH_BYTES {
                let full = std::mem::replace(&mut batch, ReadBatch::of(&name));
                if batches.send(full).is_err() {
                    return Ok(());
                }
            }
        }
        if batches.send(batch).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

fn write(database: &Database, batch: &Batch<'_>) -> Result<(), redb::Error> {
    let tx = database.begin_write()?;
    for changes in batch.changes.chunk_by(|one, next| one.table == next.table) {
        let mut table = tx.open_table(Rows::new(changes[0].table))?;
        for change in changes {
            match &change.value {
                Some(value) => table.insert(&*change.key, &**value)?,
                None => table.remove(&*change.key)?,
            };
        }
    }
    {
        let mut meta = tx.open_table(META)?;
        meta.insert(META_REVISION, batch.revision)?;
        if !batch.versions.is_empty() {
            meta.insert(META_FORMAT, FORMAT)?;
        }
        for (table, version) in &batch.versions {
            meta.insert(&*format!("{META_VERSION_PREFIX}{table}"), u64::from(*version))?;
        }
    }
    tx.commit()?;
    Ok(())
}

fn open_database(path: &Path, file: StoreFile) -> Result<Database, StoreError> {
    let shown = path.to_owned();
    redb::Builder::new()
        .set_cache_size(CACHE_BYTES)
        .set_repair_callback(move |repair| {
            tracing::debug!(path = %shown.display(), progress = repair.progress(), "checking the store after a crash");
        })
        .create_with_backend(file)
        .map_err(|error| redb_error(path, "open", error.into()))
}

fn redb_error(path: &Path, action: &'static str, error: redb::Error) -> StoreError {
    let path = path.to_owned();
    match error {
        redb::Error::DatabaseAlreadyOpen => StoreError::InUse { path },
        redb::Error::Corrupted(reason) => StoreError::Corrupt { path, reason },
        redb::Error::UpgradeRequired(version) => {
            StoreError::Corrupt { path, reason: format!("its redb file format {version} is not supported") }
        }
        redb::Error::RepairAborted => StoreError::Corrupt { path, reason: "its repair was aborted".to_owned() },
        // redb reports a file that is no redb file this way.
        redb::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            StoreError::Corrupt { path, reason: error.to_string() }
        }
        redb::Error::Io(error) => StoreError::Io { action, path, source: Arc::new(error) },
        redb::Error::PreviousIo => StoreError::Io { action, path, source: Arc::new(StorageError::PreviousIo) },
        other => StoreError::Io { action, path, source: Arc::new(other) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Exists, Schema, Store, table};
    use std::collections::HashMap;
    use std::fs::File;
    use std::os::unix::fs::{FileExt, MetadataExt};
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

    table! { Notes: "notes", String => String {} }
    table! { Later: "later", String => u32 {} }

    const PAGE: usize = 4096;

    /// A kernel over a disk that fails for a while: pages that it cannot write are clean afterwards.
    #[derive(Debug, Default)]
    struct Disk {
        fails: AtomicBool,
        once: AtomicBool,
        /// With which error; 0 is EIO.
        errno: AtomicI32,
        /// Of each inode.
        files: Mutex<HashMap<u64, Pages>>,
    }

    #[derive(Debug, Default)]
    struct Pages {
        /// As of the last flush, whatever came of it.
        clean: Vec<u8>,
        durable: Vec<u8>,
    }

    impl Flush for Disk {
        fn flush(&self, file: &File) -> io::Result<()> {
            let metadata = file.metadata()?;
            let mut now = vec![0; metadata.len() as usize];
            file.read_exact_at(&mut now, 0)?;
            let mut files = self.files.lock().unwrap();
            let pages = files.entry(metadata.ino()).or_default();
            let before = std::mem::replace(&mut pages.clean, now.clone());
            if self.fails.load(Ordering::Relaxed) {
                self.fail(!self.once.swap(false, Ordering::Relaxed));
                let errno = self.errno.load(Ordering::Relaxed);
                return Err(io::Error::from_raw_os_error(if errno == 0 { 5 } else { errno }));
            }
            pages.durable.resize(now.len(), 0);
            for (at, page) in now.chunks(PAGE).enumerate() {
                let range = at * PAGE..at * PAGE + page.len();
                if before.get(range.clone()) != Some(page) {
                    pages.durable[range].copy_from_slice(page);
                }
            }
            Ok(())
        }
    }

    impl Disk {
        fn fail_once(&self) {
            self.once.store(true, Ordering::Relaxed);
            self.fail(true);
        }

        fn fail(&self, fails: bool) {
            self.fails.store(fails, Ordering::Relaxed);
        }

        /// What a power failure leaves of the file at `path`.
        fn durable(&self, path: &Path) -> Vec<u8> {
            let inode = std::fs::metadata(path).unwrap().ino();
            self.files.lock().unwrap()[&inode].durable.clone()
        }
    }

    fn open(path: &Path, disk: &Arc<Disk>, schema: Schema) -> Store {
        let engine = RedbEngine::open_flushing(path.to_owned(), Arc::clone(disk) as Arc<dyn Flush>).unwrap();
        assert!(!engine.is_doubtful());
        Store::with_engine(engine, schema).unwrap()
    }

    fn put(store: &Store, key: &str, text: &str) -> Result<(), StoreError> {
        let (key, text) = (key.to_owned(), text.to_owned());
        let put = store.write_blocking(move |tx| Ok::<_, Exists>(tx.table_mut::<Notes>().put(key, text)))?;
        put.map(drop).map_err(|_| StoreError::Closed)
    }

    fn notes(store: &Store) -> Vec<(String, String)> {
        store.snapshot().table::<Notes>().all().entries().map(|(key, text)| (key, (*text).clone())).collect()
    }

    #[test]
    fn what_is_acknowledged_after_a_failed_flush_survives_a_power_failure() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.redb");
        let disk = Arc::new(Disk::default());
        let all = || Schema::new().with::<Notes>().with::<Later>();
        let newer = open(&path, &disk, all());
        newer.write_blocking(|tx| tx.table_mut::<Later>().insert("kept".into(), 7)).unwrap().unwrap();
        drop(newer);

        let store = open(&path, &disk, Schema::new().with::<Notes>());
        for number in 0..100 {
            put(&store, &format!("early-{number:03}"), &"x".repeat(500)).unwrap();
        }
        let acknowledged = notes(&store);
        disk.fail(true);
        for _ in 0..3 {
            // It splits a page, and undoing it later writes one half only.
            let refused = put(&store, "early-050-and", &"y".repeat(2000));
            assert!(matches!(refused, Err(StoreError::Io { .. })), "{refused:?}");
            assert_eq!(notes(&store), acknowledged, "reading goes on");
        }
        disk.fail(false);
        put(&store, "last", "acknowledged").unwrap();
        assert!(!beside(&path).exists());
        let left = disk.durable(&path);
        drop(store);
        std::fs::write(&path, left).unwrap();

        let store = open(&path, &disk, all());
        let last = ("last".to_owned(), "acknowledged".to_owned());
        assert_eq!(notes(&store), [acknowledged, vec![last]].concat());
        assert_eq!(store.snapshot().table::<Later>().get(&"kept".into()), Some(7.into()), "of a newer release");
        put(&store, "again", "as ever").unwrap();
    }

    #[test]
    fn a_flush_that_finds_no_room_is_not_believed_the_second_time() {
        const ENOSPC: i32 = 28;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.redb");
        let disk = Arc::new(Disk { errno: ENOSPC.into(), ..Disk::default() });
        let engine = RedbEngine::open_flushing(path.clone(), Arc::clone(&disk) as Arc<dyn Flush>).unwrap();
        let store = Store::with_engine(engine.with_reserve(1 << 20), Schema::new().with::<Notes>()).unwrap();
        put(&store, "early", "kept").unwrap();
        // The disk that fails once has room for all that is tried after that.
        disk.fail_once();
        let refused = put(&store, "a", &"x".repeat(20_000));
        assert!(matches!(refused, Err(StoreError::Io { .. })), "{refused:?}");
        put(&store, "last", "acknowledged").unwrap();
        let (acknowledged, left) = (notes(&store), disk.durable(&path));
        drop(store);
        std::fs::write(&path, left).unwrap();
        assert_eq!(notes(&open(&path, &disk, Schema::new().with::<Notes>())), acknowledged);
    }

    #[test]
    fn the_file_stays_locked_while_the_disk_fails_and_after_it_was_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("store.redb");
        let disk = Arc::new(Disk::default());
        let store = open(&path, &disk, Schema::new().with::<Notes>());
        disk.fail(true);
        put(&store, "a", "lost").unwrap_err();
        assert!(matches!(RedbEngine::open(&path), Err(StoreError::InUse { .. })));
        disk.fail(false);
        put(&store, "a", "kept").unwrap();
        assert!(matches!(RedbEngine::open(&path), Err(StoreError::InUse { .. })));
    }
}

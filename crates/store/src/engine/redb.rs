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
//! **A failing disk.** redb refuses everything after an I/O error until the file is opened again. So an error closes it,
//! and each later commit first tries to open it.
//!
//! **A damaged file.** Some damage makes redb panic instead of returning an error. No byte on disk may do that to us, so
//! each call into it is guarded.

use super::{Batch, Engine, Meta, RowVisitor};
use crate::StoreError;
use redb::{Database, ReadableDatabase, ReadableTable, StorageError, TableDefinition, TableHandle};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

type Rows<'a> = TableDefinition<'a, &'static [u8], &'static [u8]>;
const META: TableDefinition<'static, &str, u64> = TableDefinition::new("longshore/meta");
const META_FORMAT: &str = "format";
const META_REVISION: &str = "revision";
const META_VERSION_PREFIX: &str = "version/";
/// Layout of the file. Another number is refused.
const FORMAT: u64 = 1;
/// All rows are in memory above; redb needs its cache for the inner pages of what is written only.
const CACHE_BYTES: usize = 16 << 20;

/// Rows in a redb file.
pub struct RedbEngine {
    path: PathBuf,
    /// `None` after an I/O error, until the file opens again.
    database: Option<Database>,
}

impl RedbEngine {
    /// Opens the file, or creates it readable by its owner only (it holds secrets). The directory must exist.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path = path.into();
        let database = guarded(&path, || open_database(&path))?;
        Ok(Self { path, database: Some(database) })
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
        // Two kinds of error cross the reading loop; the visitor's waits here.
        let mut refused = Ok(());
        let database = self.database()?;
        let visit = |table: &str, key: &[u8], value: &[u8]| {
            refused = row(table, key, value);
            refused.is_ok()
        };
        guarded(&self.path, || read_rows(database, visit).map_err(|error| self.io("read", error)))?;
        refused
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let before = self.database.take();
        let database = guarded(&self.path, || {
            let database = match before {
                Some(database) => database,
                None => open_database(&self.path)?,
            };
            // On an error the database is dropped here, which closes the file; the next commit opens it again.
            write(&database, batch).map_err(|error| self.io("write", error))?;
            Ok(database)
        })?;
        self.database = Some(database);
        Ok(())
    }
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

/// Visits rows until `row` says false.
fn read_rows(database: &Database, mut row: impl FnMut(&str, &[u8], &[u8]) -> bool) -> Result<(), redb::Error> {
    let tx = database.begin_read()?;
    let names: Vec<String> = tx.list_tables()?.map(|table| table.name().to_owned()).collect();
    for name in names.iter().filter(|name| *name != META.name()) {
        for entry in tx.open_table(Rows::new(name))?.iter()? {
            let (key, value) = entry?;
            if !row(name, key.value(), value.value()) {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn write(database: &Database, batch: &Batch) -> Result<(), redb::Error> {
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

fn open_database(path: &Path) -> Result<Database, StoreError> {
    let io = |action, error: std::io::Error| redb_error(path, action, error.into());
    let is_new = !path.exists();
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| io("open", error))?;
    let shown = path.to_owned();
    let database = redb::Builder::new()
        .set_cache_size(CACHE_BYTES)
        .set_repair_callback(move |repair| {
            tracing::debug!(path = %shown.display(), progress = repair.progress(), "checking the store after a crash");
        })
        .create_file(file)
        .map_err(|error| redb_error(path, "open", error.into()))?;
    if is_new {
        // Without this the file itself, not only its contents, could be gone after a power failure.
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent).and_then(|dir| dir.sync_all()).map_err(|error| io("create", error))?;
    }
    Ok(database)
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

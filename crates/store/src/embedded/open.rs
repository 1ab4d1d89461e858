//! Opening the file: create it whole or not at all, refuse what is not ours, look for damage before anything is written.

use super::{
    Missing, Settings, read,
    schema::{APPLICATION_ID, CREATE, FORMAT, MIGRATIONS},
    wal, writer,
};
use crate::Error;
use rusqlite::{Connection, OpenFlags};
use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, Permissions},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

/// Only this user may read the store: it holds payloads and sealed secrets.
const MODE: u32 = 0o600;
/// A file up to this size is verified whole at each start, in well under a second; a larger one when asked.
const VERIFIED_AT_OPEN_BYTES_MAX: u64 = 64 << 20;
/// Every statement of this crate has its place in each connection's cache.
const STATEMENTS_MAX: usize = 64;
/// A connection waits so long for another's lock; they are held for moments (recovery, a checkpoint's reset).
const LOCK_WAIT_MAX: Duration = Duration::from_secs(5);
/// The writer's pages: a few thousand parked rows with their indexes are changed without being read again.
const WRITER_CACHE_KIB: i64 = 8 << 10;
/// A commit that finds the write-ahead file longer than so many pages (16 MiB) moves them into the file: seldom, because
/// a page that changes often is then moved once, and short enough to be read at a start in no time.
const CHECKPOINT_PAGES: u32 = 4_096;
/// The write-ahead file is cut to this once a checkpoint has emptied it.
const WAL_BYTES_KEPT: u64 = 32 << 20;

/// Opens the writer's connection, having created the file where that is allowed.
pub(super) fn writer(path: &Path, settings: &Settings) -> Result<Connection, Error> {
    if !path.try_exists().map_err(|error| io(path, &error))? {
        create_if_allowed(path, settings.missing)?;
    }
    fs::set_permissions(path, Permissions::from_mode(MODE)).map_err(|error| io(path, &error))?;
    wal::check(&beside(path, "-wal"))?;
    let connection = connect(path)?;
    check_format(&connection)?;
    check_damage(&connection, path)?;
    set_up_writer(&connection, settings)?;
    migrate(&connection)?;
    Ok(connection)
}

/// Opens one more connection, for reading.
pub(super) fn reader(path: &Path) -> Result<Connection, Error> {
    let connection = connect(path)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn connect(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(LOCK_WAIT_MAX)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(connection)
}

fn set_up_writer(connection: &Connection, settings: &Settings) -> Result<(), Error> {
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(Error::Engine(format!("journal mode is {mode}, not wal")));
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    connection.query_row(&format!("PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}"), [], |_| {
        Ok(())
    })?;
    connection.query_row(&format!("PRAGMA journal_size_limit = {WAL_BYTES_KEPT}"), [], |_| Ok(()))?;
    if let Some(bytes) = settings.bytes_max {
        let page: u32 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        connection.query_row(
            &format!("PRAGMA max_page_count = {}", bytes.div_ceil(page.into())),
            [],
            |_| Ok(()),
        )?;
    }
    Ok(())
}

/// Makes a file of an earlier format one of this format: in one transaction, so that a crash leaves the one or the other.
fn migrate(connection: &Connection) -> Result<(), Error> {
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found == FORMAT {
        return Ok(());
    }
    tracing::info!(from = found, to = FORMAT, "the store's format is raised");
    let steps = MIGRATIONS[found as usize - 1..].concat();
    let raised = connection.execute_batch(&format!(
        "BEGIN IMMEDIATE; {steps} PRAGMA user_version = {FORMAT}; COMMIT"
    ));
    if raised.is_err() && !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    Ok(raised?)
}

fn check_format(connection: &Connection) -> Result<(), Error> {
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let found: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if application != APPLICATION_ID || found == 0 {
        return Err(Error::Corrupt(
            "the file is not a store, or its beginning is lost".to_owned(),
        ));
    }
    if found > FORMAT {
        return Err(Error::UnknownFormat { found, known: FORMAT });
    }
    Ok(())
}

fn check_damage(connection: &Connection, path: &Path) -> Result<(), Error> {
    writer::revision(connection)?;
    let bytes = fs::metadata(path).map_err(|error| io(path, &error))?.len();
    if bytes <= VERIFIED_AT_OPEN_BYTES_MAX {
        verify(connection)
    } else {
        Ok(())
    }
}

/// Compares every index with its table, and every row with its sum.
pub(super) fn verify(connection: &Connection) -> Result<(), Error> {
    let answer: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if answer != "ok" {
        return Err(Error::Corrupt(answer));
    }
    read::verify_rows(connection)
}

/// A new store is made beside its place and moved there when it is complete, so that a file without a schema is always
/// damage and never silently becomes an empty store.
fn create_if_allowed(path: &Path, missing: Missing) -> Result<(), Error> {
    if missing == Missing::Refuse || beside(path, "-wal").exists() {
        return Err(Error::Corrupt(format!("{} is missing", path.display())));
    }
    let new = beside(path, ".new");
    create(&new)?;
    fs::rename(&new, path).map_err(|error| io(path, &error))?;
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| io(directory, &error))
}

fn create(new: &Path) -> Result<(), Error> {
    let options = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(MODE)
        .clone();
    options.open(new).map_err(|error| io(new, &error))?;
    let connection = connect(new)?;
    connection.pragma_update(None, "synchronous", "EXTRA")?;
    connection.execute_batch(&format!(
        "BEGIN; {CREATE} {} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT};",
        MIGRATIONS.concat()
    ))?;
    writer::save_revision(&connection, 0)?;
    connection.execute_batch("COMMIT")?;
    connection.close().map_err(|(_, error)| error.into())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

pub(super) fn io(path: &Path, error: &std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::StorageFull => Error::OutOfSpace,
        _ => Error::Engine(format!("{}: {error}", path.display())),
    }
}

//! How a connection is opened: the writer's one, and the readers'.

use crate::file_permissions;
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a statement waits for another process's lock (a backup tool's, a person's shell) before
/// it fails with "locked" and the writer's own retry takes over.
pub(crate) const BUSY_MS_MAX: u64 = 250;
/// Statements that a connection keeps prepared; more than there are.
const STATEMENTS_MAX: usize = 64;
/// Bytes of a page: SQLite's own choice for a new database.
const PAGE_BYTES: i64 = 4_096;
/// SQLite's page cache for the writer, KiB.
const WRITER_CACHE_KIB: i64 = 8 * 1024;
/// SQLite's page cache for each reader, KiB. The kernel's page cache stands behind it.
const READER_CACHE_KIB: i64 = 2 * 1024;

/// When a commit is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Synchronous {
    /// When it returns: one fsync each.
    AtCommit,
    /// When the next checkpoint has copied it: a power cut takes the last commits, whole ones, and
    /// the log of the cluster brings them again.
    AtCheckpoint,
}

impl Synchronous {
    fn as_pragma(self) -> &'static str {
        match self {
            Self::AtCommit => "FULL",
            Self::AtCheckpoint => "NORMAL",
        }
    }
}

/// The writer's connection: WAL, one fsync a commit, checkpoints only when asked for. Makes the file
/// if it is not there, for its owner alone: only for the start.
pub(crate) fn create_writer(path: &Path) -> rusqlite::Result<Connection> {
    // What cannot be made, SQLite says better.
    let _ = file_permissions::create_file(path);
    open_writer_with(path, OpenFlags::SQLITE_OPEN_CREATE, Synchronous::AtCommit)
}

/// As [`create_writer`], of a file that was there before: one that is gone (a volume that vanished)
/// is not made anew in its place.
pub(crate) fn open_writer(path: &Path, synchronous: Synchronous) -> rusqlite::Result<Connection> {
    open_writer_with(path, OpenFlags::empty(), synchronous)
}

fn open_writer_with(
    path: &Path,
    added: OpenFlags,
    synchronous: Synchronous,
) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | added;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_millis(BUSY_MS_MAX))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    debug_assert_eq!(mode, "wal");
    connection.execute_batch(&format!(
        "PRAGMA synchronous = {};
         PRAGMA foreign_keys = OFF;
         PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -{WRITER_CACHE_KIB};
         PRAGMA wal_autocheckpoint = 0;",
        synchronous.as_pragma()
    ))?;
    Ok(connection)
}

/// Rewrites a database whose pages are of another size than this program's: snapshots of it could not
/// take the place of the others' databases. Not while anybody uses it.
pub(crate) fn set_page_size(path: &Path) -> rusqlite::Result<()> {
    // Where there is none it would be made here; what cannot be made, SQLite says better.
    let _ = file_permissions::create_file(path);
    let connection = Connection::open(path)?;
    if read_pragma(&connection, "page_size")? == PAGE_BYTES {
        return Ok(());
    }
    // The size cannot be changed in WAL mode.
    connection.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
    connection.execute_batch(&format!("PRAGMA page_size = {PAGE_BYTES}; VACUUM"))
}

/// A reader's connection: cannot write.
pub(crate) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_millis(BUSY_MS_MAX))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    connection.execute_batch(&format!(
        "PRAGMA query_only = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -{READER_CACHE_KIB};"
    ))?;
    Ok(connection)
}

/// Reads the whole database through: what is wrong with it, if anything is.
pub(crate) fn quick_check(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let report: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok((report != "ok").then_some(report))
}

/// The number that SQLite keeps under `name`.
pub(crate) fn read_pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

/// The file that SQLite, or who copies the database, keeps beside it: its name with `ending`.
pub(crate) fn sibling_path(database: &Path, ending: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Copies what the write-ahead log holds into the database as far as readers allow, without
/// hindering the writer. Whether all of it was copied.
pub(crate) fn checkpoint_passively(connection: &Connection) -> rusqlite::Result<bool> {
    checkpoint(connection, "PASSIVE")
}

/// Copies all of the log, waits for readers up to [`BUSY_MS_MAX`], and cuts the log to nothing.
/// Whether that was achieved.
pub(crate) fn checkpoint_and_truncate(connection: &Connection) -> rusqlite::Result<bool> {
    checkpoint(connection, "TRUNCATE")
}

fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<bool> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        let (busy, in_log, copied): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(busy == 0 && in_log == copied)
    })
}

//! The log's file, `raft.db`: one SQLite database at `synchronous=FULL`, one connection that writes.

use super::RaftLogError;
use super::row_encoding;
use crate::disk::WalPages;
use crate::fault_injection::{DiskOperation, FaultInjector};
use crate::file_permissions;
use crate::replication::{NodeId, TypeConfig};
use crate::sqlite::connection;
use openraft::{Entry, LogId, Vote};
use rusqlite::{
    Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::time::Duration;

/// The schema version.
const LOG_SCHEMA_VERSION: i64 = 1;
/// Identifies the file (`PRAGMA application_id`): "cdrl".
const LOG_APPLICATION_ID: i32 = 0x6364_726c;
/// SQLite's page cache, KiB: entries are written once and read from memory.
const CACHE_KIB: i64 = 4 * 1024;
/// How long to wait for the lock of another process (a shell, a backup tool).
const BUSY_MAX: Duration = Duration::from_millis(2_000);
/// Entries removed in one transaction.
pub(super) const PURGE_STEP_ENTRIES: u64 = 128;
/// Free pages kept in the file for the next entries (16 MiB); the others are given back.
const FREE_PAGES_MAX: i64 = 4_096;
/// Free pages given back at once.
const FREE_PAGES_STEP: i64 = 512;
/// Bytes that a row takes beside its body, roughly.
pub(super) const ROW_BYTES: u64 = 32;

const TABLES: &str = "
CREATE TABLE entries (
  log_index INTEGER PRIMARY KEY,
  checksum INTEGER NOT NULL,
  body BLOB NOT NULL
);
CREATE TABLE marks (
  name TEXT PRIMARY KEY,
  checksum INTEGER NOT NULL,
  body BLOB NOT NULL
) WITHOUT ROWID;
";

/// The names of the values in the table `marks`.
pub(crate) mod meta_key {
    pub(crate) const VOTE: &str = "vote";
    pub(crate) const COMMITTED: &str = "committed";
    pub(crate) const PURGED: &str = "purged";
    pub(crate) const IDENTITY: &str = "identity";
    /// Followed by the node's id.
    pub(crate) const PEER: &str = "peer:";
}

/// What the log held when it was opened.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct LogContents {
    pub vote: Option<Vote<NodeId>>,
    pub committed: Option<LogId<NodeId>>,
    pub purged: Option<LogId<NodeId>>,
    /// Of the last entry; that of the last purged one if there is none.
    pub last: Option<LogId<NodeId>>,
    /// The index of the first entry, if there is one.
    pub first_index: Option<u64>,
    pub bytes: u64,
}

impl LogContents {
    /// The index after the last entry.
    pub(crate) fn end(&self) -> u64 {
        self.last.map_or(0, |last| last.index + 1)
    }
}

/// See the module.
pub(crate) struct LogFile {
    connection: Connection,
    faults: FaultInjector,
    wal_pages: WalPages,
}

impl LogFile {
    /// Makes the file, which must not be there, with its tables.
    pub(crate) fn create(path: &Path, faults: FaultInjector) -> Result<Self, RaftLogError> {
        // Where this fails, the error of SQLite is the better one.
        let _ = file_permissions::create_file(path);
        let file = Self::connect(path, faults, OpenFlags::SQLITE_OPEN_CREATE)?;
        file.connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; {TABLES}
             PRAGMA application_id = {LOG_APPLICATION_ID}; PRAGMA user_version = {LOG_SCHEMA_VERSION}; COMMIT"
        ))?;
        Ok(file)
    }

    /// Opens the file and verifies it. After a failed fsync, pages may look written in the kernel's cache and
    /// not be on disk. So the write-ahead log is checkpointed into the database, which writes and syncs every
    /// page again; then every row is read.
    pub(crate) fn open(
        path: &Path,
        faults: FaultInjector,
    ) -> Result<(Self, LogContents), RaftLogError> {
        faults.inject(DiskOperation::RaftOpen)?;
        let file = Self::connect(path, faults, OpenFlags::empty())?;
        file.check_application_id()?;
        file.faults.inject(DiskOperation::RaftVerify)?;
        if !connection::checkpoint_and_truncate(&file.connection)? {
            return Err(RaftLogError::Disk("somebody else has it open".to_owned()));
        }
        if let Some(damage) = connection::quick_check(&file.connection)? {
            return Err(RaftLogError::Damaged(damage));
        }
        let contents = file.verify_rows()?;
        Ok((file, contents))
    }

    /// Opens the file to read its named values; it is not verified.
    pub(crate) fn peek(path: &Path) -> Result<Self, RaftLogError> {
        let file = Self::connect(path, FaultInjector::default(), OpenFlags::empty())?;
        file.check_application_id()?;
        Ok(file)
    }

    fn connect(path: &Path, faults: FaultInjector, added: OpenFlags) -> Result<Self, RaftLogError> {
        let mut connection = open_writer_with(path, added)?;
        let pages = WalPages::default();
        pages.install_hook(&mut connection)?;
        Ok(Self {
            connection,
            faults,
            wal_pages: pages,
        })
    }

    fn check_application_id(&self) -> Result<(), RaftLogError> {
        let pragma = |name| connection::read_pragma(&self.connection, name);
        if pragma("application_id")? != i64::from(LOG_APPLICATION_ID) {
            return Err(RaftLogError::Damaged("it is another database".to_owned()));
        }
        match pragma("user_version")? {
            version if version > LOG_SCHEMA_VERSION => Err(RaftLogError::Newer),
            _ => Ok(()),
        }
    }

    /// Reads every row: checksums, and that no index is missing.
    fn verify_rows(&self) -> Result<LogContents, RaftLogError> {
        let purged: Option<LogId<NodeId>> = self.meta(meta_key::PURGED)?;
        let mut contents = LogContents {
            vote: self.meta(meta_key::VOTE)?,
            committed: self.meta(meta_key::COMMITTED)?,
            purged,
            last: purged,
            ..LogContents::default()
        };
        let mut statement = self
            .connection
            .prepare("SELECT log_index, checksum, body FROM entries ORDER BY log_index")?;
        let mut rows = statement.query([])?;
        let mut next = purged.map_or(0, |purged| purged.index + 1);
        while let Some(row) = rows.next()? {
            let index = row.get::<_, i64>(0)?.cast_unsigned();
            let body = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
            row_encoding::check_row(&index.to_be_bytes(), body, row.get(1)?, || {
                format!("entry {index}")
            })?;
            if next != index {
                return Err(RaftLogError::Damaged(format!("no entry before {index}")));
            }
            next = index + 1;
            contents.first_index.get_or_insert(index);
            contents.bytes += ROW_BYTES + body.len() as u64;
        }
        if contents.first_index.is_some() {
            contents.last = self.log_id(next - 1)?;
        }
        Ok(contents)
    }

    /// The log id of the entry at `index`.
    pub(super) fn log_id(&self, index: u64) -> Result<Option<LogId<NodeId>>, RaftLogError> {
        let entries = read(&self.connection, index, index + 1, u64::MAX)?;
        Ok(entries.first().map(|entry| entry.log_id))
    }

    /// The entries of `range`, until their bodies exceed `bytes_max` (one at least).
    pub(crate) fn read(
        &self,
        range: std::ops::Range<u64>,
        bytes_max: u64,
    ) -> Result<Vec<Entry<TypeConfig>>, RaftLogError> {
        read(&self.connection, range.start, range.end, bytes_max)
    }

    /// The value of `name`.
    pub(crate) fn meta<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, RaftLogError> {
        let row = self
            .connection
            .query_row(
                "SELECT checksum, body FROM marks WHERE name = ?1",
                [name],
                |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?)),
            )
            .optional()?;
        row.map(|(sum, body)| decode_meta(name, sum, &body))
            .transpose()
    }

    /// All values whose names begin with `prefix`, by the rest of the name.
    pub(crate) fn meta_with_prefix<T: DeserializeOwned>(
        &self,
        prefix: &str,
    ) -> Result<Vec<(String, T)>, RaftLogError> {
        let mut statement = self
            .connection
            .prepare("SELECT name, checksum, body FROM marks WHERE substr(name, 1, ?2) = ?1")?;
        let mut rows = statement.query(params![prefix, prefix.len() as i64])?;
        let mut marks = Vec::new();
        while let Some(row) = rows.next()? {
            let name: String = row.get(0)?;
            let body: Vec<u8> = row.get(2)?;
            let mark = decode_meta(&name, row.get(1)?, &body)?;
            marks.push((name[prefix.len()..].to_owned(), mark));
        }
        Ok(marks)
    }

    /// Writes one named value in a transaction of its own; on disk when it returns.
    pub(crate) fn put_meta(
        &mut self,
        name: &str,
        value: &impl Serialize,
    ) -> Result<(), RaftLogError> {
        self.transact(|transaction| transaction.put_meta(name, value))
    }

    /// Writes in one transaction, on disk when it returns.
    pub(super) fn transact<T>(
        &mut self,
        work: impl FnOnce(&LogTransaction<'_>) -> Result<T, RaftLogError>,
    ) -> Result<T, RaftLogError> {
        self.faults.inject(DiskOperation::RaftBegin)?;
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let transaction = LogTransaction(transaction);
        let written = work(&transaction)?;
        self.faults.inject(DiskOperation::RaftCommit)?;
        transaction.0.commit()?;
        self.faults.inject(DiskOperation::RaftCommitted)?;
        Ok(written)
    }

    /// Pages in the write-ahead log after the last commit.
    pub(super) fn wal_pages(&self) -> WalPages {
        self.wal_pages.clone()
    }

    /// Copies the write-ahead log into the database as far as readers allow.
    pub(super) fn checkpoint(&self) -> Result<(), RaftLogError> {
        self.faults.inject(DiskOperation::RaftCheckpoint)?;
        connection::checkpoint_passively(&self.connection)?;
        Ok(())
    }

    /// Deletes the entries up to `upto` and notes them as purged; returns how many bytes that were. The caller
    /// gives at most [`PURGE_STEP_ENTRIES`].
    pub(super) fn purge(&mut self, upto: LogId<NodeId>) -> Result<u64, RaftLogError> {
        self.faults.inject(DiskOperation::RaftPurge)?;
        self.transact(|transaction| transaction.purge(upto))
    }

    /// Gives free pages back to the file system, a bounded number. Returns whether there are more.
    pub(super) fn shrink(&self) -> Result<bool, RaftLogError> {
        let free = connection::read_pragma(&self.connection, "freelist_count")?;
        if free <= FREE_PAGES_MAX {
            return Ok(false);
        }
        let mut statement = self
            .connection
            .prepare(&format!("PRAGMA incremental_vacuum({FREE_PAGES_STEP})"))?;
        let mut rows = statement.query([])?;
        while rows.next()?.is_some() {}
        Ok(free - FREE_PAGES_STEP > FREE_PAGES_MAX)
    }
}

fn decode_meta<T: DeserializeOwned>(name: &str, sum: u32, body: &[u8]) -> Result<T, RaftLogError> {
    row_encoding::check_row(name.as_bytes(), body, sum, || format!("the mark `{name}`"))?;
    row_encoding::from_bytes(body, name)
}

/// A transaction on the log.
pub(super) struct LogTransaction<'a>(Transaction<'a>);

impl LogTransaction<'_> {
    /// Writes an entry.
    pub(super) fn put_entry(&self, index: u64, body: &[u8]) -> Result<(), RaftLogError> {
        let sum = row_encoding::checksum(&index.to_be_bytes(), body);
        self.0
            .prepare_cached(
                "INSERT OR REPLACE INTO entries (log_index, checksum, body) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![index.cast_signed(), sum, body])?;
        Ok(())
    }

    /// Writes a named value.
    pub(super) fn put_meta(&self, name: &str, value: &impl Serialize) -> Result<(), RaftLogError> {
        self.put_encoded_meta(name, &row_encoding::to_bytes(value))
    }

    /// Writes a named value that is encoded already.
    pub(super) fn put_encoded_meta(&self, name: &str, body: &[u8]) -> Result<(), RaftLogError> {
        let sum = row_encoding::checksum(name.as_bytes(), body);
        self.0
            .prepare_cached(
                "INSERT INTO marks (name, checksum, body) VALUES (?1, ?2, ?3)
                 ON CONFLICT (name) DO UPDATE SET checksum = ?2, body = ?3",
            )?
            .execute(params![name, sum, body])?;
        Ok(())
    }

    /// Removes the entries from `since`; how many bytes that were, and the last entry left.
    pub(super) fn truncate(
        &self,
        since: u64,
    ) -> Result<(u64, Option<LogId<NodeId>>), RaftLogError> {
        let bytes = self.bytes("log_index >= ?1", since)?;
        self.0
            .prepare_cached("DELETE FROM entries WHERE log_index >= ?1")?
            .execute([since.cast_signed()])?;
        let before = since.saturating_sub(1);
        let last = read(&self.0, before, since, u64::MAX)?;
        Ok((bytes, last.first().map(|entry| entry.log_id)))
    }

    fn purge(&self, upto: LogId<NodeId>) -> Result<u64, RaftLogError> {
        let bytes = self.bytes("log_index <= ?1", upto.index)?;
        self.0
            .prepare_cached("DELETE FROM entries WHERE log_index <= ?1")?
            .execute([upto.index.cast_signed()])?;
        self.put_meta(meta_key::PURGED, &upto)?;
        Ok(bytes)
    }

    fn bytes(&self, which: &str, index: u64) -> Result<u64, RaftLogError> {
        let sql = format!(
            "SELECT COALESCE(SUM(LENGTH(body) + {ROW_BYTES}), 0) FROM entries WHERE {which}"
        );
        let bytes: i64 = self
            .0
            .prepare_cached(&sql)?
            .query_row([index.cast_signed()], |row| row.get(0))?;
        Ok(bytes.unsigned_abs())
    }
}

/// A connection for copying the write-ahead log beside the writing one.
pub(super) fn open_writer(path: &Path) -> Result<Connection, RaftLogError> {
    Ok(open_writer_with(path, OpenFlags::empty())?)
}

fn open_writer_with(path: &Path, added: OpenFlags) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | added;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_MAX)?;
    // Only a file without tables takes it: purged entries can be given back later.
    connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL")?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.execute_batch(&format!(
        "PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;
         PRAGMA cache_size = -{CACHE_KIB}; PRAGMA wal_autocheckpoint = 0;"
    ))?;
    Ok(connection)
}

/// A connection for reading entries beside the writing one.
pub(super) fn open_reader(path: &Path) -> Result<Connection, RaftLogError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_MAX)?;
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -1024")?;
    Ok(connection)
}

/// The entries from `start` up to before `end`, until their bodies exceed `bytes_max` (one at least).
pub(super) fn read(
    connection: &Connection,
    start: u64,
    end: u64,
    bytes_max: u64,
) -> Result<Vec<Entry<TypeConfig>>, RaftLogError> {
    let mut statement = connection.prepare_cached(
        "SELECT log_index, checksum, body FROM entries
         WHERE log_index >= ?1 AND log_index < ?2 ORDER BY log_index",
    )?;
    let mut rows = statement.query([start, end].map(to_sqlite_integer))?;
    let (mut entries, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let index = row.get::<_, i64>(0)?.cast_unsigned();
        let body = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
        bytes += body.len() as u64;
        if bytes > bytes_max && !entries.is_empty() {
            break;
        }
        entries.push(row_encoding::decode_entry(index, body, row.get(1)?)?);
    }
    Ok(entries)
}

/// SQLite's integers are signed: an index beyond them means "to the end".
fn to_sqlite_integer(index: u64) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}

//! The outbox (`outbox.db`): batches that wait on this instance's own disk while there is no primary
//! to take them, in the order in which they were made.
//!
//! Memory holds all that is in it, so nothing is read from it but at the start. A batch that has been
//! proposed may stay in it for a while: proposed again it changes nothing.

use crate::data_dir::OUTBOX_FILE;
use crate::disk::CommitError;
use crate::fault_injection::{DiskOperation, FaultInjector};
use crate::file_permissions;
use crate::sqlite::connection::{self, BUSY_MS_MAX, sibling_path};
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Batches that are kept though nobody takes them. At the bound the oldest goes, with a line in the log.
const UNREADABLE_ROWS_MAX: i64 = 1_000;
/// Bytes of its write-ahead log that are kept for the next batches.
const WAL_BYTES_MAX: u64 = 4 * 1024 * 1024;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS belongs (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  cluster_id TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS batches (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at_ms INTEGER NOT NULL,
  bytes BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS unreadable (
  id INTEGER PRIMARY KEY,
  at_ms INTEGER NOT NULL,
  bytes BLOB NOT NULL
);
";

/// A batch as it is kept.
pub(crate) struct OutboxBatch {
    /// Its row. Later batches have higher ones.
    pub id: i64,
    /// When its oldest write was made, Unix milliseconds.
    pub at_ms: i64,
    /// As [`crate::write::encode_batch`] made it.
    pub bytes: Vec<u8>,
}

/// See the module.
pub(crate) struct Outbox {
    path: PathBuf,
    cluster_id: String,
    faults: FaultInjector,
    connection: Option<Connection>,
    /// Rows up to this one have been proposed: they go with the next transaction.
    replicated_row: i64,
    /// The last row that was surely written.
    last_row: i64,
}

impl Outbox {
    /// Opens the outbox in `data_dir`, or makes it, and gives what waits in it. One of another
    /// cluster is set aside, as is a damaged one: never deleted, told loudly.
    pub(crate) fn open(
        data_dir: &Path,
        cluster_id: &str,
        faults: FaultInjector,
    ) -> Result<(Self, Vec<OutboxBatch>), CommitError> {
        let mut outbox = Self {
            path: data_dir.join(OUTBOX_FILE),
            cluster_id: cluster_id.to_owned(),
            faults,
            connection: None,
            replicated_row: 0,
            last_row: 0,
        };
        let connection = outbox.connect()?;
        let waiting = read(&connection)?;
        outbox.last_row = waiting.last().map_or(0, |saved| saved.id);
        outbox.connection = Some(connection);
        Ok((outbox, waiting))
    }

    /// What waits in it, if it is there and of `cluster_id`. Changes nothing.
    pub(crate) fn peek(data_dir: &Path, cluster_id: &str) -> Result<Vec<OutboxBatch>, CommitError> {
        let path = data_dir.join(OUTBOX_FILE);
        if !path.exists() {
            return Ok(Vec::new());
        }
        let connection = connection::open_reader(&path)?;
        let belongs = "SELECT cluster_id FROM belongs WHERE id = 1";
        let found: Option<String> = connection
            .query_row(belongs, [], |row| row.get(0))
            .optional()?;
        match found.as_deref() == Some(cluster_id) {
            true => Ok(read(&connection)?),
            false => Ok(Vec::new()),
        }
    }

    /// Appends `batches`, each with the time of its oldest write, in one transaction of one fsync.
    /// Their rows. After an error [`Outbox::recover`] comes before anything else.
    pub(crate) fn append(&mut self, batches: &[(i64, Vec<u8>)]) -> Result<Vec<i64>, CommitError> {
        self.with_connection(|outbox, connection| {
            let transaction = connection.transaction()?;
            remove_until(&transaction, outbox.replicated_row)?;
            let mut ids = Vec::with_capacity(batches.len());
            for (at_ms, bytes) in batches {
                transaction
                    .prepare_cached("INSERT INTO batches (at_ms, bytes) VALUES (?1, ?2)")?
                    .execute(params![at_ms, bytes])?;
                ids.push(transaction.last_insert_rowid());
            }
            outbox.faults.inject(DiskOperation::OutboxCommit)?;
            transaction.commit()?;
            outbox.last_row = ids.last().copied().unwrap_or(outbox.last_row);
            Ok(ids)
        })
    }

    /// Notes that the batches up to row `id` are on a majority; [`Outbox::remove_replicated`] removes them.
    pub(crate) fn mark_replicated(&mut self, id: i64) {
        self.replicated_row = self.replicated_row.max(id);
    }

    /// Removes what is settled.
    pub(crate) fn remove_replicated(&mut self) -> Result<(), CommitError> {
        self.with_connection(|outbox, connection| {
            outbox.faults.inject(DiskOperation::OutboxCommit)?;
            remove_until(connection, outbox.replicated_row)?;
            Ok(())
        })
    }

    /// After an error: opens the file anew, copies its log into it (which writes and syncs every page
    /// again) and reads it through. The rows that are in it and can be relied on.
    pub(crate) fn recover(&mut self) -> Result<Vec<i64>, CommitError> {
        self.connection = None;
        let connection = self.connect()?;
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        // What the failed transaction left is written again, in its order.
        connection.execute("DELETE FROM batches WHERE id > ?1", [self.last_row])?;
        let mut statement = connection.prepare("SELECT id FROM batches ORDER BY id")?;
        let ids = statement.query_map([], |row| row.get(0))?;
        let ids = ids.collect::<rusqlite::Result<Vec<i64>>>()?;
        drop(statement);
        if ids.is_empty() {
            // It may be a new file, which counts its rows anew.
            (self.replicated_row, self.last_row) = (0, 0);
        }
        self.connection = Some(connection);
        Ok(ids)
    }

    /// Whether an error came before, so that [`Outbox::recover`] must.
    pub(crate) fn needs_recovery(&self) -> bool {
        self.connection.is_none()
    }

    fn with_connection<T>(
        &mut self,
        work: impl FnOnce(&mut Self, &mut Connection) -> Result<T, CommitError>,
    ) -> Result<T, CommitError> {
        let Some(mut connection) = self.connection.take() else {
            return Err(CommitError::UnexpectedDatabase(
                "the outbox is not open".to_owned(),
            ));
        };
        let done = work(self, &mut connection)?;
        self.connection = Some(connection);
        Ok(done)
    }

    fn connect(&self) -> Result<Connection, CommitError> {
        self.faults.inject(DiskOperation::OutboxOpen)?;
        match open_verified(&self.path).and_then(|connection| self.check_cluster(connection)) {
            Ok(Some(connection)) => Ok(connection),
            Ok(None) => {
                rename_unusable(&self.path, "of-another-cluster")?;
                self.connect_anew()
            }
            Err(error) if error.kind() == "corrupt" => {
                tracing::error!(%error, "the outbox is damaged");
                rename_unusable(&self.path, "damaged")?;
                self.connect_anew()
            }
            Err(error) => Err(error),
        }
    }

    fn connect_anew(&self) -> Result<Connection, CommitError> {
        let connection = self.check_cluster(open_verified(&self.path)?)?;
        connection.ok_or_else(|| CommitError::UnexpectedDatabase("another outbox".to_owned()))
    }

    /// `None` if it holds batches of another cluster.
    fn check_cluster(&self, connection: Connection) -> Result<Option<Connection>, CommitError> {
        let found: Option<String> = connection
            .query_row("SELECT cluster_id FROM belongs WHERE id = 1", [], |row| {
                row.get(0)
            })
            .optional()?;
        let is_empty: bool =
            connection.query_row("SELECT NOT EXISTS (SELECT 1 FROM batches)", [], |row| {
                row.get(0)
            })?;
        if found.is_some_and(|found| found != self.cluster_id) && !is_empty {
            return Ok(None);
        }
        connection.execute(
            "INSERT INTO belongs (id, cluster_id) VALUES (1, ?1)
             ON CONFLICT (id) DO UPDATE SET cluster_id = ?1 WHERE cluster_id <> ?1",
            [&self.cluster_id],
        )?;
        Ok(Some(connection))
    }

    /// Keeps a batch that the primary refuses beside those that wait, for a person to look at. After an error
    /// [`Outbox::recover`] comes before anything else.
    pub(crate) fn store_rejected(&mut self, at_ms: i64, bytes: &[u8]) -> Result<(), CommitError> {
        self.with_connection(|outbox, connection| {
            outbox.faults.inject(DiskOperation::OutboxCommit)?;
            connection.execute(
                "INSERT INTO unreadable (at_ms, bytes) VALUES (?1, ?2)",
                params![at_ms, bytes],
            )?;
            let evicted = connection.execute(
                "DELETE FROM unreadable WHERE id <= (SELECT MAX(id) FROM unreadable) - ?1",
                [UNREADABLE_ROWS_MAX],
            )?;
            if evicted > 0 {
                tracing::error!("too many rejected batches are kept: the oldest is deleted");
            }
            Ok(())
        })
    }

    /// Takes out a batch that this version cannot read, so that it hinders nothing and is not lost.
    pub(crate) fn move_to_unreadable(&mut self, id: i64) -> Result<(), CommitError> {
        self.with_connection(|_, connection| {
            let transaction = connection.transaction()?;
            transaction.execute(
                "INSERT INTO unreadable (at_ms, bytes) SELECT at_ms, bytes FROM batches WHERE id = ?1",
                [id],
            )?;
            transaction.execute("DELETE FROM batches WHERE id = ?1", [id])?;
            transaction.commit()?;
            Ok(())
        })
    }
}

fn remove_until(connection: &Connection, id: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM batches WHERE id <= ?1")?
        .execute([id])?;
    Ok(())
}

fn read(connection: &Connection) -> rusqlite::Result<Vec<OutboxBatch>> {
    let mut statement = connection.prepare("SELECT id, at_ms, bytes FROM batches ORDER BY id")?;
    let rows = statement.query_map([], |row| {
        Ok(OutboxBatch {
            id: row.get(0)?,
            at_ms: row.get(1)?,
            bytes: row.get(2)?,
        })
    })?;
    rows.collect()
}

/// Opens the file, or makes it, with its tables; a damaged one is an error.
fn open_verified(path: &Path) -> Result<Connection, CommitError> {
    let is_new = !path.exists();
    // What cannot be made, SQLite says better.
    let _ = file_permissions::create_file(path);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_CREATE;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_millis(BUSY_MS_MAX))?;
    // The file shrinks again after a long wait; that has to be said before it has any page.
    connection.execute_batch(&format!(
        "PRAGMA auto_vacuum = FULL; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         PRAGMA journal_size_limit = {WAL_BYTES_MAX};"
    ))?;
    connection.execute_batch(TABLES)?;
    if let Some(damage) = connection::quick_check(&connection)? {
        return Err(CommitError::UnexpectedDatabase(format!(
            "quick_check: {damage}"
        )));
    }
    if is_new && let Some(folder) = path.parent() {
        std::fs::File::open(folder)?.sync_all()?;
    }
    Ok(connection)
}

/// Renames the file and its log.
fn rename_unusable(path: &Path, why: &str) -> Result<(), CommitError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let at_ms = now.unwrap_or_default().as_millis();
    let aside = sibling_path(path, &format!(".{why}-{at_ms}"));
    std::fs::rename(path, &aside)?;
    let log = sibling_path(path, "-wal");
    if log.exists() {
        std::fs::rename(log, sibling_path(&aside, "-wal"))?;
    }
    // Only an index of the log: SQLite makes it again.
    let _ = std::fs::remove_file(sibling_path(path, "-shm"));
    tracing::error!(file = %aside.display(), "an outbox was renamed: the writes in it are not proposed");
    Ok(())
}

//! Snapshots: copies of the database as files. One is made when it is sent, and checked before it replaces
//! the database of the receiver.

use super::applied_state::AppliedLogState;
use super::{AppliedIndex, Member, NodeId, SnapshotFile, TypeConfig};
use crate::backoff::Backoff;
use crate::data_dir::SNAPSHOT_DIR;
use crate::fault_injection::{DiskOperation, FaultInjector};
use crate::file_permissions;
use crate::sqlite::connection::{self, Synchronous};
use crate::sqlite::meta;
use crate::sqlite::migrations::{self, APPLICATION_ID, MigrationError, migrate};
use openraft::{
    AnyError, RaftSnapshotBuilder, Snapshot, SnapshotMeta, StorageError, StorageIOError,
};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Pages copied between two pauses, in which the calls have the disk: 8 MiB.
const PAGES_STEP: i32 = 2_048;
/// How long such a pause is.
const STEP_PAUSE: Duration = Duration::from_millis(2);

/// Bytes of the disk that always stay free for the log, the outbox and the writes of calls.
const FREE_BYTES_MIN: u64 = 64 * 1024 * 1024;
/// A page of 4,096 bytes has a header of 24 in the write-ahead log, which also grows in steps.
const WAL_OVERHEAD_PERCENT: u64 = 2;

/// A snapshot's description.
pub(crate) type SnapshotDescription = SnapshotMeta<NodeId, Member>;

/// Why a snapshot is not taken, or could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// It differs from its description, or was damaged in transfer: another one may be good.
    #[error("the snapshot is not taken: {0}")]
    Invalid(String),
    /// It is at a format version that this build does not read.
    #[error("the snapshot is not taken: {0}: upgrade this instance")]
    UnsupportedFormatVersion(String),
    /// The disk is too full for it.
    #[error(
        "{needed_mib} MiB are needed for the whole database, {free_mib} MiB of the disk are free"
    )]
    NotEnoughSpace {
        /// Bytes that it needs, with those that must stay free.
        needed_mib: u64,
        /// Bytes that are free.
        free_mib: u64,
    },
    /// SQLite or the disk.
    #[error("the snapshot cannot be made or read: {0}")]
    Disk(String),
    /// Storage is closed.
    #[error("storage is closed")]
    Closed,
}

impl From<rusqlite::Error> for SnapshotError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Disk(error.to_string())
    }
}

impl From<io::Error> for SnapshotError {
    fn from(error: io::Error) -> Self {
        Self::Disk(error.to_string())
    }
}

/// Where snapshots of one database are made and received.
pub(crate) struct SnapshotStore {
    dir: PathBuf,
    database: PathBuf,
    cluster_id: String,
    faults: FaultInjector,
    applied_index: Arc<AppliedIndex>,
    count: AtomicU64,
    closed: AtomicBool,
}

impl SnapshotStore {
    /// Makes the folder, empty.
    pub(crate) fn create(
        data_dir: &Path,
        database: PathBuf,
        cluster_id: &str,
        faults: FaultInjector,
        applied_index: Arc<AppliedIndex>,
    ) -> io::Result<Self> {
        let dir = data_dir.join(SNAPSHOT_DIR);
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        file_permissions::create_dir(&dir)?;
        Ok(Self {
            dir,
            database,
            cluster_id: cluster_id.to_owned(),
            faults,
            applied_index,
            count: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        })
    }

    fn new_path(&self, what: &str) -> PathBuf {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        self.dir.join(format!("{what}-{number}.db"))
    }

    /// Ends every wait from now on.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// A file for a snapshot that is received.
    pub(crate) fn new_received_file(&self) -> SnapshotFile {
        SnapshotFile::existing(self.new_path("received"))
    }

    /// The present state as a snapshot whose file is made when it is needed; none if nothing has been
    /// applied.
    pub(crate) fn current(self: &Arc<Self>) -> Option<Snapshot<TypeConfig>> {
        describe(&self.applied_index.applied_state()).map(|meta| self.lazy_snapshot(meta))
    }

    fn lazy_snapshot(self: &Arc<Self>, meta: SnapshotDescription) -> Snapshot<TypeConfig> {
        let snapshots = Arc::clone(self);
        let make = move |path: &Path| snapshots.copy(path).map_err(io::Error::other).map(drop);
        let file = SnapshotFile::lazy(self.new_path("made"), make);
        Snapshot {
            meta,
            snapshot: Box::new(file),
        }
    }

    /// Makes a file of the present state. Blocks for as long as it takes to copy the database.
    pub(crate) fn make(&self) -> Result<(SnapshotDescription, SnapshotFile), SnapshotError> {
        let file = SnapshotFile::existing(self.new_path("made"));
        let meta = self.copy(file.path())?;
        Ok((meta, file))
    }

    /// The bytes of a copy of the database, and the format version in use in it, if the disk has room for it.
    pub(crate) fn room_for_copy(&self) -> Result<(u64, u32), SnapshotError> {
        let database = connection::open_reader(&self.database)?;
        let pragma = |name| connection::read_pragma(&database, name).map(i64::cast_unsigned);
        let bytes = pragma("page_count")? * pragma("page_size")?;
        self.check_free_space(bytes)?;
        Ok((bytes, meta::format_version(&database)?))
    }

    /// Whether the disk has room for what installing a database of `bytes` takes at its peak: the file
    /// that comes, all its pages once more in the write-ahead log, and what the database itself grows by.
    pub(crate) fn room_to_install(&self, bytes: u64) -> Result<(), SnapshotError> {
        let present = fs::metadata(&self.database).map_or(0, |file| file.len());
        let in_log = bytes + bytes / 100 * WAL_OVERHEAD_PERCENT;
        self.check_free_space(bytes + in_log + bytes.saturating_sub(present))
    }

    /// Whether the disk holds `bytes` more, and some.
    fn check_free_space(&self, bytes: u64) -> Result<(), SnapshotError> {
        const MIB: u64 = 1024 * 1024;
        let disk = rustix::fs::statvfs(&self.dir).map_err(io::Error::from)?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let needed = bytes.saturating_add(FREE_BYTES_MIN);
        if free < needed {
            return Err(SnapshotError::NotEnoughSpace {
                needed_mib: needed.div_ceil(MIB),
                free_mib: free / MIB,
            });
        }
        Ok(())
    }

    fn copy(&self, path: &Path) -> Result<SnapshotDescription, SnapshotError> {
        self.faults.inject(DiskOperation::MakeSnapshot)?;
        let source = connection::open_reader(&self.database)?;
        let mut target = Connection::open(path)?;
        // The file need not survive a power cut: the receiver checks it.
        target.execute_batch("PRAGMA synchronous = OFF")?;
        // One read transaction for all steps: without it the copy would restart at each commit.
        let reading = source.unchecked_transaction()?;
        meta::read(&reading)?;
        let backup = Backup::new(&source, &mut target)?;
        while backup.step(PAGES_STEP)? != StepResult::Done {
            if self.closed.load(Ordering::SeqCst) {
                return Err(SnapshotError::Closed);
            }
            std::thread::sleep(STEP_PAUSE);
        }
        drop(backup);
        drop(reading);
        let applied = AppliedLogState::read(&target)?;
        describe(&applied).ok_or_else(|| SnapshotError::Invalid("nothing is applied".to_owned()))
    }

    /// Makes what is applied durable, for as long as that takes; its description, which is empty if
    /// nothing is. Blocks.
    fn make_durable(&self) -> Result<SnapshotDescription, SnapshotError> {
        let mut backoff = Backoff::for_disk();
        while !self.closed.load(Ordering::SeqCst) {
            let applied = self.applied_index.applied_state();
            match self.checkpoint() {
                Ok(true) => {
                    self.applied_index
                        .note_durable(applied.last_log_id.map(|last| last.index));
                    return Ok(describe(&applied).unwrap_or_default());
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(%error, "the database could not be made durable"),
            }
            std::thread::sleep(backoff.next_delay());
        }
        Err(SnapshotError::Closed)
    }

    fn checkpoint(&self) -> Result<bool, SnapshotError> {
        self.faults.inject(DiskOperation::Checkpoint)?;
        let connection = connection::open_writer(&self.database, Synchronous::AtCheckpoint)?;
        Ok(connection::checkpoint_passively(&connection)?)
    }

    /// Opens a received file if it is what `meta` says and may take the database's place; brought to
    /// this version's tables. Blocks: reads it through.
    pub(crate) fn open_received(
        &self,
        meta: &SnapshotDescription,
        file: &SnapshotFile,
    ) -> Result<Connection, SnapshotError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(file.materialize()?, flags)?;
        self.check(&connection, meta).map_err(|error| match error {
            // A file that SQLite cannot read was damaged by the sender or in transfer.
            SnapshotError::Disk(reason) => SnapshotError::Invalid(reason),
            error => error,
        })?;
        migrate(&mut connection).map_err(|error| SnapshotError::Disk(error.to_string()))?;
        Ok(connection)
    }

    fn check(
        &self,
        connection: &Connection,
        meta: &SnapshotDescription,
    ) -> Result<(), SnapshotError> {
        let unsound = |reason: &str| Err(SnapshotError::Invalid(reason.to_owned()));
        if connection::read_pragma(connection, "application_id")? != i64::from(APPLICATION_ID) {
            return unsound("it is no calldex database");
        }
        migrations::check_format_version(connection).map_err(|error| match error {
            MigrationError::Sqlite(error) => SnapshotError::from(error),
            error => SnapshotError::UnsupportedFormatVersion(error.to_string()),
        })?;
        if let Some(damage) = connection::quick_check(connection)? {
            return unsound(&damage);
        }
        if meta::cluster_id(connection)?.as_deref() != Some(self.cluster_id.as_str()) {
            return unsound("it is of another cluster");
        }
        let applied = AppliedLogState::read(connection)?;
        if applied.last_log_id != meta.last_log_id || applied.membership != meta.last_membership {
            return unsound("it is not at the position that its sender said");
        }
        Ok(())
    }
}

/// The description of a state; none if nothing has been applied. Its id is that of the last entry: two
/// snapshots of one state are the same.
pub(crate) fn describe(applied: &AppliedLogState) -> Option<SnapshotDescription> {
    let last = applied.last_log_id?;
    Some(SnapshotMeta {
        last_log_id: Some(last),
        last_membership: applied.membership.clone(),
        snapshot_id: format!("{}-{}", last.leader_id, last.index),
    })
}

/// openraft's builder: cheap, the file itself is made later.
pub struct SnapshotBuilder(pub(super) Arc<SnapshotStore>);

impl RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder {
    /// Makes durable what is applied, and describes it. Does not give up while storage is open: an
    /// error would end the engine.
    async fn build_snapshot(&mut self) -> Result<Snapshot<TypeConfig>, StorageError<NodeId>> {
        let snapshots = Arc::clone(&self.0);
        let built = tokio::task::spawn_blocking(move || {
            let meta = snapshots.make_durable()?;
            Ok::<_, SnapshotError>(snapshots.lazy_snapshot(meta))
        });
        let failed = |error: &dyn std::fmt::Display| {
            StorageIOError::write_snapshot(None, AnyError::error(error))
        };
        let built = built.await.map_err(|error| failed(&error))?;
        built.map_err(|error| failed(&error).into())
    }
}

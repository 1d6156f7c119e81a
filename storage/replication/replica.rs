//! A member of a cluster: what the Raft engine needs of this storage.

use super::applied_state::AppliedLogState;
use super::identity::{DataDirState, IdentityError, NodeIdentity};
use super::log::{LogFile, LogStore, RaftLogError, ReopenableLog};
use super::peer_records::{PeerRecords, StoredPeerRecords};
use super::snapshot::{SnapshotDescription, SnapshotError, SnapshotStore};
use super::state_machine::{ApplyJob, EntryApplier, JOBS_MAX, StateMachine};
use super::{AppliedIndex, DigestHistory, Proposer, SnapshotFile};
use crate::data_dir::{DATABASE_FILE, LOG_FILE};
use crate::fault_injection::FaultInjector;
use crate::writer::BatchCommitter;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tokio::sync::mpsc;

/// Why this instance cannot be opened as a member of a cluster.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// The data directory is nobody's.
    #[error(
        "the data directory belongs to no cluster yet: run `calldex cluster init` or `calldex cluster join` first"
    )]
    NoIdentity,
    /// It is not whole, or not this cluster's.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The log.
    #[error(transparent)]
    Log(#[from] RaftLogError),
    /// The database.
    #[error("{DATABASE_FILE} cannot be opened: {0}")]
    Database(String),
    /// The disk.
    #[error("the data directory cannot be used: {0}")]
    Disk(#[from] io::Error),
}

/// What is called to let writes go.
pub(crate) type ConnectProposer =
    Box<dyn Fn(Arc<dyn Proposer>, tokio::runtime::Handle) + Send + Sync>;

/// What was opened. Cheap to clone.
#[derive(Clone)]
pub(crate) struct ReplicaParts {
    pub(crate) identity: NodeIdentity,
    pub(crate) applied_index: Arc<AppliedIndex>,
    log: Arc<ReopenableLog>,
    digests: Arc<DigestHistory>,
    peer_records: PeerRecords,
    machine: StateMachine,
    stop: Arc<AtomicBool>,
}

impl ReplicaParts {
    /// Set when the threads are to end.
    pub(crate) fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Ends all waits and tells the threads to end: the applying one after the job it has,
    /// the log's one once what waits is on disk, until `end`. Whether the latter has ended: if not, it
    /// may still write.
    pub(crate) fn close(&self, end: Instant) -> bool {
        self.stop.store(true, Ordering::SeqCst);
        self.machine.snapshots.close();
        // A full channel has jobs in it: the thread looks after the next one.
        let _ = self.machine.jobs.try_send(ApplyJob::Wake);
        let has_ended = self.log.close(end);
        if !has_ended {
            tracing::warn!("the thread of the cluster's log hangs in the disk and is left");
        }
        has_ended
    }
}

/// See the module.
pub struct Replica {
    parts: ReplicaParts,
    connect: ConnectProposer,
}

impl Replica {
    /// Opens what an identity has: checks that it is whole, verifies the log, counts the start, makes
    /// durable what the database has. The directory's lock must be held.
    pub(crate) fn open(
        data_dir: &Path,
        faults: &FaultInjector,
    ) -> Result<(ReplicaParts, EntryApplier), ReplicaError> {
        let Some(DataDirState::Member(mut identity)) = NodeIdentity::read(data_dir)? else {
            return Err(ReplicaError::NoIdentity);
        };
        let log = data_dir.join(LOG_FILE);
        let (mut file, contents) = LogFile::open(&log, faults.clone())?;
        identity.count_start(&mut file)?;
        let kept = StoredPeerRecords::read(&file)?;

        let database = data_dir.join(DATABASE_FILE);
        let unusable = |error: &dyn std::fmt::Display| ReplicaError::Database(error.to_string());
        let (mut committer, meta) =
            BatchCommitter::open_replicated(database.clone(), faults.clone())
                .map_err(|error| unusable(&error))?;
        committer.make_durable().map_err(|error| unusable(&error))?;
        let applied = committer
            .applied_log()
            .and_then(|json| AppliedLogState::parse(&json))
            .map_err(|error| unusable(&error))?;
        let index = applied.last_log_id.map(|last| last.index);
        let applied_index = Arc::new(AppliedIndex::new(applied));
        applied_index.note_durable(index);

        let snapshots = SnapshotStore::create(
            data_dir,
            database,
            identity.cluster_id(),
            faults.clone(),
            Arc::clone(&applied_index),
        )?;
        let snapshots = Arc::new(snapshots);
        let log = ReopenableLog::start(
            log,
            faults.clone(),
            applied_index.indexes(),
            (file, contents),
        )?;
        let log = Arc::new(log);
        let (jobs, waiting) = mpsc::channel(JOBS_MAX);
        let stop = Arc::new(AtomicBool::new(false));
        let digests = Arc::new(DigestHistory::default());
        digests.reset(meta.position, meta.digest);
        let applier = EntryApplier {
            digests: Arc::clone(&digests),
            committer,
            jobs: waiting,
            snapshots: Arc::clone(&snapshots),
            applied_index: Arc::clone(&applied_index),
            stop: Arc::clone(&stop),
            faults: faults.clone(),
            opened_at: meta.position,
            format_version: meta.format_version,
            this_process: identity.node_and_start(),
        };
        let parts = ReplicaParts {
            identity,
            peer_records: PeerRecords::new(Arc::clone(&log), kept),
            digests,
            machine: StateMachine {
                jobs,
                snapshots,
                applied_index: Arc::clone(&applied_index),
                log: Arc::clone(&log),
            },
            applied_index,
            log,
            stop,
        };
        Ok((parts, applier))
    }

    /// `connect` lets the writes of this instance go to a proposer.
    pub(crate) fn new(parts: ReplicaParts, connect: ConnectProposer) -> Self {
        Self { parts, connect }
    }

    /// Who this instance is.
    pub fn identity(&self) -> &NodeIdentity {
        &self.parts.identity
    }

    /// raft's log. After a failure it is opened anew and verified first, which may fail again; then
    /// what it holds is not to be believed, and openraft must not run. Blocks.
    pub fn log_store(&self) -> Result<LogStore, ReplicaError> {
        Ok(self.parts.log.store()?)
    }

    /// A handle to the thread that applies.
    pub fn state_machine(&self) -> StateMachine {
        self.parts.machine.clone()
    }

    /// The digests of the entries that were applied last, kept up to date. Cheap to ask.
    pub fn digests(&self) -> Arc<DigestHistory> {
        Arc::clone(&self.parts.digests)
    }

    /// What is known of other nodes.
    pub fn peer_records(&self) -> PeerRecords {
        self.parts.peer_records.clone()
    }

    /// The log index up to which the database is on disk for good: the log may be let go of up to
    /// here, and from disk it goes no further whatever is asked.
    pub fn durable_index(&self) -> Option<u64> {
        self.parts.applied_index.durable_index()
    }

    /// Bytes of entries in the log on disk, those that wait to be removed included.
    pub fn log_bytes(&self) -> u64 {
        self.parts.log.bytes()
    }

    /// Makes a file of the present state, at or beyond every snapshot that openraft knows of; it is
    /// removed with its last handle. Blocks for as long as it takes to copy the database; neither the
    /// writer nor readers wait for it.
    pub fn snapshot_file(&self) -> Result<(SnapshotDescription, SnapshotFile), SnapshotError> {
        self.parts.machine.snapshots.make()
    }

    /// About how many bytes such a file has, and the level in use in it, if this disk has room for it.
    /// Blocks for a look at the disk.
    ///
    /// # Errors
    /// [`SnapshotError::NotEnoughSpace`], or the disk's.
    pub fn room_for_copy(&self) -> Result<(u64, u32), SnapshotError> {
        self.parts.machine.snapshots.room_for_copy()
    }

    /// Whether this disk has room for all that installing a database of `bytes` takes. Blocks for a look
    /// at the disk.
    ///
    /// # Errors
    /// [`SnapshotError::NotEnoughSpace`], or the disk's.
    pub fn room_to_install(&self, bytes: u64) -> Result<(), SnapshotError> {
        self.parts.machine.snapshots.room_to_install(bytes)
    }

    /// From now on this instance's writes go to `proposer`, on `runtime`. Before, they wait.
    pub fn connect(&self, proposer: Arc<dyn Proposer>, runtime: tokio::runtime::Handle) {
        (self.connect)(proposer, runtime);
    }
}

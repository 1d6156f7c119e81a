//! Opening and closing: the order in which the threads start and end.

mod config;
mod external_changes;
mod open_error;
mod threads;

pub use config::StorageConfig;
pub use open_error::OpenError;

use crate::backup::{BackupError, BackupSummary, ExistingFile, backup};
use crate::caller_directory::{CallerDirectory, WarmCache, WarmCacheConfig};
use crate::conversations::Conversations;
use crate::data_dir::{DATABASE_FILE, OUTBOX_FILE};
use crate::data_dir_lock::DataDirLock;
use crate::disk::{DurableIndex, WalPages};
use crate::file_permissions;
use crate::format_version::FormatVersionInUse;
use crate::outbox::Outbox;
use crate::pending_writes::PendingWrites;
use crate::reader_pool::{ReaderPool, ReaderPoolKind};
use crate::record::Position;
use crate::replication::{EntryApplier, NodeIdentity, Replica, ReplicaParts};
use crate::sqlite::live_turn_index::LiveTurnIndexReader;
use crate::sqlite::{connection, conversations, meta};
use crate::write::{AppliedWrites, ClaimResult};
use crate::writer::{
    self, ApplyProgress, BatchCommitter, Checkpointer, OnApplied, PrimaryLink, ProposalWorker,
    Writer, WriterConnection, WriterShared,
};
use calldex_observability::{catalog, vital};
use external_changes::ExternalChangeWatcher;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use threads::{StorageThreads, WriterThreads};
use tokio::sync::broadcast;

/// How long readers and checkpointer may take to end after the deadline of closing, milliseconds.
const CLOSE_GRACE_MS_MAX: u64 = 500;

/// The open storage. Dropping it without [`Storage::close`] loses nothing that was acknowledged, and waits
/// up to a second for the rest.
pub struct Storage {
    /// Takes every write.
    pub writer: Writer,
    /// Looks callers up.
    pub callers: CallerDirectory,
    /// Reads conversations.
    pub conversations: Conversations,
    threads: Mutex<StorageThreads>,
    progress: Arc<ApplyProgress>,
    opened_at: Position,
    format_version: FormatVersionInUse,
    data_dir: PathBuf,
}

impl Storage {
    /// Opens the data directory of a single node: lock, database with its migrations,
    /// writer, readers. Blocks for as long as that takes (under two seconds with a million callers).
    pub fn open(config: StorageConfig) -> Result<Self, OpenError> {
        let lock = acquire_lock(&config)?;
        if NodeIdentity::exists_in(&config.data_dir) {
            return Err(OpenError::ClusterMember {
                path: config.data_dir,
            });
        }
        let path = config.data_dir.join(DATABASE_FILE);
        let at_path = |error: rusqlite::Error| OpenError::from_start(&path, error.into());
        let (committer, meta) = BatchCommitter::open(path.clone(), config.faults.clone())
            .map_err(|error| OpenError::from_start(&path, error))?;
        detach_from_cluster(&path).map_err(at_path)?;
        let resources = WriterResources {
            turn_index: committer.turn_index_reader(),
            wal_pages: committer.wal_pages(),
            connection: committer.connection(),
            opened_at: meta.position,
            format_version: FormatVersionInUse::new(meta.format_version),
            durable_index: None,
        };
        let faults = config.faults.clone();
        let start = |context: &WriterContext| {
            let (shared, on_applied) = (Arc::clone(&context.shared), context.on_applied());
            let told = Arc::clone(&shared);
            let write = move || writer::run(committer, shared, faults, on_applied);
            let thread = vital::thread("calldex-writer", move || told.is_closing(), write)?;
            Ok(WriterThreads::SingleNode(thread))
        };
        Self::start(config, resources, lock, start).map_err(|error| OpenError::disk(&path, error))
    }

    /// Opens the data directory of a member of a cluster, which must have its identity: a member's
    /// database, log and outbox. Writes go to the outbox until the replica is connected.
    pub fn open_replicated(config: StorageConfig) -> Result<(Self, Replica), OpenError> {
        let lock = acquire_lock(&config)?;
        let dir = config.data_dir.clone();
        let (parts, applier) =
            Replica::open(&dir, &config.faults).map_err(|reason| OpenError::Replica {
                path: dir.clone(),
                reason,
            })?;
        let cluster_id = parts.identity.cluster_id().to_owned();
        let (outbox, waiting) = Outbox::open(&dir, &cluster_id, config.faults.clone())
            .map_err(|error| OpenError::disk(&dir.join(OUTBOX_FILE), error))?;
        let resources = WriterResources {
            turn_index: applier.turn_index_reader(),
            wal_pages: applier.wal_pages(),
            connection: applier.connection(),
            opened_at: applier.opened_at(),
            format_version: FormatVersionInUse::new(applier.format_version()),
            durable_index: Some(parts.applied_index.indexes()),
        };
        let primary_link = Arc::new(PrimaryLink::default());
        let (connecting, running) = (Arc::clone(&primary_link), parts.clone());
        let start = |context: &WriterContext| {
            let (process, shared) = (
                running.identity.node_and_start(),
                Arc::clone(&context.shared),
            );
            let forwarder =
                ProposalWorker::new(process, shared, Arc::clone(&primary_link), outbox, waiting);
            start_cluster_writers(context, forwarder, applier, primary_link, running)
        };
        let storage = Self::start(config, resources, lock, start);
        let storage = storage.map_err(|error| OpenError::disk(&dir, error))?;
        let connect = move |proposer, runtime| connecting.connect(proposer, runtime);
        Ok((storage, Replica::new(parts, Box::new(connect))))
    }

    fn start(
        config: StorageConfig,
        resources: WriterResources,
        lock: DataDirLock,
        start_writing: impl FnOnce(&WriterContext) -> io::Result<WriterThreads>,
    ) -> io::Result<Self> {
        let path = config.data_dir.join(DATABASE_FILE);
        let pending = Arc::new(PendingWrites::default());
        let readers = Arc::new(ReaderPool::start(ReaderPoolKind::Calls, &path)?);
        let people_readers = Arc::new(ReaderPool::start(ReaderPoolKind::Bulk, &path)?);
        let warm = start_warm_cache(&config, &path)?;
        let conversations = Conversations::new(
            Arc::clone(&readers),
            Arc::clone(&people_readers),
            resources.turn_index,
            Arc::clone(&pending),
            config.read_deadline,
        );
        let directory = CallerDirectory::new(
            config.hot_callers_max,
            warm.clone(),
            Arc::clone(&pending),
            Arc::clone(&readers),
            config.faults.clone(),
        );
        let format_version = resources.format_version;
        let (writer, shared) = Writer::new(
            config.bounds,
            pending,
            resources.opened_at,
            format_version.clone(),
        );
        let context = WriterContext {
            path: path.clone(),
            shared: Arc::clone(&shared),
            callers: directory.clone(),
            progress: Arc::new(ApplyProgress::at(resources.opened_at)),
            format_version: format_version.clone(),
        };
        catalog::CLUSTER_FORMAT_VERSION.set(f64::from(format_version.get()));
        let watch =
            ExternalChangeWatcher::start(resources.connection, directory.clone(), &config.workers)?;
        let writing = Some(start_writing(&context)?);
        let faults = config.faults;
        let checkpointer = Checkpointer::start(
            path,
            shared,
            resources.wal_pages,
            faults,
            resources.durable_index,
            &config.workers,
        )?;
        let threads = StorageThreads {
            writers: writing,
            readers: [readers, people_readers],
            warm,
            change_watcher: watch,
            checkpointer,
            lock: Some(lock),
        };
        Ok(Self {
            writer,
            callers: directory,
            conversations,
            threads: Mutex::new(threads),
            progress: context.progress,
            opened_at: resources.opened_at,
            format_version,
            data_dir: config.data_dir,
        })
    }

    /// The database's position when it was opened.
    pub fn opened_at(&self) -> Position {
        self.opened_at
    }

    /// The position that this instance's database has come to: what is read here is of then or later.
    pub fn applied(&self) -> Position {
        self.progress.applied()
    }

    /// The format version in use in this instance's database, as of its last commit.
    pub fn format_version(&self) -> u32 {
        self.format_version.get()
    }

    /// Waits until `position`, of a write of any instance, can be read here, at most for `deadline`. Returns
    /// whether it can.
    pub async fn wait_applied(&self, position: Position, deadline: Duration) -> bool {
        self.progress.wait(position, deadline).await
    }

    /// The result of every claim of a call from now on, of any instance. A reader that is more than
    /// [`crate::CLAIM_RESULTS_BEHIND_MAX`] behind is told that it lags: it reads its live calls' rows
    /// again. Where a snapshot takes the database's place, the owner of each live call is told as if
    /// it had just claimed it.
    pub fn claim_results(&self) -> broadcast::Receiver<ClaimResult> {
        self.progress.claim_results()
    }

    /// Copies the database to `file` while it is in use; see [`backup`].
    pub async fn backup(
        &self,
        file: PathBuf,
        existing: ExistingFile,
    ) -> Result<BackupSummary, BackupError> {
        let data_dir = self.data_dir.clone();
        let copying = tokio::task::spawn_blocking(move || backup(&data_dir, &file, existing));
        match copying.await {
            Ok(outcome) => outcome,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime ends.
                Err(error) => Err(BackupError::Disk {
                    path: self.data_dir.clone(),
                    reason: error.to_string(),
                }),
            },
        }
    }

    /// Writes what waits and ends the threads, within `deadline` and half a second. How many writes
    /// had to be given up: 0 unless the disk failed. In a cluster, what no primary has taken
    /// is in the outbox then, and proposed at the next start; that may take a second more. Blocks; call
    /// it from a thread that may.
    pub fn close(self, deadline: Duration) -> usize {
        self.close_shared(deadline)
    }

    /// The same where others still hold it: from then on nothing is accepted and reads are refused.
    /// Called again it does nothing and says 0.
    pub fn close_shared(&self, deadline: Duration) -> usize {
        let ending = Duration::from_millis(CLOSE_GRACE_MS_MAX);
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.end(&self.writer, deadline, ending)
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        self.close_shared(Duration::from_millis(CLOSE_GRACE_MS_MAX));
    }
}

/// What the writing threads are started with.
struct WriterResources {
    turn_index: LiveTurnIndexReader,
    wal_pages: WalPages,
    connection: WriterConnection,
    opened_at: Position,
    format_version: FormatVersionInUse,
    durable_index: Option<Arc<DurableIndex>>,
}

/// What the writing threads share with the rest.
struct WriterContext {
    path: PathBuf,
    shared: Arc<WriterShared>,
    callers: CallerDirectory,
    progress: Arc<ApplyProgress>,
    format_version: FormatVersionInUse,
}

impl WriterContext {
    /// The step after each commit: the caches are refreshed, then the position is published.
    fn on_applied(&self) -> OnApplied {
        let (directory, shared) = (self.callers.clone(), Arc::clone(&self.shared));
        let progress = Arc::clone(&self.progress);
        let format_version = self.format_version.clone();
        Box::new(move |applied: &AppliedWrites| {
            note_format_version(&format_version, applied);
            if applied.early_ends_evicted > 0 {
                let ends = applied.early_ends_evicted;
                catalog::EARLY_ENDS_EVICTED_TOTAL.increment(ends as u64);
                tracing::warn!(
                    ends,
                    "the oldest ends of calls that are not known are forgotten"
                );
            }
            directory.refresh(applied);
            shared.release_applied(applied.position);
            progress.publish(applied);
        })
    }

    /// The step that follows a snapshot which has taken the database's place.
    fn on_replaced(&self) -> OnApplied {
        let (directory, shared) = (self.callers.clone(), Arc::clone(&self.shared));
        let (progress, path) = (Arc::clone(&self.progress), self.path.clone());
        let format_version = self.format_version.clone();
        Box::new(move |applied: &AppliedWrites| {
            note_format_version(&format_version, applied);
            directory.invalidate();
            shared.release_applied(applied.position);
            progress.publish(&AppliedWrites {
                position: applied.position,
                claim_results: live_call_owners(&path),
                ..AppliedWrites::default()
            });
        })
    }
}

/// What is written from now on may be of the format version that was raised.
fn note_format_version(format_version: &FormatVersionInUse, applied: &AppliedWrites) {
    let Some(to) = applied
        .format_version
        .filter(|to| format_version.raise(*to))
    else {
        return;
    };
    catalog::CLUSTER_FORMAT_VERSION.set(f64::from(to));
    tracing::info!(
        format_version = to,
        position = applied.position,
        "a new format version is in use: an earlier calldex does not read this database any more"
    );
}

/// Who owns each live call, as if it had just been claimed: the claims themselves are not seen where
/// a snapshot brings what came of them.
fn live_call_owners(database: &Path) -> Vec<ClaimResult> {
    let read = connection::open_reader(database)
        .and_then(|connection| conversations::owners_of_live(&connection));
    let owners = read.unwrap_or_else(|error| {
        tracing::error!(%error, "who owns the live calls cannot be read after a snapshot");
        Vec::new()
    });
    let told = |(call_sid, owner)| ClaimResult::for_current_owner(call_sid, owner);
    owners.into_iter().map(told).collect()
}

fn start_cluster_writers(
    context: &WriterContext,
    forwarder: ProposalWorker,
    applier: EntryApplier,
    primary_link: Arc<PrimaryLink>,
    parts: ReplicaParts,
) -> io::Result<WriterThreads> {
    let (shared, shown, replaced) = (
        Arc::clone(&context.shared),
        context.on_applied(),
        context.on_replaced(),
    );
    let (closing, stop) = (Arc::clone(&shared), parts.stop());
    let told = move || stop.load(Ordering::SeqCst);
    let applier = vital::thread("calldex-writer", told, move || {
        applier.run(&shared, &primary_link, shown, replaced);
    })?;
    let told = move || closing.is_closing();
    let forwarder = vital::thread("calldex-proposer", told, move || forwarder.run())?;
    Ok(WriterThreads::Cluster {
        proposal_worker: forwarder,
        applier,
        parts: Box::new(parts),
    })
}

fn acquire_lock(config: &StorageConfig) -> Result<DataDirLock, OpenError> {
    let dir = &config.data_dir;
    file_permissions::create_dir(dir).map_err(|error| OpenError::disk(dir, error))?;
    let lock = DataDirLock::acquire(dir).map_err(|error| OpenError::from_lock(dir, error))?;
    file_permissions::restrict_to_owner(dir);
    Ok(lock)
}

/// A database that was carried out of a cluster by hand goes its own way from now on, and must not be
/// taken for the cluster's again.
fn detach_from_cluster(database: &Path) -> rusqlite::Result<()> {
    let connection = connection::open_reader(database)?;
    if meta::cluster_id(&connection)?.is_none() {
        return Ok(());
    }
    tracing::warn!("the database was one of a cluster's; it is no longer");
    let connection = connection::open_writer(database, connection::Synchronous::AtCommit)?;
    meta::remove_cluster(&connection)
}

fn start_warm_cache(config: &StorageConfig, database: &Path) -> io::Result<Option<Arc<WarmCache>>> {
    if !config.warm_cache {
        WarmCache::delete_folder(&config.data_dir);
        return Ok(None);
    }
    let config = WarmCacheConfig {
        data_dir: config.data_dir.clone(),
        database: database.to_owned(),
        faults: config.faults.clone(),
    };
    Ok(Some(Arc::new(WarmCache::start(config)?)))
}

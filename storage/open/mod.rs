//! Opening and closing: the order in which the parts come to life, and in which they end.

mod config;
mod refusal;
mod threads;
mod watch;

pub use config::StorageConfig;
pub use refusal::OpenError;

use crate::backup::{Backup, BackupError, Existing, backup};
use crate::conversations::Conversations;
use crate::directory::{Directory, Warm, WarmConfig};
use crate::level::LevelInUse;
use crate::lock::DirectoryLock;
use crate::private;
use crate::readers::{Pool, Readers};
use crate::replication::{Applier, Identity, OUTBOX_FILE, Outbox, Reach, Replica, ReplicaParts};
use crate::sqlite::ledger::Places;
use crate::sqlite::{connection, conversations, meta};
use crate::write::{Applied, Takeover};
use crate::writer::{
    self, Checkpointer, Forwarder, Line, LogPages, OnApplied, Pending, Position, Progress, Scribe,
    Shared, Writer, WriterConnection,
};
use calldex_observability::{catalog, vital};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use threads::{Threads, Writing};
use tokio::sync::broadcast;
use watch::ChangeWatch;

/// The database's file in the data directory.
pub const DATABASE_FILE: &str = "calls.db";
/// What readers and checkpointer may take to end, beyond the time that closing was given.
const ENDING_MS_MAX: u64 = 500;

/// Everything that is kept. Dropping it without [`Storage::close`] loses nothing that was
/// acknowledged, and gives the rest a moment.
pub struct Storage {
    /// The way in for every change.
    pub writer: Writer,
    /// Who is calling.
    pub directory: Directory,
    /// Conversations, to be read.
    pub conversations: Conversations,
    threads: Mutex<Threads>,
    progress: Arc<Progress>,
    opened_at: Position,
    level: LevelInUse,
    data_dir: PathBuf,
}

impl Storage {
    /// Opens the data directory of an instance that runs alone: lock, database with its migrations,
    /// writer, readers. Blocks for as long as that takes (under two seconds with a million callers).
    pub fn open(config: StorageConfig) -> Result<Self, OpenError> {
        let lock = take_lock(&config)?;
        if Identity::is_in(&config.data_dir) {
            return Err(OpenError::Replicated {
                path: config.data_dir,
            });
        }
        let path = config.data_dir.join(DATABASE_FILE);
        let at_path = |error: rusqlite::Error| OpenError::from_start(&path, error.into());
        let (scribe, meta) = Scribe::open(path.clone(), config.faults.clone())
            .map_err(|error| OpenError::from_start(&path, error))?;
        leave_cluster(&path).map_err(at_path)?;
        let ground = Ground {
            places: scribe.places(),
            log_pages: scribe.log_pages(),
            connection: scribe.connection(),
            opened_at: meta.position,
            level: LevelInUse::at(meta.level),
            reach: None,
        };
        let faults = config.faults.clone();
        let start = |room: &Room| {
            let (shared, on_applied) = (Arc::clone(&room.shared), room.on_applied());
            let told = Arc::clone(&shared);
            let write = move || writer::run(scribe, shared, faults, on_applied);
            let thread = vital::thread("calldex-writer", move || told.is_closing(), write)?;
            Ok(Writing::Alone(thread))
        };
        Self::start(config, ground, lock, start).map_err(|error| OpenError::disk(&path, error))
    }

    /// Opens the data directory of one of several instances, which must have its identity: a member's
    /// database, log and outbox. Writes go to the outbox until the replica is connected.
    pub fn open_replicated(config: StorageConfig) -> Result<(Self, Replica), OpenError> {
        let lock = take_lock(&config)?;
        let dir = config.data_dir.clone();
        let (parts, applier) =
            Replica::open(&dir, &config.faults).map_err(|reason| OpenError::Replica {
                path: dir.clone(),
                reason,
            })?;
        let cluster_id = parts.identity.cluster_id().to_owned();
        let (outbox, waiting) = Outbox::open(&dir, &cluster_id, config.faults.clone())
            .map_err(|error| OpenError::disk(&dir.join(OUTBOX_FILE), error))?;
        let ground = Ground {
            places: applier.places(),
            log_pages: applier.log_pages(),
            connection: applier.connection(),
            opened_at: applier.opened_at(),
            level: LevelInUse::at(applier.level()),
            reach: Some(Arc::clone(&parts.reach)),
        };
        let line = Arc::new(Line::default());
        let (connecting, running) = (Arc::clone(&line), parts.clone());
        let start = |room: &Room| {
            let (process, shared) = (running.identity.process(), Arc::clone(&room.shared));
            let forwarder = Forwarder::new(process, shared, Arc::clone(&line), outbox, waiting);
            start_among(room, forwarder, applier, line, running)
        };
        let storage = Self::start(config, ground, lock, start);
        let storage = storage.map_err(|error| OpenError::disk(&dir, error))?;
        let connect = move |proposer, runtime| connecting.connect(proposer, runtime);
        Ok((storage, Replica::new(parts, Box::new(connect))))
    }

    fn start(
        config: StorageConfig,
        ground: Ground,
        lock: DirectoryLock,
        start_writing: impl FnOnce(&Room) -> io::Result<Writing>,
    ) -> io::Result<Self> {
        let path = config.data_dir.join(DATABASE_FILE);
        let pending = Arc::new(Pending::default());
        let readers = Arc::new(Readers::start(Pool::Calls, &path)?);
        let people_readers = Arc::new(Readers::start(Pool::People, &path)?);
        let warm = start_warm(&config, &path)?;
        let conversations = Conversations::new(
            Arc::clone(&readers),
            Arc::clone(&people_readers),
            ground.places,
            Arc::clone(&pending),
            config.read_deadline,
        );
        let directory = Directory::new(
            config.hot_callers_max,
            warm.clone(),
            Arc::clone(&pending),
            Arc::clone(&readers),
            config.faults.clone(),
        );
        let level = ground.level;
        let (writer, shared) = Writer::new(config.bounds, pending, ground.opened_at, level.clone());
        let room = Room {
            path: path.clone(),
            shared: Arc::clone(&shared),
            directory: directory.clone(),
            progress: Arc::new(Progress::at(ground.opened_at)),
            level: level.clone(),
        };
        catalog::DATABASE_LEVEL.set(f64::from(level.get()));
        let watch = ChangeWatch::start(ground.connection, directory.clone(), &config.workers)?;
        let writing = Some(start_writing(&room)?);
        let faults = config.faults;
        let checkpointer = Checkpointer::start(
            path,
            shared,
            ground.log_pages,
            faults,
            ground.reach,
            &config.workers,
        )?;
        let threads = Threads {
            writing,
            readers: [readers, people_readers],
            warm,
            watch,
            checkpointer,
            lock: Some(lock),
        };
        Ok(Self {
            writer,
            directory,
            conversations,
            threads: Mutex::new(threads),
            progress: room.progress,
            opened_at: ground.opened_at,
            level,
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

    /// The level in use in this instance's database, as its last commit left it.
    pub fn level(&self) -> u32 {
        self.level.get()
    }

    /// Waits until `position`, of a write made anywhere, can be read here; `deadline` at most.
    /// Whether it can.
    pub async fn wait_applied(&self, position: Position, deadline: Duration) -> bool {
        self.progress.wait(position, deadline).await
    }

    /// What comes of every claim of a call from now on, whoever makes it. A reader that is more than
    /// [`writer::TAKEOVERS_BEHIND_MAX`] behind is told that it lags: it reads its live calls' rows
    /// again. Where a snapshot takes the database's place, the owner of each live call is told as if
    /// it had just claimed it.
    pub fn takeovers(&self) -> broadcast::Receiver<Takeover> {
        self.progress.takeovers()
    }

    /// Copies the database to `file` while it is in use; see [`backup`].
    pub async fn backup(&self, file: PathBuf, existing: Existing) -> Result<Backup, BackupError> {
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
    /// had to be given up: 0 unless the disk failed. Among several instances, what no primary has taken
    /// is in the outbox then, and proposed at the next start; that may take a second more. Blocks; call
    /// it from a thread that may.
    pub fn close(self, deadline: Duration) -> usize {
        self.finish(deadline)
    }

    /// The same where others still hold it: from then on nothing is accepted and reads are refused.
    /// Called again it does nothing and says 0.
    pub fn finish(&self, deadline: Duration) -> usize {
        let ending = Duration::from_millis(ENDING_MS_MAX);
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.end(&self.writer, deadline, ending)
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        self.finish(Duration::from_millis(ENDING_MS_MAX));
    }
}

/// What the writing threads stand on.
struct Ground {
    places: Places,
    log_pages: LogPages,
    connection: WriterConnection,
    opened_at: Position,
    level: LevelInUse,
    reach: Option<Arc<Reach>>,
}

/// What the writing threads share with the rest.
struct Room {
    path: PathBuf,
    shared: Arc<Shared>,
    directory: Directory,
    progress: Arc<Progress>,
    level: LevelInUse,
}

impl Room {
    /// The step that follows each commit: the caches show it, then it is said to be there.
    fn on_applied(&self) -> OnApplied {
        let (directory, shared) = (self.directory.clone(), Arc::clone(&self.shared));
        let progress = Arc::clone(&self.progress);
        let level = self.level.clone();
        Box::new(move |applied: &Applied| {
            note_level(&level, applied);
            if applied.early_ends_evicted > 0 {
                let ends = applied.early_ends_evicted;
                catalog::EARLY_ENDS_EVICTED_TOTAL.increment(ends as u64);
                tracing::warn!(
                    ends,
                    "the oldest ends of calls that are not known are forgotten"
                );
            }
            directory.refresh(applied);
            shared.show(applied.position);
            progress.tell(applied);
        })
    }

    /// The step that follows a snapshot which has taken the database's place.
    fn on_replaced(&self) -> OnApplied {
        let (directory, shared) = (self.directory.clone(), Arc::clone(&self.shared));
        let (progress, path) = (Arc::clone(&self.progress), self.path.clone());
        let level = self.level.clone();
        Box::new(move |applied: &Applied| {
            note_level(&level, applied);
            directory.database_changed();
            shared.show(applied.position);
            progress.tell(&Applied {
                position: applied.position,
                takeovers: owners(&path),
                ..Applied::default()
            });
        })
    }
}

/// What is written from now on may be of the level that was raised.
fn note_level(level: &LevelInUse, applied: &Applied) {
    let Some(to) = applied.level.filter(|to| level.raise(*to)) else {
        return;
    };
    catalog::DATABASE_LEVEL.set(f64::from(to));
    tracing::info!(
        level = to,
        position = applied.position,
        "a new level is in use: a calldex of before does not read this database any more"
    );
}

/// Who owns each live call, as if it had just been claimed: the claims themselves are not seen where
/// a snapshot brings what came of them.
fn owners(database: &Path) -> Vec<Takeover> {
    let read = connection::open_reader(database)
        .and_then(|connection| conversations::owners_of_live(&connection));
    let owners = read.unwrap_or_else(|error| {
        tracing::error!(%error, "who owns the live calls cannot be read after a snapshot");
        Vec::new()
    });
    let told = |(call_sid, owner)| Takeover::standing(call_sid, owner);
    owners.into_iter().map(told).collect()
}

fn start_among(
    room: &Room,
    forwarder: Forwarder,
    applier: Applier,
    line: Arc<Line>,
    parts: ReplicaParts,
) -> io::Result<Writing> {
    let (shared, shown, replaced) = (
        Arc::clone(&room.shared),
        room.on_applied(),
        room.on_replaced(),
    );
    let (closing, stop) = (Arc::clone(&shared), parts.stop());
    let told = move || stop.load(Ordering::SeqCst);
    let applier = vital::thread("calldex-writer", told, move || {
        applier.run(&shared, &line, shown, replaced);
    })?;
    let told = move || closing.is_closing();
    let forwarder = vital::thread("calldex-proposer", told, move || forwarder.run())?;
    Ok(Writing::Among {
        forwarder,
        applier,
        parts: Box::new(parts),
    })
}

fn take_lock(config: &StorageConfig) -> Result<DirectoryLock, OpenError> {
    let dir = &config.data_dir;
    private::create_dir(dir).map_err(|error| OpenError::disk(dir, error))?;
    let lock = DirectoryLock::take(dir).map_err(|error| OpenError::from_lock(dir, error))?;
    private::mend(dir);
    Ok(lock)
}

/// A database that was carried out of a cluster by hand goes its own way from now on, and must not be
/// taken for the cluster's again.
fn leave_cluster(database: &Path) -> rusqlite::Result<()> {
    let connection = connection::open_reader(database)?;
    if meta::cluster_id(&connection)?.is_none() {
        return Ok(());
    }
    tracing::warn!("the database was one of a cluster's; it is no longer");
    let connection = connection::open_writer(database, connection::Synchronous::AtCommit)?;
    meta::strip_cluster(&connection)
}

fn start_warm(config: &StorageConfig, database: &Path) -> io::Result<Option<Arc<Warm>>> {
    if !config.warm {
        Warm::remove(&config.data_dir);
        return Ok(None);
    }
    let config = WarmConfig {
        data_dir: config.data_dir.clone(),
        database: database.to_owned(),
        faults: config.faults.clone(),
    };
    Ok(Some(Arc::new(Warm::start(config)?)))
}

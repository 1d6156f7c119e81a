//! Opening and closing: the order in which the parts come to life, and in which they end.

use crate::conversations::{Conversations, READ_MS_MAX};
use crate::directory::{Directory, HOT_CALLERS_MAX, Warm, WarmConfig, boot_of_machine};
use crate::faults::Faults;
use crate::lock::{DirectoryLock, LockError};
use crate::readers::Readers;
use crate::sqlite::migrations::MigrationError;
use crate::write::{Applied, Takeover};
use crate::writer::{
    self, Bounds, Checkpointer, Pending, Position, Progress, Scribe, StartError, Writer,
};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::broadcast;

/// The database's file in the data directory.
pub const DATABASE_FILE: &str = "calls.db";
/// What readers and checkpointer may take to end, beyond the time that closing was given.
const ENDING_MS_MAX: u64 = 500;

/// How storage is opened.
#[derive(Clone, Debug)]
pub struct StorageConfig {
    /// The data directory; made if it is not there.
    pub data_dir: PathBuf,
    /// Bounds of queue and batch.
    pub bounds: Bounds,
    /// Callers kept in memory.
    pub hot_callers_max: usize,
    /// Whether callers are kept in sled too.
    pub warm: bool,
    /// Which start of the machine this is. What sled holds after an unclean end is believed only
    /// within one; where it is empty, never.
    pub boot: String,
    /// What a read of a conversation may take.
    pub read_deadline: Duration,
    /// For tests: what happens at the labelled disk operations.
    pub faults: Faults,
}

impl StorageConfig {
    /// The defaults, in `data_dir`.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            bounds: Bounds::default(),
            hot_callers_max: HOT_CALLERS_MAX,
            warm: true,
            boot: boot_of_machine(),
            read_deadline: Duration::from_millis(READ_MS_MAX),
            faults: Faults::default(),
        }
    }
}

/// Why storage could not be opened. Each says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the data directory.
    #[error("{} is in use by {}; one process at a time", path.display(), holder(*pid))]
    InUse {
        /// The data directory.
        path: PathBuf,
        /// Its holder, if known.
        pid: Option<u32>,
    },
    /// Made by a later version.
    #[error("{} is of version {found}, made by a later calldex; this one reads up to version {known}: upgrade calldex, or restore a backup", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The latest that this program knows.
        known: i64,
    },
    /// The file is no database, or somebody else's.
    #[error("{} is not a calldex database: {reason}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What gives it away.
        reason: String,
    },
    /// The disk, or the right to use it.
    #[error("{} cannot be opened: {reason}", path.display())]
    Disk {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or("another process".to_owned(), |pid| format!("process {pid}"))
}

impl OpenError {
    fn disk(path: &Path, error: impl ToString) -> Self {
        Self::Disk {
            path: path.to_owned(),
            reason: error.to_string(),
        }
    }

    fn from_start(path: &Path, error: StartError) -> Self {
        let foreign = |reason: String| Self::Foreign {
            path: path.to_owned(),
            reason,
        };
        match error {
            StartError::Migration(MigrationError::Newer { found }) => Self::Newer {
                path: path.to_owned(),
                found,
                known: crate::sqlite::migrations::VERSION,
            },
            StartError::Migration(error @ MigrationError::Foreign { .. }) => {
                foreign(error.to_string())
            }
            StartError::Migration(MigrationError::Sqlite(error)) | StartError::Sqlite(error) => {
                match error.sqlite_error_code() {
                    Some(rusqlite::ErrorCode::NotADatabase) => foreign(error.to_string()),
                    _ => Self::disk(path, error),
                }
            }
            StartError::Io(error) => Self::disk(path, error),
        }
    }
}

/// Everything that is kept. Dropping it without [`Storage::close`] loses nothing that was
/// acknowledged, and gives the rest a moment.
pub struct Storage {
    /// The way in for every change.
    pub writer: Writer,
    /// Who is calling.
    pub directory: Directory,
    /// Conversations, to be read.
    pub conversations: Conversations,
    threads: Threads,
    progress: Arc<Progress>,
    opened_at: Position,
}

impl Storage {
    /// Opens the data directory: lock, database with its migrations, writer, readers. Blocks for as
    /// long as that takes (under two seconds with a million callers).
    pub fn open(config: StorageConfig) -> Result<Self, OpenError> {
        let dir = &config.data_dir;
        std::fs::create_dir_all(dir).map_err(|error| OpenError::disk(dir, error))?;
        let lock = DirectoryLock::take(dir).map_err(|error| match error {
            LockError::Held(pid) => OpenError::InUse {
                path: dir.clone(),
                pid,
            },
            LockError::Io(error) => OpenError::disk(dir, error),
        })?;
        let path = dir.join(DATABASE_FILE);
        let (scribe, meta) = Scribe::open(path.clone(), config.faults.clone())
            .map_err(|error| OpenError::from_start(&path, error))?;
        Self::start(config, &path, scribe, meta.position, lock)
            .map_err(|error| OpenError::disk(&path, error))
    }

    fn start(
        config: StorageConfig,
        path: &Path,
        scribe: Scribe,
        opened_at: Position,
        lock: DirectoryLock,
    ) -> io::Result<Self> {
        let pending = Arc::new(Pending::default());
        let readers = Arc::new(Readers::start(path)?);
        let warm = start_warm(&config, path)?;
        let reads = (Arc::clone(&readers), scribe.places(), Arc::clone(&pending));
        let conversations = Conversations::new(reads.0, reads.1, reads.2, config.read_deadline);
        let directory = Directory::new(
            config.hot_callers_max,
            warm.clone(),
            Arc::clone(&pending),
            Arc::clone(&readers),
            config.faults.clone(),
        );
        let (writer, shared) = Writer::new(config.bounds, pending);
        let log_pages = scribe.log_pages();
        let faults = config.faults.clone();
        let checkpointer =
            Checkpointer::start(path.to_owned(), Arc::clone(&shared), log_pages, faults)?;
        let progress = Arc::new(Progress::at(opened_at));
        let (shown, told) = (directory.clone(), Arc::clone(&progress));
        let on_applied = Box::new(move |applied: &Applied| {
            shown.refresh(applied);
            told.tell(applied);
        });
        let write = move || writer::run(scribe, shared, config.faults, on_applied);
        let scribe = Some(
            std::thread::Builder::new()
                .name("calldex-writer".to_owned())
                .spawn(write)?,
        );
        let threads = Threads {
            scribe,
            readers,
            warm,
            checkpointer,
            lock: Some(lock),
        };
        Ok(Self {
            writer,
            directory,
            conversations,
            threads,
            progress,
            opened_at,
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

    /// Waits until `position`, of a write made anywhere, can be read here; `deadline` at most.
    /// Whether it can.
    pub async fn wait_applied(&self, position: Position, deadline: Duration) -> bool {
        self.progress.wait(position, deadline).await
    }

    /// What comes of every claim of a call from now on, whoever makes it. A reader that is more than
    /// [`writer::TAKEOVERS_BEHIND_MAX`] behind is told that it lags: it reads its live calls' rows
    /// again.
    pub fn takeovers(&self) -> broadcast::Receiver<Takeover> {
        self.progress.takeovers()
    }

    /// Writes what waits and ends the threads, within `deadline` and half a second. How many writes
    /// had to be given up: 0 unless the disk failed. Blocks; call it from a thread that may.
    pub fn close(mut self, deadline: Duration) -> usize {
        self.end(deadline)
    }

    fn end(&mut self, deadline: Duration) -> usize {
        let Some(scribe) = self.threads.scribe.take() else {
            return 0;
        };
        let ending = Duration::from_millis(ENDING_MS_MAX);
        let latest = Instant::now() + deadline + ending;
        let given_up = self.writer.close(deadline, || scribe.is_finished());
        self.threads
            .end(scribe, latest.min(Instant::now() + ending));
        given_up
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        self.end(Duration::from_millis(ENDING_MS_MAX));
    }
}

fn start_warm(config: &StorageConfig, database: &Path) -> io::Result<Option<Arc<Warm>>> {
    if !config.warm {
        return Ok(None);
    }
    let config = WarmConfig {
        data_dir: config.data_dir.clone(),
        database: database.to_owned(),
        boot: config.boot.clone(),
        faults: config.faults.clone(),
    };
    Ok(Some(Arc::new(Warm::start(config)?)))
}

/// What runs beside the calls, and the right to.
struct Threads {
    scribe: Option<JoinHandle<()>>,
    readers: Arc<Readers>,
    warm: Option<Arc<Warm>>,
    checkpointer: Checkpointer,
    lock: Option<DirectoryLock>,
}

impl Threads {
    /// Ends them all until `end`, the writer having been told already. Whatever hangs in the disk is
    /// left.
    fn end(&mut self, scribe: JoinHandle<()>, end: Instant) {
        self.checkpointer.stop(end);
        if let Some(warm) = &self.warm {
            warm.close(end);
        }
        self.readers.close(end);
        if scribe.is_finished() {
            // It reports its own failures; a panic has been printed.
            let _ = scribe.join();
        } else {
            // It may still write: nobody else may, as long as this process lives.
            std::mem::forget(self.lock.take());
        }
    }
}

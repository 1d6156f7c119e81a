//! One instance of several, with a primary that a test commands: it numbers entries and has the
//! instance's own state machine apply them, as the engine would.

use crate::fixtures::{PATIENCE, wait_until};
use bytes::Bytes;
use calldex_storage::replication::{
    Batches, Identity, OUTBOX_FILE, ProposeError, Proposer, Proposing, Replica, StateMachine,
    TypeConfig,
};
use calldex_storage::write::{Write, decode};
use calldex_storage::{Position, Storage, StorageConfig};
use openraft::storage::RaftStateMachine;
use openraft::{CommittedLeaderId, Entry, EntryPayload, LogId};
use rusqlite::Connection;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

/// How the primary takes what is proposed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Takes it, and the instance applies it at once.
    Takes,
    /// Takes it; the instance applies it when told ([`Primary::catch_up`]).
    TakesAhead,
    /// There is none.
    IsGone,
    /// Takes it, applies it, and never answers.
    Mute,
    /// Takes it, and its connection breaks before it answers; the instance applies it later.
    Breaks,
    /// Never answers, and takes nothing.
    Deaf,
    /// Refuses every batch with this call in it.
    Refuses(&'static str),
    /// Takes it after so long.
    Slow(Duration),
}

pub struct Primary {
    manner: Mutex<Manner>,
    log: tokio::sync::Mutex<Log>,
    /// Every batch that was proposed, whatever came of it.
    proposed: Mutex<Vec<Bytes>>,
}

#[derive(Default)]
struct Log {
    machine: Option<StateMachine>,
    index: Position,
    unapplied: Vec<Entry<TypeConfig>>,
}

impl Primary {
    pub fn new(manner: Manner) -> Arc<Self> {
        Arc::new(Self {
            manner: Mutex::new(manner),
            log: tokio::sync::Mutex::default(),
            proposed: Mutex::default(),
        })
    }

    pub fn becomes(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }

    fn manner(&self) -> Manner {
        *self.manner.lock().unwrap()
    }

    /// The calls and sequences of all turns in the order in which they were proposed.
    pub fn turns_proposed(&self) -> Vec<u32> {
        let batches = self.proposed.lock().unwrap().clone();
        let writes = batches.iter().flat_map(|batch| decode(batch).unwrap());
        let seq = |write| match write {
            Write::TurnAppended { turn, .. } => Some(turn.seq),
            _ => None,
        };
        writes.filter_map(seq).collect()
    }

    /// Bytes of the longest proposal.
    pub fn longest(&self) -> usize {
        let proposed = self.proposed.lock().unwrap();
        proposed.iter().map(Bytes::len).max().unwrap()
    }

    pub fn proposals(&self) -> usize {
        self.proposed.lock().unwrap().len()
    }

    async fn take(&self, batch: Bytes) -> Result<Position, ProposeError> {
        let mut log = self.log.lock().await;
        log.index += 1;
        let index = log.index;
        let entry = Entry {
            log_id: LogId::new(CommittedLeaderId::new(1, 1), index),
            payload: EntryPayload::Normal(Batches(vec![batch])),
        };
        log.unapplied.push(entry);
        if !matches!(self.manner(), Manner::TakesAhead | Manner::Breaks) {
            log.apply().await;
        }
        Ok(index)
    }

    /// The instance applies what it has not.
    pub async fn catch_up(&self) {
        self.log.lock().await.apply().await;
    }
}

impl Log {
    async fn apply(&mut self) {
        let entries = std::mem::take(&mut self.unapplied);
        self.machine.as_mut().unwrap().apply(entries).await.unwrap();
    }
}

impl Proposer for Primary {
    fn propose(&self, batch: Bytes, writes: usize) -> Proposing<'_> {
        self.proposed.lock().unwrap().push(batch.clone());
        Box::pin(async move {
            let within = decode(&batch).unwrap();
            assert_eq!(within.len(), writes, "writes are counted");
            match self.manner() {
                Manner::Takes | Manner::TakesAhead => self.take(batch).await,
                Manner::IsGone => Err(ProposeError::NoPrimary),
                Manner::Mute => {
                    self.take(batch).await?;
                    std::future::pending().await
                }
                Manner::Breaks => {
                    self.take(batch).await?;
                    Err(ProposeError::TimedOut)
                }
                Manner::Deaf => std::future::pending().await,
                Manner::Refuses(call_sid) => {
                    let is_bad =
                        |write: &Write| write.call_sid().is_some_and(|sid| sid == call_sid);
                    match within.iter().any(is_bad) {
                        true => Err(ProposeError::Refused),
                        false => self.take(batch).await,
                    }
                }
                Manner::Slow(pause) => {
                    tokio::time::sleep(pause).await;
                    self.take(batch).await
                }
            }
        })
    }
}

/// An instance of several.
pub struct Instance {
    pub dir: TempDir,
    pub runtime: tokio::runtime::Runtime,
    pub primary: Arc<Primary>,
    pub replica: Option<Replica>,
    storage: Option<Storage>,
}

impl Instance {
    pub fn new(manner: Manner) -> Self {
        Self::with(manner, |_| ())
    }

    pub fn with(manner: Manner, configure: impl FnOnce(&mut StorageConfig)) -> Self {
        let dir = TempDir::new().unwrap();
        Identity::found(dir.path()).unwrap();
        Self::open(dir, manner, configure)
    }

    pub fn open(dir: TempDir, manner: Manner, configure: impl FnOnce(&mut StorageConfig)) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let mut instance = Self {
            dir,
            runtime,
            primary: Primary::new(manner),
            replica: None,
            storage: None,
        };
        instance.start(configure);
        instance
    }

    fn start(&mut self, configure: impl FnOnce(&mut StorageConfig)) {
        let mut config = StorageConfig::new(self.dir.path());
        config.warm = false;
        configure(&mut config);
        let (storage, replica) = Storage::open_replicated(config).unwrap();
        let mut log = self.primary.log.blocking_lock();
        log.machine = Some(replica.state_machine());
        log.index = log.index.max(storage.applied());
        drop(log);
        let proposer = Arc::clone(&self.primary) as Arc<dyn Proposer>;
        replica.connect(proposer, self.runtime.handle().clone());
        (self.storage, self.replica) = (Some(storage), Some(replica));
    }

    pub fn storage(&self) -> &Storage {
        self.storage.as_ref().unwrap()
    }

    /// Closes it within `deadline`; how many writes were given up.
    pub fn close(&mut self, deadline: Duration) -> usize {
        self.replica = None;
        self.storage.take().unwrap().close(deadline)
    }

    pub fn reopen(&mut self) {
        self.start(|_| ());
    }

    /// The data directory as a kill or a power cut at this moment would leave it.
    pub fn crashed(&self) -> TempDir {
        let copy = TempDir::new().unwrap();
        for file in std::fs::read_dir(self.dir.path()).unwrap() {
            let file = file.unwrap();
            let name = file.file_name();
            let is_index = name.to_string_lossy().ends_with("-shm");
            if file.file_type().unwrap().is_file() && !is_index {
                std::fs::copy(file.path(), copy.path().join(name)).unwrap();
            }
        }
        copy
    }

    /// Waits until so many batches of writes are in the outbox.
    pub fn wait_kept(&self, writes: usize) {
        wait_until("the outbox has the writes", || {
            kept(self.dir.path()) == writes
        });
    }

    pub fn sql<T: rusqlite::types::FromSql>(&self, query: &str) -> T {
        Connection::open(self.dir.path().join("calls.db"))
            .unwrap()
            .query_row(query, [], |row| row.get(0))
            .unwrap()
    }

    pub fn turns(&self) -> Vec<u32> {
        let json: String =
            self.sql("SELECT json_group_array(seq) FROM (SELECT seq FROM turns ORDER BY id)");
        serde_json::from_str(&json).unwrap()
    }

    pub fn machine(&self) -> StateMachine {
        self.replica.as_ref().unwrap().state_machine()
    }

    pub fn catch_up(&self) {
        self.runtime.block_on(self.primary.catch_up());
    }

    pub fn wait_applied(&self, position: Position) {
        let storage = self.storage();
        assert!(
            self.runtime
                .block_on(storage.wait_applied(position, PATIENCE))
        );
    }
}

/// Writes that an outbox holds.
pub fn kept(dir: &Path) -> usize {
    let outbox = Connection::open(dir.join(OUTBOX_FILE)).unwrap();
    let mut statement = outbox.prepare("SELECT bytes FROM batches").unwrap();
    let rows = statement.query_map([], |row| row.get::<_, Vec<u8>>(0));
    rows.unwrap()
        .map(|bytes| decode(&bytes.unwrap()).unwrap().len())
        .sum()
}

//! One instance of several, with a primary that a test commands: it numbers entries and has the
//! instance's own state machine apply them, as the engine would.

use crate::fixtures::{WAIT_MAX, wait_until};
use bytes::Bytes;
use calldex_storage::replication::{
    EntryBatches, NodeIdentity, OUTBOX_FILE, ProposeError, ProposeFuture, Proposer, Replica,
    StateMachine, TypeConfig,
};
use calldex_storage::write::{Write, decode_batch};
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
pub enum PrimaryBehaviour {
    /// Takes it, and the instance applies it at once.
    Accepts,
    /// Takes it; the instance applies it when told ([`FakePrimary::catch_up`]).
    AcceptsBeforeApply,
    /// There is none.
    Absent,
    /// Takes it, applies it, and never answers.
    AppliesWithoutReply,
    /// Takes it, and its connection breaks before it answers; the instance applies it later.
    BreaksConnection,
    /// Never answers, and takes nothing.
    IgnoresProposals,
    /// Refuses every batch with this call in it.
    RejectsCall(&'static str),
    /// Takes it after so long.
    Slow(Duration),
}

pub struct FakePrimary {
    behaviour: Mutex<PrimaryBehaviour>,
    log: tokio::sync::Mutex<FakeLog>,
    /// Every batch that was proposed, whatever came of it.
    proposed: Mutex<Vec<Bytes>>,
}

#[derive(Default)]
struct FakeLog {
    machine: Option<StateMachine>,
    index: Position,
    unapplied: Vec<Entry<TypeConfig>>,
}

impl FakePrimary {
    pub fn new(behaviour: PrimaryBehaviour) -> Arc<Self> {
        Arc::new(Self {
            behaviour: Mutex::new(behaviour),
            log: tokio::sync::Mutex::default(),
            proposed: Mutex::default(),
        })
    }

    pub fn set_behaviour(&self, behaviour: PrimaryBehaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }

    fn behaviour(&self) -> PrimaryBehaviour {
        *self.behaviour.lock().unwrap()
    }

    /// The calls and sequences of all turns in the order in which they were proposed.
    pub fn turns_proposed(&self) -> Vec<u32> {
        let batches = self.proposed.lock().unwrap().clone();
        let writes = batches
            .iter()
            .flat_map(|batch| decode_batch(batch).unwrap());
        let seq = |write| match write {
            Write::TurnAppended { turn, .. } => Some(turn.seq),
            _ => None,
        };
        writes.filter_map(seq).collect()
    }

    /// Bytes of the longest proposal.
    pub fn longest_proposal(&self) -> usize {
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
            payload: EntryPayload::Normal(EntryBatches(vec![batch])),
        };
        log.unapplied.push(entry);
        if !matches!(
            self.behaviour(),
            PrimaryBehaviour::AcceptsBeforeApply | PrimaryBehaviour::BreaksConnection
        ) {
            log.apply().await;
        }
        Ok(index)
    }

    /// The instance applies what it has not.
    pub async fn catch_up(&self) {
        self.log.lock().await.apply().await;
    }
}

impl FakeLog {
    async fn apply(&mut self) {
        let entries = std::mem::take(&mut self.unapplied);
        self.machine.as_mut().unwrap().apply(entries).await.unwrap();
    }
}

impl Proposer for FakePrimary {
    fn propose(&self, batch: Bytes, writes: usize) -> ProposeFuture<'_> {
        self.proposed.lock().unwrap().push(batch.clone());
        Box::pin(async move {
            let within = decode_batch(&batch).unwrap();
            assert_eq!(within.len(), writes, "writes are counted");
            match self.behaviour() {
                PrimaryBehaviour::Accepts | PrimaryBehaviour::AcceptsBeforeApply => {
                    self.take(batch).await
                }
                PrimaryBehaviour::Absent => Err(ProposeError::NoPrimary),
                PrimaryBehaviour::AppliesWithoutReply => {
                    self.take(batch).await?;
                    std::future::pending().await
                }
                PrimaryBehaviour::BreaksConnection => {
                    self.take(batch).await?;
                    Err(ProposeError::TimedOut)
                }
                PrimaryBehaviour::IgnoresProposals => std::future::pending().await,
                PrimaryBehaviour::RejectsCall(call_sid) => {
                    let is_bad =
                        |write: &Write| write.call_sid().is_some_and(|sid| sid == call_sid);
                    match within.iter().any(is_bad) {
                        true => Err(ProposeError::Rejected),
                        false => self.take(batch).await,
                    }
                }
                PrimaryBehaviour::Slow(pause) => {
                    tokio::time::sleep(pause).await;
                    self.take(batch).await
                }
            }
        })
    }
}

/// An instance of several.
pub struct TestClusterNode {
    pub dir: TempDir,
    pub runtime: tokio::runtime::Runtime,
    pub primary: Arc<FakePrimary>,
    pub replica: Option<Replica>,
    storage: Option<Storage>,
}

impl TestClusterNode {
    pub fn new(behaviour: PrimaryBehaviour) -> Self {
        Self::with(behaviour, |_| ())
    }

    pub fn with(behaviour: PrimaryBehaviour, configure: impl FnOnce(&mut StorageConfig)) -> Self {
        let dir = TempDir::new().unwrap();
        NodeIdentity::init_cluster(dir.path()).unwrap();
        Self::open(dir, behaviour, configure)
    }

    pub fn open(
        dir: TempDir,
        behaviour: PrimaryBehaviour,
        configure: impl FnOnce(&mut StorageConfig),
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let mut instance = Self {
            dir,
            runtime,
            primary: FakePrimary::new(behaviour),
            replica: None,
            storage: None,
        };
        instance.start(configure);
        instance
    }

    fn start(&mut self, configure: impl FnOnce(&mut StorageConfig)) {
        let mut config = StorageConfig::new(self.dir.path());
        config.warm_cache = false;
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
    pub fn copy_after_crash(&self) -> TempDir {
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
    pub fn wait_in_outbox(&self, writes: usize) {
        wait_until("the outbox has the writes", || {
            outbox_writes(self.dir.path()) == writes
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
                .block_on(storage.wait_applied(position, WAIT_MAX))
        );
    }
}

/// Writes that an outbox holds.
pub fn outbox_writes(dir: &Path) -> usize {
    let outbox = Connection::open(dir.join(OUTBOX_FILE)).unwrap();
    let mut statement = outbox.prepare("SELECT bytes FROM batches").unwrap();
    let rows = statement.query_map([], |row| row.get::<_, Vec<u8>>(0));
    rows.unwrap()
        .map(|bytes| decode_batch(&bytes.unwrap()).unwrap().len())
        .sum()
}

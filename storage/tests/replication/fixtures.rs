//! An instance with a data directory of its own, without the network: what openraft would ask of it
//! is asked by the test.

use calldex_storage::record::{CallOutcome as End, CallerKind, PhoneNumber, Turn, TurnRole};
use calldex_storage::replication::{
    EntryBatches, LogStore, Member, NodeId, NodeIdentity, Replica, StateMachine, TypeConfig,
    random_node_id,
};
use calldex_storage::write::{
    CallEnded, CallStarted, DecisionStamp, StampedName, Write, encode_batch,
};
use calldex_storage::{DiskOperation, FaultInjector, Storage, StorageConfig};
use openraft::storage::{RaftLogStorageExt, RaftStateMachine};
use openraft::{CommittedLeaderId, Entry, EntryPayload, LogId, Membership, StorageError};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const AT_MS: i64 = 1_700_000_000_000;
pub const WAIT_MAX: Duration = Duration::from_secs(20);

/// openraft's error is large.
pub type RaftStorageError = Box<StorageError<NodeId>>;

pub struct TestReplica {
    pub dir: TempDir,
    open: Option<(Storage, Replica)>,
}

impl TestReplica {
    /// The first of a new cluster.
    pub fn first_of_cluster() -> Self {
        let dir = TempDir::new().unwrap();
        NodeIdentity::init_cluster(dir.path()).unwrap();
        Self::open(dir, FaultInjector::default())
    }

    /// One that joined `cluster_id`.
    pub fn joined(cluster_id: &str) -> Self {
        Self::joined_with(cluster_id, FaultInjector::default())
    }

    pub fn joined_with(cluster_id: &str, faults: FaultInjector) -> Self {
        let dir = TempDir::new().unwrap();
        NodeIdentity::join(dir.path(), cluster_id, random_node_id().unwrap()).unwrap();
        Self::open(dir, faults)
    }

    /// One whose database is of the same lineage as others made so: as if all had installed one
    /// snapshot, of nothing.
    pub fn of_one_lineage() -> Self {
        let dir = TempDir::new().unwrap();
        NodeIdentity::join(dir.path(), "c0ffee", random_node_id().unwrap()).unwrap();
        let database = Connection::open(dir.path().join("calls.db")).unwrap();
        database
            .execute("UPDATE meta SET lineage = 'same'", [])
            .unwrap();
        Self::open(dir, FaultInjector::default())
    }

    pub fn open(dir: TempDir, faults: FaultInjector) -> Self {
        let open = Some(Storage::open_replicated(config(dir.path(), faults)).unwrap());
        Self { dir, open }
    }

    pub fn storage(&self) -> &Storage {
        &self.open.as_ref().unwrap().0
    }

    pub fn replica(&self) -> &Replica {
        &self.open.as_ref().unwrap().1
    }

    pub fn cluster_id(&self) -> String {
        self.replica().identity().cluster_id().to_owned()
    }

    pub fn log(&self) -> LogStore {
        self.replica().log_store().unwrap()
    }

    pub fn state_machine(&self) -> StateMachine {
        self.replica().state_machine()
    }

    pub fn close(&mut self) {
        if let Some((storage, replica)) = self.open.take() {
            drop(replica);
            assert_eq!(storage.close(WAIT_MAX), 0, "writes were given up");
        }
    }

    pub fn reopen(&mut self) {
        self.close();
        let config = config(self.dir.path(), FaultInjector::default());
        self.open = Some(Storage::open_replicated(config).unwrap());
    }

    /// Another instance on what a kill at this moment leaves of the files.
    pub fn after_a_kill(&self) -> Self {
        Self::open(self.copied(|_| true), FaultInjector::default())
    }

    /// Another instance on what a power cut may leave: of the database only what was checkpointed.
    pub fn after_a_power_cut(&self) -> Self {
        let copy = self.copied(|file| !file.starts_with("calls.db-"));
        Self::open(copy, FaultInjector::default())
    }

    /// A copy of the data directory's files that `keep` keeps.
    pub fn copied(&self, keep: impl Fn(&str) -> bool) -> TempDir {
        let copy = TempDir::new().unwrap();
        for entry in std::fs::read_dir(self.dir.path()).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let is_kept = !name.starts_with("calldex.lock")
                && !name.starts_with("warm")
                && !name.ends_with("-shm")
                && keep(&name);
            if is_kept && entry.file_type().unwrap().is_file() {
                std::fs::copy(entry.path(), copy.path().join(&name)).unwrap();
            }
        }
        copy
    }

    pub fn apply(&self, entries: Vec<Entry<TypeConfig>>) {
        let mut machine = self.state_machine();
        let count = entries.len();
        let outcomes = run(machine.apply(entries)).unwrap();
        assert_eq!(outcomes.len(), count);
    }

    /// Appends and waits until it is on disk.
    pub fn append(&self, entries: Vec<Entry<TypeConfig>>) {
        self.try_append(entries).unwrap();
    }

    pub fn try_append(&self, entries: Vec<Entry<TypeConfig>>) -> Result<(), RaftStorageError> {
        let mut log = self.log();
        run(log.blocking_append(entries)).map_err(Box::new)
    }

    pub fn dump(&self) -> DatabaseDump {
        dump(&self.dir.path().join("calls.db"))
    }
}

fn config(dir: &Path, faults: FaultInjector) -> StorageConfig {
    StorageConfig {
        faults,
        ..StorageConfig::new(dir)
    }
}

/// Runs on a runtime as the engine would.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(future)
}

pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < WAIT_MAX, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Fails `operation` as often as the counter says.
pub fn fail_at(operation: DiskOperation) -> (Arc<AtomicU64>, FaultInjector) {
    let left = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&left);
    let faults = FaultInjector::new(move |at| {
        let is_to_fail = |left: u64| left.checked_sub(1);
        let fails = at == operation
            && counter
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, is_to_fail)
                .is_ok();
        match fails {
            true => Err(io::Error::other("the disk of this test fails")),
            false => Ok(()),
        }
    });
    (left, faults)
}

pub fn log_id(term: u64, index: u64) -> LogId<NodeId> {
    LogId::new(CommittedLeaderId::new(term, 1), index)
}

pub fn blank(term: u64, index: u64) -> Entry<TypeConfig> {
    Entry {
        log_id: log_id(term, index),
        payload: EntryPayload::Blank,
    }
}

pub fn members(index: u64, ids: &[NodeId]) -> Entry<TypeConfig> {
    let nodes: BTreeMap<NodeId, Member> = ids
        .iter()
        .map(|id| {
            let member = Member {
                address: format!("host-{id}:7946"),
                ..Member::default()
            };
            (*id, member)
        })
        .collect();
    Entry {
        log_id: log_id(1, index),
        payload: EntryPayload::Membership(Membership::new(
            vec![ids.iter().copied().collect()],
            nodes,
        )),
    }
}

/// An entry of one batch.
pub fn entry(index: u64, writes: &[Write]) -> Entry<TypeConfig> {
    raw(index, vec![encode_batch(writes)])
}

/// An entry of these batches, whatever they are.
pub fn raw(index: u64, batches: Vec<Vec<u8>>) -> Entry<TypeConfig> {
    Entry {
        log_id: log_id(1, index),
        payload: EntryPayload::Normal(EntryBatches(batches.into_iter().map(Into::into).collect())),
    }
}

pub fn number(digits: &str) -> PhoneNumber {
    PhoneNumber::parse(digits).unwrap()
}

pub fn call_started(call_sid: &str, from: &str) -> Write {
    Write::CallStarted(CallStarted {
        call_sid: call_sid.into(),
        number: Some(number(from)),
        line: "+14155550999".into(),
        caller_kind: CallerKind::Number,
        identity: None,
        language: Some("en-US".into()),
        at_ms: AT_MS,
        instance: "one".into(),
    })
}

pub fn turn_appended(call_sid: &str, seq: u32, words: &str) -> Write {
    Write::TurnAppended {
        call_sid: call_sid.into(),
        turn: Turn::new(TurnRole::Caller, words, AT_MS + i64::from(seq), 0, seq),
    }
}

pub fn call_ended(call_sid: &str) -> Write {
    Write::CallEnded(CallEnded {
        call_sid: call_sid.into(),
        epoch: Some(0),
        at_ms: AT_MS + 60_000,
        outcome: End::HungUp,
    })
}

pub fn name_heard(from: &str, name: &str, at: i64) -> Write {
    Write::NameConfirmed(StampedName {
        number: number(from),
        name: name.into(),
        stamp: DecisionStamp {
            call_sid: "CA-name".into(),
            step: 1,
            at_ms: AT_MS + at,
        },
    })
}

/// A call of `turns` turns from start to end, one entry each write, from `first` on.
pub fn whole_call(first: u64, call_sid: &str, from: &str, turns: u32) -> Vec<Entry<TypeConfig>> {
    let mut writes = vec![call_started(call_sid, from), name_heard(from, "Ada", 1)];
    writes.extend((0..turns).map(|seq| turn_appended(call_sid, seq, "hello")));
    writes.push(call_ended(call_sid));
    let numbered = (first..).zip(writes);
    numbered
        .map(|(index, write)| entry(index, &[write]))
        .collect()
}

/// Every row of every table, in order.
pub type DatabaseDump = Vec<String>;

pub fn dump(database: &Path) -> DatabaseDump {
    let connection = Connection::open(database).unwrap();
    let tables: Vec<String> = {
        let mut statement = connection
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
            .unwrap();
        let names = statement.query_map([], |row| row.get(0)).unwrap();
        names.map(Result::unwrap).collect()
    };
    let mut rows = Vec::new();
    for table in tables {
        let mut statement = connection
            .prepare(&format!("SELECT * FROM {table}"))
            .unwrap();
        let columns = statement.column_count();
        let mut found = statement.query([]).unwrap();
        let mut of_table = Vec::new();
        while let Some(row) = found.next().unwrap() {
            let values: Vec<rusqlite::types::Value> =
                (0..columns).map(|index| row.get(index).unwrap()).collect();
            of_table.push(format!("{table}: {values:?}"));
        }
        of_table.sort();
        rows.extend(of_table);
    }
    rows
}

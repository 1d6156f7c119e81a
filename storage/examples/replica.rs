//! The figures of one instance among several, without the network:
//! `cargo run --release -p calldex-storage --example replica -- [FOLDER]`.

use calldex_storage::record::{CallerKind, Turn, TurnRole};
use calldex_storage::replication::{
    EntryBatches, LogStore, NodeId, NodeIdentity, Replica, StateMachine, TypeConfig, random_node_id,
};
use calldex_storage::write::{CallStarted, Write, encode_batch};
use calldex_storage::{Storage, StorageConfig};
use openraft::storage::{RaftLogStorage, RaftLogStorageExt, RaftStateMachine};
use openraft::{CommittedLeaderId, Entry, EntryPayload, LogId};
use std::path::Path;
use std::time::{Duration, Instant};

/// Writes of one entry, as a primary coalesces them at most.
const ENTRY_WRITES: u64 = 500;
/// Characters of a turn.
const WORDS_CHARS: usize = 200;
/// How long each measurement runs.
const PERIOD: Duration = Duration::from_secs(10);

struct ExampleReplica {
    storage: Storage,
    replica: Replica,
}

impl ExampleReplica {
    fn joined(dir: &Path) -> Self {
        NodeIdentity::join(dir, "bench", random_node_id().unwrap()).unwrap();
        let (storage, replica) = Storage::open_replicated(StorageConfig::new(dir)).unwrap();
        Self { storage, replica }
    }

    fn log(&self) -> LogStore {
        self.replica.log_store().unwrap()
    }

    fn machine(&self) -> StateMachine {
        self.replica.state_machine()
    }
}

fn log_id(index: u64) -> LogId<NodeId> {
    LogId::new(CommittedLeaderId::new(1, 1), index)
}

/// `writes` turns of calls that live; the same index gives the same entry.
fn entry(index: u64, writes: u64) -> Entry<TypeConfig> {
    let words = "x".repeat(WORDS_CHARS);
    let turns: Vec<Write> = (0..writes)
        .map(|at| Write::TurnAppended {
            call_sid: format!("CA{:032x}", at % 500).as_str().into(),
            turn: Turn::new(
                TurnRole::Caller,
                words.as_str(),
                1_700_000_000_000,
                0,
                (index * writes + at) as u32,
            ),
        })
        .collect();
    wrapped(index, &turns)
}

fn started(index: u64) -> Entry<TypeConfig> {
    let starts: Vec<Write> = (0..500)
        .map(|call| {
            Write::CallStarted(CallStarted {
                call_sid: format!("CA{call:032x}").as_str().into(),
                number: None,
                line: "+14155550999".into(),
                caller_kind: CallerKind::Withheld,
                identity: None,
                language: None,
                at_ms: 1_700_000_000_000,
                instance: "one".into(),
            })
        })
        .collect();
    wrapped(index, &starts)
}

fn wrapped(index: u64, writes: &[Write]) -> Entry<TypeConfig> {
    Entry {
        log_id: log_id(index),
        payload: EntryPayload::Normal(EntryBatches(vec![encode_batch(writes).into()])),
    }
}

fn show(what: &str, count: u64, unit: &str, mut times: Vec<Duration>) {
    times.sort();
    let total: Duration = times.iter().sum();
    let at = |share: f64| {
        let index = (times.len() as f64 * share) as usize;
        times[index.min(times.len() - 1)].as_secs_f64() * 1_000.0
    };
    println!(
        "{what:<44} {:>9.0} {unit}/s   p50 {:>7.2} ms  p99 {:>7.2} ms  p99.9 {:>7.2} ms",
        count as f64 / total.as_secs_f64(),
        at(0.5),
        at(0.99),
        at(0.999)
    );
}

async fn appends(instance: &ExampleReplica, first: u64, writes: u64, pace: Duration) -> u64 {
    let mut log = instance.log();
    let (mut times, mut index, end) = (Vec::new(), first, Instant::now() + PERIOD);
    let mut purged = first;
    while Instant::now() < end {
        let next = entry(index, writes);
        let begun = Instant::now();
        log.blocking_append([next]).await.unwrap();
        times.push(begun.elapsed());
        index += 1;
        if index - purged > 2_000 {
            // Nothing is applied, so that nothing leaves the disk; only memory lets go.
            log.purge(log_id(purged + 1_000)).await.unwrap();
            purged += 1_000;
        }
        tokio::time::sleep(pace.saturating_sub(begun.elapsed())).await;
    }
    let paced = if pace.is_zero() {
        "flat out"
    } else {
        "at 100/s"
    };
    let what = format!("append, {writes} turns an entry, {paced}");
    show(&what, (index - first) * writes, "turns", times);
    index
}

async fn applies(instance: &ExampleReplica, first: u64, entries: u64) -> u64 {
    let mut machine = instance.machine();
    let (mut times, mut index, end) = (Vec::new(), first, Instant::now() + PERIOD);
    while Instant::now() < end {
        let job: Vec<_> = (index..index + entries)
            .map(|index| entry(index, ENTRY_WRITES))
            .collect();
        let begun = Instant::now();
        machine.apply(job).await.unwrap();
        times.push(begun.elapsed());
        index += entries;
    }
    let what = format!("apply, {entries} entries of {ENTRY_WRITES} turns a job");
    show(&what, (index - first) * ENTRY_WRITES, "turns", times);
    index
}

async fn both(instance: &ExampleReplica, first: u64) -> u64 {
    let (mut log, mut machine) = (instance.log(), instance.machine());
    let (mut times, mut index, end) = (Vec::new(), first, Instant::now() + PERIOD);
    while Instant::now() < end {
        let next = entry(index, ENTRY_WRITES);
        let begun = Instant::now();
        log.blocking_append([next.clone()]).await.unwrap();
        log.save_committed(Some(next.log_id)).await.unwrap();
        machine.apply([next]).await.unwrap();
        times.push(begun.elapsed());
        index += 1;
        if index % 200 == 0
            && let Some(durable) = instance.replica.durable_index()
        {
            log.purge(log_id(durable)).await.unwrap();
        }
    }
    show(
        "append, then apply, one entry at a time",
        (index - first) * ENTRY_WRITES,
        "turns",
        times,
    );
    println!(
        "    log on disk {} MiB, {} entries behind durable",
        instance.replica.log_bytes() >> 20,
        index - instance.replica.durable_index().unwrap_or(0)
    );
    index
}

fn snapshots(instance: &ExampleReplica, dir: &Path) {
    let begun = Instant::now();
    let (meta, file) = instance.replica.snapshot_file().unwrap();
    let bytes = std::fs::metadata(file.path()).unwrap().len();
    println!(
        "snapshot of {} MiB made in {:.2} s",
        bytes >> 20,
        begun.elapsed().as_secs_f64()
    );
    let other = ExampleReplica::joined(&dir.join("other"));
    let begun = Instant::now();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut machine = other.machine();
    runtime
        .block_on(machine.install_snapshot(&meta, Box::new(file)))
        .unwrap();
    println!("installed in {:.2} s", begun.elapsed().as_secs_f64());
    other.storage.close(PERIOD);
}

fn main() {
    let folder = std::env::args().nth(1);
    let scratch = tempfile::Builder::new()
        .prefix("replica-figures")
        .tempdir_in(folder.as_deref().unwrap_or("."))
        .unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let logs = ExampleReplica::joined(&scratch.path().join("logs"));
    let mut index = runtime.block_on(appends(&logs, 0, 1, Duration::ZERO));
    index = runtime.block_on(appends(&logs, index, ENTRY_WRITES, Duration::ZERO));
    runtime.block_on(appends(&logs, index, 10, Duration::from_millis(10)));
    logs.storage.close(PERIOD);
    let one = ExampleReplica::joined(&scratch.path().join("one"));
    runtime.block_on(async { one.machine().apply([started(0)]).await.unwrap() });
    let mut index = runtime.block_on(applies(&one, 1, 1));
    index = runtime.block_on(applies(&one, index, 4));
    let mut log = one.log();
    runtime.block_on(log.purge(log_id(index - 1))).unwrap();
    runtime.block_on(both(&one, index));
    snapshots(&one, scratch.path());
    let begun = Instant::now();
    one.storage.close(Duration::from_secs(60));
    println!("closed in {:.2} s", begun.elapsed().as_secs_f64());
}

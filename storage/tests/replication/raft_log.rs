//! The log: what is acknowledged is there, whatever happened, or it is said that it is not.

use super::fixtures::*;
use calldex_storage::replication::{RaftLogError, ReplicaError, TypeConfig};
use calldex_storage::{DiskOperation, FaultInjector};
use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
use openraft::{Entry, RaftLogReader, Vote};
use rusqlite::Connection;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

fn indexes(entries: &[Entry<TypeConfig>]) -> Vec<u64> {
    entries.iter().map(|entry| entry.log_id.index).collect()
}

fn blanks(range: std::ops::Range<u64>) -> Vec<Entry<TypeConfig>> {
    range.map(|index| blank(1, index)).collect()
}

#[test]
fn a_log_opened_after_a_kill_has_vote_entries_and_what_was_committed() {
    let instance = TestReplica::first_of_cluster();
    let mut log = instance.log();
    let said = entry(0, &[turn_appended("CA1", 0, "hello")]);
    instance.append(vec![said.clone(), blank(1, 1)]);
    run(log.save_committed(Some(log_id(1, 0)))).unwrap();
    run(log.save_vote(&Vote::new(7, 3))).unwrap();
    let survivor = instance.after_a_kill();
    let mut log = survivor.log();
    assert_eq!(run(log.read_vote()).unwrap(), Some(Vote::new(7, 3)));
    assert_eq!(run(log.read_committed()).unwrap(), Some(log_id(1, 0)));
    let entries = run(log.try_get_log_entries(..)).unwrap();
    assert_eq!(entries, [said, blank(1, 1)]);
    let state = run(log.get_log_state()).unwrap();
    assert_eq!(state.last_log_id, Some(log_id(1, 1)));
}

/// Holds up the log's commits while it is shut.
struct DiskGate {
    shut: Mutex<bool>,
    opened: Condvar,
    commits: AtomicUsize,
}

impl DiskGate {
    fn new() -> (Arc<Self>, FaultInjector) {
        let gate = Arc::new(Self {
            shut: Mutex::new(false),
            opened: Condvar::new(),
            commits: AtomicUsize::new(0),
        });
        let held = Arc::clone(&gate);
        let faults = FaultInjector::new(move |operation| {
            if operation == DiskOperation::RaftCommit {
                held.commits.fetch_add(1, Ordering::SeqCst);
                let shut = held.shut.lock().unwrap();
                drop(held.opened.wait_while(shut, |shut| *shut).unwrap());
            }
            Ok(())
        });
        (gate, faults)
    }

    fn set(&self, shut: bool) {
        *self.shut.lock().unwrap() = shut;
        self.opened.notify_all();
    }
}

#[test]
fn nothing_is_answered_or_readable_before_it_is_on_disk_and_in_the_order_of_asking() {
    let (gate, faults) = DiskGate::new();
    let instance = TestReplica::joined_with("c0ffee", faults);
    instance.append(vec![blank(1, 0)]);
    let before = gate.commits.load(Ordering::SeqCst);
    gate.set(true);
    let (mut appender, mut voter) = (instance.log(), instance.log());
    let append = std::thread::spawn(move || run(appender.blocking_append([blank(1, 1)])).unwrap());
    wait_until("the append is with the disk", || {
        gate.commits.load(Ordering::SeqCst) == before + 1
    });
    let saved = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&saved);
    let vote = std::thread::spawn(move || {
        run(voter.save_vote(&Vote::new(2, 1))).unwrap();
        noted.store(true, Ordering::SeqCst);
    });
    std::thread::sleep(std::time::Duration::from_millis(50));
    let mut log = instance.log();
    let found = run(log.try_get_log_entries(..)).unwrap();
    assert_eq!(indexes(&found), [0], "it is not on disk yet");
    let state = run(log.get_log_state()).unwrap();
    assert_eq!(state.last_log_id, Some(log_id(1, 0)));
    assert!(!saved.load(Ordering::SeqCst) && !append.is_finished());
    gate.set(false);
    append.join().unwrap();
    vote.join().unwrap();
    assert_eq!(gate.commits.load(Ordering::SeqCst), before + 2);
    assert_eq!(run(log.read_vote()).unwrap(), Some(Vote::new(2, 1)));
    let found = run(log.try_get_log_entries(..)).unwrap();
    assert_eq!(indexes(&found), [0, 1]);
}

#[test]
fn an_instance_whose_log_hangs_in_the_disk_is_closed_in_time_and_keeps_its_directory() {
    let (gate, faults) = DiskGate::new();
    let mut instance = TestReplica::joined_with("c0ffee", faults);
    instance.append(vec![blank(1, 0)]);
    let before = gate.commits.load(Ordering::SeqCst);
    gate.set(true);
    let mut appender = instance.log();
    let append = std::thread::spawn(move || run(appender.blocking_append([blank(1, 1)])).is_ok());
    wait_until("the append is with the disk", || {
        gate.commits.load(Ordering::SeqCst) == before + 1
    });
    instance.close();
    let config = calldex_storage::StorageConfig::new(instance.dir.path());
    let again = calldex_storage::Storage::open_replicated(config).err();
    let again = again.expect("who hangs may still write").to_string();
    assert!(again.contains("in use"), "{again}");
    gate.set(false);
    assert!(append.join().unwrap(), "what was written is said to be");
}

#[test]
fn after_a_failure_nothing_is_taken_until_the_file_was_verified() {
    let verified = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&verified);
    let fails = Arc::new(AtomicBool::new(false));
    let failing = Arc::clone(&fails);
    let faults = FaultInjector::new(move |operation| match operation {
        DiskOperation::RaftCommit if failing.swap(false, Ordering::SeqCst) => {
            Err(std::io::Error::other("fsync"))
        }
        DiskOperation::RaftVerify => {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
        _ => Ok(()),
    });
    let instance = TestReplica::joined_with("c0ffee", faults);
    let mut log = instance.log();
    run(log.save_vote(&Vote::new(3, 1))).unwrap();
    instance.append(blanks(0..5));
    assert_eq!(verified.load(Ordering::SeqCst), 1, "at the start");
    fails.store(true, Ordering::SeqCst);
    run(log.blocking_append(blanks(5..7))).unwrap_err();
    run(log.blocking_append(blanks(5..7))).unwrap_err();
    run(log.save_vote(&Vote::new(4, 1))).unwrap_err();
    let mut log = instance.log();
    assert_eq!(verified.load(Ordering::SeqCst), 2, "opened anew");
    let state = run(log.get_log_state()).unwrap();
    assert_eq!(state.last_log_id, Some(log_id(1, 4)));
    assert_eq!(run(log.read_vote()).unwrap(), Some(Vote::new(3, 1)));
    instance.append(blanks(5..9));
    let found = run(log.try_get_log_entries(..)).unwrap();
    assert_eq!(indexes(&found), (0..9).collect::<Vec<_>>());
}

#[test]
fn what_a_disk_lost_of_what_it_had_synced_is_not_passed_over() {
    let (left, faults) = fail_at(DiskOperation::RaftBegin);
    let instance = TestReplica::joined_with("c0ffee", faults);
    instance.append(blanks(0..5));
    left.store(1, Ordering::SeqCst);
    instance.try_append(blanks(5..6)).unwrap_err();
    let file = Connection::open(instance.dir.path().join("raft.db")).unwrap();
    file.execute("DELETE FROM entries WHERE log_index = 4", [])
        .unwrap();
    drop(file);
    let error = instance.replica().log_store().err().unwrap();
    assert!(
        matches!(error, ReplicaError::Log(RaftLogError::Lost(_))),
        "{error}"
    );
    assert!(error.to_string().contains("join anew"), "{error}");
}

fn open_error_after(change: &str) -> String {
    let mut instance = TestReplica::first_of_cluster();
    instance.append(blanks(0..5));
    instance.close();
    let file = Connection::open(instance.dir.path().join("raft.db")).unwrap();
    file.execute_batch(change).unwrap();
    drop(file);
    let config = calldex_storage::StorageConfig::new(instance.dir.path());
    let error = calldex_storage::Storage::open_replicated(config)
        .err()
        .unwrap();
    error.to_string()
}

#[test]
fn a_damaged_log_is_refused_by_what_is_wrong_with_it() {
    let garbled = open_error_after("UPDATE entries SET body = x'0102030405' WHERE log_index = 3");
    assert!(
        garbled.contains("entry 3 is not what was written"),
        "{garbled}"
    );
    let missing = open_error_after("DELETE FROM entries WHERE log_index = 2");
    assert!(missing.contains("no entry before 3"), "{missing}");
    let moved = open_error_after("UPDATE entries SET log_index = 5 WHERE log_index = 4");
    assert!(moved.contains("entry 5 is not what was written"), "{moved}");
    let mark = open_error_after("UPDATE marks SET checksum = 1 WHERE name = 'identity'");
    assert!(
        mark.contains("`identity` is not what was written"),
        "{mark}"
    );
}

#[test]
fn a_log_whose_file_was_cut_is_refused() {
    let mut instance = TestReplica::first_of_cluster();
    let words = "x".repeat(100_000);
    instance.append(
        (0..20)
            .map(|index| entry(index, &[turn_appended("CA1", 0, &words)]))
            .collect(),
    );
    instance.close();
    let path = instance.dir.path().join("raft.db");
    let bytes = std::fs::metadata(&path).unwrap().len();
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(bytes / 2).unwrap();
    let config = calldex_storage::StorageConfig::new(instance.dir.path());
    let error = calldex_storage::Storage::open_replicated(config)
        .err()
        .unwrap();
    assert!(error.to_string().contains("damaged"), "{error}");
}

#[test]
fn a_torn_tail_of_the_write_ahead_log_is_a_transaction_that_was_not_acknowledged() {
    let instance = TestReplica::first_of_cluster();
    instance.append(blanks(0..5));
    let whole = std::fs::metadata(instance.dir.path().join("raft.db-wal"))
        .unwrap()
        .len();
    instance.append(blanks(5..9));
    let copy = instance.copied(|_| true);
    let wal = std::fs::OpenOptions::new()
        .write(true)
        .open(copy.path().join("raft.db-wal"))
        .unwrap();
    wal.set_len(whole + 100).unwrap();
    let survivor = TestReplica::open(copy, FaultInjector::default());
    let found = run(survivor.log().try_get_log_entries(..)).unwrap();
    assert_eq!(indexes(&found), (0..5).collect::<Vec<_>>());
}

#[test]
fn conflicting_entries_give_way_and_stay_away() {
    let instance = TestReplica::first_of_cluster();
    let mut log = instance.log();
    instance.append(blanks(0..8));
    run(log.truncate(log_id(1, 5))).unwrap();
    assert_eq!(
        run(log.get_log_state()).unwrap().last_log_id,
        Some(log_id(1, 4))
    );
    instance.append(vec![blank(2, 5)]);
    let survivor = instance.after_a_kill();
    let mut log = survivor.log();
    let found = run(log.try_get_log_entries(3..)).unwrap();
    assert_eq!(found, [blank(1, 3), blank(1, 4), blank(2, 5)]);
}

#[test]
fn what_is_purged_leaves_the_disk_only_as_far_as_the_database_is_durable() {
    let instance = TestReplica::first_of_cluster();
    let mut log = instance.log();
    instance.append(
        (0..300)
            .map(|index| entry(index, &[turn_appended("CA1", index as u32, "x")]))
            .collect(),
    );
    instance.apply(
        (0..100)
            .map(|index| entry(index, &[turn_appended("CA1", index as u32, "x")]))
            .collect(),
    );
    run(log.purge(log_id(1, 250))).unwrap();
    let found = run(log.try_get_log_entries(..)).unwrap();
    assert_eq!(indexes(&found), (251..300).collect::<Vec<_>>());
    std::thread::sleep(std::time::Duration::from_millis(600));
    let durable = instance.replica().durable_index();
    let rows = on_disk(&instance);
    assert!(
        rows.0 <= durable.map_or(0, |index| index + 1),
        "{rows:?}, {durable:?}"
    );
    let survivor = instance.after_a_power_cut();
    let first = on_disk(&survivor).0;
    let applied = survivor.storage().applied();
    assert!(
        first <= applied + 1,
        "from {first}, applied up to {applied}"
    );
}

/// The first and the last row of the log on disk.
fn on_disk(instance: &TestReplica) -> (u64, u64) {
    let file = Connection::open(instance.dir.path().join("raft.db")).unwrap();
    file.query_row(
        "SELECT MIN(log_index), MAX(log_index) FROM entries",
        [],
        |row| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64)),
    )
    .unwrap()
}

#[test]
fn the_file_does_not_grow_for_ever() {
    let instance = TestReplica::first_of_cluster();
    let mut log = instance.log();
    let words = "x".repeat(50_000);
    let path = instance.dir.path().join("raft.db");
    let mut sizes = Vec::new();
    for round in 0..6_u64 {
        let entries: Vec<_> = (round * 400..(round + 1) * 400)
            .map(|index| entry(index, &[turn_appended("CA1", index as u32, &words)]))
            .collect();
        instance.append(entries.clone());
        instance.apply(entries);
        let mut builder = run(openraft::storage::RaftStateMachine::get_snapshot_builder(
            &mut instance.state_machine(),
        ));
        run(openraft::RaftSnapshotBuilder::build_snapshot(&mut builder)).unwrap();
        run(log.purge(log_id(1, (round + 1) * 400 - 1))).unwrap();
        wait_until("purged", || instance.replica().log_bytes() == 0);
        sizes.push(std::fs::metadata(&path).unwrap().len());
    }
    let first = sizes[0].max(sizes[1]);
    assert!(sizes[5] <= first + 4 * 1024 * 1024, "{sizes:?}");
    wait_until("given back", || {
        std::fs::metadata(&path).unwrap().len() < 24 * 1024 * 1024
    });
}

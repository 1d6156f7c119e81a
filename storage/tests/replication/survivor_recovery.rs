//! A cluster that has lost its majority for good is founded anew from a survivor: with everything that the
//! survivor ever acknowledged, wherever it lay.

use super::fixtures::*;
use calldex_storage::replication::{IdentityError, NodeIdentity, SurvivorError, SurvivorReport};
use calldex_storage::{DiskOperation, FaultInjector, Storage, StorageConfig};
use openraft::storage::RaftLogStorage;
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tempfile::TempDir;

/// Turns that are in the log, and so acknowledged; of these applied when the power went; in the outbox.
const LOGGED: u32 = 60;
const APPLIED: u32 = 41;
const KEPT: u32 = 3;

/// What a power cut leaves of a member: the log whole, the database as it was checkpointed last, and
/// writes in the outbox.
fn survivor() -> TempDir {
    let instance = TestReplica::first_of_cluster();
    let turn = |index: u64| turn_appended("CA1", index as u32 - 1, "hello");
    let mut entries = vec![members(0, &[1, 2, 3])];
    entries.extend((1..=u64::from(LOGGED)).map(|index| entry(index, &[turn(index)])));
    instance.append(entries.clone());
    // What it knows to be committed lags behind what was acknowledged with its help.
    run(instance.log().save_committed(Some(log_id(1, 50)))).unwrap();
    instance.append(vec![blank(1, u64::from(LOGGED) + 1)]);
    instance.apply(entries.into_iter().take(APPLIED as usize + 1).collect());
    let writer = &instance.storage().writer;
    for seq in LOGGED..LOGGED + KEPT {
        drop(writer.submit(turn_appended("CA1", seq, "kept")));
    }
    let outbox = instance.dir.path().join("outbox.db");
    wait_until("they are in the outbox", || {
        let count = "SELECT COUNT(*) FROM batches";
        let batches = Connection::open(&outbox)
            .and_then(|outbox| outbox.query_row(count, [], |row| row.get::<_, i64>(0)));
        batches.is_ok_and(|batches| batches > 0) && writer.status().depth.writes == KEPT as usize
    });
    std::thread::sleep(std::time::Duration::from_millis(300));
    instance.copied(|file| !file.starts_with("calls.db-"))
}

fn turns(dir: &Path) -> u32 {
    let database = Connection::open(dir.join("calls.db")).unwrap();
    let count = "SELECT COUNT(*) FROM turns";
    database.query_row(count, [], |row| row.get(0)).unwrap()
}

/// What it was told to do until now: its database alone, in a directory of its own.
fn founded_from_the_database_alone(survivor: &Path) -> TempDir {
    let dir = TempDir::new().unwrap();
    std::fs::copy(survivor.join("calls.db"), dir.path().join("calls.db")).unwrap();
    NodeIdentity::init_cluster(dir.path()).unwrap();
    dir
}

#[test]
fn everything_that_a_survivor_acknowledged_is_there_after_a_power_cut() {
    let dir = survivor();
    let before = founded_from_the_database_alone(dir.path());
    let before = turns(before.path());
    assert!(
        before < APPLIED,
        "the cut took nothing: the test shows nothing"
    );

    let seen = SurvivorReport::inspect(dir.path()).unwrap();
    assert_eq!(seen.last_entry, Some((1, u64::from(LOGGED) + 1)));
    assert_eq!(
        (seen.committed, seen.outbox_writes),
        (Some(50), KEPT as usize)
    );
    assert!(seen.entries > u64::from(LOGGED - APPLIED), "{seen:?}");

    let (survivor, identity) =
        NodeIdentity::init_cluster_from_survivor(dir.path(), &FaultInjector::default()).unwrap();
    assert_eq!(survivor, seen);
    println!(
        "of {LOGGED} acknowledged turns and {KEPT} in the outbox: {before} by the database alone, {} by all of it",
        turns(dir.path())
    );
    assert_eq!(turns(dir.path()), LOGGED + KEPT);
    assert_ne!(identity.cluster_id(), seen.cluster_id);
    let (again, same) =
        NodeIdentity::init_cluster_from_survivor(dir.path(), &FaultInjector::default()).unwrap();
    assert_eq!((again, same), (SurvivorReport::default(), identity.clone()));

    // It is the first instance of a cluster, with nothing of the old one in its log or outbox.
    let instance = TestReplica::open(dir, FaultInjector::default());
    assert_eq!(instance.cluster_id(), identity.cluster_id());
    assert!(instance.replica().identity().is_first_of_cluster());
    assert_eq!(instance.storage().opened_at(), 0);
    assert_eq!(instance.storage().writer.status().depth.writes, 0);
    instance.append(vec![
        blank(1, 0),
        entry(1, &[turn_appended("CA1", 90, "new")]),
    ]);
    instance.apply(vec![
        blank(1, 0),
        entry(1, &[turn_appended("CA1", 90, "new")]),
    ]);
    assert_eq!(turns(instance.dir.path()), LOGGED + KEPT + 1);
}

/// Ends the founding before one of its steps, or in the middle of the disk's work.
fn ending_at(operation: DiskOperation, step: usize) -> FaultInjector {
    let steps = Arc::new(AtomicUsize::new(0));
    FaultInjector::new(move |at| {
        let is_there = at == operation && steps.fetch_add(1, Ordering::SeqCst) == step;
        match is_there {
            true => Err(std::io::Error::other("ended by this test")),
            false => Ok(()),
        }
    })
}

#[test]
fn a_founding_that_is_cut_short_anywhere_goes_on_where_it_was() {
    let (whole, mut cuts) = (survivor(), 0);
    let operations = [
        DiskOperation::FoundAnew,
        DiskOperation::OpenWriter,
        DiskOperation::Commit,
        DiskOperation::OutboxOpen,
        DiskOperation::OutboxCommit,
    ];
    for operation in operations {
        for step in 0.. {
            let dir = TempDir::new().unwrap();
            for file in std::fs::read_dir(whole.path()).unwrap().map(Result::unwrap) {
                std::fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
            }
            let cut =
                NodeIdentity::init_cluster_from_survivor(dir.path(), &ending_at(operation, step));
            if cut.is_ok() {
                assert!(step > 0, "{operation:?} is not on the way");
                break;
            }
            cuts += 1;
            // Either it is the old member still, or nobody yet: never a new one with less than all.
            match Storage::open_replicated(StorageConfig::new(dir.path())) {
                Ok((storage, replica)) => {
                    let is_founder = replica.identity().is_first_of_cluster();
                    let has_all = turns(dir.path()) == LOGGED + KEPT;
                    drop(replica);
                    storage.close(WAIT_MAX);
                    if is_founder && has_all {
                        continue;
                    }
                }
                Err(error) => assert!(error.to_string().contains("cut short"), "{error}"),
            }
            NodeIdentity::init_cluster_from_survivor(dir.path(), &FaultInjector::default())
                .unwrap();
            assert_eq!(turns(dir.path()), LOGGED + KEPT, "{operation:?} {step}");
        }
    }
    println!("cut short {cuts} times");
    assert!(cuts >= 9, "{cuts}");
}

#[test]
fn only_a_member_that_is_not_running_is_a_survivor() {
    let instance = TestReplica::first_of_cluster();
    let running =
        NodeIdentity::init_cluster_from_survivor(instance.dir.path(), &FaultInjector::default());
    assert!(matches!(
        running,
        Err(SurvivorError::Identity(IdentityError::InUse(_)))
    ));
    let nobody = TempDir::new().unwrap();
    let nobody = NodeIdentity::init_cluster_from_survivor(nobody.path(), &FaultInjector::default());
    assert!(matches!(
        nobody,
        Err(SurvivorError::Identity(IdentityError::NotAMember))
    ));
    // One that has let go of entries which its database has not: put back from an older copy.
    let old = survivor();
    let log = Connection::open(old.path().join("raft.db")).unwrap();
    log.execute("DELETE FROM entries WHERE log_index < 30", [])
        .unwrap();
    drop(log);
    let old = NodeIdentity::init_cluster_from_survivor(old.path(), &FaultInjector::default());
    assert!(old.unwrap_err().to_string().contains("no entry before 30"));
}

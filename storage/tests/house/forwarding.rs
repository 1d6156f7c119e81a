//! Writes of one instance among several: to the primary, through the outbox while there is none.

use crate::fixtures::*;
use crate::members::{Instance, Manner, kept};
use calldex_storage::replication::{Identity, OUTBOX_FILE, random_node_id};
use calldex_storage::write::Write;
use calldex_storage::{
    Faults, NotDurable, OpenError, Operation, Recall, Receipt, Storage, StorageConfig,
};
use openraft::RaftSnapshotBuilder;
use openraft::storage::RaftStateMachine;
use rusqlite::Connection;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;

const FROM: &str = "+14155550100";

fn say(instance: &Instance, seqs: std::ops::Range<u32>) -> Vec<Receipt> {
    let writer = &instance.storage().writer;
    seqs.map(|seq| writer.submit(said("CA1", 0, seq, "hello")))
        .collect()
}

fn all_settle(receipts: Vec<Receipt>) -> Vec<u64> {
    receipts
        .into_iter()
        .map(|receipt| settle(receipt).unwrap())
        .collect()
}

#[test]
fn a_write_is_acknowledged_with_its_place_in_the_log() {
    let instance = Instance::new(Manner::Takes);
    let first = settle(instance.storage().writer.submit(started("CA1", Some(FROM)))).unwrap();
    let second = settle(instance.storage().writer.submit(said("CA1", 0, 0, "hello"))).unwrap();
    assert!(second > first);
    assert_eq!(instance.storage().writer.position(), second);
    instance.wait_applied(second);
    assert_eq!(instance.storage().applied(), second);
    assert_eq!(instance.turns(), [0]);
    assert_eq!(
        instance.sql::<i64>("SELECT position FROM meta"),
        second.cast_signed()
    );
}

#[test]
fn what_is_acknowledged_and_not_yet_applied_here_is_read_here() {
    let instance = Instance::new(Manner::TakesAhead);
    let storage = instance.storage();
    let receipts = [
        started("CA1", Some(FROM)),
        Write::NameConfirmed(given(FROM, "Misty", 1)),
        said("CA1", 0, 0, "hello"),
    ]
    .map(|write| storage.writer.submit(write));
    let position = *all_settle(receipts.into()).last().unwrap();
    let look = || {
        instance.runtime.block_on(async {
            let call = storage.conversations.live("CA1").await.unwrap().unwrap();
            let recall = storage.directory.recall(&number(FROM), PATIENCE).await;
            let Recall::Known(caller) = recall else {
                panic!("{recall:?}")
            };
            (call.turns.len(), caller.greeting_name().map(str::to_owned))
        })
    };
    let expected = (1, Some("Misty".to_owned()));
    assert!(storage.applied() < position);
    assert_eq!(instance.sql::<i64>("SELECT COUNT(*) FROM callers"), 0);
    assert_eq!(look(), expected);
    assert!(storage.writer.status().depth.bytes > 0, "it is still held");
    instance.catch_up();
    instance.wait_applied(position);
    assert_eq!(look(), expected);
    assert_eq!(instance.sql::<i64>("SELECT COUNT(*) FROM callers"), 1);
    assert_eq!(storage.writer.status().depth.bytes, 0, "it is let go of");
}

#[test]
fn a_position_that_never_comes_is_not_waited_for_for_ever() {
    let instance = Instance::new(Manner::Takes);
    let waiting = instance
        .storage()
        .wait_applied(1_000, Duration::from_millis(20));
    assert!(!instance.runtime.block_on(waiting));
}

#[test]
fn writes_without_a_primary_survive_the_process_and_are_proposed_first_and_in_order() {
    let mut instance = Instance::new(Manner::IsGone);
    let mut receipts = Vec::new();
    for some in 0..5 {
        receipts.extend(say(&instance, some * 10..some * 10 + 10));
        std::thread::sleep(Duration::from_millis(10));
    }
    instance.wait_kept(50);
    let status = instance.storage().writer.status();
    assert_eq!(
        (status.degraded, status.depth.writes),
        (Some("no_primary"), 50)
    );
    assert!(receipts.iter_mut().all(|receipt| receipt.peek().is_none()));
    let crashed = instance.crashed();
    instance.close(Duration::ZERO);

    let again = Instance::open(crashed, Manner::IsGone, |_| ());
    let read = || async { again.storage().conversations.live("CA1").await };
    let call = again.runtime.block_on(read()).unwrap().unwrap();
    assert_eq!(call.turns.len(), 50, "pending again");
    let last = say(&again, 50..51);
    again.primary.becomes(Manner::Takes);
    let position = all_settle(last)[0];
    again.wait_applied(position);
    assert_eq!(again.turns(), (0..51).collect::<Vec<_>>());
    wait_until("the outbox is empty", || kept(again.dir.path()) == 0);
    assert_eq!(again.storage().writer.status().degraded, None);
    assert_eq!(again.storage().writer.status().depth.writes, 0);
}

#[test]
fn writes_without_a_primary_are_taken_in_order_once_there_is_one() {
    let instance = Instance::new(Manner::IsGone);
    let mut receipts = say(&instance, 0..20);
    instance.wait_kept(20);
    receipts.extend(say(&instance, 20..40));
    instance.wait_kept(40);
    instance.primary.becomes(Manner::Takes);
    let positions = all_settle(receipts);
    assert!(positions.is_sorted());
    instance.wait_applied(positions[39]);
    assert_eq!(instance.turns(), (0..40).collect::<Vec<_>>());
    wait_until("the outbox is empty", || kept(instance.dir.path()) == 0);
}

#[test]
fn what_landed_is_acknowledged_though_no_answer_comes_and_is_not_proposed_again() {
    let instance = Instance::new(Manner::Mute);
    let writer = &instance.storage().writer;
    for seq in 0..3 {
        let receipt = writer.submit(said("CA1", 0, seq, "hello"));
        assert_eq!(settle(receipt), Ok(u64::from(seq) + 1));
    }
    assert_eq!(instance.primary.proposals(), 3, "each once");
    assert_eq!(instance.turns(), [0, 1, 2]);
    assert_eq!(writer.status().depth.writes, 0);
}

#[test]
fn a_batch_that_landed_before_its_connection_broke_is_harmless_when_it_comes_again() {
    let instance = Instance::new(Manner::Breaks);
    let storage = instance.storage();
    let receipts = [started("CA1", Some(FROM)), said("CA1", 0, 0, "hello")]
        .map(|write| storage.writer.submit(write));
    wait_until("it was proposed again", || instance.primary.proposals() > 1);
    assert_eq!(storage.applied(), 0);
    instance.primary.becomes(Manner::Takes);
    all_settle(receipts.into());
    wait_until("all are applied", || {
        storage.applied() >= instance.primary.proposals() as u64
    });
    assert_eq!(instance.turns(), [0]);
    assert_eq!(instance.sql::<i64>("SELECT calls FROM callers"), 1);
}

#[test]
fn what_a_primary_is_slow_to_take_is_in_the_outbox_before_it_answers() {
    let mut instance = Instance::new(Manner::Deaf);
    drop(say(&instance, 0..3));
    instance.wait_kept(3);
    drop(say(&instance, 3..4));
    instance.wait_kept(4);
    assert_eq!(instance.primary.proposals(), 1, "still on its way");
    let crashed = instance.crashed();
    instance.close(Duration::ZERO);
    let again = Instance::open(crashed, Manner::Takes, |_| ());
    wait_until("proposed", || {
        again.primary.turns_proposed() == [0, 1, 2, 3]
    });
}

#[test]
fn what_waits_behind_quick_answers_is_in_the_outbox_too() {
    let one_by_one = |config: &mut StorageConfig| config.bounds.batch_writes_max = 1;
    let instance = Instance::with(Manner::Slow(Duration::from_millis(30)), one_by_one);
    let mut receipts = say(&instance, 0..40);
    let mut last = receipts.pop().unwrap();
    let mut most = 0;
    while last.peek().is_none() {
        most = most.max(kept(instance.dir.path()));
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(most > 20, "{most} were in the outbox");
    all_settle(receipts);
}

#[test]
fn closing_without_a_primary_leaves_everything_in_the_outbox_and_says_so() {
    for deadline in [Duration::ZERO, Duration::from_millis(300)] {
        let mut instance = Instance::new(Manner::IsGone);
        let receipts = say(&instance, 0..5);
        assert_eq!(instance.close(deadline), 0, "nothing was given up");
        for receipt in receipts {
            assert_eq!(receipt.wait(), Err(NotDurable::Kept));
        }
        assert_eq!(kept(instance.dir.path()), 5);
        instance.primary.becomes(Manner::Takes);
        instance.reopen();
        wait_until("applied", || instance.turns() == [0, 1, 2, 3, 4]);
    }
}

#[test]
fn closing_does_not_wait_to_its_deadline_for_a_primary_that_does_not_come() {
    let mut instance = Instance::new(Manner::IsGone);
    drop(say(&instance, 0..5));
    instance.wait_kept(5);
    let begun = std::time::Instant::now();
    assert_eq!(instance.close(PATIENCE), 0);
    assert!(begun.elapsed() < PATIENCE / 2);
    assert_eq!(kept(instance.dir.path()), 5);
}

#[test]
fn closing_with_a_primary_leaves_nothing() {
    let mut instance = Instance::new(Manner::Slow(Duration::from_millis(30)));
    let receipts = say(&instance, 0..5);
    assert_eq!(instance.close(PATIENCE), 0);
    all_settle(receipts);
    assert_eq!(kept(instance.dir.path()), 0);
    assert_eq!(instance.turns(), [0, 1, 2, 3, 4]);
}

fn failing_outbox() -> (Arc<AtomicBool>, Faults) {
    let fails = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&fails);
    let faults = Faults::new(move |operation| {
        let hit = operation == Operation::OutboxCommit && switch.load(Ordering::SeqCst);
        match hit {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    });
    (fails, faults)
}

#[test]
fn an_outbox_that_fails_leaves_writes_in_memory_until_it_is_back() {
    let (fails, faults) = failing_outbox();
    let instance = Instance::with(Manner::IsGone, |config| config.faults = faults);
    drop(say(&instance, 0..3));
    instance.wait_kept(3);
    fails.store(true, Ordering::SeqCst);
    let during = say(&instance, 3..6);
    let writer = &instance.storage().writer;
    wait_until("degraded", || writer.status().degraded == Some("full"));
    fails.store(false, Ordering::SeqCst);
    instance.wait_kept(6);
    wait_until("back", || writer.status().degraded == Some("no_primary"));
    instance.primary.becomes(Manner::Takes);
    let positions = all_settle(during);
    instance.wait_applied(positions[2]);
    assert_eq!(instance.turns(), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn what_neither_a_primary_nor_the_outbox_took_is_given_up_loudly() {
    let (fails, faults) = failing_outbox();
    let mut instance = Instance::with(Manner::IsGone, |config| config.faults = faults);
    fails.store(true, Ordering::SeqCst);
    let receipts = say(&instance, 0..3);
    assert_eq!(instance.close(Duration::from_millis(50)), 3);
    for receipt in receipts {
        assert_eq!(receipt.wait(), Err(NotDurable::Closed));
    }
}

#[test]
fn at_the_bound_of_the_queue_a_write_is_refused_and_the_others_are_kept() {
    let instance = Instance::with(Manner::IsGone, |config| {
        config.bounds.queue_bytes_max = 10_000;
    });
    let mut receipts = say(&instance, 0..1_000);
    let last = receipts.pop().unwrap();
    assert_eq!(last.wait(), Err(NotDurable::QueueFull));
    instance.primary.becomes(Manner::Takes);
    let taken = receipts.into_iter().map(settle).filter(Result::is_ok);
    let taken = taken.count();
    assert!(taken > 0);
    assert_eq!(instance.turns().len(), taken);
}

#[test]
fn a_write_that_the_primary_refuses_is_set_aside_alone() {
    let instance = Instance::new(Manner::Refuses("CA-bad"));
    let writer = &instance.storage().writer;
    let before = say(&instance, 0..40);
    let bad = writer.submit(said("CA-bad", 0, 0, "bad"));
    let after = say(&instance, 40..60);
    assert_eq!(settle(bad), Err(NotDurable::Refused));
    all_settle(before);
    let position = *all_settle(after).last().unwrap();
    instance.wait_applied(position);
    assert_eq!(instance.turns(), (0..60).collect::<Vec<_>>());
    let call = instance
        .runtime
        .block_on(instance.storage().conversations.live("CA-bad"));
    assert_eq!(call.unwrap(), None, "it is no longer pending");
    let outbox = Connection::open(instance.dir.path().join(OUTBOX_FILE)).unwrap();
    let aside = "SELECT CAST(bytes AS TEXT) FROM unreadable";
    let aside: String = outbox.query_row(aside, [], |row| row.get(0)).unwrap();
    assert!(aside.contains("CA-bad"), "{aside}");
}

#[test]
fn a_refused_write_in_the_outbox_goes_and_what_follows_stays_in_order() {
    let instance = Instance::new(Manner::IsGone);
    let writer = &instance.storage().writer;
    let before = say(&instance, 0..5);
    let bad = writer.submit(said("CA-bad", 0, 0, "bad"));
    let after = say(&instance, 5..9);
    instance.wait_kept(10);
    instance.primary.becomes(Manner::Refuses("CA-bad"));
    assert_eq!(settle(bad), Err(NotDurable::Refused));
    all_settle(before);
    all_settle(after);
    wait_until("the outbox is empty", || kept(instance.dir.path()) == 0);
    assert_eq!(instance.turns(), (0..9).collect::<Vec<_>>());
}

#[test]
fn a_proposal_is_no_longer_than_a_primary_must_take() {
    let instance = Instance::new(Manner::Takes);
    let words = "long words \"quoted\" ".repeat(10_000);
    let writer = &instance.storage().writer;
    let receipts: Vec<_> = (0..12)
        .map(|seq| writer.submit(said("CA1", 0, seq, &words)))
        .collect();
    let position = *all_settle(receipts).last().unwrap();
    instance.wait_applied(position);
    assert_eq!(instance.turns(), (0..12).collect::<Vec<_>>());
    assert!(instance.primary.proposals() > 2);
    assert!(instance.primary.longest() <= calldex_storage::replication::PROPOSAL_BYTES_MAX);
}

#[test]
fn a_flush_ends_when_everything_before_it_is_with_the_primary() {
    let instance = Instance::new(Manner::IsGone);
    drop(say(&instance, 0..3));
    let writer = &instance.storage().writer;
    let flush = |deadline| instance.runtime.block_on(writer.flush(deadline));
    assert!(flush(Duration::from_millis(50)).is_err());
    instance.primary.becomes(Manner::Takes);
    let position = flush(PATIENCE).unwrap();
    assert_eq!(position, writer.position());
    instance.wait_applied(position);
    assert_eq!(instance.turns(), [0, 1, 2]);
    let proposals = instance.primary.proposals();
    assert_eq!(flush(PATIENCE).unwrap(), position, "nothing to wait for");
    assert_eq!(instance.primary.proposals(), proposals);
}

#[test]
fn an_outbox_of_another_cluster_is_set_aside_and_not_proposed() {
    let mut instance = Instance::new(Manner::IsGone);
    drop(say(&instance, 0..3));
    instance.close(Duration::ZERO);
    let other = TempDir::new().unwrap();
    Identity::found(other.path()).unwrap();
    std::fs::copy(
        instance.dir.path().join(OUTBOX_FILE),
        other.path().join(OUTBOX_FILE),
    )
    .unwrap();
    let other = Instance::open(other, Manner::Takes, |_| ());
    let position = all_settle(say(&other, 7..8))[0];
    other.wait_applied(position);
    assert_eq!(other.turns(), [7]);
    assert_eq!(set_aside(other.dir.path()), 1);
}

#[test]
fn a_damaged_outbox_is_set_aside_and_stops_nothing() {
    let mut instance = Instance::new(Manner::IsGone);
    drop(say(&instance, 0..3));
    instance.close(Duration::ZERO);
    std::fs::write(
        instance.dir.path().join(OUTBOX_FILE),
        "no database".repeat(500),
    )
    .unwrap();
    instance.primary.becomes(Manner::Takes);
    instance.reopen();
    let position = all_settle(say(&instance, 7..8))[0];
    instance.wait_applied(position);
    assert_eq!(set_aside(instance.dir.path()), 1);
}

/// Files that an outbox was renamed to.
fn set_aside(dir: &std::path::Path) -> usize {
    let is_aside = |name: &str| name.starts_with("outbox.db.") && !name.ends_with("-wal");
    std::fs::read_dir(dir)
        .unwrap()
        .filter(|file| is_aside(&file.as_ref().unwrap().file_name().to_string_lossy()))
        .count()
}

#[test]
fn a_batch_in_the_outbox_that_cannot_be_read_is_set_aside_and_hinders_nothing() {
    let mut instance = Instance::new(Manner::IsGone);
    drop(say(&instance, 0..3));
    instance.close(Duration::ZERO);
    let outbox = Connection::open(instance.dir.path().join(OUTBOX_FILE)).unwrap();
    outbox
        .execute(
            r#"INSERT INTO batches (at_ms, bytes) VALUES (1, CAST('{"form":99,"writes":[]}' AS BLOB))"#,
            [],
        )
        .unwrap();
    instance.primary.becomes(Manner::Takes);
    instance.reopen();
    wait_until("applied", || instance.turns() == [0, 1, 2]);
    let aside = "SELECT COUNT(*) FROM unreadable";
    let aside: i64 = outbox.query_row(aside, [], |row| row.get(0)).unwrap();
    assert_eq!(aside, 1);
}

#[test]
fn a_directory_of_several_instances_is_not_opened_alone_nor_one_of_none_among_several() {
    let dir = TempDir::new().unwrap();
    let config = || StorageConfig::new(dir.path());
    match Storage::open_replicated(config()) {
        Err(error @ OpenError::Replica { .. }) => {
            assert!(error.to_string().contains("cluster init"), "{error}");
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened"),
    }
    Identity::found(dir.path()).unwrap();
    match Storage::open(config()) {
        Err(error @ OpenError::Replicated { .. }) => {
            assert!(error.to_string().contains("[cluster]"), "{error}");
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("opened"),
    }
    assert!(Storage::open_replicated(config()).is_ok());
}

#[test]
fn a_database_that_leaves_its_cluster_by_hand_goes_its_own_way() {
    let instance = Instance::new(Manner::Takes);
    let position = all_settle(say(&instance, 0..3))[2];
    instance.wait_applied(position);
    let crashed = instance.crashed();
    let alone = TempDir::new().unwrap();
    for file in ["calls.db", "calls.db-wal"] {
        std::fs::copy(crashed.path().join(file), alone.path().join(file)).unwrap();
    }
    let storage = Storage::open(StorageConfig::new(alone.path())).unwrap();
    assert!(settle(storage.writer.submit(said("CA1", 0, 3, "alone"))).unwrap() > position);
    storage.close(PATIENCE);
    std::fs::copy(
        alone.path().join("calls.db"),
        crashed.path().join("calls.db"),
    )
    .unwrap();
    let _ = std::fs::remove_file(crashed.path().join("calls.db-wal"));
    let back = Storage::open_replicated(StorageConfig::new(crashed.path()));
    assert!(back.is_err(), "it was taken for the cluster's again");
}

#[test]
fn a_snapshot_in_the_databases_place_tells_who_owns_the_live_calls() {
    let founder = Instance::new(Manner::Takes);
    let writer = &founder.storage().writer;
    let mut receipts = vec![writer.submit(started("CA1", Some(FROM)))];
    receipts.push(writer.submit(Write::NameConfirmed(given(FROM, "Misty", 1))));
    receipts.push(writer.submit(resumed("CA1", 1)));
    receipts.push(writer.submit(started("CA2", None)));
    receipts.push(writer.submit(ended("CA2", None, 1)));
    let position = *all_settle(receipts).last().unwrap();
    founder.wait_applied(position);
    let cluster = founder.replica.as_ref().unwrap().identity().cluster_id();

    let dir = TempDir::new().unwrap();
    Identity::join(dir.path(), cluster, random_node_id().unwrap()).unwrap();
    let joiner = Instance::open(dir, Manner::TakesAhead, |_| ());
    let mut takeovers = joiner.storage().takeovers();
    let look = || {
        let from = number(FROM);
        let recall = joiner.storage().directory.recall(&from, PATIENCE);
        joiner.runtime.block_on(recall)
    };
    assert_eq!(look(), Recall::Unknown);
    let (mut from, mut to) = (founder.machine(), joiner.machine());
    joiner.runtime.block_on(async {
        let snapshot = from
            .get_snapshot_builder()
            .await
            .build_snapshot()
            .await
            .unwrap();
        to.install_snapshot(&snapshot.meta, snapshot.snapshot)
            .await
            .unwrap();
    });
    assert_eq!(joiner.storage().applied(), position);
    let told = takeovers.try_recv().unwrap();
    assert_eq!(
        (told.call_sid.as_str(), told.epoch, told.instance.as_str()),
        ("CA1", 1, "two")
    );
    assert!(takeovers.try_recv().is_err(), "only the one that lives");
    assert!(matches!(look(), Recall::Known(_)));
}

/// Prints what one instance can write through a primary that takes 10 ms a batch:
/// `cargo test --release -p calldex-storage --test house measure_ -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn measure_writes_through_a_primary_of_ten_milliseconds() {
    const WRITES: u32 = 200_000;
    /// Enough for full batches, below the queue's bound.
    const UNDER_WAY_MAX: usize = 20_000;
    let instance = Instance::new(Manner::Slow(Duration::from_millis(10)));
    let begun = std::time::Instant::now();
    let mut under_way = std::collections::VecDeque::new();
    for seq in 0..WRITES {
        let write = said(&format!("CA{}", seq % 500), 0, seq / 500, &"x".repeat(200));
        under_way.push_back(instance.storage().writer.submit(write));
        if under_way.len() >= UNDER_WAY_MAX {
            settle(under_way.pop_front().unwrap()).unwrap();
        }
    }
    all_settle(under_way.into());
    let took = begun.elapsed().as_secs_f64();
    println!(
        "{:.0} writes/s in {} proposals",
        f64::from(WRITES) / took,
        instance.primary.proposals()
    );
}

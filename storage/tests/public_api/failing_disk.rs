//! A disk that fails: nothing is called durable, nothing is lost, all is written when it is back.

use crate::fixtures::*;
use calldex_storage::{DiskOperation, FaultInjector, WriteError};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

fn fail_while(at: DiskOperation, kind: io::ErrorKind) -> (Arc<AtomicBool>, FaultInjector) {
    let fails = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&fails);
    let faults = FaultInjector::new(move |operation| {
        let hit = operation == at && switch.load(Ordering::SeqCst);
        if hit {
            Err(io::Error::from(kind))
        } else {
            Ok(())
        }
    });
    (fails, faults)
}

#[test]
fn writes_wait_in_memory_while_the_disk_fails_and_are_written_when_it_is_back() {
    let cases = [
        (DiskOperation::Begin, io::ErrorKind::StorageFull, "full"),
        (DiskOperation::Commit, io::ErrorKind::Other, "io"),
        (
            DiskOperation::Begin,
            io::ErrorKind::ReadOnlyFilesystem,
            "read_only",
        ),
    ];
    for (at, kind, reason) in cases {
        let (fails, faults) = fail_while(at, kind);
        let fixture = TestStorage::with(|config| config.faults = faults);
        fixture.write(turn_appended("CA1", 0, 0, "before"));
        fails.store(true, Ordering::SeqCst);
        let mut receipts: Vec<_> = (1..20)
            .map(|seq| {
                fixture
                    .storage()
                    .writer
                    .submit(turn_appended("CA1", 0, seq, "during"))
            })
            .collect();
        wait_until("degraded", || {
            fixture.storage().writer.status().degraded == Some(reason)
        });
        assert!(
            receipts.iter_mut().all(|receipt| receipt.peek().is_none()),
            "called durable too early"
        );
        assert_eq!(fixture.sql::<i64>("SELECT COUNT(*) FROM turns"), 1);
        fails.store(false, Ordering::SeqCst);
        receipts
            .into_iter()
            .for_each(|receipt| assert!(receipt.wait().is_ok()));
        assert_eq!(fixture.sql::<i64>("SELECT COUNT(*) FROM turns"), 20);
        assert_eq!(fixture.storage().writer.status().degraded, None);
    }
}

#[test]
fn a_lock_held_by_somebody_else_is_waited_out() {
    let fixture = TestStorage::new();
    let other = fixture.connection();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let receipt = fixture
        .storage()
        .writer
        .submit(turn_appended("CA1", 0, 0, "hello"));
    wait_until("degraded", || {
        fixture.storage().writer.status().degraded == Some("locked")
    });
    other.execute_batch("COMMIT").unwrap();
    assert!(receipt.wait().is_ok());
}

#[test]
fn closing_with_a_failing_disk_ends_in_time_and_says_what_was_given_up() {
    let (fails, faults) = fail_while(DiskOperation::Begin, io::ErrorKind::StorageFull);
    let dir = tempfile::TempDir::new().unwrap();
    let mut config = calldex_storage::StorageConfig::new(dir.path());
    config.faults = faults;
    let storage = calldex_storage::Storage::open(config).unwrap();
    fails.store(true, Ordering::SeqCst);
    let receipt = storage.writer.submit(turn_appended("CA1", 0, 0, "hello"));
    assert_eq!(storage.close(Duration::from_millis(200)), 1);
    assert_eq!(receipt.wait(), Err(WriteError::Closed));
}

#[test]
fn a_defect_in_one_write_does_not_hold_up_the_others() {
    let fixture = TestStorage::new();
    // A row that no write can append to: the table takes no turns of this call.
    fixture
        .connection()
        .execute_batch(
            "CREATE TRIGGER defect BEFORE INSERT ON turns WHEN NEW.call_sid = 'CA-bad'
             BEGIN SELECT RAISE(ABORT, 'defect'); END",
        )
        .unwrap();
    let writer = &fixture.storage().writer;
    let good = writer.submit(turn_appended("CA1", 0, 0, "good"));
    let bad = writer.submit(turn_appended("CA-bad", 0, 0, "bad"));
    let after = writer.submit(turn_appended("CA1", 0, 1, "good too"));
    assert!(good.wait().is_ok());
    assert_eq!(bad.wait(), Err(WriteError::Rejected));
    assert!(after.wait().is_ok());
    let aside = "SELECT kind || body FROM set_aside";
    let aside = fixture.sql::<String>(aside);
    assert!(
        aside.starts_with("turn_appended{") && aside.contains("CA-bad"),
        "{aside}"
    );
}

#[test]
fn a_database_is_read_through_once_however_often_the_disk_fails() {
    let cases = [(io::ErrorKind::StorageFull, 0), (io::ErrorKind::Other, 1)];
    for (kind, expected) in cases {
        let fails = Arc::new(AtomicBool::new(false));
        let (attempts, read) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (switch, tried, through) =
            (Arc::clone(&fails), Arc::clone(&attempts), Arc::clone(&read));
        let faults = FaultInjector::new(move |operation| match operation {
            DiskOperation::Commit if switch.load(Ordering::SeqCst) => {
                tried.fetch_add(1, Ordering::SeqCst);
                Err(kind.into())
            }
            DiskOperation::ReadThrough => {
                through.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
            _ => Ok(()),
        });
        let fixture = TestStorage::with(|config| config.faults = faults);
        fixture.write(turn_appended("CA1", 0, 0, "before"));
        fails.store(true, Ordering::SeqCst);
        let receipt = fixture
            .storage()
            .writer
            .submit(turn_appended("CA1", 0, 1, "during"));
        wait_until("tried again and again", || {
            attempts.load(Ordering::SeqCst) >= 5
        });
        fails.store(false, Ordering::SeqCst);
        assert!(receipt.wait().is_ok());
        let read = read.load(Ordering::SeqCst);
        println!(
            "{kind:?}: read through {read} times in {} attempts",
            attempts.load(Ordering::SeqCst)
        );
        assert_eq!(read, expected);
    }
}

/// Moves the database's files from `from` to `to`: a volume that vanishes, and comes back.
fn move_database(from: &Path, to: &Path) {
    for file in ["calls.db", "calls.db-wal", "calls.db-shm"] {
        if from.join(file).exists() {
            std::fs::rename(from.join(file), to.join(file)).unwrap();
        }
    }
}

#[test]
fn writes_wait_while_the_database_is_gone_or_another_lies_in_its_place() {
    let (fails, faults) = fail_while(DiskOperation::Commit, io::ErrorKind::Other);
    let fixture = TestStorage::with(|config| {
        config.faults = faults;
        config.warm_cache = false;
    });
    fixture.write(turn_appended("CA1", 0, 0, "before"));
    let (here, elsewhere) = (fixture.dir.path(), tempfile::TempDir::new().unwrap());
    let writer = &fixture.storage().writer;
    fails.store(true, Ordering::SeqCst);
    let mut receipt = writer.submit(turn_appended("CA1", 0, 1, "during"));
    wait_until("failing", || writer.status().degraded == Some("io"));
    // The volume vanishes while the writer holds no connection.
    move_database(here, elsewhere.path());
    fails.store(false, Ordering::SeqCst);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(receipt.peek(), None, "taken while there was no database");
    assert!(!here.join("calls.db").exists(), "made anew in its place");
    // An empty file, then another database that is further on.
    std::fs::write(here.join("calls.db"), "").unwrap();
    wait_until("empty", || writer.status().degraded == Some("other"));
    assert_eq!(receipt.peek(), None, "refused for an empty file");
    let other = TestStorage::new();
    (0..9).for_each(|seq| other.write(turn_appended("CA9", 0, seq, "other")));
    std::fs::remove_file(here.join("calls.db")).unwrap();
    let other_dir = other.dir.path().to_owned();
    let copy = other.connection();
    copy.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    std::fs::copy(other_dir.join("calls.db"), here.join("calls.db")).unwrap();
    wait_until("foreign", || writer.status().degraded == Some("corrupt"));
    assert_eq!(receipt.peek(), None, "written into another database");
    for file in ["calls.db", "calls.db-wal", "calls.db-shm"] {
        let _ = std::fs::remove_file(here.join(file));
    }
    move_database(elsewhere.path(), here);
    assert!(wait_durable(receipt).is_ok());
    assert_eq!(fixture.sql::<i64>("SELECT COUNT(*) FROM turns"), 2);
}

#[test]
fn a_disk_that_is_back_before_the_deadline_still_gets_what_waited() {
    let (fails, faults) = fail_while(DiskOperation::Begin, io::ErrorKind::StorageFull);
    let dir = tempfile::TempDir::new().unwrap();
    let mut config = calldex_storage::StorageConfig::new(dir.path());
    config.faults = faults;
    let storage = calldex_storage::Storage::open(config).unwrap();
    fails.store(true, Ordering::SeqCst);
    let receipt = storage.writer.submit(turn_appended("CA1", 0, 0, "hello"));
    wait_until("degraded", || storage.writer.status().degraded.is_some());
    let closing = std::thread::spawn(move || storage.close(WAIT_MAX));
    std::thread::sleep(Duration::from_millis(200));
    fails.store(false, Ordering::SeqCst);
    assert!(receipt.wait().is_ok());
    assert_eq!(closing.join().unwrap(), 0);
}

#[test]
fn a_refused_write_moves_the_position_on_with_the_row_that_keeps_it() {
    let fixture = TestStorage::new();
    fixture
        .connection()
        .execute_batch(
            "CREATE TRIGGER defect BEFORE INSERT ON turns WHEN NEW.call_sid = 'CA-bad'
             BEGIN SELECT RAISE(ABORT, 'defect'); END",
        )
        .unwrap();
    fixture.write(turn_appended("CA1", 0, 0, "good"));
    let writer = &fixture.storage().writer;
    let position = writer.position();
    assert!(position > 0);
    assert_eq!(
        wait_durable(writer.submit(turn_appended("CA-bad", 0, 0, "bad"))),
        Err(WriteError::Rejected)
    );
    // It has a position of its own: the row in which it is kept was committed there.
    assert_eq!(writer.position(), position + 1);
    assert_eq!(fixture.sql::<i64>("SELECT position FROM set_aside"), 2);
    assert_eq!(writer.status().degraded, None);
}

#[test]
fn a_batch_with_a_write_at_fault_is_committed_whole_or_not_at_all() {
    let (fails, faults) = fail_while(DiskOperation::Commit, io::ErrorKind::StorageFull);
    let dir = tempfile::TempDir::new().unwrap();
    let mut config = calldex_storage::StorageConfig::new(dir.path());
    config.faults = faults;
    config.bounds.batch_delay = Duration::from_millis(100);
    let storage = calldex_storage::Storage::open(config).unwrap();
    let connection = rusqlite::Connection::open(dir.path().join("calls.db")).unwrap();
    connection
        .execute_batch(
            "CREATE TRIGGER defect BEFORE INSERT ON turns WHEN NEW.call_sid = 'CA-bad'
             BEGIN SELECT RAISE(ABORT, 'defect'); END",
        )
        .unwrap();
    fails.store(true, Ordering::SeqCst);
    let receipts = [
        turn_appended("CA1", 0, 0, "good"),
        turn_appended("CA-bad", 0, 0, "bad"),
        turn_appended("CA1", 0, 1, "good too"),
    ]
    .map(|write| storage.writer.submit(write));
    wait_until("degraded", || storage.writer.status().degraded.is_some());
    assert_eq!(storage.close(Duration::from_millis(100)), 3);
    for receipt in receipts {
        assert_eq!(receipt.wait(), Err(WriteError::Closed));
    }
    let rows = "SELECT (SELECT COUNT(*) FROM turns) + (SELECT COUNT(*) FROM set_aside)";
    let rows: i64 = connection.query_row(rows, [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 0, "what was not acknowledged was written");
}

#[tokio::test]
async fn a_call_whose_end_cannot_be_written_keeps_its_turns_for_readers() {
    let (fails, faults) = fail_while(DiskOperation::Commit, io::ErrorKind::StorageFull);
    let fixture = TestStorage::with(|config| config.faults = faults);
    fixture.write(turn_appended("CA1", 0, 0, "hello"));
    fixture.write(turn_appended("CA1", 0, 1, "again"));
    fails.store(true, Ordering::SeqCst);
    let storage = fixture.storage();
    let ended = storage.writer.submit(call_ended("CA1", Some(0), 10));
    wait_until("degraded", || storage.writer.status().degraded.is_some());
    drop(storage.writer.submit(call_resumed("CA1", 1)));
    for _ in 0..20 {
        let call = storage.conversations.live("CA1").await.unwrap().unwrap();
        assert_eq!(call.turns.len(), 2);
        assert_eq!((call.next_epoch(), call.next_seq(0)), (2, 2));
    }
    fails.store(false, Ordering::SeqCst);
    assert!(wait_durable(ended).is_ok());
}

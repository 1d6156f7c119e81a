//! A disk that fails: nothing is called durable, nothing is lost, all is written when it is back.

use crate::fixtures::*;
use calldex_storage::{Faults, NotDurable, Operation};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

fn failing(at: Operation, kind: io::ErrorKind) -> (Arc<AtomicBool>, Faults) {
    let fails = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&fails);
    let faults = Faults::new(move |operation| {
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
        (Operation::Begin, io::ErrorKind::StorageFull, "full"),
        (Operation::Commit, io::ErrorKind::Other, "io"),
        (
            Operation::Begin,
            io::ErrorKind::ReadOnlyFilesystem,
            "read_only",
        ),
    ];
    for (at, kind, reason) in cases {
        let (fails, faults) = failing(at, kind);
        let house = House::with(|config| config.faults = faults);
        house.write(said("CA1", 0, 0, "before"));
        fails.store(true, Ordering::SeqCst);
        let mut receipts: Vec<_> = (1..20)
            .map(|seq| house.storage().writer.submit(said("CA1", 0, seq, "during")))
            .collect();
        wait_until("degraded", || {
            house.storage().writer.status().degraded == Some(reason)
        });
        assert!(
            receipts.iter_mut().all(|receipt| receipt.peek().is_none()),
            "called durable too early"
        );
        assert_eq!(house.sql::<i64>("SELECT COUNT(*) FROM turns"), 1);
        fails.store(false, Ordering::SeqCst);
        receipts
            .into_iter()
            .for_each(|receipt| assert!(receipt.wait().is_ok()));
        assert_eq!(house.sql::<i64>("SELECT COUNT(*) FROM turns"), 20);
        assert_eq!(house.storage().writer.status().degraded, None);
    }
}

#[test]
fn a_lock_held_by_somebody_else_is_waited_out() {
    let house = House::new();
    let other = house.connection();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let receipt = house.storage().writer.submit(said("CA1", 0, 0, "hello"));
    wait_until("degraded", || {
        house.storage().writer.status().degraded == Some("locked")
    });
    other.execute_batch("COMMIT").unwrap();
    assert!(receipt.wait().is_ok());
}

#[test]
fn closing_with_a_failing_disk_ends_in_time_and_says_what_was_given_up() {
    let (fails, faults) = failing(Operation::Begin, io::ErrorKind::StorageFull);
    let dir = tempfile::TempDir::new().unwrap();
    let mut config = calldex_storage::StorageConfig::new(dir.path());
    config.faults = faults;
    let storage = calldex_storage::Storage::open(config).unwrap();
    fails.store(true, Ordering::SeqCst);
    let receipt = storage.writer.submit(said("CA1", 0, 0, "hello"));
    storage.close(Duration::from_millis(200));
    assert_eq!(receipt.wait(), Err(NotDurable::Closed));
}

#[test]
fn a_defect_in_one_write_does_not_hold_up_the_others() {
    let house = House::new();
    // A row that no write can append to: the table takes no turns of this call.
    house
        .connection()
        .execute_batch(
            "CREATE TRIGGER defect BEFORE INSERT ON turns WHEN NEW.call_sid = 'CA-bad'
             BEGIN SELECT RAISE(ABORT, 'defect'); END",
        )
        .unwrap();
    let writer = &house.storage().writer;
    let good = writer.submit(said("CA1", 0, 0, "good"));
    let bad = writer.submit(said("CA-bad", 0, 0, "bad"));
    let after = writer.submit(said("CA1", 0, 1, "good too"));
    assert!(good.wait().is_ok());
    assert_eq!(bad.wait(), Err(NotDurable::Refused));
    assert!(after.wait().is_ok());
}

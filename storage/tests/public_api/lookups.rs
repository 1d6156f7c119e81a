//! Look-ups: at once what was submitted, never longer than their budget.

use crate::fixtures::*;
use calldex_storage::write::Write;
use calldex_storage::{CacheTier, DiskOperation, FaultInjector, LookupResult};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const FROM: &str = "+14155550100";
const BUDGET: Duration = Duration::from_millis(100);

/// A disk whose reads, or writes, hang while the switch is on.
fn hang_while(at: DiskOperation) -> (Arc<AtomicBool>, FaultInjector) {
    let hangs = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&hangs);
    let faults = FaultInjector::new(move |operation| {
        while operation == at && switch.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    });
    (hangs, faults)
}

#[tokio::test]
async fn a_look_up_ends_at_its_budget_when_the_disk_hangs_and_the_answer_lands_in_memory() {
    let (hangs, faults) = hang_while(DiskOperation::ReadCold);
    let fixture = TestStorage::with(|config| config.faults = faults);
    let begun = Instant::now();
    let directory = &fixture.storage().callers;
    assert_eq!(
        directory.look_up(&number(FROM), BUDGET).await,
        LookupResult::TimedOut
    );
    // Far below what the disk takes (forever); generous to a busy machine.
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(directory.look_up_cached(&number(FROM)).is_none());
    hangs.store(false, Ordering::SeqCst);
    let mut answer = None;
    while answer.is_none() && begun.elapsed() < WAIT_MAX {
        tokio::time::sleep(Duration::from_millis(2)).await;
        answer = directory.look_up_cached(&number(FROM));
    }
    assert_eq!(answer, Some(LookupResult::Unknown));
}

#[tokio::test]
async fn a_name_learned_in_one_call_greets_the_next_before_it_is_durable() {
    let (hangs, faults) = hang_while(DiskOperation::Begin);
    let fixture = TestStorage::with(|config| config.faults = faults);
    let receipt = fixture
        .storage()
        .writer
        .submit(Write::NameHeard(stamped_name(FROM, "Misty", 1)));
    assert_eq!(fixture.caller(FROM).await.name.as_deref(), Some("Misty"));
    assert_eq!(
        fixture.sql::<i64>("SELECT COUNT(*) FROM callers"),
        0,
        "not yet on disk"
    );
    hangs.store(false, Ordering::SeqCst);
    receipt.await.unwrap();
    let caller = fixture.caller(FROM).await;
    assert_eq!(caller.name.as_deref(), Some("Misty"));
    assert!(caller.rev > 0, "as it is on disk");
}

#[tokio::test]
async fn an_unknown_number_is_known_to_be_unknown_until_it_is_written() {
    let fixture = TestStorage::new();
    let directory = &fixture.storage().callers;
    let first = directory.look_up_with_tier(&number(FROM), WAIT_MAX).await;
    assert_eq!(first.0, LookupResult::Unknown);
    assert_eq!(
        directory.look_up_with_tier(&number(FROM), WAIT_MAX).await,
        (LookupResult::Unknown, Some(CacheTier::Hot))
    );
    fixture.write(call_started("CA1", Some(FROM)));
    let (recall, tier) = directory.look_up_with_tier(&number(FROM), WAIT_MAX).await;
    assert!(matches!(recall, LookupResult::Known(_)));
    assert_eq!(tier, Some(CacheTier::Hot));
}

#[tokio::test]
async fn a_caller_is_found_after_a_restart() {
    let mut fixture = TestStorage::new();
    fixture.write(call_started("CA1", Some(FROM)));
    fixture.write(Write::NameConfirmed(stamped_name(FROM, "Misty", 1)));
    fixture.reopen();
    let caller = fixture.caller(FROM).await;
    assert_eq!((caller.name.as_deref(), caller.calls), (Some("Misty"), 1));
}

#[tokio::test]
async fn an_erasure_that_waits_is_not_undone_by_the_call_that_asked_for_it() {
    let from = FROM;
    let fails = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&fails);
    let faults = FaultInjector::new(move |operation| {
        let hit = operation == DiskOperation::Begin && switch.load(Ordering::SeqCst);
        if hit {
            Err(std::io::Error::from(std::io::ErrorKind::StorageFull))
        } else {
            Ok(())
        }
    });
    let fixture = TestStorage::with(|config| config.faults = faults);
    fixture.write(call_started("CA1", Some(from)));
    fixture.write(Write::NameHeard(stamped_name(from, "Misty", 1)));
    fails.store(true, Ordering::SeqCst);
    let storage = fixture.storage();
    let submit = |write| drop(storage.writer.submit(write));
    submit(Write::CallerErased {
        number: number(from),
        at_ms: AT_MS + 10_000,
    });
    // The call goes on: what it says is dropped when it is applied, by its call and by its time.
    submit(Write::NameHeard(stamped_name(from, "Misty", 20_000)));
    submit(Write::NameSettled(stamped_name(from, "Misty", 30_000)));
    submit(call_started("CA0", Some(from)));
    let recall = storage.callers.look_up(&number(from), WAIT_MAX).await;
    assert_eq!(recall, LookupResult::Unknown);
    // A later call begins anew.
    let Write::CallStarted(mut start) = call_started("CA2", Some(from)) else {
        unreachable!()
    };
    start.at_ms += 40_000;
    submit(Write::CallStarted(start));
    let mut later = stamped_name(from, "Brock", 50_000);
    later.stamp.call_sid = "CA2".into();
    submit(Write::NameHeard(later));
    let waiting = fixture.caller(from).await;
    assert_eq!((waiting.name.as_deref(), waiting.calls), (Some("Brock"), 1));
    fails.store(false, Ordering::SeqCst);
    storage.writer.flush(WAIT_MAX).await.unwrap();
    let written = fixture.caller(from).await;
    assert_eq!((written.name.as_deref(), written.calls), (Some("Brock"), 1));
}

//! Look-ups: at once what was submitted, never longer than their budget.

use crate::fixtures::*;
use calldex_storage::write::Write;
use calldex_storage::{Faults, Operation, Recall, Tier};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const FROM: &str = "+14155550100";
const BUDGET: Duration = Duration::from_millis(100);

/// A disk whose reads, or writes, hang while the switch is on.
fn hanging(at: Operation) -> (Arc<AtomicBool>, Faults) {
    let hangs = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&hangs);
    let faults = Faults::new(move |operation| {
        while operation == at && switch.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    });
    (hangs, faults)
}

#[tokio::test]
async fn a_look_up_ends_at_its_budget_when_the_disk_hangs_and_the_answer_lands_in_memory() {
    let (hangs, faults) = hanging(Operation::ReadCold);
    let house = House::with(|config| config.faults = faults);
    let begun = Instant::now();
    let directory = &house.storage().directory;
    assert_eq!(
        directory.recall(&number(FROM), BUDGET).await,
        Recall::TimedOut
    );
    // Far below what the disk takes (forever); generous to a busy machine.
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(directory.peek(&number(FROM)).is_none());
    hangs.store(false, Ordering::SeqCst);
    let mut answer = None;
    while answer.is_none() && begun.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(2)).await;
        answer = directory.peek(&number(FROM));
    }
    assert_eq!(answer, Some(Recall::Unknown));
}

#[tokio::test]
async fn a_name_learned_in_one_call_greets_the_next_before_it_is_durable() {
    let (hangs, faults) = hanging(Operation::Begin);
    let house = House::with(|config| config.faults = faults);
    let receipt = house
        .storage()
        .writer
        .submit(Write::NameHeard(given(FROM, "Misty", 1)));
    assert_eq!(house.caller(FROM).await.name.as_deref(), Some("Misty"));
    assert_eq!(
        house.sql::<i64>("SELECT COUNT(*) FROM callers"),
        0,
        "not yet on disk"
    );
    hangs.store(false, Ordering::SeqCst);
    receipt.await.unwrap();
    let caller = house.caller(FROM).await;
    assert_eq!(caller.name.as_deref(), Some("Misty"));
    assert!(caller.rev > 0, "as it is on disk");
}

#[tokio::test]
async fn an_unknown_number_is_known_to_be_unknown_until_it_is_written() {
    let house = House::new();
    let directory = &house.storage().directory;
    let first = directory.recall_from(&number(FROM), PATIENCE).await;
    assert_eq!(first.0, Recall::Unknown);
    assert_eq!(
        directory.recall_from(&number(FROM), PATIENCE).await,
        (Recall::Unknown, Some(Tier::Hot))
    );
    house.write(started("CA1", Some(FROM)));
    let (recall, tier) = directory.recall_from(&number(FROM), PATIENCE).await;
    assert!(matches!(recall, Recall::Known(_)));
    assert_eq!(tier, Some(Tier::Hot));
}

#[tokio::test]
async fn a_caller_is_found_after_a_restart() {
    let mut house = House::new();
    house.write(started("CA1", Some(FROM)));
    house.write(Write::NameConfirmed(given(FROM, "Misty", 1)));
    house.reopen();
    let caller = house.caller(FROM).await;
    assert_eq!((caller.name.as_deref(), caller.calls), (Some("Misty"), 1));
}

#[tokio::test]
async fn an_erasure_that_waits_is_not_undone_by_the_call_that_asked_for_it() {
    let from = FROM;
    let fails = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&fails);
    let faults = Faults::new(move |operation| {
        let hit = operation == Operation::Begin && switch.load(Ordering::SeqCst);
        if hit {
            Err(std::io::Error::from(std::io::ErrorKind::StorageFull))
        } else {
            Ok(())
        }
    });
    let house = House::with(|config| config.faults = faults);
    house.write(started("CA1", Some(from)));
    house.write(Write::NameHeard(given(from, "Misty", 1)));
    fails.store(true, Ordering::SeqCst);
    let storage = house.storage();
    let submit = |write| drop(storage.writer.submit(write));
    submit(Write::CallerErased {
        number: number(from),
        at_ms: AT_MS + 10_000,
    });
    // The call goes on: what it says is dropped when it is applied, by its call and by its time.
    submit(Write::NameHeard(given(from, "Misty", 20_000)));
    submit(Write::NameSettled(given(from, "Misty", 30_000)));
    submit(started("CA0", Some(from)));
    let recall = storage.directory.recall(&number(from), PATIENCE).await;
    assert_eq!(recall, Recall::Unknown);
    // A later call begins anew.
    let Write::CallStarted(mut start) = started("CA2", Some(from)) else {
        unreachable!()
    };
    start.at_ms += 40_000;
    submit(Write::CallStarted(start));
    let mut later = given(from, "Brock", 50_000);
    later.stamp.call_sid = "CA2".into();
    submit(Write::NameHeard(later));
    let waiting = house.caller(from).await;
    assert_eq!((waiting.name.as_deref(), waiting.calls), (Some("Brock"), 1));
    fails.store(false, Ordering::SeqCst);
    storage.writer.flush(PATIENCE).await.unwrap();
    let written = house.caller(from).await;
    assert_eq!((written.name.as_deref(), written.calls), (Some("Brock"), 1));
}

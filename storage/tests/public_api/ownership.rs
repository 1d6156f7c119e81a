//! Who owns a call: claims by compare-and-swap, from several instances, in any order.

use crate::fixtures::*;
use calldex_storage::record::{CallWithTurns, next_epoch};
use calldex_storage::write::{CallResumed, Write, decode_batch, encode_batch};
use calldex_storage::{ClaimResult, DiskOperation, FaultInjector};
use proptest::prelude::*;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::broadcast::Receiver;

fn claim(slot: u16, expected: u32) -> CallResumed {
    CallResumed {
        call_sid: "CA1".into(),
        session_id: format!("VX{slot}").into(),
        epoch: next_epoch(expected, slot),
        at_ms: AT_MS,
        instance: format!("instance-{slot}").into(),
        expected: Some(expected),
        returned: true,
    }
}

fn told(claim_results: &mut Receiver<ClaimResult>) -> Vec<ClaimResult> {
    std::iter::from_fn(|| claim_results.try_recv().ok()).collect()
}

fn owner(fixture: &TestStorage) -> (u32, String) {
    let json: String =
        fixture.sql("SELECT json_array(epoch, instance) FROM conversations WHERE call_sid = 'CA1'");
    serde_json::from_str(&json).unwrap()
}

#[test]
fn of_two_who_claim_what_they_saw_the_first_has_it_and_both_are_told() {
    let fixture = TestStorage::with(|config| config.warm_cache = false);
    let mut claim_results = fixture.storage().claim_results();
    fixture.write(call_started("CA1", None));
    let (first, second) = (claim(7, 0), claim(9, 0));
    fixture.write(Write::CallResumed(first.clone()));
    fixture.write(Write::CallResumed(second.clone()));
    let told = told(&mut claim_results);
    let expected = |claim: &CallResumed, applied| ClaimResult {
        call_sid: "CA1".into(),
        epoch: first.epoch,
        instance: first.instance.clone(),
        has_won: applied,
        claimed_epoch: claim.epoch,
        claimed_by: claim.instance.clone(),
    };
    assert_eq!(told, [expected(&first, true), expected(&second, false)]);
    assert_eq!(owner(&fixture), (first.epoch, first.instance.to_string()));
    // The loser claims again, on what it has learned.
    fixture.write(Write::CallResumed(claim(9, first.epoch)));
    assert_eq!(owner(&fixture).1, "instance-9");
    assert_eq!(fixture.sql::<i64>("SELECT resumes FROM conversations"), 2);
}

#[test]
fn two_sessions_of_one_instance_do_not_own_a_call_in_one_epoch() {
    let fixture = TestStorage::with(|config| config.warm_cache = false);
    let mut claim_results = fixture.storage().claim_results();
    let first = claim(7, 0);
    let second = CallResumed {
        session_id: "VX-other".into(),
        ..first.clone()
    };
    fixture.write(Write::CallResumed(first.clone()));
    fixture.write(Write::CallResumed(second));
    fixture.write(Write::CallResumed(first));
    let applied: Vec<bool> = told(&mut claim_results)
        .iter()
        .map(|told| told.has_won)
        .collect();
    assert_eq!(
        applied,
        [true, false, true],
        "the first holds, whenever it comes again"
    );
}

#[test]
fn who_claimed_too_late_cannot_end_the_call_of_the_owner() {
    let fixture = TestStorage::with(|config| config.warm_cache = false);
    fixture.write(call_started("CA1", None));
    let (owner, late) = (claim(7, 0), claim(9, 0));
    assert!(late.epoch > owner.epoch, "it is no older owner's end");
    for write in [&owner, &late, &claim(9, late.epoch)] {
        fixture.write(Write::CallResumed(write.clone()));
    }
    for epoch in [late.epoch, next_epoch(late.epoch, 9), 0] {
        fixture.write(call_ended("CA1", Some(epoch), 10));
    }
    let end = "SELECT ended_at FROM conversations";
    assert_eq!(fixture.sql::<Option<i64>>(end), None);
    fixture.write(call_ended("CA1", Some(owner.epoch), 20));
    assert_eq!(fixture.sql::<Option<i64>>(end), Some(AT_MS / 1000 + 20));
}

#[test]
fn a_claim_on_what_was_never_there_leaves_no_trace() {
    let fixture = TestStorage::with(|config| config.warm_cache = false);
    let mut claim_results = fixture.storage().claim_results();
    fixture.write(Write::CallResumed(claim(7, 5)));
    assert_eq!(fixture.sql::<i64>("SELECT COUNT(*) FROM conversations"), 0);
    let told = told(&mut claim_results);
    assert_eq!((told[0].has_won, told[0].epoch), (false, 0));
    fixture.write(Write::CallResumed(claim(7, 0)));
    assert_eq!(
        owner(&fixture).1,
        "instance-7",
        "a call not heard of is at 0"
    );
}

#[test]
fn an_erased_call_cannot_be_claimed() {
    let fixture = TestStorage::with(|config| config.warm_cache = false);
    fixture.write(call_started("CA1", Some("+14155550100")));
    fixture.write(Write::CallerErased {
        number: number("+14155550100"),
        at_ms: AT_MS + 1,
    });
    let mut claim_results = fixture.storage().claim_results();
    fixture.write(Write::CallResumed(claim(7, 0)));
    let told = told(&mut claim_results);
    assert_eq!((told[0].has_won, told[0].instance.as_str()), (false, ""));
    assert_eq!(fixture.sql::<i64>("SELECT COUNT(*) FROM conversations"), 0);
}

#[test]
fn a_mere_change_of_owner_is_no_return_of_the_call() {
    let fixture = TestStorage::with(|config| config.warm_cache = false);
    fixture.write(call_started("CA1", None));
    let first = CallResumed {
        returned: false,
        ..claim(7, 0)
    };
    let epoch = first.epoch;
    fixture.write(Write::CallResumed(first));
    assert_eq!(owner(&fixture).1, "instance-7");
    assert_eq!(fixture.sql::<i64>("SELECT resumes FROM conversations"), 0);
    fixture.write(call_ended("CA1", Some(0), 5));
    assert_eq!(
        fixture.sql::<Option<i64>>("SELECT ended_at FROM conversations"),
        None
    );
    fixture.write(call_ended("CA1", Some(epoch), 6));
    assert!(
        fixture
            .sql::<Option<i64>>("SELECT ended_at FROM conversations")
            .is_some()
    );
}

#[tokio::test]
async fn a_claim_that_waits_for_the_disk_is_seen_as_it_will_be() {
    let fails = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&fails);
    let fixture = TestStorage::with(|config| {
        config.warm_cache = false;
        config.faults = FaultInjector::new(move |operation| {
            match operation == DiskOperation::Begin && switch.load(Ordering::SeqCst) {
                true => Err(io::ErrorKind::StorageFull.into()),
                false => Ok(()),
            }
        });
    });
    fixture.write(call_started("CA1", None));
    fails.store(true, Ordering::SeqCst);
    let writer = &fixture.storage().writer;
    let claims = [claim(7, 0), claim(9, 0), claim(7, 3)];
    let receipts = claims.map(|claim| writer.submit(Write::CallResumed(claim)));
    let read = || async {
        let call: CallWithTurns = fixture
            .storage()
            .conversations
            .live("CA1")
            .await
            .unwrap()
            .unwrap();
        let row = call.conversation;
        (row.epoch, row.instance, row.session_id, row.resumes)
    };
    let waiting = read().await;
    assert_eq!(waiting.1.as_deref(), Some("instance-7"));
    fails.store(false, Ordering::SeqCst);
    for receipt in receipts {
        receipt.await.unwrap();
    }
    assert_eq!(read().await, waiting);
}

#[test]
fn no_two_slots_ever_share_an_epoch_and_each_is_higher() {
    let mut currents = vec![0_u32, 1, 2, 0xFFFF, 0x1_0000, 0x1_0007, 0xFFFE_FFFF];
    for slot in [0_u16, 1, 7, 0xFFFF] {
        currents.push(next_epoch(3, slot));
    }
    for &current in &currents {
        let mut taken = HashMap::new();
        for slot in [0_u16, 1, 2, 7, 0x8000, 0xFFFF] {
            let epoch = next_epoch(current, slot);
            assert!(epoch > current, "{current:x} {slot}");
            assert_eq!(taken.insert(epoch, slot), None, "{current:x} {slot}");
        }
    }
    assert_eq!(next_epoch(4, 0), 5, "an instance alone counts one by one");
    assert_eq!(
        next_epoch(0xFFFF_0001, 3),
        0xFFFF_0001,
        "at the top nothing is won"
    );
}

/// What an instance does: claims, on what it saw so many claims ago.
type ClaimPlan = (u16, usize);

/// The log that instances make: each claim is on an epoch that its maker has seen some time ago.
fn log(plans: &[ClaimPlan]) -> Vec<CallResumed> {
    let mut seen = vec![0_u32];
    let mut log = Vec::new();
    for (slot, ago) in plans {
        let known = seen[seen.len() - 1 - ago % seen.len()];
        let claim = claim(*slot, known);
        if seen.last() == Some(&known) {
            seen.push(claim.epoch);
        }
        log.push(claim);
    }
    log
}

/// Applies `log` with what `again` repeats, in batches of `sizes`; what was told.
fn apply(
    fixture: &TestStorage,
    log: &[CallResumed],
    again: &[(usize, usize)],
    size: usize,
) -> Vec<ClaimResult> {
    let mut claim_results = fixture.storage().claim_results();
    let mut writes: Vec<Write> = Vec::new();
    for (index, claim) in log.iter().enumerate() {
        writes.push(Write::CallResumed(claim.clone()));
        let repeated = again.iter().filter(|(at, _)| at % log.len() == index);
        // Only what came before can come again.
        writes.extend(
            repeated.map(|(_, which)| Write::CallResumed(log[which % (index + 1)].clone())),
        );
    }
    for batch in writes.chunks(size) {
        // As the log of a cluster carries it.
        let batch = decode_batch(&encode_batch(batch)).unwrap();
        let receipts: Vec<_> = batch
            .into_iter()
            .map(|write| fixture.storage().writer.submit(write))
            .collect();
        receipts.into_iter().for_each(|receipt| {
            wait_durable(receipt).unwrap();
        });
    }
    told(&mut claim_results)
}

fn row(fixture: &TestStorage) -> String {
    fixture.sql(
        "SELECT json_group_array(json_array(call_sid, epoch, instance, session_id, resumes, ended_at))
         FROM conversations",
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_claimed_in_whatever_order_an_epoch_has_one_owner(
        plans in prop::collection::vec((1..4_u16, 0..4_usize), 1..40),
        again in prop::collection::vec((0..40_usize, 0..40_usize), 0..20),
        size in 1..12_usize,
    ) {
        let (one, other) = (TestStorage::with(|config| config.warm_cache = false), TestStorage::with(|config| config.warm_cache = false));
        let log = log(&plans);
        let told = apply(&one, &log, &again, size);
        apply(&other, &log, &[], 1);
        prop_assert_eq!(row(&one), row(&other), "repetitions and batches change nothing");
        let mut owners: HashMap<u32, String> = HashMap::new();
        let mut last = 0;
        for claim_result in &told {
            prop_assert!(claim_result.epoch >= last, "epochs only grow");
            last = claim_result.epoch;
            let owner = owners.entry(claim_result.epoch).or_insert_with(|| claim_result.instance.to_string());
            prop_assert_eq!(owner.as_str(), claim_result.instance.as_str());
            let is_owner = (claim_result.claimed_epoch, &claim_result.claimed_by) == (claim_result.epoch, &claim_result.instance);
            prop_assert_eq!(claim_result.has_won, is_owner);
        }
        prop_assert_eq!(crate::ownership::owner(&one).0, last);
    }
}

//! Ends that come before what they end: from the provider to one instance, while the call's own waits at
//! another.

use crate::fixtures::*;
use calldex_storage::record::{CallOutcome, next_epoch};
use calldex_storage::write::{CallEnded, CallResumed, Write};
use proptest::prelude::*;

const SLOT: u16 = 7;

/// What an instance that was cut off has waiting of a call that it held from start to end.
fn owners_batch(claimed_after_ms: i64) -> Vec<Write> {
    let epoch = next_epoch(0, SLOT);
    vec![
        call_started("CA1", Some("+14155550100")),
        Write::CallResumed(CallResumed {
            call_sid: "CA1".into(),
            session_id: "VX1".into(),
            epoch,
            at_ms: AT_MS + claimed_after_ms,
            instance: "one".into(),
            expected: Some(0),
            returned: false,
        }),
        turn_appended("CA1", epoch, 0, "hello"),
        turn_appended("CA1", epoch, 1, "bye"),
        Write::CallEnded(CallEnded {
            call_sid: "CA1".into(),
            epoch: Some(epoch),
            at_ms: AT_MS + 60_000,
            outcome: CallOutcome::Ended,
        }),
    ]
}

fn provider_end(after_ms: i64, outcome: CallOutcome) -> Write {
    Write::CallEnded(CallEnded {
        call_sid: "CA1".into(),
        epoch: None,
        at_ms: AT_MS + after_ms,
        outcome,
    })
}

/// What is known of the call, as any SQLite client sees it: time of the end, outcome, turns left as
/// rows, ends that wait for their call.
fn row(fixture: &TestStorage) -> (Option<i64>, Option<String>, i64, i64) {
    fixture
        .connection()
        .query_row(
            "SELECT ended_at, outcome, (SELECT COUNT(*) FROM turns), (SELECT COUNT(*) FROM early_ends)
               FROM conversations WHERE call_sid = 'CA1'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
        )
        .unwrap()
}

#[tokio::test]
async fn a_call_held_by_an_instance_that_was_cut_off_is_closed_when_it_comes() {
    let fixture = TestStorage::with(|config| config.warm_cache = false);
    fixture.write(provider_end(61_000, CallOutcome::HungUp));
    for write in owners_batch(1_000) {
        fixture.write(write);
    }
    println!("{:?}", row(&fixture));
    assert_eq!(
        row(&fixture),
        (Some(AT_MS / 1000 + 61), Some("hung_up".into()), 0, 0)
    );
    assert_eq!(fixture.messages("CA1"), ["hello", "bye"]);
    let reads = &fixture.storage().conversations;
    assert!(reads.unfinished().await.unwrap().is_empty());
}

#[tokio::test]
async fn where_the_owners_clock_is_ahead_its_own_end_closes_the_call() {
    let fixture = TestStorage::with(|config| config.warm_cache = false);
    fixture.write(call_started("CA1", None));
    fixture.write(provider_end(500, CallOutcome::HungUp));
    let batch = owners_batch(1_000);
    fixture.write(batch[1].clone());
    assert_eq!(row(&fixture).0, None, "claimed after the end, by its clock");
    fixture.write(provider_end(90_000, CallOutcome::HandedOff));
    fixture.write(batch[4].clone());
    assert!(row(&fixture).0.is_some());
}

#[tokio::test]
async fn an_end_of_a_call_that_is_not_known_makes_no_row_and_is_not_lost() {
    let mut fixture = TestStorage::with(|config| config.warm_cache = false);
    for (call_sid, outcome) in [
        ("CA1", CallOutcome::HungUp),
        ("CA2", CallOutcome::HandedOff),
    ] {
        fixture.write(Write::CallEnded(CallEnded {
            call_sid: call_sid.into(),
            epoch: None,
            at_ms: AT_MS + 5_000,
            outcome,
        }));
    }
    assert_eq!(fixture.sql::<i64>("SELECT COUNT(*) FROM conversations"), 0);
    let call = fixture.storage().conversations.read("CA1").await.unwrap();
    assert_eq!(call, None);
    fixture.reopen_with(|config| config.warm_cache = false);
    // Accepted, and read before it is durable.
    let receipt = fixture.storage().writer.submit(call_started("CA1", None));
    let read = async || fixture.storage().conversations.read("CA1").await.unwrap();
    let call = read().await.unwrap();
    assert_eq!(call.conversation.outcome, Some(CallOutcome::HungUp));
    wait_durable(receipt).unwrap();
    assert_eq!(
        read().await.unwrap().conversation.outcome,
        Some(CallOutcome::HungUp)
    );
    assert_eq!(fixture.sql::<i64>("SELECT COUNT(*) FROM early_ends"), 1);
    fixture.write(turn_appended("CA2", 0, 0, "hello"));
    assert_eq!(fixture.messages("CA2"), ["hello"]);
}

#[test]
fn a_session_that_the_provider_ended_may_be_followed_by_another() {
    let fixture = TestStorage::with(|config| config.warm_cache = false);
    fixture.write(call_started("CA1", None));
    // The clock of whoever was told of the hand-over is a minute ahead.
    fixture.write(provider_end(60_000, CallOutcome::HandedOff));
    fixture.write(owners_batch(1_000)[1].clone());
    assert_eq!(row(&fixture).0, None, "the colleague sent the call back");
}

#[test]
fn an_erased_call_leaves_no_end_behind() {
    let fixture = TestStorage::with(|config| config.warm_cache = false);
    fixture.write(call_started("CA1", Some("+14155550100")));
    fixture.write(Write::CallerErased {
        number: number("+14155550100"),
        at_ms: AT_MS + 10,
    });
    fixture.write(provider_end(5_000, CallOutcome::HungUp));
    assert_eq!(fixture.sql::<i64>("SELECT COUNT(*) FROM early_ends"), 0);
}

/// Which write comes next: the owner's next one, one of its that came already, the provider's end.
#[derive(Clone, Copy, Debug)]
enum EndOrder {
    Owners,
    Again(usize),
    Providers,
}

fn order() -> impl Strategy<Value = Vec<EndOrder>> {
    let next = prop_oneof![
        3 => Just(EndOrder::Owners),
        1 => (0..5_usize).prop_map(EndOrder::Again),
        1 => Just(EndOrder::Providers),
    ];
    prop::collection::vec(next, 0..14)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    /// Whenever the provider's end comes, whatever comes again, and however far the clocks of the two
    /// instances are apart.
    #[test]
    fn a_call_that_is_over_is_closed_with_all_that_was_said(
        order in order(),
        ended_after_ms in -30_000_i64..120_000,
        claimed_after_ms in 0_i64..60_000,
    ) {
        let fixture = TestStorage::with(|config| config.warm_cache = false);
        let batch = owners_batch(claimed_after_ms);
        let end = provider_end(ended_after_ms, CallOutcome::HungUp);
        let mut came = 0;
        let mut writes = Vec::new();
        for next in order {
            match next {
                EndOrder::Owners if came < batch.len() => {
                    writes.push(batch[came].clone());
                    came += 1;
                }
                EndOrder::Again(at) if at < came => writes.push(batch[at].clone()),
                EndOrder::Providers => writes.push(end.clone()),
                _ => {}
            }
        }
        writes.extend_from_slice(&batch[came..]);
        writes.push(end);
        let receipts: Vec<_> = writes
            .into_iter()
            .map(|write| fixture.storage().writer.submit(write))
            .collect();
        for receipt in receipts {
            wait_durable(receipt).unwrap();
        }
        let (ended_at, outcome, turns, early_ends) = row(&fixture);
        prop_assert!(ended_at.is_some() && outcome.is_some());
        prop_assert_eq!((turns, early_ends), (0, 0));
        prop_assert_eq!(fixture.messages("CA1"), ["hello", "bye"]);
    }
}

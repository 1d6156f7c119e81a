//! A call that begins and ends on an instance which is cut off, while the provider tells another one that
//! it is over.

use crate::events::TestCommand;
use crate::fault_cluster::{FaultTestCluster, FaultTestPlan};
use crate::random::SeededRandom;
use calldex_storage::record::{CallOutcome, CallerKind, Turn, TurnRole, next_epoch};
use calldex_storage::write::{CallEnded, CallResumed, CallStarted, Write, encode_batch};
use rusqlite::{Connection, OpenFlags};
use std::time::{SystemTime, UNIX_EPOCH};

const SID: &str = "CE00001";

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as i64)
}

/// Everything of the call, as its own instance has it.
fn of_the_owner(at_ms: i64) -> Vec<Write> {
    let epoch = next_epoch(0, 9);
    let turn = |seq: u32, words: &str| Write::TurnAppended {
        call_sid: SID.into(),
        turn: Turn::new(TurnRole::Caller, words, at_ms + i64::from(seq), epoch, seq),
    };
    vec![
        Write::CallStarted(CallStarted {
            call_sid: SID.into(),
            number: None,
            line: "+14155550999".into(),
            caller_kind: CallerKind::Withheld,
            identity: None,
            language: None,
            at_ms,
            instance: "cut-off".into(),
        }),
        Write::CallResumed(CallResumed {
            call_sid: SID.into(),
            session_id: "VX1".into(),
            epoch,
            at_ms: at_ms + 1,
            instance: "cut-off".into(),
            expected: Some(0),
            returned: false,
        }),
        turn(0, "hello"),
        turn(1, "bye"),
        Write::CallEnded(CallEnded {
            call_sid: SID.into(),
            epoch: Some(epoch),
            at_ms: at_ms + 5_000,
            outcome: CallOutcome::Ended,
        }),
    ]
}

fn of_the_provider(at_ms: i64) -> Write {
    Write::CallEnded(CallEnded {
        call_sid: SID.into(),
        epoch: None,
        at_ms: at_ms + 5_500,
        outcome: CallOutcome::HungUp,
    })
}

fn submit(cluster: &mut FaultTestCluster, index: usize, writes: &[Write]) {
    let batch = String::from_utf8(encode_batch(writes)).expect("JSON");
    cluster.nodes[index].send_command(&TestCommand::Submit { batch });
}

/// How the call stands in an instance's database; nothing while there is no row of it.
fn row(cluster: &FaultTestCluster, index: usize) -> Option<(bool, Option<String>, String)> {
    ask(
        cluster,
        index,
        "SELECT ended_at IS NOT NULL, outcome, messages FROM conversations WHERE call_sid = ?1",
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )
}

fn ask<T>(
    cluster: &FaultTestCluster,
    index: usize,
    query: &str,
    read: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
) -> Option<T> {
    let path = cluster.nodes[index].data().join("calls.db");
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
    connection.ok()?.query_row(query, [SID], read).ok()
}

#[test]
fn a_call_of_an_instance_that_was_cut_off_is_closed_everywhere_once_it_is_back() {
    let test = "a_call_of_an_instance_that_was_cut_off_is_closed_everywhere_once_it_is_back";
    let mut random = SeededRandom::for_test(test);
    let Some(mut cluster) = FaultTestPlan::three().open(&mut random) else {
        return;
    };
    let alone = cluster.replica(&mut random);
    let others: Vec<usize> = (0..3).filter(|index| *index != alone).collect();
    let at_ms = now_ms();
    // Nobody hears what the one has; then it does not hear what the others agree on.
    others
        .iter()
        .for_each(|other| cluster.nodes[*other].pause());
    submit(&mut cluster, alone, &of_the_owner(at_ms));
    let kept = cluster.nodes[alone].data().join("outbox.db");
    cluster.wait_for("the call to be in the outbox", |_| {
        let connection = Connection::open_with_flags(&kept, OpenFlags::SQLITE_OPEN_READ_ONLY);
        let batches = "SELECT COUNT(*) FROM batches";
        let count = connection.and_then(|outbox| outbox.query_row(batches, [], |row| row.get(0)));
        count.ok().filter(|count: &i64| *count > 0)
    });
    cluster.nodes[alone].pause();
    for other in &others {
        cluster.nodes[*other].resume();
    }
    submit(&mut cluster, others[0], &[of_the_provider(at_ms)]);
    cluster.wait_for("the provider's end to be kept", |cluster| {
        let kept = "SELECT at_ms FROM early_ends WHERE call_sid = ?1";
        ask(cluster, others[0], kept, |row| row.get::<_, i64>(0))
    });
    assert_eq!(row(&cluster, others[0]), None, "no row for the end alone");
    cluster.heal();
    for index in 0..3 {
        let (is_ended, outcome, messages) = cluster
            .wait_for("the call to be everywhere", |cluster| {
                row(cluster, index).filter(|(_, _, messages)| messages.contains("bye"))
            });
        println!("instance {index}: ended {is_ended}, {outcome:?}");
        assert!(
            is_ended && outcome.is_some(),
            "instance {index}: {messages}"
        );
    }
}

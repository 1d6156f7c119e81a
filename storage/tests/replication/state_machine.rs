//! The state machine: entries become rows in one transaction, the same everywhere.

use super::fixtures::*;
use calldex_storage::DiskOperation;
use calldex_storage::replication::TypeConfig;
use calldex_storage::write::{DecisionStamp, StampedName, Write, encode_batch};
use openraft::Entry;
use openraft::RaftSnapshotBuilder;
use openraft::storage::{RaftLogStorage, RaftStateMachine, StorageHelper};
use rusqlite::Connection;
use std::sync::atomic::Ordering;

fn position(instance: &TestReplica) -> u64 {
    let database = Connection::open(instance.dir.path().join("calls.db")).unwrap();
    let position: i64 = database
        .query_row("SELECT position FROM meta", [], |row| row.get(0))
        .unwrap();
    position as u64
}

#[test]
fn the_position_is_the_index_of_the_last_entry_whatever_it_holds() {
    let instance = TestReplica::first_of_cluster();
    instance.apply(vec![members(0, &[1, 2, 3]), blank(1, 1)]);
    instance.apply(whole_call(2, "CA1", "+14155550100", 3));
    assert_eq!(instance.storage().applied(), 7);
    assert_eq!(position(&instance), 7);
    instance.apply(vec![blank(1, 8)]);
    assert_eq!(instance.storage().applied(), 8);
    let survivor = instance.after_a_kill();
    let (last, membership) = run(survivor.state_machine().applied_state()).unwrap();
    assert_eq!(last, Some(log_id(1, 8)));
    assert_eq!(membership.log_id(), &Some(log_id(1, 0)));
    assert_eq!(membership.nodes().count(), 3);
    assert_eq!(survivor.dump(), instance.dump());
}

#[test]
fn however_entries_are_grouped_the_database_is_the_same() {
    let mut entries = whole_call(0, "CA1", "+14155550100", 5);
    entries.extend(whole_call(8, "CA2", "+14155550100", 5));
    entries.extend(whole_call(16, "CA3", "+14155550101", 5));
    let (one, two) = (TestReplica::of_one_lineage(), TestReplica::of_one_lineage());
    one.apply(entries.clone());
    let positions: Vec<u64> = entries.iter().map(|entry| entry.log_id.index).collect();
    entries.into_iter().for_each(|entry| two.apply(vec![entry]));
    assert_eq!(one.dump(), two.dump());
    let (of_one, of_two) = (one.replica().digests(), two.replica().digests());
    for position in positions {
        let digest = of_one.digest_at(position);
        assert!(digest.is_some(), "at {position}");
        assert_eq!(digest, of_two.digest_at(position), "at {position}");
    }
    let survivor = one.after_a_kill();
    assert_eq!(survivor.replica().digests().latest(), of_one.latest());
}

#[test]
fn people_heard_in_one_millisecond_are_the_same_however_entries_are_grouped() {
    let from = "+14155550100";
    let given = |name: &str, step, at: i64| StampedName {
        number: number(from),
        name: name.into(),
        stamp: DecisionStamp {
            call_sid: "CA1".into(),
            step,
            at_ms: AT_MS + at,
        },
    };
    let entries: Vec<_> = (0..)
        .zip([
            call_started("CA1", from),
            Write::NameConfirmed(given("Ann", 1, 1)),
            Write::PersonAdded(given("Zoe", 2, 10)),
            Write::PersonAdded(given("Bob", 3, 10)),
            // Whoever was heard last takes Ann's place: both were.
            Write::PersonForgotten(given("Ann", 4, 20)),
        ])
        .map(|(index, write)| entry(index, &[write]))
        .collect();
    let (one, two) = (TestReplica::of_one_lineage(), TestReplica::of_one_lineage());
    one.apply(entries.clone());
    entries.into_iter().for_each(|entry| two.apply(vec![entry]));
    assert_eq!(one.dump(), two.dump());
}

fn add_failing_trigger(instance: &TestReplica) {
    let database = Connection::open(instance.dir.path().join("calls.db")).unwrap();
    database
        .execute_batch(
            "CREATE TRIGGER defect BEFORE INSERT ON turns WHEN NEW.content = 'bad'
             BEGIN SELECT RAISE(ABORT, 'defect'); END",
        )
        .unwrap();
}

#[test]
fn a_write_at_fault_is_set_aside_alone_and_alike_on_every_instance() {
    let writes = [
        call_started("CA1", "+14155550100"),
        turn_appended("CA1", 0, "good"),
        turn_appended("CA1", 1, "bad"),
        name_heard("+14155550100", "Ada", 5),
        turn_appended("CA1", 2, "bad"),
        turn_appended("CA1", 3, "good"),
    ];
    let entries = vec![
        entry(0, &writes[..2]),
        raw(
            1,
            vec![
                encode_batch(&writes[2..4]),
                b"junk".to_vec(),
                encode_batch(&writes[4..]),
            ],
        ),
        members(2, &[1, 2]),
        entry(3, &[turn_appended("CA1", 4, "good"), call_ended("CA1")]),
    ];
    let (one, two) = (TestReplica::of_one_lineage(), TestReplica::of_one_lineage());
    for instance in [&one, &two] {
        add_failing_trigger(instance);
    }
    one.apply(entries.clone());
    entries.into_iter().for_each(|entry| two.apply(vec![entry]));
    assert_eq!(one.dump(), two.dump());
    let database = Connection::open(one.dir.path().join("calls.db")).unwrap();
    let messages: String = database
        .query_row("SELECT messages FROM conversations", [], |row| row.get(0))
        .unwrap();
    assert_eq!(messages.matches("good").count(), 3, "{messages}");
    assert!(!messages.contains("bad"), "{messages}");
    let name: String = database
        .query_row("SELECT name FROM callers", [], |row| row.get(0))
        .unwrap();
    assert_eq!(name, "Ada");
}

#[test]
fn an_entry_of_a_later_version_halts_and_changes_nothing() {
    let instance = TestReplica::first_of_cluster();
    instance.apply(vec![entry(0, &[call_started("CA1", "+14155550100")])]);
    let before = instance.dump();
    let later = raw(2, vec![br#"{"form":99,"writes":[]}"#.to_vec()]);
    let mut machine = instance.state_machine();
    let refused = run(machine.apply(vec![blank(1, 1), later])).unwrap_err();
    assert!(
        refused.to_string().contains("upgrade this instance"),
        "{refused}"
    );
    assert_eq!(instance.dump(), before);
}

#[test]
fn applying_waits_for_a_failing_disk_and_goes_on_when_it_is_back() {
    let (left, faults) = fail_at(DiskOperation::Commit);
    let instance = TestReplica::joined_with("c0ffee", faults);
    left.store(3, Ordering::SeqCst);
    instance.apply(whole_call(0, "CA1", "+14155550100", 3));
    assert_eq!(left.load(Ordering::SeqCst), 0);
    assert_eq!(position(&instance), 5);
    assert_eq!(instance.storage().writer.status().degraded, None);
}

fn reapply(instance: &TestReplica) {
    let (mut log, mut machine) = (instance.log(), instance.state_machine());
    run(StorageHelper::new(&mut log, &mut machine).get_initial_state()).unwrap();
}

#[test]
fn what_a_power_cut_takes_of_the_database_the_log_brings_again() {
    let instance = TestReplica::first_of_cluster();
    let entries: Vec<Entry<TypeConfig>> = (0..40)
        .flat_map(|call| {
            let from = format!("+1415555{:04}", 100 + call % 7);
            whole_call(call * 8, &format!("CA{call}"), &from, 5)
        })
        .collect();
    let mut log = instance.log();
    let (early, late) = entries.split_at(150);
    instance.append(early.to_vec());
    instance.apply(early.to_vec());
    let mut builder = run(instance.state_machine().get_snapshot_builder());
    run(builder.build_snapshot()).unwrap();
    assert_eq!(instance.replica().durable_index(), Some(149));
    run(log.save_committed(Some(log_id(1, 319)))).unwrap();
    instance.append(late.to_vec());
    instance.apply(late.to_vec());

    let survivor = instance.after_a_power_cut();
    assert!(
        survivor.storage().applied() < 319,
        "nothing was lost to bring again"
    );
    reapply(&survivor);
    assert_eq!(survivor.storage().applied(), 319);
    assert_eq!(survivor.dump(), instance.dump());
    // And once more, as an engine that was started again may ask.
    survivor.apply(late.to_vec());
    assert_eq!(survivor.dump(), instance.dump());
}

#[test]
fn what_is_applied_becomes_durable_by_itself() {
    let instance = TestReplica::first_of_cluster();
    assert_eq!(instance.replica().durable_index(), None);
    let words = "x".repeat(100_000);
    let entries = (0..80).map(|index| entry(index, &[turn_appended("CA1", index as u32, &words)]));
    instance.apply(entries.collect());
    wait_until("the checkpointer has copied it", || {
        instance.replica().durable_index() == Some(79)
    });
    let survivor = instance.after_a_power_cut();
    assert_eq!(survivor.storage().applied(), 79);
    assert_eq!(survivor.replica().durable_index(), Some(79));
}

#[test]
fn the_log_of_an_instance_that_is_closed_ends_where_it_was_committed() {
    let mut instance = TestReplica::first_of_cluster();
    instance.append(vec![blank(1, 0), blank(1, 1)]);
    run(instance.log().save_committed(Some(log_id(1, 1)))).unwrap();
    instance.reopen();
    assert_eq!(
        run(instance.log().read_committed()).unwrap(),
        Some(log_id(1, 1))
    );
    assert_eq!(instance.replica().identity().starts(), 2);
}

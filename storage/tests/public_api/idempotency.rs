//! Whatever was written may come again, in part and at any later time: nothing changes.

use crate::fixtures::*;
use calldex_storage::record::{CallOutcome, CallSid, CallerKind, DecisionMark, Turn, TurnRole};
use calldex_storage::write::{
    CallEnded, CallResumed, CallStarted, DecisionStamp, StampedName, StampedNumber, Write,
    decode_batch, encode_batch,
};
use proptest::prelude::*;

const NUMBERS: [&str; 2] = ["+14155550100", "+14155550101"];
const NAMES: [&str; 3] = ["Misty", "Brock", "Ash"];

/// A kind of write and what it is about; time and key come from its place in the list.
type WritePlan = (u8, usize, usize, u32, u32);

/// The write that `plan` is, as the `index`th decision of its maker.
fn write((kind, who, which, epoch, seq): WritePlan, index: usize) -> Write {
    let call_sid = CallSid::new(format!("CA{who}"));
    let number = number(NUMBERS[who]);
    let at_ms = AT_MS + index as i64 * 1_000;
    let stamp = DecisionStamp {
        call_sid: call_sid.clone(),
        step: index as u32,
        at_ms,
    };
    let given = StampedName {
        number: number.clone(),
        name: NAMES[which].into(),
        stamp: stamp.clone(),
    };
    let stamped = StampedNumber {
        number: number.clone(),
        stamp: stamp.clone(),
    };
    let turn = |revision: u32| {
        let content = format!("{epoch} {seq} {revision}");
        Turn {
            revision,
            ..Turn::new(TurnRole::Caller, content, AT_MS, epoch, seq)
        }
    };
    match kind {
        0 => Write::CallStarted(CallStarted {
            call_sid,
            number: Some(number),
            line: "+14155550999".into(),
            caller_kind: CallerKind::Number,
            identity: None,
            language: None,
            at_ms: AT_MS,
            instance: "one".into(),
        }),
        1 | 2 => Write::TurnAppended {
            call_sid,
            turn: turn(0),
        },
        3 => Write::TurnAmended {
            call_sid,
            turn: turn(1 + which as u32),
        },
        4 => Write::CallResumed(CallResumed {
            call_sid,
            session_id: "VX".into(),
            epoch,
            at_ms,
            instance: "two".into(),
            expected: None,
            returned: true,
        }),
        5 => {
            let epoch = (which > 0).then_some(epoch);
            Write::CallEnded(CallEnded {
                call_sid,
                epoch,
                at_ms,
                outcome: CallOutcome::HungUp,
            })
        }
        6 => Write::NameHeard(given),
        7 => Write::NameConfirmed(given),
        8 => Write::NameCorrected(given),
        9 => Write::NameSettled(given),
        10 => Write::NameDeclined(stamped),
        11 => Write::NameForgotten(stamped),
        12 if at_ms % 3 == 0 => Write::PersonForgotten(given),
        12 => Write::PersonAdded(given),
        13 => Write::PreferenceNoted {
            number,
            text: NAMES[which].into(),
            person: (epoch > 0).then(|| NAMES[seq as usize % 3].into()),
            stamp,
        },
        15 => Write::PersonRenamed {
            number,
            from: NAMES[which].into(),
            to: NAMES[seq as usize % 3].into(),
            stamp,
        },
        14 => Write::LanguageChosen {
            number: Some(number),
            language: NAMES[which].into(),
            stamp,
        },
        _ => Write::CallerErased { number, at_ms },
    }
}

fn plans() -> impl Strategy<Value = Vec<WritePlan>> {
    // Erasure (16) is rare: it ends most of what there is to see.
    let kind = prop_oneof![60 => 0_u8..16, 1 => Just(16_u8)];
    prop::collection::vec((kind, 0..2_usize, 0..3_usize, 0..3_u32, 0..4_u32), 1..60)
}

fn dump_database(fixture: &TestStorage) -> Vec<String> {
    let connection = fixture.connection();
    let tables = ["callers", "people", "conversations", "tombstones"];
    let mut rows = Vec::new();
    for table in tables {
        rows.extend(dump(
            &connection,
            &format!("SELECT * FROM {table} ORDER BY 1, 2"),
        ));
    }
    rows.extend(dump(
        &connection,
        "SELECT call_sid, at_ms, provider_end_at_ms, outcome FROM early_ends ORDER BY 1",
    ));
    rows.extend(dump(
        &connection,
        "SELECT call_sid, epoch, seq, content, revision FROM turns ORDER BY 1, 2, 3",
    ));
    rows
}

fn dump(connection: &rusqlite::Connection, query: &str) -> Vec<String> {
    let mut statement = connection.prepare(query).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        Ok((0..columns)
            .map(|at| format!("{:?} ", row.get_ref(at).unwrap()))
            .collect::<String>())
    });
    rows.unwrap().map(Result::unwrap).collect()
}

fn submit_all(fixture: &TestStorage, writes: &[Write]) {
    let receipts: Vec<_> = writes
        .iter()
        .map(|write| fixture.storage().writer.submit(write.clone()))
        .collect();
    for receipt in receipts {
        wait_durable(receipt).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_comes_again_changes_nothing(plans in plans(), again in prop::collection::vec((0..60_usize, 0..60_usize), 1..4)) {
        let fixture = TestStorage::with(|config| config.warm_cache = false);
        let writes: Vec<Write> = plans.into_iter().enumerate().map(|(index, plan)| write(plan, index)).collect();
        prop_assert_eq!(&decode_batch(&encode_batch(&writes)).unwrap(), &writes);
        submit_all(&fixture, &writes);
        let once = dump_database(&fixture);
        for (from, count) in again {
            let from = from % writes.len();
            let to = (from + count).min(writes.len());
            submit_all(&fixture, &writes[from..to]);
            prop_assert_eq!(&dump_database(&fixture), &once);
        }
    }
}

#[test]
fn a_mark_orders_by_time_then_by_step() {
    let mark = |at_ms, step| DecisionMark { at_ms, step };
    assert!(mark(1, 9) < mark(2, 0) && mark(2, 0) < mark(2, 1));
}

/// Found by the test above: the preference became Brock's after the correction had passed.
#[test]
fn a_correction_that_comes_again_takes_nothing_that_came_after_it() {
    const NOTED: WritePlan = (13, 0, 0, 0, 0);
    const RENAMED: WritePlan = (15, 0, 1, 0, 0);
    const HEARD_BROCK: WritePlan = (6, 0, 1, 0, 0);
    const HEARD_MISTY: WritePlan = (6, 0, 0, 0, 0);
    let fixture = TestStorage::with(|config| config.warm_cache = false);
    let plans = [NOTED, RENAMED, HEARD_BROCK, HEARD_MISTY];
    let writes: Vec<Write> = (plans.into_iter().enumerate())
        .map(|(index, plan)| write(plan, index))
        .collect();
    submit_all(&fixture, &writes);
    let once = dump_database(&fixture);
    submit_all(&fixture, &writes[1..2]);
    assert_eq!(dump_database(&fixture), once);
}

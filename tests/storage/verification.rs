//! Looks at what is on the disk after an accident, first as any SQLite client, then as the server.

use crate::crash_run::CrashScenario;
use crate::generated_text;
use calldex_storage::record::{PhoneNumber, Turn};
use calldex_storage::{LookupResult, Storage, StorageConfig};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::time::Duration;

/// Callers and calls asked for through the server, of all that were acknowledged.
const ASKED_MAX: usize = 60;
const WAIT_MAX: Duration = Duration::from_secs(30);

/// What was found, for the record.
#[derive(Clone, Copy, Default)]
pub struct CrashFindings {
    pub turns: usize,
    pub calls: usize,
}

/// Panics with `what` if anything acknowledged is lost, anything is there twice, or anything is
/// there that was never said.
pub fn verify(scene: &CrashScenario, what: &str) -> CrashFindings {
    let calls = read_calls(scene, what);
    for (call_sid, call) in &calls {
        call.check_words(call_sid, what);
    }
    check_acknowledged(scene, &calls, what);
    verify_through_storage(scene, &calls, what);
    CrashFindings {
        turns: calls.values().map(|call| call.turns.len()).sum(),
        calls: calls.len(),
    }
}

#[derive(Default)]
struct StoredCallRows {
    turns: Vec<Turn>,
    is_ended: bool,
    left_in_turns: usize,
}

fn read_calls(scene: &CrashScenario, what: &str) -> BTreeMap<String, StoredCallRows> {
    let database = Connection::open(scene.data_dir().join("calls.db")).unwrap();
    let check: String = database
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(check, "ok", "{what}");
    let mut calls = BTreeMap::new();
    // A power cut may come before the tables do.
    let Ok(mut rows) = database.prepare("SELECT call_sid, messages, ended_at FROM conversations")
    else {
        return calls;
    };
    let mut rows = rows.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let messages: String = row.get(1).unwrap();
        let call = StoredCallRows {
            turns: serde_json::from_str(&messages).unwrap(),
            is_ended: row.get::<_, Option<i64>>(2).unwrap().is_some(),
            left_in_turns: 0,
        };
        calls.insert(row.get(0).unwrap(), call);
    }
    let mut rows = database
        .prepare("SELECT call_sid, json_object('role', role, 'content', content, 'at', at, 'kind', kind, 'epoch', epoch, 'seq', seq, 'revision', revision) FROM turns")
        .unwrap();
    let mut rows = rows.query([]).unwrap();
    while let Some(row) = rows.next().unwrap() {
        let (call_sid, turn): (String, String) = (row.get(0).unwrap(), row.get(1).unwrap());
        let call: &mut StoredCallRows = calls
            .get_mut(&call_sid)
            .unwrap_or_else(|| panic!("{what}: turns of no call"));
        call.turns.push(serde_json::from_str(&turn).unwrap());
        call.left_in_turns += 1;
    }
    calls
        .values_mut()
        .for_each(|call| call.turns.sort_by_key(Turn::key));
    calls
}

impl StoredCallRows {
    /// Each turn is there once, says what was said, and follows the one before it.
    fn check_words(&self, call_sid: &str, what: &str) {
        for pair in self.turns.windows(2) {
            assert!(
                pair[0].key() < pair[1].key(),
                "{what}: a turn of {call_sid} is there twice"
            );
        }
        let mut expected = (0, 0);
        for turn in &self.turns {
            expected = if turn.epoch == expected.0 {
                expected
            } else {
                (turn.epoch, 0)
            };
            assert_eq!(
                (turn.epoch, turn.seq),
                expected,
                "{what}: a turn of {call_sid} is missing before it"
            );
            expected.1 += 1;
            let said = generated_text::of_turn(call_sid, turn.epoch, turn.seq, turn.revision);
            assert_eq!(
                turn.content, said,
                "{what}: {call_sid} has words that were not said"
            );
        }
        if self.is_ended {
            assert_eq!(
                self.left_in_turns, 0,
                "{what}: {call_sid} is closed and has turns outside of it"
            );
        }
    }
}

fn check_acknowledged(scene: &CrashScenario, calls: &BTreeMap<String, StoredCallRows>, what: &str) {
    for ((call_sid, epoch, seq), revision) in &scene.journal.turns {
        let call = calls
            .get(call_sid)
            .unwrap_or_else(|| panic!("{what}: {call_sid} is lost"));
        let turn = call
            .turns
            .iter()
            .find(|turn| (turn.epoch, turn.seq) == (*epoch, *seq));
        let turn =
            turn.unwrap_or_else(|| panic!("{what}: turn {epoch}.{seq} of {call_sid} is lost"));
        assert!(
            turn.revision >= *revision,
            "{what}: an amendment of {call_sid} is lost"
        );
    }
    for call_sid in &scene.journal.ended {
        assert!(
            calls[call_sid].is_ended,
            "{what}: the end of {call_sid} is lost"
        );
    }
}

/// The server opens, and answers as the disk says: from the warm tier too, whatever state it is in.
fn verify_through_storage(
    scene: &CrashScenario,
    calls: &BTreeMap<String, StoredCallRows>,
    what: &str,
) {
    let config = StorageConfig::new(scene.data_dir());
    let storage = Storage::open(config).unwrap_or_else(|error| panic!("{what}: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let step = |all: usize| (all / ASKED_MAX).max(1);
    for (number, name) in scene
        .journal
        .names
        .iter()
        .step_by(step(scene.journal.names.len()))
    {
        let number = PhoneNumber::parse(number).unwrap();
        let recall = runtime.block_on(storage.callers.look_up(&number, WAIT_MAX));
        let LookupResult::Known(caller) = recall else {
            panic!("{what}: {recall:?} where a name was acknowledged")
        };
        assert_eq!(caller.name.as_deref(), Some(name.as_str()), "{what}");
    }
    for (call_sid, call) in calls.iter().step_by(step(calls.len())) {
        let read = runtime
            .block_on(storage.conversations.read(call_sid))
            .unwrap()
            .unwrap();
        assert_eq!(read.turns, call.turns, "{what}: {call_sid}");
        assert_eq!(read.is_live(), !call.is_ended, "{what}: {call_sid}");
    }
    assert_eq!(storage.close(WAIT_MAX), 0);
}

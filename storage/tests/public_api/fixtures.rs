//! A storage with a disk of its own, and writes whose options all have defaults.

use calldex_storage::record::{CallOutcome, CallSid, CallerKind, PhoneNumber, Turn, TurnRole};
use calldex_storage::write::{
    CallEnded, CallResumed, CallStarted, DecisionStamp, StampedName, StampedNumber, Write,
};
use calldex_storage::{
    Caller, LookupResult, Position, Receipt, Storage, StorageConfig, WriteError,
};
use rusqlite::Connection;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

pub const AT_MS: i64 = 1_700_000_000_000;
pub const WAIT_MAX: Duration = Duration::from_secs(20);

pub struct TestStorage {
    pub dir: TempDir,
    storage: Option<Storage>,
}

impl TestStorage {
    pub fn new() -> Self {
        Self::with(|_| ())
    }

    pub fn with(configure: impl FnOnce(&mut StorageConfig)) -> Self {
        let dir = TempDir::new().unwrap();
        let mut config = StorageConfig::new(dir.path());
        configure(&mut config);
        let storage = Some(Storage::open(config).unwrap());
        Self { dir, storage }
    }

    pub fn storage(&self) -> &Storage {
        self.storage.as_ref().unwrap()
    }

    /// Writes and waits until it is durable.
    pub fn write(&self, write: Write) {
        wait_durable(self.storage().writer.submit(write)).unwrap();
    }

    pub fn reopen(&mut self) {
        self.reopen_with(|_| ());
    }

    pub fn reopen_with(&mut self, configure: impl FnOnce(&mut StorageConfig)) {
        self.close();
        let mut config = StorageConfig::new(self.dir.path());
        configure(&mut config);
        self.storage = Some(Storage::open(config).unwrap());
    }

    /// Waits until the warm tier answers.
    pub fn wait_warm_cache(&self) {
        wait_until("the warm tier answers", || {
            self.storage().callers.is_warm_cache_ready()
        });
    }

    pub fn close(&mut self) {
        if let Some(storage) = self.storage.take() {
            assert_eq!(storage.close(WAIT_MAX), 0, "writes were given up");
        }
    }

    /// What any SQLite client sees.
    pub fn sql<T: rusqlite::types::FromSql>(&self, query: &str) -> T {
        self.connection()
            .query_row(query, [], |row| row.get(0))
            .unwrap()
    }

    pub fn connection(&self) -> Connection {
        Connection::open(self.dir.path().join("calls.db")).unwrap()
    }

    pub async fn caller(&self, digits: &str) -> Arc<Caller> {
        match self
            .storage()
            .callers
            .look_up(&number(digits), WAIT_MAX)
            .await
        {
            LookupResult::Known(caller) => caller,
            other => panic!("expected a caller, found {other:?}"),
        }
    }

    /// The words of the conversation's messages, in order.
    pub fn messages(&self, call_sid: &str) -> Vec<String> {
        let json: String = self.sql(&format!(
            "SELECT messages FROM conversations WHERE call_sid = '{call_sid}'"
        ));
        let elements: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
        elements
            .iter()
            .map(|element| element["content"].as_str().unwrap().to_owned())
            .collect()
    }
}

pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !holds() {
        assert!(begun.elapsed() < WAIT_MAX, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits for a receipt inside and outside of async tests.
pub fn wait_durable(mut receipt: Receipt) -> Result<Position, WriteError> {
    loop {
        if let Some(outcome) = receipt.peek() {
            return outcome;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

pub fn number(digits: &str) -> PhoneNumber {
    PhoneNumber::parse(digits).unwrap()
}

pub fn call_started(call_sid: &str, from: Option<&str>) -> Write {
    Write::CallStarted(CallStarted {
        call_sid: call_sid.into(),
        number: from.map(number),
        line: "+14155550999".into(),
        caller_kind: if from.is_some() {
            CallerKind::Number
        } else {
            CallerKind::Withheld
        },
        identity: None,
        language: Some("en-US".into()),
        at_ms: AT_MS,
        instance: "one".into(),
    })
}

pub fn turn_appended(call_sid: &str, epoch: u32, seq: u32, words: &str) -> Write {
    let turn = Turn::new(TurnRole::Caller, words, AT_MS + i64::from(seq), epoch, seq);
    Write::TurnAppended {
        call_sid: call_sid.into(),
        turn,
    }
}

pub fn turn_amended(call_sid: &str, seq: u32, revision: u32, words: &str) -> Write {
    let turn = Turn::new(TurnRole::Caller, words, AT_MS, 0, seq);
    Write::TurnAmended {
        call_sid: call_sid.into(),
        turn: Turn {
            revision,
            interrupted: true,
            ..turn
        },
    }
}

pub fn call_resumed(call_sid: &str, epoch: u32) -> Write {
    Write::CallResumed(CallResumed {
        call_sid: call_sid.into(),
        session_id: "VX2".into(),
        epoch,
        at_ms: AT_MS + 5_000,
        instance: "two".into(),
        expected: None,
        returned: true,
    })
}

pub fn call_ended(call_sid: &str, epoch: Option<u32>, after_s: i64) -> Write {
    let at_ms = AT_MS + after_s * 1_000;
    Write::CallEnded(CallEnded {
        call_sid: call_sid.into(),
        epoch,
        at_ms,
        outcome: CallOutcome::HungUp,
    })
}

pub fn stamp(at: i64) -> DecisionStamp {
    DecisionStamp {
        call_sid: CallSid::new("CA1"),
        step: 1,
        at_ms: AT_MS + at,
    }
}

pub fn stamped_name(from: &str, name: &str, at: i64) -> StampedName {
    StampedName {
        number: number(from),
        name: name.into(),
        stamp: stamp(at),
    }
}

pub fn stamped_number(from: &str, at: i64) -> StampedNumber {
    StampedNumber {
        number: number(from),
        stamp: stamp(at),
    }
}

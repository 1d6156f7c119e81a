//! What one instance's database holds, read as any SQLite client reads it.

use crate::dump::{DatabaseDump, look};
use rusqlite::Connection;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// One turn, open or in the messages of a closed call.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct StoredTurn {
    /// What was said.
    pub content: String,
    /// By which ownership.
    #[serde(default)]
    pub epoch: u32,
    /// Its place.
    pub seq: u32,
    /// How often amended.
    #[serde(default)]
    pub revision: u32,
    /// Its row among the open turns; none in a closed call.
    #[serde(skip)]
    pub row: Option<i64>,
}

/// One call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredCallRow {
    /// Whose.
    pub number: Option<String>,
    /// Its ownership.
    pub epoch: u32,
    /// Its owner.
    pub owner: Option<String>,
    /// Whether its start is there, and not only something that followed.
    pub has_begun: bool,
    /// Whether it is over.
    pub is_ended: bool,
    /// In order of place, then of arrival.
    pub turns: Vec<StoredTurn>,
}

/// One number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredCaller {
    /// What it is called.
    pub name: Option<String>,
    /// How often it called.
    pub calls: u64,
}

/// Everything.
#[derive(Clone, Debug, Default)]
pub struct DatabaseContents {
    /// By identifier.
    pub calls: BTreeMap<String, StoredCallRow>,
    /// By number.
    pub callers: BTreeMap<String, StoredCaller>,
}

/// Reads the database at `path` in one snapshot: as books, and as text to be compared.
pub fn read(path: &Path) -> rusqlite::Result<(DatabaseContents, DatabaseDump)> {
    let mut connection = look(path)?;
    let snapshot = connection.transaction()?;
    let books = DatabaseContents::read(&snapshot)?;
    Ok((books, DatabaseDump::read(&snapshot)?))
}

/// The last entry in the data directory of a dead instance: in its log, or applied.
pub fn log_end(data: &Path) -> rusqlite::Result<u64> {
    let log = look(&data.join("raft.db"))?;
    let last: Option<i64> =
        log.query_row("SELECT max(log_index) FROM entries", [], |row| row.get(0))?;
    let applied = position(&data.join("calls.db"))?;
    Ok(applied.max(last.map_or(0, i64::cast_unsigned)))
}

/// How far the database at `path` has come.
pub fn position(path: &Path) -> rusqlite::Result<u64> {
    let connection = look(path)?;
    let position =
        connection.query_row("SELECT position FROM meta", [], |row| row.get::<_, i64>(0));
    Ok(position?.cast_unsigned())
}

impl DatabaseContents {
    fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let mut books = Self {
            callers: read_callers(connection)?,
            calls: read_calls(connection)?,
        };
        books.add_open_turns(connection)?;
        for call in books.calls.values_mut() {
            call.turns
                .sort_by_key(|turn| (turn.epoch, turn.seq, turn.row));
        }
        Ok(books)
    }

    fn add_open_turns(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let sql = "SELECT call_sid, epoch, seq, revision, content, id FROM turns";
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let turn = StoredTurn {
                epoch: row.get(1)?,
                seq: row.get(2)?,
                revision: row.get(3)?,
                content: row.get(4)?,
                row: Some(row.get(5)?),
            };
            let call: String = row.get(0)?;
            self.calls.entry(call).or_default().turns.push(turn);
        }
        Ok(())
    }

    /// Turns of all calls.
    pub fn turns(&self) -> usize {
        self.calls.values().map(|call| call.turns.len()).sum()
    }
}

fn read_calls(connection: &Connection) -> rusqlite::Result<BTreeMap<String, StoredCallRow>> {
    let sql = "SELECT call_sid, phone_number, epoch, instance, caller_kind, ended_at, messages FROM conversations";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        let messages: Option<String> = row.get(6)?;
        let turns = serde_json::from_str(messages.as_deref().unwrap_or("[]"));
        let call = StoredCallRow {
            number: row.get(1)?,
            epoch: row.get(2)?,
            owner: row.get(3)?,
            has_begun: row.get::<_, Option<String>>(4)?.is_some(),
            is_ended: row.get::<_, Option<i64>>(5)?.is_some(),
            turns: turns.expect("messages are turns"),
        };
        Ok((row.get(0)?, call))
    })?;
    rows.collect()
}

fn read_callers(connection: &Connection) -> rusqlite::Result<BTreeMap<String, StoredCaller>> {
    let mut statement = connection.prepare("SELECT phone_number, name, calls FROM callers")?;
    let rows = statement.query_map([], |row| {
        let caller = StoredCaller {
            name: row.get(1)?,
            calls: row.get::<_, i64>(2)?.cast_unsigned(),
        };
        Ok((row.get(0)?, caller))
    })?;
    rows.collect()
}

//! What was kept, read as any SQLite client reads it.

use rusqlite::types::Value as Cell;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, params};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// How long a read waits for the writer.
const BUSY_MAX: Duration = crate::test_server::WAIT_MAX;

/// A row of `callers`, and the people beside it.
#[derive(Debug, Clone, PartialEq)]
pub struct CallerRow {
    pub name: Option<String>,
    pub name_state: Option<String>,
    pub language: Option<String>,
    pub people: Vec<String>,
}

/// A row of `conversations`.
#[derive(Debug, Clone, PartialEq)]
pub struct ConversationRow {
    pub call_sid: String,
    pub phone_number: Option<String>,
    /// The JSON array of the column, as it stands there.
    pub messages: Vec<Value>,
    pub started_at: i64,
    pub ended_at: Option<i64>,
    pub outcome: Option<String>,
    pub caller_kind: Option<String>,
    pub identity: Option<String>,
    pub resumes: i64,
}

/// One turn of a live or closed call.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnRow {
    pub role: String,
    pub content: String,
    pub kind: String,
    pub interrupted: bool,
    /// Unix milliseconds.
    pub at: i64,
}

/// The database, read only.
pub struct Database(Connection);

impl Database {
    pub fn open(path: &Path) -> Self {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let books = Connection::open_with_flags(path, flags).expect("the database opens");
        books.busy_timeout(BUSY_MAX).expect("a wait can be set");
        Self(books)
    }

    pub fn count(&self, table: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {table}");
        self.0
            .query_row(&sql, [], |row| row.get(0))
            .expect("rows can be counted")
    }

    pub fn caller(&self, number: &str) -> Option<CallerRow> {
        let people = self.people(number);
        self.0
            .query_row(
                "SELECT name, name_state, language FROM callers WHERE phone_number = ?1",
                params![number],
                |row| {
                    Ok(CallerRow {
                        name: row.get(0)?,
                        name_state: row.get(1)?,
                        language: row.get(2)?,
                        people,
                    })
                },
            )
            .optional()
            .expect("callers can be read")
    }

    fn people(&self, number: &str) -> Vec<String> {
        let mut people = self
            .0
            .prepare("SELECT name FROM people WHERE phone_number = ?1 ORDER BY name")
            .expect("people can be read");
        let names = people.query_map(params![number], |row| row.get(0));
        names
            .and_then(Iterator::collect)
            .expect("people can be read")
    }

    pub fn conversation(&self, call_sid: &str) -> Option<ConversationRow> {
        let mut all = self.conversations();
        all.retain(|conversation| conversation.call_sid == call_sid);
        assert!(all.len() <= 1, "{call_sid} stands {} times", all.len());
        all.pop()
    }

    /// Which instance has the call.
    pub fn owner(&self, call_sid: &str) -> Option<String> {
        let sql = "SELECT instance FROM conversations WHERE call_sid = ?1";
        let owner = self.0.query_row(sql, params![call_sid], |row| row.get(0));
        owner.optional().expect("owners can be read").flatten()
    }

    pub fn conversations(&self) -> Vec<ConversationRow> {
        let mut all = self
            .0
            .prepare(
                "SELECT call_sid, phone_number, messages, started_at, ended_at, outcome, caller_kind,
                        identity, resumes FROM conversations ORDER BY rowid",
            )
            .expect("conversations can be read");
        let rows = all.query_map([], conversation);
        rows.and_then(Iterator::collect)
            .expect("conversations can be read")
    }

    /// The turns of a call in order, whether it is live or closed.
    pub fn turns(&self, call_sid: &str) -> Vec<TurnRow> {
        let mut turns = self
            .0
            .prepare(
                "SELECT role, content, kind, interrupted, at FROM conversation_messages
                  WHERE call_sid = ?1 ORDER BY epoch, seq",
            )
            .expect("turns can be read");
        let rows = turns.query_map(params![call_sid], |row| {
            Ok(TurnRow {
                role: row.get(0)?,
                content: row.get(1)?,
                kind: row.get(2)?,
                interrupted: row.get(3)?,
                at: row.get(4)?,
            })
        });
        rows.and_then(Iterator::collect).expect("turns can be read")
    }

    /// Everything, a line a row.
    pub fn dump(&self) -> Vec<String> {
        let tables =
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
        let mut tables = self.0.prepare(tables).expect("tables can be read");
        let names = tables.query_map([], |row| row.get::<_, String>(0));
        let names: Vec<String> = names
            .and_then(Iterator::collect)
            .expect("tables have names");
        let mut lines: Vec<String> = names.iter().flat_map(|name| self.table(name)).collect();
        lines.sort();
        lines
    }

    fn table(&self, name: &str) -> Vec<String> {
        let mut all = self
            .0
            .prepare(&format!("SELECT * FROM {name}"))
            .expect("a table can be read");
        let columns = all.column_count();
        let rows = all.query_map([], |row| {
            let cells: Result<Vec<Cell>, _> = (0..columns).map(|column| row.get(column)).collect();
            Ok(format!("{name} {:?}", cells?))
        });
        rows.and_then(Iterator::collect).expect("rows can be read")
    }

    /// Role and words of each turn.
    pub fn texts_by_role(&self, call_sid: &str) -> Vec<(String, String)> {
        let turns = self.turns(call_sid).into_iter();
        turns.map(|turn| (turn.role, turn.content)).collect()
    }

    /// What the caller of a call said, in order.
    pub fn agent_texts(&self, call_sid: &str) -> Vec<String> {
        let words = self.texts_by_role(call_sid).into_iter();
        words
            .filter(|(role, _)| role == "user")
            .map(|(_, content)| content)
            .collect()
    }
}

fn conversation(row: &Row<'_>) -> rusqlite::Result<ConversationRow> {
    let messages: Option<String> = row.get(2)?;
    let messages = messages
        .map(|text| serde_json::from_str(&text).expect("messages is a JSON array"))
        .unwrap_or_default();
    Ok(ConversationRow {
        call_sid: row.get(0)?,
        phone_number: row.get(1)?,
        messages,
        started_at: row.get(3)?,
        ended_at: row.get(4)?,
        outcome: row.get(5)?,
        caller_kind: row.get(6)?,
        identity: row.get(7)?,
        resumes: row.get(8)?,
    })
}

//! The table `turns`: append-only while a call lives, read and removed by rowid.

use crate::record::{CallSid, Turn, TurnKey, TurnKind, TurnRole, TurnUsage};
use compact_str::CompactString;
use rusqlite::{Connection, OptionalExtension, Row, params};

/// How a turn ended, as the column `interrupted` has it. Any value but 0 is a turn that did not end
/// as it was said, to older versions too.
enum TurnEnding {
    Complete = 0,
    Interrupted = 1,
    InterruptedByEstimate = 2,
    CompleteByEstimate = 3,
}

impl TurnEnding {
    fn of(turn: &Turn) -> Self {
        match (turn.interrupted, turn.estimated) {
            (false, false) => Self::Complete,
            (true, false) => Self::Interrupted,
            (true, true) => Self::InterruptedByEstimate,
            (false, true) => Self::CompleteByEstimate,
        }
    }

    /// Whether it was interrupted, and whether that was estimated.
    fn read(value: i64) -> (bool, bool) {
        (
            value != Self::Complete as i64 && value != Self::CompleteByEstimate as i64,
            value == Self::InterruptedByEstimate as i64 || value == Self::CompleteByEstimate as i64,
        )
    }
}

/// Appends a turn; its rowid.
pub(crate) fn append(
    connection: &Connection,
    call_sid: &CallSid,
    turn: &Turn,
) -> rusqlite::Result<i64> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO turns (call_sid, epoch, seq, role, content, at, kind, interrupted, revision, language, usage)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?;
    statement.insert(params![
        call_sid.as_str(),
        turn.epoch,
        turn.seq,
        turn.role.as_str(),
        turn.content,
        turn.at,
        turn.kind.as_str(),
        TurnEnding::of(turn) as i64,
        turn.revision,
        turn.language.as_deref(),
        turn.usage
            .as_ref()
            .map(|usage| { serde_json::to_string(usage).expect("numbers and a name are JSON") }),
    ])
}

/// Puts `turn` in the place of the one at `id`, if its revision is higher.
pub(crate) fn amend(connection: &Connection, id: i64, turn: &Turn) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "UPDATE turns SET content = ?2, interrupted = ?3, revision = ?4, kind = ?5
         WHERE id = ?1 AND revision < ?4",
    )?;
    statement.execute(params![
        id,
        turn.content,
        TurnEnding::of(turn) as i64,
        turn.revision,
        turn.kind.as_str()
    ])?;
    Ok(())
}

/// The turn at `id`, if it is one of `call_sid`: an id seen before a failed commit may belong to
/// another call by now.
pub(crate) fn get(
    connection: &Connection,
    call_sid: &CallSid,
    id: i64,
) -> rusqlite::Result<Option<Turn>> {
    let mut statement = connection.prepare_cached(
        "SELECT role, content, at, kind, epoch, seq, interrupted, revision, language, usage
         FROM turns WHERE id = ?1 AND call_sid = ?2",
    )?;
    statement
        .query_row(params![id, call_sid.as_str()], read)
        .optional()
}

fn read(row: &Row<'_>) -> rusqlite::Result<Turn> {
    let role: String = row.get(0)?;
    let kind: String = row.get(3)?;
    let (interrupted, estimated) = TurnEnding::read(row.get(6)?);
    Ok(Turn {
        role: TurnRole::parse(&role).unwrap_or(TurnRole::System),
        content: row.get(1)?,
        at: row.get(2)?,
        kind: TurnKind::parse(&kind),
        epoch: row.get(4)?,
        seq: row.get(5)?,
        interrupted,
        estimated,
        revision: row.get(7)?,
        language: row.get::<_, Option<String>>(8)?.map(CompactString::from),
        usage: usage_of(row.get(9)?),
    })
}

/// What the column `usage` says; of a later form nothing.
fn usage_of(column: Option<String>) -> Option<Box<TurnUsage>> {
    serde_json::from_str(&column?).ok()
}

/// Removes the turn at `id`.
pub(crate) fn remove(connection: &Connection, id: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM turns WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}

/// Every turn's call, key and rowid, in the order of writing: the live-turn index's beginning.
pub(crate) fn for_each_key(
    connection: &Connection,
    mut visit: impl FnMut(&str, TurnKey, i64),
) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare("SELECT id, call_sid, epoch, seq FROM turns ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let key = TurnKey {
            epoch: row.get(2)?,
            seq: row.get(3)?,
        };
        let id = row.get(0)?;
        let call_sid = row.get_ref(1)?.as_str().unwrap_or_default();
        visit(call_sid, key, id);
    }
    Ok(())
}

/// Of each call with turns: the time of its last one, Unix milliseconds, and how many there are.
pub(crate) fn last_by_call(
    connection: &Connection,
) -> rusqlite::Result<std::collections::HashMap<CallSid, (i64, usize)>> {
    let mut statement = connection
        .prepare_cached("SELECT call_sid, MAX(at), COUNT(*) FROM turns GROUP BY call_sid")?;
    let rows = statement.query_map([], |row| {
        let (call_sid, at, count): (String, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok((CallSid::from(call_sid), (at, count.unsigned_abs() as usize)))
    })?;
    rows.collect()
}

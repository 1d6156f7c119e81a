//! The table `conversations`: a call's row from its start to its end.

use super::{early_ends, lenient_columns};
use crate::record::{
    CallOutcome, CallResumed, CallSid, CallStarted, CallerKind, Conversation, OwnerRecord,
    PhoneNumber,
};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, params};

const ROW_COLUMNS: &str = "call_sid, phone_number, line, caller_kind, identity, language, instance, \
                    session_id, epoch, resumes, started_at, ended_at, outcome, messages, end_at_ms, \
                    provider_end_at_ms, end_epoch";

/// A conversation's row with its messages as they are in the column.
pub(crate) struct ConversationRow {
    pub conversation: Conversation,
    pub messages: Option<String>,
    /// The latest end that was seen, Unix milliseconds; 0 if none.
    pub end_at_ms: i64,
    /// The latest end of the call itself that the provider told, Unix milliseconds; 0 if none.
    pub provider_end_at_ms: i64,
    /// The latest epoch whose owner's end was seen; -1 if none.
    pub end_epoch: i64,
}

/// The row of `call_sid`.
pub(crate) fn get(
    connection: &Connection,
    call_sid: &CallSid,
) -> rusqlite::Result<Option<ConversationRow>> {
    let sql = format!("SELECT {ROW_COLUMNS} FROM conversations WHERE call_sid = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    statement
        .query_row([call_sid.as_str()], read_row)
        .optional()
}

/// The rows without an end.
pub(crate) fn unfinished(connection: &Connection) -> rusqlite::Result<Vec<ConversationRow>> {
    let sql = format!(
        "SELECT {ROW_COLUMNS} FROM conversations
         WHERE ended_at IS NULL AND call_sid IS NOT NULL ORDER BY started_at, call_sid"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_map([], read_row)?.collect()
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<ConversationRow> {
    Ok(ConversationRow {
        conversation: read(row)?,
        messages: lenient_columns::text(row, 13)?,
        end_at_ms: row.get(14)?,
        provider_end_at_ms: row.get(15)?,
        end_epoch: row.get(16)?,
    })
}

/// A conversation that has an end has ended, whenever that was.
fn ended_at(row: &Row<'_>) -> rusqlite::Result<Option<i64>> {
    let is_live = matches!(row.get_ref(11)?, ValueRef::Null);
    Ok((!is_live).then_some(lenient_columns::integer(row, 11)?.unwrap_or(0)))
}

fn read(row: &Row<'_>) -> rusqlite::Result<Conversation> {
    let text = |index| lenient_columns::short_text(row, index);
    Ok(Conversation {
        call_sid: text(0)?.unwrap_or_default(),
        number: text(1)?.as_deref().and_then(PhoneNumber::parse),
        line: text(2)?,
        caller_kind: text(3)?.as_deref().map(CallerKind::parse),
        identity: text(4)?,
        language: text(5)?,
        instance: text(6)?,
        session_id: text(7)?,
        epoch: row.get(8)?,
        resumes: row.get(9)?,
        started_at: lenient_columns::integer(row, 10)?.unwrap_or(0),
        ended_at: ended_at(row)?,
        outcome: text(12)?.as_deref().and_then(CallOutcome::parse),
    })
}

/// Makes the row of a call whose start is not applied yet: a turn came first. Returns whether the call is
/// over, since its end came before.
pub(crate) fn insert_without_start(
    connection: &Connection,
    call_sid: &CallSid,
    at: i64,
) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO conversations (call_sid, messages, started_at) VALUES (?1, '[]', ?2)
         ON CONFLICT (call_sid) DO NOTHING",
    )?;
    statement.execute(params![call_sid.as_str(), at])?;
    apply_early_end(connection, call_sid)
}

/// Ends a call whose row was just made, if its end came before. Returns whether it did.
fn apply_early_end(connection: &Connection, call_sid: &CallSid) -> rusqlite::Result<bool> {
    let Some(early) = early_ends::take(connection, call_sid)? else {
        return Ok(false);
    };
    let at = early.at_ms.div_euclid(1000);
    end(connection, call_sid, "[]", at, early.outcome)?;
    let seen = ObservedEnd {
        at_ms: early.at_ms,
        provider_end_at_ms: early.provider_end_at_ms,
        epoch: None,
    };
    record_end(connection, call_sid, &seen)?;
    Ok(true)
}

/// Writes a call's start, at `at` Unix seconds. Returns whether it is the first: one call starts once. If
/// its end came before, the call is over at once.
pub(crate) fn insert_start(
    connection: &Connection,
    start: &CallStarted,
    at: i64,
) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO conversations
           (call_sid, phone_number, messages, started_at, line, caller_kind, identity, language, instance)
         VALUES (?1, ?2, '[]', ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (call_sid) DO UPDATE SET
           phone_number = ?2, started_at = MIN(started_at, ?3), line = ?4, caller_kind = ?5,
           identity = ?6, language = COALESCE(language, ?7), instance = COALESCE(instance, ?8)
         WHERE caller_kind IS NULL",
    )?;
    let changed = statement.execute(params![
        start.call_sid.as_str(),
        start.number.as_ref().map(PhoneNumber::as_str),
        at,
        start.line.as_str(),
        start.caller_kind.as_str(),
        start.identity.as_deref(),
        start.language.as_deref(),
        start.instance.as_str(),
    ])?;
    if changed > 0 {
        apply_early_end(connection, &start.call_sid)?;
    }
    Ok(changed > 0)
}

/// Who owns the call; `None` if there is no row of it.
pub(crate) fn owner(
    connection: &Connection,
    call_sid: &CallSid,
) -> rusqlite::Result<Option<OwnerRecord>> {
    let mut statement = connection.prepare_cached(
        "SELECT epoch, instance, session_id FROM conversations WHERE call_sid = ?1",
    )?;
    statement
        .query_row([call_sid.as_str()], read_owner)
        .optional()
}

fn read_owner(row: &Row<'_>) -> rusqlite::Result<OwnerRecord> {
    Ok(OwnerRecord {
        epoch: row.get(0)?,
        instance: lenient_columns::short_text(row, 1)?.unwrap_or_default(),
        session_id: lenient_columns::short_text(row, 2)?.unwrap_or_default(),
    })
}

/// The calls without an end, each with its owner.
pub(crate) fn owners_of_live(
    connection: &Connection,
) -> rusqlite::Result<Vec<(CallSid, OwnerRecord)>> {
    let mut statement = connection.prepare(
        "SELECT epoch, instance, session_id, call_sid FROM conversations
         WHERE ended_at IS NULL AND call_sid IS NOT NULL",
    )?;
    let read = |row: &Row<'_>| {
        Ok((
            lenient_columns::short_text(row, 3)?.unwrap_or_default(),
            read_owner(row)?,
        ))
    };
    statement.query_map([], read)?.collect()
}

/// Writes a claim that has won. It reopens a call that had ended, unless the claim only arrived late: the
/// provider reported an end of the call itself that is not before it, or the end of the claiming owner is
/// known.
pub(crate) fn apply_claim(connection: &Connection, claim: &CallResumed) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "UPDATE conversations SET epoch = ?2, resumes = resumes + ?5, session_id = ?3, instance = ?4,
                ended_at = CASE WHEN provider_end_at_ms >= ?6 OR end_epoch >= ?2 THEN ended_at END,
                outcome = CASE WHEN provider_end_at_ms >= ?6 OR end_epoch >= ?2 THEN outcome END
         WHERE call_sid = ?1 AND epoch < ?2",
    )?;
    statement.execute(params![
        claim.call_sid.as_str(),
        claim.epoch,
        claim.session_id.as_str(),
        claim.instance.as_str(),
        u32::from(claim.returned),
        claim.at_ms,
    ])?;
    Ok(())
}

/// What is stored of an end to recognise it when it is repeated.
pub(crate) struct ObservedEnd {
    /// Unix milliseconds.
    pub at_ms: i64,
    /// The same if it is the provider's of the call itself, else 0.
    pub provider_end_at_ms: i64,
    /// Whose it is, if an owner's.
    pub epoch: Option<u32>,
}

/// Notes that an end was seen.
pub(crate) fn record_end(
    connection: &Connection,
    call_sid: &CallSid,
    seen: &ObservedEnd,
) -> rusqlite::Result<()> {
    let mut note = connection.prepare_cached(
        "UPDATE conversations SET end_at_ms = MAX(end_at_ms, ?2),
                provider_end_at_ms = MAX(provider_end_at_ms, ?3), end_epoch = MAX(end_epoch, ?4)
         WHERE call_sid = ?1",
    )?;
    note.execute(params![
        call_sid.as_str(),
        seen.at_ms,
        seen.provider_end_at_ms,
        seen.epoch.map_or(-1, i64::from)
    ])?;
    Ok(())
}

/// What the messages `?2` cost; NULL where no turn has a price.
const COST: &str = "(SELECT SUM(json_extract(value, '$.usage.cost_micros')) FROM json_each(?2))";

/// Writes the end: messages, time (Unix seconds) and outcome.
pub(crate) fn end(
    connection: &Connection,
    call_sid: &CallSid,
    messages: &str,
    at: i64,
    outcome: CallOutcome,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        &format!(
            "UPDATE conversations SET messages = ?2, cost_micros = {COST}, ended_at = MAX(started_at, ?3),
                    outcome = ?4
             WHERE call_sid = ?1 AND ended_at IS NULL"
        ),
    )?;
    statement.execute(params![call_sid.as_str(), messages, at, outcome.as_str()])?;
    Ok(())
}

/// Replaces the messages of an ended conversation.
pub(crate) fn put_messages(
    connection: &Connection,
    call_sid: &CallSid,
    messages: &str,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(&format!(
        "UPDATE conversations SET messages = ?2, cost_micros = {COST} WHERE call_sid = ?1"
    ))?;
    statement.execute([call_sid.as_str(), messages])?;
    Ok(())
}

/// Writes the language of a call, if `at_ms` is later than the last choice.
pub(crate) fn put_language(
    connection: &Connection,
    call_sid: &CallSid,
    language: &str,
    at_ms: i64,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "UPDATE conversations SET language = ?2, language_at_ms = ?3
         WHERE call_sid = ?1 AND language_at_ms < ?3",
    )?;
    statement.execute(params![call_sid.as_str(), language, at_ms])?;
    Ok(())
}

/// Writes the note of a call; the first stays.
#[cfg(feature = "next-version")]
pub(crate) fn put_note(
    connection: &Connection,
    call_sid: &CallSid,
    note: &str,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE conversations SET note = ?2 WHERE call_sid = ?1 AND note IS NULL")?
        .execute([call_sid.as_str(), note])?;
    Ok(())
}

/// The calls of `number`.
pub(crate) fn call_sids_of(
    connection: &Connection,
    number: &PhoneNumber,
) -> rusqlite::Result<Vec<CallSid>> {
    let mut statement =
        connection.prepare_cached("SELECT call_sid FROM conversations WHERE phone_number = ?1")?;
    let rows = statement.query_map([number.as_str()], |row| lenient_columns::short_text(row, 0))?;
    rows.filter_map(Result::transpose).collect()
}

/// Removes the row, and an end that came before it.
pub(crate) fn remove(connection: &Connection, call_sid: &CallSid) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM conversations WHERE call_sid = ?1")?
        .execute([call_sid.as_str()])?;
    early_ends::take(connection, call_sid)?;
    Ok(())
}

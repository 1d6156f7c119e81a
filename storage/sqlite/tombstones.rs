//! What was erased, so that a late or repeated write cannot bring it back.

use crate::record::{CallSid, PhoneNumber};
use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// Bytes of the digest that stand for a number.
const SUBJECT_BYTES: usize = 16;

/// Marks a call as erased.
pub(crate) fn mark_call_erased(
    connection: &Connection,
    call_sid: &CallSid,
    at_ms: i64,
) -> rusqlite::Result<()> {
    put(connection, &call_subject(call_sid), at_ms)
}

/// Marks a number as erased at `at_ms`.
pub(crate) fn mark_number_erased(
    connection: &Connection,
    lineage: &str,
    number: &PhoneNumber,
    at_ms: i64,
) -> rusqlite::Result<()> {
    put(connection, &number_subject(lineage, number), at_ms)
}

/// Whether the call was erased.
pub(crate) fn is_call_erased(
    connection: &Connection,
    call_sid: &CallSid,
) -> rusqlite::Result<bool> {
    Ok(erased_at(connection, &call_subject(call_sid))?.is_some())
}

/// When the number was last erased, Unix milliseconds.
pub(crate) fn number_erased_at(
    connection: &Connection,
    lineage: &str,
    number: &PhoneNumber,
) -> rusqlite::Result<Option<i64>> {
    erased_at(connection, &number_subject(lineage, number))
}

fn call_subject(call_sid: &CallSid) -> String {
    format!("call:{call_sid}")
}

/// A number must not stay readable in the mark of its own erasure: its digest, salted with the
/// database's lineage.
fn number_subject(lineage: &str, number: &PhoneNumber) -> String {
    let digest = Sha256::new()
        .chain_update(lineage)
        .chain_update(":")
        .chain_update(number.as_str())
        .finalize();
    digest[..SUBJECT_BYTES]
        .iter()
        .fold("number:".to_owned(), |mut subject, byte| {
            let _ = write!(subject, "{byte:02x}");
            subject
        })
}

fn put(connection: &Connection, subject: &str, at_ms: i64) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO tombstones (subject, at_ms) VALUES (?1, ?2)
         ON CONFLICT (subject) DO UPDATE SET at_ms = MAX(at_ms, ?2)",
    )?;
    statement.execute(params![subject, at_ms])?;
    Ok(())
}

fn erased_at(connection: &Connection, subject: &str) -> rusqlite::Result<Option<i64>> {
    let mut statement =
        connection.prepare_cached("SELECT at_ms FROM tombstones WHERE subject = ?1")?;
    statement.query_row([subject], |row| row.get(0)).optional()
}

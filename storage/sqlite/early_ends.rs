//! The table `early_ends`: ends that the provider reported of unknown calls. Such a call may never come, as
//! one of another application on the same account, or come later, from an instance that was isolated. The
//! write that makes its row finds the end here. At the bound the oldest end is deleted; its call, if it
//! comes, is closed like any unfinished one.

use crate::record::{CallEnded, CallOutcome, CallSid};
use rusqlite::{Connection, OptionalExtension, params};

/// Most ends kept. At the bound the oldest is deleted.
pub const EARLY_ENDS_MAX: i64 = 10_000;

/// The end of a call that is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EarlyEnd {
    /// The first that was reported, Unix milliseconds.
    pub at_ms: i64,
    /// The latest of the call itself, and not of a session, Unix milliseconds; 0 if none.
    pub provider_end_at_ms: i64,
    /// The outcome of the first.
    pub outcome: CallOutcome,
}

impl EarlyEnd {
    /// As `end` has it.
    pub(crate) fn of(end: &CallEnded) -> Self {
        Self {
            at_ms: end.at_ms,
            provider_end_at_ms: end.final_at_ms(),
            outcome: end.outcome,
        }
    }

    /// Merged with `later`.
    pub(crate) fn merge(&mut self, later: &Self) {
        self.provider_end_at_ms = self.provider_end_at_ms.max(later.provider_end_at_ms);
    }
}

/// Stores an end. Returns how many older ones were deleted for it.
pub(crate) fn put(
    connection: &Connection,
    call_sid: &CallSid,
    end: &EarlyEnd,
) -> rusqlite::Result<usize> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO early_ends (call_sid, at_ms, provider_end_at_ms, outcome) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (call_sid) DO UPDATE SET provider_end_at_ms = MAX(provider_end_at_ms, ?3)",
    )?;
    insert.execute(params![
        call_sid.as_str(),
        end.at_ms,
        end.provider_end_at_ms,
        end.outcome.as_str()
    ])?;
    // Ids are given in order: the oldest are the lowest.
    let mut evict = connection.prepare_cached(
        "DELETE FROM early_ends WHERE id <= (SELECT MAX(id) FROM early_ends) - ?1",
    )?;
    evict.execute([EARLY_ENDS_MAX])
}

/// The end kept of `call_sid`.
pub(crate) fn get(
    connection: &Connection,
    call_sid: &CallSid,
) -> rusqlite::Result<Option<EarlyEnd>> {
    let mut statement = connection.prepare_cached(
        "SELECT at_ms, provider_end_at_ms, outcome FROM early_ends WHERE call_sid = ?1",
    )?;
    let read = |row: &rusqlite::Row<'_>| {
        let outcome: String = row.get(2)?;
        Ok(EarlyEnd {
            at_ms: row.get(0)?,
            provider_end_at_ms: row.get(1)?,
            // An outcome of a later version: the call is over in any case.
            outcome: CallOutcome::parse(&outcome).unwrap_or(CallOutcome::HungUp),
        })
    };
    statement.query_row([call_sid.as_str()], read).optional()
}

/// Removes the end of `call_sid` and returns it.
pub(crate) fn take(
    connection: &Connection,
    call_sid: &CallSid,
) -> rusqlite::Result<Option<EarlyEnd>> {
    let found = get(connection, call_sid)?;
    if found.is_some() {
        connection
            .prepare_cached("DELETE FROM early_ends WHERE call_sid = ?1")?
            .execute([call_sid.as_str()])?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::migrations::migrate;

    #[test]
    fn at_its_bound_the_oldest_end_goes_and_is_counted() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        let put = |at: i64| {
            let call_sid = CallSid::new(format!("CA{at}"));
            let end = EarlyEnd {
                at_ms: at,
                provider_end_at_ms: at,
                outcome: CallOutcome::HungUp,
            };
            put(&connection, &call_sid, &end).unwrap()
        };
        assert_eq!((0..EARLY_ENDS_MAX).map(put).sum::<usize>(), 0);
        assert_eq!(put(EARLY_ENDS_MAX - 1), 0, "one that is there");
        assert_eq!(put(EARLY_ENDS_MAX), 1);
        let get = |call_sid: &str| get(&connection, &call_sid.into()).unwrap();
        assert_eq!(get("CA0"), None);
        assert_eq!(get("CA1").unwrap().at_ms, 1);
        assert_eq!(take(&connection, &"CA1".into()).unwrap().unwrap().at_ms, 1);
        assert_eq!(get("CA1"), None);
    }
}

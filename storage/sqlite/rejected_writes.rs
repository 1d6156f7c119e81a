//! The table `set_aside`: writes that were refused for their own fault, kept for a person to look at.
//! Bounded in rows and bytes; at a bound the oldest go.

use crate::record::{CallSid, PhoneNumber};
use rusqlite::{Connection, params};

/// Rows kept. At the bound the oldest goes.
pub const REJECTED_WRITES_ROWS_MAX: i64 = 10_000;
/// Bytes of bodies kept. At the bound the oldest go.
pub const REJECTED_WRITES_BYTES_MAX: i64 = 16 * 1024 * 1024;
/// Bytes kept of one body; the rest is cut off.
pub const REJECTED_WRITE_BODY_BYTES_MAX: usize = 1024 * 1024;

/// A write, or a batch of them, that is set aside.
pub(crate) struct RejectedWrite<'a> {
    /// When it was made, Unix milliseconds; where it does not say, 0. Not when it was refused: in a cluster
    /// instances each row must be the same everywhere.
    pub at_ms: i64,
    /// The position (TXID) that it was to be applied at, if it came so far.
    pub position: Option<u64>,
    /// The kind of the write; `batch` for bytes that are none.
    pub kind: &'a str,
    /// Why it was refused, without anything of its content.
    pub reason: &'a str,
    /// What was refused: the write in its JSON form, or the bytes as they came.
    pub body: &'a [u8],
}

/// Keeps `refused`. How many older ones went for it: the caller counts and logs them once the
/// transaction is committed.
pub(crate) fn put(connection: &Connection, refused: &RejectedWrite<'_>) -> rusqlite::Result<usize> {
    let body = &refused.body[..refused.body.len().min(REJECTED_WRITE_BODY_BYTES_MAX)];
    let mut insert = connection.prepare_cached(
        "INSERT INTO set_aside (at_ms, position, kind, reason, body) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    insert.execute(params![
        refused.at_ms,
        refused.position.map(u64::cast_signed),
        refused.kind,
        refused.reason,
        body
    ])?;
    evict(connection)
}

fn evict(connection: &Connection) -> rusqlite::Result<usize> {
    let mut statement = connection.prepare_cached(
        "DELETE FROM set_aside WHERE id IN (
           SELECT id FROM (
             SELECT id, COUNT(*) OVER newest AS place, SUM(LENGTH(body)) OVER newest AS bytes
               FROM set_aside WINDOW newest AS (ORDER BY id DESC))
            WHERE place > ?1 OR bytes > ?2)",
    )?;
    statement.execute([REJECTED_WRITES_ROWS_MAX, REJECTED_WRITES_BYTES_MAX])
}

/// Removes what names `number` or one of `calls`: they are being erased.
pub(crate) fn erase(
    connection: &Connection,
    number: &PhoneNumber,
    calls: &[CallSid],
) -> rusqlite::Result<()> {
    let names = std::iter::once(number.as_str()).chain(calls.iter().map(CallSid::as_str));
    let names: Vec<&[u8]> = names.map(str::as_bytes).collect();
    let mut statement = connection.prepare_cached("SELECT id, body FROM set_aside")?;
    let mut rows = statement.query([])?;
    let mut gone: Vec<i64> = Vec::new();
    while let Some(row) = rows.next()? {
        let body = row.get_ref(1)?.as_bytes()?;
        let holds = |name: &[u8]| body.windows(name.len()).any(|part| part == name);
        if names.iter().any(|name| holds(name)) {
            gone.push(row.get(0)?);
        }
    }
    let mut remove = connection.prepare_cached("DELETE FROM set_aside WHERE id = ?1")?;
    for id in gone {
        remove.execute([id])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::migrations::migrate;

    fn database() -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        connection
    }

    fn keep(connection: &Connection, at_ms: i64, body: &[u8]) -> usize {
        let refused = RejectedWrite {
            at_ms,
            position: Some(7),
            kind: "turn_appended",
            reason: "constraint failed",
            body,
        };
        put(connection, &refused).unwrap()
    }

    fn sql(connection: &Connection, query: &str) -> i64 {
        connection.query_row(query, [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn beyond_its_rows_the_oldest_goes_and_is_counted() {
        let connection = database();
        let gone: usize = (0..REJECTED_WRITES_ROWS_MAX + 2)
            .map(|at| {
                // The window over all rows makes each put cost what the table holds.
                if at > 2 && at < REJECTED_WRITES_ROWS_MAX - 1 {
                    let insert = "INSERT INTO set_aside (at_ms, kind, reason, body) VALUES (?1, '', '', x'')";
                    connection.execute(insert, [at]).unwrap();
                    return 0;
                }
                keep(&connection, at, b"x")
            })
            .sum();
        assert_eq!(gone, 2);
        assert_eq!(
            sql(&connection, "SELECT COUNT(*) FROM set_aside"),
            REJECTED_WRITES_ROWS_MAX
        );
        assert_eq!(sql(&connection, "SELECT MIN(at_ms) FROM set_aside"), 2);
    }

    #[test]
    fn beyond_its_bytes_the_oldest_go_and_a_body_is_cut() {
        let connection = database();
        let body = vec![b'x'; 2 * REJECTED_WRITE_BODY_BYTES_MAX];
        let gone: usize = (0..20).map(|at| keep(&connection, at, &body)).sum();
        assert_eq!(gone, 4);
        let bytes = sql(&connection, "SELECT SUM(LENGTH(body)) FROM set_aside");
        assert_eq!(bytes, REJECTED_WRITES_BYTES_MAX);
        assert_eq!(sql(&connection, "SELECT MIN(at_ms) FROM set_aside"), 4);
    }

    #[test]
    fn what_names_an_erased_number_or_its_calls_goes() {
        let connection = database();
        keep(&connection, 0, br#"{"number":"+14155550100"}"#);
        keep(&connection, 1, br#"{"call_sid":"CA1"}"#);
        keep(
            &connection,
            2,
            br#"{"number":"+14155550101","call_sid":"CA2"}"#,
        );
        let number = PhoneNumber::parse("+14155550100").unwrap();
        erase(&connection, &number, &["CA1".into()]).unwrap();
        assert_eq!(sql(&connection, "SELECT SUM(at_ms) FROM set_aside"), 2);
    }
}

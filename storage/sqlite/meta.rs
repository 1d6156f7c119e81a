//! The database's own row: which lineage it is of, how far it has been written.

use rusqlite::Connection;

/// The row of `meta`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    /// Random identity, given at creation: a cache of another database is recognised by it.
    pub lineage: String,
    /// Batches applied: the transaction position (TXID).
    pub position: u64,
    /// Changes of callers: the end of the change feed.
    pub rev: u64,
    /// The change that last erased a caller: a cache that has not seen it is thrown away whole,
    /// since the feed shows changed rows and not missing ones.
    pub erased_rev: u64,
}

/// Reads the row.
pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Meta> {
    let mut statement = connection
        .prepare_cached("SELECT lineage, position, rev, erased_rev FROM meta WHERE id = 1")?;
    statement.query_row([], |row| {
        Ok(Meta {
            lineage: row.get(0)?,
            position: row.get::<_, i64>(1)?.cast_unsigned(),
            rev: row.get::<_, i64>(2)?.cast_unsigned(),
            erased_rev: row.get::<_, i64>(3)?.cast_unsigned(),
        })
    })
}

/// Moves position and revision on: once a batch, so that every batch is a commit of its own.
pub(crate) fn advance(connection: &Connection, position: u64, rev: u64) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare_cached("UPDATE meta SET position = ?1, rev = ?2 WHERE id = 1")?;
    statement.execute([position.cast_signed(), rev.cast_signed()])?;
    Ok(())
}

/// Notes that the change `rev` erased a caller.
pub(crate) fn note_erasure(connection: &Connection, rev: u64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE meta SET erased_rev = ?1 WHERE id = 1")?
        .execute([rev.cast_signed()])?;
    Ok(())
}

//! The one row of `meta`: the identity of the database and how far it is written.

use crate::record::StateDigest;
use rusqlite::{Connection, OptionalExtension, params};

/// The row of `meta`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DatabaseMeta {
    /// Random identity, given at creation: a cache of another database is recognised by it.
    pub lineage: String,
    /// Batches applied: the transaction position (TXID).
    pub position: u64,
    /// Changes of callers: the end of the change feed.
    pub rev: u64,
    /// The change that last erased a caller: a cache that has not seen it is thrown away whole,
    /// since the feed shows changed rows and not missing ones.
    pub erased_rev: u64,
    /// The format version in use. A database from before there were any is at 1.
    pub format_version: u32,
    /// The digest chain over the entries applied, up to `position`; none where no chain has begun.
    pub digest: Option<StateDigest>,
}

/// Reads the row.
pub(crate) fn read(connection: &Connection) -> rusqlite::Result<DatabaseMeta> {
    let mut statement = connection.prepare_cached(
        "SELECT lineage, position, rev, erased_rev, level, digest FROM meta WHERE id = 1",
    )?;
    statement.query_row([], |row| {
        Ok(DatabaseMeta {
            lineage: row.get(0)?,
            position: row.get::<_, i64>(1)?.cast_unsigned(),
            rev: row.get::<_, i64>(2)?.cast_unsigned(),
            erased_rev: row.get::<_, i64>(3)?.cast_unsigned(),
            format_version: row.get(4)?,
            digest: row.get::<_, Option<_>>(5)?.map(StateDigest::from_bytes),
        })
    })
}

/// The format version in use.
pub(crate) fn format_version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.query_row("SELECT level FROM meta WHERE id = 1", [], |row| row.get(0))
}

/// Notes the format version that is in use from now on.
pub(crate) fn set_format_version(connection: &Connection, level: u32) -> rusqlite::Result<()> {
    connection.execute("UPDATE meta SET level = ?1 WHERE id = 1", [level])?;
    Ok(())
}

/// Moves position and revision on: once a batch, so that every batch is a commit of its own.
pub(crate) fn advance(connection: &Connection, position: u64, rev: u64) -> rusqlite::Result<()> {
    let mut statement =
        connection.prepare_cached("UPDATE meta SET position = ?1, rev = ?2 WHERE id = 1")?;
    statement.execute([position.cast_signed(), rev.cast_signed()])?;
    Ok(())
}

/// Notes how far the digest chain has come; nothing where none has begun.
pub(crate) fn put_digest(
    connection: &Connection,
    digest: Option<&StateDigest>,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE meta SET digest = ?1 WHERE id = 1")?
        .execute([digest.map(StateDigest::as_bytes)])?;
    Ok(())
}

/// Notes that the change `rev` erased a caller.
pub(crate) fn record_erasure(connection: &Connection, rev: u64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE meta SET erased_rev = ?1 WHERE id = 1")?
        .execute([rev.cast_signed()])?;
    Ok(())
}

/// How far the log of a cluster is applied, as JSON that `replication` writes and reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AppliedLogJson {
    /// The id of the last entry that is in the database.
    pub last_log_id: Option<String>,
    /// The last membership that is in the database.
    pub membership: Option<String>,
}

/// Which cluster the database belongs to, if to one; `None` too for a database of version 1, which
/// knew of none.
pub(crate) fn cluster_id(connection: &Connection) -> rusqlite::Result<Option<String>> {
    if !has_cluster_columns(connection)? {
        return Ok(None);
    }
    connection.query_row("SELECT cluster_id FROM meta WHERE id = 1", [], |row| {
        row.get(0)
    })
}

fn has_cluster_columns(connection: &Connection) -> rusqlite::Result<bool> {
    let column = connection
        .query_row(
            "SELECT 1 FROM pragma_table_info('meta') WHERE name = 'cluster_id'",
            [],
            |_| Ok(()),
        )
        .optional()?;
    Ok(column.is_some())
}

/// Makes the database one of `cluster_id` to which nothing of its log has been applied: where its digest
/// chain begins. Every member has it from here on, since whoever joins takes the database itself.
pub(crate) fn assign_cluster(connection: &Connection, cluster_id: &str) -> rusqlite::Result<()> {
    connection.execute(
        "UPDATE meta SET cluster_id = ?1, last_applied = NULL, membership = NULL, position = 0
         WHERE id = 1",
        [cluster_id],
    )?;
    put_digest(connection, Some(&StateDigest::START))
}

/// Removes the cluster from the database: it is then one of a single node, at the same position. Every
/// copy that leaves the cluster (a backup) needs it.
pub(crate) fn remove_cluster(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute(
        "UPDATE meta SET cluster_id = NULL, last_applied = NULL, membership = NULL WHERE id = 1",
        [],
    )?;
    Ok(())
}

/// How far the cluster's log is applied.
pub(crate) fn applied_log(connection: &Connection) -> rusqlite::Result<AppliedLogJson> {
    let mut statement =
        connection.prepare_cached("SELECT last_applied, membership FROM meta WHERE id = 1")?;
    statement.query_row([], |row| {
        Ok(AppliedLogJson {
            last_log_id: row.get(0)?,
            membership: row.get(1)?,
        })
    })
}

/// Notes that the log is applied up to the entry `last_log_id`, whose `index` is the database's position
/// from now on, and the membership if there was one among the entries.
pub(crate) fn advance_applied_log(
    connection: &Connection,
    index: u64,
    last_log_id: &str,
    membership: Option<&str>,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE meta SET position = ?1, last_applied = ?2 WHERE id = 1")?
        .execute(params![index.cast_signed(), last_log_id])?;
    if let Some(membership) = membership {
        connection
            .prepare_cached("UPDATE meta SET membership = ?1 WHERE id = 1")?
            .execute([membership])?;
    }
    Ok(())
}

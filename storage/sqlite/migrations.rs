//! From whatever the file holds to this version's tables: forward only, in one transaction. Only
//! additions that an earlier build of the same level ignores are made here; what it could not live with
//! is made when its level comes into use ([`raise`]).

use super::connection::pragma;
use super::meta;
use super::schema::{
    AT_LEVEL, CALLERS_ADDED, CALLS_COUNTED, COERCED, CONVERSATIONS_ADDED, PRD_TABLES, VERSION_1,
    VERSION_2, VERSION_3, VERSION_4, VERSION_5,
};
use crate::level::{LEVEL, Levels};
use rusqlite::{Connection, Transaction};

/// The version of the tables that this program makes (`PRAGMA user_version`). A higher one is used as it
/// is, while its level is one that this program reads.
pub(crate) const VERSION: i64 = if cfg!(feature = "next-version") { 6 } else { 5 };
/// From this version on the database says at which level it is.
const FIRST_WITH_LEVEL: i64 = 5;
/// What tells the file from any other SQLite database (`PRAGMA application_id`): "cdex".
pub(crate) const APPLICATION_ID: i32 = 0x6364_6578;

/// Why the file cannot be brought to this version.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MigrationError {
    #[error(
        "the database is at level {level} (tables of version {found}), and this calldex reads levels {}: an upgrade to a later one was finished. Run that one, or restore a backup of before",
        Levels::OWN
    )]
    Newer {
        found: i64,
        /// 0 where it cannot be told.
        level: u32,
    },
    #[error("the table `{table}` has no column `{column}`: not a calldex database")]
    Foreign {
        table: &'static str,
        column: &'static str,
    },
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

/// Brings the database to [`VERSION`]. A file of the PRD's original shape is adopted with its rows.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), MigrationError> {
    let found = check_level(connection)?;
    if found >= VERSION {
        return Ok(());
    }
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    if found < 1 {
        adopt(&transaction)?;
    }
    if found < 2 {
        transaction.execute_batch(VERSION_2)?;
    }
    if found < 3 {
        transaction.execute_batch(VERSION_3)?;
    }
    if found < 4 {
        transaction.execute_batch(VERSION_4)?;
    }
    if found < 5 {
        transaction.execute_batch(VERSION_5)?;
        transaction.execute_batch(CALLS_COUNTED)?;
    }
    #[cfg(feature = "next-version")]
    transaction.execute_batch(super::schema::VERSION_6)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    Ok(())
}

/// The version of the tables, if this program reads the level that the database is at.
pub(crate) fn check_level(connection: &Connection) -> Result<i64, MigrationError> {
    let found = pragma(connection, "user_version")?;
    if found < FIRST_WITH_LEVEL {
        return Ok(found);
    }
    // What a later version has made of this place cannot be known.
    let level = meta::level(connection).unwrap_or(0);
    match Levels::OWN.contain(level) {
        true => Ok(found),
        false => Err(MigrationError::Newer { found, level }),
    }
}

/// Brings the database from the level in use to `level`, within the transaction of the write that says
/// so. Nothing where it has come there already. Whether the level is news.
pub(crate) fn raise(transaction: &Connection, level: u32) -> rusqlite::Result<bool> {
    let before = meta::level(transaction)?;
    // A level that this build does not read cannot get here: its write is not read either.
    if level <= before || level > LEVEL {
        return Ok(false);
    }
    for (_, change) in AT_LEVEL
        .iter()
        .filter(|(at, _)| (before + 1..=level).contains(at))
    {
        transaction.execute_batch(change)?;
    }
    meta::set_level(transaction, level)?;
    Ok(true)
}

/// Version 0, an empty file or the PRD's tables, to version 1.
fn adopt(transaction: &Transaction<'_>) -> Result<(), MigrationError> {
    transaction.execute_batch(PRD_TABLES)?;
    require(
        transaction,
        "callers",
        &["phone_number", "name", "created_at", "updated_at"],
    )?;
    require(
        transaction,
        "conversations",
        &[
            "call_sid",
            "phone_number",
            "messages",
            "started_at",
            "ended_at",
        ],
    )?;
    add_columns(transaction, "callers", CALLERS_ADDED)?;
    add_columns(transaction, "conversations", CONVERSATIONS_ADDED)?;
    transaction.execute_batch(COERCED)?;
    transaction.execute_batch(VERSION_1)?;
    // A name that the old program stored was never contradicted before its call ended.
    transaction.execute(
        "UPDATE callers SET name_state = 'confirmed' WHERE name IS NOT NULL",
        [],
    )?;
    transaction.execute("UPDATE callers SET rev = rowid", [])?;
    transaction.execute(
        "INSERT INTO meta (id, lineage, position, rev)
         SELECT 1, lower(hex(randomblob(16))), 0, COALESCE(MAX(rev), 0) FROM callers",
        [],
    )?;
    Ok(())
}

fn columns(transaction: &Transaction<'_>, table: &str) -> rusqlite::Result<Vec<String>> {
    let mut statement = transaction.prepare("SELECT name FROM pragma_table_info(?1)")?;
    statement.query_map([table], |row| row.get(0))?.collect()
}

fn require(
    transaction: &Transaction<'_>,
    table: &'static str,
    needed: &[&'static str],
) -> Result<(), MigrationError> {
    let present = columns(transaction, table)?;
    match needed
        .iter()
        .find(|column| !present.iter().any(|name| name == *column))
    {
        Some(column) => Err(MigrationError::Foreign { table, column }),
        None => Ok(()),
    }
}

fn add_columns(
    transaction: &Transaction<'_>,
    table: &str,
    added: &[(&str, &str)],
) -> Result<(), MigrationError> {
    let present = columns(transaction, table)?;
    for (column, definition) in added {
        if !present.iter().any(|name| name == column) {
            transaction.execute_batch(&format!(
                "ALTER TABLE {table} ADD COLUMN {column} {definition}"
            ))?;
        }
    }
    Ok(())
}

//! From whatever the file holds to this version's tables: forward only, in one transaction. Only
//! additions that an earlier build of the same level ignores are made here; what it could not live with
//! is made when its level comes into use ([`raise_format_version`]).

use super::connection::read_pragma;
use super::meta;
use super::schema::{
    BACKFILL_CALL_COUNTS, CALLERS_ADDED_COLUMNS, COERCE_COLUMN_TYPES, CONVERSATIONS_ADDED_COLUMNS,
    FORMAT_VERSION_CHANGES, ORIGINAL_TABLES, VERSION_1, VERSION_2, VERSION_3, VERSION_4, VERSION_5,
};
use crate::format_version::{FORMAT_VERSION, FormatVersionRange};
use rusqlite::{Connection, Transaction};

/// The version of the tables that this program makes (`PRAGMA user_version`). A higher one is used as it
/// is, while its level is one that this program reads.
pub(crate) const SCHEMA_VERSION: i64 = if cfg!(feature = "next-version") { 6 } else { 5 };
/// From this version on the database says at which level it is.
const FIRST_WITH_FORMAT_VERSION: i64 = 5;
/// What tells the file from any other SQLite database (`PRAGMA application_id`): "cdex".
pub(crate) const APPLICATION_ID: i32 = 0x6364_6578;

/// Why the file cannot be brought to this version.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MigrationError {
    #[error(
        "the database is at level {format_version} (tables of version {schema_version}), and this calldex reads levels {}: an upgrade to a later one was finished. Run that one, or restore a backup of before",
        FormatVersionRange::SUPPORTED
    )]
    UnsupportedFormatVersion {
        schema_version: i64,
        /// 0 where it cannot be told.
        format_version: u32,
    },
    #[error("the table `{table}` has no column `{column}`: not a calldex database")]
    NotCalldexDatabase {
        table: &'static str,
        column: &'static str,
    },
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

/// Brings the database to [`SCHEMA_VERSION`]. A file with the two original tables alone is adopted with its rows.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), MigrationError> {
    let found = check_format_version(connection)?;
    if found >= SCHEMA_VERSION {
        return Ok(());
    }
    let transaction =
        connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    if found < 1 {
        migrate_original(&transaction)?;
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
        transaction.execute_batch(BACKFILL_CALL_COUNTS)?;
    }
    #[cfg(feature = "next-version")]
    transaction.execute_batch(super::schema::VERSION_6)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", SCHEMA_VERSION)?;
    transaction.commit()?;
    Ok(())
}

/// The version of the tables, if this program reads the level that the database is at.
pub(crate) fn check_format_version(connection: &Connection) -> Result<i64, MigrationError> {
    let found = read_pragma(connection, "user_version")?;
    if found < FIRST_WITH_FORMAT_VERSION {
        return Ok(found);
    }
    // What a later version has made of this place cannot be known.
    let format_version = meta::format_version(connection).unwrap_or(0);
    match FormatVersionRange::SUPPORTED.contains(format_version) {
        true => Ok(found),
        false => Err(MigrationError::UnsupportedFormatVersion {
            schema_version: found,
            format_version,
        }),
    }
}

/// Brings the database from the level in use to `format_version`, within the transaction of the write that says
/// so. Nothing where it has come there already. Whether the level is news.
pub(crate) fn raise_format_version(
    transaction: &Connection,
    format_version: u32,
) -> rusqlite::Result<bool> {
    let before = meta::format_version(transaction)?;
    // A level that this build does not read cannot get here: its write is not read either.
    if format_version <= before || format_version > FORMAT_VERSION {
        return Ok(false);
    }
    for (_, change) in FORMAT_VERSION_CHANGES
        .iter()
        .filter(|(at, _)| (before + 1..=format_version).contains(at))
    {
        transaction.execute_batch(change)?;
    }
    meta::set_format_version(transaction, format_version)?;
    Ok(true)
}

/// Version 0, an empty file or the two original tables, to version 1.
fn migrate_original(transaction: &Transaction<'_>) -> Result<(), MigrationError> {
    transaction.execute_batch(ORIGINAL_TABLES)?;
    require_columns(
        transaction,
        "callers",
        &["phone_number", "name", "created_at", "updated_at"],
    )?;
    require_columns(
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
    add_columns(transaction, "callers", CALLERS_ADDED_COLUMNS)?;
    add_columns(transaction, "conversations", CONVERSATIONS_ADDED_COLUMNS)?;
    transaction.execute_batch(COERCE_COLUMN_TYPES)?;
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

fn require_columns(
    transaction: &Transaction<'_>,
    table: &'static str,
    needed: &[&'static str],
) -> Result<(), MigrationError> {
    let present = columns(transaction, table)?;
    match needed
        .iter()
        .find(|column| !present.iter().any(|name| name == *column))
    {
        Some(column) => Err(MigrationError::NotCalldexDatabase { table, column }),
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

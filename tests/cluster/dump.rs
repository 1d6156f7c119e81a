//! A database as text: every table, every column, in an order that does not depend on the file.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};
use std::collections::BTreeMap;
use std::path::Path;

/// Rows shown of a difference.
const ROWS_SHOWN: usize = 4;
/// Characters shown of a row.
const CHARS_SHOWN: usize = 400;

/// A whole database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseDump {
    /// Definitions of tables, indexes and views by name.
    definitions: BTreeMap<String, String>,
    /// What the file's header says of its content.
    header: Vec<i64>,
    /// Rows by table, sorted by all columns.
    tables: BTreeMap<String, Vec<String>>,
}

impl DatabaseDump {
    /// Reads it in one snapshot, while whoever has it open may go on writing.
    pub fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let header = ["user_version", "application_id", "encoding"].map(|name| {
            connection.query_row(&format!("PRAGMA {name}"), [], |row| {
                Ok(row.get::<_, i64>(0).unwrap_or(0))
            })
        });
        let definitions = definitions(connection)?;
        let mut tables = BTreeMap::new();
        let mut names =
            connection.prepare("SELECT name FROM sqlite_master WHERE type = 'table'")?;
        let names = names.query_map([], |row| row.get::<_, String>(0))?;
        for name in names.collect::<rusqlite::Result<Vec<_>>>()? {
            tables.insert(name.clone(), rows(connection, &name)?);
        }
        Ok(Self {
            definitions,
            header: header.into_iter().collect::<rusqlite::Result<_>>()?,
            tables,
        })
    }

    /// What tells the two apart; nothing if they are equal.
    pub fn difference(&self, other: &Self) -> Option<String> {
        if self.header != other.header || self.definitions != other.definitions {
            return Some(format!(
                "definitions differ: {:?} {:?} and {:?} {:?}",
                self.header, self.definitions, other.header, other.definitions
            ));
        }
        let differing = self
            .tables
            .iter()
            .find(|(name, rows)| other.tables.get(*name) != Some(*rows));
        let (name, rows) = differing?;
        let others = other.tables.get(name).map_or(&[][..], Vec::as_slice);
        let only = |a: &[String], b: &[String]| -> Vec<String> {
            let known: std::collections::BTreeSet<_> = b.iter().collect();
            let only = a.iter().filter(|row| !known.contains(row)).take(ROWS_SHOWN);
            only.map(|row| row.chars().take(CHARS_SHOWN).collect())
                .collect()
        };
        Some(format!(
            "table {name} has {} and {} rows; only in the first: {:#?}, only in the second: {:#?}",
            rows.len(),
            others.len(),
            only(rows, others),
            only(others, rows)
        ))
    }

    /// Rows of all tables.
    pub fn rows(&self) -> usize {
        self.tables.values().map(Vec::len).sum()
    }
}

fn definitions(connection: &Connection) -> rusqlite::Result<BTreeMap<String, String>> {
    let mut statement =
        connection.prepare("SELECT type || ' ' || name, COALESCE(sql, '') FROM sqlite_master")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}

fn rows(connection: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let statement = connection.prepare(&format!("SELECT * FROM \"{table}\""))?;
    let columns = statement.column_count();
    let order: Vec<String> = (1..=columns).map(|column| column.to_string()).collect();
    let sql = format!("SELECT * FROM \"{table}\" ORDER BY {}", order.join(", "));
    drop(statement);
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_map([], |row| row_as_text(row, columns))?;
    rows.collect()
}

fn row_as_text(row: &Row<'_>, columns: usize) -> rusqlite::Result<String> {
    let mut text = String::new();
    for column in 0..columns {
        let value = match row.get_ref(column)? {
            ValueRef::Null => "NULL".to_owned(),
            ValueRef::Integer(value) => value.to_string(),
            ValueRef::Real(value) => format!("real {value:?}"),
            ValueRef::Text(value) => format!("'{}'", String::from_utf8_lossy(value)),
            ValueRef::Blob(value) => format!("x{value:02x?}"),
        };
        text.push_str(&value);
        text.push('|');
    }
    Ok(text)
}

/// Opens a database as a client that only looks, which a running server does not notice.
pub fn look(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// What `PRAGMA integrity_check` has to say; "ok" if nothing.
pub fn integrity(path: &Path) -> String {
    let check = look(path).and_then(|database| {
        database.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0))
    });
    check.unwrap_or_else(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(sql: &str) -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection
            .execute_batch("CREATE TABLE t (a, b); CREATE TABLE u (c INTEGER PRIMARY KEY)")
            .unwrap();
        connection.execute_batch(sql).unwrap();
        connection
    }

    fn difference(one: &str, other: &str) -> Option<String> {
        let [one, other] = [one, other].map(|sql| DatabaseDump::read(&database(sql)).unwrap());
        one.difference(&other)
    }

    #[test]
    fn the_order_of_arrival_makes_no_difference() {
        let (one, other) = (
            "INSERT INTO t VALUES (1, 'x'), (2, 'y')",
            "INSERT INTO t VALUES (2, 'y'), (1, 'x')",
        );
        assert_eq!(difference(one, other), None);
    }

    #[test]
    fn a_value_a_row_a_type_and_a_definition_make_one() {
        let one = "INSERT INTO t VALUES (1, 'x')";
        for other in [
            "INSERT INTO t VALUES (1, 'y')",
            "INSERT INTO t VALUES ('1', 'x')",
            "INSERT INTO t VALUES (1, NULL)",
            "INSERT INTO t VALUES (1, 'x'), (1, 'x')",
            "INSERT INTO t VALUES (1, 'x'); INSERT INTO u VALUES (1)",
            "INSERT INTO t VALUES (1, 'x'); PRAGMA user_version = 3",
            "INSERT INTO t VALUES (1, 'x'); CREATE TABLE v (a)",
            "",
        ] {
            assert!(difference(one, other).is_some(), "{other}");
        }
    }
}

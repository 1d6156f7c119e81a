//! The plain way: SQLite as one would first use it.

use rusqlite::{Connection, params};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// One insert a message, each its own transaction, keyed by call and sequence.
pub(super) struct PlainInserts(Connection);

impl PlainInserts {
    /// In WAL mode, every commit synced.
    pub(super) fn open(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE messages (call_sid TEXT, seq INTEGER, role TEXT, content TEXT, at INTEGER,
                                    PRIMARY KEY (call_sid, seq));",
        )?;
        Ok(Self(connection))
    }

    /// The time of each of `count` inserts, spread over `calls` calls.
    pub(super) fn insert(&self, count: usize, calls: usize) -> rusqlite::Result<Vec<Duration>> {
        let words = "x".repeat(200);
        (0..count)
            .map(|index| {
                let begun = Instant::now();
                self.0.execute(
                    "INSERT INTO messages VALUES (?1, ?2, 'user', ?3, 1)",
                    params![
                        super::scene::call_sid(index % calls).as_str(),
                        (index / calls) as i64,
                        words
                    ],
                )?;
                Ok(begun.elapsed())
            })
            .collect()
    }
}

/// The time of each of `count` appends of one page to the file at `path`, each synced: what the disk
/// itself takes.
///
/// # Errors
/// A disk that fails.
pub fn fsyncs(path: &Path, count: usize) -> io::Result<Vec<Duration>> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let page = [7_u8; 4_096];
    (0..count)
        .map(|_| {
            file.write_all(&page)?;
            let begun = Instant::now();
            file.sync_data()?;
            Ok(begun.elapsed())
        })
        .collect()
}

//! What the benchmarks need of the inside of storage. Only with the feature `bench`: the product does not have it.

use crate::Storage;
use crate::caller_directory::sqlite_tier;
use crate::fault_injection::FaultInjector;
use crate::reader_pool::DatabaseReader;
use crate::record::{Caller, PhoneNumber};
use crate::sqlite::{callers, meta};
use rusqlite::Connection;
use std::path::Path;

/// Fills the closed database at `path` with `new` callers in one transaction, without the writer.
///
/// # Errors
/// What SQLite says.
pub fn populate(path: &Path, new: impl Iterator<Item = Caller>) -> rusqlite::Result<()> {
    let mut connection = Connection::open(path)?;
    let transaction = connection.transaction()?;
    let mut count = 0;
    for caller in new {
        callers::put(&transaction, &caller, false)?;
        count += 1;
    }
    meta::advance(&transaction, 1, count)?;
    transaction.commit()
}

/// Looks callers up in SQLite alone.
pub struct ColdReader(DatabaseReader, FaultInjector);

impl ColdReader {
    /// A reader of the database at `path`; the file is opened by the first look-up.
    pub fn open(path: &Path) -> Self {
        Self(
            DatabaseReader::new(path.to_owned()),
            FaultInjector::default(),
        )
    }

    /// Whether the caller is found. Blocks for the disk.
    pub fn finds(&mut self, number: &PhoneNumber) -> bool {
        matches!(sqlite_tier::read(&mut self.0, number, &self.1), Ok(Some(_)))
    }
}

/// Whether sled holds the caller with the digits `key`; `false` without a warm cache. Blocks for the disk.
pub fn is_in_warm_cache(storage: &Storage, key: u64) -> bool {
    let warm = storage.callers.warm_cache();
    warm.is_some_and(|warm| warm.get(key, &FaultInjector::default()).is_some())
}

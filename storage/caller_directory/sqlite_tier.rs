//! The cold tier: SQLite itself, asked by a reader.

use crate::fault_injection::{DiskOperation, FaultInjector};
use crate::reader_pool::{DatabaseReader, ReadError};
use crate::record::PhoneNumber;
use crate::sqlite::callers;
use std::sync::Arc;

/// What SQLite knows of `number`.
pub(crate) fn read(
    reader: &mut DatabaseReader,
    number: &PhoneNumber,
    faults: &FaultInjector,
) -> Result<super::hot_cache::CachedCaller, ReadError> {
    faults
        .inject(DiskOperation::ReadCold)
        .map_err(|error| ReadError::Failed(error.to_string()))?;
    Ok(reader
        .query(|connection| callers::get(connection, number))?
        .map(Arc::new))
}

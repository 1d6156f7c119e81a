//! The cold tier: SQLite itself, asked by a reader.

use crate::faults::{Faults, Operation};
use crate::readers::{ReadError, Reader};
use crate::record::PhoneNumber;
use crate::sqlite::callers;
use std::sync::Arc;

/// What SQLite knows of `number`.
pub(crate) fn read(
    reader: &mut Reader,
    number: &PhoneNumber,
    faults: &Faults,
) -> Result<super::hot::Known, ReadError> {
    faults
        .at(Operation::ReadCold)
        .map_err(|error| ReadError::Failed(error.to_string()))?;
    Ok(reader
        .ask(|connection| callers::get(connection, number))?
        .map(Arc::new))
}

//! Columns as they may be in a database that an older program filled: SQLite keeps a value of any
//! type in a column of any type, and no row may be unreadable for it.

use compact_str::CompactString;
use rusqlite::Row;
use rusqlite::types::ValueRef;

/// The column as text: bytes are read as text, numbers written out.
pub(crate) fn text(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<String>> {
    Ok(match row.get_ref(index)? {
        ValueRef::Null => None,
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            Some(String::from_utf8_lossy(bytes).into_owned())
        }
        ValueRef::Integer(whole) => Some(whole.to_string()),
        ValueRef::Real(real) => Some(real.to_string()),
    })
}

/// As [`text`], for words that are short.
pub(crate) fn short_text(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<CompactString>> {
    match row.get_ref(index)? {
        ValueRef::Text(bytes) => Ok(Some(CompactString::from_utf8_lossy(bytes))),
        _ => Ok(text(row, index)?.map(CompactString::from)),
    }
}

/// The column as a whole number: a fraction is cut off, text counts if it is a number.
pub(crate) fn integer(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<i64>> {
    Ok(match row.get_ref(index)? {
        ValueRef::Integer(whole) => Some(whole),
        // Saturates at the bounds of an i64.
        ValueRef::Real(real) => Some(real as i64),
        ValueRef::Text(bytes) => std::str::from_utf8(bytes)
            .ok()
            .and_then(|text| text.trim().parse::<f64>().ok())
            .map(|real| real as i64),
        ValueRef::Null | ValueRef::Blob(_) => None,
    })
}

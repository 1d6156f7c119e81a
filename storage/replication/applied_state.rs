//! How far the cluster's log is applied, in the types of openraft. The database has it as JSON.

use super::{RaftLogId, RaftMembership};
use crate::sqlite::meta::{self, AppliedLogJson};
use crate::writer::AppliedLogMark;
use rusqlite::Connection;
use rusqlite::types::Type;
use serde::de::DeserializeOwned;

/// How far the log of a cluster is applied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AppliedLogState {
    /// The id of the last entry that is in the database.
    pub last_log_id: Option<RaftLogId>,
    /// The last membership that is in the database.
    pub membership: RaftMembership,
}

impl AppliedLogState {
    /// Reads it from the database.
    pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        Self::parse(&meta::applied_log(connection)?)
    }

    /// From the JSON of the database.
    pub(crate) fn parse(json: &AppliedLogJson) -> rusqlite::Result<Self> {
        Ok(Self {
            last_log_id: from_json(json.last_log_id.as_deref(), 0)?,
            membership: from_json(json.membership.as_deref(), 1)?.unwrap_or_default(),
        })
    }
}

/// `column` is where the database has the text, for the error.
fn from_json<T: DeserializeOwned>(
    json: Option<&str>,
    column: usize,
) -> rusqlite::Result<Option<T>> {
    json.map(serde_json::from_str).transpose().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
    })
}

/// What the database notes once the entries up to `last` are applied, `membership` being the last one
/// among them.
pub(super) fn applied_log_mark(
    last: &RaftLogId,
    membership: Option<&RaftMembership>,
) -> AppliedLogMark {
    let membership = membership.map(|membership| {
        serde_json::to_string(membership).expect("a membership is text and numbers")
    });
    AppliedLogMark {
        index: last.index,
        last_log_id: serde_json::to_string(last).expect("a log id is numbers"),
        membership,
    }
}

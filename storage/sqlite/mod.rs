//! The tables of `calls.db` and all SQL on them. No other crate uses SQL.

pub(crate) mod callers;
pub(crate) mod connection;
pub(crate) mod conversations;
pub(crate) mod early_ends;
pub(crate) mod lenient_columns;
pub(crate) mod live_turn_index;
pub(crate) mod messages;
pub(crate) mod meta;
pub(crate) mod migrations;
pub(crate) mod rejected_writes;
pub(crate) mod schema;
pub(crate) mod tombstones;
pub(crate) mod turns;

pub use live_turn_index::LiveTurnIndex;

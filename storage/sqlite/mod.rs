//! SQLite: the one place where the truth lies. Nobody outside this crate speaks SQL.

pub(crate) mod callers;
pub(crate) mod connection;
pub(crate) mod conversations;
pub(crate) mod early_ends;
pub(crate) mod ledger;
pub(crate) mod loose;
pub(crate) mod messages;
pub(crate) mod meta;
pub(crate) mod migrations;
pub(crate) mod schema;
pub(crate) mod set_aside;
pub(crate) mod tombstones;
pub(crate) mod turns;

pub use ledger::Ledger;

//! How far a database has come.

/// The position of a database (its TXID): how many batches it has applied. In a cluster it is the index
/// of the last log entry that it has applied.
pub type Position = u64;

//! The same database on several instances: raft's log and state machine under openraft, the writes
//! of this instance proposed to the primary, and what waits while there is none.

mod types;

pub use types::{Batches, Member, NodeId, Outcome, SnapshotFile, TypeConfig};

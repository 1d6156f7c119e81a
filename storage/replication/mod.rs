//! The same database on several instances: raft's log and state machine under openraft, the writes
//! of this instance proposed to the primary, and what waits while there is none.

mod proposer;
mod types;

pub use proposer::{PROPOSAL_BYTES_MAX, ProposeError, Proposer, Proposing};
pub use types::{Batches, Member, NodeId, Outcome, SnapshotFile, TypeConfig};

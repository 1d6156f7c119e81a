//! The same database on several instances: raft's log and state machine under openraft, the writes
//! of this instance proposed to the primary, and what waits while there is none.

mod digests;
mod founding;
mod identity;
mod log;
mod outbox;
mod peers;
mod proposer;
mod reach;
mod replica;
mod snapshot;
mod state_machine;
mod survivor;
mod types;

pub use digests::{DIGESTS_MAX, Digests};
pub use identity::{Identity, IdentityError, NODE_FILE, Standing, random_node_id};
pub use log::{LOG_FILE, LogError, LogStore};
pub use outbox::OUTBOX_FILE;
pub(crate) use outbox::{Kept, Outbox};
pub use peers::{Hello, PeerMarks, Refusal};
pub use proposer::{PROPOSAL_BYTES_MAX, ProposeError, Proposer, Proposing};
pub(crate) use reach::Reach;
pub(crate) use replica::ReplicaParts;
pub use replica::{Replica, ReplicaError};
pub use snapshot::{SnapshotBuilder, SnapshotError};
pub(crate) use state_machine::Applier;
pub use state_machine::StateMachine;
pub use survivor::{Survivor, SurvivorError};
pub use types::{Batches, Member, NodeId, Outcome, SnapshotFile, TypeConfig};
pub(crate) use types::{LogPoint, StoredMembers};

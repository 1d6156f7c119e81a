//! The database replicated to several instances: the Raft log and state machine for openraft, the identity
//! of the node, snapshots, and the records of the other members.

mod applied_index;
mod applied_state;
mod digest_history;
mod identity;
mod log;
mod peer_records;
mod replica;
mod snapshot;
mod state_machine;
mod survivor;
mod survivor_recovery;
mod types;

pub use crate::data_dir::{LOG_FILE, NODE_FILE, OUTBOX_FILE};
pub use crate::writer::{PROPOSAL_BYTES_MAX, ProposeError, ProposeFuture, Proposer};
pub(crate) use applied_index::AppliedIndex;
pub use digest_history::{DIGESTS_MAX, DigestHistory};
pub use identity::{DataDirState, IdentityError, NodeIdentity, random_node_id};
pub use log::{LogStore, RaftLogError};
pub use peer_records::{PeerRecords, StartupCheck, StartupCheckError};
pub(crate) use replica::ReplicaParts;
pub use replica::{Replica, ReplicaError};
pub use snapshot::{SnapshotBuilder, SnapshotError};
pub(crate) use state_machine::EntryApplier;
pub use state_machine::StateMachine;
pub use survivor::{SurvivorError, SurvivorReport};
pub use types::{EntryBatches, EntryResult, Member, NodeId, SnapshotFile, TypeConfig};
pub(crate) use types::{RaftLogId, RaftMembership};

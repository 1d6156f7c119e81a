//! Cluster mode: the consensus engine, the cluster listener, and the forwarding of writes to the primary.
//! It knows nothing of calls but how to ask the primary for one.
//!
//! Everything here runs on a runtime of its own, so that many calls do not delay heartbeats.

mod certificates;
mod client;
mod commit_queue;
mod engine;
mod error;
mod fixed_name_verifier;
mod format_check;
mod forward;
mod gauges;
mod group_commit;
mod join;
mod lifecycle;
mod listener;
mod membership;
mod network;
mod node_context;
mod node_slot;
mod operator;
mod peer_health;
mod pings;
mod primary_reads;
mod purge;
mod quorum;
mod quorum_confirmation;
mod readiness;
mod snapshot_backoff;
mod startup_check;
mod status;
mod upgrade;
pub mod watchdog;
mod wire;

#[cfg(test)]
mod tests;

pub use crate::config::ClusterSection;
pub use error::{ClusterError, SecretError};
pub use join::await_identity;
pub use lifecycle::{CALL_RUNTIME_TICK, Cluster, ClusterSetup, MemberLiveness};
pub use node_slot::slot_of;
pub use operator::{OperatorClient, OperatorError, RemovedMember};
pub use primary_reads::CatchUpResult;
pub use readiness::NodeReadiness;
pub use status::{ClusterStatus, MemberStatus, NodeRole};

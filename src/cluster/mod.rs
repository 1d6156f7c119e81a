//! This instance among several: the consensus engine's home, the door for the other instances, and
//! the way of writes to the primary. Knows nothing of calls but how to ask for one.
//!
//! Everything here runs on a runtime of its own, so that a full house does not delay heartbeats.

mod certificates;
mod client;
mod engine;
mod fixed_name_verifier;
mod forward;
mod gauges;
mod group_commit;
mod join;
mod lifecycle;
mod listener;
mod membership;
mod network;
mod node_context;
mod operator;
mod peer_health;
mod pings;
mod primary_reads;
mod purge;
mod quorum_confirmation;
mod readiness;
mod startup_check;
mod status;
mod upgrade;
pub mod watchdog;
mod wire;

#[cfg(test)]
mod tests;

pub use crate::config::ClusterSection;
pub use certificates::SecretError;
pub use join::await_identity;
pub use lifecycle::{CALL_RUNTIME_TICK, Cluster, ClusterSetup, MemberLiveness, slot_of};
pub use operator::{OperatorClient, OperatorError, RemovedMember};
pub use primary_reads::CatchUpResult;
pub use readiness::NodeReadiness;
pub use status::{ClusterStatus, MemberStatus, NodeRole};

use calldex_storage::replication::IdentityError;
use std::net::SocketAddr;

/// Certificates of the secret in `section`.
fn certificates(section: &ClusterSection) -> Result<certificates::Certificates, ClusterError> {
    let secret = section
        .secret
        .as_ref()
        .ok_or(ClusterError::Unset("secret"))?;
    Ok(certificates::Certificates::issue(
        secret,
        section.secret_accepted.as_ref(),
    )?)
}

/// Why this instance cannot be one of several.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The door for the other instances.
    #[error("cluster.listen: cannot listen on {address}: {error}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
    /// The section lacks what it needs: a mistake of the caller, since the configuration was checked.
    #[error("cluster.{0} is not set")]
    Unset(&'static str),
    /// The shared secret.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The data directory is not what it should be.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// No thread could be made.
    #[error("the cluster's threads cannot be started: {0}")]
    Threads(std::io::Error),
}

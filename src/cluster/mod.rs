//! This instance among several: the consensus engine's home, the door for the other instances, and
//! the way of writes to the primary. Knows nothing of calls but how to ask for one.
//!
//! Everything here runs on a runtime of its own, so that a full house does not delay heartbeats.

mod client;
mod confirm;
mod door;
mod engine;
mod exchange;
mod forward;
mod gather;
mod gauges;
mod hello;
mod membership;
mod network;
mod operator;
mod pings;
mod purge;
mod reach;
mod reading;
mod running;
mod secret;
mod standing;
mod state;
mod trust;
mod upgrade;
mod waiting;
pub mod watchdog;
mod wire;

#[cfg(test)]
mod tests;

pub use crate::config::ClusterSection;
pub use operator::{Operator, OperatorError, Removed};
pub use reading::CaughtUp;
pub use running::{BEAT, Cluster, ClusterSetup, Watched, slot_of};
pub use secret::SecretError;
pub use standing::{MemberStanding, Role, Standing};
pub use state::State;
pub use waiting::await_identity;

use calldex_storage::replication::IdentityError;
use std::net::SocketAddr;

/// Certificates of the secret in `section`.
fn papers(section: &ClusterSection) -> Result<secret::Papers, ClusterError> {
    let secret = section
        .secret
        .as_ref()
        .ok_or(ClusterError::Unset("secret"))?;
    Ok(secret::Papers::issue(
        secret,
        section.secret_accepted.as_ref(),
    )?)
}

/// Why this instance cannot be one of several.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The door for the other instances.
    #[error("cluster.listen: cannot listen on {address}: {error}")]
    Door {
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

//! Why this instance cannot take part in a cluster.

use calldex_storage::replication::IdentityError;
use std::fmt;
use std::net::SocketAddr;

/// The secret cannot be made into certificates: a mistake of ours, or no random numbers.
#[derive(Debug, thiserror::Error)]
#[error("no certificate could be made from cluster.secret: {0}")]
pub struct SecretError(String);

impl SecretError {
    pub(super) fn of(error: impl fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// Why this instance cannot take part in a cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The cluster listener cannot be bound.
    #[error("cluster.listen: cannot listen on {address}: {error}")]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// The error of the operating system.
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

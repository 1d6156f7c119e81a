//! What a person asks of a running cluster from the command line.

use super::certificates::Certificates;
use super::client::{ClusterClient, RpcError, RpcTarget, SenderIdentity};
use super::error::ClusterError;
use super::status::ClusterStatus;
use super::wire::{
    Endpoint, FinalizeUpgradeResponse, PrimaryHint, RemovalRequest, RemovalResponse,
};
use crate::config::ClusterSection;
use std::time::{Duration, Instant};

/// What an instance may take to answer.
const RESPONSE_MAX: Duration = Duration::from_secs(10);
/// How long a change is asked for again while the cluster is not able to make it.
const RETRY_MAX: Duration = Duration::from_secs(15);
const RETRY_PAUSE: Duration = Duration::from_millis(300);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// The secret, or the section.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// Nothing answers at the cluster listener.
    #[error(
        "no instance answers at {address}: it {reason}. Is `calldex serve` running with this configuration, and has it been founded (`calldex cluster init`) or joined?"
    )]
    NoAnswer {
        /// Where.
        address: String,
        /// How.
        reason: String,
    },
    /// The cluster does not do it.
    #[error("{0}")]
    Refused(String),
}

/// A member that was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovedMember {
    /// Its id.
    pub node_id: u64,
    /// Its name.
    pub instance: String,
}

/// Asks at a running instance's cluster listener.
pub struct OperatorClient {
    client: ClusterClient,
    address: String,
}

impl OperatorClient {
    /// With the secret of `section`, for the instance that it configures.
    ///
    /// # Errors
    /// [`ClusterError`]: no secret, or none that can be used.
    pub fn new(section: &ClusterSection) -> Result<Self, ClusterError> {
        let certificates = Certificates::for_section(section)?;
        // The listen address is preferred to the address that other instances use.
        let address = match section.listen {
            Some(listen) if listen.ip().is_unspecified() => {
                format!("127.0.0.1:{}", listen.port())
            }
            Some(listen) => listen.to_string(),
            None => return Err(ClusterError::Unset("listen")),
        };
        let client = ClusterClient::new(&certificates, &SenderIdentity::default())?;
        Ok(Self { client, address })
    }

    /// How the cluster stands, as that instance knows it.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn status(&self) -> Result<ClusterStatus, OperatorError> {
        let target = RpcTarget::any_node_at(self.address.clone());
        let answer = self
            .client
            .request(&target, Endpoint::Status, &(), RESPONSE_MAX)
            .await;
        answer.map_err(|error| no_answer(&target, &error))
    }

    /// Brings the highest level into use that all members read: no earlier calldex reads the database
    /// then. The level, and whether it was in use before.
    ///
    /// # Errors
    /// [`OperatorError`]: a member that does not answer, or does not read a higher level.
    pub async fn finalize_upgrade(&self) -> Result<(u32, bool), OperatorError> {
        let mut target = RpcTarget::any_node_at(self.address.clone());
        let began = Instant::now();
        loop {
            let answer = self
                .client
                .request(&target, Endpoint::FinalizeUpgrade, &(), RESPONSE_MAX);
            let why = match answer.await.map_err(|error| no_answer(&target, &error))? {
                FinalizeUpgradeResponse::Finalized {
                    format_version: level,
                } => return Ok((level, false)),
                FinalizeUpgradeResponse::AlreadyFinalized {
                    format_version: level,
                } => return Ok((level, true)),
                FinalizeUpgradeResponse::Refused { why } => {
                    return Err(OperatorError::Refused(why));
                }
                FinalizeUpgradeResponse::NotPrimary(found) => follow_primary(&mut target, found),
                FinalizeUpgradeResponse::Wait { why } => why,
            };
            if began.elapsed() > RETRY_MAX {
                return Err(OperatorError::Refused(why));
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    /// Removes the member called `who` (node id, instance or address); `force`: even if too few
    /// voters remain that answer.
    ///
    /// # Errors
    /// [`OperatorError`].
    pub async fn remove(&self, who: &str, force: bool) -> Result<RemovedMember, OperatorError> {
        let dismissal = RemovalRequest {
            who: who.to_owned(),
            force,
        };
        let mut target = RpcTarget::any_node_at(self.address.clone());
        let began = Instant::now();
        loop {
            let answer = self
                .client
                .request(&target, Endpoint::Remove, &dismissal, RESPONSE_MAX);
            let why = match answer.await.map_err(|error| no_answer(&target, &error))? {
                RemovalResponse::Removed { node_id, instance } => {
                    return Ok(RemovedMember { node_id, instance });
                }
                RemovalResponse::Refused { why } => return Err(OperatorError::Refused(why)),
                RemovalResponse::NotPrimary(found) => follow_primary(&mut target, found),
                RemovalResponse::Wait { why } => why,
            };
            if began.elapsed() > RETRY_MAX {
                return Err(OperatorError::Refused(why));
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}

/// Asks the primary next, where that is known; why there is no answer yet.
fn follow_primary(target: &mut RpcTarget, found: Option<PrimaryHint>) -> String {
    match found {
        Some(PrimaryHint { node_id, address }) => {
            *target = RpcTarget::node(node_id, address);
            "the primary changes".to_owned()
        }
        None => "the cluster has no primary: a majority of its voters must run".to_owned(),
    }
}

fn no_answer(target: &RpcTarget, error: &RpcError) -> OperatorError {
    OperatorError::NoAnswer {
        address: target.address.clone(),
        reason: error.to_string(),
    }
}

//! Before this instance is a member of a cluster: it waits for `calldex cluster init`, or joins.

use super::certificates::Certificates;
use super::client::{ClusterClient, RpcError, RpcTarget, SenderIdentity};
use super::error::ClusterError;
use super::wire::{Endpoint, JoinRequest, JoinResponse};
use crate::config::ClusterSection;
use calldex_storage::FormatVersionRange;
use calldex_storage::replication::{
    DataDirState, IdentityError, Member, NodeId, NodeIdentity, random_node_id,
};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How often the data directory is looked at.
const DATA_DIR_POLL: Duration = Duration::from_millis(250);
/// How often membership is asked for.
const JOIN_RETRY: Duration = Duration::from_secs(1);
/// What an instance may take to answer: a change of the members takes a majority.
const RESPONSE_MAX: Duration = Duration::from_secs(10);
/// Doors that one address leads to: its own, and the primary's that it names.
const HOPS_MAX: usize = 3;

/// Waits until the data directory has an identity, so that storage can be opened replicated: made by
/// `calldex cluster init` on it, or by joining through `section.join` or what `calldex cluster join`
/// has noted in it. `tell` gets what is waited for, in words for the operator, whenever it changes.
///
/// # Errors
/// [`ClusterError`]: a data directory that is not whole, the secret.
pub async fn await_identity(
    section: &ClusterSection,
    instance: &str,
    takes_calls: bool,
    data: &Path,
    tell: impl Fn(&str),
) -> Result<(), ClusterError> {
    let joiner = Joiner::new(section, instance, takes_calls, data)?;
    let mut told = String::new();
    let mut asked: Option<Instant> = None;
    loop {
        let standing = run_blocking(data, NodeIdentity::read).await?;
        let targets = match standing {
            Some(DataDirState::Member(_)) => return Ok(()),
            Some(DataDirState::Joining(addresses)) => addresses,
            None => section.peer_addresses(),
        };
        let waits_for = if targets.is_empty() {
            "waiting for `calldex cluster init` or `calldex cluster join`".to_owned()
        } else if run_blocking(data, NodeIdentity::has_calls).await? {
            "waiting for `calldex cluster init`: the data directory has calls of its own, which \
             joining would replace"
                .to_owned()
        } else if asked.is_none_or(|asked| asked.elapsed() >= JOIN_RETRY) {
            asked = Some(Instant::now());
            match joiner.join(&targets).await? {
                None => return Ok(()),
                Some(why) => format!(
                    "waiting to join through {}: {why}; to found a cluster, run `calldex cluster \
                     init` on one instance",
                    targets.join(", ")
                ),
            }
        } else {
            told.clone()
        };
        if waits_for != told {
            tracing::info!("{waits_for}");
            tell(&waits_for);
            told = waits_for;
        }
        sleep(DATA_DIR_POLL).await;
    }
}

/// What may take its time with the disk that `data` is on.
async fn run_blocking<T: Send + 'static>(
    data: &Path,
    work: impl FnOnce(&Path) -> Result<T, IdentityError> + Send + 'static,
) -> Result<T, ClusterError> {
    let data = data.to_owned();
    match tokio::task::spawn_blocking(move || work(&data)).await {
        Ok(done) => Ok(done?),
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

/// An empty instance that wants in.
struct Joiner {
    client: ClusterClient,
    member: Member,
    voter: bool,
    data: PathBuf,
}

impl Joiner {
    fn new(
        section: &ClusterSection,
        instance: &str,
        takes_calls: bool,
        data: &Path,
    ) -> Result<Self, ClusterError> {
        let certificates = Certificates::for_section(section)?;
        let member = Member {
            address: section.advertised(),
            instance: instance.to_owned(),
            takes_calls,
        };
        let sender = SenderIdentity {
            address: member.address.clone(),
            ..SenderIdentity::default()
        };
        Ok(Self {
            client: ClusterClient::new(&certificates, &sender)?,
            member,
            voter: section.voter,
            data: data.to_owned(),
        })
    }

    /// Asks each of `targets` once. Nothing when the data directory has become a member's, else why
    /// it has not.
    async fn join(&self, targets: &[String]) -> Result<Option<String>, ClusterError> {
        let mut why = "no instance of a cluster answers there".to_owned();
        for target in targets {
            let mut node_id = random_node_id()?;
            let mut target = RpcTarget::any_node_at(target.clone());
            for _ in 0..HOPS_MAX {
                match self.request_join(&target, node_id).await {
                    Ok(JoinResponse::Joined { cluster_id }) => {
                        self.become_member(cluster_id, node_id).await?;
                        return Ok(None);
                    }
                    Ok(JoinResponse::NotPrimary(Some(found))) => {
                        target = RpcTarget::node(found.node_id, found.address);
                    }
                    Ok(JoinResponse::IdConflict) => node_id = random_node_id()?,
                    Ok(JoinResponse::NotPrimary(None)) => {
                        why = "the cluster has no primary at the moment".to_owned();
                        break;
                    }
                    Ok(
                        JoinResponse::Wait { why: reason } | JoinResponse::Refused { why: reason },
                    ) => {
                        why = reason;
                        break;
                    }
                    Err(error) => {
                        if error != RpcError::Unreachable {
                            why = format!("{} {error}", target.address);
                        }
                        break;
                    }
                }
            }
        }
        Ok(Some(why))
    }

    async fn request_join(
        &self,
        target: &RpcTarget,
        node_id: NodeId,
    ) -> Result<JoinResponse, RpcError> {
        let application = JoinRequest {
            node_id,
            member: self.member.clone(),
            voter: self.voter,
            supported_formats: FormatVersionRange::SUPPORTED,
        };
        let client = &self.client;
        client
            .request(target, Endpoint::Join, &application, RESPONSE_MAX)
            .await
    }

    async fn become_member(&self, cluster_id: String, node_id: NodeId) -> Result<(), ClusterError> {
        let joining = move |data: &Path| NodeIdentity::join(data, &cluster_id, node_id);
        let identity = run_blocking(&self.data, joining).await?;
        let (cluster_id, node_id) = (identity.cluster_id(), identity.node_id());
        tracing::info!(cluster_id, node_id, "joined the cluster");
        Ok(())
    }
}

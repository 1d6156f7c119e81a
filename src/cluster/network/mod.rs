//! The engine's way to the other members.

mod append;
mod holdoff;
mod snapshot;

use super::client::{Addressee, Client, Silence};
use super::wire::Desk;
use append::Pending;
use calldex_storage::replication::{Member, NodeId, Replica, TypeConfig};
pub(super) use holdoff::Holdoffs;
use openraft::error::{
    Fatal, NetworkError, PayloadTooLarge, RPCError, RaftError, ReplicationClosed, StreamingError,
    Unreachable,
};
use openraft::network::{Backoff, RPCOption};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::{RaftNetwork, RaftNetworkFactory, Snapshot, Vote};
pub(super) use snapshot::{LABEL_BYTES_MAX, Label};
use std::sync::Arc;
use std::time::Duration;

type SendError = RPCError<NodeId, Member, RaftError<NodeId>>;

/// Makes the ways.
pub(super) struct Network {
    client: Client,
    replica: Arc<Replica>,
    holdoffs: Arc<Holdoffs>,
    /// An unreachable member is tried again after this long: often enough that its election timeout
    /// never passes between two tries.
    retry: Duration,
}

impl Network {
    pub(super) fn new(
        client: Client,
        replica: Arc<Replica>,
        holdoffs: Arc<Holdoffs>,
        heartbeat: Duration,
    ) -> Self {
        Self {
            client,
            replica,
            holdoffs,
            retry: heartbeat * 2,
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Way;

    async fn new_client(&mut self, target: NodeId, node: &Member) -> Way {
        Way {
            client: self.client.clone(),
            replica: Arc::clone(&self.replica),
            holdoffs: Arc::clone(&self.holdoffs),
            target,
            whom: Addressee::node(target, node.address.clone()),
            retry: self.retry,
            pending: None,
        }
    }
}

/// The way to one member.
pub(super) struct Way {
    client: Client,
    replica: Arc<Replica>,
    holdoffs: Arc<Holdoffs>,
    target: NodeId,
    whom: Addressee,
    retry: Duration,
    /// Entries under way that the engine no longer waits for.
    pending: Option<Pending>,
}

impl RaftNetwork<TypeConfig> for Way {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<NodeId>, SendError> {
        if let Some(answer) = append::resume(&mut self.pending, &rpc).await {
            return Ok(answer);
        }
        let message = append::packed(&rpc).map_err(too_large)?;
        let sent = Pending::send(self.client.clone(), self.whom.clone(), &rpc, message);
        // Kept while it is waited for: the engine may give this future up.
        let answer = self.pending.insert(sent).answer().await;
        self.pending = None;
        answer.map_err(failed)
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<NodeId>,
        option: RPCOption,
    ) -> Result<VoteResponse<NodeId>, SendError> {
        let answer = self
            .client
            .ask(&self.whom, Desk::Vote, &rpc, option.hard_ttl());
        answer.await.map_err(failed)
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote<NodeId>,
        _snapshot: Snapshot<TypeConfig>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<NodeId>, StreamingError<TypeConfig, Fatal<NodeId>>> {
        tokio::select! {
            closed = cancel => Err(StreamingError::Closed(closed)),
            sent = self.send_snapshot(vote) => {
                sent.map_err(|silence| StreamingError::Unreachable(Unreachable::new(&silence)))
            }
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(self.retry))
    }
}

impl Way {
    /// Offers and sends the whole database, once the pause after the last attempt is over. Made of the
    /// present state, which is at or beyond the one that the engine means.
    async fn send_snapshot(&self, vote: Vote<NodeId>) -> Result<SnapshotResponse<NodeId>, Silence> {
        if let Some(until) = self.holdoffs.until(self.target) {
            tokio::time::sleep_until(until.into()).await;
        }
        let to = (self.target, &self.whom);
        snapshot::send(&self.client, to, vote, &self.replica, &self.holdoffs).await
    }
}

fn too_large(entries: u64) -> SendError {
    RPCError::PayloadTooLarge(PayloadTooLarge::new_entries_hint(entries))
}

fn failed(silence: Silence) -> SendError {
    match silence {
        // It lives and may answer the next one: no pause.
        Silence::Lost => RPCError::Network(NetworkError::new(&silence)),
        _ => RPCError::Unreachable(Unreachable::new(&silence)),
    }
}

//! The engine's way to the other members.

mod append;
mod snapshot;

use super::client::{ClusterClient, RpcError, RpcTarget};
use super::snapshot_backoff::SnapshotBackoffs;
use super::wire::Endpoint;
use append::InFlightAppend;
use calldex_storage::replication::{Member, NodeId, Replica, TypeConfig};
use openraft::error::{
    Fatal, NetworkError, PayloadTooLarge, RPCError, RaftError, ReplicationClosed, StreamingError,
    Unreachable,
};
use openraft::network::{Backoff, RPCOption};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::{RaftNetwork, RaftNetworkFactory, Snapshot, Vote};
pub(super) use snapshot::{SNAPSHOT_HEADER_BYTES_MAX, SnapshotHeader};
use std::sync::Arc;
use std::time::Duration;

type SendError = RPCError<NodeId, Member, RaftError<NodeId>>;

/// Makes the ways.
pub(super) struct PeerConnections {
    client: ClusterClient,
    replica: Arc<Replica>,
    snapshot_backoffs: Arc<SnapshotBackoffs>,
    /// An unreachable member is tried again after this long: often enough that its election timeout
    /// never passes between two tries.
    retry: Duration,
}

impl PeerConnections {
    pub(super) fn new(
        client: ClusterClient,
        replica: Arc<Replica>,
        snapshot_backoffs: Arc<SnapshotBackoffs>,
        heartbeat: Duration,
    ) -> Self {
        Self {
            client,
            replica,
            snapshot_backoffs,
            retry: heartbeat * 2,
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for PeerConnections {
    type Network = PeerConnection;

    async fn new_client(&mut self, target: NodeId, node: &Member) -> PeerConnection {
        PeerConnection {
            client: self.client.clone(),
            replica: Arc::clone(&self.replica),
            snapshot_backoffs: Arc::clone(&self.snapshot_backoffs),
            target,
            rpc_target: RpcTarget::node(target, node.address.clone()),
            retry: self.retry,
            in_flight: None,
        }
    }
}

/// The way to one member.
pub(super) struct PeerConnection {
    client: ClusterClient,
    replica: Arc<Replica>,
    snapshot_backoffs: Arc<SnapshotBackoffs>,
    target: NodeId,
    rpc_target: RpcTarget,
    retry: Duration,
    /// Entries under way that the engine no longer waits for.
    in_flight: Option<InFlightAppend>,
}

impl RaftNetwork<TypeConfig> for PeerConnection {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<NodeId>, SendError> {
        if let Some(answer) = append::reuse_in_flight(&mut self.in_flight, &rpc).await {
            return Ok(answer);
        }
        let message = append::encode_bounded(&rpc).map_err(too_large)?;
        let sent =
            InFlightAppend::send(self.client.clone(), self.rpc_target.clone(), &rpc, message);
        // Kept while it is waited for: the engine may give this future up.
        let answer = self.in_flight.insert(sent).response().await;
        self.in_flight = None;
        answer.map_err(to_raft_error)
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<NodeId>,
        option: RPCOption,
    ) -> Result<VoteResponse<NodeId>, SendError> {
        let answer = self
            .client
            .request(&self.rpc_target, Endpoint::Vote, &rpc, option.hard_ttl());
        answer.await.map_err(to_raft_error)
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
                sent.map_err(|error| StreamingError::Unreachable(Unreachable::new(&error)))
            }
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(self.retry))
    }
}

impl PeerConnection {
    /// Offers and sends the whole database, once the pause after the last attempt is over. Made of the
    /// present state, which is at or beyond the one that the engine means.
    async fn send_snapshot(
        &self,
        vote: Vote<NodeId>,
    ) -> Result<SnapshotResponse<NodeId>, RpcError> {
        if let Some(until) = self.snapshot_backoffs.until(self.target) {
            tokio::time::sleep_until(until.into()).await;
        }
        let to = (self.target, &self.rpc_target);
        snapshot::offer_and_send(
            &self.client,
            to,
            vote,
            &self.replica,
            &self.snapshot_backoffs,
        )
        .await
    }
}

fn too_large(entries: u64) -> SendError {
    RPCError::PayloadTooLarge(PayloadTooLarge::new_entries_hint(entries))
}

fn to_raft_error(error: RpcError) -> SendError {
    match error {
        // It lives and may answer the next one: no pause.
        RpcError::NoResponse => RPCError::Network(NetworkError::new(&error)),
        _ => RPCError::Unreachable(Unreachable::new(&error)),
    }
}

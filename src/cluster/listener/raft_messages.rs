//! Raft's own messages, handed to the engine.

use super::RejectedRequest;
use crate::cluster::node_context::NodeContext;
use crate::cluster::wire::{pack, unpack};
use calldex_storage::replication::{NodeId, TypeConfig};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest};

/// Entries, or a sign of life.
pub(super) async fn append(
    context: &NodeContext,
    question: &[u8],
) -> Result<Vec<u8>, RejectedRequest> {
    let rpc: AppendEntriesRequest<TypeConfig> =
        unpack(question).map_err(|_| RejectedRequest::malformed())?;
    let raft = context.raft().ok_or_else(RejectedRequest::not_ready)?;
    let (primary, committed) = (rpc.vote.leader_id.voted_for(), rpc.leader_commit);
    let answer = raft.append_entries(rpc).await;
    let answer = answer.map_err(|_| RejectedRequest::not_ready())?;
    let follows = matches!(
        answer,
        AppendEntriesResponse::Success | AppendEntriesResponse::PartialSuccess(_)
    );
    // What is committed the primary has on its own disk: should that go back in time, nobody else
    // can say so. It holds because openraft 0.9 waits for the primary's own fsync before it counts
    // anybody's answer. From 0.10 on it need not: a primary may commit on its replicas' disks alone, and
    // then a healthy node that restarts would be refused here. Note then what the primary itself says it
    // has flushed, and not the commit index.
    if let (true, Some(primary), Some(committed)) = (follows, primary, committed) {
        context
            .replica
            .peer_records()
            .note_acknowledged(primary, committed.index);
    }
    Ok(pack(&answer))
}

/// A candidate asks for a vote.
pub(super) async fn vote(
    context: &NodeContext,
    question: &[u8],
) -> Result<Vec<u8>, RejectedRequest> {
    let rpc: VoteRequest<NodeId> = unpack(question).map_err(|_| RejectedRequest::malformed())?;
    let raft = context.raft().ok_or_else(RejectedRequest::not_ready)?;
    let answer = raft.vote(rpc).await;
    answer
        .map(|answer| pack(&answer))
        .map_err(|_| RejectedRequest::not_ready())
}

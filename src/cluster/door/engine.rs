//! Raft's own messages, handed to the engine.

use super::Turned;
use crate::cluster::exchange::Exchange;
use crate::cluster::wire::{pack, unpack};
use calldex_storage::replication::{NodeId, TypeConfig};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest};

/// Entries, or a sign of life.
pub(super) async fn append(exchange: &Exchange, question: &[u8]) -> Result<Vec<u8>, Turned> {
    let rpc: AppendEntriesRequest<TypeConfig> =
        unpack(question).map_err(|_| Turned::malformed())?;
    let raft = exchange.raft().ok_or_else(Turned::not_ready)?;
    let (primary, committed) = (rpc.vote.leader_id.voted_for(), rpc.leader_commit);
    let answer = raft.append_entries(rpc).await;
    let answer = answer.map_err(|_| Turned::not_ready())?;
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
        exchange.replica.peers().note(primary, committed.index);
    }
    Ok(pack(&answer))
}

/// A candidate asks for a vote.
pub(super) async fn vote(exchange: &Exchange, question: &[u8]) -> Result<Vec<u8>, Turned> {
    let rpc: VoteRequest<NodeId> = unpack(question).map_err(|_| Turned::malformed())?;
    let raft = exchange.raft().ok_or_else(Turned::not_ready)?;
    let answer = raft.vote(rpc).await;
    answer
        .map(|answer| pack(&answer))
        .map_err(|_| Turned::not_ready())
}

//! Raft's own messages, handed to the engine.

use super::Turned;
use crate::cluster::exchange::Exchange;
use crate::cluster::wire::{pack, unpack};
use calldex_storage::replication::{NodeId, TypeConfig};
use openraft::raft::{AppendEntriesRequest, VoteRequest};

/// Entries, or a sign of life.
pub(super) async fn append(exchange: &Exchange, question: &[u8]) -> Result<Vec<u8>, Turned> {
    let rpc: AppendEntriesRequest<TypeConfig> =
        unpack(question).map_err(|_| Turned::malformed())?;
    let raft = exchange.raft().ok_or_else(Turned::not_ready)?;
    let answer = raft.append_entries(rpc).await;
    answer
        .map(|answer| pack(&answer))
        .map_err(|_| Turned::not_ready())
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

//! The way of this instance's writes to the primary: into the own log where this is it, else to its
//! cluster listener, with one hint followed.

use super::client::{RpcError, RpcTarget};
use super::node_context::NodeContext;
use super::wire::{Endpoint, ForwardResult, ForwardedWrites};
use bytes::Bytes;
use calldex_storage::Position;
use calldex_storage::replication::{ProposeError, ProposeFuture, Proposer};
use std::sync::Weak;
use std::time::Duration;

/// What the primary's answer may take while its connection stands: longer than the primary waits for
/// its log ([`super::group_commit::COMMIT_MAX`]), shorter than storage waits for the answer.
pub(super) const FORWARD_MAX: Duration = Duration::from_secs(25);
const _: () = assert!(
    super::group_commit::COMMIT_MAX.as_millis() < FORWARD_MAX.as_millis()
        && FORWARD_MAX.as_millis() < calldex_storage::PROPOSE_MS_MAX as u128
);
/// Doors that are tried for one batch: the primary's, and the one that it names instead.
const HOPS_MAX: usize = 2;

/// See the module. Storage keeps it, and the context keeps storage: only one of the two may hold
/// the other.
pub(super) struct WriteForwarder {
    pub(super) context: Weak<NodeContext>,
}

impl Proposer for WriteForwarder {
    fn propose(&self, batch: Bytes, writes: usize) -> ProposeFuture<'_> {
        Box::pin(async move {
            let context = self.context.upgrade().ok_or(ProposeError::NoPrimary)?;
            forward(&context, batch, writes).await
        })
    }
}

async fn forward(
    context: &NodeContext,
    batch: Bytes,
    writes: usize,
) -> Result<Position, ProposeError> {
    if context.raft_if_primary().is_some() {
        let taken = context.group_commit.submit(batch, writes).await;
        return to_propose_result(taken);
    }
    let mut target = context.primary_target().ok_or(ProposeError::NoPrimary)?;
    let forwarded = ForwardedWrites { batch };
    for _ in 0..HOPS_MAX {
        match send_to_primary(context, &target, &forwarded).await? {
            ForwardResult::NotPrimary(Some(found)) if found.node_id != context.node_id => {
                target = RpcTarget::node(found.node_id, found.address);
            }
            taken => return to_propose_result(taken),
        }
    }
    Err(ProposeError::NoPrimary)
}

async fn send_to_primary(
    context: &NodeContext,
    target: &RpcTarget,
    forwarded: &ForwardedWrites,
) -> Result<ForwardResult, ProposeError> {
    let client = &context.client;
    let asking = client.request(target, Endpoint::Writes, forwarded, FORWARD_MAX);
    let answer = tokio::select! {
        answer = asking => answer,
        // It may be cut off, and the answer never come.
        () = context.wait_other_primary(target.node_id) => Err(RpcError::NoResponse),
    };
    answer.map_err(|error| match error {
        RpcError::Unreachable
        | RpcError::SecretMismatch
        | RpcError::NotReady
        | RpcError::Rejected(_) => ProposeError::NoPrimary,
        RpcError::NoResponse | RpcError::Malformed => ProposeError::TimedOut,
        RpcError::TooLarge => ProposeError::Rejected,
    })
}

/// What `taken` means to the writes.
fn to_propose_result(taken: ForwardResult) -> Result<Position, ProposeError> {
    match taken {
        ForwardResult::Committed(position) => Ok(position),
        ForwardResult::Busy | ForwardResult::NotPrimary(_) => Err(ProposeError::NoPrimary),
        ForwardResult::TimedOut => Err(ProposeError::TimedOut),
        ForwardResult::Refused => Err(ProposeError::Rejected),
    }
}

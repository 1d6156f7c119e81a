//! The desks: a question unpacked, asked of whoever knows, the answer packed.

use super::{RejectedRequest, raft_messages, snapshot_receiver};
use crate::cluster::node_context::NodeContext;
use crate::cluster::wire::{
    Endpoint, ForwardResult, ForwardedWrites, JoinRequest, LiveCallRequest, RemovalRequest,
    StartupCheckRequest, pack, unpack,
};
use crate::cluster::{membership, primary_reads, startup_check, status, upgrade};
use calldex_storage::replication::NodeId;
use calldex_storage::write::{DecodeError, decode_batch, is_allowed_at};
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// The response to `question`, sent to `endpoint` by node `from` (0: not a member).
pub(super) async fn dispatch(
    context: &Arc<NodeContext>,
    endpoint: Endpoint,
    from: NodeId,
    question: &[u8],
) -> Result<Vec<u8>, RejectedRequest> {
    Ok(match endpoint {
        Endpoint::Append => return raft_messages::append(context, question).await,
        Endpoint::Vote => return raft_messages::vote(context, question).await,
        // Streamed, and answered before.
        Endpoint::Snapshot => return Err(RejectedRequest::malformed()),
        Endpoint::Writes => pack(&accept_writes(context, unpack_request(question)?).await),
        Endpoint::StartupCheck => {
            let request: StartupCheckRequest = unpack_request(question)?;
            if request.check.node_id != from {
                return Err(RejectedRequest::malformed());
            }
            pack(&startup_check::answer_startup_check(context, request).await)
        }
        Endpoint::Join => {
            let application: JoinRequest = unpack_request(question)?;
            pack(&membership::admit_member(context, application).await)
        }
        Endpoint::Remove => {
            let dismissal: RemovalRequest = unpack_request(question)?;
            pack(&membership::remove_member(context, &dismissal).await)
        }
        Endpoint::Status => pack(&status::cluster_status(context)),
        Endpoint::Position => pack(&primary_reads::confirmed_position(context).await),
        Endpoint::LiveCall => {
            let asked: LiveCallRequest = unpack_request(question)?;
            pack(&primary_reads::live_call(context, &asked.call_sid).await)
        }
        Endpoint::Ping => pack(&startup_check::pong(context, from)),
        Endpoint::FinalizeUpgrade => pack(&upgrade::finalize_upgrade(context).await),
        Endpoint::SnapshotOffer => {
            return snapshot_receiver::answer_offer(context, unpack_request(question)?).await;
        }
    })
}

fn unpack_request<M: DeserializeOwned>(question: &[u8]) -> Result<M, RejectedRequest> {
    unpack(question).map_err(|_| RejectedRequest::malformed())
}

/// Only what every member can read goes into the log.
async fn accept_writes(context: &NodeContext, forwarded: ForwardedWrites) -> ForwardResult {
    match decode_batch(&forwarded.batch) {
        // Its maker has applied what raises the level, and this instance has not yet.
        Ok(writes) if !is_allowed_at(context.storage.format_version(), &writes) => {
            ForwardResult::Busy
        }
        Ok(writes) => {
            context
                .group_commit
                .submit(forwarded.batch, writes.len())
                .await
        }
        // Its maker is of a later version: this primary may be, too, after its upgrade.
        Err(DecodeError::Newer(_) | DecodeError::Unknown(_)) => ForwardResult::Busy,
        Err(DecodeError::Damaged) => ForwardResult::Refused,
    }
}

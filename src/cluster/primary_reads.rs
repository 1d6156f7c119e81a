//! Reading what the primary knows: how far it is, and a live call. The primary answers only after a
//! majority has confirmed that it still is the primary.

use super::client::{RpcError, RpcTarget};
use super::node_context::{NodeContext, Raft};
use super::wire::{Endpoint, LiveCallRequest, LiveCallResponse, PrimaryPosition};
use calldex_storage::Position;
use calldex_storage::record::CallWithTurns;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// What a majority may take to confirm the primary, all tries together. The engine gives one try a
/// heartbeat's time.
const CONFIRM_MAX: Duration = Duration::from_millis(500);
/// What the primary's database may be behind its log when a call is read.
const APPLY_MAX: Duration = Duration::from_secs(1);
/// Between two questions while there is no primary, or an unsure one.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// What came of catching up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CatchUpResult {
    /// All is applied here that was acknowledged to anybody.
    Fully,
    /// The primary has told how far it is; this instance has not come so far in time.
    Behind,
    /// No primary that a majority follows has answered in time.
    NoPrimary,
}

/// How far this primary is.
pub(super) async fn confirmed_position(context: &NodeContext) -> PrimaryPosition {
    let Some(raft) = context.raft_if_primary() else {
        return PrimaryPosition::NotPrimary(context.primary_hint());
    };
    match timeout(CONFIRM_MAX, wait_confirmation(context, &raft)).await {
        Ok(position) => PrimaryPosition::At(position),
        Err(_) => PrimaryPosition::Unconfirmed,
    }
}

/// The last position that was committed before a majority confirmed this primary, at or after now.
/// Tries until it does, or for ever.
async fn wait_confirmation(context: &NodeContext, raft: &Raft) -> Position {
    loop {
        let asking = async {
            let (read, _) = raft.get_read_log_id().await.ok()?;
            Some(read.map_or(0, |log_id| log_id.index))
        };
        match context.peer_health.confirmations.after_now(asking).await {
            Some(position) => return position,
            None => sleep(RETRY_PAUSE / 5).await,
        }
    }
}

/// The live call as this primary knows it.
pub(super) async fn live_call(context: &NodeContext, call_sid: &str) -> LiveCallResponse {
    let position = match confirmed_position(context).await {
        PrimaryPosition::At(position) => position,
        PrimaryPosition::NotPrimary(found) => return LiveCallResponse::NotPrimary(found),
        PrimaryPosition::Unconfirmed => return LiveCallResponse::Unconfirmed,
    };
    if !context.storage.wait_applied(position, APPLY_MAX).await {
        return LiveCallResponse::Unconfirmed;
    }
    match context.storage.conversations.live(call_sid).await {
        Ok(Some(call)) => LiveCallResponse::Live(Box::new(call)),
        Ok(None) => LiveCallResponse::Unknown,
        Err(_) => LiveCallResponse::Unconfirmed,
    }
}

/// The primary's position, asked of whoever it is, within `deadline`.
pub(super) async fn primary_position(
    context: &NodeContext,
    deadline: Duration,
) -> Option<Position> {
    let asking = async {
        loop {
            let mut answer = match context.primary_target() {
                None => Ok(confirmed_position(context).await),
                Some(target) => request_position(context, &target, deadline).await,
            };
            if let Ok(PrimaryPosition::NotPrimary(Some(found))) = answer {
                let target = RpcTarget::node(found.node_id, found.address);
                answer = request_position(context, &target, deadline).await;
            }
            if let Ok(PrimaryPosition::At(position)) = answer {
                return position;
            }
            sleep(RETRY_PAUSE).await;
        }
    };
    timeout(deadline, asking).await.ok()
}

async fn request_position(
    context: &NodeContext,
    target: &RpcTarget,
    patience: Duration,
) -> Result<PrimaryPosition, RpcError> {
    context
        .client
        .request(target, Endpoint::Position, &(), patience)
        .await
}

/// The live call as the primary knows it, whoever it is, within `deadline`.
pub(super) async fn live_call_at_primary(
    context: &NodeContext,
    call_sid: &str,
    deadline: Duration,
) -> Option<CallWithTurns> {
    let end = Instant::now() + deadline;
    let question = LiveCallRequest {
        call_sid: call_sid.to_owned(),
    };
    while let Some(rest) = end.checked_duration_since(Instant::now()) {
        let told = match context.primary_target() {
            None => timeout(rest, live_call(context, call_sid))
                .await
                .map_err(|_| RpcError::NoResponse),
            Some(target) => {
                let client = &context.client;
                client
                    .request(&target, Endpoint::LiveCall, &question, rest)
                    .await
            }
        };
        match told {
            Ok(LiveCallResponse::Live(call)) => return Some(*call),
            Ok(LiveCallResponse::Unknown) => return None,
            _ => sleep(RETRY_PAUSE.min(rest)).await,
        }
    }
    None
}

//! Before anything else an instance tells every member that it has started, how often it has, and
//! what it has in its log. A majority must find that it has forgotten nothing: an instance that comes
//! back with less than it once acknowledged must not take part.

mod admission_quorum;

use super::client::RpcTarget;
use super::format_check::format_mismatch;
use super::membership;
use super::node_context::{EnginePhase, NodeContext};
use super::wire::{
    BuildInfo, Endpoint, MemberList, Pong, StartupCheckRequest, StartupCheckResponse,
};
use admission_quorum::{AdmissionQuorum, QuorumState};
use calldex_observability::catalog;
use calldex_storage::replication::{NodeId, StartupCheckError};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinSet;

/// What a member may take to answer.
const RESPONSE_MAX: Duration = Duration::from_secs(2);
/// Between two rounds.
const ROUND_PERIOD: Duration = Duration::from_millis(250);
/// Rounds in a row in which a primary must say that this instance is no member: one that has just been
/// cut off may not know of a member that joined since.
const NOT_MEMBER_ROUNDS_MAX: u32 = 8;
/// What a founder waits for others that might know better, at its very first start.
const FOUNDING_WAIT_MAX: Duration = Duration::from_secs(1);

/// Answers an instance that has started.
pub(super) async fn answer_startup_check(
    context: &Arc<NodeContext>,
    request: StartupCheckRequest,
) -> StartupCheckResponse {
    let node_id = request.check.node_id;
    // Who is not let in itself vouches for nobody.
    if context.phase().is_final() {
        return StartupCheckResponse::Unavailable;
    }
    let member_list = context.member_list();
    if context.raft_if_primary().is_some() && member_list.get(node_id).is_none() {
        catalog::CLUSTER_REFUSALS_TOTAL
            .with("unknown_node")
            .increment(1);
        return StartupCheckResponse::Removed;
    }
    if let Some(why) = format_mismatch(context, request.supported_formats) {
        catalog::CLUSTER_REFUSALS_TOTAL
            .with("format_version")
            .increment(1);
        tracing::error!(node_id, reason = why, "an instance is not let in");
        return StartupCheckResponse::Refused { why };
    }
    let peers = context.replica.peer_records();
    let check = request.check;
    let checked = tokio::task::spawn_blocking(move || peers.check(check)).await;
    match checked {
        Ok(Ok(())) => {}
        Err(_) | Ok(Err(StartupCheckError::CannotRecord(_))) => {
            return StartupCheckResponse::Unavailable;
        }
        Ok(Err(refusal)) => {
            catalog::CLUSTER_REFUSALS_TOTAL
                .with("old_data")
                .increment(1);
            let why = refusal.to_string();
            tracing::error!(node_id, reason = why, "an instance is not let in");
            return StartupCheckResponse::Refused { why };
        }
    }
    membership::update_member(context, node_id, request.member);
    StartupCheckResponse::Accepted {
        node_id: context.node_id,
        member_list,
    }
}

/// The response to a ping of node `from`.
pub(super) fn pong(context: &NodeContext, from: NodeId) -> Pong {
    let metrics = context.metrics();
    let is_primary = context.raft_if_primary().is_some();
    Pong {
        node_id: context.node_id,
        member: context.member.clone(),
        voter: context.section.voter,
        position: context.applied(),
        committed: metrics
            .and_then(|metrics| metrics.last_applied)
            .map_or(0, |log_id| log_id.index),
        engine_running: context.raft().is_some(),
        is_primary,
        sender_is_member: is_primary.then(|| context.member_list().get(from).is_some()),
        accepts_calls: context.peer_health.accepts_calls.load(Ordering::Relaxed),
        build: BuildInfo::of_this_binary(),
        call_runtime_stalled_ms: context.call_runtime_stalled_ms(),
        digest: context.replica.digests().latest(),
    }
}

/// Why an instance does not take part.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NotAdmitted {
    /// Its data is not what it was.
    Refused(String),
    /// It is no member any more.
    Removed,
}

/// Tells everybody that this instance has started, until a majority of the voters has let it in.
/// `known` are the members as its own data has them, `last_log` the last entry it has.
pub(super) async fn run_startup_check(
    context: &Arc<NodeContext>,
    known: MemberList,
    last_log: Option<u64>,
    is_founder: bool,
) -> Result<(), NotAdmitted> {
    let mut quorum = AdmissionQuorum::new(context.node_id, known);
    let began = tokio::time::Instant::now();
    let mut disowned = 0;
    loop {
        match quorum.state() {
            QuorumState::Reached if disowned == 0 => return Ok(()),
            QuorumState::Reached => {}
            // Nobody was there before the founder; but one that is may know of an older copy.
            QuorumState::VotersUnknown
                if is_founder
                    && (context.addresses_outside_list().is_empty() || began.elapsed() > FOUNDING_WAIT_MAX) =>
            {
                return Ok(());
            }
            QuorumState::VotersUnknown => context.set_phase(EnginePhase::StartupCheck(
                "waiting for an instance of the cluster to call or be reached".to_owned(),
            )),
            QuorumState::Missing { accepted: let_in, needed } => context.set_phase(EnginePhase::StartupCheck(format!(
                "waiting for the other instances: {let_in} of the {needed} voters needed have answered"
            ))),
        }
        let round = tokio::time::Instant::now() + ROUND_PERIOD;
        let response = ask_all(context, &quorum, last_log).await;
        let is_disowned = response
            .iter()
            .any(|response| matches!(response, StartupCheckResponse::Removed));
        disowned = if is_disowned { disowned + 1 } else { 0 };
        if disowned >= NOT_MEMBER_ROUNDS_MAX {
            return Err(NotAdmitted::Removed);
        }
        for response in response {
            quorum.record(response)?;
        }
        if quorum.state() == QuorumState::Reached && disowned == 0 {
            return Ok(());
        }
        tokio::time::sleep_until(round).await;
    }
}

async fn ask_all(
    context: &Arc<NodeContext>,
    quorum: &AdmissionQuorum,
    last_log: Option<u64>,
) -> Vec<StartupCheckResponse> {
    let mut targets = quorum.members_to_ask();
    for address in context.addresses_outside_list() {
        if !quorum.knows_address(&address) {
            targets.push(RpcTarget::any_node_at(address));
        }
    }
    let mut asking = JoinSet::new();
    for target in targets {
        let context = Arc::clone(context);
        let request = context.startup_check_request(last_log);
        asking.spawn(async move {
            let client = &context.client;
            client
                .request(&target, Endpoint::StartupCheck, &request, RESPONSE_MAX)
                .await
        });
    }
    let answers = asking.join_all().await;
    answers.into_iter().filter_map(Result::ok).collect()
}

/// Tells the primary once more who this instance is: its address may have changed.
pub(super) async fn announce_to_primary(context: &Arc<NodeContext>) {
    let Some(target) = context.primary_target() else {
        return;
    };
    let last_log = context.metrics().and_then(|metrics| metrics.last_log_index);
    let request = context.startup_check_request(last_log);
    let answer = context
        .client
        .request(&target, Endpoint::StartupCheck, &request, RESPONSE_MAX);
    // If it is no member any more, the pings learn so.
    if let Ok(StartupCheckResponse::Refused { why }) = answer.await {
        context.set_phase(EnginePhase::Refused(why));
    }
}

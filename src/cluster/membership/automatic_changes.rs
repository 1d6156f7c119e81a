//! What the primary does for the members without being asked: learners that have caught up become
//! voters, who takes a place takes the vote with it, a change that was cut short is finished.

use super::rules::{self, MemberProgress, MembershipChange};
use super::{apply, change_membership, engine_running, reachability, update_member};
use crate::cluster::node_context::{Metrics, NodeContext, Raft};
use calldex_observability::worker::{self, RoundResult};
use calldex_storage::replication::NodeId;
use openraft::ChangeMembers;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How often it looks.
pub(in crate::cluster) const PERIOD: Duration = Duration::from_millis(500);

/// Looks after the members, once, where this instance is primary.
pub(in crate::cluster) async fn round(context: Arc<NodeContext>) -> RoundResult {
    let (Some(raft), Some(metrics)) = (context.raft_if_primary(), context.metrics()) else {
        return Ok(worker::WorkerProgress::Done);
    };
    record_acknowledged(&context, &metrics);
    make_next_change(&context, &raft, &metrics).await
}

async fn make_next_change(
    context: &Arc<NodeContext>,
    raft: &Raft,
    metrics: &Metrics,
) -> RoundResult {
    let member_list = context.member_list();
    for listed in &member_list.members {
        let said = if listed.node_id == context.node_id {
            Some(context.member.clone())
        } else {
            let seen = context.peer_health.get(listed.node_id);
            seen.and_then(|seen| seen.pong).map(|pong| pong.member)
        };
        if let Some(member) = said.filter(|member| *member != listed.member) {
            update_member(context, listed.node_id, member);
            return Ok(worker::WorkerProgress::Done);
        }
    }
    // Somebody is at it: in half a second, then.
    let Ok(_one_at_a_time) = context.membership_lock.try_lock() else {
        return Ok(worker::WorkerProgress::Done);
    };
    if finish_joint_change(raft, metrics).await {
        return Ok(worker::WorkerProgress::Done);
    }
    let progress = |node_id| member_progress(context, metrics, node_id);
    let Some(wanted) = rules::next_change(&member_list, context.node_id, progress) else {
        return Ok(worker::WorkerProgress::Done);
    };
    tracing::info!(change = describe(&wanted), "the members change");
    if let Err(error) = apply(raft, wanted).await {
        tracing::warn!(%error, "the members could not be changed yet");
        return Err(error.to_string());
    }
    Ok(worker::WorkerProgress::Done)
}

/// Finishes a change of the voters whose primary was lost half-way. Whether there was one.
async fn finish_joint_change(raft: &Raft, metrics: &Metrics) -> bool {
    let configs = metrics.membership_config.membership().get_joint_config();
    let Some(goal) = configs.get(1) else {
        return false;
    };
    tracing::info!("a change of the voters that was cut short is finished");
    let voters: BTreeSet<NodeId> = goal.clone();
    if let Err(error) = change_membership(raft, ChangeMembers::ReplaceAllVoters(voters), true).await
    {
        tracing::warn!(%error, "it could not be finished yet");
    }
    true
}

fn member_progress(context: &NodeContext, metrics: &Metrics, node_id: NodeId) -> MemberProgress {
    let seen = context.peer_health.get(node_id);
    let matching = metrics
        .replication
        .as_ref()
        .and_then(|replication| replication.get(&node_id).copied().flatten());
    let last = metrics.last_log_index.unwrap_or(0);
    let is_own = node_id == context.node_id;
    MemberProgress {
        reachability: reachability(context, node_id),
        engine_running: engine_running(context, node_id),
        wants_vote: if is_own {
            Some(context.section.voter)
        } else {
            seen.and_then(|seen| seen.pong).map(|pong| pong.voter)
        },
        behind: if is_own {
            Some(0)
        } else {
            matching.map(|log_id| last.saturating_sub(log_id.index))
        },
    }
}

/// Remembers what each member has acknowledged of what is committed: it must come back with it.
fn record_acknowledged(context: &NodeContext, metrics: &Metrics) {
    let committed = metrics.last_applied.map_or(0, |log_id| log_id.index);
    let peers = context.replica.peer_records();
    let replication = metrics.replication.iter().flatten();
    for (node_id, matching) in replication.filter(|(node_id, _)| **node_id != context.node_id) {
        if let Some(log_id) = matching {
            peers.note_acknowledged(*node_id, log_id.index.min(committed));
        }
    }
}

fn describe(change: &MembershipChange) -> String {
    match change {
        MembershipChange::SetVoters(voters) | MembershipChange::DemoteToLearner(voters) => {
            format!("{} vote", voters.len())
        }
        MembershipChange::RemoveLearners(learners) => format!("{} learners less", learners.len()),
    }
}

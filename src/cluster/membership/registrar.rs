//! What the primary does for the members without being asked: learners that have caught up become
//! voters, who takes a place takes the vote with it, a change that was cut short is finished.

use super::rules::{self, Change, Progress};
use super::{answers, apply, change, note_moved, takes_part};
use crate::cluster::exchange::{Exchange, Metrics, Raft};
use calldex_observability::worker::{self, Round};
use calldex_storage::replication::NodeId;
use openraft::ChangeMembers;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How often it looks.
pub(in crate::cluster) const PERIOD: Duration = Duration::from_millis(500);

/// Looks after the members, once, where this instance is primary.
pub(in crate::cluster) async fn round(exchange: Arc<Exchange>) -> Round {
    let (Some(raft), Some(metrics)) = (exchange.leading(), exchange.metrics()) else {
        return Ok(worker::Progress::Done);
    };
    note_progress(&exchange, &metrics);
    look_after(&exchange, &raft, &metrics).await
}

async fn look_after(exchange: &Arc<Exchange>, raft: &Raft, metrics: &Metrics) -> Round {
    let roll = exchange.roll();
    for listed in &roll.members {
        let said = if listed.node_id == exchange.node_id {
            Some(exchange.member.clone())
        } else {
            let seen = exchange.reach.of(listed.node_id);
            seen.and_then(|seen| seen.pong).map(|pong| pong.member)
        };
        if let Some(member) = said.filter(|member| *member != listed.member) {
            note_moved(exchange, listed.node_id, member);
            return Ok(worker::Progress::Done);
        }
    }
    // Somebody is at it: in half a second, then.
    let Ok(_one_at_a_time) = exchange.changing.try_lock() else {
        return Ok(worker::Progress::Done);
    };
    if finish(raft, metrics).await {
        return Ok(worker::Progress::Done);
    }
    let progress = |node_id| progress(exchange, metrics, node_id);
    let Some(wanted) = rules::next_change(&roll, exchange.node_id, progress) else {
        return Ok(worker::Progress::Done);
    };
    tracing::info!(change = told(&wanted), "the members change");
    if let Err(error) = apply(raft, wanted).await {
        tracing::warn!(%error, "the members could not be changed yet");
        return Err(error.to_string());
    }
    Ok(worker::Progress::Done)
}

/// Finishes a change of the voters whose primary was lost half-way. Whether there was one.
async fn finish(raft: &Raft, metrics: &Metrics) -> bool {
    let configs = metrics.membership_config.membership().get_joint_config();
    let Some(goal) = configs.get(1) else {
        return false;
    };
    tracing::info!("a change of the voters that was cut short is finished");
    let voters: BTreeSet<NodeId> = goal.clone();
    if let Err(error) = change(raft, ChangeMembers::ReplaceAllVoters(voters), true).await {
        tracing::warn!(%error, "it could not be finished yet");
    }
    true
}

fn progress(exchange: &Exchange, metrics: &Metrics, node_id: NodeId) -> Progress {
    let seen = exchange.reach.of(node_id);
    let matching = metrics
        .replication
        .as_ref()
        .and_then(|replication| replication.get(&node_id).copied().flatten());
    let last = metrics.last_log_index.unwrap_or(0);
    let is_own = node_id == exchange.node_id;
    Progress {
        answers: answers(exchange, node_id),
        takes_part: takes_part(exchange, node_id),
        wants_vote: if is_own {
            Some(exchange.section.voter)
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
fn note_progress(exchange: &Exchange, metrics: &Metrics) {
    let committed = metrics.last_applied.map_or(0, |log_id| log_id.index);
    let peers = exchange.replica.peers();
    let replication = metrics.replication.iter().flatten();
    for (node_id, matching) in replication.filter(|(node_id, _)| **node_id != exchange.node_id) {
        if let Some(log_id) = matching {
            peers.note(*node_id, log_id.index.min(committed));
        }
    }
}

fn told(change: &Change) -> String {
    match change {
        Change::Voters(voters) | Change::Demote(voters) => format!("{} vote", voters.len()),
        Change::Drop(learners) => format!("{} learners less", learners.len()),
    }
}

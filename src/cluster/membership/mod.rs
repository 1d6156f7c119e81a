//! Adds and removes members. Only the primary changes the members, one change at a time. Each change is an
//! entry of the log.

mod automatic_changes;
mod rules;
#[cfg(test)]
mod tests;

pub(super) use automatic_changes::{PERIOD, round};

use super::format_check::format_mismatch;
use super::node_context::{NodeContext, Raft};
use super::purge::FOUNDED_INDEX;
use super::wire::{JoinRequest, JoinResponse, RemovalRequest, RemovalResponse};
use calldex_storage::replication::{Member, NodeId};
use openraft::ChangeMembers;
use openraft::error::{ChangeMembershipError, ClientWriteError, RaftError};
use rules::{JoinDecision, MembershipChange, Reachability, RemovalDecision};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// The time limit of one change.
const CHANGE_MAX: Duration = Duration::from_secs(8);
/// The pause before a change is tried again that another one blocks.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
enum MembershipError {
    /// This instance is not the primary.
    #[error("another instance is the primary now")]
    NotPrimary,
    /// There is no majority, or the engine stopped. The change may have been made.
    #[error("no majority has answered in time")]
    TimedOut,
    /// The engine refuses it.
    #[error("{0}")]
    Impossible(String),
}

/// Admits an instance with an empty data directory as a learner, or says why not.
pub(super) async fn admit_member(
    context: &Arc<NodeContext>,
    application: JoinRequest,
) -> JoinResponse {
    let Some(raft) = context.raft_if_primary() else {
        return JoinResponse::NotPrimary(context.primary_hint());
    };
    if !crate::config::is_address(&application.member.address) {
        let why = "cluster.advertise is no host:port".to_owned();
        return JoinResponse::Refused { why };
    }
    // A new member must get a copy of the database and not only the log: a database that was adopted holds
    // more than its log.
    let is_purged = raft
        .metrics()
        .borrow()
        .purged
        .is_some_and(|purged| purged.index >= FOUNDED_INDEX);
    if !is_purged {
        let why = "the cluster is being founded".to_owned();
        return JoinResponse::Wait { why };
    }
    let _one_at_a_time = context.membership_lock.lock().await;
    if let Some(why) = format_mismatch(context, application.supported_formats) {
        return JoinResponse::Refused { why };
    }
    let answers = |node_id| reachability(context, node_id);
    let cluster_id = context.cluster_id.clone();
    let replace_after = Duration::from_secs(context.section.replace_after_s);
    match rules::decide_join(&context.member_list(), &application, replace_after, answers) {
        JoinDecision::AlreadyMember => JoinResponse::Joined { cluster_id },
        JoinDecision::IdConflict => JoinResponse::IdConflict,
        JoinDecision::Wait(why) => JoinResponse::Wait { why },
        JoinDecision::Refuse(why) => JoinResponse::Refused { why },
        JoinDecision::Admit => {
            let JoinRequest {
                node_id, member, ..
            } = application;
            tracing::info!(node_id, %member, "a new member: it learns first");
            let added = ChangeMembers::AddNodes(BTreeMap::from([(node_id, member)]));
            match change_membership(&raft, added, true).await {
                Ok(()) => JoinResponse::Joined { cluster_id },
                Err(MembershipError::NotPrimary) => {
                    JoinResponse::NotPrimary(context.primary_hint())
                }
                Err(error) => JoinResponse::Wait {
                    why: error.to_string(),
                },
            }
        }
    }
}

/// A member is to be none any more.
pub(super) async fn remove_member(
    context: &Arc<NodeContext>,
    dismissal: &RemovalRequest,
) -> RemovalResponse {
    let Some(raft) = context.raft_if_primary() else {
        return RemovalResponse::NotPrimary(context.primary_hint());
    };
    let _one_at_a_time = context.membership_lock.lock().await;
    let takes_part = |node_id| engine_running(context, node_id);
    let member_list = context.member_list();
    let (listed, wanted) = match rules::decide_removal(
        &member_list,
        dismissal.who.trim(),
        dismissal.force,
        takes_part,
    ) {
        RemovalDecision::Remove(listed, wanted) => (listed, wanted),
        RemovalDecision::Refuse(why) => return RemovalResponse::Refused { why },
    };
    tracing::info!(node_id = listed.node_id, member = %listed.member, "a member is removed");
    match apply(&raft, wanted).await {
        Ok(()) => {
            context.replica.peer_records().forget(listed.node_id);
            RemovalResponse::Removed {
                node_id: listed.node_id,
                instance: listed.member.instance,
            }
        }
        Err(MembershipError::NotPrimary) => RemovalResponse::NotPrimary(context.primary_hint()),
        Err(error) => RemovalResponse::Wait {
            why: error.to_string(),
        },
    }
}

/// A member says where and what it is: if that is news, the primary notes it for all.
pub(super) fn update_member(context: &Arc<NodeContext>, node_id: NodeId, member: Member) {
    let Some(raft) = context.raft_if_primary() else {
        return;
    };
    let member_list = context.member_list();
    let is_news = member_list
        .get(node_id)
        .is_some_and(|listed| listed.member != member);
    if !is_news || !crate::config::is_address(&member.address) {
        return;
    }
    if let Some(other) = rules::replaced_by(&member_list, node_id, &member).first() {
        // Somebody is called wrongly: nothing is noted until a person has put it right.
        tracing::warn!(node_id, other, %member, "two members go by one name or address");
        return;
    }
    let context = Arc::clone(context);
    tokio::spawn(async move {
        let _one_at_a_time = context.membership_lock.lock().await;
        tracing::info!(node_id, %member, "a member has moved");
        let moved = ChangeMembers::SetNodes(BTreeMap::from([(node_id, member)]));
        if let Err(error) = change_membership(&raft, moved, true).await {
            // It says so again.
            tracing::warn!(node_id, %error, "a member's new address could not be noted");
        }
    });
}

/// Whether a member answers, and its engine runs.
fn engine_running(context: &NodeContext, node_id: NodeId) -> bool {
    let seen = context.peer_health.get(node_id);
    node_id == context.node_id || seen.is_some_and(|seen| seen.engine_running())
}

fn reachability(context: &NodeContext, node_id: NodeId) -> Reachability {
    if node_id == context.node_id {
        return Reachability::Reachable;
    }
    match context.peer_health.get(node_id) {
        Some(seen) if seen.is_reachable() => Reachability::Reachable,
        Some(seen) => match seen.unreachable_since() {
            Some(since) => Reachability::Unreachable(since.elapsed()),
            None => Reachability::Unknown,
        },
        None => Reachability::Unknown,
    }
}

async fn apply(raft: &Raft, wanted: MembershipChange) -> Result<(), MembershipError> {
    match wanted {
        MembershipChange::SetVoters(voters) => {
            change_membership(raft, ChangeMembers::ReplaceAllVoters(voters), false).await
        }
        MembershipChange::DemoteToLearner(voters) => {
            change_membership(raft, ChangeMembers::ReplaceAllVoters(voters), true).await
        }
        MembershipChange::RemoveLearners(learners) => {
            change_membership(raft, ChangeMembers::RemoveNodes(learners), false).await
        }
    }
}

/// Makes a change, once those that are under way are done.
async fn change_membership(
    raft: &Raft,
    wanted: ChangeMembers<NodeId, Member>,
    retain: bool,
) -> Result<(), MembershipError> {
    let making = async {
        loop {
            match raft.change_membership(wanted.clone(), retain).await {
                Ok(_) => return Ok(()),
                Err(RaftError::Fatal(_)) => return Err(MembershipError::TimedOut),
                Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => {
                    return Err(MembershipError::NotPrimary);
                }
                Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(
                    ChangeMembershipError::InProgress(_),
                ))) => sleep(RETRY_PAUSE).await,
                Err(RaftError::APIError(error)) => {
                    return Err(MembershipError::Impossible(error.to_string()));
                }
            }
        }
    };
    let made = timeout(CHANGE_MAX, making);
    made.await.unwrap_or(Err(MembershipError::TimedOut))
}

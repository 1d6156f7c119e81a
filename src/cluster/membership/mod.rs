//! Becoming a member, and ceasing to be one. Only the primary changes the members, one change at a
//! time, each an entry of the log.

mod registrar;
mod rules;
#[cfg(test)]
mod tests;

pub(super) use registrar::{PERIOD, round};

use super::exchange::{Exchange, Raft};
use super::hello;
use super::purge::FOUNDED_INDEX;
use super::wire::{Admission, Application, Dismissal, Dismissed};
use calldex_storage::replication::{Member, NodeId};
use openraft::ChangeMembers;
use openraft::error::{ChangeMembershipError, ClientWriteError, RaftError};
use rules::{Admittance, Answers, Change, Dismissing};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// What one change may take.
const CHANGE_MAX: Duration = Duration::from_secs(8);
/// Before a change that another one is in the way of is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
enum Unchanged {
    /// This instance is not the primary.
    #[error("another instance is the primary now")]
    Elsewhere,
    /// No majority, or the engine stopped; it may have been made.
    #[error("no majority has answered in time")]
    TimedOut,
    /// The engine does not make it.
    #[error("{0}")]
    Impossible(String),
}

/// An empty instance asks to be a member.
pub(super) async fn admit(exchange: &Arc<Exchange>, application: Application) -> Admission {
    let Some(raft) = exchange.leading() else {
        return Admission::Elsewhere(exchange.whereabouts());
    };
    if !crate::config::is_address(&application.member.address) {
        let why = "cluster.advertise is no host:port".to_owned();
        return Admission::Refused { why };
    }
    // Until then the log holds all there is, and a database built from it alone would not be this
    // one's: an adopted database has more than its log.
    let is_purged = raft
        .metrics()
        .borrow()
        .purged
        .is_some_and(|purged| purged.index >= FOUNDED_INDEX);
    if !is_purged {
        let why = "the cluster is being founded".to_owned();
        return Admission::Wait { why };
    }
    let _one_at_a_time = exchange.changing.lock().await;
    if let Some(why) = hello::unread_level(exchange, application.reads) {
        return Admission::Refused { why };
    }
    let answers = |node_id| answers(exchange, node_id);
    let cluster_id = exchange.cluster_id.clone();
    let replace_after = Duration::from_secs(exchange.section.replace_after_s);
    match rules::admittance(&exchange.roll(), &application, replace_after, answers) {
        Admittance::Already => Admission::Joined { cluster_id },
        Admittance::ChooseAnother => Admission::ChooseAnother,
        Admittance::Wait(why) => Admission::Wait { why },
        Admittance::Refuse(why) => Admission::Refused { why },
        Admittance::Admit => {
            let Application {
                node_id, member, ..
            } = application;
            tracing::info!(node_id, %member, "a new member: it learns first");
            let added = ChangeMembers::AddNodes(BTreeMap::from([(node_id, member)]));
            match change(&raft, added, true).await {
                Ok(()) => Admission::Joined { cluster_id },
                Err(Unchanged::Elsewhere) => Admission::Elsewhere(exchange.whereabouts()),
                Err(error) => Admission::Wait {
                    why: error.to_string(),
                },
            }
        }
    }
}

/// A member is to be none any more.
pub(super) async fn dismiss(exchange: &Arc<Exchange>, dismissal: &Dismissal) -> Dismissed {
    let Some(raft) = exchange.leading() else {
        return Dismissed::Elsewhere(exchange.whereabouts());
    };
    let _one_at_a_time = exchange.changing.lock().await;
    let takes_part = |node_id| takes_part(exchange, node_id);
    let roll = exchange.roll();
    let (listed, wanted) =
        match rules::dismissing(&roll, dismissal.who.trim(), dismissal.force, takes_part) {
            Dismissing::Go(listed, wanted) => (listed, wanted),
            Dismissing::Refuse(why) => return Dismissed::Refused { why },
        };
    tracing::info!(node_id = listed.node_id, member = %listed.member, "a member is removed");
    match apply(&raft, wanted).await {
        Ok(()) => {
            exchange.replica.peers().forget(listed.node_id);
            Dismissed::Gone {
                node_id: listed.node_id,
                instance: listed.member.instance,
            }
        }
        Err(Unchanged::Elsewhere) => Dismissed::Elsewhere(exchange.whereabouts()),
        Err(error) => Dismissed::Wait {
            why: error.to_string(),
        },
    }
}

/// A member says where and what it is: if that is news, the primary notes it for all.
pub(super) fn note_moved(exchange: &Arc<Exchange>, node_id: NodeId, member: Member) {
    let Some(raft) = exchange.leading() else {
        return;
    };
    let roll = exchange.roll();
    let is_news = roll
        .get(node_id)
        .is_some_and(|listed| listed.member != member);
    if !is_news || !crate::config::is_address(&member.address) {
        return;
    }
    if let Some(other) = rules::replaced_by(&roll, node_id, &member).first() {
        // Somebody is called wrongly: nothing is noted until a person has put it right.
        tracing::warn!(node_id, other, %member, "two members go by one name or address");
        return;
    }
    let exchange = Arc::clone(exchange);
    tokio::spawn(async move {
        let _one_at_a_time = exchange.changing.lock().await;
        tracing::info!(node_id, %member, "a member has moved");
        let moved = ChangeMembers::SetNodes(BTreeMap::from([(node_id, member)]));
        if let Err(error) = change(&raft, moved, true).await {
            // It says so again.
            tracing::warn!(node_id, %error, "a member's new address could not be noted");
        }
    });
}

/// Whether a member answers, and its engine runs.
fn takes_part(exchange: &Exchange, node_id: NodeId) -> bool {
    let seen = exchange.reach.of(node_id);
    node_id == exchange.node_id || seen.is_some_and(|seen| seen.takes_part())
}

fn answers(exchange: &Exchange, node_id: NodeId) -> Answers {
    if node_id == exchange.node_id {
        return Answers::Yes;
    }
    match exchange.reach.of(node_id) {
        Some(seen) if seen.is_reachable() => Answers::Yes,
        Some(seen) => match seen.gone_since() {
            Some(since) => Answers::No(since.elapsed()),
            None => Answers::Unknown,
        },
        None => Answers::Unknown,
    }
}

async fn apply(raft: &Raft, wanted: Change) -> Result<(), Unchanged> {
    match wanted {
        Change::Voters(voters) => {
            change(raft, ChangeMembers::ReplaceAllVoters(voters), false).await
        }
        Change::Demote(voters) => change(raft, ChangeMembers::ReplaceAllVoters(voters), true).await,
        Change::Drop(learners) => change(raft, ChangeMembers::RemoveNodes(learners), false).await,
    }
}

/// Makes a change, once those that are under way are done.
async fn change(
    raft: &Raft,
    wanted: ChangeMembers<NodeId, Member>,
    retain: bool,
) -> Result<(), Unchanged> {
    let making = async {
        loop {
            match raft.change_membership(wanted.clone(), retain).await {
                Ok(_) => return Ok(()),
                Err(RaftError::Fatal(_)) => return Err(Unchanged::TimedOut),
                Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => {
                    return Err(Unchanged::Elsewhere);
                }
                Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(
                    ChangeMembershipError::InProgress(_),
                ))) => sleep(PAUSE).await,
                Err(RaftError::APIError(error)) => {
                    return Err(Unchanged::Impossible(error.to_string()));
                }
            }
        }
    };
    let made = timeout(CHANGE_MAX, making);
    made.await.unwrap_or(Err(Unchanged::TimedOut))
}

//! The consensus engine's life: greeted in, started, watched, and after a failure of its disk
//! started again.

use super::network::PeerConnections;
use super::node_context::{EnginePhase, NodeContext, Raft, member_list_at, member_list_of};
use super::startup_check::{self, NotAdmitted};
use super::wire::MemberList;
use crate::config::ClusterSection;
use calldex_observability::catalog;
use calldex_storage::replication::{LogStore, NodeId, StateMachine};
use openraft::error::{InitializeError, RaftError};
use openraft::storage::RaftLogStorage;
use openraft::{Config, LogIdOptionExt, SnapshotPolicy, StorageHelper, Vote};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Between a failure and the next start: at first, and at most.
const RESTART_PAUSE_MIN: Duration = Duration::from_millis(100);
const RESTART_PAUSE_MAX: Duration = Duration::from_secs(5);
/// A run of this length shows that the failure before is over.
const STABLE_AFTER: Duration = Duration::from_secs(30);
/// Entries in one message to a replica, beside the bound on its bytes.
const PAYLOAD_ENTRIES_MAX: u64 = 256;
/// What the engine may take to stop.
const SHUTDOWN_MAX: Duration = Duration::from_secs(5);

/// Why a run ended.
enum EngineExit {
    /// For good: the phase says why.
    Permanent,
    /// The disk, or the engine itself.
    Failed(String),
}

/// Runs the engine until the phase is final.
pub(super) async fn supervise(context: Arc<NodeContext>) {
    let mut pause = RESTART_PAUSE_MIN;
    let mut is_greeted = false;
    loop {
        let began = tokio::time::Instant::now();
        match run(&context, &mut is_greeted).await {
            EngineExit::Permanent => return,
            EngineExit::Failed(why) => {
                tracing::error!(
                    reason = why,
                    "the cluster's engine has failed and is started again"
                );
                catalog::CLUSTER_ENGINE_RESTARTS_TOTAL.increment(1);
                context.set_phase(EnginePhase::Down(why));
            }
        }
        if began.elapsed() > STABLE_AFTER {
            pause = RESTART_PAUSE_MIN;
        }
        let mut phases = context.subscribe_phase();
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = phases.wait_for(EnginePhase::is_final) => return,
        }
        pause = (pause * 2).min(RESTART_PAUSE_MAX);
    }
}

async fn run(context: &Arc<NodeContext>, is_greeted: &mut bool) -> EngineExit {
    let mut phases = context.subscribe_phase();
    let starting = async {
        let (mut log, mut machine) = open(context).await?;
        let known = stored_members(&mut log, &mut machine).await?;
        let node_ids: Vec<NodeId> = known.members.iter().map(|listed| listed.node_id).collect();
        if !*is_greeted {
            pass_startup_check(context, &mut log, known).await?;
            *is_greeted = true;
        }
        start(context, &node_ids, log, machine).await
    };
    let raft = tokio::select! {
        started = starting => match started {
            Ok(raft) => raft,
            Err(ended) => return ended,
        },
        _ = phases.wait_for(EnginePhase::is_final) => return EngineExit::Permanent,
    };
    context.set_engine(Some(raft.clone()));
    context.note_engine_seen();
    context.set_phase(EnginePhase::Running);
    let ended = tokio::select! {
        why = watch_metrics(context, &raft) => EngineExit::Failed(why),
        _ = phases.wait_for(EnginePhase::is_final) => EngineExit::Permanent,
    };
    context.set_engine(None);
    // Bounded: it may hang in the disk.
    let _ = tokio::time::timeout(SHUTDOWN_MAX, raft.shutdown()).await;
    ended
}

fn failed(error: impl fmt::Display) -> EngineExit {
    EngineExit::Failed(error.to_string())
}

async fn open(context: &Arc<NodeContext>) -> Result<(LogStore, StateMachine), EngineExit> {
    let replica = Arc::clone(&context.replica);
    let opened = tokio::task::spawn_blocking(move || {
        let log = replica.log_store()?;
        Ok::<_, calldex_storage::replication::ReplicaError>((log, replica.state_machine()))
    });
    opened.await.map_err(failed)?.map_err(failed)
}

/// The members as this instance's own data has them.
async fn stored_members(
    log: &mut LogStore,
    machine: &mut StateMachine,
) -> Result<MemberList, EngineExit> {
    let membership = StorageHelper::new(log, machine).get_membership().await;
    let membership = membership.map_err(failed)?;
    let effective = membership.effective();
    Ok(member_list_at(effective.log_id(), effective.membership()))
}

/// Asks the members that are `known` whether this instance may take part.
async fn pass_startup_check(
    context: &Arc<NodeContext>,
    log: &mut LogStore,
    known: MemberList,
) -> Result<(), EngineExit> {
    let last_log = log
        .get_log_state()
        .await
        .map_err(failed)?
        .last_log_id
        .index();
    let is_founder = context.replica.identity().is_first_of_cluster();
    match startup_check::run_startup_check(context, known, last_log, is_founder).await {
        Ok(()) => Ok(()),
        Err(shut) => {
            context.set_phase(match shut {
                NotAdmitted::Refused(why) => EnginePhase::Refused(why),
                NotAdmitted::Removed => EnginePhase::Removed,
            });
            Err(EngineExit::Permanent)
        }
    }
}

async fn start(
    context: &Arc<NodeContext>,
    members: &[NodeId],
    mut log: LogStore,
    machine: StateMachine,
) -> Result<Raft, EngineExit> {
    clear_own_leadership(context.node_id, &mut log).await?;
    let config = config(&context.section, context.node_id, members).map_err(failed)?;
    let heartbeat = Duration::from_millis(context.section.heartbeat_ms);
    let replica = Arc::clone(&context.replica);
    let snapshot_backoffs = Arc::clone(&context.snapshot_backoffs);
    let network = PeerConnections::new(
        context.client.clone(),
        replica,
        snapshot_backoffs,
        heartbeat,
    );
    let raft = Raft::new(context.node_id, Arc::new(config), network, log, machine)
        .await
        .map_err(failed)?;
    if context.replica.identity().is_first_of_cluster() {
        initialize_cluster(context, &raft).await?;
    }
    Ok(raft)
}

/// Whoever was primary is none when it starts: openraft would go on in the same term on the word of
/// this disk alone, and where that disk has lost the end of its log, or was put back from a copy, two
/// different entries would have one term and one index. An election shows who has everything.
async fn clear_own_leadership(node_id: NodeId, log: &mut LogStore) -> Result<(), EngineExit> {
    let vote = log.read_vote().await.map_err(failed)?;
    let Some(vote) = vote.filter(|vote| vote.committed) else {
        return Ok(());
    };
    if vote.leader_id.voted_for() != Some(node_id) {
        return Ok(());
    }
    let only_voted = Vote::new(vote.leader_id.term, node_id);
    log.save_vote(&only_voted).await.map_err(failed)
}

/// Makes this instance the first member, once and for all.
async fn initialize_cluster(context: &NodeContext, raft: &Raft) -> Result<(), EngineExit> {
    let first = BTreeMap::from([(context.node_id, context.member.clone())]);
    match raft.initialize(first).await {
        // At every later start it has been.
        Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

fn config(
    section: &ClusterSection,
    node_id: NodeId,
    members: &[NodeId],
) -> Result<Config, Box<openraft::ConfigError>> {
    let (election_timeout_min, election_timeout_max) =
        election_timeout_ms(section, node_id, members);
    let config = Config {
        cluster_name: "calldex".to_owned(),
        heartbeat_interval: section.heartbeat_ms,
        election_timeout_min,
        election_timeout_max,
        max_payload_entries: PAYLOAD_ENTRIES_MAX,
        // Snapshots and purges are ordered by the purger, by bytes and behind the checkpoint.
        snapshot_policy: SnapshotPolicy::Never,
        max_in_snapshot_log_to_keep: u64::MAX,
        ..Config::default()
    };
    config.validate().map_err(Box::new)
}

/// Between what this instance's election timeout lies, milliseconds: its own part of the whole range,
/// by its place among the members that are known at the start. openraft draws the timeout once, so two
/// that drew nearly the same would stand against each other again and again. A later vote of the same
/// term counts more with a higher id: who has the lower one stands first, and can be outvoted.
fn election_timeout_ms(
    section: &ClusterSection,
    node_id: NodeId,
    members: &[NodeId],
) -> (u64, u64) {
    let (min, max) = (section.election_ms_min, section.election_ms_max);
    let others = members.iter().filter(|member| **member != node_id);
    let lower = others.clone().filter(|member| **member < node_id).count() as u64;
    let part = (max - min) / (others.count() as u64 + 1);
    if part == 0 {
        return (min, max);
    }
    (min + lower * part, min + (lower + 1) * part)
}

/// Watches the engine until it stops; why.
async fn watch_metrics(context: &NodeContext, raft: &Raft) -> String {
    let mut metrics = raft.metrics();
    let mut primary: Option<NodeId> = None;
    loop {
        context.note_engine_seen();
        let now = metrics.borrow_and_update().clone();
        if let Err(fatal) = &now.running_state {
            return fatal.to_string();
        }
        if now.current_leader.is_some() && now.current_leader != primary {
            if primary.is_some() {
                catalog::PRIMARY_CHANGES_TOTAL.increment(1);
            }
            primary = now.current_leader;
            log_primary(context, &now, primary);
        }
        if metrics.changed().await.is_err() {
            return "the engine stopped".to_owned();
        }
    }
}

fn log_primary(context: &NodeContext, now: &super::node_context::Metrics, primary: Option<NodeId>) {
    let term = now.current_term;
    if primary == Some(context.node_id) {
        tracing::info!(term, "this instance is the primary");
        return;
    }
    let member_list = member_list_of(now);
    match primary.and_then(|node_id| member_list.get(node_id)) {
        Some(listed) => tracing::info!(term, primary = %listed.member, "there is a primary"),
        None => tracing::info!(term, "there is a primary that is not in the list yet"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_member_has_its_own_part_of_the_election_timeouts() {
        let section = ClusterSection {
            election_ms_min: 300,
            election_ms_max: 600,
            ..ClusterSection::default()
        };
        let parts =
            [10, 20, 30].map(|node_id| election_timeout_ms(&section, node_id, &[20, 10, 30]));
        assert_eq!(parts, [(300, 400), (400, 500), (500, 600)]);
        assert_eq!(election_timeout_ms(&section, 7, &[]), (300, 600), "alone");
        assert_eq!(
            election_timeout_ms(&section, 15, &[10, 20]),
            (400, 500),
            "not in the list yet"
        );
        let close = ClusterSection {
            election_ms_max: 301,
            ..section
        };
        assert_eq!(
            election_timeout_ms(&close, 20, &[10, 20]),
            (300, 301),
            "no room for parts"
        );
    }
}

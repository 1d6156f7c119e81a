//! Every member is asked for a sign of life, by every other: the primary sees who is gone, and a
//! member learns that it is none any more.

use super::client::RpcTarget;
use super::node_context::{EnginePhase, NodeContext};
use super::startup_check;
use super::wire::{Endpoint, ListedMember, Pong};
use calldex_observability::catalog;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How often a member is asked.
const PING_PERIOD: Duration = Duration::from_millis(250);
/// What an answer may take.
const RESPONSE_MAX: Duration = Duration::from_millis(750);
/// How often a confirmed primary must say in a row that this instance is no member: it may have been
/// asked in the moment before it applied the entry that made it one.
const NOT_MEMBER_PONGS_MAX: u32 = 4;
/// How often a member whose address has changed says so.
const ANNOUNCE_PERIOD: Duration = Duration::from_secs(2);

/// Pings until the phase is final.
pub(super) async fn run_pings(context: Arc<NodeContext>) {
    let mut under_way: JoinSet<(ListedMember, Instant, Option<Pong>)> = JoinSet::new();
    let mut asked: BTreeSet<u64> = BTreeSet::new();
    let mut disowned = 0;
    let mut told_at = Instant::now();
    let mut tick = tokio::time::interval(PING_PERIOD);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {
                let member_list = context.member_list();
                let members: BTreeSet<u64> =
                    member_list.members.iter().map(|listed| listed.node_id).collect();
                context.peer_health.retain_members(&members);
                context.snapshot_backoffs.retain_members(|node_id| members.contains(&node_id));
                for listed in member_list.members {
                    // One at a time: the next is sent when the last was answered or given up.
                    if listed.node_id != context.node_id && asked.insert(listed.node_id) {
                        under_way.spawn(ping(Arc::clone(&context), listed));
                    }
                }
                set_unreachable_gauge(&context, &members);
                if told_at.elapsed() > ANNOUNCE_PERIOD && has_moved(&context) {
                    told_at = Instant::now();
                    let context = Arc::clone(&context);
                    tokio::spawn(async move { startup_check::announce_to_primary(&context).await });
                }
            }
            Some(Ok((listed, at, pong))) = under_way.join_next() => {
                asked.remove(&listed.node_id);
                match pong {
                    Some(pong) => {
                        disowned = match pong.sender_is_member {
                            Some(false) if pong.is_primary => disowned + 1,
                            Some(true) => 0,
                            _ => disowned,
                        };
                        compare_digests(&context, &listed, &pong);
                        context.peer_health.record_pong(pong);
                    }
                    None => context.peer_health.record_missed_ping(listed.node_id, at),
                }
                if disowned >= NOT_MEMBER_PONGS_MAX {
                    tracing::error!("this instance was removed from the cluster");
                    context.set_phase(EnginePhase::Removed);
                }
            }
        }
        if context.phase().is_final() {
            return;
        }
    }
}

async fn ping(
    context: Arc<NodeContext>,
    listed: ListedMember,
) -> (ListedMember, Instant, Option<Pong>) {
    let at = Instant::now();
    let rpc_target = RpcTarget::node(listed.node_id, listed.member.address.clone());
    let answer = context
        .client
        .request(&rpc_target, Endpoint::Ping, &(), RESPONSE_MAX)
        .await;
    (listed, at, answer.ok())
}

/// Members that have applied the same entries have the same database: one that has not went another way, by a
/// defect, by a disk that changed what it held, or by a hand.
fn compare_digests(context: &NodeContext, listed: &ListedMember, pong: &Pong) {
    let digests = context.replica.digests();
    if context
        .peer_health
        .compare_digest(pong, |position| digests.digest_at(position))
    {
        let position = pong.digest.map(|(position, _)| position);
        tracing::error!(
            member = %listed.member,
            node_id = listed.node_id,
            position,
            "the databases of this member and of this instance differ: see the runbook DatabasesDiffer"
        );
    }
    let count = context.peer_health.differing().len();
    catalog::CLUSTER_DATABASES_DIFFERING.set(count as f64);
}

fn set_unreachable_gauge(context: &NodeContext, members: &BTreeSet<u64>) {
    let is_silent = |node_id: &&u64| {
        **node_id != context.node_id && !context.peer_health.is_reachable(**node_id)
    };
    let silent = members.iter().filter(is_silent).count();
    catalog::CLUSTER_PEERS_UNREACHABLE.set(silent as f64);
}

/// Whether the others know this instance by another address or name than its own.
fn has_moved(context: &NodeContext) -> bool {
    let member_list = context.member_list();
    member_list
        .get(context.node_id)
        .is_some_and(|listed| listed.member != context.member)
}

//! Every member is asked for a sign of life, by every other: the primary sees who is gone, and a
//! member learns that it is none any more.

use super::client::Addressee;
use super::exchange::{Exchange, Phase};
use super::hello;
use super::wire::{Desk, Listed, Pong};
use calldex_observability::catalog;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How often a member is asked.
const EVERY: Duration = Duration::from_millis(250);
/// What an answer may take.
const PATIENCE: Duration = Duration::from_millis(750);
/// How often a confirmed primary must say in a row that this instance is no member: it may have been
/// asked in the moment before it applied the entry that made it one.
const DISOWNED_MAX: u32 = 4;
/// How often a member whose address has changed says so.
const MOVED_EVERY: Duration = Duration::from_secs(2);

/// Pings until the phase is final.
pub(super) async fn keep(exchange: Arc<Exchange>) {
    let mut under_way: JoinSet<(Listed, Instant, Option<Pong>)> = JoinSet::new();
    let mut asked: BTreeSet<u64> = BTreeSet::new();
    let mut disowned = 0;
    let mut told_at = Instant::now();
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {
                let roll = exchange.roll();
                let members: BTreeSet<u64> =
                    roll.members.iter().map(|listed| listed.node_id).collect();
                exchange.reach.keep(&members);
                exchange.holdoffs.keep(|node_id| members.contains(&node_id));
                for listed in roll.members {
                    // One at a time: the next is sent when the last was answered or given up.
                    if listed.node_id != exchange.node_id && asked.insert(listed.node_id) {
                        under_way.spawn(ping(Arc::clone(&exchange), listed));
                    }
                }
                show(&exchange, &members);
                if told_at.elapsed() > MOVED_EVERY && has_moved(&exchange) {
                    told_at = Instant::now();
                    let exchange = Arc::clone(&exchange);
                    tokio::spawn(async move { hello::greet_primary(&exchange).await });
                }
            }
            Some(Ok((listed, at, pong))) = under_way.join_next() => {
                asked.remove(&listed.node_id);
                match pong {
                    Some(pong) => {
                        disowned = match pong.you_belong {
                            Some(false) if pong.is_primary => disowned + 1,
                            Some(true) => 0,
                            _ => disowned,
                        };
                        compare(&exchange, &listed, &pong);
                        exchange.reach.answered(pong);
                    }
                    None => exchange.reach.missed(listed.node_id, at),
                }
                if disowned >= DISOWNED_MAX {
                    tracing::error!("this instance was removed from the cluster");
                    exchange.enter(Phase::Removed);
                }
            }
        }
        if exchange.phase().is_final() {
            return;
        }
    }
}

async fn ping(exchange: Arc<Exchange>, listed: Listed) -> (Listed, Instant, Option<Pong>) {
    let at = Instant::now();
    let whom = Addressee::node(listed.node_id, listed.member.address.clone());
    let answer = exchange.client.ask(&whom, Desk::Ping, &(), PATIENCE).await;
    (listed, at, answer.ok())
}

/// Members that have applied the same entries have the same database: one that has not went another way, by a
/// defect, by a disk that changed what it held, or by a hand.
fn compare(exchange: &Exchange, listed: &Listed, pong: &Pong) {
    let digests = exchange.replica.digests();
    if exchange
        .reach
        .compare(pong, |position| digests.digest_at(position))
    {
        let position = pong.digest.map(|(position, _)| position);
        tracing::error!(
            member = %listed.member,
            node_id = listed.node_id,
            position,
            "the databases of this member and of this instance differ: see the runbook DatabasesDiffer"
        );
    }
    let count = exchange.reach.differing().len();
    catalog::CLUSTER_DATABASES_DIFFERING.set(count as f64);
}

fn show(exchange: &Exchange, members: &BTreeSet<u64>) {
    let is_silent =
        |node_id: &&u64| **node_id != exchange.node_id && !exchange.reach.is_reachable(**node_id);
    let silent = members.iter().filter(is_silent).count();
    catalog::CLUSTER_PEERS_UNREACHABLE.set(silent as f64);
}

/// Whether the others know this instance by another address or name than its own.
fn has_moved(exchange: &Exchange) -> bool {
    let roll = exchange.roll();
    roll.get(exchange.node_id)
        .is_some_and(|listed| listed.member != exchange.member)
}

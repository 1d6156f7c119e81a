//! Before anything else an instance tells every member that it has started, how often it has, and
//! what it has in its log. A majority must find that it has forgotten nothing: an instance that comes
//! back with less than it once acknowledged must not take part.

mod council;

use super::client::Addressee;
use super::exchange::{Exchange, Phase};
use super::membership;
use super::wire::{Build, Desk, Greeted, Greeting, Pong, Roll};
use calldex_observability::catalog;
use calldex_storage::Levels;
use calldex_storage::replication::{NodeId, Refusal};
use council::{Council, Verdict};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinSet;

/// What a member may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two rounds.
const ROUND: Duration = Duration::from_millis(250);
/// Rounds in a row in which a primary must say that this instance is no member: one that has just been
/// cut off may not know of a member that joined since.
const DISOWNED_MAX: u32 = 8;
/// What a founder waits for others that might know better, at its very first start.
const FOUNDING_MAX: Duration = Duration::from_secs(1);

/// Somebody has started.
pub(super) async fn receive(exchange: &Arc<Exchange>, greeting: Greeting) -> Greeted {
    let node_id = greeting.hello.node_id;
    // Who is not let in itself vouches for nobody.
    if exchange.phase().is_final() {
        return Greeted::NotNow;
    }
    let roll = exchange.roll();
    if exchange.leading().is_some() && roll.get(node_id).is_none() {
        catalog::CLUSTER_REFUSALS_TOTAL
            .with("unknown_node")
            .increment(1);
        return Greeted::Removed;
    }
    if let Some(why) = unread_level(exchange, greeting.reads) {
        catalog::CLUSTER_REFUSALS_TOTAL.with("level").increment(1);
        tracing::error!(node_id, why, "an instance is not let in");
        return Greeted::Refused { why };
    }
    let peers = exchange.replica.peers();
    let hello = greeting.hello;
    let checked = tokio::task::spawn_blocking(move || peers.check(hello)).await;
    match checked {
        Ok(Ok(())) => {}
        Err(_) | Ok(Err(Refusal::Unable(_))) => return Greeted::NotNow,
        Ok(Err(refusal)) => {
            catalog::CLUSTER_REFUSALS_TOTAL
                .with("old_data")
                .increment(1);
            let why = refusal.to_string();
            tracing::error!(node_id, why, "an instance is not let in");
            return Greeted::Refused { why };
        }
    }
    membership::note_moved(exchange, node_id, greeting.member);
    Greeted::Welcome {
        node_id: exchange.node_id,
        roll,
    }
}

/// Why a build that `reads` these levels cannot be one of the members, if it cannot.
pub(super) fn unread_level(exchange: &Exchange, reads: Levels) -> Option<String> {
    let level = exchange.storage.level();
    (!reads.contain(level)).then(|| {
        format!(
            "the cluster is at level {level}, and the calldex of this instance reads levels {reads}: the upgrade to a later one was finished. Run that one"
        )
    })
}

/// "I am here", to node `from`.
pub(super) fn pong(exchange: &Exchange, from: NodeId) -> Pong {
    let metrics = exchange.metrics();
    let is_primary = exchange.leading().is_some();
    Pong {
        node_id: exchange.node_id,
        member: exchange.member.clone(),
        voter: exchange.section.voter,
        position: exchange.applied(),
        committed: metrics
            .and_then(|metrics| metrics.last_applied)
            .map_or(0, |log_id| log_id.index),
        takes_part: exchange.raft().is_some(),
        is_primary,
        you_belong: is_primary.then(|| exchange.roll().get(from).is_some()),
        receives_calls: exchange.reach.receives_calls.load(Ordering::Relaxed),
        build: Build::own(),
        calls_stuck_ms: exchange.calls_stuck_ms(),
        digest: exchange.replica.digests().latest(),
    }
}

/// Why an instance does not take part.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shut {
    /// Its data is not what it was.
    Refused(String),
    /// It is no member any more.
    Removed,
}

/// Tells everybody that this instance has started, until a majority of the voters has let it in.
/// `known` are the members as its own data has them, `last_log` the last entry it has.
pub(super) async fn greet(
    exchange: &Arc<Exchange>,
    known: Roll,
    last_log: Option<u64>,
    is_founder: bool,
) -> Result<(), Shut> {
    let mut council = Council::new(exchange.node_id, known);
    let began = tokio::time::Instant::now();
    let mut disowned = 0;
    loop {
        match council.verdict() {
            Verdict::In if disowned == 0 => return Ok(()),
            Verdict::In => {}
            // Nobody was there before the founder; but one that is may know of an older copy.
            Verdict::Unknown
                if is_founder
                    && (exchange.doors_known().is_empty() || began.elapsed() > FOUNDING_MAX) =>
            {
                return Ok(());
            }
            Verdict::Unknown => exchange.enter(Phase::Greeting(
                "waiting for an instance of the cluster to call or be reached".to_owned(),
            )),
            Verdict::Waiting { let_in, needed } => exchange.enter(Phase::Greeting(format!(
                "waiting for the other instances: {let_in} of the {needed} voters needed have answered"
            ))),
        }
        let round = tokio::time::Instant::now() + ROUND;
        let greeted = ask_all(exchange, &council, last_log).await;
        let is_disowned = greeted
            .iter()
            .any(|greeted| matches!(greeted, Greeted::Removed));
        disowned = if is_disowned { disowned + 1 } else { 0 };
        if disowned >= DISOWNED_MAX {
            return Err(Shut::Removed);
        }
        for greeted in greeted {
            council.hear(greeted)?;
        }
        if council.verdict() == Verdict::In && disowned == 0 {
            return Ok(());
        }
        tokio::time::sleep_until(round).await;
    }
}

async fn ask_all(
    exchange: &Arc<Exchange>,
    council: &Council,
    last_log: Option<u64>,
) -> Vec<Greeted> {
    let mut doors = council.doors_to_ask();
    for address in exchange.doors_known() {
        if !council.has_heard_from(&address) {
            doors.push(Addressee::anybody_at(address));
        }
    }
    let mut asking = JoinSet::new();
    for door in doors {
        let exchange = Arc::clone(exchange);
        let greeting = exchange.greeting(last_log);
        asking.spawn(async move {
            let client = &exchange.client;
            client.ask(&door, Desk::Hello, &greeting, PATIENCE).await
        });
    }
    let answers = asking.join_all().await;
    answers.into_iter().filter_map(Result::ok).collect()
}

/// Tells the primary once more who this instance is: its address may have changed.
pub(super) async fn greet_primary(exchange: &Arc<Exchange>) {
    let Some(door) = exchange.primary_door() else {
        return;
    };
    let last_log = exchange
        .metrics()
        .and_then(|metrics| metrics.last_log_index);
    let greeting = exchange.greeting(last_log);
    let answer = exchange.client.ask(&door, Desk::Hello, &greeting, PATIENCE);
    // If it is no member any more, the pings learn so.
    if let Ok(Greeted::Refused { why }) = answer.await {
        exchange.enter(Phase::Refused(why));
    }
}

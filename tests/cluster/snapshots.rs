//! Whoever was away for longer than the log is kept is sent the whole database, under load.

use crate::books;
use crate::exchange::{Exchange, HEAVY, PATIENCE, Plan};
use crate::random::Random;
use crate::rounds::befall;

/// Little: soon enough is written that whoever was away needs more than the log still has.
const LOG_BYTES_MAX: u64 = 1024 * 1024;
/// Moments of an installation.
const MOMENTS: [&str; 3] = ["InstallSnapshot", "CopySnapshot", "SnapshotInstalled"];
const INSTALLED: &str = "calldex_snapshots_total{direction=\"installed\",result=\"ok\"}";

#[test]
fn nothing_is_lost_when_a_snapshot_is_installed_under_load() {
    let mut plan = Plan::three();
    plan.log_bytes_max = LOG_BYTES_MAX;
    befall(
        "nothing_is_lost_when_a_snapshot_is_installed_under_load",
        plan,
        HEAVY,
        2,
        &[
            ("a replica was away too long", catch_up),
            (
                "a replica was away too long and dies while it catches up",
                catch_up_and_die,
            ),
        ],
    );
}

/// Stays away until the others' logs begin beyond everything that it has.
fn stay_away(exchange: &mut Exchange, random: &mut Random) -> usize {
    let replica = exchange.replica(random);
    exchange.nodes[replica].kill();
    let others = exchange.awake();
    let written = books::log_end(&exchange.nodes[replica].data()).expect("the dead one's log");
    let purged = |exchange: &mut Exchange, index: usize| {
        exchange.nodes[index].figure("calldex_cluster_position{of=\"purged\"}")
    };
    exchange.soon("the logs to be cut", |exchange| {
        exchange.work(random, std::time::Duration::from_millis(100));
        let mut cut = others.iter().map(|index| purged(exchange, *index));
        // What is purged is a figure of up to a second ago: no more than what is purged now.
        cut.all(|purged| purged > Some(written as f64))
            .then_some(())
    });
    replica
}

fn comes_back(exchange: &mut Exchange, index: usize) {
    exchange.wait_serving(index, "after a snapshot");
    exchange.soon("a snapshot to be installed", |exchange| {
        let installed = exchange.nodes[index].figure(INSTALLED)?;
        (installed >= 1.0).then_some(())
    });
}

fn catch_up(exchange: &mut Exchange, random: &mut Random) {
    let replica = stay_away(exchange, random);
    exchange.restart(replica);
    comes_back(exchange, replica);
}

fn catch_up_and_die(exchange: &mut Exchange, random: &mut Random) {
    let replica = stay_away(exchange, random);
    let moment = random.one_of(&MOMENTS);
    exchange.nodes[replica].dies_at = Some(moment.to_owned());
    exchange.restart(replica);
    let died = exchange.nodes[replica].wait_end(PATIENCE);
    assert!(died, "{moment} never came");
    exchange.restart(replica);
    // What was installed before it died need not be installed again.
    exchange.wait_serving(replica, "after a snapshot that was cut short");
}

//! Whoever was away for longer than the log is kept is sent the whole database, under load.

use crate::database_contents;
use crate::fault_cluster::{FaultTestCluster, FaultTestPlan, HEAVY, WAIT_MAX};
use crate::fault_rounds::run_fault;
use crate::random::SeededRandom;

/// Little: soon enough is written that whoever was away needs more than the log still has.
const LOG_BYTES_MAX: u64 = 1024 * 1024;
/// Moments of an installation.
const CRASH_POINTS: [&str; 3] = ["InstallSnapshot", "CopySnapshot", "SnapshotInstalled"];
const INSTALLED: &str = "calldex_snapshots_total{direction=\"installed\",result=\"ok\"}";

#[test]
fn nothing_is_lost_when_a_snapshot_is_installed_under_load() {
    let mut plan = FaultTestPlan::three();
    plan.log_bytes_max = LOG_BYTES_MAX;
    run_fault(
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
fn fall_behind(cluster: &mut FaultTestCluster, random: &mut SeededRandom) -> usize {
    let replica = cluster.replica(random);
    cluster.nodes[replica].kill();
    let others = cluster.awake();
    let written =
        database_contents::log_end(&cluster.nodes[replica].data()).expect("the dead one's log");
    let purged = |cluster: &mut FaultTestCluster, index: usize| {
        cluster.nodes[index].metric("calldex_cluster_position{index=\"purged\"}")
    };
    cluster.wait_for("the logs to be cut", |cluster| {
        cluster.work(random, std::time::Duration::from_millis(100));
        let mut cut = others.iter().map(|index| purged(cluster, *index));
        // What is purged is a figure of up to a second ago: no more than what is purged now.
        cut.all(|purged| purged > Some(written as f64))
            .then_some(())
    });
    replica
}

fn comes_back(cluster: &mut FaultTestCluster, index: usize) {
    cluster.wait_serving(index, "after a snapshot");
    cluster.wait_for("a snapshot to be installed", |cluster| {
        let installed = cluster.nodes[index].metric(INSTALLED)?;
        (installed >= 1.0).then_some(())
    });
}

fn catch_up(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let replica = fall_behind(cluster, random);
    cluster.restart(replica);
    comes_back(cluster, replica);
}

fn catch_up_and_die(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let replica = fall_behind(cluster, random);
    let moment = random.one_of(&CRASH_POINTS);
    cluster.nodes[replica].dies_at = Some(moment.to_owned());
    cluster.restart(replica);
    let died = cluster.nodes[replica].wait_end(WAIT_MAX);
    assert!(died, "{moment} never came");
    cluster.restart(replica);
    // What was installed before it died need not be installed again.
    cluster.wait_serving(replica, "after a snapshot that was cut short");
}

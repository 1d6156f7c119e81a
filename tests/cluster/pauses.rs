//! SIGSTOP for longer than an election takes: whoever was paused wakes up and does not know it.

use crate::fault_cluster::{FaultTestCluster, FaultTestPlan, ORDINARY};
use crate::fault_rounds::run_fault;
use crate::random::SeededRandom;
use std::time::Duration;

/// Longer than the longest election timeout, twice over.
const PAUSE_MS: (u64, u64) = (1_300, 2_000);

#[test]
fn nothing_is_lost_when_processes_are_paused() {
    run_fault(
        "nothing_is_lost_when_processes_are_paused",
        FaultTestPlan::three(),
        ORDINARY,
        2,
        &[
            ("the primary is paused", pause_primary),
            ("a replica is paused", pause_replica),
            ("the primary is paused and paused again", pause_twice),
        ],
    );
}

fn pause_primary(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let primary = cluster.primary();
    pause(cluster, random, primary);
    // It believes to be primary still, and has writes of its own at hand: none may be acknowledged
    // that the others do not have. The judges see to it.
    cluster.work(random, Duration::from_millis(400));
}

fn pause_replica(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let replica = cluster.replica(random);
    pause(cluster, random, replica);
}

fn pause_twice(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let primary = cluster.primary();
    pause(cluster, random, primary);
    let moment = random.within(0, 30);
    std::thread::sleep(Duration::from_millis(moment));
    pause(cluster, random, primary);
}

fn pause(cluster: &mut FaultTestCluster, random: &mut SeededRandom, index: usize) {
    cluster.nodes[index].pause();
    let pause = random.within(PAUSE_MS.0, PAUSE_MS.1);
    cluster.work(random, Duration::from_millis(pause));
    cluster.nodes[index].resume();
}

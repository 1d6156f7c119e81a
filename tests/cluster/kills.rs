//! kill -9.

use crate::fault_cluster::{FaultTestCluster, FaultTestPlan, ORDINARY};
use crate::fault_rounds::run_fault;
use crate::random::SeededRandom;
use std::time::Duration;

#[test]
fn nothing_is_lost_when_processes_are_killed() {
    run_fault(
        "nothing_is_lost_when_processes_are_killed",
        FaultTestPlan::three(),
        ORDINARY,
        4,
        &[
            ("the primary is killed", kill_primary),
            ("a replica is killed", kill_replica),
            ("two of three are killed", kill_two),
            ("all are killed", kill_all),
        ],
    );
}

fn kill_primary(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let primary = cluster.primary();
    cluster.nodes[primary].kill();
    stay_down(cluster, random);
}

fn kill_replica(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let replica = cluster.replica(random);
    cluster.nodes[replica].kill();
    stay_down(cluster, random);
}

fn kill_two(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let survivor = random.within(0, 2) as usize;
    for index in (0..3).filter(|index| *index != survivor) {
        cluster.nodes[index].kill();
    }
    stay_down(cluster, random);
}

fn kill_all(cluster: &mut FaultTestCluster, _: &mut SeededRandom) {
    cluster
        .nodes
        .iter_mut()
        .for_each(crate::node::NodeHandle::kill);
}

fn stay_down(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let down = random.within(0, 1_500);
    cluster.work(random, Duration::from_millis(down));
}

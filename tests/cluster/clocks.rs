//! Clocks that are wrong: nothing but the times in the writes may depend on them.

use crate::fault_cluster::{FaultTestCluster, FaultTestPlan, ORDINARY};
use crate::fault_rounds::run_fault;
use crate::random::SeededRandom;
use crate::simulated_machine::MachineFault;
use std::time::Duration;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

#[test]
fn nothing_is_lost_when_clocks_jump() {
    run_fault(
        "nothing_is_lost_when_clocks_jump",
        FaultTestPlan::three().with_machines(),
        ORDINARY,
        2,
        &[
            ("the primary's clock jumps ahead", jump_ahead),
            ("a clock jumps back and its process starts again", jump_back),
        ],
    );
}

fn jump(cluster: &FaultTestCluster, index: usize, by_ms: i64) {
    let machine = cluster.nodes[index].machine.as_ref();
    machine
        .expect("it was asked for")
        .inject(MachineFault::ClockOffMs, by_ms);
}

fn jump_ahead(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let primary = cluster.primary();
    for by_ms in [90_000, -60_000, 400 * DAY_MS] {
        jump(cluster, primary, by_ms);
        cluster.work(random, Duration::from_millis(400));
    }
}

/// Certificates are made at each start: the others, whose clock is right, must take them.
fn jump_back(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let index = random.within(0, 2) as usize;
    jump(cluster, index, -400 * DAY_MS);
    cluster.work(random, Duration::from_millis(300));
    cluster.nodes[index].kill();
    cluster.restart(index);
    cluster.wait_serving(index, "a clock of long ago");
    cluster.work(random, Duration::from_millis(500));
}

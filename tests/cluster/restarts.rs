//! One after the other is stopped in order and started again, by another version if there is one.

use crate::fault_cluster::{FaultTestCluster, FaultTestPlan, ORDINARY};
use crate::fault_rounds::run_fault;
use crate::random::SeededRandom;
use std::path::PathBuf;
use std::time::Duration;

/// Another version's build of this test binary. Without it all instances are of this version.
const OTHER: &str = "CALLDEX_TEST_CLUSTER_OTHER";

#[test]
fn nothing_is_lost_in_a_rolling_restart() {
    if std::env::var_os(OTHER).is_none() {
        println!("mixed versions are not tested: {OTHER} names no other build of this test");
    }
    run_fault(
        "nothing_is_lost_in_a_rolling_restart",
        FaultTestPlan::three(),
        ORDINARY,
        1,
        &[("a rolling restart", restart_all)],
    );
}

fn restart_all(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let other = std::env::var_os(OTHER).map(PathBuf::from);
    for index in 0..3 {
        let given_up = cluster.nodes[index].stop();
        assert_eq!(given_up, Some(0), "stopping gave up writes");
        if let Some(other) = &other {
            let this = std::env::current_exe().expect("this binary");
            let node = &mut cluster.nodes[index];
            node.binary = match node.binary == *other {
                true => this,
                false => other.clone(),
            };
        }
        cluster.restart(index);
        cluster.wait_serving(index, "a rolling restart");
        cluster.load(ORDINARY);
        let between = random.within(100, 600);
        cluster.work(random, Duration::from_millis(between));
    }
}

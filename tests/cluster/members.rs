//! The membership changes while the network is cut.

use crate::events::IdentitySource;
use crate::fault_cluster::{FaultTestCluster, FaultTestPlan, ORDINARY};
use crate::fault_rounds::run_fault;
use crate::random::SeededRandom;
use std::time::Duration;

/// The place of the one that joins.
const NEW: usize = 3;

#[test]
fn nothing_is_lost_when_members_change_during_a_partition() {
    run_fault(
        "nothing_is_lost_when_members_change_during_a_partition",
        FaultTestPlan::three().with_cuts().with_spare(1),
        ORDINARY,
        1,
        &[
            (
                "a replica is cut off, replaced, and comes back",
                replace_replica,
            ),
            (
                "the primary is cut off, replaced, and comes back",
                replace_primary,
            ),
        ],
    );
}

fn replace_replica(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let index = cluster.replica(random);
    replace(cluster, random, index);
}

fn replace_primary(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let index = cluster.primary();
    replace(cluster, random, index);
}

/// `index` is cut off; another joins, and it is removed behind its back. Then it comes back and must
/// not count for anything. Then all is as it was: it joins anew, and the other leaves.
fn replace(cluster: &mut FaultTestCluster, random: &mut SeededRandom, index: usize) {
    let net = cluster.net.as_ref().expect("it was asked for");
    net.isolate(index as u64);
    cluster.work(random, Duration::from_millis(900));
    // From here on it is none of those that are asked.
    cluster.retired = vec![index];
    let primary = cluster.primary();
    cluster.nodes[NEW].start(IdentitySource::Join);
    cluster.wait_serving(NEW, "joining during a partition");
    cluster.load(ORDINARY);
    cluster.wait_voters(4);
    remove(cluster, primary, index);
    cluster.wait_voters(3);
    cluster.net.as_ref().expect("it was asked for").heal();
    cluster.work(random, Duration::from_millis(1_500));
    cluster.nodes[index].kill();
    cluster.nodes[index].wipe();
    cluster.nodes[index].start(IdentitySource::Join);
    cluster.retired.clear();
    cluster.wait_serving(index, "joining after it was removed");
    cluster.wait_voters(4);
    cluster.load(ORDINARY);
    cluster.work(random, Duration::from_millis(300));
    let by = cluster.primary();
    remove(cluster, by, NEW);
    cluster.retired.push(NEW);
    cluster.wait_voters(3);
    cluster.nodes[NEW].kill();
    cluster.nodes[NEW].wipe();
}

/// `calldex cluster remove`, on the machine of another.
fn remove(cluster: &mut FaultTestCluster, by: usize, index: usize) {
    let identity = cluster.nodes[index].life_status().identity;
    let (_, node_id, _) = identity.expect("it was open");
    let node_id = node_id.to_string();
    let what = format!("removing instance {index}");
    cluster.wait_for(&what, |cluster| {
        let output = cluster.nodes[by].run_calldex(&["cluster", "remove", &node_id]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() {
            println!("calldex cluster remove: {said}");
        }
        output.status.success().then_some(())
    });
}

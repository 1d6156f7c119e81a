//! Instances that are wrong on purpose: the harness must find them out, or it finds nothing.

use crate::events::{IdentitySource, WorkloadRates};
use crate::fault_cluster::{FaultTestCluster, FaultTestPlan, ORDINARY};
use crate::random::SeededRandom;
use crate::simulated_machine::MachineFault;
use rusqlite::Connection;
use std::time::Duration;

/// Accidents until one shows the loss; each does with a fair chance.
const ATTEMPTS: usize = 6;
/// Writes acknowledged while something is wrong, so that some are lost.
const LOST_MIN: usize = 200;
/// Much, so that something is always under way.
const BUSY: WorkloadRates = WorkloadRates {
    writes_per_s: 1_200,
    long_winded: false,
    wanted_calls: 0,
    names: false,
};

#[test]
fn an_instance_that_acknowledges_too_early_is_found_out() {
    let test = "an_instance_that_acknowledges_too_early_is_found_out";
    let mut random = SeededRandom::for_test(test);
    let mut plan = FaultTestPlan::three();
    plan.liar = Some(1);
    let Some(mut cluster) = plan.open(&mut random) else {
        return;
    };
    for _ in 0..ATTEMPTS {
        cluster.load(BUSY);
        let before = random.within(200, 500);
        std::thread::sleep(Duration::from_millis(before));
        cluster.nodes[1].kill();
        let wrong = cluster.rest_and_find(test);
        if wrong.contains("lost: ") {
            return println!("found out: {}", wrong.lines().nth(1).unwrap_or_default());
        }
    }
    panic!("an instance that acknowledges what it has not written was believed");
}

#[test]
fn disks_that_lie_are_found_out_when_all_power_goes() {
    let test = "disks_that_lie_are_found_out_when_all_power_goes";
    let mut random = SeededRandom::for_test(test);
    let Some(mut cluster) = FaultTestPlan::three().with_machines().open(&mut random) else {
        return;
    };
    cluster.load(ORDINARY);
    cluster.work(&mut random, Duration::from_millis(500));
    inject_all(&cluster, MachineFault::SyncLies, 1);
    cluster.work_until_acknowledged(&mut random, LOST_MIN);
    inject_all(&cluster, MachineFault::Cut, 1);
    cluster
        .nodes
        .iter_mut()
        .for_each(|node| node.cut_power(false));
    let wrong = cluster.rest_and_find(test);
    assert!(
        wrong.contains("lost: "),
        "disks that lie were believed: {wrong}"
    );
    println!("found out: {}", wrong.lines().nth(1).unwrap_or_default());
}

fn inject_all(cluster: &FaultTestCluster, ailment: MachineFault, value: i64) {
    for node in &cluster.nodes {
        node.machine
            .as_ref()
            .expect("it was asked for")
            .inject(ailment, value);
    }
}

/// What the refusals of `directories` are for: a voter that was wiped and is let back under its old
/// identity, past every guard, loses what a majority had acknowledged.
#[test]
fn a_wiped_voter_that_is_let_back_loses_what_was_acknowledged() {
    let test = "a_wiped_voter_that_is_let_back_loses_what_was_acknowledged";
    let mut random = SeededRandom::for_test(test);
    let Some(mut cluster) = FaultTestPlan::three().open(&mut random) else {
        return;
    };
    cluster.load(ORDINARY);
    cluster.work(&mut random, Duration::from_millis(300));
    let primary = cluster.primary();
    let [wiped, behind] = match primary {
        0 => [1, 2],
        1 => [2, 0],
        _ => [0, 1],
    };
    cluster.nodes[behind].kill();
    // The primary and the one that will be wiped are the majority now.
    cluster.work_until_acknowledged(&mut random, LOST_MIN);
    cluster.nodes[primary].kill();
    cluster.nodes[wiped].kill();
    let identity = cluster.nodes[wiped].life_status().identity;
    let (cluster_id, node_id, _) = identity.expect("it was open");
    cluster.nodes[wiped].wipe();
    forget_peers(&cluster, behind);
    cluster.retired = vec![primary];
    cluster.nodes[wiped].start(IdentitySource::Usurp {
        cluster_id,
        node_id,
    });
    cluster.restart(behind);
    let wrong = cluster.rest_and_find(test);
    assert!(
        wrong.contains("lost: "),
        "a wiped voter harmed nobody: {wrong}"
    );
    println!("found out: {}", wrong.lines().nth(1).unwrap_or_default());
}

/// Takes from an instance what it knows of the others' starts.
fn forget_peers(cluster: &FaultTestCluster, index: usize) {
    let path = cluster.nodes[index].data().join("raft.db");
    let log = Connection::open(path).expect("a log");
    let forgotten = log.execute("DELETE FROM marks WHERE name LIKE 'peer:%'", []);
    forgotten.expect("the marks of the peers");
}

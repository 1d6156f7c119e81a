//! Links cut and lossy.

use crate::fault_cluster::{FaultTestCluster, FaultTestPlan, ORDINARY};
use crate::fault_rounds::run_fault;
use crate::random::SeededRandom;
use crate::test_network::TestNetwork;
use std::time::Duration;

#[test]
fn nothing_is_lost_when_links_are_cut() {
    run_fault(
        "nothing_is_lost_when_links_are_cut",
        FaultTestPlan::three().with_cuts(),
        ORDINARY,
        6,
        &[
            ("the primary is cut off", isolate_primary),
            ("a replica is cut off", isolate_replica),
            (
                "the primary and a replica do not reach each other",
                cut_one_link,
            ),
            ("the primary is not heard by a replica", mute_primary),
            ("the primary does not hear a replica", deafen_primary),
            ("the primary hears nobody", deafen_primary_wholly),
            ("30 % of everything is lost", lose_a_third),
            ("the network falls apart", fall_apart),
        ],
    );
}

fn net(cluster: &FaultTestCluster) -> &TestNetwork {
    cluster.net.as_ref().expect("it was asked for")
}

fn go_on(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let time = random.within(900, 1_900);
    cluster.work(random, Duration::from_millis(time));
}

fn isolate_primary(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let primary = cluster.primary();
    net(cluster).isolate(primary as u64);
    go_on(cluster, random);
}

fn isolate_replica(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let replica = cluster.replica(random);
    net(cluster).isolate(replica as u64);
    go_on(cluster, random);
}

fn cut_one_link(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let (primary, replica) = (cluster.primary(), cluster.replica(random));
    net(cluster).cut(primary as u64, replica as u64);
    go_on(cluster, random);
}

fn mute_primary(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let (primary, replica) = (cluster.primary(), cluster.replica(random));
    net(cluster).block_inbound(replica as u64, primary as u64);
    go_on(cluster, random);
}

fn deafen_primary(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let (primary, replica) = (cluster.primary(), cluster.replica(random));
    net(cluster).block_inbound(primary as u64, replica as u64);
    go_on(cluster, random);
}

fn deafen_primary_wholly(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let primary = cluster.primary();
    for other in (0..cluster.nodes.len()).filter(|other| *other != primary) {
        net(cluster).block_inbound(primary as u64, other as u64);
    }
    go_on(cluster, random);
}

fn lose_a_third(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    net(cluster).drop_packets(30);
    go_on(cluster, random);
}

fn fall_apart(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    (0..3).for_each(|node| net(cluster).isolate(node));
    go_on(cluster, random);
}

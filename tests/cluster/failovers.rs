//! How long nobody's writes are acknowledged when the primary is killed.

use crate::fault_cluster::{FaultTestCluster, FaultTestPlan, ORDINARY, WAIT_MAX};
use crate::fault_rounds::is_long_form;
use crate::instance::now_us;
use crate::random::{SeededRandom, rounds};
use std::time::Duration;

/// Kills in the short form, and at least in the long one.
const KILLS: (usize, usize) = (4, 20);
/// What is promised, milliseconds; judged in the long form, on a machine that has the time.
const PROMISED_MS: u64 = 2_000;

#[test]
fn writes_go_on_soon_after_the_primary_is_killed() {
    let mut random = SeededRandom::for_test("writes_go_on_soon_after_the_primary_is_killed");
    let Some(mut cluster) = FaultTestPlan::three().open(&mut random) else {
        return;
    };
    let kills = match is_long_form() {
        true => rounds(KILLS.1).max(KILLS.1),
        false => KILLS.0,
    };
    let mut times_ms: Vec<u64> = (0..kills)
        .map(|_| kill_once(&mut cluster, &mut random))
        .collect();
    cluster.check_after_settling(&mut random, ORDINARY, "failovers");
    times_ms.sort_unstable();
    let (median, longest) = (times_ms[kills / 2], times_ms[kills - 1]);
    println!("failover: {kills} kills, median {median} ms, longest {longest} ms: {times_ms:?}");
    assert!(
        !is_long_form() || longest <= PROMISED_MS,
        "{longest} ms is more than {PROMISED_MS}"
    );
    cluster.close("failovers");
}

/// From the kill to the first acknowledgement, at a surviving instance, of what it submitted after the
/// kill; milliseconds.
fn kill_once(cluster: &mut FaultTestCluster, random: &mut SeededRandom) -> u64 {
    cluster.load(ORDINARY);
    let before = random.within(700, 1_200);
    cluster.work(random, Duration::from_millis(before));
    let primary = cluster.primary();
    let survivors = cluster
        .awake()
        .into_iter()
        .filter(|index| *index != primary);
    let lives: Vec<u64> = survivors.map(|index| cluster.nodes[index].life()).collect();
    let killed_us = now_us();
    cluster.nodes[primary].kill();
    let acknowledged = cluster
        .record
        .wait(WAIT_MAX, |told| told.history.first_after(&lives, killed_us));
    let views = cluster.cluster_views();
    let acknowledged = acknowledged.unwrap_or_else(|| panic!("nobody took over: {views:#?}"));
    cluster.restart(primary);
    cluster.wait_serving(primary, "after a failover");
    (acknowledged - killed_us) / 1_000
}

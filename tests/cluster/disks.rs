//! Disks that are slow, full or broken, and power that goes: on a simulated disk, under the whole
//! instance (log, database, outbox, warm tier).

use crate::fault_cluster::{FaultTestCluster, FaultTestPlan, ORDINARY, WAIT_MAX};
use crate::fault_rounds::run_fault;
use crate::node::NodeHandle;
use crate::random::SeededRandom;
use crate::simulated_machine::{EIO, ENOSPC, MachineFault};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// Bytes at the end of the log that are damaged: a page with its frame, or some.
const TORN_BYTES_MAX: u64 = 9_000;

#[test]
fn nothing_is_lost_when_disks_fail() {
    run_fault(
        "nothing_is_lost_when_disks_fail",
        FaultTestPlan::three().with_machines(),
        ORDINARY,
        5,
        &[
            ("the primary's disk is slow", slow_primary),
            ("a replica's disk is slow", slow_replica),
            ("a disk is full", fill_disk),
            ("a sync fails", fail_sync),
            ("writes fail", fail_writes),
            ("the last page of a killed log is torn", tear_log),
        ],
    );
}

#[test]
fn nothing_is_lost_when_the_power_goes() {
    run_fault(
        "nothing_is_lost_when_the_power_goes",
        FaultTestPlan::three().with_machines(),
        ORDINARY,
        4,
        &[
            ("one machine loses its power", cut_one),
            ("the primary's machine loses its power", cut_primary),
            ("all machines lose their power at once", cut_all),
            ("a sync fails and then the power goes", fail_sync_and_cut),
        ],
    );
}

fn any(random: &mut SeededRandom) -> usize {
    random.within(0, 2) as usize
}

fn inject(cluster: &FaultTestCluster, index: usize, ailment: MachineFault, value: i64) {
    let machine = cluster.nodes[index].machine.as_ref();
    machine.expect("it was asked for").inject(ailment, value);
}

fn recover(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let time = random.within(800, 1_800);
    cluster.work(random, Duration::from_millis(time));
}

fn slow_primary(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let primary = cluster.primary();
    slow(cluster, random, primary);
}

fn slow_replica(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let replica = cluster.replica(random);
    slow(cluster, random, replica);
}

fn slow(cluster: &mut FaultTestCluster, random: &mut SeededRandom, index: usize) {
    let sync_us = random.within(20_000, 250_000).cast_signed();
    inject(cluster, index, MachineFault::SyncTakesUs, sync_us);
    inject(cluster, index, MachineFault::WriteTakesUs, sync_us / 200);
    recover(cluster, random);
}

fn fill_disk(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    fail(cluster, random, MachineFault::WriteFails, ENOSPC);
}

fn fail_sync(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    fail(cluster, random, MachineFault::SyncFails, EIO);
}

fn fail_writes(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    fail(cluster, random, MachineFault::WriteFails, EIO);
}

fn fail(
    cluster: &mut FaultTestCluster,
    random: &mut SeededRandom,
    ailment: MachineFault,
    errno: i64,
) {
    let index = any(random);
    let failures = |cluster: &FaultTestCluster| {
        let machine = cluster.nodes[index].machine.as_ref();
        machine.expect("it was asked for").failures()
    };
    let before = failures(cluster);
    inject(cluster, index, ailment, errno);
    cluster.wait_for("the disk to fail", |cluster| {
        (failures(cluster) > before).then_some(())
    });
    recover(cluster, random);
}

/// Damage beyond what a crash can do: what was synced is torn too. The other two have it.
fn tear_log(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let index = any(random);
    cluster.nodes[index].kill();
    tear(&cluster.nodes[index], random);
    cluster.restart(index);
    let life = cluster.nodes[index].life();
    let up = cluster.record.wait(WAIT_MAX, |told| {
        let standing = told.lives.get(&life)?;
        (standing.is_serving || standing.is_gone).then_some(standing.is_serving)
    });
    if up != Some(true) {
        // Refused, since the others know that it had more: the remedy is a new beginning.
        println!("torn log: {:?}", cluster.nodes[index].life_status().refusal);
        crate::data_directories::begin_anew(cluster, index);
    }
}

fn tear(node: &NodeHandle, random: &mut SeededRandom) {
    let path = node.data().join("raft.db-wal");
    let log = File::options()
        .read(true)
        .write(true)
        .open(&path)
        .expect("a log");
    let length = log.metadata().expect("its size").len();
    let torn = random.within(1, TORN_BYTES_MAX.min(length.saturating_sub(1)).max(1));
    match random.chance(50) {
        true => log.set_len(length - torn).expect("to be cut"),
        false => {
            let garbage: Vec<u8> = (0..torn).map(|_| (random.next() >> 32) as u8).collect();
            log.write_all_at(&garbage, length - torn)
                .expect("to be written");
        }
    }
}

fn cut_one(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let index = any(random);
    cluster.nodes[index].cut_power(random.chance(50));
    recover(cluster, random);
}

fn cut_primary(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let primary = cluster.primary();
    cluster.nodes[primary].cut_power(random.chance(50));
    recover(cluster, random);
}

fn cut_all(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let part = random.chance(50);
    // All at once, and only then looked after.
    (0..3).for_each(|index| inject(cluster, index, MachineFault::Cut, 1 + i64::from(part)));
    cluster
        .nodes
        .iter_mut()
        .for_each(|node| node.cut_power(part));
}

fn fail_sync_and_cut(cluster: &mut FaultTestCluster, random: &mut SeededRandom) {
    let index = any(random);
    inject(cluster, index, MachineFault::SyncFails, EIO);
    let time = random.within(5, 300);
    cluster.work(random, Duration::from_millis(time));
    inject(cluster, index, MachineFault::SyncFails, 0);
    let time = random.within(100, 900);
    cluster.work(random, Duration::from_millis(time));
    cluster.nodes[index].cut_power(false);
    recover(cluster, random);
}

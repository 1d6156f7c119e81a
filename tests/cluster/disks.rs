//! Disks that are slow, full or broken, and power that goes: on a simulated disk, under the whole
//! instance (log, database, outbox, warm tier).

use crate::exchange::{Exchange, ORDINARY, PATIENCE, Plan};
use crate::machine::{Ailment, EIO, ENOSPC};
use crate::node::Node;
use crate::random::Random;
use crate::rounds::befall;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// Bytes at the end of the log that are damaged: a page with its frame, or some.
const TORN_BYTES_MAX: u64 = 9_000;

#[test]
fn nothing_is_lost_when_disks_fail() {
    befall(
        "nothing_is_lost_when_disks_fail",
        Plan::three().with_machines(),
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
    befall(
        "nothing_is_lost_when_the_power_goes",
        Plan::three().with_machines(),
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

fn any(random: &mut Random) -> usize {
    random.within(0, 2) as usize
}

fn ail(exchange: &Exchange, index: usize, ailment: Ailment, value: i64) {
    let machine = exchange.nodes[index].machine.as_ref();
    machine.expect("it was asked for").ail(ailment, value);
}

fn go_on(exchange: &mut Exchange, random: &mut Random) {
    let time = random.within(800, 1_800);
    exchange.work(random, Duration::from_millis(time));
}

fn slow_primary(exchange: &mut Exchange, random: &mut Random) {
    let primary = exchange.primary();
    slow(exchange, random, primary);
}

fn slow_replica(exchange: &mut Exchange, random: &mut Random) {
    let replica = exchange.replica(random);
    slow(exchange, random, replica);
}

fn slow(exchange: &mut Exchange, random: &mut Random, index: usize) {
    let sync_us = random.within(20_000, 250_000).cast_signed();
    ail(exchange, index, Ailment::SyncTakesUs, sync_us);
    ail(exchange, index, Ailment::WriteTakesUs, sync_us / 200);
    go_on(exchange, random);
}

fn fill_disk(exchange: &mut Exchange, random: &mut Random) {
    fail(exchange, random, Ailment::WriteFails, ENOSPC);
}

fn fail_sync(exchange: &mut Exchange, random: &mut Random) {
    fail(exchange, random, Ailment::SyncFails, EIO);
}

fn fail_writes(exchange: &mut Exchange, random: &mut Random) {
    fail(exchange, random, Ailment::WriteFails, EIO);
}

fn fail(exchange: &mut Exchange, random: &mut Random, ailment: Ailment, errno: i64) {
    let index = any(random);
    let failures = |exchange: &Exchange| {
        let machine = exchange.nodes[index].machine.as_ref();
        machine.expect("it was asked for").failures()
    };
    let before = failures(exchange);
    ail(exchange, index, ailment, errno);
    exchange.soon("the disk to fail", |exchange| {
        (failures(exchange) > before).then_some(())
    });
    go_on(exchange, random);
}

/// Damage beyond what a crash can do: what was synced is torn too. The other two have it.
fn tear_log(exchange: &mut Exchange, random: &mut Random) {
    let index = any(random);
    exchange.nodes[index].kill();
    tear(&exchange.nodes[index], random);
    exchange.restart(index);
    let life = exchange.nodes[index].life();
    let up = exchange.record.wait(PATIENCE, |told| {
        let standing = told.lives.get(&life)?;
        (standing.is_serving || standing.is_gone).then_some(standing.is_serving)
    });
    if up != Some(true) {
        // Refused, since the others know that it had more: the remedy is a new beginning.
        println!("torn log: {:?}", exchange.nodes[index].standing().refusal);
        crate::directories::begin_anew(exchange, index);
    }
}

fn tear(node: &Node, random: &mut Random) {
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

fn cut_one(exchange: &mut Exchange, random: &mut Random) {
    let index = any(random);
    exchange.nodes[index].cut_power(random.chance(50));
    go_on(exchange, random);
}

fn cut_primary(exchange: &mut Exchange, random: &mut Random) {
    let primary = exchange.primary();
    exchange.nodes[primary].cut_power(random.chance(50));
    go_on(exchange, random);
}

fn cut_all(exchange: &mut Exchange, random: &mut Random) {
    let part = random.chance(50);
    // All at once, and only then looked after.
    (0..3).for_each(|index| ail(exchange, index, Ailment::Cut, 1 + i64::from(part)));
    exchange
        .nodes
        .iter_mut()
        .for_each(|node| node.cut_power(part));
}

fn fail_sync_and_cut(exchange: &mut Exchange, random: &mut Random) {
    let index = any(random);
    ail(exchange, index, Ailment::SyncFails, EIO);
    let time = random.within(5, 300);
    exchange.work(random, Duration::from_millis(time));
    ail(exchange, index, Ailment::SyncFails, 0);
    let time = random.within(100, 900);
    exchange.work(random, Duration::from_millis(time));
    exchange.nodes[index].cut_power(false);
    go_on(exchange, random);
}

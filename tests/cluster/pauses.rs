//! SIGSTOP for longer than an election takes: whoever was paused wakes up and does not know it.

use crate::exchange::{Exchange, ORDINARY, Plan};
use crate::random::Random;
use crate::rounds::befall;
use std::time::Duration;

/// Longer than the longest election timeout, twice over.
const PAUSE_MS: (u64, u64) = (1_300, 2_000);

#[test]
fn nothing_is_lost_when_processes_are_paused() {
    befall(
        "nothing_is_lost_when_processes_are_paused",
        Plan::three(),
        ORDINARY,
        2,
        &[
            ("the primary is paused", pause_primary),
            ("a replica is paused", pause_replica),
            ("the primary is paused and paused again", pause_twice),
        ],
    );
}

fn pause_primary(exchange: &mut Exchange, random: &mut Random) {
    let primary = exchange.primary();
    pause(exchange, random, primary);
    // It believes to be primary still, and has writes of its own at hand: none may be acknowledged
    // that the others do not have. The judges see to it.
    exchange.work(random, Duration::from_millis(400));
}

fn pause_replica(exchange: &mut Exchange, random: &mut Random) {
    let replica = exchange.replica(random);
    pause(exchange, random, replica);
}

fn pause_twice(exchange: &mut Exchange, random: &mut Random) {
    let primary = exchange.primary();
    pause(exchange, random, primary);
    let moment = random.within(0, 30);
    std::thread::sleep(Duration::from_millis(moment));
    pause(exchange, random, primary);
}

fn pause(exchange: &mut Exchange, random: &mut Random, index: usize) {
    exchange.nodes[index].pause();
    let pause = random.within(PAUSE_MS.0, PAUSE_MS.1);
    exchange.work(random, Duration::from_millis(pause));
    exchange.nodes[index].go_on();
}

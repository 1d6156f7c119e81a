//! Clocks that are wrong: nothing but the times in the writes may depend on them.

use crate::exchange::{Exchange, ORDINARY, Plan};
use crate::machine::Ailment;
use crate::random::Random;
use crate::rounds::befall;
use std::time::Duration;

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

#[test]
fn nothing_is_lost_when_clocks_jump() {
    befall(
        "nothing_is_lost_when_clocks_jump",
        Plan::three().with_machines(),
        ORDINARY,
        2,
        &[
            ("the primary's clock jumps ahead", jump_ahead),
            ("a clock jumps back and its process starts again", jump_back),
        ],
    );
}

fn jump(exchange: &Exchange, index: usize, by_ms: i64) {
    let machine = exchange.nodes[index].machine.as_ref();
    machine
        .expect("it was asked for")
        .ail(Ailment::ClockOffMs, by_ms);
}

fn jump_ahead(exchange: &mut Exchange, random: &mut Random) {
    let primary = exchange.primary();
    for by_ms in [90_000, -60_000, 400 * DAY_MS] {
        jump(exchange, primary, by_ms);
        exchange.work(random, Duration::from_millis(400));
    }
}

/// Certificates are made at each start: the others, whose clock is right, must take them.
fn jump_back(exchange: &mut Exchange, random: &mut Random) {
    let index = random.within(0, 2) as usize;
    jump(exchange, index, -400 * DAY_MS);
    exchange.work(random, Duration::from_millis(300));
    exchange.nodes[index].kill();
    exchange.restart(index);
    exchange.wait_serving(index, "a clock of long ago");
    exchange.work(random, Duration::from_millis(500));
}

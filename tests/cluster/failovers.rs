//! How long nobody's writes are acknowledged when the primary is killed.

use crate::exchange::{Exchange, ORDINARY, PATIENCE, Plan};
use crate::instance::now_us;
use crate::random::{Random, rounds};
use crate::rounds::is_long_form;
use std::time::Duration;

/// Kills in the short form, and at least in the long one.
const KILLS: (usize, usize) = (4, 20);
/// What is promised, milliseconds; judged in the long form, on a machine that has the time.
const PROMISED_MS: u64 = 2_000;

#[test]
fn writes_go_on_soon_after_the_primary_is_killed() {
    let mut random = Random::for_test("writes_go_on_soon_after_the_primary_is_killed");
    let Some(mut exchange) = Plan::three().open(&mut random) else {
        return;
    };
    let kills = match is_long_form() {
        true => rounds(KILLS.1).max(KILLS.1),
        false => KILLS.0,
    };
    let mut times_ms: Vec<u64> = (0..kills)
        .map(|_| kill_once(&mut exchange, &mut random))
        .collect();
    exchange.rest(&mut random, ORDINARY, "failovers");
    times_ms.sort_unstable();
    let (median, longest) = (times_ms[kills / 2], times_ms[kills - 1]);
    println!("failover: {kills} kills, median {median} ms, longest {longest} ms: {times_ms:?}");
    assert!(
        !is_long_form() || longest <= PROMISED_MS,
        "{longest} ms is more than {PROMISED_MS}"
    );
    exchange.close("failovers");
}

/// From the kill to the first acknowledgement, at a surviving instance, of what it submitted after the
/// kill; milliseconds.
fn kill_once(exchange: &mut Exchange, random: &mut Random) -> u64 {
    exchange.load(ORDINARY);
    let before = random.within(700, 1_200);
    exchange.work(random, Duration::from_millis(before));
    let primary = exchange.primary();
    let survivors = exchange
        .awake()
        .into_iter()
        .filter(|index| *index != primary);
    let lives: Vec<u64> = survivors
        .map(|index| exchange.nodes[index].life())
        .collect();
    let killed_us = now_us();
    exchange.nodes[primary].kill();
    let acknowledged = exchange
        .record
        .wait(PATIENCE, |told| told.history.first_after(&lives, killed_us));
    let views = exchange.views();
    let acknowledged = acknowledged.unwrap_or_else(|| panic!("nobody took over: {views:#?}"));
    exchange.restart(primary);
    exchange.wait_serving(primary, "after a failover");
    (acknowledged - killed_us) / 1_000
}

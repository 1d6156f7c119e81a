//! Killed at exactly one moment: before, between and after the labelled operations of storage.

use crate::events::Order;
use crate::exchange::{Exchange, HEAVY, Plan};
use crate::instance::DIES;
use crate::random::{Random, rounds};
use crate::rounds::is_long_form;
use calldex_storage::Operation;
use std::time::Duration;

/// Moments in the short form, chosen by the seed; all of them in the long one.
const SHORT: usize = 5;
/// How long a moment is waited for.
const AWAITED: Duration = Duration::from_secs(2);
/// Little, so that the log is cut and snapshots are made.
const LOG_BYTES_MAX: u64 = 2 * 1024 * 1024;

#[test]
fn nothing_is_lost_when_a_process_dies_at_a_labelled_moment() {
    let mut random = Random::for_test("nothing_is_lost_when_a_process_dies_at_a_labelled_moment");
    let mut plan = Plan::three();
    plan.log_bytes_max = LOG_BYTES_MAX;
    let Some(mut exchange) = plan.open(&mut random) else {
        return;
    };
    let moments: Vec<Operation> = match is_long_form() {
        true => Operation::ALL
            .into_iter()
            .cycle()
            .take(Operation::ALL.len() * rounds(1).min(3))
            .collect(),
        false => (0..SHORT).map(|_| random.one_of(&Operation::ALL)).collect(),
    };
    let mut reached = Vec::new();
    for moment in moments {
        let label = format!("{moment:?}");
        exchange.load(HEAVY);
        let before = random.within(200, 600);
        exchange.work(&mut random, Duration::from_millis(before));
        if die_at(&mut exchange, &mut random, &label) {
            reached.push(label.clone());
        }
        exchange.rest(&mut random, HEAVY, &format!("killed at {label}"));
    }
    println!("killed at {reached:?}");
    exchange.close("killed at labelled moments");
}

/// Whether it came to that: not every moment comes in a running instance.
fn die_at(exchange: &mut Exchange, random: &mut Random, label: &str) -> bool {
    let index = random.within(0, 2) as usize;
    let order = |times: u64| Order::Fault {
        operation: label.to_owned(),
        delay_ms: 0,
        errno: DIES,
        times,
    };
    exchange.nodes[index].order(&order(1));
    let died = exchange.nodes[index].wait_end(AWAITED);
    if !died {
        exchange.nodes[index].order(&order(0));
    }
    died
}

//! kill -9.

use crate::exchange::{Exchange, ORDINARY, Plan};
use crate::random::Random;
use crate::rounds::befall;
use std::time::Duration;

#[test]
fn nothing_is_lost_when_processes_are_killed() {
    befall(
        "nothing_is_lost_when_processes_are_killed",
        Plan::three(),
        ORDINARY,
        4,
        &[
            ("the primary is killed", kill_primary),
            ("a replica is killed", kill_replica),
            ("two of three are killed", kill_two),
            ("all are killed", kill_all),
        ],
    );
}

fn kill_primary(exchange: &mut Exchange, random: &mut Random) {
    let primary = exchange.primary();
    exchange.nodes[primary].kill();
    stay_down(exchange, random);
}

fn kill_replica(exchange: &mut Exchange, random: &mut Random) {
    let replica = exchange.replica(random);
    exchange.nodes[replica].kill();
    stay_down(exchange, random);
}

fn kill_two(exchange: &mut Exchange, random: &mut Random) {
    let survivor = random.within(0, 2) as usize;
    for index in (0..3).filter(|index| *index != survivor) {
        exchange.nodes[index].kill();
    }
    stay_down(exchange, random);
}

fn kill_all(exchange: &mut Exchange, _: &mut Random) {
    exchange.nodes.iter_mut().for_each(crate::node::Node::kill);
}

fn stay_down(exchange: &mut Exchange, random: &mut Random) {
    let down = random.within(0, 1_500);
    exchange.work(random, Duration::from_millis(down));
}

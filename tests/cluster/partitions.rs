//! Links cut and lossy.

use crate::exchange::{Exchange, ORDINARY, Plan};
use crate::net::Net;
use crate::random::Random;
use crate::rounds::befall;
use std::time::Duration;

#[test]
fn nothing_is_lost_when_links_are_cut() {
    befall(
        "nothing_is_lost_when_links_are_cut",
        Plan::three().with_cuts(),
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

fn net(exchange: &Exchange) -> &Net {
    exchange.net.as_ref().expect("it was asked for")
}

fn go_on(exchange: &mut Exchange, random: &mut Random) {
    let time = random.within(900, 1_900);
    exchange.work(random, Duration::from_millis(time));
}

fn isolate_primary(exchange: &mut Exchange, random: &mut Random) {
    let primary = exchange.primary();
    net(exchange).isolate(primary as u64);
    go_on(exchange, random);
}

fn isolate_replica(exchange: &mut Exchange, random: &mut Random) {
    let replica = exchange.replica(random);
    net(exchange).isolate(replica as u64);
    go_on(exchange, random);
}

fn cut_one_link(exchange: &mut Exchange, random: &mut Random) {
    let (primary, replica) = (exchange.primary(), exchange.replica(random));
    net(exchange).cut(primary as u64, replica as u64);
    go_on(exchange, random);
}

fn mute_primary(exchange: &mut Exchange, random: &mut Random) {
    let (primary, replica) = (exchange.primary(), exchange.replica(random));
    net(exchange).deafen(replica as u64, primary as u64);
    go_on(exchange, random);
}

fn deafen_primary(exchange: &mut Exchange, random: &mut Random) {
    let (primary, replica) = (exchange.primary(), exchange.replica(random));
    net(exchange).deafen(primary as u64, replica as u64);
    go_on(exchange, random);
}

fn deafen_primary_wholly(exchange: &mut Exchange, random: &mut Random) {
    let primary = exchange.primary();
    for other in (0..exchange.nodes.len()).filter(|other| *other != primary) {
        net(exchange).deafen(primary as u64, other as u64);
    }
    go_on(exchange, random);
}

fn lose_a_third(exchange: &mut Exchange, random: &mut Random) {
    net(exchange).lose(30);
    go_on(exchange, random);
}

fn fall_apart(exchange: &mut Exchange, random: &mut Random) {
    (0..3).for_each(|node| net(exchange).isolate(node));
    go_on(exchange, random);
}

//! Without a primary, writes wait in the outbox, which outlives its process, and are drained in order.

use crate::events::{Event, Order};
use crate::exchange::{Exchange, ORDINARY, Plan};
use crate::node::ANSWER_MAX;
use crate::random::Random;
use crate::rounds::befall;
use std::time::Duration;

#[test]
fn writes_wait_in_the_outbox_for_a_primary_and_outlive_their_process() {
    befall(
        "writes_wait_in_the_outbox_for_a_primary_and_outlive_their_process",
        Plan::three(),
        ORDINARY,
        1,
        &[("one of three is left, and dies", be_left_and_die)],
    );
}

fn be_left_and_die(exchange: &mut Exchange, random: &mut Random) {
    let left = random.within(0, 2) as usize;
    for index in (0..3).filter(|index| *index != left) {
        exchange.nodes[index].kill();
    }
    exchange.work(random, Duration::from_millis(1_200));
    exchange.nodes[left].order(&Order::Hush);
    exchange.soon("every write to lie in the outbox", |exchange| {
        let node = &mut exchange.nodes[left];
        let kept = node.figure("calldex_outbox_writes")?;
        let answer = node.ask(|asked| Order::UnderWay { asked }, ANSWER_MAX);
        let Some(Event::UnderWay { writes, .. }) = answer else {
            return None;
        };
        (writes > 0 && kept >= writes as f64).then_some(())
    });
    exchange.nodes[left].kill();
    let life = exchange.nodes[left].life();
    let promised = exchange.record.told().history.promise(life);
    println!("{promised} writes lay in the outbox of a process that was killed");
    assert!(promised > 0, "the outbox was empty");
}
